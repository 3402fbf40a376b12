"""The list of knobs of one service, with its columns' head and the line in which a value is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding
from textual.containers import Vertical
from textual.message import Message

from nftui.model.dataclass import dataclass
from nftui.model.message import msg
from nftui.tui.knobrows import Columns, KnobRow, head_line, knob_line, more_text, services_of
from nftui.tui.texts import cut, cut_middle, wrap
from nftui.tui.widgets.bars import Ends, Told
from nftui.tui.widgets.edit import Edit
from nftui.tui.widgets.lines import Choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from nftui.tui.desk import Desk


PREVIEW_ROWS = 5
"""What the preview under the knobs keeps at least, its title with it."""
_DETAIL_ROWS = 3
"""Of the whole why of one knob, where there is room; the input takes their place while it is open."""
_LEFT_ROWS = 5
"""Of the pane while a refusal is told: the head, three knobs, the input."""


class KnobList(Choice):
    """The rows; left and right change the one under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(False)", show=False),
        Binding("right", "step(True)", show=False),
    ]

    @dataclass
    class Stepped(Message):
        """One step up or down on the knob under the cursor."""

        up: bool

    def action_step(self, up: bool) -> None:
        """The screen knows what a step means."""
        self.post_message(self.Stepped(up))


class KnobPane(Vertical):
    """Rows of the chosen service; quiet ones are folded until `opened`."""

    def __init__(self, desk: Desk, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.desk = desk
        self.service: str | None = None
        self.opened = False
        self.rows: list[KnobRow] = []
        self._services: tuple[str, ...] = ()
        self._on = True

    def compose(self) -> ComposeResult:
        """Head, rows, the whole why of the row under the cursor, input."""
        yield Ends(id="columns")
        yield KnobList(sign=self.desk.glyphs.cursor, id="knobs")
        yield Told(id="detail")
        yield Edit(id="edit")

    @property
    def has_services(self) -> bool:
        """True where there is another service to go to."""
        return len(self._services) > 1

    @property
    def row(self) -> KnobRow | None:
        """The knob under the cursor, None on the line that folds."""
        cursor = self.query_one(KnobList).cursor
        return self.rows[cursor] if 0 <= cursor < len(self.rows) else None

    def show(self, rows: Sequence[KnobRow], *, on: bool) -> None:
        """All rows of the optimization; those of the chosen service are shown. The cursor stays on its knob."""
        before, self._on = self.row, on
        self._services = services_of(rows)
        if self.service not in self._services:
            self.service = self._services[0] if self._services else None
        mine = [r for r in rows if r.advice.service in (None, self.service)]
        quiet = [r for r in mine if r.quiet]
        self.rows = [r for r in mine if not r.quiet] + (quiet if self.opened else [])
        self._paint(quiet)
        names = [r.advice.knob for r in self.rows]
        if before is not None and before.advice.knob in names:
            self.query_one(KnobList).cursor = names.index(before.advice.knob)
        self._tell()

    def share(self, height: int, *, beside: bool) -> None:
        """Of `height` rows take those that the knobs need, and leave the others to the preview below.

        The preview `beside` them takes none, and before the first layout (0) there is nothing to share.
        """
        needed = 1 + len(self.query_one(KnobList).lines)
        room = height if beside else height - PREVIEW_ROWS
        self.styles.height = None if beside or height <= 0 else max(2, min(room, needed + _DETAIL_ROWS))
        if self.has_class("-roomy") is not (roomy := room >= needed + _DETAIL_ROWS):
            self.set_class(roomy, "-roomy")
            self._tell()

    def open_input(self, row: KnobRow) -> None:
        """Type a value for that knob."""
        self.add_class("-typing")
        self.query_one(Edit).open(row, self.desk)

    def tell_input(self, error: str | None) -> None:
        """What is wrong with the value that is typed: rows of the list are given for it, but not the last ones."""
        self.query_one(Edit).tell(error, self.size.height - _LEFT_ROWS)

    def close_input(self) -> None:
        """The list has the keys again, unless the operator has gone elsewhere."""
        edit = self.query_one(Edit)
        typing = edit.has_focus_within
        edit.close()
        self.remove_class("-typing")
        if typing:
            self.query_one(KnobList).focus()

    def next_service(self, steps: int) -> None:
        """Another service of the role; `show` draws it."""
        if self.service in self._services:
            self.service = self._services[(self._services.index(self.service) + steps) % len(self._services)]

    def _paint(self, quiet: Sequence[KnobRow]) -> None:
        glyphs, width = self.desk.glyphs, (self.size.width or 80) - 4
        columns = Columns.of(self.rows, width)
        lines = [knob_line(r, columns, width, self._why(r), glyphs, on=self._on) for r in self.rows]
        if quiet:
            lines.append(((f"{glyphs.more} {self.desk.say(more_text(quiet, self.opened))}", "dim"),))
        self.query_one(KnobList).show(lines or [((self.desk.say(msg("Nothing to set here.")), "dim"),)])
        head = " " + head_line(columns, glyphs)
        self.query_one("#columns", Ends).set(head, f"{self._place(width + 3 - len(head))} ")

    def _place(self, room: int) -> str:
        """Which service this is, the number first: it stays where the name is cut."""
        number = ""
        if self.service is not None and self.has_services:
            number = f"{self._services.index(self.service) + 1}/{len(self._services)} (s) "
        return number + cut_middle(self.service or "", room - len(number), self.desk.glyphs)

    def _why(self, row: KnobRow) -> str:
        """With the days of the part that it switches, first: a row cuts the rest."""
        part = row.part(self.desk.say)
        return (f"{part}: " if part else "") + self.desk.say(row.reason)

    @on(Choice.Moved)
    def _moved(self) -> None:
        self._tell()

    def _tell(self) -> None:
        """The row cuts its why; here it stands as whole as there is room, with what is to be noted about the value."""
        row = self.row
        texts = (self._why(row), *map(self.desk.say, row.advice.notes)) if row is not None else ()
        room = max(10, (self.size.width or 80) - 5)
        whole = "  ".join(texts)
        lines = wrap(whole, room) if self.has_class("-roomy") else [whole]
        if len(lines) > _DETAIL_ROWS:
            lines[_DETAIL_ROWS - 1] += f" {lines[_DETAIL_ROWS]}"
        shown = [cut(line, room, self.desk.glyphs) for line in lines[:_DETAIL_ROWS]]
        self.query_one("#detail", Told).tell([((f"   {line}", "dim"),) for line in shown])
