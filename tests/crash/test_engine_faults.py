"""The engine is stopped or restarted in mid-run, a second one of the tests: nothing is lost, nothing is claimed."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.bed import APPLY, ROLLBACK, Bed, Point, make_bed
from tests.crash.conftest import ALL
from tests.crash.engines import OwnEngine, own_engine
from tests.crash.figures import FIGURES
from tests.stack import images
from tests.stack.fixtures import tear_down

# Copying an image into a second engine costs more than a plain run may take.
pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.all, pytest.mark.timeout(3000)]
POINTS = (
    Point("journal begin", 1, "after"),
    Point("journal verified override:compose.nftui.yaml", 1, "after"),
    Point("journal verified env:.env", 1, "after"),
    Point("journal intent recreate:postgres", 1, "after"),
    Point("up postgres", 1, "before"),
    Point("up postgres", 1, "after"),
    Point("journal done recreate:postgres", 1, "after"),
    Point("journal verified recreate:postgres", 1, "after"),
    Point("journal intent postgres-settings:postgres", 1, "after"),
    Point("journal verified postgres-settings:postgres", 1, "after"),
)


@pytest.fixture(scope="module")
def second(engine: None) -> Iterator[OwnEngine]:
    """In a directory whose name is short: its sockets lie in it."""
    directory = Path(tempfile.mkdtemp(prefix="nftui-e-"))
    try:
        with own_engine(directory) as found:
            found.load(images.reference("postgres:15"))
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("DOCKER_HOST", found.host)
                yield found
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def bed(second: OwnEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """The stack on the second engine."""
    bed = make_bed(tmp_path_factory.mktemp("bed"))
    try:
        bed.stack.up()
        yield bed
    finally:
        problems = tear_down(bed.stack)
    assert not problems, "a stack was not removed whole"


def points(chance: random.Random) -> list[Point]:
    return list(POINTS) if ALL else chance.sample(POINTS, 1)


def test_the_engine_is_stopped(bed: Bed, second: OwnEngine, chance: random.Random) -> None:
    old, problems = bed.picture(), []
    for point in points(chance):
        bed.new_life()
        struck, done = bed.disturb(point, "command", *APPLY, by=second.command("stop"))
        second.start()
        problems += _brought_back(bed, old, point, struck, done.code, done.out + done.err)
        FIGURES.count("engine stopped", f"code {done.code}, then {'NOT ' if problems else ''}back")
    assert not problems, "\n".join(problems)


def test_the_engine_is_restarted(bed: Bed, second: OwnEngine, chance: random.Random) -> None:
    old, problems = bed.picture(), []
    for point in points(chance):
        bed.new_life()
        struck, done = bed.disturb(point, "command", *APPLY, by=second.command("restart"))
        problems += _brought_back(bed, old, point, struck, done.code, done.out + done.err)
        FIGURES.count("engine restarted", f"code {done.code}, then {'NOT ' if problems else ''}back")
    assert not problems, "\n".join(problems)


def _brought_back(bed: Bed, old: dict[str, object], point: Point, struck: bool, code: int, said: str) -> list[str]:
    """What is wrong after a rollback; a run that says 1 must have left nothing."""
    wrong = [] if struck else ["it did not happen"]
    changed = bed.picture_of_files() != old["files"]
    if (code == 1 and changed) or (code == 0 and not changed) or code not in (0, 1, 5):
        wrong.append(f"code {code} is not true: {said}")
    back = bed.nftui(*ROLLBACK)
    wrong += [] if back.code == 0 else [f"rollback {back.code}: {back.out}{back.err}"]
    wrong += bed.judge(old) + bed.invariants(0)
    return [f"{point}: {w[:1500]}" for w in wrong]
