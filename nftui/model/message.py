"""Texts as data: a message id in English with arguments, translated only by the front ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field

from nftui.model.dataclass import dataclass


def N_(text: str) -> str:
    """Mark `text` for extraction by gettext; returns it unchanged."""
    return text


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence for people: `id` is the English text with `{name}` places, `args` fills them, other messages too.

    Messages lie outside a plan's core, so that a better wording never changes a plan's id.
    """

    id: str
    args: Mapping[str, object] = field(default_factory=dict)

    def render(self, translate: Callable[[str], str] = lambda text: text) -> str:
        """Return the sentence; `translate` maps the id to the reader's language first."""
        template = translate(self.id)
        inner = {k: v.render(translate) if isinstance(v, Message) else v for k, v in self.args.items()}
        return template.format(**inner) if inner else template

    def __str__(self) -> str:
        return self.render()

    def as_json(self) -> dict[str, object]:
        """The stored form: id and arguments, both plain JSON."""
        return {"id": self.id, "args": {k: _plain(v) for k, v in self.args.items()}}

    @staticmethod
    def from_json(data: Mapping[str, object]) -> Message:
        """Inverse of `as_json`."""
        args = data.get("args") or {}
        assert isinstance(args, Mapping)
        return Message(str(data["id"]), dict(args))


def _plain(value: object) -> object:
    return value if isinstance(value, (int, float, bool, type(None))) else str(value)


MOST_LISTED = 12
"""So many names are read at a glance."""


def listed(names: Iterable[str]) -> str:
    """Names in a sentence; of very many the first, and how many more there are."""
    known = list(names)
    shown = ", ".join(known[:MOST_LISTED])
    return f"{shown} (+{len(known) - MOST_LISTED})" if len(known) > MOST_LISTED else shown


def ended(message: Message) -> Message:
    """The same with a full stop, to end another sentence with."""
    return message if str(message).endswith(".") else msg("{words}.", words=message)


def msg(text: str, /, **args: object) -> Message:
    """Build a Message; the first argument is also what gettext extracts."""
    return Message(text, args)
