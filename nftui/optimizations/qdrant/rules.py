"""What a collection of that size, dimension and distance needs; memory that its parts take. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nftui.model.ai import Collection
    from nftui.model.qdrant import Json, VectorConfig

_GRAPH = (
    (100_000, ((16, 100), (16, 128), (24, 200))),
    (1_000_000, ((16, 128), (24, 200), (32, 256))),
    (1 << 62, ((24, 200), (32, 256), (48, 400))),
)
"""Up to so many vectors: (m, ef_construct) for a recall of 0.95, 0.98 and more (AI reference 2.3)."""
NEAR = 0.75
"""A graph that was built with this share of the advised candidates is not built again."""
BINARY_LEAST = 1024
"""Dimensions below which binary codes find too little: 0.32 of 10 measured at 128 (AI reference 2.3, 2.4)."""
_CODES = {
    "x4": 1.0, "x8": 0.5, "x16": 0.25, "x32": 1 / 8, "x64": 1 / 16,
    "bits4": 0.5, "bits2": 0.25, "bits1_5": 0.1875, "bits1": 0.125,
    "one_bit": 1 / 8, "two_bits": 0.25, "one_and_half_bits": 0.1875,
}  # fmt: skip
"""Bytes of one dimension, by the compression of product codes, the bits of TurboQuant, the encoding of binary codes."""
_TRACKER = 40
"""Bytes that each point takes beside its vectors (AI reference 2.5)."""
_LINKS = 2 * 4 * 1.1
"""Bytes per link of m: the lowest level has 2 m of 4 bytes, the others a tenth more."""
HEADROOM = 1.25
"""The optimizer holds a copy of a segment while it builds (AI reference 2.5)."""


def graph_for(points: int, recall: float) -> tuple[int, int]:
    """(m, ef_construct) for that many vectors and that recall@10, where apps do not set hnsw_ef."""
    column = 0 if recall <= 0.95 else 1 if recall <= 0.98 else 2
    return next(values[column] for most, values in _GRAPH if points <= most)


def memory_bytes(collection: Collection, values: dict[str, str] | None = None) -> int:
    """Memory of a collection with `values` (knob to text) in the place of what stands.

    Segments without an index have neither graph nor codes, whatever is asked for. Sparse vectors and indexes of payload
    fields are not in it: nothing tells their size.
    """
    points, values = collection.points or 0, values or {}
    return points * _TRACKER + sum(_vector_bytes(collection, vector, values) for vector in collection.index.vectors)


def _vector_bytes(collection: Collection, vector: VectorConfig, values: dict[str, str]) -> int:
    points, index = collection.points or 0, collection.index

    def value(name: str) -> str:
        found = index.is_on_disk(vector, points) if name == "on_disk" else index.value(vector, name)
        return values.get(name) or str(found).lower()

    on_disk = value("on_disk") == "true"
    raw = 0 if on_disk else int(points * vector.raw_bytes)
    if not collection.is_indexed:
        return raw
    code = _compressed(value("quantization"), vector.quantization or index.quantization)
    codes = 0 if on_disk and value("always_ram") == "false" else int(points * vector.size * code)
    m = value("m")
    graph = int(points * int(m) * _LINKS) if m.isdigit() and not index.has_graph_on_disk(vector) else 0
    return raw + codes + graph


def _compressed(kind: str, config: Json | None) -> float:
    """Bytes of one dimension in the quantized copy, whatever the original's datatype."""
    if kind in ("none", "int8"):
        return 1.0 if kind == "int8" else 0.0
    said = (config or {}).get(kind)
    parts = (
        [str(said.get(key) or "") for key in ("compression", "bits", "encoding")] if isinstance(said, Mapping) else []
    )
    known = next((_CODES[part] for part in parts if part in _CODES), None)
    return known or {"binary": 1 / 8, "turbo": 0.5}.get(kind, 1.0)
