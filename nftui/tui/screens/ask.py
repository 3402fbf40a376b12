"""A question before something is lost or restarted. Enter and Esc say no: only the named key says yes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.widgets import Static

from nftui.model.errors import NftuiError
from nftui.model.message import Message, msg
from nftui.tui.background import in_thread
from nftui.tui.keys import Key, bindings
from nftui.tui.screens.page import Page

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.binding import BindingType


class AskScreen(Page[bool]):
    """Yes or no. With `details` the consequences are read first: there is no yes before they are shown."""

    KEYS: ClassVar[tuple[Key, ...]] = (
        Key("y", "yes", "y", msg("yes"), msg("do it"), 1),
        Key("n,escape,enter,q", "no", "esc", msg("no"), msg("do nothing"), 2),
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEYS)

    def __init__(
        self, question: Message, yes: Message, no: Message, details: Callable[[], list[str]] | None = None
    ) -> None:
        super().__init__()
        self.question, self.yes, self.no = question, yes, no
        self._details = details
        self._known = details is None

    def body(self) -> ComposeResult:
        """The question, what it comes to, and what each key does now."""
        waiting = [] if self._known else [self.say(msg("Looking at what it would do."))]
        yield Static(self._text(waiting), id="question", markup=False)

    def fill(self) -> None:
        """Off the event loop: reading the services may take a second."""
        if self._details is not None:
            self.run_worker(self._look(self._details), group="details", exclusive=True)

    async def _look(self, details: Callable[[], list[str]]) -> None:
        try:
            lines = await in_thread(details)
        except NftuiError as error:
            self.notice(self.say(error.message), "bad")
            return
        self._known = True
        self.query_one("#question", Static).update(self._text(lines))

    def _text(self, lines: list[str]) -> str:
        shown = "".join(f"\n   {line}" for line in lines) + ("\n" if lines else "")
        yes = f"   y    {self.say(self.yes)}\n" if self._known else ""
        return f"\n {self.say(self.question)}\n{shown}\n{yes}   esc  {self.say(self.no)}"

    def action_yes(self) -> None:
        """Only this does it, and only once it is known what."""
        if self._known:
            self.dismiss(True)

    def action_no(self) -> None:
        """Enter, too."""
        self.dismiss(False)
