"""Crashes after the journal lines of chosen steps, of plans that are too long to be cut off everywhere."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tests.crash.bed import RECOVER, RESUME, ROLLBACK, Bed, Point
from tests.crash.conftest import ALL
from tests.crash.figures import FIGURES


@dataclass(frozen=True)
class Trial:
    """One crash and what is done about it."""

    point: Point
    step: str
    """What is cut off."""
    death: str
    then: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.death} dies {self.point}, then {' '.join(self.then[:2])}"


def trials(events: Iterable[tuple[str, int]], steps: Mapping[str, str]) -> list[Trial]:
    """After each journal line of `steps` (ends of ids to what they are), all of which are there; deaths and what is
    done then take turns."""
    found = [(Point(name, number, "after"), _step(name, steps)) for name, number in events if _step(name, steps)]
    assert {step for _, step in found} == set(steps.values())
    ways = (ROLLBACK, RESUME, RECOVER)
    return [Trial(p, s, ("worker", "power")[n % 2], ways[n % 3]) for n, (p, s) in enumerate(found)]


def try_share(chance: random.Random, found: list[Trial], scenario: str, act: Callable[[Trial], None]) -> None:
    """All of them, or one of each step; each is counted, and the first that is not recovered ends it."""
    steps = sorted({trial.step for trial in found})
    picked = found if ALL else [chance.choice([t for t in found if t.step == step]) for step in steps]
    FIGURES.left_out[scenario] = len(found) - len(picked)
    for trial in picked:
        try:
            act(trial)
        except BaseException:
            FIGURES.count(scenario, "NOT recovered")
            raise
        FIGURES.count(scenario, "recovered")


def _step(event: str, steps: Mapping[str, str]) -> str:
    word = event.rpartition(" ")[2].rpartition("/")[2]
    return steps.get(word, "") if event.startswith("journal ") else ""


def cut_off(bed: Bed, trial: Trial, apply: tuple[str, ...]) -> None:
    """An apply of a life of its own that dies there, and what is done about it."""
    bed.new_life()
    assert bed.crash(trial.point, trial.death, *apply), f"{trial}: it did not come to that\n{bed.said}"
    done = bed.nftui(*trial.then, timeout=600)
    assert done.code in (0, 1), (str(trial), done.out, done.err)
