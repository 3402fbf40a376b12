"""A question before something is lost or restarted. Enter and Esc say no: only the named key says yes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.widgets import Static

from nftui.model.message import Message, msg
from nftui.tui.keys import Key, bindings
from nftui.tui.screens.page import Page

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType


class AskScreen(Page[bool]):
    """Yes or no."""

    KEYS: ClassVar[tuple[Key, ...]] = (
        Key("y", "yes", "y", msg("yes"), msg("do it"), 1),
        Key("n,escape,enter,q", "no", "esc", msg("no"), msg("do nothing"), 2),
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEYS)

    def __init__(self, question: Message, yes: Message, no: Message) -> None:
        super().__init__()
        self.question, self.yes, self.no = question, yes, no

    def body(self) -> ComposeResult:
        """The question and what each key does."""
        text = f"\n {self.say(self.question)}\n\n   y    {self.say(self.yes)}\n   esc  {self.say(self.no)}"
        yield Static(text, id="question", markup=False)

    def action_yes(self) -> None:
        """Only this does it."""
        self.dismiss(True)

    def action_no(self) -> None:
        """Enter, too."""
        self.dismiss(False)
