"""Health gates in memory: what counts as being as well as before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.steps import gate
from nftui.steps.kind import StepFailed
from tests.engine.world import new_world

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
