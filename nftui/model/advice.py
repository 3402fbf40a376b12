"""What optimizations return: demands, grants, advice, fragments, effort, assertions. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from nftui.model.dataclass import dataclass
from nftui.model.message import Message
from nftui.model.mounted import FileSet


class Risk(StrEnum):
    """What can go wrong when an optimization is applied."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Applicability:
    """Whether an optimization has something to do here, on which services, and why not."""

    applicable: bool
    reason: Message
    services: tuple[str, ...] = ()
    refused: Mapping[str, Message] = field(default_factory=dict)
    """Services of the role that must not be touched, with the reason (no volume on PGDATA, …)."""
    lacks: Message | None = None
    """What has to be had first, or it changes nothing unless other values are chosen (an image)."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Memory that a service needs, in bytes: `floor` it cannot do without, `wanted`, `worst` it may use."""

    optimization: str
    service: str
    floor: int
    wanted: int
    worst: int


@dataclass(frozen=True, slots=True)
class Grant:
    """Memory that a service may count on, in bytes; `from_limit` where its own limit decides."""

    service: str
    bytes: int
    from_limit: bool = False
    cpus: float | None = None
    """CPUs that the planner gives it, None where only its own limit and the host decide."""


@dataclass(frozen=True, slots=True)
class Advice:
    """One knob of one service. Values are strings as the service prints them; None = unknown."""

    knob: str
    service: str | None
    value: str | None
    """What will be in force: chosen, kept or recommended."""
    current: str | None
    recommended: str | None
    unit: str
    why: Message
    source: str
    changes: bool = False
    """True where `value` is to be written (beyond the 5 % tolerance, or chosen)."""
    kept: bool = False
    """The operator's own value stands; the recommendation is shown unselected."""
    restart: bool = True
    notes: tuple[Message, ...] = ()
    warnings: tuple[Message, ...] = ()
    """What the operator asked for and does not get here: told among the warnings of the plan."""
    effort: Effort | None = None
    """Of the part that this knob switches, while it is on; None where it switches none."""


ACTS_LABEL = "nftui.acts"
"""Of a service of nftui's own that changes by itself what it stands beside: it starts when all else is done, and goes
before anything is taken away from under it."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """One optimization's part of the override: service to Compose keys.

    Strings are Compose source text: what the operator interpolates stays `${…}` (made from `Service.raw`),
    a literal dollar is `$$`. So no secret is copied.
    """

    optimization: str
    services: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Service to knob to value in force: what `status` and the preset export show."""
    files: tuple[FileSet, ...] = ()
    """What services mount; `FileSet.directory(facts.stack.base)` is the source to name in `volumes`."""
    own: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Services of nftui's own, each defined whole in `services`, to the operator's services that use it.

    It is started only where one of those runs; it goes when the fragment no longer names it. A volume without a name
    goes with its container: data that must stay belongs into an artefact. A service that is routed to it names it
    in `depends_on` (long form), so that a plain `docker compose up` starts both in that order.
    """
    volumes: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Top-level volumes that its services name: made by nftui, so external to Compose, which never deletes those."""
    networks: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Top-level networks that its services name beside the operator's: made by nftui as well."""
    before: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Service to knob to what nftui found, of values that no file brings back (`engine.protocols.Restores`)."""

    @property
    def is_empty(self) -> bool:
        """True where nothing of it is in force, neither in a file nor in a running service."""
        return not any(self.services.values()) and not any(self.values.values())


@dataclass(frozen=True, slots=True)
class Effort:
    """Person-days, low to high."""

    low: float
    high: float

    def __add__(self, other: Effort) -> Effort:
        return Effort(self.low + other.low, self.high + other.high)


TOLD = "info"
"""Level of what may change by itself: `status` tells it, and nothing is broken by it."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """Something a committed run left in force: evaluated by `status` only (engine.md 9)."""

    kind: str
    """Looked up in the registry of comparators: "file", "env-key", "postgres-setting", "container"."""
    target: str
    expected: str
    params: Mapping[str, object] = field(default_factory=dict)
    level: str = "medium"
