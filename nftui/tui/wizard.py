"""The Textual app: it owns the desk, runs the flow, and leaves the terminal as it was."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, TypeVar

from textual.app import App

from nftui.model.errors import ExitCode
from nftui.model.message import msg
from nftui.tui.flow import flow
from nftui.tui.screens.ask import AskScreen

if TYPE_CHECKING:
    from textual.screen import Screen

    from nftui.tui.desk import Desk

T = TypeVar("T")


class WizardApp(App[int]):
    """Screens over one Session. Its result is the exit code."""

    TITLE = "nftui"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [
        (0, "-tiny-wide"), (60, "-narrow"), (120, "-side"), (160, "-wide")
    ]  # fmt: skip
    VERTICAL_BREAKPOINTS = [
        (0, "-tiny-high"), (18, "-low"), (24, "-normal"), (32, "-high")
    ]  # fmt: skip

    def __init__(self, desk: Desk, *, signals: bool = False) -> None:
        super().__init__()
        self.desk = desk
        self._signals = signals

    def on_mount(self) -> None:
        """Begin; a lost connection or a stop of the system ends the wizard, never the run."""
        if self._signals:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGHUP, signal.SIGTERM):
                loop.add_signal_handler(number, self._hang_up)
        self.run_worker(self._flow(), group="flow", exclusive=True)

    async def _flow(self) -> None:
        self.exit(await flow(self.desk, self.show))

    async def show(self, screen: Screen[T]) -> T:
        """Put a screen up and wait for its result."""
        return await self.push_screen_wait(screen)

    def leave(self) -> None:
        """Quit; ask where a run goes on or choices would be forgotten."""
        if isinstance(self.screen, AskScreen):
            return
        if self.desk.run is not None:
            question = msg("Leave? The run goes on without this window; 'nftui attach' shows it again.")
        elif self.desk.choices.values:
            question = msg("Leave? Nothing was applied, and your values are forgotten.")
        else:
            self.exit(self.leaving_code())
            return
        self.push_screen(AskScreen(question, msg("leave"), msg("stay")), self._left)

    def _left(self, sure: bool | None) -> None:
        if sure:
            goes_on = self.desk.say(msg("The run goes on. See it again with: nftui attach"))
            self.exit(self.leaving_code(), message=goes_on if self.desk.run else None)

    def leaving_code(self) -> int:
        """0 where nothing goes on, else what `status` and an interrupted follower would return."""
        if self.desk.run is None:
            return ExitCode.DONE
        return ExitCode.AWAITING_CONFIRM if self.desk.awaiting else ExitCode.INTERRUPTED

    def _hang_up(self) -> None:
        self.exit(self.leaving_code() or ExitCode.INTERRUPTED)
