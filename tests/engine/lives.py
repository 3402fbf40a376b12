"""Lives of a worker on a world: one that goes on with a plan, and one that only goes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nftui.engine.journal import Journal
from nftui.engine.runner import Options, Outcome, Runner
from nftui.model.plan import Stage
from nftui.steps import load_kinds
from tests.engine.test_runner import Quiet
from tests.engine.world import World


def live(
    world: World, plan: tuple[Stage, ...], path: Path, make: Callable[[Path], Journal] = Journal
) -> Outcome | None:
    """Forward from where the journal ends."""
    journal = make(path)
    try:
        return Runner(journal, plan, load_kinds(), world.context(), Quiet(), Options()).forward()
    finally:
        journal.close()


def turn_back(world: World, plan: tuple[Stage, ...], path: Path, **options: object) -> Outcome | None:
    """A life that only goes back."""
    journal = Journal(path)
    runner = Runner(journal, plan, load_kinds(), world.context(**options), Quiet(), Options())
    if not runner.view.turned:
        runner.turn("asked")
    try:
        return runner.forward()
    finally:
        journal.close()
