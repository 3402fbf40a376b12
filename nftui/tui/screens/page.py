"""What all screens share: the head, the keys, help, leaving, and the smallest size."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual import on
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Static

from nftui.model.message import Message, msg
from nftui.tui.texts import Line, fitted, host_line
from nftui.tui.widgets.bars import Ends, KeyBar, Rule, Told, join
from nftui.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from nftui.tui.desk import Desk
    from nftui.tui.keys import Key
    from nftui.tui.wizard import WizardApp

T = TypeVar("T")
NOTICE_ROWS = 4
"""Of what is said above the keys."""
SMALLEST = (60, 18)
"""Columns and rows below which a page is covered."""


class Page(Screen[T]):
    """A screen of the wizard. Subclasses give KEYS and `body`."""

    KEYS: ClassVar[tuple[Key, ...]] = ()
    LEAVE: ClassVar[str] = "leave"
    """What the keys that leave do here: the only action of a page that is covered."""
    COVERED: ClassVar[Message] = msg("q quits")
    """Says so on the cover."""
    CSS_PATH = ["page.tcss"]

    @property
    def wizard(self) -> WizardApp:
        """The app, with its own type."""

        return cast("WizardApp", self.app)

    @property
    def desk(self) -> Desk:
        """What the wizard holds."""
        return self.wizard.desk

    def say(self, text: Message) -> str:
        """The sentence in the operator's language and alphabet."""
        return self.desk.say(text)

    # -- layout --------------------------------------------------------------------------------------------
    def compose(self) -> ComposeResult:
        """Head, body (with the sidebar where there is room), notice, keys."""
        glyphs = self.desk.glyphs
        self.set_class(glyphs.rule == "-", "-ascii")
        yield Ends(id="head")
        yield Rule(glyphs.rule, id="head-rule")
        with Horizontal(id="main"):
            yield Told(id="side")
            with Vertical(id="body"):
                yield from self.body()
        yield Static(id="notice", markup=False)
        yield Rule(glyphs.rule, id="foot-rule")
        yield KeyBar()
        columns, rows = SMALLEST
        enlarge = msg("Please enlarge the terminal to at least {columns} by {rows}.", columns=columns, rows=rows)
        yield Static(f"{self.say(enlarge)}\n{self.say(self.COVERED)}", id="too-small", markup=False)

    def body(self) -> ComposeResult:
        """The screen's own widgets."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys typed ahead reach a page before its widgets are there, and were not meant for what it will show."""
        return self.is_mounted and super().check_action(action, parameters)

    def on_mount(self) -> None:
        """Fill the head; `fill` does the rest."""
        self.fill_head()
        self.fill()
        self.fill_keys()

    def on_screen_resume(self) -> None:
        """A page that was covered shows what is true now."""
        self.fill_head()

    def fill(self) -> None:
        """Put texts into the body's widgets."""

    @on(Lines.Sized)
    def _sized(self) -> None:
        self.relayout()

    def relayout(self) -> None:
        """Fit lines to a width that has changed (also the first time that it is known)."""

    def fill_head(self) -> None:
        """Where am I, on what machine, what does it cost."""
        where = f"{self.position()} "
        room = (self.size.width or 80) - len(where) - 10
        name = host_line(self.desk.facts, self.desk.glyphs, room) if self.desk.loaded else ""
        self.query_one("#head", Ends).set(f" nftui  {name}", where)
        self.query_one("#side", Told).tell(self.side_lines())

    @property
    def is_covered(self) -> bool:
        """True where the terminal is too small for the page to be read."""
        width, height = self.app.size
        return width < SMALLEST[0] or height < SMALLEST[1]

    @property
    def text_width(self) -> int:
        """Cells of a page to read, beside its scroll bar."""
        return self.app.size.width - 2

    def fill_keys(self) -> None:
        """Only keys that do something now stand on the bar."""
        glyphs = self.desk.glyphs
        self.query_one(KeyBar).show([(k.shown_cap(glyphs), self.say(k.label), k.rank) for k in self.keys_now()])

    def keys_now(self) -> Sequence[Key]:
        """The keys that do something now."""
        return self.KEYS

    def position(self) -> str:
        """The right end of the head."""
        return ""

    def side_lines(self) -> list[Line]:
        """The sidebar: all steps with done, skipped, changed, not applicable."""
        if not self.desk.loaded:
            return []
        lines: list[Line] = [self._side_line(item.id, item.title) for item in self.desk.draft.optimizations]
        here = self.here()
        last = [("review", msg("Review")), ("apply", msg("Apply")), ("result", msg("Result"))]
        cursor = self.desk.glyphs.cursor
        lines += [
            ((f" {cursor if here == i else ' '}   {self.say(m)}", "strong" if here == i else ""),) for i, m in last
        ]
        return lines

    def here(self) -> str:
        """The step that this page stands for."""
        return ""

    def _side_line(self, name: str, title: Message | None) -> Line:
        glyphs, here = self.desk.glyphs, self.here() == name
        mark, tone = self.side_mark(name)
        text = self.say(title) if title else name
        cursor = glyphs.cursor if here else " "
        return ((f" {cursor} ", "accent"), (mark, tone), (f" {text[:22]}", "strong" if here else ""))

    def side_mark(self, name: str) -> tuple[str, str]:
        """Not applicable !, changed •, skipped –, done ✓, not yet seen."""
        glyphs, choices, item = self.desk.glyphs, self.desk.choices, self.desk.item(name)
        if not item.applicable:
            return glyphs.blocked, "dim"
        if choices.selection(name) != "on":
            return glyphs.skipped, "warn"
        if any(key[0] == name for key in choices.values):
            return glyphs.changed, "accent"
        return (glyphs.done, "good") if name in self.desk.visited else (" ", "")

    def notice(self, text: str, tone: str = "warn", rest: str = "") -> None:
        """Say something above the keys; "" takes it away. `rest` says where it is read whole if it is cut."""
        widget = self.query_one("#notice", Static)
        mark = {"warn": "! ", "bad": "! "}.get(tone, "") if text else ""
        rows = fitted(f"{mark}{text}", self.app.size.width - 2, NOTICE_ROWS, self.desk.glyphs, rest)
        widget.update(join([((f" {row}", tone),) for row in rows]))
        widget.display = bool(text)

    # -- keys that every page has ----------------------------------------------------------------------------
    def action_help(self) -> None:
        """What the keys do and what the words mean."""
        from nftui.tui.screens.reader import help_screen

        self.app.push_screen(help_screen(self.desk, self.KEYS, self.text_width))

    def action_leave(self) -> None:
        """Quit, asking where something would be lost from sight."""
        self.wizard.leave()

    def show_lines(self, title: Message, lines: Sequence[Line]) -> None:
        """Open a page to read."""
        from nftui.tui.screens.reader import ReaderScreen

        self.app.push_screen(ReaderScreen(self.say(title), lines))
