"""A scrolling list of styled lines that repaints only the lines that changed: few bytes over SSH."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nftui.tui.texts import Line

_TONES = ("dim", "strong", "good", "warn", "bad", "add", "remove", "accent", "cursor")


class Lines(ScrollView, can_focus=True):
    """Shows `Line`s as they are, one per row; arrows scroll it."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"lines--{tone}" for tone in _TONES}
    DEFAULT_CSS = """
    Lines { background: $background; scrollbar-size: 0 1; overflow-x: hidden; }
    Lines > .lines--dim { color: $text-muted; }
    Lines > .lines--strong { text-style: bold; }
    Lines > .lines--good { color: $text-success; }
    Lines > .lines--warn { color: $text-warning; }
    Lines > .lines--bad { color: $text-error; text-style: bold; }
    Lines > .lines--add { color: $text-success; }
    Lines > .lines--remove { color: $text-error; }
    Lines > .lines--accent { color: $text-accent; text-style: bold; }
    Lines > .lines--cursor { background: $surface-lighten-2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "shift(-8)", show=False),
        Binding("right", "shift(8)", show=False),
    ]

    def __init__(self, lines: Sequence[Line] = (), *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines: list[Line] = list(lines)
        self.shift = 0
        self._width = 0
        self._tones: dict[str, Style] = {}

    class Sized(Message):
        """Its width is another one: what was fitted to it must be fitted again."""

    def on_resize(self) -> None:
        """Tell the screen, once per width."""
        if self.size.width != self._width:
            self._width = self.size.width
            self.post_message(self.Sized())

    def on_mount(self) -> None:
        """The first lines may have been given before there was a size."""
        self._measure()

    def show(self, lines: Sequence[Line]) -> None:
        """Replace the lines; only those that differ are painted again."""
        old, self.lines = self.lines, list(lines)
        if len(old) != len(self.lines):
            self._measure()
            self.refresh()
            return
        for number, (before, after) in enumerate(zip(old, self.lines, strict=True)):
            if before != after:
                self.refresh_row(number)

    def refresh_row(self, number: int) -> None:
        """Paint one line again."""
        self.refresh(Region(0, number - self.scroll_offset.y, self.size.width, 1))

    def text(self) -> str:
        """What stands here, without tones."""
        return "\n".join("".join(part for part, _ in line) for line in self.lines)

    def reveal(self, number: int) -> None:
        """Scroll so that line `number` is seen, near the top where it was out of sight."""
        top, height = self.scroll_offset.y, self.size.height
        if not top <= number < top + height:
            self.go_to(max(0, number - 1))

    def go_to(self, number: int) -> None:
        """Scroll so that line `number` is the first one, as far as there are lines."""
        # Forced: lines that have just been given have no scroll bar yet, and without one Textual would not move.
        self.scroll_to(y=number, animate=False, force=True)

    def action_shift(self, cells: int) -> None:
        """Look at the rest of long lines."""
        widest = max((sum(len(part) for part, _ in line) for line in self.lines), default=0)
        self.shift = max(0, min(self.shift + cells, widest - 20))
        self.refresh()

    def notify_style_update(self) -> None:
        """Tones follow the theme."""
        super().notify_style_update()
        self._tones.clear()

    def _measure(self) -> None:
        self.virtual_size = Size(1, len(self.lines))

    def _tone(self, name: str) -> Style:
        if name not in self._tones:
            whole = self.get_component_rich_style(f"lines--{name}")  # a partial one would lose the muted colour
            ground = whole.bgcolor if name == "cursor" else None
            self._tones[name] = Style(color=None if ground else whole.color, bgcolor=ground, bold=whole.bold or None)
        return self._tones[name]

    def render_line(self, y: int) -> Strip:
        """One row of the screen."""
        number = y + self.scroll_offset.y
        return self.paint(number, self.lines[number] if number < len(self.lines) else ())

    def paint(self, number: int, line: Line, extra: Style | None = None) -> Strip:
        """`line` in this widget's width; `extra` lies under every span."""
        base = self.rich_style + extra if extra else self.rich_style
        segments = [Segment(part, base + self._tone(tone) if tone else base) for part, tone in line]
        return Strip(segments).crop_extend(self.shift, self.shift + self.size.width, base)


class Choice(Lines):
    """Lines with a cursor: a sign in the first cell and a bar, so that it is seen without colour."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("home", "move(-9999)", show=False),
        Binding("end", "move(9999)", show=False),
    ]
    cursor: reactive[int] = reactive(0, repaint=False, init=False)

    class Moved(Message):
        """The cursor stands on another line."""

    def __init__(self, lines: Sequence[Line] = (), *, sign: str = "▸", id: str | None = None) -> None:
        super().__init__(lines, id=id)
        self.sign = sign

    def show(self, lines: Sequence[Line]) -> None:
        """Keep the cursor on a line that exists."""
        super().show(lines)
        self.cursor = max(0, min(self.cursor, len(self.lines) - 1))

    def on_resize(self) -> None:
        """A list that shrinks (an input opens under it) still shows where the cursor is."""
        self.reveal(self.cursor)

    def action_move(self, steps: int) -> None:
        """Up or down, stopping at the ends."""
        self.cursor = max(0, min(self.cursor + steps, len(self.lines) - 1))

    def watch_cursor(self, old: int, new: int) -> None:
        """Only the two lines concerned are painted again."""
        self.reveal(new)
        self.refresh_row(old)
        self.refresh_row(new)
        self.post_message(self.Moved())

    def paint(self, number: int, line: Line, extra: Style | None = None) -> Strip:
        """With the cursor's sign in front of every line."""
        here = number == self.cursor and bool(self.lines)
        sign = f" {self.sign} " if here else "   "
        under = self._tone("cursor") if here and self.has_focus else extra
        return super().paint(number, ((sign, "accent"), *line), under)
