"""Decisions: for each knob the recommendation, the value that stands, and where that value comes from."""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING

from nftui.model.dataclass import dataclass
from nftui.model.errors import RefusedError
from nftui.model.message import Message, msg
from nftui.optimizations.postgres.gucs import GUCS, show
from nftui.optimizations.postgres.knobs import ID, PARTS

if TYPE_CHECKING:
    from nftui.model.choices import Choices
    from nftui.optimizations.postgres.rules import Rule
    from nftui.optimizations.postgres.server import Server


class Origin(StrEnum):
    """Who decided a value."""

    CHOSEN = "chosen"
    OFF = "off"
    """The part is switched off: what would be in force without nftui stands."""
    OWN = "own"
    """The operator's own setting, kept."""
    AUTO = "auto"


@dataclass(slots=True)
class Decision:
    """One knob of one server while it is worked out."""

    name: str
    origin: Origin
    value: str | None
    rule: Rule
    notes: list[Message] = field(default_factory=list)


def part_of(name: str) -> str | None:
    """The switch that covers that knob."""
    return next((part for part, names in PARTS.items() if name in names), None)


def is_off(choices: Choices, server: Server, name: str) -> bool:
    """True where the knob's part is switched off."""
    part = part_of(name)
    return part is not None and choices.value(ID, server.name, part) == "off"


def chosen(choices: Choices, server: Server, name: str) -> str | None:
    """The operator's value in SHOW form; ratios become bytes of the service's memory."""
    text = choices.value(ID, server.name, name)
    if text is None:
        return None
    if text.endswith("%"):
        text = _share(server, name, text)
    return show(name, text, server.major) if name in GUCS else text


def _share(server: Server, name: str, text: str) -> str:
    if server.memory is None:
        raise refusal(server, name, text, msg("its memory is not known, so a share of it means nothing"))
    number = int(server.memory * float(text[:-1]) / 100)
    step = 1024**2 if number >= 1024**2 else 8192
    return f"{number // step * step // 1024}kB"


def refusal(server: Server, name: str, value: str, reason: Message) -> RefusedError:
    """A value that this server must not get."""
    text = msg("{id}.{knob} = {value} is refused for {service}: {reason}.", id=ID, knob=name, value=value,
               service=server.name, reason=reason)  # fmt: skip
    return RefusedError(text, ID, server.name, name)


def decide(server: Server, choices: Choices, name: str, rule: Rule) -> Decision:
    """Chosen beats switched off beats the operator's own beats the rule."""
    value = chosen(choices, server, name)
    if value is not None:
        return Decision(name, Origin.CHOSEN, value, rule)
    if is_off(choices, server, name):
        return Decision(name, Origin.OFF, server.baseline(name), rule)
    own = server.own(name)
    if own is not None:
        return Decision(name, Origin.OWN, own, rule)
    return Decision(name, Origin.AUTO, rule.value, rule)
