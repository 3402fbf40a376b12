"""Cut off while a collection gets other shards: on the engine, no write that the app was promised is lost."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.bed import RECOVER, RESUME, ROLLBACK, Bed, Point
from tests.crash.figures import FIGURES
from tests.qdrant.clustered import clustered_stack, goes_on, leads, node
from tests.qdrant.test_nodes_on_engine import NEW, SHARDS, YES

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.all, pytest.mark.timeout(7200)]

KINDS = {"qdrant-shards", "qdrant-import", "qdrant-alias"}
"""Step kinds of a collection that gets other shards."""
STEPS = {"shards": "qdrant-shards", "import": "qdrant-import", "alias": "qdrant-alias"}
"""Steps of each, by the end of their ids."""
APPLY = ("apply", *SHARDS, *YES[:-1], "0")


@dataclass(frozen=True)
class Trial:
    """One crash and what is done about it."""

    point: Point
    death: str
    then: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.death} dies {self.point}, then {' '.join(self.then[:2])}"


def kind_of(event: str) -> str:
    """The kind whose journal line it is; "" for another event."""
    word = event.rpartition(" ")[2].rpartition("/")[2]
    return STEPS.get(word, "") if event.startswith("journal ") else ""


@pytest.fixture
def bed(engine: None, tmp_path: Path) -> Iterator[Bed]:
    with clustered_stack(tmp_path) as stack:
        bed = Bed(stack, tmp_path / "state", tmp_path, first_env=(stack.directory / ".env").read_bytes(), patience=600)
        bed.new_life()
        yield bed


def trials(events: list[tuple[str, int]]) -> list[Trial]:
    """After each journal line of these steps; deaths and what is done then take turns."""
    points = [Point(name, number, "after") for name, number in events if kind_of(name)]
    ways = (ROLLBACK, RESUME, RECOVER)
    return [Trial(p, ("worker", "power")[n % 2], ways[n % 3]) for n, p in enumerate(points)]


def test_a_copy_that_was_cut_off_stands_or_is_gone_and_nothing_promised_is_lost(
    bed: Bed, chance: random.Random
) -> None:
    events = bed.events(*APPLY)
    assert {kind_of(name) for name, _ in events} - {""} == KINDS
    go_back(bed)
    found = trials(events)
    picked = [chance.choice([t for t in found if kind_of(t.point.event) == kind]) for kind in sorted(KINDS)]
    FIGURES.left_out["crash in apply of other shards"] = len(found) - len(picked)
    for trial in picked:
        bed.new_life()
        assert bed.crash(trial.point, trial.death, *APPLY), f"{trial}: it did not come to that\n{bed.said}"
        command = (*trial.then, "--without-backup") if trial.then == RESUME else trial.then
        done = bed.nftui(*command, timeout=600)
        assert done.code in (0, 1), (str(trial), done.out, done.err)
        if leads(bed.stack) == {NEW}:
            goes_on(bed.stack, NEW)
            go_back(bed)
        is_old(bed)


def go_back(bed: Bed) -> None:
    """By the ordinary way."""
    done = bed.nftui(*ROLLBACK, timeout=600)
    assert done.code == 0, done.out + done.err
    is_old(bed)


def is_old(bed: Bed) -> None:
    """The app writes to the one collection that was there, which has everything."""
    goes_on(bed.stack, "docs")
    assert [c.name for c in node(bed.stack).client.get_collections().collections] == ["docs"]
