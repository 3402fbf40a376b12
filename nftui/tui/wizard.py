"""The Textual app: it owns the desk, runs the flow, and leaves the terminal as it was."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, TypeVar

from textual.app import App
from textual.events import Key, Paste

from nftui.model.errors import ExitCode
from nftui.model.message import msg
from nftui.tui.flow import flow
from nftui.tui.keys import LEAVING
from nftui.tui.screens.ask import AskScreen
from nftui.tui.screens.page import SMALLEST, Page

if TYPE_CHECKING:
    from textual.events import Event
    from textual.screen import Screen

    from nftui.tui.desk import Desk

T = TypeVar("T")


class WizardApp(App[int]):
    """Screens over one Session. Its result is the exit code."""

    TITLE = "nftui"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [
        (0, "-tiny-wide"), (SMALLEST[0], "-narrow"), (120, "-side"), (160, "-wide")
    ]  # fmt: skip
    VERTICAL_BREAKPOINTS = [
        (0, "-tiny-high"), (SMALLEST[1], "-low"), (24, "-normal"), (32, "-high")
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

    async def on_event(self, event: Event) -> None:
        """Of a page that cannot be read only leaving works; the mouse meets its cover."""
        if not isinstance(event, (Key, Paste)) or event.is_forwarded or not self._is_covered():
            await super().on_event(event)
        elif isinstance(event, Key) and event.key in LEAVING:
            await self.action_quit()

    def _is_covered(self) -> bool:
        return isinstance(self.screen, Page) and self.screen.is_covered

    async def action_quit(self) -> None:
        """Textual's own Ctrl-Q, which comes before the keys of every screen: here it means what q means."""
        if isinstance(self.screen, Page):
            await self.screen.run_action(self.screen.LEAVE)

    def leave(self) -> None:
        """Quit; ask where a run goes on or choices would be forgotten."""
        if self.desk.run is not None:
            question = msg("Leave? The run goes on without this window; 'nftui attach' shows it again.")
        elif self.desk.changed:
            question = msg("Leave? Nothing was applied, and what you chose is forgotten.")
        else:
            self.exit(self.leaving_code())
            return
        self.push_screen(AskScreen(question, msg("leave"), msg("stay")), self._left)

    def _left(self, sure: bool | None) -> None:
        if sure:
            goes_on = self.desk.say(msg("The run goes on. See it again with: nftui attach"))
            self.exit(self.leaving_code(), message=goes_on if self.desk.run else None)

    def leaving_code(self) -> int:
        """0, or why the project cannot be read; where a run goes on, what `status` or a cut-off follower returns."""
        if self.desk.run is None:
            return self.desk.failure.code if self.desk.failure else ExitCode.DONE
        return ExitCode.AWAITING_CONFIRM if self.desk.awaiting else ExitCode.INTERRUPTED

    def _hang_up(self) -> None:
        self.exit(self.leaving_code() or ExitCode.INTERRUPTED)
