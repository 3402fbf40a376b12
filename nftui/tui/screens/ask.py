"""A question before something is lost or restarted. Enter and Esc say no: only the named key says yes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.widgets import Static

from nftui.model.errors import NftuiError
from nftui.model.message import Message, msg
from nftui.tui.background import in_thread
from nftui.tui.keys import LEAVING, Key, bindings
from nftui.tui.screens.page import Page
from nftui.tui.texts import wrap
from nftui.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType


class AskScreen(Page[bool]):
    """Yes or no. With `details` the consequences are read first: there is no yes before they are shown."""

    CSS_PATH = ["page.tcss", "ask.tcss"]
    LEAVE = "no"
    COVERED = msg("A question waits here; q says no.")
    KEYS: ClassVar[tuple[Key, ...]] = (
        Key("y", "yes", "y", msg("yes"), msg("do it"), 1),
        Key(",".join(["n", "escape", "enter", *LEAVING]), "no", "esc", msg("no"), msg("do nothing"), 2),
        Key("up,down", "", "↑↓", msg("scroll"), msg("read the rest of what it comes to"), 3, bound=False),
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEYS)

    def __init__(
        self, question: Message, yes: Message, no: Message, details: Callable[[], list[str]] | None = None
    ) -> None:
        super().__init__()
        self.question, self.yes, self.no = question, yes, no
        self._details = details
        self._known = details is None
        self._lines: list[str] = []

    def body(self) -> ComposeResult:
        """The question, what it comes to, and what each key does now: only what lies between scrolls."""
        yield Static(f"\n {self.say(self.question)}\n", id="question", markup=False)
        yield Lines(id="details")
        yield Static(id="answers", markup=False)

    def fill(self) -> None:
        """Off the event loop: reading the services may take a second."""
        details = self.query_one("#details")
        details.display = self._details is not None
        self._show_answers()
        if self._details is not None:
            details.focus()
            self._tell([self.say(msg("Looking at what it would do."))])
            self.run_worker(self._look(self._details), group="details", exclusive=True)

    def keys_now(self) -> Sequence[Key]:
        """Yes only where it is known to what; scrolling where there is more than is seen."""
        hidden = {"yes": not self._known, "": not self._is_long}
        return [key for key in self.KEYS if not hidden.get(key.action)]

    def relayout(self) -> None:
        """Lines wrap at the width."""
        self._tell(self._lines)

    def on_resize(self) -> None:
        """Another height shows more of them, or less."""
        self.call_after_refresh(self._show_answers)

    async def _look(self, details: Callable[[], list[str]]) -> None:
        try:
            lines = await in_thread(details)
        except NftuiError as error:
            self.notice(self.say(error.message), "bad")
            self._tell([])
            return
        self._known = True
        self._tell(lines)

    def _tell(self, lines: list[str]) -> None:
        details, self._lines = self.query_one("#details", Lines), lines
        width = (details.size.width or 80) - 1
        details.show([((row, ""),) for line in lines for row in _wrapped(line, width)])
        self.call_after_refresh(self._show_answers)

    @property
    def _is_long(self) -> bool:
        details = self.query_one("#details", Lines)
        return details.display and len(details.lines) > details.size.height > 0

    def _show_answers(self) -> None:
        """The words for yes and no, under a line that says where more is to be read."""
        count = len(self.query_one("#details", Lines).lines)
        more = msg("scrolls: {count} lines in all", count=count)
        rows = [f"   {self.desk.glyphs.up_down:<4} {self.say(more)}" if self._is_long else ""]
        rows += [f"   y    {self.say(self.yes)}"] if self._known else []
        self.query_one("#answers", Static).update("\n".join([*rows, f"   esc  {self.say(self.no)}"]))
        self.fill_keys()

    def action_yes(self) -> None:
        """Only this does it, and only once it is known what."""
        if self._known:
            self.dismiss(True)

    def action_no(self) -> None:
        """Enter, too."""
        self.dismiss(False)


def _wrapped(line: str, width: int) -> list[str]:
    """Rows of one line, all under its own indent."""
    text = line.lstrip()
    return wrap(text, width, indent=" " * (3 + len(line) - len(text)))
