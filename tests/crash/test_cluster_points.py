"""Cut off while a cluster takes the place of a Redis: on the engine, no write that the app was promised is lost."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import pytest

from tests.crash.bed import ROLLBACK, Bed
from tests.crash.chosen import Trial, cut_off, trials, try_share
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


Held = Callable[[Stack], set[str]]
"""Keys that those servers hold, which took the place of one."""


@pytest.fixture
def bed(engine: None, tmp_path: Path) -> Iterator[Bed]:
    with clustered_stack(tmp_path) as stack:
        yield begun(stack, tmp_path)


def begun(stack: Stack, parent: Path) -> Bed:
    """The server and its app run, and the app was promised something."""
    bed = Bed(stack, parent / "state", parent, first_env=(stack.directory / ".env").read_bytes(), patience=600)
    bed.new_life()
    # What a power failure takes from a Redis without a log is not nftui's to keep.
    compose = stack.directory / "compose.yaml"
    compose.write_text(compose.read_text().replace("--requirepass", "--appendonly yes --requirepass"))
    stack.up()
    fill_one_database(stack)
    wait_until(lambda: len(acked(stack)) > 5, seconds=LONG_S, what="the app writes")
    return bed


def whole_run(
    bed: Bed, files: object, apply: tuple[str, ...], steps: Mapping[str, str], own: Collection[str], held: Held
) -> list[Trial]:
    """There and back once; what can be cut off of that."""
    events = bed.events(*apply)
    found = trials(events, steps)
    holds_everything(bed.stack, "apply", held)
    go_back(bed, files, own)
    return found


def test_a_cluster_that_was_cut_off_stands_or_is_gone_and_nothing_promised_is_lost(
    bed: Bed, chance: random.Random
) -> None:
    files = tree(bed.stack.directory)
    found = whole_run(bed, files, APPLY, STEPS, NODES, _held)
    assert set(STEPS.values()) == KINDS
    try_share(chance, found, "crash in apply of a cluster", lambda t: try_one(bed, files, APPLY, t, NODES, _held))


def _held(stack: Stack) -> set[str]:
    return set(cluster_keys(stack))


def try_one(bed: Bed, files: object, apply: tuple[str, ...], trial: Trial, own: Collection[str], held: Held) -> None:
    """It ends old or new, holds what was promised, and there is a way back."""
    cut_off(bed, trial, apply)
    stands = (bed.stack.directory / "compose.nftui.yaml").exists()
    holds_everything(bed.stack, str(trial), held if stands else None)
    if stands:
        go_back(bed, files, own)
    is_gone(bed, files, own, str(trial))


def holds_everything(stack: Stack, trial: str, held: Held | None) -> None:
    """Every write that was acknowledged is where the app writes now, and it goes on to."""
    before = acked(stack)
    wait_until(lambda: len(acked(stack)) > len(before), seconds=LONG_S, what=f"{trial}: the app writes")
    missing = before - (held(stack) if held else set(picture(stack)))
    assert not missing, f"{trial}: {len(missing)} writes are gone"


def go_back(bed: Bed, files: object, own: Collection[str]) -> None:
    """By the ordinary way."""
    done = bed.nftui(*ROLLBACK, timeout=600)
    assert done.code == 0, done.out + done.err
    is_gone(bed, files, own, "rollback")
    holds_everything(bed.stack, "rollback", None)


def is_gone(bed: Bed, files: object, own: Collection[str], trial: str) -> None:
    """Files to the byte, no server of nftui's own, no place of one."""
    assert tree(bed.stack.directory) == files, trial
    assert not places(bed.stack) and not set(own) & set(bed.stack.services()), trial
