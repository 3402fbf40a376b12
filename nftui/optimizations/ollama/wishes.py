"""The list of models as people write it: "llama3:8b num_ctx=8192, nomic-embed-text"."""

from __future__ import annotations

from dataclasses import field

from nftui.model.dataclass import dataclass
from nftui.model.message import Message, msg
from nftui.optimizations.ollama.server import canonical
from nftui.optimizations.ollama.versions import RUNNER_OPTIONS

NONE = "none"
_SWITCH = {"true": True, "false": False}
"""The server takes no number for a switch."""


class BadList(ValueError):
    """The text is no list of models."""

    def __init__(self, reason: Message) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Wish:
    """A model that shall stay in memory, with the options that its apps send."""

    name: str
    options: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{k}={v}".lower() for k, v in sorted(self.options.items()))])


def parse_wishes(text: str) -> tuple[Wish, ...]:
    """The models of that text, each once; () for "none". Raises BadList."""
    if text.strip().lower() == NONE:
        return ()
    found: dict[str, Wish] = {}
    for part in text.split(","):
        words = part.split()
        if not words:
            continue
        wish = Wish(canonical(words[0]), dict(_option(word) for word in words[1:]))
        found.setdefault(wish.name, wish)
    if not found:
        raise BadList(msg("it names no model"))
    return tuple(found.values())


def _option(word: str) -> tuple[str, int]:
    name, _, value = word.partition("=")
    kind = RUNNER_OPTIONS[name][0] if name in RUNNER_OPTIONS else None
    if kind is bool and value.lower() in _SWITCH:
        return name, _SWITCH[value.lower()]
    if kind is int and value.removeprefix("-").isdecimal():
        return name, int(value)
    numbers = ", ".join(f"{o}=NUMBER" for o, (k, _, _) in RUNNER_OPTIONS.items() if k is not bool)
    switches = ", ".join(f"{o}=true/false" for o, (k, _, _) in RUNNER_OPTIONS.items() if k is bool)
    raise BadList(msg("'{word}' is none of {numbers}, {switches}", word=word, numbers=numbers, switches=switches))


def show_wishes(wishes: tuple[Wish, ...]) -> str:
    """The canonical text."""
    return ", ".join(str(w) for w in wishes) or NONE
