"""The configuration that a server is told to read, with the files that it includes, in the order of the server."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from nftui.catalog.mounted import files_in, mounted
from nftui.model.dataclass import dataclass
from nftui.model.patterns import regex

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nftui.catalog.mounted import Mounted
    from nftui.model.stack import Service, Stack

_LINE = regex(r"^\s*([A-Za-z_][\w.]*)\s*(?:=|\s)\s*(?:'((?:[^']|'')*)'|([^\s#'][^\s#]*))")
_DEEPEST = 10
"""Beyond it the server refuses to start (CONF_FILE_MAX_DEPTH, guc_internal.h)."""


@dataclass(frozen=True, slots=True)
class Line:
    """One setting where it stands; the last of a name counts."""

    name: str
    text: str
    file: Mounted
    number: int


@dataclass(frozen=True, slots=True)
class Configuration:
    """What was read of it; not `whole` where a file that it names is not here: that one may say something else."""

    lines: tuple[Line, ...] = ()
    targets: frozenset[str] = frozenset()
    """Files and directories of the container that it is made of."""
    text: str = ""
    """The text of all of them."""
    whole: bool = True


def read_configuration(stack: Stack, service: Service, files: Iterable[Mounted]) -> Configuration:
    """The configuration that begins with these files, one after the other."""
    reading = _Reading(stack, service)
    lines = tuple(line for file in files for line in reading.lines(file, 0))
    return Configuration(lines, frozenset(reading.targets), "\n".join(reading.texts), reading.whole)


class _Reading:
    def __init__(self, stack: Stack, service: Service) -> None:
        self.stack, self.service = stack, service
        self.targets: set[str] = set()
        self.texts: list[str] = []
        self.whole = True

    def lines(self, file: Mounted, depth: int) -> Iterator[Line]:
        self.targets.add(file.target)
        if file.text is None or depth > _DEEPEST:
            self.whole = False
            return
        self.texts.append(file.text)
        for number, written in enumerate(file.text.splitlines(), 1):
            match = _LINE.match(written)
            if match is None:
                continue
            name, text = match[1].lower(), match[3] or (match[2] or "").replace("''", "'")
            if name in ("include", "include_if_exists", "include_dir"):
                # A name that is not absolute is beside the file that it stands in (AbsoluteConfigLocation).
                for other in self._included(name, str(PurePosixPath(file.target).parent / text)):
                    yield from self.lines(other, depth + 1)
            else:
                yield Line(name, text, file, number)

    def _included(self, how: str, target: str) -> list[Mounted]:
        if how == "include_dir":
            return self._directory(target)
        found = mounted(self.stack, self.service, target)
        absent = found is None or (found.path is not None and not Path(found.path).exists())
        if how == "include_if_exists" and absent:
            return []
        self.whole = self.whole and found is not None
        return [] if found is None else [found]

    def _directory(self, target: str) -> list[Mounted]:
        """Its files that end in .conf and do not begin with a dot, by name (GetConfFilesInDir)."""
        self.targets.add(target)
        folder = mounted(self.stack, self.service, target)
        found = [f for f in files_in(self.stack, self.service, target) if f.target.endswith(".conf")]
        here = folder is not None and folder.path is not None and Path(folder.path).is_dir()
        self.whole = self.whole and (here or bool(found))
        return [f for f in found if not PurePosixPath(f.target).name.startswith(".")]
