"""Which key does what, and where: under the cover, in an input, in a question, and on leaving."""

from __future__ import annotations

import pytest
from textual.events import AppBlur, AppFocus, Key, Paste
from textual.widgets import Input

from nftui.model.errors import UsageError
from nftui.model.message import msg
from nftui.tui.keys import LEAVING
from nftui.tui.screens.optimization import OptimizationScreen
from nftui.tui.screens.review import ReviewScreen
from nftui.tui.screens.welcome import WelcomeScreen
from nftui.tui.widgets.edit import Edit
from nftui.tui.widgets.knoblist import KnobList
from nftui.tui.widgets.lines import Lines
from tests.tui.driver import Driver, wizard
from tests.tui.fakes import APPLIED, FakeSession


def bar(driver: Driver) -> str:
    """The keys at the bottom."""
    return driver.text.splitlines()[-1]


async def ended(driver: Driver) -> int | None:
    """The exit code, once it is there."""
    await driver.until(lambda: not driver.app.is_running)
    return driver.app.return_value


# -- a page that cannot be read ----------------------------------------------------------------------------------
async def test_a_run_is_not_started_unseen(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_review()
        await driver.pilot.resize_terminal(59, 18)
        await driver.sees("enlarge the terminal", "q quits")
        await driver.press("a", "escape", "enter")
        assert isinstance(driver.app.screen, ReviewScreen) and not session.applied
        await driver.pilot.resize_terminal(60, 18)
        session.play(APPLIED)
        await driver.press("a")
        await driver.sees("The run has ended")
        assert len(session.applied) == 1


async def test_an_input_under_the_cover_takes_no_letter(session: FakeSession) -> None:
    async with wizard(session) as driver:
        screen = await driver.to_knobs()
        await driver.press("e")
        box = screen.query_one("#edit-input", Input)
        await driver.pilot.resize_terminal(80, 17)
        await driver.sees("enlarge the terminal")
        driver.app.post_message(Paste("99"))
        await driver.press("9", "enter")
        assert box.value == "1536MB" and screen.query_one(Edit).is_open
        await driver.press("q")
        assert await ended(driver) == 0


async def test_under_the_cover_a_question_is_answered_with_no_only(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_knobs()
        await driver.press("right", "q")
        await driver.sees("Leave?")
        await driver.pilot.resize_terminal(40, 10)
        await driver.sees("A question waits here; q says no.")
        await driver.press("y")
        assert driver.app.is_running
        await driver.press("q")
        assert isinstance(driver.app.screen, OptimizationScreen)


# -- leaving -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("key", LEAVING)
async def test_what_leaves_asks_first_and_says_no_to_the_question(session: FakeSession, key: str) -> None:
    async with wizard(session) as driver:
        await driver.to_knobs()
        await driver.press("right", key)
        await driver.sees("what you chose is forgotten")
        await driver.press(key)
        await driver.sees("1. Alpha server tuning")
        assert driver.app.is_running and driver.desk.choices.values


async def test_ctrl_c_leaves_from_an_input(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_knobs()
        await driver.press("e", "ctrl+c")
        assert await ended(driver) == 0


async def test_what_was_switched_off_is_asked_for_too(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_knobs()
        await driver.press("space", "q")
        await driver.sees("what you chose is forgotten")
        await driver.press("escape", "space", "space", "q")
        assert await ended(driver) == 0


async def test_a_project_that_cannot_be_read_has_its_exit_code_and_next_step(session: FakeSession) -> None:
    session.facts_error = UsageError(msg("compose.yaml line 3: not YAML."))
    async with wizard(session) as driver:
        text = await driver.sees("compose.yaml line 3: not YAML. Mend this, then t reads again.")
        assert "start" not in text and "findings" not in bar(driver) and "read again" in bar(driver)
        await driver.press("a", "R", "enter", "f")
        assert "run is going on" not in driver.text and isinstance(driver.app.screen, WelcomeScreen)
        await driver.press("q")
        assert await ended(driver) == 2


async def test_a_project_that_was_mended_ends_well(session: FakeSession) -> None:
    session.facts_error = UsageError(msg("compose.yaml line 3: not YAML."))
    async with wizard(session) as driver:
        await driver.sees("not YAML")
        session.facts_error = None
        await driver.press("t")
        await driver.sees("2 optimizations apply here")
        assert "start" in bar(driver) and "findings" in bar(driver)
        await driver.press("q")
        assert await ended(driver) == 0


# -- typing ------------------------------------------------------------------------------------------------------
async def test_a_value_goes_to_the_knob_whose_input_was_opened(session: FakeSession) -> None:
    async with wizard(session) as driver:
        screen = await driver.to_knobs()
        await driver.press("e")
        screen.query_one(KnobList).cursor = 2
        await driver.press("ctrl+u", *"1GB", "enter")
        await driver.until(lambda: not screen.query_one(Edit).is_open)
        assert dict(driver.desk.choices.values) == {("alpha", "db", "cache_size"): "1GB"}


async def test_an_input_that_loses_the_focus_closes_and_leaves_its_knob_as_it_was(session: FakeSession) -> None:
    async with wizard(session) as driver:
        screen = await driver.to_knobs()
        await driver.press("down", "right", "up", "e", "ctrl+u", *"5GB")
        await driver.until(lambda: "cache_size=5GB" in screen.query_one("#preview", Lines).text())
        await driver.press("shift+tab")
        await driver.sees("cache_size is as it was: only Enter takes what is typed.")
        await driver.press("down", "tab", *"33")
        assert not screen.query_one(Edit).is_open
        assert dict(driver.desk.choices.values) == {("alpha", "db", "cache_estimate"): "9GB"}


async def test_a_terminal_that_is_not_looked_at_keeps_its_input(session: FakeSession) -> None:
    async with wizard(session) as driver:
        screen = await driver.to_knobs()
        await driver.press("e")
        for event in (AppBlur(), AppFocus()):
            driver.app.post_message(event)
            await driver.pilot.pause()
        assert screen.query_one(Edit).is_open and driver.app.focused is screen.query_one("#edit-input")


async def test_the_bar_shows_the_keys_of_the_input_while_it_is_open(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_knobs()
        assert "space on/off" in bar(driver)
        await driver.press("e")
        assert bar(driver).split("  ")[:3] == [" ⏎ take it", "esc as it was", "ctrl-c quit"]
        await driver.press("escape")
        assert "space on/off" in bar(driver) and "take it" not in bar(driver)


async def test_tab_and_enter_start_no_run_and_a_click_does() -> None:
    session = FakeSession()
    async with wizard(session) as driver:
        await driver.to_review()
        await driver.press("tab", "enter")
        await driver.sees("Press a to apply")
        assert not session.applied
        session.play(APPLIED)
        await driver.pilot.click("#go")
        await driver.sees("The run has ended")
        assert len(session.applied) == 1


# -- keys that come too early ------------------------------------------------------------------------------------
@pytest.mark.parametrize("early", ["e", "space", "q"])
async def test_a_key_typed_ahead_of_a_page_does_nothing_to_it(session: FakeSession, early: str) -> None:
    async with wizard(session) as driver:
        await driver.sees("optimizations apply here")
        for key in ("enter", early):
            driver.app.post_message(Key(key, early if len(key) == 1 else None))
        await driver.sees("1. Alpha server tuning", "[on]", "1536 MB")
        assert driver.app.is_running and isinstance(driver.app.screen, OptimizationScreen)
        await driver.press("space")
        await driver.sees("[off]")
