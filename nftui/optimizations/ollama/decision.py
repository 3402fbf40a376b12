"""Decisions: for each knob the recommendation, the value that stands, and where that value comes from."""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING

from nftui.model.dataclass import dataclass
from nftui.model.errors import RefusedError
from nftui.model.message import Message, msg
from nftui.model.units import MIB, format_size, parse_size
from nftui.optimizations.ollama.knobs import ID, PARTS, VARIABLES
from nftui.optimizations.ollama.server import Server, number, switch
from nftui.steps.ollama_config import keep_alive_s

if TYPE_CHECKING:
    from nftui.model.choices import Choices


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
    """One knob of one server; values as the knob takes them, None where nothing is said."""

    name: str
    origin: Origin
    value: str | None
    recommended: str | None
    why: Message
    source: str
    notes: list[Message] = field(default_factory=list)


def is_off(choices: Choices, server: Server, name: str) -> bool:
    """True where the knob's part is switched off."""
    part = next((part for part, names in PARTS.items() if name in names), None)
    return part is not None and choices.value(ID, server.name, part) == "off"


def refusal(server: Server, name: str, value: str, reason: Message) -> RefusedError:
    """A value that this server must not get."""
    text = msg("{id}.{knob} = {value} is refused for {service}: {reason}.", id=ID, knob=name, value=value,
               service=server.name, reason=reason)  # fmt: skip
    return RefusedError(text, ID, server.name, name)


def own(server: Server, name: str) -> str | None:
    """What the operator's files say, in the knob's form; None where they say nothing that the server could read."""
    text = server.declared(name)
    if text is None:
        return None
    if name == "keep_alive":
        return text if keep_alive_s(text) is not None else None
    if name == "flash_attention":
        return "on" if switch(text) else "off"
    if name == "kv_cache_type":
        return text if text in ("f16", "q8_0", "q4_0") else None
    size = number(text)
    if size is None:
        return None
    return format_size(size * MIB) if name == "prompt_cache" else str(size) if size else None


def given(name: str, value: str) -> str:
    """The variable's text for a knob's value."""
    if name == "flash_attention":
        return "1" if value == "on" else "0"
    if name == "prompt_cache":
        return str((parse_size(value) or 0) // MIB)
    return value


def baseline(server: Server, name: str) -> str | None:
    """What would be in force without nftui, in the knob's form; None where the server decides by itself."""
    declared = own(server, name)
    if declared is not None:
        return declared
    plain = server.defaults()
    return {
        "keep_alive": "5m", "num_parallel": str(plain.parallel), "context_length": str(plain.context),
        "kv_cache_type": "f16", "max_queue": "512",
        "prompt_cache": format_size(plain.prompt_cache) if plain.prompt_cache else None,
    }.get(name)  # fmt: skip


def is_written(server: Server, name: str, value: str | None) -> bool:
    """True where the value differs from what would be in force without nftui."""
    if name not in VARIABLES or value is None:
        return False
    present = baseline(server, name)
    if present is not None and name == "keep_alive":
        return keep_alive_s(value) != keep_alive_s(present)
    return value != present
