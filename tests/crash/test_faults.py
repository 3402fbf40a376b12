"""Disks that are full, read-only or gone, a clock that jumps: the run ends honestly, and the way back is exact."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.crash.bed import APPLY, ROLLBACK, Bed, Point, make_bed
from tests.crash.conftest import ALL
from tests.crash.disks import Small, small_disk
from tests.crash.figures import FIGURES
from tests.e2e.command import Done
from tests.stack.fixtures import tear_down

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(3000)]


@pytest.fixture(scope="module")
def project_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    base = tmp_path_factory.mktemp("project")
    with small_disk(base / "image", base / "disk") as disk:
        yield disk


@pytest.fixture(scope="module")
def state_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    base = tmp_path_factory.mktemp("state")
    with small_disk(base / "image", base / "disk") as disk:
        yield disk


@pytest.fixture(scope="module")
def bed(
    engine: None, project_disk: Small, state_disk: Small, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bed]:
    """The stack with its project on one small disk and nftui's state on another."""
    logs = tmp_path_factory.mktemp("logs")
    bed = make_bed(project_disk.place, state=state_disk.place / "state", logs=logs)
    try:
        bed.stack.up()
        yield bed
    finally:
        problems = tear_down(bed.stack)
    assert not problems, "a stack was not removed whole"


@pytest.fixture(scope="module")
def events(bed: Bed) -> list[tuple[str, int]]:
    """All that a whole apply does; the stack is as before afterwards."""
    found = bed.events(*APPLY)
    assert bed.nftui(*ROLLBACK).code == 0
    return found


def picked(chance: random.Random, events: list[tuple[str, int]], name: str, number: int) -> list[Point]:
    """After which events it happens: all, or some."""
    found = [Point(event, n, "after") for event, n in events if event not in ("journal end",)]
    if ALL:
        return found
    FIGURES.left_out[name] = len(found) - number
    return sorted(chance.sample(found, number), key=found.index)


class Judge:
    """Runs a fault at many points and collects what went wrong."""

    def __init__(self, bed: Bed, name: str) -> None:
        self.bed, self.name = bed, name
        self.old = bed.picture()
        self.problems: list[str] = []

    def strike(self, point: Point, by: Sequence[str], mend: Callable[[], None]) -> None:
        """Apply, let it happen, look whether the run said the truth; mend, and bring it back."""
        self.bed.new_life()
        struck, done = self.bed.disturb(point, "command", *APPLY, by=by)
        outcome = self._said(done)
        mend()
        again = self.bed.nftui(*ROLLBACK)
        wrong = [] if struck else ["it did not happen"]
        wrong += [] if again.code == 0 else [f"rollback: {again.code} {again.out}{again.err}"]
        wrong += self.bed.judge(self.old) + self.bed.invariants(0)
        self.problems += [f"{self.name} {point}, {outcome}: {w[:1500]}" for w in wrong]
        FIGURES.count(self.name, f"{outcome}, then NOT back" if wrong else f"{outcome}, then back")

    def _said(self, done: Done) -> str:
        """How it ended, by its code; a code that does not fit the outcome is a lie."""
        unchanged = self.bed.picture_of_files() == self.old["files"]
        honest = {0: ("applied", not unchanged), 1: ("rolled back", unchanged), 5: ("cut off", True)}
        name, true = honest.get(done.code, (f"code {done.code}", False))
        if not true:
            self.problems.append(f"{self.name}: code {done.code} is not true: {done.out}{done.err}"[:1500])
        return name


def test_a_full_disk_under_the_state(
    bed: Bed, state_disk: Small, events: list[tuple[str, int]], chance: random.Random, portion: slice
) -> None:
    name = "state disk full"
    judge = Judge(bed, name)
    for point in picked(chance, events, name, 1)[portion]:
        judge.strike(point, state_disk.fill, state_disk.empty)
    assert not judge.problems, "\n".join(judge.problems)


def test_a_full_disk_under_the_project(
    bed: Bed, project_disk: Small, events: list[tuple[str, int]], chance: random.Random, portion: slice
) -> None:
    name = "project disk full"
    judge = Judge(bed, name)
    for point in picked(chance, events, name, 1)[portion]:
        judge.strike(point, project_disk.fill, project_disk.empty)
    assert not judge.problems, "\n".join(judge.problems)


def test_the_project_turns_read_only(
    bed: Bed, project_disk: Small, events: list[tuple[str, int]], chance: random.Random, portion: slice
) -> None:
    name = "project read-only"
    judge = Judge(bed, name)
    for point in picked(chance, events, name, 1)[portion]:
        judge.strike(point, project_disk.freeze, project_disk.thaw)
    assert not judge.problems, "\n".join(judge.problems)


def test_the_disk_under_the_state_is_gone(
    bed: Bed, state_disk: Small, events: list[tuple[str, int]], chance: random.Random, portion: slice
) -> None:
    name = "state disk gone"
    judge = Judge(bed, name)
    for point in picked(chance, events, name, 1)[portion]:
        judge.strike(point, state_disk.fail, state_disk.plug_in_again)
    assert not judge.problems, "\n".join(judge.problems)


def test_a_clock_that_jumps_back_changes_nothing(
    bed: Bed, chance: random.Random, events: list[tuple[str, int]], portion: slice
) -> None:
    old = bed.picture()
    for point in picked(chance, events, "clock jumps back", 1)[portion]:
        bed.new_life()
        struck, done = bed.disturb(point, "clock", *APPLY)
        assert struck and done.code == 0 and done.json["outcome"] == "applied", f"{point}: {done.out}{done.err}"
        assert all(s["seconds"] is None or s["seconds"] >= 0 for s in done.json["steps"])
        assert not bed.invariants(1), point
        back = bed.nftui(*ROLLBACK)
        assert back.code == 0 and not bed.judge(old) and not bed.invariants(0), f"{point}: {back.out}{back.err}"
        FIGURES.count("clock jumps back", "applied, then back")


def test_an_undo_that_fails_says_what_stands_and_can_be_run_again(bed: Bed, project_disk: Small) -> None:
    old = bed.picture()
    bed.new_life()
    point = Point("journal verified recreate:postgres", 1, "after")
    struck, done = bed.disturb(point, "command", *APPLY, "--confirm-within", "1", by=project_disk.freeze)
    assert struck and done.code == 5 and done.json["outcome"] == "failed", done.out + done.err
    standing = done.json["standing"]
    assert str(bed.stack.directory / ".env") in standing and "postgres" in standing, standing
    assert str(bed.stack.directory / "compose.nftui.yaml") in standing, standing
    assert bed.nftui("status", "--json").json["state"] == "interrupted"
    again = bed.nftui(*ROLLBACK)
    assert again.code == 5 and again.json["standing"], again.out + again.err
    assert bed.nftui("status").code == 5
    project_disk.thaw()
    last = bed.nftui(*ROLLBACK)
    assert last.code == 0 and last.json["outcome"] == "rolled-back", last.out + last.err
    assert not bed.judge(old) and not bed.invariants(0)
    FIGURES.count("undo fails", "said what stands, then back")


def test_an_automatic_way_back_is_a_failure_by_its_code(bed: Bed) -> None:
    old = bed.picture()
    bed.new_life()
    done = bed.nftui(*APPLY, "--confirm-within", "1")
    assert done.code == 1 and done.json["outcome"] == "rolled-back", done.out + done.err
    assert not bed.judge(old) and not bed.invariants(0)
