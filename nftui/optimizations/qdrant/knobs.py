"""The knobs of the Qdrant optimization: names and bounds are those of Qdrant's API."""

from __future__ import annotations

from nftui.model.knobs import Kind, Knob
from nftui.model.message import Message, msg
from nftui.model.qdrant import CODES

ID = "qdrant"
RULES = "AI reference 2.3"
QUANTIZING = "AI reference 2.4"
SETTINGS = "qdrant src/settings.rs (AI reference 2.1)"
SHARDING = "AI reference 2.7"
QUANTIZATIONS = ("none", "int8", "binary")

INDEX = ("m", "ef_construct", "full_scan_threshold")
TUNED = (*INDEX, "quantization", "on_disk", *CODES)
"""What a collection has: its knobs are collection.NAME.KNOB."""

_WHY = {
    "m": "Links of each vector in the graph: more find more, and take memory and time to build.",
    "ef_construct": "Candidates while the graph is built; also those of a search that does not say (hnsw_ef).",
    "full_scan_threshold": "Segments with fewer KB of vectors are read whole instead of by the graph.",
    "quantization": "Compressed copies of the vectors: int8 takes a quarter, binary a 32nd of the memory.",
    "on_disk": "The original vectors stay on the disk and are read from there; the quantized ones stay in memory.",
    "always_ram": "Quantized vectors stay in memory also where the originals are on the disk; off: they follow those.",
    "quantile": "Share of the values that int8 spreads over its 256 steps; what lies outside is cut off. 1 takes all.",
}
_MOST_KB = 10**9


def _index(prefix: str, name: str, low: int, high: int, unit: str) -> Knob:
    return Knob(
        prefix + name, Kind.INTEGER, msg(prefix + name), msg(_WHY[name]), RULES, unit=unit, minimum=low, maximum=high,
        dynamic="collection" if prefix else None,
    )  # fmt: skip


def _tuned(prefix: str) -> tuple[Knob, ...]:
    dynamic = "collection" if prefix else None
    return (
        _index(prefix, "m", 4, 128, "links"),
        _index(prefix, "ef_construct", 4, 4096, "vectors"),
        _index(prefix, "full_scan_threshold", 10, _MOST_KB, "KB"),
        Knob(
            f"{prefix}quantization", Kind.ENUM, msg(f"{prefix}quantization"), msg(_WHY["quantization"]), QUANTIZING,
            unit="choice", choices=QUANTIZATIONS, dynamic=dynamic,
        ),
        Knob(
            f"{prefix}on_disk", Kind.BOOLEAN, msg(f"{prefix}on_disk"), msg(_WHY["on_disk"]), QUANTIZING, unit="switch",
            dynamic=dynamic,
        ),
        Knob(
            f"{prefix}always_ram", Kind.BOOLEAN, msg(f"{prefix}always_ram"), msg(_WHY["always_ram"]), QUANTIZING,
            unit="switch", dynamic=dynamic, main=False,
        ),
        Knob(
            f"{prefix}quantile", Kind.REAL, msg(f"{prefix}quantile"), msg(_WHY["quantile"]), QUANTIZING,
            unit="fraction", minimum=0.5, maximum=1.0, dynamic=dynamic, main=False,
        ),
    )  # fmt: skip


def _part(name: str, label: str, why: str) -> Knob:
    return Knob(
        f"tune_{name}", Kind.BOOLEAN, msg(label), msg(why), "design: each part can be switched off",
        unit="switch", per_service=False, main=False,
    )  # fmt: skip


RECALL = 0.95
"""The floor of who names no other, of the 10 nearest: int8 without rescoring ends at about 0.96 (AI reference 2.3).
What found less before need only find as much."""
FLOOR = Knob(
    "recall_floor", Kind.REAL, msg("recall_floor"),
    msg("Share of the 10 nearest points that a search must find after the change; below it everything is taken back. "
        "At 0.95 a collection that found less before need only find as much as it did."),
    "AI reference 2.8", unit="fraction", minimum=0.0, maximum=1.0,
)  # fmt: skip


def _number(name: str, unit: str, why: Message) -> Knob:
    """What a server decides by itself at 0."""
    return Knob(name, Kind.INTEGER, msg(name), why, SETTINGS, unit=unit, minimum=0, maximum=1024, main=False)


KNOBS: tuple[Knob, ...] = (
    *_tuned(""),
    FLOOR,
    Knob(
        "snapshot", Kind.BOOLEAN, msg("snapshot"),
        msg("A snapshot of each collection is kept outside of its volume before it is changed."), "engine.md 5",
        unit="switch",
    ),
    _number(
        "search_threads", "threads",
        msg("Threads that search. 0 leaves it to Qdrant, which counts the CPUs of the container's quota."),
    ),
    _number(
        "optimizer_cpus", "CPUs",
        msg("CPUs that building an index may take from searches. 0 leaves it to Qdrant."),
    ),
    _number(
        "indexing_threads", "threads",
        msg("Threads that build the index of one segment, in new collections. 0 leaves it to Qdrant: at most 8 to 16."),
    ),
    _number(
        "segments", "segments",
        msg("Segments that new collections aim at: searches read them side by side. 0 leaves it to Qdrant."),
    ),
    *_tuned("collection.{name}."),
    Knob(
        "alias.{name}.shards", Kind.INTEGER, msg("alias.{name}.shards"),
        msg("Parts of the collection behind that alias, spread over the nodes: it is copied into a new one."),
        SHARDING, unit="shards", minimum=1, maximum=1024, dynamic="alias",
    ),
    Knob(
        "alias.{name}.replicas", Kind.INTEGER, msg("alias.{name}.replicas"),
        msg("Copies of each of those shards, on different nodes: it is copied into a new collection."),
        SHARDING, unit="copies", minimum=1, maximum=64, dynamic="alias",
    ),
    _part("index", "Index", "m, ef_construct and full_scan_threshold of the collections are chosen by nftui."),
    _part("quantization", "Quantization", "Quantization and the place of the vectors are chosen by nftui."),
    _part("defaults", "Defaults", "Values for new collections and threads are written to the service's environment."),
)  # fmt: skip
BY_NAME = {knob.name: knob for knob in KNOBS}

PART_DAYS = {"tune_index": 0.75, "tune_quantization": 0.75, "tune_defaults": 0.5}
SHARDING_DAYS = 0.5
"""Of those two days, where nothing but the spread over nodes changes."""
PART_OF = {name: "tune_index" if name in INDEX else "tune_quantization" for name in TUNED}
SWITCHES = ("on_disk", "always_ram")
STOCK = {"m": "16", "ef_construct": "100", "full_scan_threshold": "10000"}
"""Qdrant's own defaults for a new collection (config/config.yaml)."""
COPIED = (*INDEX, "indexing_threads", "segments")
"""What a collection takes over at its creation and keeps."""
ENV = {
    "m": "QDRANT__STORAGE__HNSW_INDEX__M",
    "ef_construct": "QDRANT__STORAGE__HNSW_INDEX__EF_CONSTRUCT",
    "full_scan_threshold": "QDRANT__STORAGE__HNSW_INDEX__FULL_SCAN_THRESHOLD_KB",
    "search_threads": "QDRANT__STORAGE__PERFORMANCE__MAX_SEARCH_THREADS",
    "optimizer_cpus": "QDRANT__STORAGE__PERFORMANCE__OPTIMIZER_CPU_BUDGET",
    "indexing_threads": "QDRANT__STORAGE__HNSW_INDEX__MAX_INDEXING_THREADS",
    "segments": "QDRANT__STORAGE__OPTIMIZERS__DEFAULT_SEGMENT_NUMBER",
}
"""Names that Qdrant reads; without _KB the third would stop its start (duplicate field, AI reference 2.1)."""
