"""A world whose service `db` keeps its data in a volume that is switched, and `api` writes to it.

Volumes are real directories; whoever starts a server on a fenced or unfinished copy fails the test.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from nftui.engine.switching import data_stage
from nftui.model.facts import Facts
from nftui.model.host import Host
from nftui.model.plan import DataSwitch, FileChange, Stage
from nftui.model.stack import Container, Invocation, MountSpec, Service, Stack
from nftui.steps.calls import Data
from nftui.steps.kind import Context
from nftui.system.blobs import BlobStore
from nftui.system.trees import LocalTrees, Progress
from tests.engine.world import ENV, OVERRIDE, Killed, World

ALWAYS = {"Name": "always", "MaximumRetryCount": 0}
NEVER = {"Name": "no", "MaximumRetryCount": 0}
CONTROL = "global/pg_control"
FENCE = {"path": CONTROL, "block": "absent"}


class MortalTrees(LocalTrees):
    """Dies at its effects as the world says."""

    def __init__(self, world: DataWorld) -> None:
        self.world = world

    def _do(self, name: str, act: Callable[[], None]) -> None:
        die = self.world.effect(name)
        act()
        if die:
            raise Killed(name)

    def mark(self, path: str, note: dict[str, str]) -> None:
        self._do("mark", lambda: super(MortalTrees, self).mark(path, note))

    def unmark(self, path: str) -> None:
        self._do("unmark", lambda: super(MortalTrees, self).unmark(path))

    def rename(self, path: str, old: str, new: str) -> None:
        self._do(f"rename {old}", lambda: super(MortalTrees, self).rename(path, old, new))

    def make_directory(self, path: str, name: str) -> None:
        self._do(f"make {name}", lambda: super(MortalTrees, self).make_directory(path, name))

    def drop_directory(self, path: str, name: str) -> None:
        self._do(f"drop {name}", lambda: super(MortalTrees, self).drop_directory(path, name))

    def make_file(self, path: str, name: str) -> None:
        self._do(f"make {name}", lambda: super(MortalTrees, self).make_file(path, name))

    def drop_file(self, path: str, name: str) -> None:
        self._do(f"drop {name}", lambda: super(MortalTrees, self).drop_file(path, name))

    def remove(self, path: str) -> None:
        self._do("remove", lambda: super(MortalTrees, self).remove(path))

    def copy(
        self,
        source: str,
        target: str,
        rename: Callable[[str], str],
        progress: Progress,
        skip: Callable[[str], bool] = lambda name: False,
    ) -> None:
        def told(text: str, fraction: float | None) -> None:
            if self.world.effect(text):
                raise Killed(text)
            progress(text, fraction)

        super().copy(source, target, rename, told, skip)


@dataclass
class DataWorld(World):
    """`db` on volume `old` or `new`, by what the override said when its container was made; `api` beside it."""

    root: Path = Path("/nonexistent")
    api: Container = field(default_factory=lambda: Container("a1", "api-1", "api", 1, "running", None, "i", "s"))
    policies: dict[str, Data] = field(default_factory=dict)
    writes: int = 0
    on_start: Callable[[str], None] = lambda name: None
    wrapped: bool = False
    """Process 1 of `db` is a script: told to stop, it ends with 143 and takes the server along."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.policies = {"a1": ALWAYS, "c1": ALWAYS}
        fill(self.root / "old")

    # -- the engine
    def _new(self) -> Container:
        volume = self.named()
        mount = MountSpec("volume", volume, "/data", host_path=str(self.root / volume))
        return replace(super()._new(), mounts=(mount,))

    def named(self) -> str:
        """The volume that the files on disk name."""
        content = self.files.get(OVERRIDE, b"").decode()
        return content.partition("volume=")[2].split()[0] if "volume=" in content else "old"

    def containers(self) -> Sequence[Container]:
        return [c for c in (self.container, self.api) if c]

    def up(self, service: str, *, scale: int, grace_s: int, force: bool = False) -> None:
        die = self.effect("up db")
        if die:
            self.container = None
            raise Killed("between stop and start")
        if self.container is None or self.container.config_hash != self._hash():
            self.created += 1
            self.container = replace(self._new(), state="created")
            self.policies[self.container.id] = ALWAYS
        self._start_db()

    def _start_db(self) -> None:
        assert self.container
        place = self.root / str(self.container.mounts[0].source)
        assert (place / CONTROL).is_file(), f"a server was started on {place.name}, which is fenced or unfinished"
        assert not (place / ".nftui-filling").exists(), "a server was started on an unfinished copy"
        self.container = replace(self.container, state="running", exit_code=None)

    def start(self, container_id: str) -> None:
        die = self.effect(f"start {container_id}")
        if container_id == "a1":
            self.on_start("api")
            self.api = replace(self.api, state="running", exit_code=None)
            self.write_row()
        else:
            self._start_db()
        if die:
            raise Killed(container_id)

    def write_row(self) -> None:
        """What the app does as soon as it can: a row that must never be lost."""
        if self.container and self.container.running:
            self.writes += 1
            with (self.root / str(self.container.mounts[0].source) / "rows").open("a") as handle:
                handle.write(f"{self.writes}\n")

    def stop(self, container_id: str, grace_s: int) -> None:
        die = self.effect(f"stop {container_id}")
        if container_id == "a1":
            self.api = replace(self.api, state="exited", exit_code=0)
        elif self.container and self.container.running:
            self.container = replace(self.container, state="exited", exit_code=143 if self.wrapped else 0)
        if die:
            raise Killed(container_id)

    def end_server(self, container_id: str, grace_s: int) -> None:
        die = self.effect(f"end {container_id}")
        if self.wrapped and self.container:
            assert self.policies[container_id] == NEVER, "the engine would start it anew"
            self.container = replace(self.container, state="exited", exit_code=0)
        if die:
            raise Killed(container_id)

    def restart_policy(self, container_id: str) -> Data:
        return self.policies[container_id]

    def set_restart_policy(self, container_id: str, policy: Data) -> None:
        die = self.effect(f"policy {container_id}")
        self.policies[container_id] = dict(policy)
        if die:
            raise Killed(container_id)

    def volume(self, name: str) -> str | None:
        return str(self.root / name) if (self.root / name).is_dir() else None

    def volumes_root(self) -> str:
        return str(self.root)

    def create_volume(self, name: str, labels: Mapping[str, str]) -> str:
        die = self.effect(f"create {name}")
        (self.root / name).mkdir(exist_ok=True)
        if die:
            raise Killed(name)
        return str(self.root / name)

    def remove_volume(self, name: str) -> None:
        die = self.effect(f"remove {name}")
        shutil.rmtree(self.root / name)
        if die:
            raise Killed(name)

    def writing(self, path: str) -> Sequence[str]:
        running = self.container is not None and self.container.running
        return ["db-1"] if running and self.container and self.container.mounts[0].host_path == path else []

    def context(self, **options: object) -> Context:
        return replace(super().context(**options), trees=MortalTrees(self))

    # -- what a test looks at
    def now(self) -> tuple[str, str, str, object, bytes | None]:
        """(volume that the files name, db on, api, its restart policy, .env): exactly old or exactly new."""
        db = self.container
        runs = str(db.mounts[0].source) if db and db.running else "down"
        return self.named(), runs, self.api.state, self.policies["a1"], self.files.get(ENV)

    def rows(self) -> set[str]:
        """All rows that are in any volume."""
        return {row for path in self.root.glob("*/rows") for row in path.read_text().split()}

    def fenced(self, volume: str) -> bool:
        """Whether no server can start on that volume, or it is not there at all."""
        return not (self.root / volume / CONTROL).exists()


def fill(place: Path) -> None:
    """A data directory with what a copy can get wrong."""
    (place / "global").mkdir(parents=True)
    (place / CONTROL).write_bytes(b"control")
    (place / "base").mkdir(mode=0o700)
    (place / "base" / "1").write_bytes(b"row" * 1000)
    os.link(place / "base" / "1", place / "base" / "hard")
    (place / "soft").symlink_to("base/1")
    with (place / "sparse").open("wb") as handle:
        handle.truncate(1024 * 1024)
    (place / "base" / "1").chmod(0o640)


def contents(place: Path) -> dict[str, bytes]:
    """Every file but the app's rows, the fenced one by its own name."""
    files = (p for p in place.rglob("*") if p.is_file() and p.name != "rows")
    return {str(p.relative_to(place)).removesuffix(".nftui-fenced"): p.read_bytes() for p in files}


def new_data_world(tmp_path: Path, *, wrapped: bool = False) -> DataWorld:
    """`.env` with one key of the operator's, no override."""
    return DataWorld(BlobStore(tmp_path / "blobs"), {ENV: b"A=1\n"}, root=tmp_path / "volumes", wrapped=wrapped)


def switch(new: str = "new", old: str = "old", writers: tuple[str, ...] | None = ("api",)) -> DataSwitch:
    """The data of `db` from one volume to another."""
    places = ({"type": "volume", "name": old}, {"type": "volume", "name": new})
    return DataSwitch(f"{old}-{new}", "db", *places, FENCE, writers, 30.0)


def stage_of(world: DataWorld, found: DataSwitch, before: bytes | None = None) -> Stage:
    """The stage that the planner makes of it."""
    content = f"volume={found.target['name']} \n".encode()
    world.blobs.put(content)
    change = FileChange(OVERRIDE, "create", before, content)
    services = (Service("db", containers=(Container("c1", "db-1", "db", 1, "running", None, "i", "s"),)),)
    facts = Facts(cast("Host", None), Stack("p", Invocation("/p", ()), services))
    return data_stage(facts, found, [change], ())
