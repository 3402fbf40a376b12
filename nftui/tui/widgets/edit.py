"""The line under the knobs in which a value is typed, with its bounds or what is wrong with it below."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Static

from nftui.model.dataclass import dataclass
from nftui.model.message import msg
from nftui.tui.glyphs import UNICODE
from nftui.tui.texts import fitted, shown_bounds
from nftui.tui.widgets.bars import join

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.events import Key
    from textual.timer import Timer

    from nftui.tui.desk import Desk
    from nftui.tui.knobrows import KnobRow
    from nftui.tui.texts import Line

PAUSE_S = (0.01, 0.15)
"""Shortest and longest wait after a key, in seconds: the keys of one packet are one change, and where the preview
takes long, it follows the end of the typing."""
HINT_ROWS = 2
"""Of what is wrong with a value, where the list above has no rows to give."""
QUICK_S = 0.05
"""A preview that takes less is not put off: it keeps up with anyone's typing."""


class TypedInput(Input):
    """Takes every key in the order in which it came.

    Textual hands Backspace and its like to the app first, and letters that came in the same packet overtake them:
    over a slow connection "Backspace 4 5" would become "4". Ctrl-C leaves, as everywhere; here it would copy.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "screen.leave", show=False)]

    async def _on_key(self, event: Key) -> None:
        for binding in self._bindings.key_to_bindings.get(event.key, ()):
            event.stop()
            event.prevent_default()
            await self.run_action(binding.action)
            return


class Edit(Vertical):
    """Posts Typed while the operator types (after a pause) and at Enter; Left where the focus went elsewhere."""

    @dataclass
    class Typed(Message):
        """A value for the knob of `row`; `final` at Enter."""

        row: KnobRow
        value: str
        final: bool

    @dataclass
    class Left(Message):
        """The focus went elsewhere while the value of `row` was typed."""

        row: KnobRow

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.row: KnobRow | None = None
        """Whose value is typed, None while nothing is."""
        self._pause: Timer | None = None
        self._hint = ""
        self._told: tuple[Line, ...] = ()
        self._glyphs, self._rest = UNICODE, ""
        self._pause_s = PAUSE_S[0]

    def compose(self) -> ComposeResult:
        """Name, input; hint below."""
        with Horizontal(id="edit-row"):
            yield Static(id="edit-name", markup=False)
            box = TypedInput(id="edit-input", compact=True, select_on_focus=False)
            box.cursor_blink = False
            yield box
        yield Static(id="edit-hint", markup=False)

    @property
    def is_open(self) -> bool:
        """True while a value is typed."""
        return self.row is not None

    def open(self, row: KnobRow, desk: Desk) -> None:
        """Begin with the value that is in force."""
        self.row = row
        self._glyphs, self._rest = desk.glyphs, desk.say(msg("esc, then w: why"))
        self._hint = f"{desk.say(shown_bounds(row.knob))}" if row.knob else ""
        self.query_one("#edit-name", Static).update(f" {row.advice.knob} = ")
        box = self.query_one(Input)
        with self.prevent(Input.Changed):
            box.value = row.advice.value or row.advice.recommended or ""
        box.cursor_position = len(box.value)
        self.tell(None)
        self.add_class("-open")
        box.focus()

    def close(self) -> None:
        """Nothing more is posted."""
        self._stop()
        self.row = None
        self.remove_class("-open")

    def tell(self, error: str | None, room: int = HINT_ROWS) -> None:
        """The bounds, or what is wrong in at most `room` rows; where that is cut, it says where it is read whole."""
        text, tone = (f"! {error}", "bad") if error else (self._hint, "dim")
        rows = fitted(text, (self.size.width or 80) - 2, max(HINT_ROWS, room), self._glyphs, self._rest)
        lines = tuple(((row, tone),) for row in rows)
        if lines != self._told:  # it may take other rows, so that the whole screen is laid out again for it
            self._told = lines
            self.query_one("#edit-hint", Static).update(join(lines))

    def took(self, seconds: float) -> None:
        """What the last preview took: where that is long, the next key waits as long."""
        self._pause_s = PAUSE_S[0] if seconds < QUICK_S else min(PAUSE_S[1], seconds)

    def _stop(self) -> None:
        if self._pause is not None:
            self._pause.stop()
            self._pause = None

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self._stop()
        value, row = event.value, self.row
        if row is not None:
            self._pause = self.set_timer(self._pause_s, lambda: self.post_message(self.Typed(row, value, False)))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._stop()
        if self.row is not None:
            self.post_message(self.Typed(self.row, event.value, True))

    @on(Input.Blurred)
    def _blurred(self, event: Input.Blurred) -> None:
        """A terminal that is not looked at takes the focus for that time only."""
        event.stop()
        if self.row is not None and self.app.app_focus and not event.input.has_focus:
            self.post_message(self.Left(self.row))
