"""How far the optimizer of a Qdrant collection is, and how long it may work without a sign of it.

While a segment is built anew its collection tells the counts of before: yellow, as many vectors indexed, as many
segments, until the last one is done (1.10 and newer). What moves is how many segments are left, and since 1.17 what
GET /collections/NAME/optimizations counts of the one that is being built (lib/shard/src/operations/optimization.rs).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from nftui.clients.http import HttpUnreachable
from nftui.clients.qdrant import collection_path
from nftui.model.dataclass import dataclass
from nftui.model.plan import StepSpec
from nftui.model.qdrant import IndexConfig, VectorConfig, read_config
from nftui.steps.calls import ApiCalls
from nftui.steps.gate import containers_of
from nftui.steps.helping import near, time_left
from nftui.steps.kind import Context
from nftui.steps.qdrant_segments import outdated

_LOOK_S = 5.0
"""Seconds between two looks at all segments while they are built: telling of them costs the server as well."""
_COST_S = 7e-10
"""Of a processor, to put one point into a graph: times candidates, times links and 64, times dimensions and 128.

Measured with Qdrant's own index on two slow cores: 200 000 vectors of 384 dimensions, m 32, 256 candidates, 9 ms each.
"""
_MARGIN = 5
"""How much slower it may be: an older machine, its disk, apps that search meanwhile, what it does beside the graph."""
_MULTI = 1000
"""Comparisons in the place of one where a point has several vectors: some thirty with as many."""
_THREADS = 8
"""That build a graph where nobody asks for another number (thread_count_for_hnsw, up to 48 CPUs)."""


@dataclass(slots=True)
class Work:
    """What was seen of it, look by look."""

    api: ApiCalls
    name: str
    began: float
    left: int | None = None
    """Segments that have to be built anew, as they were told last; None where they never were."""
    _most: int = 0
    """The most of them that were left at once."""
    _running: Running | None = None
    """None before 1.17, and where it is not told."""
    _most_points: float = 0.0
    _indexed: int = 0
    """Apps that delete points take from it, and their writes are no progress: the most that there were."""
    _looked: float | None = None

    def look(self, info: Mapping[str, Any], now: float, *, fresh: bool) -> int | None:
        """Segments that are left; None where the server does not tell, and where that was asked a moment ago.

        `info`: of GET /collections/NAME. `fresh`: ask, also a moment later.
        """
        self._indexed = max(self._indexed, info.get("indexed_vectors_count") or 0)
        if not fresh and self._looked is not None and now - self._looked < _LOOK_S:
            return None
        self._looked, config = now, read_config(info["config"])
        found = outdated(self.api, self.name, config)
        if found is not None:
            self.left, self._most = found, max(self._most, found)
        self._running = _running(self.api, self.name, len(list(_graphs(config)))) or self._running
        self._most_points = max(self._most_points, self._running.points if self._running else 0.0)
        return found

    def sign(self, info: Mapping[str, Any]) -> tuple[Any, ...]:
        """What changes as long as its optimizer gets on, and not because apps write."""
        counted = self._running.counted if self._running else None
        # Before 1.10 it is green between two segments: all that it tells where its segments are not told.
        status = info["status"] if self.left is None else None
        return self.left, self._indexed, info.get("segments_count"), counted, status

    def words(self, info: Mapping[str, Any], now: float) -> tuple[str, float | None]:
        """What is shown, and the fraction, which is never all of it."""
        text, done, total = self._count(info)
        if not total:
            return f"indexing {self.name}", None
        part = 1 - self._running.points / self._most_points if self._running and self._most_points else done / total
        fraction = near(part)
        left = f", {time_left(now - self.began, fraction)}" if fraction > 0 else ""
        return f"indexing {self.name}: {done} of {total} {text}{left}", fraction

    def _count(self, info: Mapping[str, Any]) -> tuple[str, int, int]:
        """(of what, done, all). 0 of 0 where nothing tells how much there is to do.

        As many vectors are indexed while all of them are indexed anew: that tells of a collection that was filled only.
        """
        if self.left is not None and self._most:
            return "segments", self._most - self.left, self._most
        if self._most_points and self._running:
            return "points", int(self._most_points - self._running.points), int(self._most_points)
        vectors = (info.get("points_count") or 0) * len(list(_graphs(read_config(info["config"]))))
        new = self.left is not None and self._indexed < vectors
        return ("vectors", self._indexed, vectors) if new else ("", 0, 0)


@dataclass(frozen=True, slots=True)
class Running:
    """What GET /collections/NAME/optimizations tells."""

    points: float
    """That lie in segments to be built, less the part of them that is done."""
    counted: tuple[Any, ...]
    """Whatever is counted in it; it changes all the time."""


def _running(api: ApiCalls, name: str, graphs: int) -> Running | None:
    """`graphs`: how many are built of a segment, one for each vector."""
    try:
        told = api.json(collection_path(name, "optimizations"))["result"]
        queue = told["summary"]
        points, counted = float(queue["queued_points"]), [queue["queued_optimizations"]]
        for one in told["running"]:
            nodes = list(_nodes(one["progress"]))
            done = sum(node.get("done") or 0 for node in nodes if node.get("total"))
            mine = sum(segment["points_count"] for segment in one["segments"])
            points += mine - min(mine, done / max(1, graphs))
            ended = sum(1 for node in nodes if node.get("finished_at"))
            counted += [one["uuid"], ended, *(node["done"] for node in nodes if node.get("done"))]
    except (HttpUnreachable, KeyError, TypeError, ValueError):
        return None
    return Running(points, tuple(counted))


def _nodes(tree: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A step of the work and all below it; those that build a graph know how many points it will have."""
    yield tree
    for child in tree.get("children") or ():
        yield from _nodes(child)


def _graphs(config: IndexConfig) -> Iterator[tuple[VectorConfig, int, int]]:
    """(vector, m, candidates) of those that get a graph."""
    for vector in config.vectors:
        m, candidates = (config.value(vector, name) for name in ("m", "ef_construct"))
        if m != 0:
            yield vector, m if isinstance(m, int) else 16, candidates if isinstance(candidates, int) else 100


def silent_s(step: StepSpec, info: Mapping[str, Any], cpus: float) -> float:
    """How long it may show no sign of work: the step's own time, and that of all points in one segment.

    A graph tells nothing while it is built before 1.17. `cpus` are those that the server may use.
    """
    config, schema = read_config(info["config"]), info.get("payload_schema") or {}
    graphs = 1 + (len(schema) if config.hnsw.get("payload_m") != 0 else 0)  # one more for each indexed field
    each = sum(
        candidates * (m + 64) * (vector.size + 128) * (_MULTI if vector.multi else 1)
        for vector, m, candidates in _graphs(config)
    )
    asked = config.hnsw.get("max_indexing_threads")
    threads = min(cpus, asked if isinstance(asked, int) and asked > 0 else _THREADS)
    points = info.get("points_count") or 0
    return step.stall_s + points * each * graphs * _COST_S * _MARGIN / threads


def cpus_of(service: str, ctx: Context) -> float:
    """That its container may use, of this machine's; one where it is bound to some of them."""
    container = next((c for c in containers_of(service, ctx) if c.running), None)
    if container is not None and container.cpuset:
        return 1.0
    return min(float(os.cpu_count() or 1), (container.cpus if container else None) or float("inf"))
