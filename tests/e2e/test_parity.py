"""The same choices give byte-equal plans by every way in: the wizard, a preset, `--set`, an exported preset."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nftui.model.choices import Choices
from nftui.model.plan import canonical
from nftui.model.stack import ProjectRequest
from nftui.presets import export_preset
from nftui.session import Session
from nftui.tui.desk import Desk
from nftui.tui.screens.optimization import OptimizationScreen
from nftui.tui.screens.review import ReviewScreen
from nftui.tui.screens.welcome import WelcomeScreen
from nftui.tui.widgets.edit import Edit
from nftui.tui.wizard import WizardApp

if TYPE_CHECKING:
    from textual.pilot import Pilot

pytestmark = pytest.mark.timeout(240)
COMPOSE = """services:
  postgres:
    image: postgres:15
    environment: {POSTGRES_PASSWORD: not-a-secret}
    volumes: ["data:/var/lib/postgresql/data"]
    deploy: {resources: {limits: {memory: 2G, cpus: "2.0"}}}
volumes: {data: {}}
"""
PRESET = """schema: nftui/preset/1
name: parity
description: what the operator chose in the wizard
optimizations:
  postgres:
    services:
      postgres: {work_mem: 5MB, shared_buffers: 20%, random_page_cost: 2, jit: off}
"""
SETS = ("work_mem=5120kB", "shared_buffers=20%", "random_page_cost=2.0", "jit=off")
TYPED = {"shared_buffers": "20%", "work_mem": "5MB", "random_page_cost": "2", "jit": "off"}
LIMIT_S = 60.0


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Files only: nothing of it runs, and its image need not be there."""
    directory = tmp_path / "parity"
    directory.mkdir()
    (directory / "compose.yaml").write_text(COMPOSE)
    return directory


Open = Callable[[], Session]


@pytest.fixture
def session(project: Path) -> Iterator[Open]:
    """A new one at each call, as each start of nftui makes it."""
    made: list[Session] = []

    def make() -> Session:
        made.append(Session(ProjectRequest(str(project)), state_dir=project.parent / "state"))
        return made[-1]

    yield make
    for one in made:
        engine = one.gatherer.wiring.engine
        if engine is not None:
            engine.close()


def core(one: Session, choices: Choices) -> bytes:
    """The proven plan's core."""
    return canonical(one.prove(choices).draft.core())


async def until(pilot: Pilot[int], screen: type, ready: str = "") -> None:
    """Until such a screen is up, and where named, that attribute of the desk or the screen is there."""
    async with asyncio.timeout(LIMIT_S):
        while not isinstance(pilot.app.screen, screen) or (ready and not getattr(pilot.app.screen, ready)):
            await pilot.pause(0.02)
    await pilot.pause()


async def type_value(pilot: Pilot[int], knob: str, value: str) -> None:
    """To that row, `e`, the value, Enter: as the operator does it."""
    screen = pilot.app.screen
    assert isinstance(screen, OptimizationScreen)
    await pilot.press("home")
    while screen.row is not None and screen.row.advice.knob != knob:
        await pilot.press("down")
    assert screen.row is not None, knob
    await pilot.press("e", "ctrl+u")
    for letter in value:
        await pilot.press({"%": "percent_sign", ".": "full_stop"}.get(letter, letter))
    await pilot.press("enter")
    async with asyncio.timeout(LIMIT_S):
        while screen.query_one(Edit).is_open:
            await pilot.pause(0.02)


async def chosen_in_the_wizard(session: Open) -> tuple[bytes, Choices]:
    """From the welcome screen to the review; what it would apply."""
    desk = Desk(session(), lambda text: text, ssh=False)
    app = WizardApp(desk)
    async with app.run_test(size=(80, 24)) as pilot:
        async with asyncio.timeout(LIMIT_S):
            while not desk.loaded or not isinstance(app.screen, WelcomeScreen):
                await pilot.pause(0.02)
        await pilot.pause()
        await pilot.press("enter")
        await until(pilot, OptimizationScreen)
        await pilot.press("m")
        for knob, value in TYPED.items():
            await type_value(pilot, knob, value)
        await pilot.press("enter")
        await until(pilot, ReviewScreen, "plan")
        review = app.screen
        assert isinstance(review, ReviewScreen) and review.plan is not None
        return canonical(review.plan.draft.core()), desk.choices


async def test_wizard_preset_set_and_export_give_one_plan(project: Path, session: Open) -> None:
    wizard, choices = await chosen_in_the_wizard(session)
    assert b"work_mem=5MB" in wizard or b'"work_mem":"5MB"' in wizard
    preset, exported = project.parent / "parity.yaml", project.parent / "exported.yaml"
    preset.write_text(PRESET)
    exported.write_text(export_preset(choices, "exported", "from the wizard"))
    one = session()
    sets = [f"postgres@postgres.{text}" for text in SETS]
    ways = {
        "preset": one.choices(preset=str(preset))[0],
        "set": one.choices(sets=sets)[0],
        "only": one.choices(only=["postgres"], sets=sets)[0],
        "for all servers": one.choices(sets=[f"postgres.{text}" for text in SETS])[0],
        "with what is not there": one.choices(sets=[*sets, "postgres@gone.work_mem=1GB"])[0],
        "export": one.choices(preset=str(exported))[0],
    }
    assert {name: core(one, way) == wizard for name, way in ways.items()} == dict.fromkeys(ways, True)


async def test_untouched_choices_are_the_plan_without_options(session: Open) -> None:
    desk = Desk(session(), lambda text: text, ssh=False)
    desk.load()
    one = session()
    assert core(desk.session, desk.choices) == core(one, one.choices()[0])
