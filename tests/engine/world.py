"""A world in memory: files, containers, Compose and a PostgreSQL that runs what its command says.

It logs every effect, and can die at any of them: that is how crash points are enumerated without an engine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nftui.engine.artefacts import Artefacts
from nftui.model.facts import Live
from nftui.model.message import Message, msg
from nftui.model.plan import Stage, StepSpec, Undo, digest
from nftui.model.postgres import PostgresFacts, Setting
from nftui.model.stack import Container
from nftui.steps.calls import Data
from nftui.steps.kind import Context
from nftui.system.blobs import BlobStore
from nftui.system.files import Attributes
from nftui.system.trees import LocalTrees

OVERRIDE, ENV = "/p/compose.nftui.yaml", "/p/.env"


class Killed(BaseException):
    """The worker dies here; nothing catches it."""


class NoData:
    """The engine's calls that switch data, for a world whose plans have none."""

    def start(self, container_id: str) -> None:
        raise NotImplementedError

    def stop(self, container_id: str, grace_s: int) -> None:
        raise NotImplementedError

    def end_server(self, container_id: str, grace_s: int) -> None:
        raise NotImplementedError

    def restart_policy(self, container_id: str) -> Data:
        raise NotImplementedError

    def set_restart_policy(self, container_id: str, policy: Data) -> None:
        raise NotImplementedError

    def volume(self, name: str) -> str | None:
        raise NotImplementedError

    def volumes_root(self) -> str:
        raise NotImplementedError

    def create_volume(self, name: str, labels: Mapping[str, str]) -> str:
        raise NotImplementedError

    def remove_volume(self, name: str) -> None:
        raise NotImplementedError

    def network(self, name: str) -> str | None:
        raise NotImplementedError

    def create_network(self, name: str, subnet: str, labels: Mapping[str, str]) -> None:
        raise NotImplementedError

    def remove_network(self, name: str) -> None:
        raise NotImplementedError

    def writing(self, path: str) -> Sequence[str]:
        raise NotImplementedError


@dataclass
class World(NoData):
    """Files and one service `db`, whose container runs the override that was on disk when it was created."""

    blobs: BlobStore
    files: dict[str, bytes] = field(default_factory=dict)
    modes: dict[str, Attributes] = field(default_factory=dict)
    container: Container | None = None
    running_value: str = "128MB"
    previous: dict[str, str] = field(default_factory=dict)
    """What ran when the plan of each value was made."""
    effects: list[str] = field(default_factory=list)
    kill_at: int | None = None
    kill_after: bool = False
    refuse: str = ""
    serving_reason: str | None = None
    clock: float = 0.0
    created: int = 1
    clients: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.container = self._new()

    def _new(self) -> Container:
        return Container(f"c{self.created}", "db-1", "db", 1, "running", None, "img", "sha", config_hash=self._hash())

    def _hash(self) -> str:
        return hashlib.sha256(self.files.get(OVERRIDE, b"")).hexdigest()

    def effect(self, name: str) -> bool:
        """Count an effect; die before it, or tell the caller to die after it."""
        self.effects.append(name)
        if self.kill_at == len(self.effects):
            if not self.kill_after:
                raise Killed(name)
            return True
        return False

    # -- files
    def read(self, path: str) -> bytes | None:
        return self.files.get(path)

    def attributes(self, path: str) -> Attributes | None:
        return self.modes.get(path, Attributes(0o644, 0, 0, {})) if path in self.files else None

    def write(
        self,
        path: str,
        content: bytes,
        *,
        mode: int,
        like: str | None = None,
        attributes: Attributes | None = None,
        owner: tuple[int, int] | None = None,
    ) -> None:
        die = self.effect(f"write {path}")
        if self.refuse == "write " + path:
            raise OSError(28, "No space left on device")
        if attributes is not None or path not in self.files:
            self.modes[path] = attributes or Attributes(mode, 0, 0, {})
        self.files[path] = content
        if die:
            raise Killed(path)

    def delete(self, path: str) -> None:
        die = self.effect(f"delete {path}")
        self.files.pop(path, None)
        if die:
            raise Killed(path)

    def tidy(self, path: str) -> None:
        pass

    def make_directory(self, path: str, *, like: str | None = None) -> None:
        pass

    def remove_directory(self, path: str) -> bool:
        return not any(name.startswith(f"{path}/") for name in self.files)

    # -- compose
    def config_hashes(self, *, override: bool = True) -> Mapping[str, str]:
        return {"db": self._hash()}

    def image(self, service: str) -> str | None:
        return None

    def dry_run(self) -> Mapping[str, str]:
        assert self.container
        return {"db": "recreate" if self.container.config_hash != self._hash() else "running", **self.extra()}

    def extra(self) -> dict[str, str]:
        return {"web": "recreate"} if self.refuse == "dry-run" else {}

    def up(self, service: str, *, scale: int, grace_s: int, force: bool = False) -> None:
        die = self.effect(f"up {service}")
        if die:
            self.container = None
            raise Killed("between stop and start")
        self.created += 1
        self.container = self._new()
        content = self.files.get(OVERRIDE, b"").decode()
        if self.refuse != "inert":
            self.running_value = content.partition("shared_buffers=")[2].split()[0] if content else "128MB"

    # -- engine
    def containers(self) -> Sequence[Container]:
        return [self.container] if self.container else []

    def logs(self, container_id: str, lines: int) -> str:
        return "LOG: fake"

    def restart(self, container_id: str, grace_s: int) -> None:
        self.effect(f"restart {container_id}")

    def stop(self, container_id: str, grace_s: int) -> None:
        self.effect(f"stop {container_id}")

    def remove(self, container_id: str, grace_s: int) -> None:
        self.effect(f"remove {container_id}")

    # -- live
    def probe(self, service: str, probe: str) -> Live:
        setting = Setting(
            "shared_buffers",
            self.running_value,
            None,
            "postmaster",
            "command line",
            self.running_value,
            vartype="string",
        )
        return Live(probe, service, PostgresFacts(150000, "15", {"shared_buffers": setting}))

    def sleep(self, seconds: float) -> None:
        self.clock += seconds

    def state(self) -> tuple[dict[str, bytes], str, bool]:
        """What must be exactly old or exactly new."""
        return dict(self.files), self.running_value, self.container is not None

    def context(self, **options: object) -> Context:
        ctx = Context(
            compose=self, engine=self, files=self, blobs=self.blobs,
            artefacts=Artefacts(self.blobs.root.parent / "artefacts"), run="run", trees=LocalTrees(),
            probe=self.probe, serving=lambda name: self.serving_reason, quiet=lambda name: self.quiet(),
            clients=lambda name: self.clients, before_stop=lambda name: None,
            progress=lambda text, fraction: None, sleep=self.sleep,
            now=lambda: self.clock, settle_s=1.0, wait_quiet_s=2.0,
        )  # fmt: skip
        return replace(ctx, **options)  # type: ignore[arg-type]

    def quiet(self) -> Sequence[Message]:
        return [msg("a dump is running")] if self.refuse == "busy" else []


def stages(world: World, value: str = "512MB") -> tuple[Stage, ...]:
    """A plan of every step kind; the same one again for a later life, whatever runs by then."""
    override = f"command shared_buffers={value} \n".encode()
    env = b"A=1\nCOMPOSE_FILE=compose.yaml:compose.nftui.yaml\n"
    for content in (override, env):
        world.blobs.put(content)
    keys = {"COMPOSE_FILE": "compose.yaml:compose.nftui.yaml"}
    text, previous = msg("step"), world.previous.setdefault(value, world.running_value)
    steps = (
        StepSpec("override", "file", OVERRIDE, {"after": digest(override), "mode": 0o644}, text),
        StepSpec("env", "env", ENV, {"after": digest(env), "keys": keys}, text),
        StepSpec("check", "project-check", "project", {"services": ["db"]}, text),
        StepSpec("recreate", "recreate", "db", {"grace_s": 120, "force": False}, text, "db", undo=Undo.BY_RESTART),
        StepSpec(
            "settings", "postgres-settings", "db",
            {"expected": {"shared_buffers": value}, "previous": {"shared_buffers": previous}}, text, "db",
        ),
    )  # fmt: skip
    return (Stage("settings", steps, ("db",)),)


def new_world(tmp_path: Path) -> World:
    """`.env` with one key of the operator's, no override."""
    return World(BlobStore(tmp_path / "blobs"), {ENV: b"A=1\n"})
