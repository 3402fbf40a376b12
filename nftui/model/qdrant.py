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
COLD, CACHED, PINNED = "cold", "cached", "pinned"
"""Placements by their newer name: `memory` beats on_disk and always_ram where both stand (1.19)."""
CODES = ("always_ram", "quantile")
"""What is said of quantized vectors beside their kind."""
_METHODS = ("scalar", "product", "binary", "turbo")
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
    sparse: tuple[str, ...] = ()
    """Its sparse vectors whose index is in memory."""
    has_sparse: bool = False
    """Whether it has sparse vectors at all: the server counts each of them as indexed, whatever its size."""

    def has_graph_on_disk(self, vector: VectorConfig) -> bool:
        """Whether its graph is read from the disk."""
        return _is_on_disk({**self.hnsw, **vector.hnsw})

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
        """What is in force for that vector: m, ef_construct, full_scan_threshold (KB), quantization, on_disk,
        always_ram, quantile.

        None for on_disk where the threshold decides, segment by segment; for the last two where nothing is quantized.
        """
        if name in CODES:
            return _of_codes(vector.quantization or self.quantization, name)
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
        codes = {name: wanted[name] for name in ("quantization", *CODES) if name in wanted}
        for vector in self.vectors:
            diff = vectors.setdefault(vector.name, {})
            for name, text in wanted.items():
                left = name == "on_disk" and self.is_left(vector)
                if not left and name not in codes and str(self.value(vector, name)).lower() != text:
                    self._write(vector, name, text, body, diff)
            self._quantize(vector, codes, body, diff)
        changed = {name: diff for name, diff in vectors.items() if diff}
        return {**body, **({"vectors": changed} if changed else {})}

    def _write(
        self, vector: VectorConfig, name: str, text: str, body: dict[str, object], diff: dict[str, object]
    ) -> None:
        if name == "on_disk" and vector.memory is not None:
            diff["memory"] = COLD if text == "true" else CACHED
        elif name == "on_disk":
            diff["on_disk"] = text == "true"
        else:
            target = diff if name in vector.hnsw else body
            hnsw = target.setdefault("hnsw_config", {})
            assert isinstance(hnsw, dict)
            hnsw[name] = int(text)

    def _quantize(
        self, vector: VectorConfig, wanted: Mapping[str, str], body: dict[str, object], diff: dict[str, object]
    ) -> None:
        """A quantization is written whole: what an update leaves unsaid is not kept."""
        present = vector.quantization or self.quantization
        asked = _quantized(present, wanted)
        if same(asked, present):
            return
        (diff if vector.quantization else body)["quantization_config"] = asked or DISABLED
        if not asked and self.quantization:
            # Without its own the vector would take the collection's.
            body["quantization_config"] = DISABLED

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
    """Equal in everything that both say: a server may write a placement by its newer name beside the older one.

    What a quantization does not say is what the server takes then.
    """
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6)  # it holds them in single precision
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return one == other
    both = one.keys() & other.keys()
    said = all(same(_explicit(k, one[k]), _explicit(k, other[k])) for k in both)
    return said and (one.keys() ^ other.keys()) <= {"memory"}


def _explicit(key: str, value: object) -> object:
    """Of a quantization's method with what follows where nothing is said; anything else as it is."""
    if key not in _METHODS or not isinstance(value, Mapping):
        return value
    rest = {k: v for k, v in value.items() if k not in ("memory", *CODES)}
    return {**rest, "always_ram": _stays(value), "quantile": float(value.get("quantile") or 1.0)}


def _stays(method: Json) -> bool:
    """Whether its codes are in memory wherever the originals lie; else they lie where those do.

    QuantizedVectors::is_ram, 1.7 to 1.19.
    """
    memory = method.get("memory")
    return memory != COLD if isinstance(memory, str) else method.get("always_ram") is True


def _of_codes(quantization: Json | None, name: str) -> object:
    """always_ram; the quantile as text, 1 where the whole range is taken, and None for all but int8."""
    method = next(iter((quantization or {}).values()), None)
    if not isinstance(method, Mapping):
        return None
    if name == "always_ram":
        return _stays(method)
    return f"{float(method.get('quantile') or 1.0):g}" if kind_of(quantization) == "int8" else None


def _quantized(present: Json | None, wanted: Mapping[str, str]) -> Json | None:
    """`present` with what is wanted of it; a new kind as quantization_config has it."""
    kind = wanted.get("quantization", kind_of(present))
    if kind == "none":
        return None
    base = present if present and kind == kind_of(present) else quantization_config(kind)
    method, said = next(iter(base.items()))
    assert isinstance(said, Mapping)
    new = dict(said)
    if kind == "int8" and wanted.get("quantile", _of_codes(base, "quantile")) != _of_codes(base, "quantile"):
        new["quantile"] = float(wanted["quantile"])
    stays = wanted.get("always_ram", str(_stays(said)).lower()) == "true"
    if stays != _stays(said):
        new |= {"memory": PINNED if stays else COLD} if "memory" in said else {"always_ram": stays}
    return {method: new}


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


def quantization_config(kind: str) -> Json:
    """What the API takes for int8 or binary; the quantized vectors stay in memory.

    Quantile 0.99 cuts outliers off and is what Qdrant's documentation advises (AI reference 2.4).
    """
    if kind == "int8":
        return {"scalar": {"type": "int8", "quantile": 0.99, "always_ram": True}}
    assert kind == "binary", kind
    return {"binary": {"always_ram": True}}


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
        tuple(name for name, value in sorted(_mapping(params.get("sparse_vectors")).items())
              if not _is_on_disk(_mapping(_mapping(value).get("index")))),
        bool(_mapping(params.get("sparse_vectors"))),
    )  # fmt: skip


def _is_on_disk(place: Json) -> bool:
    """By the newer name where it stands, else by the older."""
    memory = place.get("memory")
    return memory == COLD if isinstance(memory, str) else place.get("on_disk") is True


def fields_in_memory(schema: object) -> tuple[str, ...]:
    """Payload fields whose index is in memory, from the `payload_schema` of GET /collections/NAME."""
    fields = sorted(_mapping(schema).items())
    return tuple(name for name, value in fields if not _is_on_disk(_mapping(_mapping(value).get("params"))))


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
