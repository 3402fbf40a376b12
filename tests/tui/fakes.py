"""A Session without a machine: two optimizations that apply, one that does not, and runs told by a script."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from nftui.engine.consent import NO_CONSENT, Consent, refusals
from nftui.engine.protocols import Grants, Registry
from nftui.model.advice import Advice, Applicability, Assertion, Demand, Effort, Fragment, Risk
from nftui.model.choices import Choices, Selection
from nftui.model.errors import NftuiError, UsageError
from nftui.model.facts import Facts
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.host import Cpu, Disk, Host, Medium
from nftui.model.knobs import Kind, Knob
from nftui.model.message import Message, msg
from nftui.model.plan import (
    DataSwitch,
    Draft,
    FileChange,
    MemoryUse,
    OptimizationPlan,
    Plan,
    Stage,
    StepSpec,
    Undo,
    plan_id,
)
from nftui.model.run import ProjectStatus, RunStatus, StepState, WayBack
from nftui.model.stack import Container, Engine, Invocation, Place, Problem, Role, Service, Stack
from nftui.model.units import GIB, MIB, parse_size
from nftui.session import Session

TOO_MUCH = "64GB"
"""A size inside the knob's bounds that the draft refuses, as advice would for a service with a small limit."""


def _knob(name: str, kind: Kind, low: float | None = None, high: float | None = None, **more: object) -> Knob:
    why = msg("{name} matters for speed.", name=name)
    return Knob(name, kind, msg(name), why, "the manual, chapter 19", minimum=low, maximum=high, **more)  # type: ignore[arg-type]


KNOBS = (
    _knob("cache_size", Kind.SIZE, MIB, 1024 * GIB),
    _knob("cache_estimate", Kind.SIZE, MIB, 1024 * GIB),
    _knob("sort_memory", Kind.SIZE, 64 * 1024, 2 * GIB),
    _knob("page_cost", Kind.REAL, 0.1, 10),
    _knob("clients", Kind.INTEGER, 1, 10000),
    _knob("policy", Kind.ENUM, choices=("none", "soft", "hard")),
    _knob("compile", Kind.BOOLEAN),
    _knob("patience", Kind.SECONDS, 1, 600, main=False),
    _knob("route.{service}", Kind.TEXT, dynamic="service"),
)
CURRENT = {
    "cache_size": ("128MB", "1536MB", "25 % of the 6 GiB limit"),
    "cache_estimate": ("4GB", "4608MB", "75 % of the limit"),
    "sort_memory": ("4MB", "8MB", "300 clients still fit"),
    "page_cost": ("4", "1.1", "data on NVMe"),
    "clients": ("100", "100", "nothing asks for more"),
    "policy": ("none", "soft", "jobs are kept in it"),
    "compile": ("on", "off", "short queries"),
    "patience": ("10s", "90s", "a shutdown needs it"),
    "route.web": ("direct", "direct", "it holds sessions"),
}


@dataclass
class FakeOptimization:
    """Knobs with fixed advice; the fragment is what the draft writes."""

    id: str
    order: int
    services: tuple[str, ...]
    title: Message
    summary: Message = field(default_factory=lambda: msg("It runs with the defaults of its image."))
    risk: Risk = Risk.MEDIUM
    needs: tuple[str, ...] = ()
    knobs: tuple[Knob, ...] = KNOBS
    kept: frozenset[str] = frozenset()

    def applies(self, facts: Facts) -> Applicability:
        """Where it has services."""
        return Applicability(bool(self.services), msg("no service here speaks its protocol"), self.services)

    def findings(self, facts: Facts) -> Iterable[Finding]:
        """Two for the first service."""
        if not self.services:
            return ()
        evidence = (Evidence("environment.CACHE", "512MB", "/srv/crm/compose.yaml", 14),)
        title = msg("{name} runs its image's defaults: 128 MB of cache in a 6 GiB service", name=self.services[0])
        detail = msg("Most reads go to the disk. CACHE in its environment is read by nobody.")
        low = Finding(
            f"{self.id}.old", Level.LOW, self.services[0], msg("An old version"), msg("It works."), (), "none"
        )
        return (
            Finding(f"{self.id}.defaults", Level.HIGH, self.services[0], title, detail, evidence, "manual", self.id),
            low,
        )

    def demand(self, facts: Facts, choices: Choices) -> tuple[Demand, ...]:
        """None: the memory of the draft is fixed."""
        return ()

    def advise(self, facts: Facts, choices: Choices, grants: Grants) -> tuple[Advice, ...]:
        """Each knob for each service."""
        return tuple(self._advice(s, name, choices) for s in self.services for name in CURRENT)

    def _advice(self, service: str, name: str, choices: Choices) -> Advice:
        now, recommended, why = CURRENT[name]
        chosen = choices.value(self.id, service, name)
        kept = name in self.kept and chosen is None
        value = chosen or (now if kept else recommended)
        if value == TOO_MUCH:
            raise UsageError(msg("{knob}: {service} has a limit of 6 GiB.", knob=name, service=service))
        changes = value != now
        return Advice(name, service, value, now, recommended, "bytes", msg(why), "the manual, 19.4", changes, kept)

    def effort(self, facts: Facts, advice: tuple[Advice, ...]) -> Effort:
        """Fixed."""
        return Effort(1, 2)

    def fragment(self, facts: Facts, advice: tuple[Advice, ...]) -> Fragment:
        """What the override says."""
        values: dict[str, dict[str, str]] = {}
        for item in advice:
            if item.changes:
                values.setdefault(str(item.service), {})[item.knob] = str(item.value)
        return Fragment(self.id, {s: {"command": v} for s, v in values.items()}, values)

    def steps(self, facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
        """None of its own."""
        return ()

    def checks(self, facts: Facts, fragment: Fragment) -> tuple[Assertion, ...]:
        """None."""
        return ()


def registry(kept: Iterable[str] = ()) -> Registry:
    """Alpha with two services, beta with one, gamma that does not apply."""
    return {
        "alpha": FakeOptimization("alpha", 1, ("db", "db-archive"), msg("Alpha server tuning"), kept=frozenset(kept)),
        "beta": FakeOptimization("beta", 2, ("cache",), msg("Beta cache tuning"), risk=Risk.LOW),
        "gamma": FakeOptimization("gamma", 3, (), msg("Gamma pooling")),
    }


def facts() -> Facts:
    """A machine with 23.5 GiB and a stack of four services, one with a problem."""
    host = Host(
        memory_bytes=int(23.5 * GIB), memory_available_bytes=12 * GIB, cpu=Cpu(logical=8),
        disks=(Disk("nvme0n1", "model", 1800 * GIB, Medium.NVME, False, ("/",)),),
    )  # fmt: skip
    box = Container("c1", "crm-db-1", "db", 1, "running", "healthy", "server:15", "sha256:1")
    services = (
        Service("db", Role.UNKNOWN, version="15", memory_limit_bytes=6 * GIB, containers=(box,)),
        Service("db-archive", Role.UNKNOWN, version="15", containers=(box,)),
        Service("cache", Role.UNKNOWN, containers=(box,)),
        Service("web", Role.APP),
    )
    problem = Problem("env-file", "old.env is not there; its variables are empty.", Place("compose.yaml", 7))
    stack = Stack("crm", Invocation("/srv/crm", ("/srv/crm/compose.yaml",)), services, problems=(problem,))
    return Facts(host, stack, Engine("27.1", "engine-1", compose_version="2.29"), usage={"db": 3 * GIB})


def step(name: str, state: str = "pending", **more: object) -> StepState:
    """One step of a scripted run."""
    return StepState(name, msg(name), str(more.pop("service", "") or "") or None, state, **more)  # type: ignore[arg-type]


def status(state: str, steps: Iterable[StepState], **more: object) -> RunStatus:
    """One look at a scripted run."""
    kind = str(more.pop("kind", "apply"))
    return RunStatus("0007-apply", kind, "plan", tuple(steps), state, **more)  # type: ignore[arg-type]


_FILE, _RECREATE = "update compose.nftui.yaml", "recreate db"
SETTINGS = {"cache_size": "1536MB", "sort_memory": "8MB"}
RUNNING = status(
    "running", [step(_FILE, "verified", seconds=0.1), step(_RECREATE, "running", detail="waiting for health")]
)
DONE_STEPS = [step(_FILE, "verified", seconds=0.1), step(_RECREATE, "verified", seconds=8.2),
              step("read back db", "verified", service="db", data={"settings": SETTINGS})]  # fmt: skip
AWAITING = status("awaiting-confirm", DONE_STEPS, confirm_left_s=292.0)
APPLIED = status("ended", DONE_STEPS, outcome="applied", code=0)
BACK_STEPS = [step(_FILE, "undone"), step(_RECREATE, "undone")]
GOING_BACK = status("running", [step(_FILE, "verified"), step(_RECREATE, "undoing")], turned=True)
TAKEN_BACK = status("ended", BACK_STEPS, outcome="rolled-back", reason="taken back by request", turned=True, code=1)
ROLLED_BACK = status("ended", BACK_STEPS, kind="rollback", outcome="rolled-back", code=0)


class FakeSession(Session):
    """Plans purely; a run yields what the test puts into `script`, None ends it."""

    def __init__(self, *, kept: Iterable[str] = (), files: bool = True) -> None:
        self._registry = registry(kept)
        self.script: queue.Queue[RunStatus | None] = queue.Queue()
        self.requests: list[str] = []
        self.applied: list[tuple[Plan, float | None]] = []
        self.rollbacks = 0
        self.way_losses: tuple[Message, ...] = ()
        self.way_pending: tuple[Message, ...] = ()
        self.recovers = 0
        self.project = ProjectStatus("idle", None, 0)
        self.forced: bool | None = None
        self.refusals: tuple[Message, ...] = ()
        self.one_way = False
        self.moved: DataSwitch | None = None
        """Data that the plan switches; `held` says whether what writes to it can be stopped."""
        self.held = True
        self.start_error: NftuiError | None = None
        self.barrier: NftuiError | None = None
        self.facts_error: NftuiError | None = None
        self.gate = threading.Event()
        self.gate.set()

    def play(self, *statuses: RunStatus) -> None:
        """What the next run tells, then its end."""
        for item in statuses:
            self.script.put(item)
        self.script.put(None)

    def facts(self, *, live: bool = True, refresh: bool = False, versions: bool = False) -> Facts:
        """Waits at the gate, as a slow machine would."""
        self.gate.wait(10)
        if self.facts_error:
            raise self.facts_error
        return facts()

    @property
    def runs(self) -> FakeSession:  # type: ignore[override]
        """Answers for its runs too."""
        return self

    @property
    def registry(self) -> Registry:
        """Alpha, beta, gamma."""
        return self._registry

    def findings(self) -> tuple[Finding, ...]:
        """All of them, worst first."""
        found = [f for o in self._registry.values() for f in o.findings(facts())]
        return tuple(sorted(found, key=lambda f: f.level.rank))

    def redact_text(self, text: str) -> str:
        """Nothing here is secret."""
        return text

    def check_value(self, optimization: str, service: str | None, knob: str, text: str) -> str:
        """By the knob's own rules."""
        name = knob if not knob.startswith("route.") else "route.{service}"
        found = next(k for k in KNOBS if k.name == name)
        return found.check(text, f"{optimization}.{knob}")

    def draft(self, choices: Choices) -> Draft:
        """One file and one recreate per service that changes."""
        plans, fragments = [], []
        for item in self._registry.values():
            applies = item.applies(facts())
            advice = item.advise(facts(), choices, {})
            selection = choices.selection(item.id)
            fragment = item.fragment(facts(), advice)
            if selection is Selection.ON and fragment.values:
                fragments.append(fragment)
            effort, down = item.effort(facts(), advice), 12.0 * len(fragment.values)
            plan = OptimizationPlan(
                item.id, selection, applies.applicable, applies.reason, effort, down, item.risk, advice
            )
            plans.append(replace(plan, title=item.title))
        used = (("db", self._memory(choices)), ("cache", 2 * GIB))
        stages = self._stages(fragments)
        return Draft(choices, tuple(plans), stages, tuple(fragments), (), MemoryUse(int(23.5 * GIB), 2 * GIB, used),
                     refusals=self.refusals)  # fmt: skip

    def _memory(self, choices: Choices) -> int:
        return 4 * (parse_size(choices.value("alpha", "db", "cache_size") or "1536MB") or 0)

    def _stages(self, fragments: list[Fragment]) -> tuple[Stage, ...]:
        if not fragments:
            return ()
        lines = ["# Written by nftui", "services:"]
        for fragment in fragments:
            for service, values in fragment.values.items():
                lines += [f"  {service}:  # {fragment.optimization}", "    command:"]
                lines += [f"      - {k}={v}" for k, v in values.items()]
        content = ("\n".join(lines) + "\n").encode()
        old = b"SECRET=hunter2\n"
        files = (
            FileChange("/srv/crm/compose.nftui.yaml", "create", None, content),
            FileChange("/srv/crm/.env", "update", old, old + b"COMPOSE_FILE=compose.yaml:compose.nftui.yaml\n", 0o600,
                       "env", ("COMPOSE_FILE",)),
        )  # fmt: skip
        services = tuple(dict.fromkeys(s for f in fragments for s in f.values))
        steps = [StepSpec("file", "file", "x", {}, msg("create {path}", path="compose.nftui.yaml"))]
        undo = Undo.IMPOSSIBLE if self.one_way else Undo.BY_RESTART
        for s in services:
            text = msg("recreate {s}", s=s)
            steps.append(StepSpec(f"recreate:{s}", "recreate", s, {}, text, s, downtime_s=12, undo_after_write=undo))
        moved = self.moved
        if moved is not None:
            fence = "writers" if self.held else None
            return (Stage("data", tuple(steps), services, files, fence, True, msg("Rows are lost."), moved),)
        return (Stage("settings", tuple(steps), services, files),)

    def prove(self, choices: Choices) -> Plan:
        """The draft, proven at once."""
        draft = self.draft(choices)
        return Plan(draft, plan_id(draft), "crm-1")

    def must_be_applicable(self, plan: Plan, *, files_only: bool, force: bool) -> None:
        """Whatever a test says stands in the way."""
        if self.barrier:
            raise self.barrier

    def start_apply(
        self, plan: Plan, *, confirm_within_s: float | None = None, wait_quiet_s: float = 60.0, settle_s: float = 10.0,
        files_only: bool = False, force: bool = False, consent: Consent = NO_CONSENT,
    ) -> str:  # fmt: skip
        """Remembers what was applied."""
        if self.start_error:
            raise self.start_error
        for refusal in refusals(plan.draft, consent, confirm=confirm_within_s is not None, files_only=files_only):
            raise UsageError(refusal)
        self.applied.append((plan, confirm_within_s))
        return "0007-apply"

    @property
    def history(self) -> FakeSession:  # type: ignore[override]
        """And for the way back."""
        return self

    def way_back(self, snapshot: str | None = None) -> WayBack | None:
        """One run that recreates `db`."""
        return WayBack(
            ("0007-apply",), 0, services=("db",), downtime_s=12.0, losses=self.way_losses, pending=self.way_pending
        )

    def start_rollback(self, snapshot: str | None = None, *, force: bool = False) -> str:
        """Counts."""
        if self.start_error:
            raise self.start_error
        self.rollbacks += 1
        self.forced = force
        return "0008-rollback"

    reboot_hint: Message | None = None

    def start_recover(self, *, resume: bool | None = None) -> str | None:
        """Counts."""
        self.recovers += 1
        return "0007-apply"

    def follow(self, run: str, *, interval_s: float = 0.1) -> Iterator[RunStatus]:
        """What the script says, until its end."""
        while (item := self.script.get(timeout=10)) is not None:
            yield item

    def request(self, run: str, what: str, *, timeout_s: float = 10.0) -> tuple[bool, str]:
        """Accepts, and plays the answer."""
        self.requests.append(what)
        self.play(*([APPLIED] if what == "confirm" else [GOING_BACK, TAKEN_BACK]))
        return True, "kept"

    def status(self) -> ProjectStatus:
        """As the test set it."""
        return self.project
