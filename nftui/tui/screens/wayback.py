"""Taking a run back from any screen: what it would do is read first, what would be lost is asked for once more."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from nftui.model.message import msg
from nftui.tui.moves import Follow
from nftui.tui.plantexts import way_back_lines
from nftui.tui.screens.ask import AskScreen

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from nftui.model.run import WayBack
    from nftui.tui.screens.page import Page


class AskWayBack:
    """The questions before a rollback; `answered` gets the run to follow, and nothing after a no."""

    def __init__(self, screen: Page[Any], answered: Callable[[Follow], object]) -> None:
        self._screen, self._answered = screen, answered
        self._way: WayBack | None = None

    def ask(self) -> None:
        """With what the rollback would do, read now."""
        question = msg("Take this run back?")
        self._put(AskScreen(question, msg("roll back"), msg("keep it"), self._look), self._sure)

    def _look(self) -> list[str]:
        desk = self._screen.desk
        self._way = desk.session.history.way_back()
        return way_back_lines(desk, self._way) if self._way else [desk.say(msg("Nothing of nftui is in force."))]

    def _sure(self, yes: bool | None) -> None:
        if not yes or self._way is None:
            return
        if not (self._way.losses or self._way.foreign):
            self._follow(force=False)
            return
        desk, way = self._screen.desk, self._way
        lost = [desk.say(loss) for loss in way.losses]
        lost += [desk.say(msg("{path}: the edit of somebody else", path=path)) for path in way.foreign]
        question = msg("This is lost on the way back. Lose it?")
        self._put(AskScreen(question, msg("roll back and lose it"), msg("keep the run"), lambda: lost), self._lose)

    def _lose(self, yes: bool | None) -> None:
        if yes:
            self._follow(force=True)

    def _follow(self, *, force: bool) -> None:
        self._answered(Follow(partial(self._screen.desk.session.runs.start_rollback, force=force)))

    def _put(self, screen: AskScreen, then: Callable[[bool | None], None]) -> None:
        self._screen.app.push_screen(screen, then)
