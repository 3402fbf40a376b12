"""Values that Compose writes in one way: sizes, durations, command lines, booleans, numbers."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(-?\d+(?:\.\d+)*) ?(?:([kKmMgGtTpP])[iI]?)?[bB]?\Z|(-?\d+(?:\.\d+)*) ?\Z")
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_TRUE, _FALSE = {"true", "y", "yes", "on"}, {"false", "n", "no", "off"}


def size_bytes(value: object) -> str:
    """A size as config prints it: bytes, as text. Source: go-units RAMInBytes. Raises ValueError."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(int(value))
    found = _SIZE.match(str(value))
    if not found:
        raise ValueError(f"{value!r} is not a size")
    number = float(found.group(1) or found.group(3))
    return str(int(number * 1024 ** _POWERS.get((found.group(2) or "").lower(), 0)))


def duration(value: object) -> str:
    """A duration as Go prints it ("1m30s"). Raises ValueError."""
    text = str(value)
    unsigned = text.lstrip("+-")
    if unsigned == "0":
        return "0s"
    total, position = 0.0, 0
    while position < len(unsigned):
        found = _DURATION_PART.match(unsigned, position)
        if not found:
            break
        total += float(found.group(1)) * _NANOSECONDS[found.group(2)]
        position = found.end()
    if not unsigned or position < len(unsigned):
        raise ValueError(f"{text!r} is not a duration")
    return ("-" if text.startswith("-") else "") + _go_duration(round(total))


def _go_duration(nanoseconds: int) -> str:
    if nanoseconds == 0:
        return "0s"
    for unit, factor in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if nanoseconds < factor * 1000:
            return f"{_fraction(nanoseconds, factor)}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    text = f"{_fraction(rest, 10**9)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text


def _fraction(nanoseconds: int, factor: int) -> str:
    whole, rest = divmod(nanoseconds, factor)
    if not rest:
        return str(whole)
    return f"{whole}.{str(rest).zfill(len(str(factor)) - 1).rstrip('0')}"


def boolean(value: object) -> bool:
    """A boolean, also where it was quoted. Raises ValueError."""
    text = str(value).lower()
    if text not in _TRUE | _FALSE:
        raise ValueError(f"{value!r} is not true or false")
    return text in _TRUE


def whole(value: object) -> int:
    """An integer, also where it was quoted. Raises ValueError."""
    if isinstance(value, float) and value == int(value):
        return int(value)
    return int(str(value))


def number(value: object) -> float:
    """A number, also where it was quoted; raises ValueError."""
    result = float(str(value))
    if result != result or result in (float("inf"), float("-inf")):
        raise ValueError(f"{value!r} is not a number")
    return int(result) if result == int(result) else result


class _Words:
    """State of one split; the rules, and their oddities, are go-shellwords'."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.buffer: list[str] = []
        self.got = False
        self.quote = ""

    def space(self, char: str) -> None:
        if self.quote:
            self.buffer.append(char)
        elif self.got:
            self.words.append("".join(self.buffer))
            self.buffer, self.got = [], False

    def mark(self, char: str) -> bool:
        """True where `char` opened or closed a quotation."""
        if char in "\"'":
            if self.quote in ("", char):
                self.quote, self.got = ("" if self.quote else char), True
                return True
        elif char == "`" and self.quote in ("", "`"):
            self.quote = "" if self.quote else "`"
        elif char == ")" and self.quote == "(":
            self.quote = ""
        elif char == "(" and self.quote == "":
            if self.buffer[-1:] != ["$"]:
                raise ValueError("invalid command line string")
            self.quote = "("
        return False

    def add(self, char: str) -> None:
        self.buffer.append(char)
        self.got = True


def shell_words(line: str) -> list[str]:
    """A command line as Compose splits it, up to an unquoted ; & | < or >: no shell runs. Raises ValueError."""
    state, escaped = _Words(), False
    for char in line:
        if escaped:
            state.add(char)
            escaped = False
        elif char == "\\" and state.quote != "'":
            escaped = True
        elif char in " \t\r\n":
            state.space(char)
        elif state.mark(char):
            continue
        elif char in ";&|<>" and not state.quote:
            if char == ">" and "".join(state.buffer)[:1].isdigit():
                state.buffer, state.got = [], False
            break
        else:
            state.add(char)
    if state.quote or escaped:
        raise ValueError("invalid command line string: a quotation is not closed")
    if state.got:
        state.words.append("".join(state.buffer))
    return state.words
