"""A Qdrant in memory for the step kinds: its effects are counted, it can die at any of them and fail in every way."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from nftui.clients.http import HttpUnreachable
from nftui.model.message import msg
from nftui.model.plan import Stage, StepSpec
from nftui.model.qdrant import read_config
from nftui.steps.kind import Context
from tests.engine.world import World, new_world

HNSW = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000}
WISH = {"m": "24", "quantization": "int8"}


def refused(status: int, text: str = "refused") -> HttpUnreachable:
    error = HttpUnreachable(msg("{text}", text=text))
    error.status = status
    return error


def new_config() -> dict[str, Any]:
    return {
        "params": {"vectors": {"size": 4, "distance": "Dot"}}, "hnsw_config": dict(HNSW), "quantization_config": None,
    }  # fmt: skip


def segment(config: dict[str, Any], *, graph: bool = True) -> dict[str, Any]:
    """As the telemetry tells it."""
    index = {"type": "hnsw", "options": dict(config["hnsw_config"])} if graph else {"type": "plain", "options": {}}
    on_disk = config["params"]["vectors"].get("on_disk")
    stored = {
        "index": index, "quantization_config": config["quantization_config"] if graph else None,
        "storage_type": {(True, True): "Mmap", (True, False): "ChunkedMmap"}.get((bool(on_disk), graph), "InRamMmap"),
    }  # fmt: skip
    return {"info": {"segment_type": "indexed"}, "config": {"vector_data": {"": stored}}}


@dataclass
class FakeQdrant:
    """One collection `docs` of ten points. `busy` polls it is yellow after a change; recall by `recall_of` its m."""

    world: World
    collections: dict[str, dict[str, Any]] = field(default_factory=lambda: {"docs": new_config()})
    points: dict[int, list[float]] = field(default_factory=lambda: {i: [float(i), 1, 2, 3] for i in range(10)})
    snapshots: dict[str, bytes] = field(default_factory=dict)
    busy: int = 0
    status: str | None = None
    """What is answered for ever, None: green once it is not busy."""
    found: int = 10
    """How many of ten an approximate search finds where m is not 16."""
    inert: bool = False
    late: int = 0
    """Looks at which it is still green after a change, before its optimizer begins."""
    built: dict[str, dict[str, Any]] = field(default_factory=lambda: {"docs": new_config()})
    """What the segment of each was built with."""
    tells: bool = True
    """Whether its telemetry can be read."""
    old: bool = False
    """A server before 1.10."""
    torn: bool = False
    """Downloads arrive cut off."""
    asked: list[str] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=lambda: {"all": "docs"})
    version: str = "1.19.0"
    lacking: set[int] = field(default_factory=set)
    """Points without the vector by which others are looked for."""
    refusal: str = "Wrong input: Positive vectors should not be empty with `average` strategy"
    """What is said of them where others are asked for by likeness."""
    asked_at_once: list[int] = field(default_factory=list)
    """Of how many points the vectors were read in one request."""
    most: int = 1000
    """Points whose vectors fit in one answer."""
    awaits: bool = False
    """Green, and in the words of 1.9 an update is needed before its optimizer begins."""
    graphs: bool = True
    """Whether its segments are large enough for an index."""
    segments: int = 1
    pace_s: float = 0.0
    """Seconds that a segment takes, one after the other: yellow, every count as before; 0: `busy` looks in all."""
    counts: bool = False
    """Whether it tells of its optimizations (1.17)."""
    full: bool = False
    """It may hold no further collection."""
    _begun: float = 0.0
    _queue: list[int] = field(default_factory=list)
    """Segments that are built anew since then."""
    _before: list[dict[str, Any]] = field(default_factory=list)
    """What each segment was built with before."""

    def json(self, path: str) -> Any:
        if path == "/":
            return {"title": "qdrant - vector search engine", "version": self.version}
        if path.endswith("/optimizations"):
            return self._optimizations()
        if path == "/aliases":
            return {"result": {"aliases": [{"alias_name": a, "collection_name": c} for a, c in self.aliases.items()]}}
        return self._telemetry() if path.startswith("/telemetry?") else self.send("GET", path)

    def _telemetry(self) -> Any:
        if not self.tells:
            raise refused(403)
        found = [
            {"id": n, "shards": [{"local": {"segments": [segment(p, graph=self.graphs) for p in self._parts(c)]}}]}
            for n, c in self.built.items()
        ]
        return {"result": {"collections": {"number_of_collections": len(found), "collections": found}}}

    def _parts(self, built: dict[str, Any]) -> list[dict[str, Any]]:
        """What each segment was built with."""
        parts = list(self._before or [built] * self.segments)
        for number in self._queue[: int(self._done())]:
            parts[number] = self.collections["docs"]
        return parts

    def _done(self) -> float:
        """Segments of the queue that are done, with the part of the present one."""
        return min(float(len(self._queue)), (self.world.clock - self._begun) / self.pace_s) if self._queue else 0.0

    def _begin(self, config: dict[str, Any]) -> None:
        """Its optimizers are started anew: what they were at is thrown away."""
        self._before = copy.deepcopy(self._parts(self.built["docs"]))
        self._begun, self._queue = self.world.clock, [i for i, p in enumerate(self._before) if p != config]

    def _is_building(self, config: dict[str, Any]) -> bool:
        if self._queue and self._done() == len(self._queue):
            self._queue, self._before, self.built["docs"] = [], [], copy.deepcopy(config)
        return bool(self._queue)

    def _optimizations(self) -> Any:
        """Each segment has as many points as any other."""
        if not self.counts:
            raise refused(404, "")
        done, points = self._done(), 1000
        waiting = len(self._queue) - int(done)
        graph = {"name": "main_graph", "done": int(done % 1 * points), "total": points}
        one = {
            "uuid": str(int(done)), "optimizer": "config mismatch", "status": "optimizing",
            "segments": [{"uuid": "a", "points_count": points}],
            "progress": {"name": "", "children": [{"name": "copy_data", "finished_at": "x"}, graph]},
        }  # fmt: skip
        queued = max(0, waiting - 1)
        return {"result": {
            "summary": {"queued_optimizations": queued, "queued_segments": queued, "queued_points": queued * points,
                        "idle_segments": 0}, "running": [one] if waiting else [],
        }}  # fmt: skip

    def send(self, method: str, path: str, body: Any = None, *, timeout_s: float | None = None) -> Any:
        self.asked.append(f"{method} {path}")
        parts = [unquote(p) for p in path.partition("?")[0].split("/")[2:]]
        name, rest = parts[0], "/".join(parts[1:])
        if method == "GET" and rest == "snapshots":
            return {"result": [{"name": name} for name in self.snapshots]}
        if method == "GET":
            return {"result": self._info(name)}
        if rest.startswith("points"):
            return {"result": getattr(self, "_" + rest.replace("/", "_"))(body)}
        die = self.world.effect(f"{method} {rest or name}")
        what = "aliases" if name == "aliases" else parts[1] if rest else "collection"
        result = getattr(self, f"_{method.lower()}_{what}")(name, *parts[2:], body)
        if die:
            from tests.engine.world import Killed

            raise Killed(path)
        return {"result": result}

    def _post_aliases(self, name: str, body: Any) -> bool:
        for made in (action["create_alias"] for action in body["actions"]):
            self._collection(made["collection_name"])
            self.aliases[made["alias_name"]] = made["collection_name"]
        return True

    def drop(self, name: str) -> None:
        """An operator deletes it: its aliases go with it, and its points."""
        del self.collections[name]
        self.aliases = {a: c for a, c in self.aliases.items() if c != name}
        self.points = {}

    def _collection(self, name: str) -> dict[str, Any]:
        name = self.aliases.get(name, name)
        if name not in self.collections:
            raise refused(404, f"Collection {name} doesn't exist")
        return self.collections[name]

    def _info(self, name: str) -> dict[str, Any]:
        config = self._collection(name)
        self.late -= 1
        status = self.status or ("yellow" if self.busy > 0 and self.late < 0 else "green")
        if self._is_building(config):
            status = self.status or "yellow"
        elif self.late < 0:
            self.busy -= 1
            if self.busy <= 0:
                self.built[name] = copy.deepcopy(config)
        awaits = {"error": "optimizations pending, awaiting update operation"} if self.awaits else "ok"
        return {
            "status": status, "optimizer_status": {"error": "no space"} if status == "red" else awaits,
            "indexed_vectors_count": 10 if self.graphs else 0, "points_count": len(self.points),
            "segments_count": self.segments,
            "config": copy.deepcopy(config),
        }  # fmt: skip

    def _patch_collection(self, name: str, body: Any) -> bool:
        config = self._collection(name)
        if self.inert:
            return True
        self.awaits = False
        config["hnsw_config"] |= body.get("hnsw_config", {})
        config["params"]["vectors"] |= body.get("vectors", {}).get("", {})
        if "quantization_config" in body:
            asked = body["quantization_config"]
            config["quantization_config"] = None if asked == "Disabled" else asked
        if self.pace_s:
            self._begin(config)
        else:
            self.busy = 3
        return True

    def _put_collection(self, name: str, body: Any) -> bool:
        if self.full:
            raise refused(400, f"Can't create collection with name {name}. Max collections limit reached: 1")
        self.collections[name] = new_config()
        return True

    def _delete_collection(self, name: str, body: Any) -> bool:
        self.built.pop(name, None)
        return self.collections.pop(name, None) is not None

    def _points_count(self, body: Any) -> Any:
        return {"count": len(self.points)}

    def _points(self, body: Any) -> Any:
        self.asked_at_once.append(len(body["ids"]))
        if len(body["ids"]) > self.most:
            error = refused(0, "too long")
            error.cut_off = True
            raise error
        return [{"id": i, "vector": self.points[i]} for i in body["ids"] if i in self.points]

    def _points_recommend(self, body: Any) -> Any:
        point = body.pop("positive")[0]
        if point in self.lacking:
            raise refused(400, self.refusal)
        return self._near({**body, "query": point})

    def _points_scroll(self, body: Any) -> Any:
        return {"points": [{"id": i} for i in self.points]}

    def _points_query(self, body: Any) -> Any:
        if self.old or (not isinstance(body["query"], dict) and body["query"] in self.lacking):
            raise refused(404, "")
        return {"points": self._near(body)}

    def _near(self, body: Any) -> list[dict[str, Any]]:
        exact = (body.get("params") or {}).get("exact")
        few = "sample" not in (body["query"] if isinstance(body["query"], dict) else {}) and not exact
        number = self.found if few and self.built["docs"]["hnsw_config"]["m"] != 16 else 10
        return [{"id": i, "score": 1.0 / (i + 1)} for i in list(self.points)[:number]]

    def _post_snapshots(self, name: str, body: Any) -> Any:
        content = json.dumps([self._collection(name), self.points]).encode()
        self.snapshots[f"{name}-{len(self.asked)}"] = content
        digest = hashlib.sha256(content).hexdigest()
        return {"name": f"{name}-{len(self.asked)}", "size": len(content), "checksum": digest}

    def _delete_snapshots(self, name: str, file: str, body: Any) -> bool:
        if file not in self.snapshots:
            raise refused(404)
        del self.snapshots[file]
        return True

    def download(self, path: str, target: str, *, timeout_s: float) -> tuple[int, str]:
        die = self.world.effect("download")
        content = self.snapshots[path.rpartition("/")[2]][: -1 if self.torn else None]
        Path(target).write_bytes(content)
        if die:
            from tests.engine.world import Killed

            raise Killed(path)
        return len(content), hashlib.sha256(content).hexdigest()

    def upload(self, path: str, source: str, *, timeout_s: float) -> None:
        die = self.world.effect("upload")
        config, points = json.loads(Path(source).read_bytes())
        self.collections[unquote(path.split("/")[2])] = config
        self.points = {int(i): v for i, v in points.items()}
        if die:
            from tests.engine.world import Killed

            raise Killed(path)

    def state(self) -> tuple[Any, ...]:
        """What must be exactly old or exactly new."""
        return copy.deepcopy(self.collections), dict(self.points), dict(self.aliases)


def qdrant_world(base: Path) -> tuple[World, FakeQdrant]:
    world = new_world(base)
    return world, FakeQdrant(world)


def context(world: World, qdrant: FakeQdrant) -> Context:
    return world.context(api=lambda service: qdrant, kept=str(world.blobs.root.parent / "kept"))


def qdrant_stages(qdrant: FakeQdrant, floor: float = 0.9) -> tuple[Stage, ...]:
    """A snapshot of `docs`, its update, and the read-back of the defaults."""
    text, config = msg("step"), read_config(new_config())
    common = {"service": "q", "optimization": "qdrant"}
    params = {"collection": "docs", "patch": config.patch(WISH), "recall_floor": floor}
    steps = (
        StepSpec("defaults", "qdrant-defaults", "q", {"expected": {"m": "16"}}, text, **common),  # type: ignore[arg-type]
        StepSpec("snapshot", "qdrant-snapshot", "q/docs", {"collection": "docs", "bytes": 1}, text, **common),  # type: ignore[arg-type]
        StepSpec("collection", "qdrant-collection", "q/docs", params, text, stall_s=30, **common),  # type: ignore[arg-type]
    )
    return (Stage("settings", steps, ("q",)),)
