"""A Qdrant world whose next image is tried on snapshots first: two collections, and servers that recover them.

A server in a helper has what it recovered in the storage that it was given: one that was not emptied fails the test.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from nftui.clients.http import HttpUnreachable
from nftui.model.message import msg
from nftui.model.plan import Stage, StepSpec
from nftui.steps.kind import Context
from nftui.system.blobs import BlobStore
from nftui.system.helpers import Server
from nftui.system.trees import MARK
from tests.engine.images_world import NEW
from tests.engine.qdrant_world import new_config, refused
from tests.engine.redis_data_world import counted_stage
from tests.engine.rehearsal_world import COPY, RehearsalWorld, rehearsal_stage
from tests.engine.world import ENV, Killed

INSIDE = "/nftui-rehearsal"
Made = dict[str, Any]


def collection(points: int) -> Made:
    """As one is told, with its points."""
    found = [{"id": n, "vector": [n / 3, 1.0], "payload": {"n": n}} for n in range(points)]
    return {"config": new_config(), "status": "green", "payload_schema": {"n": {}}, "points": found}


@dataclass
class QdrantRehearsalWorld(RehearsalWorld):
    """`made_of_it` is what the new image's server makes of a collection that it recovered."""

    collections: dict[str, Made] = field(default_factory=lambda: {"a b": collection(3), "docs": collection(70)})
    snapshots: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"a b": {"theirs": b"x"}, "docs": {}})
    changes: Mapping[str, Any] = field(default_factory=dict)
    """What the new image's server makes another in `docs`: keys of `collection`."""
    version: str = "1.19.0"
    torn: bool = False
    refuses: str = ""
    """An image whose server recovers nothing."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.collections:
            place = self.root / "old" / "collections" / name
            place.mkdir(parents=True, exist_ok=True)
            (place / "segment").write_text(name * 10000)

    # -- helpers
    def serve(self, image: str, labels: Mapping[str, str], mounts: Mapping[str, str], server: Server) -> str:
        assert labels["nftui.run"] and labels["nftui.step"], "a helper that recovery cannot find"
        storage, snapshots = Path(mounts[f"{INSIDE}/storage"]), Path(mounts[f"{INSIDE}/snapshots"])
        assert storage.parent == snapshots.parent == self.root / COPY, "not on the copy"
        assert [p.name for p in storage.iterdir()] == [MARK], "what the other image made is still there"
        assert (self.root / COPY).stat().st_mode & 0o777 == 0o700, "others of this machine can read the copy"
        assert not any(k for k, v in self.snapshots.items() if set(v) - {"theirs"}), "the server's own copy stays"
        name = f"helper-{len(self.effects)}"
        die = self.effect(f"serve {image}")
        self.mounts[name], self.served[name] = mounts, (image, server)
        self.started.append(server)
        if die:
            raise Killed(name)
        return name

    def api_in(self, service: str, helper: str, port: int) -> Any:
        assert port == 6333
        image, server = self.served[helper]
        assert server.environment["QDRANT__STORAGE__SNAPSHOTS_PATH"] == f"{INSIDE}/snapshots"
        return Inside(self, image, Path(self.mounts[helper][f"{INSIDE}/storage"]))

    def running(self, service: str) -> Any:
        return Running(self)

    def context(self, **options: object) -> Context:
        return replace(super().context(**options), api=self.running, api_in=self.api_in)


@dataclass
class Answers:
    """What both kinds of servers answer about what they hold."""

    world: QdrantRehearsalWorld

    def holds(self) -> dict[str, Made]:
        raise NotImplementedError

    def json(self, path: str) -> Any:
        if path == "/":
            return {"version": self.world.version}
        if path == "/collections":
            return {"result": {"collections": [{"name": name} for name in self.holds()]}}
        name, *rest = [unquote(part) for part in path.split("/")[2:]]
        if rest == ["snapshots"]:
            return {"result": [{"name": found} for found in self.world.snapshots[name]]}
        return {"result": {k: v for k, v in self.holds()[name].items() if k != "points"}}

    def send(self, method: str, path: str, body: Any = None, *, timeout_s: float | None = None) -> Any:
        name, *rest = [unquote(part) for part in path.partition("?")[0].split("/")[2:]]
        act = "dropped" if method == "DELETE" else "made" if rest == ["snapshots"] else rest[-1]
        return {"result": getattr(self, f"_{act}")(name, rest[-1], body)}

    def _count(self, name: str, last: str, body: Any) -> Any:
        return {"count": len(self.holds()[name]["points"])}

    def _scroll(self, name: str, last: str, body: Any) -> Any:
        found = [p for p in self.holds()[name]["points"] if p["id"] >= body.get("offset", 0)]
        more = found[body["limit"] :]
        return {"points": found[: body["limit"]], "next_page_offset": more[0]["id"] if more else None}


@dataclass
class Running(Answers):
    """The server that runs: its points change with each snapshot."""

    def holds(self) -> dict[str, Made]:
        return self.world.collections

    def _made(self, name: str, last: str, body: Any) -> Any:
        die = self.world.effect(f"snapshot {name}")
        content = json.dumps(self.holds()[name]).encode()
        self.world.snapshots[name]["ours"] = content
        if die:
            raise Killed(name)
        return {"name": "ours", "size": len(content), "checksum": hashlib.sha256(content).hexdigest()}

    def _dropped(self, name: str, last: str, body: Any) -> bool:
        assert last == "ours", "somebody else's snapshot was deleted"
        die = self.world.effect(f"drop {name}")
        self.world.snapshots[name].pop(last, None)
        if die:
            raise Killed(name)
        return True

    def download(self, path: str, target: str, *, timeout_s: float) -> tuple[int, str]:
        name = unquote(path.split("/")[2])
        content = self.world.snapshots[name]["ours"]
        content = content[:-1] if self.world.torn else content
        die = self.world.effect(f"download {name}")
        Path(target).write_bytes(content)
        if die:
            raise Killed(name)
        return len(content), hashlib.sha256(content).hexdigest()


@dataclass
class Inside(Answers):
    """A server in a helper."""

    image: str
    storage: Path

    def holds(self) -> dict[str, Made]:
        file = self.storage / "state"
        return json.loads(file.read_text()) if file.exists() else {}

    def json(self, path: str) -> Any:
        if self.image == self.world.never:
            raise HttpUnreachable(msg("/collections: ConnectionRefusedError"))
        return super().json(path)

    def _recover(self, name: str, last: str, body: Any) -> bool:
        if self.image == self.world.refuses:
            raise refused(500, "Service internal error: version of the segment is not supported")
        assert body["location"].startswith(f"file://{INSIDE}/snapshots/"), "newer versions refuse another place"
        file = self.storage.parent / "snapshots" / body["location"].rpartition("/")[2]
        found = json.loads(file.read_text())
        if self.image == "new-sha" and name == "docs":
            found |= copy.deepcopy(dict(self.world.changes))
        (self.storage / "state").write_text(json.dumps(self.holds() | {name: found}))
        return True


def new_qdrant_rehearsal_world(base: Path) -> QdrantRehearsalWorld:
    """`.env` with one key of the operator's, no override."""
    return QdrantRehearsalWorld(BlobStore(base / "blobs"), {ENV: b"A=1\n"}, root=base / "volumes")


def qdrant_switch(world: QdrantRehearsalWorld) -> Stage:
    """A switch that counts before and after; its image is there."""
    world.stored[NEW] = "new-sha"
    first, then = (StepSpec(name, "qdrant-count", "db", {}, msg("step"), "db") for name in ("count", "again"))
    return counted_stage(world, first, then)


def qdrant_stage() -> Stage:
    """The image, and its rehearsal."""
    return rehearsal_stage("qdrant", collections="collections")
