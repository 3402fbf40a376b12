"""Keys as one table per screen: bindings, the bar at the bottom and the help page are made from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.binding import Binding, BindingType

from nftui.model.dataclass import dataclass
from nftui.model.message import Message, msg

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.tui.glyphs import Glyphs


@dataclass(frozen=True, slots=True)
class Key:
    """One key: what it is called on the bar, what it does, how much it is needed there."""

    keys: str
    action: str
    cap: str
    label: Message
    help: Message
    rank: int = 0
    """0: on the help page only; else the highest number leaves the bar first."""
    bound: bool = True
    """False where the list that has the focus answers it."""

    def shown_cap(self, glyphs: Glyphs) -> str:
        """The key's name in the operator's alphabet."""
        pairs = (("↑↓", glyphs.up_down), ("←→", glyphs.left_right), ("⏎", glyphs.enter))
        text = self.cap
        for sign, twin in pairs:
            text = text.replace(sign, twin)
        return text


LEAVING = ("q", "ctrl+c", "ctrl+q")
"""They leave from every screen, and say no to every question."""
HELP = Key("question_mark,f1", "help", "?", msg("help"), msg("this page"), 4)
QUIT = Key(",".join(LEAVING), "leave", "q", msg("quit"), msg("leave nftui; nothing is applied by leaving"), 5)
BACK = Key("escape", "back", "esc", msg("back"), msg("the screen before this one"), 2)


def bindings(keys: Iterable[Key]) -> list[BindingType]:
    """Textual's form of the table."""
    return [Binding(k.keys, k.action, k.label.id, show=False) for k in keys if k.bound]
