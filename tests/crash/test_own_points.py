"""Cut off while a service of nftui's own, with files that it mounts, comes or goes on the real engine."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.crash.bed import RECOVER, RESUME, ROLLBACK, Bed, Point
from tests.crash.conftest import ALL
from tests.crash.figures import FIGURES
from tests.e2e.command import copy_package

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(3600)]

KINDS = {"mounted", "start", "remove"}
"""Step kinds of the two plans."""
DROPPED = Path(__file__).parents[1] / "services" / "dropped" / "relay.py"
COMES = ("apply", "--only", "relay", "--yes", "--json", "--settle", "0")
GOES = ("apply", "--only", "relay", "--off", "relay", "--yes", "--json", "--settle", "0")
PARTS = {"mounted": ("mounted:", "leave:", "redis.conf", "users.txt"), "start": ("start:", "up relay"),
         "remove": ("remove:", "/stop", "DELETE", "post ")}  # fmt: skip
"""Parts of the names of what happens in steps of each kind; of another kind, what its steps are called."""


@pytest.fixture(scope="module")
def own(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """The bed, with the optimization that brings a service."""
    yield replace(bed, package=copy_package(tmp_path_factory.mktemp("relay"), DROPPED))


def points(events: list[tuple[str, int]], kind: str) -> list[Point]:
    """Before and after each event of that kind's steps."""
    mine = [(name, number) for name, number in events if any(part in name for part in PARTS.get(kind, (f"{kind}:",)))]
    return [Point(name, number, when) for name, number in mine for when in ("before", "after")]


def share(chance: random.Random, found: list[Point], label: str) -> list[Point]:
    """All, or one."""
    assert found
    picked = found if ALL else [chance.choice(found)]
    FIGURES.left_out[label] = len(found) - len(picked)
    return picked


def test_a_service_that_was_coming_is_there_whole_or_not_at_all(own: Bed, chance: random.Random) -> None:
    old, events = own.picture(), own.events(*COMES)
    new = own.picture()
    assert own.nftui(*ROLLBACK).code == 0 and not own.judge(old)
    problems = []
    trials = [p for kind in ("mounted", "start") for p in share(chance, points(events, kind), f"own: {kind}")]
    for number, point in enumerate(trials):
        then = (ROLLBACK, RESUME, RECOVER)[number % 3]
        own.new_life()
        assert own.crash(point, "worker", *COMES), point
        done = own.nftui(*then)
        wrong = [] if done.code == 0 else [done.out + done.err]
        wrong += own.judge(old if then == ROLLBACK else new)
        FIGURES.count("own service comes", "NOT recovered" if wrong else "recovered")
        problems += [f"{point}, then {then[:2]}: {w[:1500]}" for w in wrong]
        if then != ROLLBACK:
            assert own.nftui(*ROLLBACK).code == 0
        problems += [f"{point}, taken back: {w[:1500]}" for w in own.judge(old)]
    assert not problems, "\n".join(problems)


def test_a_service_that_was_going_is_back_or_gone(own: Bed, chance: random.Random) -> None:
    own.new_life()
    old = own.picture()
    assert own.nftui(*COMES).code == 0
    there, events = own.picture(), own.events(*GOES)
    gone = own.picture()
    assert own.nftui(*ROLLBACK).code == 0 and not own.judge(there)
    problems = []
    for number, point in enumerate(share(chance, points(events, "remove"), "own: remove")):
        assert own.crash(point, "worker", *GOES), point
        then = (ROLLBACK, RESUME)[number % 2]
        done = own.nftui(*then)
        wrong = [] if done.code == 0 else [done.out + done.err]
        wrong += own.judge(there if then == ROLLBACK else gone)
        FIGURES.count("own service goes", "NOT recovered" if wrong else "recovered")
        problems += [f"{point}, then {then[:2]}: {w[:1500]}" for w in wrong]
        if then != ROLLBACK:
            assert own.nftui(*ROLLBACK).code == 0
        problems += [f"{point}, brought back: {w[:1500]}" for w in own.judge(there)]
    assert own.nftui(*ROLLBACK).code == 0
    assert not own.judge(old) and not problems, "\n".join(problems)
