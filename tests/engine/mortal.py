"""A worker that dies at a point of its choosing: a journal line, or one of the world's effects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from nftui.engine.journal import Journal
from tests.engine.world import Killed


class Mortal(Protocol):
    """A world that counts its effects and dies at one of them."""

    kill_at: int | None
    kill_after: bool


class MortalJournal(Journal):
    """Dies before or after the n-th line is on the disk."""

    kill_at = 0
    after = False

    def write(self, phase, step=None, **data):  # type: ignore[no-untyped-def]
        if len(self.entries) + 1 == self.kill_at and not self.after:
            raise Killed
        entry = super().write(phase, step, **data)
        if len(self.entries) == self.kill_at:
            raise Killed
        return entry


def die_at(world: Mortal, where: str, point: int, run: Callable[[Callable[[Path], Journal]], object]) -> None:
    """`run` until it dies; `where`: journal or effect, -before or -after; `run` is given what opens its journal."""

    def make(path: Path) -> Journal:
        journal = MortalJournal(path)
        if where.startswith("journal"):
            journal.kill_at, journal.after = point, where.endswith("after")
        return journal

    if where.startswith("effect"):
        world.kill_at, world.kill_after = point, where.endswith("after")
    with pytest.raises(Killed):
        run(make)
    world.kill_at = None
