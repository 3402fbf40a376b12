"""The wizard from welcome to result, as one coroutine; `show` puts a screen up and returns its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from nftui.model.errors import DriftError, ExitCode
from nftui.model.run import RunStatus
from nftui.tui.background import in_thread
from nftui.tui.moves import Apply, Follow, Move
from nftui.tui.screens.apply import ApplyScreen
from nftui.tui.screens.optimization import OptimizationScreen
from nftui.tui.screens.result import ResultScreen
from nftui.tui.screens.review import ReviewScreen
from nftui.tui.screens.welcome import WelcomeScreen

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.screen import Screen

    from nftui.model.message import Message
    from nftui.tui.desk import Desk

T = TypeVar("T")


class Show(Protocol):
    """Puts a screen up; returns what it was dismissed with."""

    async def __call__(self, screen: Screen[T]) -> T: ...


async def flow(desk: Desk, show: Show) -> int:
    """Welcome, one screen per optimization, review, apply, result; Esc goes one back. Returns the exit code."""
    notice: Message | None = None
    while True:
        begin = await show(WelcomeScreen(notice))
        if isinstance(begin, Follow):
            ended = await follow(desk, show, begin.start)
        else:
            ended = await choose(desk, show)
        if isinstance(ended, int):
            return ended
        notice = ended
        desk.status = await in_thread(desk.session.runs.status)


async def choose(desk: Desk, show: Show) -> int | None:
    """The screens of the optimizations, then review; None: back to the welcome screen."""
    page, notice = 0, None
    while page >= 0:
        if page < len(desk.pages):
            page += 1 if await show(OptimizationScreen(page)) is Move.NEXT else -1
            continue
        chosen = await show(ReviewScreen(notice))
        if not isinstance(chosen, Apply):
            page, notice = page - 1, None
            continue
        ended = await follow(desk, show, _starter(desk, chosen))
        if isinstance(ended, int):
            return ended
        notice = ended
    return None


def _starter(desk: Desk, chosen: Apply) -> Callable[[], str]:
    """Starts the worker; where the machine has moved on, the next review is made of fresh facts."""

    def start() -> str:
        try:
            return desk.session.runs.start_apply(
                chosen.plan, confirm_within_s=chosen.confirm_within_s, consent=chosen.consent
            )
        except DriftError:
            desk.load(refresh=True)
            raise

    desk.plan = chosen.plan
    return start


async def follow(desk: Desk, show: Show, start: Callable[[], str | None]) -> int | Message | None:
    """Watch a run to its end, show what it left, roll it back when asked to.

    Returns the exit code, or why nothing was started (a Message; None where there was nothing to do).
    """
    last: RunStatus | None = None
    notice: Message | None = None
    while True:
        seen = await show(ApplyScreen(start))
        if isinstance(seen, RunStatus):
            last, notice = seen, None
        elif last is None:
            return seen
        else:
            notice = seen
        then = await show(ResultScreen(last, notice))
        if not isinstance(then, Follow):
            return exit_code(last)
        start = then.start


_CODES = {"applied": ExitCode.DONE, "unchanged": ExitCode.DONE, "partial": ExitCode.PARTIAL}


def exit_code(status: RunStatus) -> int:
    """What the run's verb would return (cli.md)."""
    if status.code is not None:
        return status.code
    if status.outcome == "rolled-back" and status.kind == "rollback":
        return ExitCode.DONE
    if status.standing:
        return ExitCode.CUT_OFF
    return _CODES.get(status.outcome or "", ExitCode.FAILED)


__all__ = ["exit_code", "flow"]
