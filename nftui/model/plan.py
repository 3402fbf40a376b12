"""Plans: what would be done, exactly. The core is canonical; its digest is the plan's id (engine.md 4)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import field, replace
from enum import StrEnum

from nftui.model.advice import Advice, Assertion, Effort, Fragment, Grant, Risk
from nftui.model.choices import Choices, Selection
from nftui.model.dataclass import dataclass
from nftui.model.message import Message

PLAN_SCHEMA = "nftui/plan/1"


class Undo(StrEnum):
    """How a step is taken back."""

    EXACT = "exact"
    BY_RESTART = "by-restart"
    CARRY_BACK = "carry-back"
    LOSSY = "lossy"
    IMPOSSIBLE = "impossible"


class Resume(StrEnum):
    """What recovery does with a step that was cut off."""

    REDO = "redo"
    CONTINUE = "continue"
    UNDO_ONLY = "undo-only"


class Cancel(StrEnum):
    """What a request to cancel does to a step that is at work."""

    AT_ONCE = "at-once"
    """It is left at its next pause, and taken back from wherever it stands."""
    AFTER_STEP = "after-step"
    """It is finished first: leaving it half-way would cost more than its end."""


@dataclass(frozen=True, slots=True)
class StepSpec:
    """Smallest reversible unit, as data: looked up by `kind`, so that an old journal can still be undone."""

    id: str
    kind: str
    target: str
    params: Mapping[str, object]
    summary: Message
    service: str | None = None
    optimization: str | None = None
    kind_version: int = 1
    downtime_s: float = 0.0
    undo: Undo = Undo.EXACT
    undo_after_write: Undo = Undo.EXACT
    resume: Resume = Resume.REDO
    stall_s: float = 120.0
    cancel: Cancel = Cancel.AT_ONCE
    live: bool = False
    """True: it changes the running service by itself, so it is planned also where nothing is recreated."""
    early: bool = False
    """True: it is done before the files say otherwise, so that no recreate of its service, whoever asks for it, loses
    anything."""
    apart: bool = False
    """True: done right after its service is recreated, before the next one is: the two must not be away at once."""
    opens: bool = False
    """From its intent on others may write to data that its stage switched: the commit point is crossed."""
    last_back: bool = False
    """It frames the stage: taken back after all else, newest first (what it holds is let go when the rest is back)."""

    first_back: bool = False
    """Taken back before all else: what must be done while the files still say what they say."""

    @property
    def lossy(self) -> bool:
        """Whether it cannot be taken back without loss once its stage's commit point is crossed."""
        return {self.undo, self.undo_after_write} & {Undo.LOSSY, Undo.IMPOSSIBLE} != set()

    def core(self) -> dict[str, object]:
        """Its part of the plan's core: no texts, no predictions."""
        return {
            "id": self.id,
            "kind": self.kind,
            "kind_version": self.kind_version,
            "target": self.target,
            "service": self.service,
            "params": self.params,
            "undo": [str(self.undo), str(self.undo_after_write)],
            "resume": str(self.resume),
            "cancel": str(self.cancel),
        }


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that a stage switches in; `content` None deletes it. `secret` contents never leave the blobs."""

    path: str
    action: str
    """create, update, delete."""
    before: bytes | None
    content: bytes | None
    mode: int = 0o644
    role: str = "override"
    """mounted, override, env: the order in which they are written."""
    keys: tuple[str, ...] = ()
    """For `.env`: the keys that are merged."""


@dataclass(frozen=True, slots=True)
class Backup:
    """The newest backup of a data set that was proven: shown before the data is switched (engine.md 7)."""

    place: str
    proof: str
    """How it was proven, in words: "restored on ...", "pg_verifybackup"."""


@dataclass(frozen=True, slots=True)
class Handover:
    """Data that goes elsewhere in servers, which are up by then, while what it came from stays where it is.

    What was written since is carried back by the steps' own undo: going back loses nothing, so no writer is held
    until the run is confirmed.
    """

    close: tuple[StepSpec, ...]
    """Once the writers are held: the server takes no writes any more, and all that it has is there and proven."""
    open: tuple[StepSpec, ...]
    """Just before the files name the new servers: who has the whole copy. Its undo carries back, and comes first."""
    users: tuple[str, ...]
    """Services that are switched with it: their part of the fragment waits for the data too."""
    before: tuple[StepSpec, ...] = ()
    """What is done while the writers still go on; taken back once all else is, but for them."""
    renews: bool = True
    """Whether files name the new servers: then the service and its users are recreated. Else all goes by `open`."""


@dataclass(frozen=True, slots=True)
class DataSwitch:
    """Data of one service that must lie elsewhere before that service's part of a fragment may be switched in.

    Places are {"type": "volume", "name": …} or {"type": "directory", "path": …}; the target must be absent or empty.
    """

    dataset: str
    """Names the data for people and in the journal: "postgres_data"."""
    service: str
    source: Mapping[str, str]
    target: Mapping[str, str]
    fence: Mapping[str, str]
    """What keeps a server from starting on a copy: {"path": file below the place, "block": "absent"|"directory"}; with
    "needed" where no data is at a place without that file."""
    writers: tuple[str, ...] | None
    """Services that write to it through the service; None where they cannot be known or stopped."""
    downtime_s: float
    """Predicted seconds of the copy, while the service and its writers are stopped."""
    backup: Backup | None = None
    ease: tuple[StepSpec, ...] = ()
    """What is done once its writers are held, before the service is stopped."""
    dump: Mapping[str, object] | None = None
    """Where it is no copy but a dump, restored by a server of another version: what those steps are told beside."""
    handover: Handover | None = None
    """Where it goes to other servers, not to another place of this one: `fence` is not used then."""
    size_bytes: int | None = None
    """What is copied, as far as it is known at planning; None: unknown."""

    @property
    def stopped(self) -> tuple[str, ...]:
        """Services that are down meanwhile."""
        stays = self.handover is not None and not self.handover.renews
        return (*(() if stays else (self.service,)), *(self.writers or ()))


@dataclass(frozen=True, slots=True)
class Stage:
    """Steps that stand or fall together; after them the disk describes a safe state."""

    id: str
    steps: tuple[StepSpec, ...]
    services: tuple[str, ...] = ()
    files: tuple[FileChange, ...] = ()
    fence: str | None = None
    """How its writers are kept from writing until it is confirmed ("writers" = they are stopped); None: not at all."""
    commit_point: bool = False
    loss: Message | None = None
    """What is lost by going back once others have written."""
    switch: DataSwitch | None = None
    """Of a commit point: what goes where."""
    fragments: tuple[Fragment, ...] = ()
    """In force once it stands: what a generation is that ends here."""

    @property
    def backup(self) -> Backup | None:
        """Of a commit point: the proven backup, None where there is none."""
        return self.switch.backup if self.switch else None

    @property
    def crossing(self) -> tuple[StepSpec, ...]:
        """The steps from whose intent on others may write."""
        return tuple(s for s in self.steps if s.opens)


@dataclass(frozen=True, slots=True)
class Precondition:
    """What must still hold: identities are equal, quantities are bounds. `op` is "=", ">=" or "<="."""

    key: str
    op: str
    value: str

    def as_json(self) -> dict[str, str]:
        """Plain form."""
        return {"key": self.key, "op": self.op, "value": self.value}


@dataclass(frozen=True, slots=True)
class OptimizationPlan:
    """One optimization's line of the plan."""

    id: str
    selection: Selection
    applicable: bool
    reason: Message
    effort: Effort
    downtime_s: float
    risk: Risk
    advice: tuple[Advice, ...] = ()
    title: Message | None = None
    lacks: Message | None = None
    """Why it changes nothing here, where that can be mended from outside."""


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """The host's memory bar, in bytes."""

    host_bytes: int | None
    reserved_bytes: int
    services: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """The pure part: what the preview shows while a knob moves. Not applicable until proven."""

    choices: Choices
    optimizations: tuple[OptimizationPlan, ...]
    stages: tuple[Stage, ...]
    fragments: tuple[Fragment, ...]
    grants: tuple[Grant, ...]
    memory: MemoryUse
    warnings: tuple[Message, ...] = ()
    assertions: tuple[Assertion, ...] = ()
    preconditions: tuple[Precondition, ...] = ()
    refusals: tuple[Message, ...] = ()
    """Why it cannot be proven or applied (a value refused for a service that is there)."""
    losses: tuple[Message, ...] = ()
    """What applying it takes away for good: needs the operator's own consent, beside that to the plan."""
    skipped: tuple[StepSpec, ...] = ()
    """What would be done to services that do not run; no stage has it, for nothing is started (engine.md 1)."""

    @property
    def files(self) -> tuple[FileChange, ...]:
        """Every file once, in the order of writing: from what is there now to what the last stage leaves."""
        found: dict[str, FileChange] = {}
        for change in (c for stage in self.stages for c in stage.files):
            first = found.get(change.path, change)
            found[change.path] = replace(change, before=first.before, action=_action(first.before, change.content))
        return tuple(found.values())

    @property
    def steps(self) -> tuple[StepSpec, ...]:
        """Every step, in order."""
        return tuple(step for stage in self.stages for step in stage.steps)

    @property
    def changes(self) -> bool:
        """False where there is nothing to do."""
        return bool(self.steps)

    @property
    def effort(self) -> Effort:
        """Days of all optimizations that are on."""
        total = Effort(0, 0)
        for item in self.optimizations:
            if item.selection is Selection.ON and item.applicable:
                total = total + item.effort
        return total

    @property
    def downtime_s(self) -> float:
        """Predicted seconds in which some service is down."""
        return sum(step.downtime_s for step in self.steps)

    def core(self) -> dict[str, object]:
        """Canonical core: the same choices on the same facts give the same bytes, by any way in."""
        touched = {name for stage in self.stages for name in stage.services}
        return {
            "schema": PLAN_SCHEMA,
            "choices": self.choices.as_json(),
            "preconditions": [p.as_json() for p in self.preconditions],
            "fragments": [_fragment_core(f) for f in self.fragments],
            "grants": [{"service": g.service, "bytes": g.bytes} for g in self.grants if g.service in touched],
            "stages": [
                {
                    "id": stage.id,
                    "commit_point": stage.commit_point,
                    "fence": stage.fence,
                    "backup": stage.backup.place if stage.backup else None,
                    "files": [
                        {"path": c.path, "action": c.action, "digest": digest(c.content), "before": digest(c.before)}
                        for c in stage.files
                    ],
                    "steps": [step.core() for step in stage.steps],
                }
                for stage in self.stages
            ],
        }


def _fragment_core(fragment: Fragment) -> dict[str, object]:
    """Digests stand for the contents of files; what a fragment does not have is left out."""
    core: dict[str, object] = {
        "optimization": fragment.optimization, "services": fragment.services, "values": fragment.values,
    }  # fmt: skip
    if fragment.files:
        core["files"] = [f.as_json() for f in fragment.files]
    if fragment.own:
        core["own"] = {name: list(users) for name, users in fragment.own.items()}
    if fragment.volumes:
        core["volumes"] = fragment.volumes
    if fragment.networks:
        core["networks"] = fragment.networks
    return core


@dataclass(frozen=True, slots=True)
class Plan:
    """A draft that has been through Compose and the checks: only this is reviewed and applied."""

    draft: Draft
    id: str
    project: str
    """Project id (engine id + project name + stable path)."""
    proof: Mapping[str, str] = field(default_factory=dict)
    """What proved it: Compose version, effective hashes."""


def _action(before: bytes | None, content: bytes | None) -> str:
    return "delete" if content is None else "create" if before is None else "update"


def digest(content: bytes | None) -> str | None:
    """sha256 of `content` in hex, None for a file that is not there."""
    return None if content is None else hashlib.sha256(content).hexdigest()


def canonical(data: object) -> bytes:
    """JSON with sorted keys and no spaces: equal data give equal bytes."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def plan_id(draft: Draft) -> str:
    """Digest of the draft's core."""
    return hashlib.sha256(canonical(draft.core())).hexdigest()
