"""What the segments of a Qdrant collection were built with, against what is asked of them.

A collection tells the configuration that it was given, and its state is green until its optimizer has begun: since
1.18.3 that is after the answer to a change, before 1.10 whenever no segment is being worked on. Only its segments tell
what a search runs on; they are in the telemetry, from its fourth level on (lib/segment/src/telemetry.rs).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nftui.clients.http import HttpUnreachable
from nftui.model.qdrant import HNSW, IndexConfig, VectorConfig, kind_of, read_quantization
from nftui.steps.calls import ApiCalls

_PATH = "/telemetry?details_level=10"
_ON_DISK = ("Mmap", "ChunkedMmap")
"""Storages that are read from the disk; a threshold may choose them as well, so only their lack says something."""


def outdated(api: ApiCalls, name: str, config: IndexConfig) -> int | None:
    """How many of its segments have a graph of another configuration; None where the server does not tell.

    A segment without a graph is too small for one: it takes the configuration when it grows.
    """
    segments = _segments(api, name)
    if segments is None:
        return None
    return sum(1 for vectors in segments if any(_differs(config, v, vectors.get(v.name)) for v in config.vectors))


def _segments(api: ApiCalls, name: str) -> list[Mapping[str, Any]] | None:
    """For each of its segments on this node, vector name to how it is stored."""
    try:
        told = api.json(_PATH)["result"]["collections"].get("collections") or ()
    except (HttpUnreachable, KeyError, TypeError):
        return None
    mine = next((c for c in told if isinstance(c, Mapping) and c.get("id") == name), None)
    found = list(_stored(mine)) if mine else []
    return found or None


def _stored(collection: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for shard in collection.get("shards") or ():
        for segment in (shard.get("local") or {}).get("segments") or ():
            yield segment["config"]["vector_data"]


def _differs(config: IndexConfig, vector: VectorConfig, stored: Any) -> bool:
    index = stored.get("index") if isinstance(stored, Mapping) else None
    if not isinstance(index, Mapping) or index.get("type") != "hnsw":
        return False
    graph = index.get("options") or {}
    if any(config.value(vector, n) not in (None, graph.get(n)) for n in HNSW if n in graph):
        return True
    if kind_of(read_quantization(stored.get("quantization_config"))) != config.value(vector, "quantization"):
        return True
    return bool(vector.on_disk) and stored.get("storage_type") not in (*_ON_DISK, None)
