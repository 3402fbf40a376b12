"""Knobs: the typed, bounded choices of an optimization; front ends render them by `kind`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

from nftui.model.dataclass import dataclass
from nftui.model.errors import UsageError
from nftui.model.message import Message, msg
from nftui.model.units import format_size, parse_size, rounded_size


class Kind(StrEnum):
    """How a knob's value is read, checked and shown."""

    SIZE = "size"
    """Bytes; "512MB", "2GiB" (both of 1024), or "25%" of the service's memory where `ratio` is set."""
    INTEGER = "integer"
    REAL = "real"
    BOOLEAN = "boolean"
    ENUM = "enum"
    SECONDS = "seconds"
    TEXT = "text"


AUTO = "auto"
"""The value that asks nftui to advise."""


@dataclass(frozen=True, slots=True)
class Knob:
    """One choice. `name` has no optimization prefix; `minimum`/`maximum` are in base units (bytes, seconds)."""

    name: str
    kind: Kind
    label: Message
    why: Message
    source: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    ratio: bool = False
    per_service: bool = True
    """True: it belongs to each service of the role; False: one value for the optimization."""
    dynamic: str | None = None
    """Set where the name has a variable end: "route.{service}"; then `name` is the pattern, and this says of what."""
    main: bool = True
    """False: shown only under "more" in the wizard."""

    def check(self, text: str, qualified: str) -> str:
        """Return the canonical form of `text`, or raise UsageError naming `qualified` and the bounds."""
        if text.strip().lower() == AUTO:
            return AUTO
        return _CHECKS[self.kind](self, text.strip(), qualified)

    def name_in(self, text: str) -> str | None:
        """What `text` has at the variable place of this knob's name: "app" of "route.app"; None where it has none."""
        if self.dynamic is None:
            return None
        parts = re.split(r"\{[^}]*\}", self.name if "{" in self.name else self.dynamic)
        found = re.fullmatch("(.+)".join(re.escape(p) for p in parts), text)
        return found[1] if found else None


SERVICE = "service"
"""`Knob.dynamic` of those that name a service: the files say which there are, whatever runs."""


def knob_named(knobs: Iterable[Knob], name: str) -> Knob | None:
    """The knob of that name, None where there is none; exact names come before patterns."""
    known = tuple(knobs)
    exact = next((k for k in known if k.dynamic is None and k.name == name), None)
    return exact or next((k for k in known if k.name_in(name) is not None), None)


def _bounds(knob: Knob, number: float, shown: str, qualified: str, show: object) -> None:
    fmt = show if callable(show) else str
    low, high = knob.minimum, knob.maximum
    if (low is not None and number < low) or (high is not None and number > high):
        span = f"{fmt(low) if low is not None else '…'} to {fmt(high) if high is not None else '…'}"
        raise UsageError(
            msg("{knob}: {value} is out of bounds; it takes {span}.", knob=qualified, value=shown, span=span)
        )


def _size(knob: Knob, text: str, qualified: str) -> str:
    if text.endswith("%"):
        return _percent(knob, text, qualified)
    number = parse_size(text)
    if number is None:
        raise UsageError(
            msg(
                "{knob}: '{value}' is not a size; write it like 512MB or 2GiB{more}.",
                knob=qualified,
                value=text,
                more=" or 25%" if knob.ratio else "",
            )
        )
    _bounds(knob, number, text, qualified, rounded_size)
    return format_size(number)


def _percent(knob: Knob, text: str, qualified: str) -> str:
    try:
        share = float(text[:-1])
    except ValueError:
        share = -1.0
    if not knob.ratio or not 0 < share <= 100:
        raise UsageError(msg("{knob}: '{value}' is not a ratio it takes (1% to 100%).", knob=qualified, value=text))
    return f"{share:g}%"


def _integer(knob: Knob, text: str, qualified: str) -> str:
    try:
        number = int(text)
    except ValueError:
        raise UsageError(msg("{knob}: '{value}' is not a whole number.", knob=qualified, value=text)) from None
    _bounds(knob, number, text, qualified, lambda n: str(int(n)))
    return str(number)


def _real(knob: Knob, text: str, qualified: str) -> str:
    try:
        number = float(text)
    except ValueError:
        raise UsageError(msg("{knob}: '{value}' is not a number.", knob=qualified, value=text)) from None
    if number != number or number in (float("inf"), float("-inf")):
        raise UsageError(msg("{knob}: '{value}' is not a number.", knob=qualified, value=text))
    _bounds(knob, number, text, qualified, lambda n: f"{n:g}")
    return f"{number:g}"


_TRUE, _FALSE = {"on", "true", "yes", "1"}, {"off", "false", "no", "0"}


def _boolean(knob: Knob, text: str, qualified: str) -> str:
    if text.lower() in _TRUE:
        return "on"
    if text.lower() in _FALSE:
        return "off"
    raise UsageError(msg("{knob}: '{value}' is neither on nor off.", knob=qualified, value=text))


def _enum(knob: Knob, text: str, qualified: str) -> str:
    if text in knob.choices:
        return text
    raise UsageError(
        msg("{knob}: '{value}' is not one of {choices}.", knob=qualified, value=text, choices=", ".join(knob.choices))
    )


def _seconds(knob: Knob, text: str, qualified: str) -> str:
    number = text.removesuffix("s")
    if not number.isdigit():
        raise UsageError(msg("{knob}: '{value}' is not a number of seconds like 90s.", knob=qualified, value=text))
    _bounds(knob, int(number), text, qualified, lambda n: f"{int(n)}s")
    return f"{int(number)}s"


def _text(knob: Knob, text: str, qualified: str) -> str:
    if not text or any(ord(c) < 32 for c in text):
        raise UsageError(msg("{knob}: the value is empty or holds control characters.", knob=qualified))
    return text


_CHECKS = {
    Kind.SIZE: _size,
    Kind.INTEGER: _integer,
    Kind.REAL: _real,
    Kind.BOOLEAN: _boolean,
    Kind.ENUM: _enum,
    Kind.SECONDS: _seconds,
    Kind.TEXT: _text,
}
