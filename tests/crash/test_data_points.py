"""Data that is switched on the real engine, cut off anywhere: one whole copy is in use, the other one is fenced."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.bed import RECOVER, RESUME, ROLLBACK, Bed, Point, make_bed
from tests.crash.conftest import ALL
from tests.crash.figures import FIGURES
from tests.crash.injector import MOMENTS
from tests.crash.test_points import DATA_KINDS, Matrix, Trial, check
from tests.e2e.command import Done, copy_package
from tests.stack.fixtures import tear_down
from tests.stack.running import docker

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(os.geteuid() != 0, reason="data is copied exactly only by root"),
]
COMPOSE = Path(__file__).parent / "stack" / "data.yaml"
DROPPED = Path(__file__).parents[1] / "e2e" / "dropped" / "elsewhere.py"
CONTROL = "global/pg_control"
FENCED = f"{CONTROL}.nftui-fenced"
SHARE = 2
"""Points of a plain run; the whole runs before them go through every kind."""
KIND_OF = {
    "journal": {"check": "data-check", "stop": "hold", **{kind: kind for kind in DATA_KINDS}},
    "post": {"stop": "hold", "update": "hold", "create": "copy", "start": "release"},
    "tree": {"mark": "copy", "copy": "copy", "unmark": "lift", "rename": "fence", "remove": "copy"},
}
"""What an event is about, by its first and its last word."""


@dataclass
class DataBed(Bed):
    """A database, two apps that write to it, and nftui with an optimization that moves its data."""

    def new_life(self) -> None:
        """Also without the copies: nothing is copied over data that is there."""
        super().new_life()
        for name in docker("volume", "ls", "--quiet", "--filter", f"name={self.copied}").split():
            docker("volume", "rm", name)

    @property
    def copied(self) -> str:
        """The volume that the data goes to."""
        return f"{self.stack.project}_v1"

    def names(self, volume: str) -> list[str]:
        """Which of the two names the control file has in that volume; [] where there is no such volume."""
        if volume not in docker("volume", "ls", "--quiet").split():
            return []
        place = Path(json.loads(docker("volume", "inspect", volume))[0]["Mountpoint"])
        return [name for name in (CONTROL, FENCED) if (place / name).exists()]


class DataMatrix(Matrix):
    """Applies move the data; the way back of one that stands is consented to."""

    apply: tuple[str, ...] = (
        "apply", "--only", "elsewhere", "--set", "elsewhere.volume=v1", "--yes", "--accept-irreversible",
        "--without-backup", "--json", "--settle", "0",
    )  # fmt: skip
    back = (*ROLLBACK, "--force")
    bed: DataBed

    def _judge(self, done: Done, new: bool) -> list[str]:
        old_names, copy = self.bed.names(f"{self.bed.stack.project}_postgres_data"), self.bed.names(self.bed.copied)
        right = (old_names, copy) == ([FENCED], [CONTROL]) if new else old_names == [CONTROL] and CONTROL not in copy
        wrong = [] if right else [f"the old place has {old_names}, the copy {copy}"]
        return super()._judge(done, new) + wrong

    def _status(self, *, open_: bool) -> list[str]:
        """Once others may have written, nothing is taken back without consent; a rollback that was begun has it."""
        found, journal = super()._status(open_=open_), self.bed.journal()
        is_apply = bool(journal) and journal[0].data["kind"] == "apply"
        if open_ and is_apply and any(e.step and e.step.endswith("/release") for e in journal):
            said = self.bed.nftui(*ROLLBACK)
            found += [] if said.code == 2 and "--force" in said.err + said.out else [f"not refused: {said}"]
        return found


@pytest.fixture(scope="module")
def bed(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataBed]:
    """The stack, up and healthy, as it was before nftui."""
    base = tmp_path_factory.mktemp("data")
    plain = make_bed(base, compose=COMPOSE)
    package = copy_package(base / "copy", DROPPED)
    bed = DataBed(plain.stack, plain.state, plain.logs, first_env=plain.first_env, package=package)
    try:
        bed.stack.up()
        yield bed
    finally:
        problems = tear_down(bed.stack)
        bed.new_life()
        shutil.rmtree(package)
    assert not problems, "a stack was not removed whole"


@pytest.fixture(scope="module")
def matrix(bed: DataBed) -> DataMatrix:
    """The old and the new picture, and all that a whole run does."""
    return DataMatrix(bed)


def step_kind(event: str) -> str:
    """The kind that the event belongs to; "" for a kind that test_points.py is about, and for the run's own."""
    words = event.split()
    return KIND_OF.get(words[0], {}).get(words[-1], "")


def trials(scenario: str, events: Iterable[tuple[str, int]], ways: tuple[tuple[str, ...], ...]) -> list[Trial]:
    """After every event; in the middle of a copy and of a start; the other deaths take turns with the plain one."""
    points = []
    for name, number in events:
        more = ("during",) if name == "tree copy" else MOMENTS if name.startswith("up ") else ()
        points += [Point(name, number, when) for when in (*more, "after")]
    death = ("worker", "worker", "power")
    return [Trial(scenario, p, "worker" if p.when == "during" else death[n % 3], ways[n % len(ways)])
            for n, p in enumerate(points)]  # fmt: skip


def share(chance: random.Random, found: list[Trial], number: int) -> list[Trial]:
    """All of them, or some that are about kinds of this plan."""
    if ALL:
        return found
    picked = chance.sample([t for t in found if step_kind(t.point.event)], number)
    FIGURES.left_out[f"crash in {found[0].scenario}"] = len(found) - len(picked)
    return picked


def test_a_switch_of_data_that_is_cut_off_ends_old_or_new(
    matrix: DataMatrix, chance: random.Random, portion: slice
) -> None:
    assert {step_kind(name) for name, _ in matrix.events} - {""} == DATA_KINDS
    found = trials("switch of data", matrix.events, (matrix.back, RESUME, RECOVER))
    check(matrix, share(chance, found, SHARE)[portion], matrix.try_apply)


@pytest.mark.all
def test_the_way_back_of_an_unconfirmed_switch_that_is_cut_off_ends_old(
    matrix: DataMatrix, chance: random.Random, portion: slice
) -> None:
    found = trials("unconfirmed switch of data", matrix.unconfirmed_events, (ROLLBACK, RECOVER))
    check(matrix, share(chance, found, SHARE)[portion], matrix.try_unconfirmed)


@pytest.mark.all
def test_a_rollback_of_a_switch_that_is_cut_off_ends_old(
    matrix: DataMatrix, chance: random.Random, portion: slice
) -> None:
    def act(trial: Trial) -> None:
        assert matrix.stand()
        matrix.try_rollback(trial)

    found = trials("rollback of a switch of data", matrix.back_events, (RECOVER, matrix.back))
    check(matrix, share(chance, found, SHARE)[portion], act)
