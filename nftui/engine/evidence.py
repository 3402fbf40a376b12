"""What a finding shows: the exact key, its value, and the line where it stands."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from nftui.model.findings import Evidence
from nftui.model.stack import Place

if TYPE_CHECKING:
    from nftui.model.stack import Service

_MAX_LINES = 400
_MAX_BYTES = 4 * 1024 * 1024


def at(service: Service, key: str, place: str, value: str | None = None, word: str = "") -> Evidence:
    """Evidence for `key`, written at the dotted Compose key `place`; `word` finds its line in a value of several."""
    where = service.place(place)
    if where is not None and word and where.line:
        where = Place(where.file, _line_of(where.file, where.line, word))
    return Evidence(key, value, where.file if where else None, where.line if where else None)


def _line_of(file: str, first: int, word: str) -> int:
    """The line that holds the word, in the value that begins at line `first`; `first` where none does."""
    try:
        lines = _lines(file, Path(file).stat().st_mtime_ns)
    except OSError:
        return first
    # A setting may be glued to its option, and be spelled with hyphens.
    wanted = re.compile(rf"(?<![\w-])(?:-c|--)?{re.escape(word).replace('_', '[-_]')}(?![\w-])")
    head = lines[first - 1 : first] or [""]
    depth = _depth(head[0])
    for number, line in enumerate(lines[first - 1 : first + _MAX_LINES], first):
        # The value ends where a line of its key's own depth begins; the items of a list may stand at that depth.
        if number > first and line.strip() and _depth(line) <= depth and not line.lstrip().startswith("- "):
            break
        if wanted.search(line.partition(" #")[0]):
            return number
    return first


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


@lru_cache(maxsize=32)
def _lines(file: str, changed: int) -> tuple[str, ...]:
    """Lines of a file as it was at that time of its last change."""
    path = Path(file)
    return tuple(path.read_text(errors="replace").splitlines()) if path.stat().st_size <= _MAX_BYTES else ()
