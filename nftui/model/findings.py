"""Findings: something true about the stack that costs speed, memory, safety or money."""

from __future__ import annotations

from enum import StrEnum

from nftui.model.dataclass import dataclass
from nftui.model.message import Message


class Level(StrEnum):
    """How much a finding matters."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Level).index(self)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was read: `key` is the exact variable, flag, mount or host:port; `file`:`line` where it stands."""

    key: str
    value: str | None = None
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding; one per service and id (several variables go into its evidence)."""

    id: str
    level: Level
    service: str | None
    title: Message
    detail: Message
    evidence: tuple[Evidence, ...]
    source: str
    optimization: str | None = None
    """The optimization that repairs it, None where the operator must."""
