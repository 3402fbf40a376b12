"""Cut off while a cluster takes the place of a Redis: on the engine, no write that the app was promised is lost."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.bed import RECOVER, RESUME, ROLLBACK, Bed, Point
from tests.crash.figures import FIGURES
from tests.e2e.command import tree
from tests.redis.clustered import LONG_S, NODES, acked, cluster_keys, clustered_stack, places
from tests.redis.server import picture
from tests.redis.test_cluster_on_engine import CLUSTER, YES, fill_one_database
from tests.stack.running import Stack, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.all, pytest.mark.timeout(7200)]

KINDS = {"own-places", "redis-cluster", "redis-shards", "redis-close", "redis-import", "redis-carry"}
"""Step kinds of a cluster."""
STEPS = {
    "redis-places:redis": "own-places", "redis-cluster:redis": "redis-cluster", "close": "redis-close",
    "import": "redis-import", "carry": "redis-carry", "redis-shards:redis": "redis-shards",
}  # fmt: skip
"""Steps of each, by the end of their ids."""
APPLY = ("apply", *CLUSTER, *YES[:-1], "0")


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
        # What a power failure takes from a Redis without a log is not nftui's to keep.
        compose = stack.directory / "compose.yaml"
        compose.write_text(compose.read_text().replace("--requirepass", "--appendonly yes --requirepass"))
        stack.up()
        fill_one_database(stack)
        wait_until(lambda: len(acked(stack)) > 5, seconds=LONG_S, what="the app writes")
        yield bed


def trials(events: list[tuple[str, int]]) -> list[Trial]:
    """After each journal line of these steps; deaths and what is done then take turns."""
    points = [Point(name, number, "after") for name, number in events if kind_of(name)]
    ways = (ROLLBACK, RESUME, RECOVER)
    return [Trial(p, ("worker", "power")[n % 2], ways[n % 3]) for n, p in enumerate(points)]


def test_a_cluster_that_was_cut_off_stands_or_is_gone_and_nothing_promised_is_lost(
    bed: Bed, chance: random.Random
) -> None:
    files = tree(bed.stack.directory)
    events = bed.events(*APPLY)
    assert {kind_of(name) for name, _ in events} - {""} == KINDS
    go_back(bed, files)
    found = trials(events)
    picked = [chance.choice([t for t in found if kind_of(t.point.event) == kind]) for kind in sorted(KINDS)]
    FIGURES.left_out["crash in apply of a cluster"] = len(found) - len(picked)
    for trial in picked:
        bed.new_life()
        assert bed.crash(trial.point, trial.death, *APPLY), f"{trial}: it did not come to that\n{bed.said}"
        command = (*trial.then, "--without-backup") if trial.then == RESUME else trial.then
        done = bed.nftui(*command, timeout=600)
        stands = (bed.stack.directory / "compose.nftui.yaml").exists()
        assert done.code in (0, 1), (str(trial), done.out, done.err)
        holds_everything(bed.stack, str(trial), clustered=stands)
        if stands:
            go_back(bed, files)
        is_gone(bed, files, str(trial))


def holds_everything(stack: Stack, trial: str, *, clustered: bool) -> None:
    """Every write that was acknowledged is where the app writes now, and it goes on to."""
    before = acked(stack)
    wait_until(lambda: len(acked(stack)) > len(before), seconds=LONG_S, what=f"{trial}: the app writes")
    held = set(cluster_keys(stack)) if clustered else set(picture(stack))
    assert before <= held, f"{trial}: {len(before - held)} writes are gone"


def go_back(bed: Bed, files: object) -> None:
    """By the ordinary way."""
    done = bed.nftui(*ROLLBACK, timeout=600)
    assert done.code == 0, done.out + done.err
    is_gone(bed, files, "rollback")
    holds_everything(bed.stack, "rollback", clustered=False)


def is_gone(bed: Bed, files: object, trial: str) -> None:
    """Files to the byte, no node, no place of one."""
    assert tree(bed.stack.directory) == files, trial
    assert not places(bed.stack) and not set(NODES) & set(bed.stack.services()), trial
