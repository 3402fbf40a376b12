"""A session without a machine: what verbs are shown, and what they asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from nftui.engine.protocols import Registry
from nftui.engine.state import InForce
from nftui.model.advice import Advice, Applicability, Effort, Risk
from nftui.model.artefact import Artefact
from nftui.model.choices import Choices, Selection
from nftui.model.errors import UsageError
from nftui.model.facts import Facts
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.host import Cpu, Disk, Host, Medium, Mount
from nftui.model.knobs import Kind, Knob
from nftui.model.message import Message, msg
from nftui.model.plan import (
    Draft,
    FileChange,
    MemoryUse,
    OptimizationPlan,
    Plan,
    Precondition,
    Stage,
    StepSpec,
    Undo,
    plan_id,
)
from nftui.model.run import Damage, Drift, ProjectStatus, Pruning, RunStatus, SnapshotInfo, StepState, WayBack
from nftui.model.stack import Engine, Invocation, Problem, ProjectRequest, Role, Service, Stack
from nftui.presets import build_choices

SECRET = "hunter2-is-secret"
MASK = "••••••"
RUN = "20260101T000000000Z"


@dataclass
class FakeOptimization:
    """Enough of an optimization for ids, knobs and findings."""

    id: str
    knobs: tuple[Knob, ...]
    found: tuple[Finding, ...] = ()
    order: int = 1
    title: Message = field(default_factory=lambda: msg("Buffers"))
    summary: Message = field(default_factory=lambda: msg("Buffers"))
    risk: Risk = Risk.LOW
    needs: tuple[str, ...] = ()

    def findings(self, facts: Facts) -> Sequence[Finding]:
        """What it was given."""
        return self.found

    def applies(self, facts: Facts) -> Applicability:
        """Always."""
        return Applicability(True, msg("it is there"))


def knob(name: str, kind: Kind = Kind.SIZE, **more: object) -> Knob:
    """A knob with bounds of 1 MB to 1 GB."""
    bounds: dict[str, object] = {"minimum": 1024**2, "maximum": 1024**3} if kind is Kind.SIZE else {}
    return Knob(name, kind, msg(name), msg("because"), "test", **{**bounds, **more})  # type: ignore[arg-type]


def registry() -> Registry:
    """Two optimizations: `alpha` and `beta`."""
    alpha = FakeOptimization(
        "alpha",
        (
            knob("buffers", ratio=True),
            knob("mode", Kind.ENUM, choices=("fast", "safe")),
            knob("cost", Kind.REAL, minimum=0.0, maximum=10.0),
            knob("global", Kind.BOOLEAN, per_service=False),
        ),
    )
    beta = FakeOptimization(
        "beta", (knob("route.{service}", Kind.ENUM, choices=("pooled", "direct"), dynamic="service"),)
    )
    return {"alpha": alpha, "beta": beta}  # type: ignore[dict-item]


def finding(name: str, level: Level, service: str | None = "db", key: str = "KEY", line: int | None = 3) -> Finding:
    """A finding with one piece of evidence that holds the secret."""
    return Finding(
        name, level, service, msg("title of {name}", name=name), msg("detail"),
        (Evidence(key, f"x-{SECRET}", "/srv/app/compose.yaml", line),), "test",
    )  # fmt: skip


def facts(**stack: object) -> Facts:
    """A host with a disk, a stack with a database and an inactive service."""
    disk = Disk("nvme0n1", "Fast 1", 10**12, Medium.NVME, ephemeral=False, mounts=("/",))
    host = Host(
        memory_bytes=16 * 1024**3, memory_available_bytes=8 * 1024**3, swap_bytes=0,
        cpu=Cpu(logical=8, physical=4), disks=(disk,), mounts=(Mount("/", "ext4", 10**12, 10**11, "nvme0n1"),),
    )  # fmt: skip
    services = (
        Service("db", Role.POSTGRES, image="postgres:16", version="16"),
        Service("tool", Role.APP, active=False, profiles=("tools",)),
    )
    values: dict[str, object] = {"services": services, **stack}
    invocation = Invocation("/srv/app", ("/srv/app/compose.yaml",))
    return Facts(host, Stack("app", invocation, **values), Engine("27.1", "ENGINE"))  # type: ignore[arg-type]


def step(name: str = "recreate:db", **more: object) -> StepSpec:
    """A step that takes `db` down for 12 s."""
    values: dict[str, object] = {"kind": "recreate", "target": "db", "params": {}, "service": "db", "downtime_s": 12.0}
    return StepSpec(id=name, summary=msg("recreate db"), **{**values, **more})  # type: ignore[arg-type]


def draft(choices: Choices, *, changes: bool = True, **more: object) -> Draft:
    """A draft with one stage, one file whose content holds the secret, one knob."""
    advice = Advice("buffers", "db", "512MB", "128MB", "512MB", "bytes", msg("a quarter"), "test", changes=True)
    line = OptimizationPlan(
        "alpha", choices.selection("alpha"), True, msg("it is there"), Effort(0.5, 1), 12.0, Risk.MEDIUM, (advice,)
    )
    other = OptimizationPlan("beta", choices.selection("beta"), False, msg("none here"), Effort(0, 0), 0.0, Risk.LOW)
    change = FileChange("/srv/app/compose.nftui.yaml", "create", None, f"a: 1\nb: {SECRET}\n".encode())
    values: dict[str, object] = {
        "stages": (Stage("settings", (step(),), ("db",), (change,)),) if changes else (),
        "fragments": (), "grants": (), "memory": MemoryUse(16 * 1024**3, 2 * 1024**3, (("db", 2 * 1024**3),)),
        "warnings": (msg("unverified: {service}", service="tool"),),
        "skipped": (step("recreate:tool", service="tool"),),
        "preconditions": (Precondition("host.memory", "=", "16"),),
    }  # fmt: skip
    return Draft(choices=choices, optimizations=(line, other), **{**values, **more})  # type: ignore[arg-type]


def run_status(**more: object) -> RunStatus:
    """An apply that went well."""
    done = StepState("recreate:db", msg("recreate db"), "db", "verified", 4.2, None, "18 settings")
    values: dict[str, object] = {
        "run": RUN, "kind": "apply", "plan": "P", "steps": (done,), "state": "ended", "outcome": "applied", "code": 0,
    }  # fmt: skip
    return RunStatus(**{**values, **more})  # type: ignore[arg-type]


def way_back(**more: object) -> WayBack:
    """One run, one file whose content holds the secret, one service."""
    change = FileChange("/srv/app/compose.nftui.yaml", "delete", f"a: 1\nb: {SECRET}\n".encode(), None)
    values: dict[str, object] = {
        "runs": (RUN,), "generation": 0, "files": (change,), "services": ("db",), "downtime_s": 12.0,
        "steps": (msg("recreate db"),),
    }  # fmt: skip
    return WayBack(**{**values, **more})  # type: ignore[arg-type]


def hide(data: object) -> object:
    """Redaction of the fake: one secret."""
    if isinstance(data, str):
        return data.replace(SECRET, MASK)
    if isinstance(data, Mapping):
        return {k: hide(v) for k, v in data.items()}
    return [hide(v) for v in data] if isinstance(data, list) else data


@dataclass
class FakeSession:
    """Answers as it was told and remembers what it was asked."""

    found_facts: Facts = field(default_factory=facts)
    found: tuple[Finding, ...] = ()
    changes: bool = True
    draft_more: dict[str, object] = field(default_factory=dict)
    statuses: tuple[RunStatus, ...] = field(default_factory=lambda: (run_status(),))
    project: ProjectStatus = field(default_factory=lambda: ProjectStatus("idle", RUN, 1))
    infos: tuple[SnapshotInfo, ...] = ()
    beside: tuple[Damage, ...] = ()
    kept: tuple[Artefact, ...] = (Artefact("volume", "old-data", RUN, "move:db", needed_by=(RUN,)),)
    way: WayBack | None = field(default_factory=lambda: way_back())
    answer: tuple[bool, str] = (True, "kept")
    in_force: InForce = field(default_factory=InForce)
    root: Path = Path("/nonexistent")
    raises: dict[str, BaseException] = field(default_factory=dict)
    on_follow: list[Callable[[], None]] = field(default_factory=list)
    asked: list[tuple[str, object]] = field(default_factory=list)
    request_: ProjectRequest | None = None
    reboot_hint: Message | None = None
    state_root: Path = Path("/nonexistent")
    cut: Path | None = None
    directory: str = "/srv/app"

    def _ask(self, what: str, detail: object = None) -> None:
        self.asked.append((what, detail))
        if what in self.raises:
            raise self.raises[what]

    @property
    def names(self) -> list[str]:
        """What was asked, in order."""
        return [name for name, _detail in self.asked]

    @property
    def registry(self) -> Registry:
        """Reads no stack."""
        return registry()

    @property
    def state(self) -> SimpleNamespace:
        """The state directory, as far as verbs look into it."""
        return SimpleNamespace(root=self.root, in_force=lambda: self.in_force)

    @property
    def runs(self) -> FakeSession:
        """Answers for its runs too."""
        return self

    @property
    def history(self) -> FakeSession:
        """And for its snapshots."""
        return self

    def redact(self, data: object) -> object:
        """One secret."""
        return hide(data)

    def facts(self, *, live: bool = True, refresh: bool = False, versions: bool = False) -> Facts:
        """As told."""
        self._ask("facts", live)
        return self.found_facts

    def findings(self) -> tuple[Finding, ...]:
        """As told."""
        self._ask("findings")
        return self.found

    def choices(self, **options: object) -> tuple[Choices, tuple[Message, ...]]:
        """The real thing, on the fake registry."""
        self._ask("choices", options)
        return build_choices(self.registry, **options)  # type: ignore[arg-type]

    def must_be_free(self) -> None:
        """Nothing else goes on."""

    def prove(self, choices: Choices) -> Plan:
        """A plan whose id follows from the choices."""
        self._ask("prove", choices)
        made = draft(choices, changes=self.changes, **self.draft_more)
        return Plan(made, plan_id(made), "app-1")

    def start_apply(self, plan: Plan, **options: object) -> str:
        """Nothing starts."""
        self._ask("start_apply", options)
        return RUN

    def must_reach_engine(self, *, files_only: bool) -> None:
        """It is there."""

    def must_be_applicable(self, plan: Plan, *, files_only: bool, force: bool) -> None:
        """Nothing about the project forbids it."""
        self._ask("must_be_applicable", force)
        if plan.draft.refusals:
            raise UsageError(plan.draft.refusals[0])

    def way_back(self, snapshot: str | None = None) -> WayBack | None:
        """As told."""
        self._ask("way_back", snapshot)
        return self.way

    def start_rollback(self, snapshot: str | None = None, *, force: bool = False) -> str | None:
        """Nothing starts; None where no statuses are left."""
        self._ask("start_rollback", (snapshot, force))
        return RUN if self.statuses else None

    def cut_off(self, snapshot: str | None = None) -> Path | None:
        """The directory of the run that was cut off, None where there is none."""
        self._ask("cut_off")
        return self.cut

    def start_recover(self, *, resume: bool | None = None) -> str | None:
        """None where no statuses are left."""
        self._ask("start_recover", resume)
        return RUN if self.statuses else None

    def follow(self, run: str, *, interval_s: float = 0.1) -> Iterator[RunStatus]:
        """The statuses; hooks act in between, like a signal would."""
        self._ask("follow", run)
        for status in self.statuses:
            yield status
            if self.on_follow:
                self.on_follow.pop(0)()

    def run_status(self, run: str) -> RunStatus:
        """The last one."""
        return self.statuses[-1]

    def request(self, run: str, what: str, *, timeout_s: float = 10.0) -> tuple[bool, str]:
        """As told."""
        self._ask("request", (run, what))
        return self.answer

    def status(self) -> ProjectStatus:
        """As told."""
        self._ask("status")
        return self.project

    def snapshots(self) -> tuple[SnapshotInfo, ...]:
        """As told."""
        return self.infos

    def verify_snapshot(self, snapshot: str) -> SnapshotInfo:
        """As told."""
        return next(s for s in self.infos if s.id.startswith(snapshot))

    def verify_state(self) -> tuple[Damage, ...]:
        """As told."""
        return self.beside

    def prune(self, *, keep: int, older_than_days: float | None, really: bool) -> Pruning:
        """One goes, one stays."""
        self._ask("prune", (keep, older_than_days, really))
        return Pruning((RUN,), (("R", msg("it stands")),), 2, 2048, really)

    def artefacts(self) -> tuple[Artefact, ...]:
        """As told."""
        return self.kept

    def delete_artefact(self, name: str) -> Artefact:
        """Nothing is deleted."""
        self._ask("delete_artefact", name)
        return self.kept[0]


def snapshot(name: str = RUN, **more: object) -> SnapshotInfo:
    """One that stands."""
    values: dict[str, object] = {
        "created": "2026-01-01 00:00:00 UTC", "kind": "apply", "outcome": "applied", "stands": True,
        "files": ("/srv/app/compose.nftui.yaml",), "services": ("db",), "bytes": 312, "plan": "P",
    }  # fmt: skip
    return SnapshotInfo(id=name, **{**values, **more})  # type: ignore[arg-type]


DRIFT = Drift("db.buffers", "512MB", "128MB", "high")
__all__ = ["DRIFT", "Problem", "Selection", "Undo"]
