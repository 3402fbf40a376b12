"""Drives the wizard as an operator does: keys in, the text of the screen out; waits for conditions, never sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from textual.widgets import Static

from nftui.tui.desk import Desk
from nftui.tui.glyphs import UNICODE, Glyphs
from nftui.tui.screens.optimization import OptimizationScreen
from nftui.tui.wizard import WizardApp
from tests.tui.fakes import FakeSession

if TYPE_CHECKING:
    from textual.pilot import Pilot

LIMIT_S = 10.0


class Driver:
    """One open wizard."""

    def __init__(self, app: WizardApp, pilot: Pilot[int], session: FakeSession) -> None:
        self.app, self.pilot, self.session = app, pilot, session

    @property
    def desk(self) -> Desk:
        """What it holds."""
        return self.app.desk

    @property
    def text(self) -> str:
        """The screen as it is painted, one line per row."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(s.text for s in strip) for strip in strips)

    async def until(self, what: Callable[[], bool], said: str = "") -> None:
        """Let the app work until `what` holds."""
        async with asyncio.timeout(LIMIT_S):
            while not what():
                await self.pilot.pause()
        await self.pilot.pause()

    async def sees(self, *words: str) -> str:
        """Wait until all of `words` stand on the screen; return its text."""
        try:
            await self.until(lambda: all(word in self.text for word in words))
        except TimeoutError:
            missing = [word for word in words if word not in self.text]
            raise AssertionError(f"not on the screen: {missing}\n{self.text}") from None
        return self.text

    async def press(self, *keys: str) -> None:
        """Keys, then whatever they cause."""
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def to_knobs(self) -> OptimizationScreen:
        """From the welcome screen to the first optimization."""
        await self.sees("optimizations apply here")
        await self.press("enter")
        await self.sees("1. Alpha server tuning")
        screen = self.app.screen
        assert isinstance(screen, OptimizationScreen)
        return screen

    async def to_review(self) -> None:
        """Past both optimizations."""
        await self.to_knobs()
        await self.press("enter")
        await self.sees("2. Beta cache tuning")
        await self.press("enter")
        await self.sees("Review: nothing has been changed yet")

    def static(self, selector: str) -> str:
        """A Static's text."""
        return str(self.app.screen.query_one(selector, Static).content)


@asynccontextmanager
async def wizard(
    session: FakeSession, *, size: tuple[int, int] = (80, 24), ssh: bool = True, glyphs: Glyphs = UNICODE
) -> AsyncIterator[Driver]:
    """An open wizard; after it, no error was left on the screen."""
    app = WizardApp(Desk(session, lambda text: text, ssh=ssh, glyphs=glyphs))
    async with app.run_test(size=size) as pilot:
        yield Driver(app, pilot, session)
        assert not [n for n in app._notifications if n.severity == "error"]
