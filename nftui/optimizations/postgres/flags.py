"""Settings among the arguments of `postgres`: read, replaced in place, appended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_SHORT = {"B": "shared_buffers", "N": "max_connections", "S": "work_mem"}
"""Options of postgres(1) that are settings under another name (-B in blocks of 8 kB, -S in kB: their bare units)."""

_WITH_ARGUMENT = "CDdfhkprtvWBNS"
"""Options of postgres(1) that take an argument, so that it is not mistaken for an option."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One setting among the arguments: words `start` to `end` (exclusive) hold it."""

    name: str
    value: str
    start: int
    end: int


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
    if len(word) >= 2 and word[0] == "-" and word[1] in _SHORT:
        value = word[2:] or following
        return None if value is None else Flag(_SHORT[word[1]], value, i, i + (1 if word[2:] else 2))
    return None


def _pair(text: str, start: int, end: int) -> Flag | None:
    name, equals, value = text.partition("=")
    return Flag(name.strip().replace("-", "_").lower(), value.strip(), start, end) if equals else None


def last_values(arguments: Sequence[str]) -> dict[str, str]:
    """Name to the text that wins: the server takes the last one."""
    return {flag.name: flag.value for flag in read_flags(arguments)}


def written(name: str, value: str) -> list[str]:
    """The two words that set it."""
    return ["-c", f"{name}={value}"]


def merge_words(source: Sequence[str], actual: Sequence[str], settings: Mapping[str, str]) -> list[str]:
    """Source words with our settings: replaced where the operator has the same one, the rest appended sorted."""
    merged: list[str] = []
    done, i = set(), 0
    flags = {flag.start: flag for flag in read_flags(actual)}
    while i < len(source):
        flag = flags.get(i)
        if flag is not None and flag.name in settings:
            merged += written(flag.name, settings[flag.name]) if flag.name not in done else []
            done.add(flag.name)
        else:
            merged += source[i : flag.end if flag else i + 1]
        i = flag.end if flag else i + 1
    return merged + appended(settings, done)


def appended(settings: Mapping[str, str], done: set[str]) -> list[str]:
    """Words for those that nothing has set yet."""
    return [word for name in sorted(settings) if name not in done for word in written(name, settings[name])]


def edits(arguments: Sequence[str], settings: Mapping[str, str], put: Callable[[int, int, str], None]) -> set[str]:
    """Call `put(start, end, words)` for each flag to replace in a text; returns the names that were there."""
    done: set[str] = set()
    for flag in read_flags(arguments):
        if flag.name in settings:
            put(flag.start, flag.end, " ".join(written(flag.name, settings[flag.name])))
            done.add(flag.name)
    return done
