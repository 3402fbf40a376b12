"""Widgets of few lines: text in a fixed place, text at both ends, rules, the bar of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nftui.tui.texts import Line

TONES = {
    "dim": "$text-muted", "strong": "bold", "good": "$text-success", "warn": "$text-warning",
    "bad": "bold $text-error", "add": "$text-success", "remove": "$text-error", "accent": "bold $text-accent",
}  # fmt: skip


def content(line: Line) -> Content:
    """A `Line` for widgets that take Content; nothing in it is read as markup."""
    return Content.assemble(*((part, TONES[tone]) if tone else part for part, tone in line))


def join(lines: Sequence[Line]) -> Content:
    """Several lines as one Content."""
    return Content("\n").join([content(line) for line in lines])


class Told(Static):
    """Lines in a place whose size the style sheet fixes: others move nothing, so nothing is laid out again for them."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self._told: tuple[Line, ...] = ()

    def tell(self, lines: Sequence[Line]) -> None:
        """Show other lines; nothing is painted where they are the same."""
        if tuple(lines) != self._told:
            self._told = tuple(lines)
            self.update(join(lines), layout=False)


class Ends(Static):
    """A text at the left and one at the right; the left one gives way."""

    def __init__(self, left: str = "", right: str = "", *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self.left, self.right = left, right

    def set(self, left: str, right: str) -> None:
        """Show other texts; nothing is painted where they are the same."""
        if (left, right) != (self.left, self.right):
            self.left, self.right = left, right
            self.refresh()

    def render(self) -> Content:
        """Fit both into the width that there is."""
        width = self.size.width
        room = max(0, width - len(self.right) - 1)
        return Content(f"{self.left[:room]:<{room}} {self.right}"[:width])


class Rule(Static):
    """A line across the screen, with a title in it where there is one."""

    def __init__(self, sign: str, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self.sign, self.title = sign, ""

    def set(self, title: str) -> None:
        """Another title."""
        if title != self.title:
            self.title = title
            self.refresh()

    def render(self) -> Content:
        """As wide as its place."""
        head = f"{self.sign} {self.title} " if self.title else ""
        return Content((head + self.sign * self.size.width)[: self.size.width])


class KeyBar(Static):
    """The keys of this screen; those that do not fit are left out from the end, help stays."""

    def __init__(self) -> None:
        super().__init__(id="keys", markup=False)
        self.parts: list[tuple[str, str, int]] = []

    def show(self, parts: Sequence[tuple[str, str, int]]) -> None:
        """Other keys: cap, label, rank; nothing is painted where they are the same."""
        ranked = [part for part in parts if part[2]]
        if ranked != self.parts:
            self.parts = ranked
            self.refresh()

    def render(self) -> Content:
        """Drop the least needed keys until the rest fits."""
        parts = list(self.parts)
        while len(parts) > 1 and sum(len(c) + len(t) + 3 for c, t, _ in parts) > self.size.width:
            parts.remove(max(parts, key=lambda part: part[2]))
        spans = [piece for cap, text, _ in parts for piece in ((f" {cap}", "bold"), f" {text} ")]
        return Content.assemble(*spans)
