"""One line of advice while it is worked out."""

from __future__ import annotations

from dataclasses import field

from nftui.model.dataclass import dataclass
from nftui.model.message import Message


@dataclass(slots=True)
class Line:
    """One knob of a server, or of one of its collections."""

    knob: str
    value: str | None
    current: str | None
    recommended: str | None
    why: Message
    source: str
    kept: bool = False
    notes: list[Message] = field(default_factory=list)
    warnings: list[Message] = field(default_factory=list)
