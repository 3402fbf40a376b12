"""Reading /proc, /sys and /dev below a root that tests can choose; what cannot be read is noted, never raised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from nftui.model.host import Unknown

T = TypeVar("T")

_READ_LIMIT = 1 << 20
"""Bytes; no file that is read here is longer in earnest, and a broken one must not eat the memory."""


class Tree:
    """A read-only view of the machine's files; paths are absolute as the machine itself names them."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self.is_machine = self._root == Path("/")
        """False for a tree of a test: then libraries that look at the real machine must not be asked."""
        self._unknowns: dict[str, str] = {}

    @property
    def unknowns(self) -> tuple[Unknown, ...]:
        """What was noted, in order, one reason per fact (the first)."""
        return tuple(Unknown(what, reason) for what, reason in self._unknowns.items())

    def note(self, what: str, reason: str) -> None:
        """Remember why the fact `what` is unknown."""
        self._unknowns.setdefault(what, reason)

    def forget(self, what: str) -> None:
        """The fact was found in another place after all."""
        self._unknowns.pop(what, None)

    def attempt(self, what: str, read: Callable[[], T], default: T) -> T:
        """`read()`, or `default` with a note where it fails in a way nobody foresaw: detection never raises."""
        try:
            return read()
        except Exception as error:
            self.note(what, f"{type(error).__name__}: {error}")
            return default

    def at(self, path: str) -> Path:
        """Where the machine's `path` lies for this process."""
        return self._root / path.lstrip("/")

    def read(self, path: str, limit: int = _READ_LIMIT) -> str | None:
        """Stripped text of the file, None where it is absent or cannot be read (nobody needs to know why)."""
        try:
            return self._text(path, limit)
        except (OSError, ValueError):
            return None

    def ask(self, what: str, path: str, absent_ok: bool = False) -> str | None:
        """As `read`, but the reason is noted under `what`; with `absent_ok` a missing file is no news."""
        try:
            return self._text(path, _READ_LIMIT)
        except (OSError, ValueError) as error:
            missing = isinstance(error, FileNotFoundError | NotADirectoryError)
            if not (missing and absent_ok):
                self.note(what, f"{path}: {getattr(error, 'strerror', None) or error}")
            return None

    def number(self, path: str) -> int | None:
        """The integer that the file holds, None where there is none."""
        text = self.read(path)
        return int(text) if text and text.lstrip("-").isdecimal() else None

    def names(self, path: str) -> list[str]:
        """Sorted names in the directory, none where it is absent or closed."""
        try:
            return sorted(entry.name for entry in self.at(path).iterdir())
        except OSError:
            return []

    def exists(self, path: str) -> bool:
        """Whether the path can be seen; an unreadable one counts as absent."""
        try:
            return self.at(path).exists()
        except OSError:
            return False

    def real(self, path: str) -> str:
        """The path with every symbolic link followed, as the machine names it; itself where links are broken."""
        try:
            found = self.at(path).resolve()
        except (OSError, RuntimeError):  # RuntimeError: a loop of links
            return path
        return f"/{found.relative_to(self._root)}" if found.is_relative_to(self._root) else str(found)

    def _text(self, path: str, limit: int) -> str:
        with self.at(path).open("rb") as file:
            return file.read(limit).decode("utf-8", "replace").strip(" \t\r\n\0")


def base(path: str) -> str:
    """The last part of a path."""
    return path.rstrip("/").rpartition("/")[2]


def parent(path: str) -> str:
    """The path without its last part."""
    return path.rstrip("/").rpartition("/")[0] or "/"


def is_below(path: str, directory: str) -> bool:
    """Whether `path` is `directory` or lies in it."""
    return f"{path.rstrip('/')}/".startswith(f"{directory.rstrip('/')}/")


def cpu_list(text: str) -> frozenset[int]:
    """The kernel's list format: "0-3,8" is 0, 1, 2, 3, 8. Raises ValueError for anything else."""
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        low, _, high = part.partition("-")
        found.update(range(int(low), int(high or low) + 1))
    return frozenset(found)
