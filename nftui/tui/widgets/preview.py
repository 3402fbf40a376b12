"""The live preview: one file's diff, or all of them where there is room; it follows what just changed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.containers import Vertical

from nftui.model.message import msg
from nftui.tui.texts import Line, diff_lines
from nftui.tui.widgets.bars import Rule
from nftui.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from nftui.engine.preview import FileDiff
    from nftui.tui.desk import Desk


class Preview(Vertical):
    """`owner` is the optimization whose part is shown first."""

    def __init__(self, desk: Desk, owner: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.desk, self.owner, self.file = desk, owner, 0
        self._placed, self._turned = False, False
        self._due: int | None = None
        """The line that changed before the first lines had a place."""

    def compose(self) -> ComposeResult:
        """Title, then the lines."""
        yield Rule(self.desk.glyphs.rule, id="preview-title")
        yield Lines(id="preview")

    def show(self, diffs: Sequence[FileDiff], *, whole: bool, about: str = "") -> None:
        """Other diffs; scrolls to the line that is not as before, that of the knob `about` first."""
        lines = self._lines(diffs, whole)
        widget = self.query_one("#preview", Lines)
        shown, changed = bool(widget.lines) and not self._turned, first_difference(widget.lines, lines, about)
        self._turned = False
        widget.show(lines)
        if not self._placed:
            self._due = changed if shown else None
            self.call_after_refresh(self._place)
        elif changed is not None:
            widget.reveal(changed)

    def turn(self) -> None:
        """The next file, from its own part on."""
        self.file += 1
        self._placed, self._turned = False, True

    def _lines(self, diffs: Sequence[FileDiff], whole: bool) -> list[Line]:
        from nftui.tui.screens.reader import file_lines

        title, dash = self.query_one("#preview-title", Rule), f" {self.desk.glyphs.rule} "
        word = self.desk.say(msg("Preview"))
        if not diffs:
            title.set(word)
            return [((f" {self.desk.say(msg('No file changes.'))}", "dim"),)]
        self.file %= len(diffs)
        if whole:
            title.set(f"{word}{dash}{self.desk.say(msg('all {count} files', count=len(diffs)))}")
            return file_lines(self.desk, diffs)
        where = msg("file {number} of {count}, p", number=self.file + 1, count=len(diffs))
        title.set(f"{word}{dash}{diffs[self.file].name}{dash}{self.desk.say(where)}")
        return diff_lines(diffs[self.file].lines)

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


def first_difference(old: Sequence[Line], new: Sequence[Line], about: str = "") -> int | None:
    """The first line that is new, one that names `about` before all others; None where nothing differs."""
    if old == new:
        return None
    known = set(old)
    fresh = [n for n, line in enumerate(new) if line not in known and not line[0][0].startswith("@@")]
    named = [n for n in fresh if about and re.search(rf"\b{re.escape(about)}\b", new[n][0][0])]
    return next(iter([*named, *fresh]), min(len(old), len(new)) - 1)
