"""Taking a run back from any screen: what it would do is read first, what would be lost is asked for once more."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from nftui.model.message import msg
from nftui.tui.moves import Follow
from nftui.tui.plantexts import way_back_lines
from nftui.tui.screens.ask import AskScreen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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
        desk.session.facts()  # that read anew what runs: after a no, the drafts need the rest of it at once
        return way_back_lines(desk, self._way) if self._way else [desk.say(msg("Nothing of nftui is in force."))]

    def _sure(self, yes: bool | None) -> None:
        if yes and self._way is not None:
            questions = list(self._consents(self._way))
            self._next(questions, force=bool(questions))

    def _consents(self, way: WayBack) -> Iterator[AskScreen]:
        """One for each kind of thing that the command line does with --force only."""
        say = self._screen.desk.say
        if way.pending:
            known = [say(words) for words in way.pending]
            question = msg("Going back would apply that as well. Roll back all the same?")
            yield AskScreen(question, msg("roll back and apply it"), msg("keep the run"), lambda: known)
        lost = [say(loss) for loss in way.losses]
        lost += [say(msg("{path}: the edit of somebody else", path=path)) for path in way.foreign]
        if lost:
            question = msg("This is lost on the way back. Lose it?")
            yield AskScreen(question, msg("roll back and lose it"), msg("keep the run"), lambda: lost)

    def _next(self, questions: list[AskScreen], *, force: bool) -> None:
        if questions:
            self._put(questions[0], lambda yes: self._next(questions[1:], force=force) if yes else None)
        else:
            self._follow(force=force)

    def _follow(self, *, force: bool) -> None:
        self._answered(Follow(partial(self._screen.desk.session.runs.start_rollback, force=force)))

    def _put(self, screen: AskScreen, then: Callable[[bool | None], None]) -> None:
        self._screen.app.push_screen(screen, then)
