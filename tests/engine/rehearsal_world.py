"""A Redis world whose next image is tried on a copy first: servers in helpers are what they have mounted.

Whoever starts one of them on the real data, or without the labels by which recovery finds it, fails the test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nftui.model.message import msg
from nftui.model.plan import Stage, StepSpec
from nftui.steps.kind import Context
from nftui.system.blobs import BlobStore
from nftui.system.helpers import Server
from tests.engine.data_world import CONTROL
from tests.engine.images_world import KEPT, NEW, ImagesWorld
from tests.engine.redis_data_world import RedisDataWorld
from tests.engine.world import ENV, Killed

COPY = "db-rehearsal"


@dataclass
class RehearsalWorld(RedisDataWorld, ImagesWorld):
    """`reads` is what the new image tells of the copy, `broken` an image that does not start on it."""

    reads: dict[str, tuple[int, int]] | None = None
    broken: str = ""
    never: str = ""
    """An image whose server loads for ever."""
    rewrites: int = 0
    """Copies during which the server writes a file anew."""
    log_on: bool = False
    used: int = 1000
    free: int | None = None
    served: dict[str, tuple[str, Server]] = field(default_factory=dict)
    """Helper to its image and how it was started."""
    started: list[Server] = field(default_factory=list)

    def serve(self, image: str, labels: Mapping[str, str], mounts: Mapping[str, str], server: Server) -> str:
        assert labels["nftui.run"] and labels["nftui.step"], "a helper that recovery cannot find"
        (place,) = mounts.values()
        assert Path(place) == self.root / COPY and (Path(place) / CONTROL).is_file(), "not on the copy"
        name = f"helper-{len(self.effects)}"
        die = self.effect(f"serve {image}")
        self.mounts[name], self.served[name] = mounts, (image, server)
        self.started.append(server)
        if die:
            raise Killed(name)
        return name

    def alive(self, helper: str) -> bool:
        return helper in self.mounts and self.served[helper][0] != self.broken

    def logs(self, container_id: str, lines: int) -> str:
        return "* Reading RDB\n# Can't handle RDB format version 12\n# Fatal error loading the DB\n"

    def inside(self, service: str, helper: str) -> Any:
        return Inside(self, self.served[helper][0])

    def ask(self, *words: str) -> Any:
        if words == ("INFO", "memory"):
            return f"used_memory:{self.used}"
        if words != ("INFO", "persistence"):
            return super().ask(*words)
        # A file is replaced each time that it is looked at, until nothing is left to be.
        told = f"\r\naof_enabled:{int(self.log_on)}\r\naof_rewrite_in_progress:0\r\naof_rewrites:{self.rewrites}"
        self.rewrites -= bool(self.rewrites)
        return str(super().ask(*words)) + told

    def context(self, **options: object) -> Context:
        ctx = super().context(**options)
        calls = {"start": self.start_helper, "work": self.work, "remove": self.remove_helper, "serve": self.serve,
                 "alive": self.alive}  # fmt: skip
        helpers = type("Helpers", (), calls)()
        return replace(ctx, helpers=helpers, store_in=self.inside, free_memory=lambda: self.free,
                       memory_used=lambda container: self.used)  # fmt: skip


@dataclass
class Inside:
    """A session in a helper."""

    world: RehearsalWorld
    image: str
    error: str = ""

    def ask(self, *words: str) -> Any:
        if words == ("INFO", "persistence"):
            return f"loading:{int(self.image == self.world.never)}"
        found = self.world.reads if self.image == "new-sha" and self.world.reads is not None else self.world.keys
        return "\r\n".join(f"{name}:keys={k},expires={e},avg_ttl=0" for name, (k, e) in found.items())

    def close(self) -> None:
        """Nothing stays open."""


def new_rehearsal_world(base: Path) -> RehearsalWorld:
    """`.env` with one key of the operator's, no override."""
    return RehearsalWorld(BlobStore(base / "blobs"), {ENV: b"A=1\n"}, root=base / "volumes")


def rehearsal_stage(kind: str = "redis", **more: object) -> Stage:
    """The image, and its rehearsal."""
    text = msg("step")
    first = StepSpec("image:db", "image", NEW, {"keep": KEPT, "major": "15"}, text, "db", last_back=True)
    places = {"source": {"type": "volume", "name": "old"}, "target": {"type": "volume", "name": COPY}}
    rest = {"got": "image:db", "image": NEW, "inside": "/data", "dataset": "db-data", "user": "", **places, **more}
    step = StepSpec("rehearsal:db", f"{kind}-rehearsal", COPY, rest, text, "db", last_back=True)
    return Stage("main", (first, step), ("db",), ())
