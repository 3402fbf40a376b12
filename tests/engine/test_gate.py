"""Health gates in memory: what counts as being as well as before."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.steps import gate
from nftui.steps.kind import StepFailed
from tests.engine.world import World, new_world

STEP = StepSpec("recreate", "recreate", "db", {}, msg("recreate"), "db", stall_s=2.0)
BEFORE = {"scale": 1, "healthy": True, "containers": []}


@pytest.mark.parametrize("health", [None, "healthy"])
def test_a_check_that_was_taken_away_is_not_waited_for(tmp_path: Path, health: str | None) -> None:
    world = new_world(tmp_path)
    assert world.container
    world.container = replace(world.container, health=health)
    gate.wait_serving(STEP, BEFORE, world.context())


def test_a_check_that_is_not_green_yet_is(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    assert world.container
    world.container = replace(world.container, health="starting")
    with pytest.raises(StepFailed, match="waiting for the health of db"):
        gate.wait_serving(STEP, BEFORE, world.context())


def started(seconds_ago: float) -> str:
    """As the engine writes it, with nanoseconds."""
    return (datetime.now(UTC) - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")


def waited(tmp_path: Path, started_at: str | None, reasons: list[str | None], state: str = "running") -> float:
    """Seconds that recovery waits for a server that answers so, one after the other."""
    world = new_world(tmp_path)
    assert world.container
    world.container = replace(world.container, started_at=started_at, state=state)
    gate.await_starts(world.context(serving=lambda name: reasons.pop(0) if len(reasons) > 1 else reasons[0]))
    return world.clock


def test_a_server_that_comes_up_is_waited_for(tmp_path: Path) -> None:
    assert 0 < waited(tmp_path, started(5), ["refused", "refused", None]) < 1


@pytest.mark.parametrize("ago", [gate.YOUNG_S + 10, -3600])
def test_one_that_runs_for_long_or_tells_another_time_is_not(tmp_path: Path, ago: float) -> None:
    assert waited(tmp_path, started(ago), ["refused"]) == 0


def test_one_that_does_not_run_is_not(tmp_path: Path) -> None:
    assert waited(tmp_path, started(5), ["refused"], "restarting") == 0


def test_one_that_never_answers_is_given_up(tmp_path: Path) -> None:
    assert gate.YOUNG_S <= waited(tmp_path, started(1), ["refused"]) < gate.YOUNG_S + 1


def needing(tmp_path: Path, recovers_s: float, healthy_s: float = 1e9, *, moves: bool = True) -> float:
    """Seconds until a service is well, or given up, whose server recovers for so long."""
    world = new_world(tmp_path)
    assert world.container
    world.container = replace(world.container, health="starting")

    def serving(name: str) -> str | None:
        if name == "pg" and world.clock < recovers_s:
            return f"in recovery, {world.clock if moves else 0:.0f}"
        return None

    def sleep(seconds: float) -> None:
        assert world.container
        world.sleep(seconds)
        world.container = replace(world.container, health="healthy" if world.clock >= healthy_s else "starting")

    gate.wait_serving(replace(STEP, params={"after": ["pg"]}), BEFORE, world.context(serving=serving, sleep=sleep))
    return world.clock


def test_a_service_whose_server_recovers_is_waited_for(tmp_path: Path) -> None:
    assert 9 <= needing(tmp_path, 8, 9) < 10


@pytest.mark.parametrize(
    ("recovers_s", "moves", "least", "most"), [(0, True, 2, 3), (9, True, 10, 13), (1e9, False, 4, 5)]
)
def test_and_given_up_once_its_server_works_or_stands_still(
    tmp_path: Path, recovers_s: float, moves: bool, least: float, most: float
) -> None:
    clocks: list[float] = []
    world_sleep = World.sleep

    def sleep(self: World, seconds: float) -> None:
        world_sleep(self, seconds)
        clocks.append(self.clock)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(StepFailed, match="waiting for the health of db"):
        patch.setattr(World, "sleep", sleep)
        needing(tmp_path, recovers_s, moves=moves)
    assert least <= clocks[-1] < most
