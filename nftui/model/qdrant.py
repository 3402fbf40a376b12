"""Qdrant's index settings: what stands where, and what is in force for each vector (AI reference 2.2).

A collection has settings of its own; each vector may override them. A change is written where the value stands now:
above, a vector's own value would hide it; below, it could not be taken away again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field

from nftui.model.dataclass import dataclass

Json = Mapping[str, object]

HNSW = ("m", "ef_construct", "full_scan_threshold")
DISABLED = "Disabled"
"""What takes a quantization away."""
COLD, CACHED = "cold", "cached"
"""Placements by their newer name: `memory` beats on_disk where a vector has both (1.19)."""
_ELEMENT = {"float16": 2.0, "uint8": 1.0, "turbo4": 0.5}


@dataclass(frozen=True, slots=True)
class VectorConfig:
    """One dense vector of a collection; "" is the name of the unnamed one."""

    name: str
    size: int
    distance: str
    hnsw: Json = field(default_factory=dict)
    """Its own values; the collection's hold for the others."""
    quantization: Json | None = None
    """Its own; None: the collection's."""
    on_disk: bool | None = None
    """None where nobody said so: then a memmap_threshold decides, and without one it lies in memory."""
    multi: bool = False
    """Several vectors per point, compared by MaxSim."""
    memory: str | None = None
    """Where it lies by the newer name; on_disk follows it. None where only on_disk was said, or nothing."""
    datatype: str = "float32"

    @property
    def raw_bytes(self) -> float:
        """Of one vector as it is stored."""
        return self.size * _ELEMENT.get(self.datatype, 4.0)


@dataclass(frozen=True, slots=True)
class IndexConfig:
    """Everything of a collection's configuration that decides about its index and its memory."""

    hnsw: Json = field(default_factory=dict)
    quantization: Json | None = None
    vectors: tuple[VectorConfig, ...] = ()
    memmap_threshold_kb: int | None = None
    """Segments with as many KB of vectors keep those on the disk whose place nobody chose; None: none does."""

    def is_left(self, vector: VectorConfig) -> bool:
        """Whether the threshold decides where its originals lie.

        A word about it could not be unsaid: no update makes on_disk null again, and false keeps them in memory.
        """
        return vector.on_disk is None and self.memmap_threshold_kb is not None

    @property
    def has_left(self) -> bool:
        """Whether the threshold decides about one of its vectors."""
        return any(self.is_left(v) for v in self.vectors)

    def is_on_disk(self, vector: VectorConfig, points: int) -> bool:
        """Whether its originals lie on the disk where the collection has that many points.

        Qdrant compares the largest of a segment's vectors with the threshold (segment_optimizer.rs).
        """
        if not self.is_left(vector):
            return bool(vector.on_disk)
        largest = max(v.raw_bytes for v in self.vectors) * points
        return largest >= (self.memmap_threshold_kb or 0) * 1024

    def value(self, vector: VectorConfig, name: str) -> object:
        """What is in force for that vector: m, ef_construct, full_scan_threshold (KB), quantization, on_disk.

        None for on_disk where the threshold decides, segment by segment.
        """
        if name == "quantization":
            return kind_of(vector.quantization or self.quantization)
        if name == "on_disk":
            return None if self.is_left(vector) else bool(vector.on_disk)
        return vector.hnsw.get(name, self.hnsw.get(name))

    def effective(self, name: str) -> str | None:
        """The same for the whole collection, as text; None where its vectors differ or nothing is known."""
        found = {str(self.value(v, name)).lower() for v in self.vectors}
        text = found.pop() if len(found) == 1 else None
        return None if text == "none" and name != "quantization" else text

    def patch(self, wanted: Mapping[str, str]) -> dict[str, object]:
        """The body of PATCH that brings `wanted` (knob to text) into force; {} where all of it is."""
        body: dict[str, object] = {}
        vectors: dict[str, dict[str, object]] = {}
        for vector in self.vectors:
            for name, text in wanted.items():
                left = name == "on_disk" and self.is_left(vector)
                if not left and str(self.value(vector, name)).lower() != text:
                    self._write(vector, name, text, body, vectors.setdefault(vector.name, {}))
        changed = {name: diff for name, diff in vectors.items() if diff}
        return {**body, **({"vectors": changed} if changed else {})}

    def _write(
        self, vector: VectorConfig, name: str, text: str, body: dict[str, object], diff: dict[str, object]
    ) -> None:
        if name == "on_disk" and vector.memory is not None:
            diff["memory"] = COLD if text == "true" else CACHED
        elif name == "on_disk":
            diff["on_disk"] = text == "true"
        elif name == "quantization":
            target = diff if vector.quantization else body
            target["quantization_config"] = quantization_config(text)
            if text == "none" and self.quantization:
                # Without its own the vector would take the collection's.
                body["quantization_config"] = DISABLED
        else:
            target = diff if name in vector.hnsw else body
            hnsw = target.setdefault("hnsw_config", {})
            assert isinstance(hnsw, dict)
            hnsw[name] = int(text)

    def way_back(self, patch: Json) -> dict[str, object]:
        """The body of PATCH that restores what `patch` overwrites, from this configuration."""
        back = _restored(patch, self.hnsw, self.quantization)
        named = {v.name: v for v in self.vectors}
        diffs = patch.get("vectors") or {}
        assert isinstance(diffs, Mapping)
        found: dict[str, dict[str, object]] = {}
        for name, diff in diffs.items():
            vector = named[name]
            places: dict[str, object] = {"on_disk": bool(vector.on_disk), "memory": vector.memory}
            found[name] = _restored(diff, vector.hnsw, vector.quantization)
            found[name] |= {key: value for key, value in places.items() if key in diff}
        return {**back, **({"vectors": found} if found else {})}

    def holds(self, patch: Json) -> bool:
        """Whether everything that `patch` writes stands."""
        return same(self.way_back(patch), patch)


def _restored(patch: Json, hnsw: Json, quantization: Json | None) -> dict[str, object]:
    back: dict[str, object] = {}
    names = patch.get("hnsw_config") or {}
    assert isinstance(names, Mapping)
    if names:
        back["hnsw_config"] = {name: hnsw.get(name) for name in names}
    if "quantization_config" in patch:
        back["quantization_config"] = quantization or DISABLED
    return back


def same(one: object, other: object) -> bool:
    """Equal in everything that both say: a server may write defaults beside, or the same placement by a newer name."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6)  # it holds them in single precision
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return one == other
    placed = {"always_ram", "memory", "quantile"}
    return all(same(one[k], other[k]) if k in one and k in other else k in placed for k in {*one, *other})


LEAST_LIMIT = 10
"""The least number of results that a recall is measured with."""
_LEAST_READS = 1000
"""Reads a minute that a measurement may take: where fewer are allowed, its times would be those of waiting."""


def unmeasurable(config: Mapping[str, object]) -> str | None:
    """The rule of its strict mode that forbids measuring its recall, from the `config` of GET /collections/NAME."""
    strict = _mapping(config.get("strict_mode_config"))
    if not strict.get("enabled"):
        return None
    if strict.get("search_allow_exact") is False:
        return "search_allow_exact=false"
    least = {"max_query_limit": LEAST_LIMIT, "read_rate_limit": _LEAST_READS}
    found = ((rule, strict.get(rule)) for rule in least)
    return next((f"{rule}={most}" for rule, most in found if isinstance(most, int) and most < least[rule]), None)


def may_optimize(config: Mapping[str, object]) -> bool:
    """Whether anything of it is ever built anew: without a thread its segments stay as they are."""
    return _mapping(config.get("optimizer_config")).get("max_optimization_threads") != 0


def most_results(config: Mapping[str, object], wanted: int) -> int:
    """`wanted`, or as many as its strict mode lets a query return."""
    strict = _mapping(config.get("strict_mode_config"))
    most = strict.get("max_query_limit") if strict.get("enabled") else None
    return min(wanted, most) if isinstance(most, int) else wanted


def most_read(config: Mapping[str, object], wanted: int) -> int:
    """`wanted`, or as many points as a request may read at once: each counts, and apps need the rest of the minute."""
    strict = _mapping(config.get("strict_mode_config"))
    most = strict.get("read_rate_limit") if strict.get("enabled") else None
    return min(wanted, max(1, most // 4)) if isinstance(most, int) else wanted


def most_written(config: Mapping[str, object], wanted: int) -> int:
    """`wanted`, or as many as its strict mode lets a request write."""
    strict = _mapping(config.get("strict_mode_config"))
    most = strict.get("upsert_max_batchsize") if strict.get("enabled") else None
    return min(wanted, most) if isinstance(most, int) and most > 0 else wanted


def kind_of(quantization: Json | None) -> str:
    """none, int8, binary, product, or what else the server calls it."""
    if not quantization:
        return "none"
    return {"scalar": "int8"}.get(name := next(iter(quantization)), name)


def quantization_config(kind: str) -> Json | str:
    """What the API takes for none, int8 or binary; the quantized vectors stay in memory.

    Quantile 0.99 cuts outliers off and is what Qdrant's documentation advises (AI reference 2.4).
    """
    if kind == "int8":
        return {"scalar": {"type": "int8", "quantile": 0.99, "always_ram": True}}
    return {"binary": {"always_ram": True}} if kind == "binary" else DISABLED


def read_config(config: Mapping[str, object]) -> IndexConfig:
    """From the `config` of GET /collections/NAME."""
    params = _mapping(config.get("params"))
    declared = _mapping(params.get("vectors"))
    named = {"": declared} if isinstance(declared.get("size"), int) else declared
    return IndexConfig(
        _known(_mapping(config.get("hnsw_config"))),
        read_quantization(config.get("quantization_config")),
        tuple(_vector(name, _mapping(value)) for name, value in sorted(named.items())),
        _threshold(_mapping(config.get("optimizer_config")).get("memmap_threshold")),
    )


def _threshold(value: object) -> int | None:
    """0 switches it off, as null does (optimizers_builder.rs)."""
    return value if isinstance(value, int) and value > 0 else None


def _vector(name: str, value: Mapping[str, object]) -> VectorConfig:
    memory, on_disk = value.get("memory"), value.get("on_disk")
    return VectorConfig(
        name,
        int(str(value.get("size") or 0)),
        str(value.get("distance", "")),
        _known(_mapping(value.get("hnsw_config"))),
        read_quantization(value.get("quantization_config")),
        memory == COLD if isinstance(memory, str) else on_disk if isinstance(on_disk, bool) else None,
        bool(value.get("multivector_config")),
        memory if isinstance(memory, str) else None,
        str(value.get("datatype") or "float32"),
    )


def read_quantization(value: object) -> Json | None:
    """Without fields that are null: servers differ in which of those they write."""
    found = {kind: _known(_mapping(config)) for kind, config in _mapping(value).items()}
    return found or None


def _known(value: Mapping[str, object]) -> dict[str, object]:
    return {k: v for k, v in value.items() if v is not None}


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
