"""A machine in memory under the real session, runs, worker, planner, journal and state: only the ports are fakes.

Two services, `db` and `cache`. A container carries what the files on disk said when it was made, so what runs can
be compared with what should run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from nftui.engine.gather import Gatherer
from nftui.engine.persist import KEY, persistence
from nftui.engine.place import Identity
from nftui.engine.planner import Standing
from nftui.engine.protocols import Grants, Registry
from nftui.engine.state import ProjectState
from nftui.model.advice import Advice, Applicability, Assertion, Demand, Effort, Fragment, Risk
from nftui.model.choices import Choices
from nftui.model.facts import Facts, FileFact
from nftui.model.findings import Finding
from nftui.model.host import Host
from nftui.model.knobs import Kind, Knob
from nftui.model.message import Message, msg
from nftui.model.plan import StepSpec
from nftui.model.stack import Container, Engine, Invocation, ProjectRequest, Service, Stack
from nftui.probes.resolve import Background
from nftui.session import Session
from nftui.steps.envkeys import get_key
from nftui.steps.kind import Context
from nftui.system.docker import EngineError
from nftui.system.files import Attributes, attributes_of
from nftui.system.identity import Child
from nftui.system.trees import LocalTrees
from tests.engine.world import NoData

SERVICES = ("db", "cache")
ENGINE = Engine("20.10", "ENGINE")


@dataclass
class Tuning:
    """An optimization with one key, on each of its services."""

    id: str
    key: str
    services: tuple[str, ...]
    order: int = 1
    title: Message = field(default_factory=lambda: msg("t"))
    summary: Message = field(default_factory=lambda: msg("s"))
    risk: Risk = Risk.LOW
    needs: tuple[str, ...] = ()
    knobs: tuple[Knob, ...] = (Knob("level", Kind.INTEGER, msg("l"), msg("w"), "test", minimum=1, maximum=9),)

    def applies(self, facts: Facts) -> Applicability:
        """Everywhere."""
        return Applicability(True, msg("it is there"), self.services)

    def findings(self, facts: Facts) -> Iterable[Finding]:
        """None."""
        return ()

    def demand(self, facts: Facts, choices: Choices) -> tuple[Demand, ...]:
        """No memory."""
        return ()

    def advise(self, facts: Facts, choices: Choices, grants: Grants) -> tuple[Advice, ...]:
        """Level 1, or what was chosen."""
        chosen = {s: choices.value(self.id, s, "level") or "1" for s in self.services}
        return tuple(Advice("level", s, v, None, "1", "", msg("w"), "test", True) for s, v in chosen.items())

    def effort(self, facts: Facts, advice: tuple[Advice, ...]) -> Effort:
        """A day."""
        return Effort(1, 1)

    def fragment(self, facts: Facts, advice: tuple[Advice, ...]) -> Fragment:
        """The key of each service."""
        keys = {str(a.service): {self.key: str(a.value)} for a in advice}
        return Fragment(self.id, keys, keys)

    def steps(self, facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
        """No live step: what runs is compared by the test."""
        return ()

    def checks(self, facts: Facts, fragment: Fragment) -> tuple[Assertion, ...]:
        """None."""
        return ()


# They meet on `db`: one owner of a key each, one recreate for both.
REGISTRY: Registry = {t.id: t for t in (Tuning("alpha", "a", ("db",)), Tuning("beta", "b", SERVICES, 2))}


class Machine(NoData):
    """Disk (real files), Compose and containers."""

    def __init__(self, directory: Path, env: bytes | None) -> None:
        self.directory = directory
        (directory / "compose.yaml").write_text("services: {db: {image: x}, cache: {image: x}}\n")
        if env is not None:
            (directory / ".env").write_bytes(env)
        self.made: dict[str, tuple[int, str]] = {}
        self.made_with: dict[str, str] = {}
        """Service to the files that its container was made with, as Compose labels it."""
        for service in SERVICES:
            self.up(service, scale=1, grace_s=1)

    # -- what would run, and what runs
    def wanted(self, service: str, content: bytes | None = None) -> str:
        """The keys that the files give it: nftui's file counts where `.env` (or `content`) brings it in."""
        if content is None:
            env = self.read(str(self.directory / ".env"))
            path = self.directory / "compose.nftui.yaml"
            loaded = "compose.nftui.yaml" in (get_key(env, KEY) or "").split(os.pathsep)
            content = path.read_bytes() if loaded else b""
        document = yaml.safe_load(content) or {}
        return json.dumps(document.get("services", {}).get(service, {}), sort_keys=True)

    def running(self) -> dict[str, str]:
        """Service to the keys that its container was made with."""
        return {name: keys for name, (_number, keys) in self.made.items()}

    def container(self, service: str) -> Container:
        """As the engine tells."""
        number, keys = self.made[service]
        return Container(
            f"{service}-{number}", f"p-{service}-1", service, 1, "running", None, "x", "sha", config_hash=keys,
            labels={"com.docker.compose.project.config_files": self.made_with[service]},
        )  # fmt: skip

    # -- files
    def read(self, path: str) -> bytes | None:
        """None where there is no such file."""
        return Path(path).read_bytes() if Path(path).exists() else None

    def attributes(self, path: str) -> Attributes | None:
        """As on disk."""
        return attributes_of(path)

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
        """Whole."""
        Path(path).write_bytes(content)

    def delete(self, path: str) -> None:
        """The name."""
        Path(path).unlink(missing_ok=True)

    def tidy(self, path: str) -> None:
        """Nothing is cut off."""

    def make_directory(self, path: str, *, like: str | None = None) -> None:
        """Of nftui's own."""
        Path(path).mkdir(parents=True, exist_ok=True)

    def remove_directory(self, path: str) -> bool:
        """True where it was empty."""
        Path(path).rmdir()
        return True

    # -- compose and engine
    def config_hashes(self, *, override: bool = True) -> Mapping[str, str]:
        """What each would carry."""
        return {s: self.wanted(s) for s in SERVICES}

    def image(self, service: str) -> str | None:
        """Tells nothing."""
        return None

    def dry_run(self) -> Mapping[str, str]:
        """What a plain `up` would do."""
        return {s: "running" if self.made[s][1] == self.wanted(s) else "recreate" for s in SERVICES}

    def up(self, service: str, *, scale: int, grace_s: int, force: bool = False) -> None:
        """A new container where its keys differ."""
        number, keys = self.made.get(service, (0, ""))
        if force or keys != self.wanted(service):
            self.made[service] = (number + 1, self.wanted(service))
            own = [self.directory / "compose.nftui.yaml"] if self.wanted(service) != "{}" else []
            self.made_with[service] = ",".join(map(str, [self.directory / "compose.yaml", *own]))

    def containers(self) -> Sequence[Container]:
        """One per service."""
        return [self.container(s) for s in SERVICES]

    def logs(self, container_id: str, lines: int) -> str:
        """Silent."""
        return ""

    def restart(self, container_id: str, grace_s: int) -> None:
        """Nothing connects here."""

    stop = remove = restart


def project_state(machine: Machine, state_root: Path) -> ProjectState:
    """The state directory of the machine's project."""
    return ProjectState(state_root, Identity("p", str(machine.directory), ENGINE.id))


class FakeGatherer(Gatherer):
    """Facts and ports of the machine; what it decides from them is the real one's."""

    def __init__(self, machine: Machine, state_root: Path) -> None:
        request = ProjectRequest(str(machine.directory))
        super().__init__(request, {}, lambda: REGISTRY, lambda *_names: project_state(machine, state_root))
        self.machine, self.state_root = machine, state_root
        self._invocation = Invocation(str(machine.directory), (str(machine.directory / "compose.yaml"),))
        self.gather()

    def forget(self) -> None:
        """The next wiring is the machine's too: nothing here may ask a real engine."""
        super().forget()
        self.gather()

    @property
    def invocation(self) -> Invocation:
        """One file."""
        return self._invocation

    def gather(self, *, live: bool = True) -> Facts:
        """All of it, each time."""
        services = tuple(Service(s, containers=(self.machine.container(s),)) for s in SERVICES)
        self.stack = Stack("p", self.invocation, services)
        names = ("compose.yaml", ".env", "compose.nftui.yaml")
        paths = [str(self.machine.directory / n) for n in names]
        self.facts = Facts(Host(1 << 30), self.stack, ENGINE,
                           files={p: FileFact(p, self.machine.read(p), 0o644) for p in paths})  # fmt: skip
        self.wiring.__dict__ |= {
            "stack": self.stack,
            "_asked": Background(lambda: EngineError("engine-missing", msg("none"))),
        }
        self.live_read = True
        self.__dict__.pop("standing", None)
        return self.facts

    @property
    def standing(self) -> Standing:
        """In force, and what does not run as it says."""
        state = project_state(self.machine, self.state_root)
        env = self.machine.read(str(self.machine.directory / ".env"))
        stale = frozenset(s for s, keys in self.machine.running().items() if keys != self.machine.wanted(s))
        ours = {s for f in state.in_force().fragments for s in f.services}
        return Standing(state.in_force(), state.lineage, persistence(self.stack, env, {}), stale & ours)

    def prove(self, draft: object) -> dict[str, str]:
        """Compose has no objection."""
        return {}

    def context(
        self,
        state: ProjectState,
        options: Mapping[str, object],
        progress: Callable[[str, float | None], None],
        on_child: Callable[[Child], None] | None = None,
    ) -> Context:
        """The machine's ports, without waiting."""
        machine = self.machine
        return Context(
            compose=machine, engine=machine, files=machine, blobs=state.blobs, artefacts=state.artefacts,
            trees=LocalTrees(),
            probe=lambda s, p: None,  # type: ignore[arg-type, return-value]
            serving=lambda s: None, quiet=lambda s: (), clients=lambda s: (), before_stop=lambda s: None,
            progress=progress, sleep=lambda s: None, now=lambda: 0.0, settle_s=0.0, wait_quiet_s=0.0,
            force=bool(options.get("force")),
        )  # fmt: skip


def new_session(machine: Machine, state_root: Path) -> Session:
    """A session of the machine, as a new process would make it."""
    session = Session(ProjectRequest(), state_dir=state_root, environ={})
    session.gatherer = FakeGatherer(machine, state_root)
    session.__dict__["registry"] = REGISTRY
    session.__dict__["state"] = project_state(machine, state_root)
    return session
