"""What a follower of a run sees, whoever asks: the wizard, `nftui attach`, `nftui apply`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from nftui.model.choices import Choices
from nftui.model.dataclass import dataclass
from nftui.model.message import Message
from nftui.model.plan import FileChange


@dataclass(frozen=True, slots=True)
class StepState:
    """One step of a run. `state`: pending, running, verified, skipped, failed, undoing, undone, undo-failed."""

    id: str
    summary: Message
    service: str | None
    state: str = "pending"
    seconds: float | None = None
    error: str | None = None
    detail: str = ""
    """What was read back, or what is awaited now."""
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run as its journal and progress file tell it now."""

    run: str
    kind: str
    """apply, rollback, recover."""
    plan: str | None
    steps: tuple[StepState, ...]
    state: str
    """running, awaiting-confirm, interrupted, ended."""
    outcome: str | None = None
    """applied, unchanged, rolled-back, failed, partial; None while it goes on."""
    reason: str = ""
    turned: bool = False
    """True once it goes backwards."""
    confirm_left_s: float | None = None
    standing: tuple[str, ...] = ()
    """What a failed way back left changed."""
    code: int | None = None
    """The exit code that the verb takes from it."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What a run was told when it began."""

    run: str
    plan: str | None
    choices: Choices | None
    """As they were given; None for a rollback, as is `plan`."""
    options: Mapping[str, object]
    """How it is to behave, by the names of its record."""


@dataclass(frozen=True, slots=True)
class WayBack:
    """What a rollback would do: shown before anyone consents to it."""

    runs: tuple[str, ...]
    """Runs that it takes back, newest first."""
    generation: int
    """What is in force afterwards; 0 is before nftui."""
    files: tuple[FileChange, ...] = ()
    services: tuple[str, ...] = ()
    """Services that are recreated, in order."""
    downtime_s: float = 0.0
    steps: tuple[Message, ...] = ()
    foreign: tuple[str, ...] = ()
    """Files that somebody else edited since: overwritten with --force only."""
    merged: tuple[str, ...] = ()
    """Files that somebody else edited since, of which only nftui's keys are taken out."""
    losses: tuple[Message, ...] = ()
    """What is gone for good with it: needs a consent of its own."""
    pending: tuple[Message, ...] = ()
    """What the operator did not apply yet and would come with it: done with --force only."""


@dataclass(frozen=True, slots=True)
class Drift:
    """Something that was applied and no longer stands; `actual` None = unreadable, which is not drift."""

    target: str
    expected: str
    actual: str | None
    level: str
    repair: str = ""
    """The command that puts it back, "" where only people can tell."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Which copy of a data set is the one whole copy; `other` is fenced, unfinished or older."""

    dataset: str
    whole: str
    """The volume's name or the directory's path."""
    other: str


@dataclass(frozen=True, slots=True)
class ProjectStatus:
    """`nftui status`."""

    state: str
    """idle, running, awaiting-confirm, interrupted."""
    run: str | None
    generation: int
    drift: tuple[Drift, ...] = ()
    unknown: tuple[Drift, ...] = ()
    owner: str = ""
    hint: str = ""
    confirm_left_s: float | None = None
    told: tuple[Drift, ...] = ()
    """What changed by itself since, as it may: no drift."""
    data: tuple[Authority, ...] = ()
    """Of each data set that nftui moved: where it is."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Something of the state that is not as nftui left it."""

    path: str
    what: Message
    safe: Message
    """What can be done about it without losing more."""


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """What can be rolled back to: the state before that run."""

    id: str
    created: str
    kind: str
    outcome: str | None
    stands: bool
    """True while its changes are in force (rollback to it would undo something)."""
    files: tuple[str, ...]
    services: tuple[str, ...]
    bytes: int
    plan: str | None
    damaged: tuple[Damage, ...] = ()
    """What `snapshots verify` found; empty also where it was not asked."""


@dataclass(frozen=True, slots=True)
class Pruning:
    """What `snapshots prune` removes, or would remove."""

    going: tuple[str, ...]
    """Ids, oldest first."""
    kept: tuple[tuple[str, Message], ...]
    """Id and why it stays, oldest first."""
    blobs: int
    """How many blobs nothing refers to afterwards."""
    bytes: int
    done: bool
