"""Settings among the arguments of `postgres`, in every form that it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.optimizations._command.flags import Flag

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHORT = {"B": "shared_buffers", "N": "max_connections", "S": "work_mem"}
"""Options of postgres(1) that are settings under another name (-B in blocks of 8 kB, -S in kB: their bare units)."""

_WITH_ARGUMENT = "CDdfhkprtvWBNS"
"""Options of postgres(1) that take an argument, so that it is not mistaken for an option."""


def read_flags(arguments: Sequence[str]) -> list[Flag]:
    """Every setting, in order; names in PostgreSQL's spelling (lower case, underscores)."""
    found: list[Flag] = []
    i = 0
    while i < len(arguments):
        flag = _read_one(arguments, i)
        if flag is not None:
            found.append(flag)
        i = flag.end if flag else i + _width(arguments, i)
    return found


def _width(arguments: Sequence[str], i: int) -> int:
    word = arguments[i]
    return 2 if len(word) == 2 and word[0] == "-" and word[1] in _WITH_ARGUMENT else 1


def _read_one(arguments: Sequence[str], i: int) -> Flag | None:
    word = arguments[i]
    following = arguments[i + 1] if i + 1 < len(arguments) else None
    if word.startswith("--") and "=" in word:
        return _pair(word[2:], i, i + 1)
    if word == "-c":
        return _pair(following, i, i + 2) if following is not None else None
    if word.startswith("-c") and "=" in word:
        return _pair(word[2:], i, i + 1)
    if word == "-F":
        # postgres(1): the same as fsync=off.
        return Flag("fsync", "off", i, i + 1)
    if len(word) >= 2 and word[0] == "-" and word[1] in _SHORT:
        value = word[2:] or following
        return None if value is None else Flag(_SHORT[word[1]], value, i, i + (1 if word[2:] else 2))
    return None


def _pair(text: str, start: int, end: int) -> Flag | None:
    name, equals, value = text.partition("=")
    return Flag(name.strip().replace("-", "_").lower(), value.strip(), start, end) if equals else None


def written(name: str, value: str) -> list[str]:
    """The two words that set it."""
    return ["-c", f"{name}={value}"]
