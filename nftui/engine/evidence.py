"""What a finding shows: the exact key, its value, and the line where it stands."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from nftui.catalog.mounted import read
from nftui.model.findings import Evidence

if TYPE_CHECKING:
    from nftui.model.stack import Service


def at(service: Service, key: str, place: str, value: str | None = None) -> Evidence:
    """Evidence for `key`, written at the dotted Compose key `place`."""
    where = service.place(place)
    return Evidence(key, value, where.file if where else None, where.line if where else None)


def at_option(service: Service, key: str, place: str, name: str, value: str | None = None) -> Evidence:
    """The same for the option `name` of a command that goes over several lines: the line of the option itself.

    A setting may be glued to its option, and be spelled with hyphens.
    """
    word = re.escape(name).replace("_", "[-_]")
    return _within(at(service, key, place, value), service, place, rf"(?<![\w-])(?:--?|-c)?{word}(?![\w-])")


def at_variable(service: Service, name: str, place: str, value: str | None = None) -> Evidence:
    """The same for the variable `$name` in a text of several lines."""
    return _within(at(service, f"${name}", place, value), service, place, rf"\$\{{?{re.escape(name)}(?!\w)")


def _within(found: Evidence, service: Service, place: str, pattern: str) -> Evidence:
    if place not in service.places or found.file is None or found.line is None:
        return found
    return replace(found, line=_line_of(_lines(found.file), found.line, re.compile(pattern, re.IGNORECASE)))


def _line_of(lines: tuple[str, ...], first: int, wanted: re.Pattern[str]) -> int:
    """The first line of the block from line `first` on in which it is found; `first` where it is in none."""
    block = lines[first - 1 :]
    depth = _depth(block[0]) if block else 0
    for number, line in enumerate(block):
        written = line.strip()
        # A list may stand as deep as its key.
        if number and written and _depth(line) <= depth and not written.startswith(("- ", "#")):
            break
        if not written.startswith("#") and wanted.search(line.partition(" #")[0]):
            return first + number
    return first


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _lines(path: str) -> tuple[str, ...]:
    try:
        changed = Path(path).stat().st_mtime_ns
    except OSError:
        return ()
    return _read_lines(path, changed)


@lru_cache(maxsize=16)
def _read_lines(path: str, changed: int) -> tuple[str, ...]:
    return tuple((read(Path(path)) or "").splitlines())
