"""The live preview: one file's diff, or all of them where there is room; it follows what just changed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from textual.containers import Vertical

from nftui.model.message import msg
from nftui.model.mounted import IGNORE
from nftui.tui.texts import Line, diff_lines
from nftui.tui.widgets.bars import Rule
from nftui.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from textual.app import ComposeResult

    from nftui.engine.preview import FileDiff
    from nftui.tui.desk import Desk

_DIGEST = re.compile(r"/[0-9a-f]{16}/")


class Preview(Vertical):
    """`owner` is the optimization whose part is shown first."""

    def __init__(self, desk: Desk, owner: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.desk, self.owner = desk, owner
        self._file = ""
        """Place of the file that is shown, where not all of them are."""
        self._known: dict[str, list[Line]] = {}
        self._placed, self._turned = False, False
        self._due: int | None = None
        """The line that changed before the first lines had a place."""

    def compose(self) -> ComposeResult:
        """Title, then the lines."""
        yield Rule(self.desk.glyphs.rule, id="preview-title")
        yield Lines(id="preview")

    def show(self, diffs: Sequence[FileDiff], *, whole: bool, about: str = "", own: Iterable[str] = ()) -> None:
        """Other diffs; goes to the file and line that is not as before, that of the knob `about` first.

        Files in the directories `own` are of this optimization alone, so they come before those that it shares.
        """
        from nftui.tui.screens.reader import file_lines

        ordered, widget = in_order(diffs, self.owner, tuple(own)), self.query_one("#preview", Lines)
        files = {lasting_path(d): diff_lines(d.lines) for d in ordered}
        self._follow(files, about)
        old = widget.lines if whole else self._known.get(self._file, [])
        lines = file_lines(self.desk, ordered) if whole and ordered else files.get(self._file, self._none())
        self._tell_title(ordered, whole)
        changed = None if self._turned or not old else first_difference(old, lines, about)
        self._known, self._turned = files, False
        widget.show(lines)
        if not self._placed:
            self._due = changed
            self.call_after_refresh(self._place)
        elif changed is not None:
            widget.reveal(changed)

    def turn(self) -> None:
        """The next file, from its own part on."""
        names = list(self._known)
        if names:
            self._file = names[(names.index(self._file) + 1) % len(names)]
        self._placed, self._turned = False, True

    def _follow(self, files: Mapping[str, Sequence[Line]], about: str) -> None:
        """Stay at the file that is shown unless only another one changed, or another one names the knob."""
        if self._file not in files:
            self._file, self._placed = next(iter(files), ""), False
        elif not self._turned:
            known = [name for name in (self._file, *files) if name in self._known]
            changed = [name for name in known if self._known[name] != files[name]]
            named = [name for name in changed if about and _naming(self._known[name], files[name], about)]
            self._file = next(iter([*named, *changed]), self._file)

    def _none(self) -> list[Line]:
        return [((f" {self.desk.say(msg('No file changes.'))}", "dim"),)]

    def _tell_title(self, diffs: Sequence[FileDiff], whole: bool) -> None:
        parts = [self.desk.say(msg("Preview"))]
        if diffs and whole:
            parts.append(self.desk.say(msg("all {count} files", count=len(diffs))))
        elif diffs:
            number = [lasting_path(d) for d in diffs].index(self._file)
            where = msg("file {number} of {count}, p", number=number + 1, count=len(diffs))
            parts += [diffs[number].name, self.desk.say(where)]
        self.query_one("#preview-title", Rule).set(f" {self.desk.glyphs.rule} ".join(parts))

    def _place(self) -> None:
        """Start where the owner's part begins: the override names the owners behind each service."""
        widget = self.query_one("#preview", Lines)
        if self._placed or not widget.size.height:
            return
        self._placed = True
        if self._due is not None:
            widget.reveal(self._due)
            return
        for number, line in enumerate(widget.lines):
            if self.owner in line[0][0].partition("#")[2]:
                widget.go_to(number)
                return
        widget.go_to(0)


def in_order(diffs: Iterable[FileDiff], owner: str, own: tuple[str, ...]) -> list[FileDiff]:
    """Files of `owner` alone, those with a part of it, others; what only keeps files out of a repository is last."""

    def rank(diff: FileDiff) -> int:
        if diff.name == IGNORE:
            return 3
        if diff.path.startswith(own):
            return 0
        return 1 if any(owner in line.partition("#")[2] for line in diff.lines) else 2

    return sorted(diffs, key=rank)


def lasting_path(diff: FileDiff) -> str:
    """Its path without the part that is made from what stands in the directory: with that each change is another."""
    return _DIGEST.sub("/", diff.path)


def first_difference(old: Sequence[Line], new: Sequence[Line], about: str = "") -> int | None:
    """The first line that is new, one that names `about` before all others; None where nothing differs."""
    if old == new:
        return None
    named = _naming(old, new, about) if about else []
    return next(iter([*named, *_fresh(old, new)]), min(len(old), len(new)) - 1)


def _fresh(old: Sequence[Line], new: Sequence[Line]) -> list[int]:
    known = set(old)
    return [n for n, line in enumerate(new) if line not in known and not line[0][0].startswith("@@")]


def _naming(old: Sequence[Line], new: Sequence[Line], about: str) -> list[int]:
    """New lines that name the knob `about`."""
    word = re.compile(rf"\b{re.escape(about)}\b")
    return [n for n in _fresh(old, new) if word.search(new[n][0][0])]
