"""What the segments of a Qdrant collection were built with, against what is asked of them.

A collection tells the configuration that it was given, and its state is green until its optimizer has begun: since
1.18.3 that is after the answer to a change, before 1.10 whenever no segment is being worked on. Only its segments tell
what a search runs on; they are in the telemetry, from its fourth level on (lib/segment/src/telemetry.rs). One that is
being built anew is told as it was until the new one takes its place (proxy_segment, get_telemetry_data; 1.7 to 1.19).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nftui.clients.http import HttpUnreachable
from nftui.model.qdrant import HNSW, IndexConfig, VectorConfig, read_config, read_quantization, same
from nftui.steps.calls import ApiCalls

_PATH = "/telemetry?details_level=10"
_ON_DISK = ("Mmap", "ChunkedMmap")
"""Storages that are read from the disk (VectorStorageType::is_on_disk)."""
_NO_STORAGE = ("Empty", None)
"""Of a vector that was named after the segment was built (1.18): nothing of it lies anywhere."""


def outdated(api: ApiCalls, name: str, config: IndexConfig) -> int | None:
    """How many of its segments its optimizer still has to build anew; None where the server does not tell.

    A segment without a graph is too small for one: it takes the configuration of a graph when it grows. Where its
    originals lie it takes now, whatever its size, where that was said (config_mismatch_optimizer.rs).
    """
    segments = _segments(api, name)
    if segments is None:
        return None
    return sum(1 for vectors in segments if any(_differs(config, v, vectors.get(v.name)) for v in config.vectors))


def unindexed(api: ApiCalls, name: str, info: Mapping[str, Any]) -> frozenset[str]:
    """Its vectors of which no segment has a graph: a search by them reads everything, whatever was asked for.

    `info`: of GET /collections/NAME; its count tells where the segments are not told.
    """
    names = frozenset(v.name for v in read_config(info["config"]).vectors)
    segments = _segments(api, name)
    if segments is None:
        return names if info.get("indexed_vectors_count") == 0 else frozenset()
    graphs = ((vector, _graph(stored)) for vectors in segments for vector, stored in vectors.items())
    return names - {vector for vector, graph in graphs if graph is not None and graph.get("m") != 0}


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


def _graph(stored: Any) -> Mapping[str, Any] | None:
    """What its graph was built with; None where it has none."""
    index = stored.get("index") if isinstance(stored, Mapping) else None
    if not isinstance(index, Mapping) or index.get("type") != "hnsw":
        return None
    return index.get("options") or {}


def _differs(config: IndexConfig, vector: VectorConfig, stored: Any) -> bool:
    if not isinstance(stored, Mapping):
        return False
    lies = stored.get("storage_type")
    # Where nobody said so a threshold decides, and what lies on the disk by it stays there.
    if vector.on_disk is not None and lies not in _NO_STORAGE and (lies in _ON_DISK) != vector.on_disk:
        return True
    graph = _graph(stored)
    if graph is None:
        return False
    if any(config.value(vector, n) not in (None, graph.get(n)) for n in HNSW if n in graph):
        return True
    # Any difference of it is built anew, where its codes lie and its quantile too (mismatch_requires_rebuild).
    return not same(read_quantization(stored.get("quantization_config")), vector.quantization or config.quantization)
