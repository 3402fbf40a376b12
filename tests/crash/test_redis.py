"""Cut off while a Redis's log is written, it is restarted and read back: old or new, and every key there."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.crash.bed import RECOVER, RESUME, ROLLBACK, Bed, containers
from tests.crash.test_points import REDIS_KINDS, Matrix, check, share, step_kind, trials
from tests.redis.server import config, fill, make_stack, picture
from tests.stack.fixtures import tear_down

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(3600)]

APPLY = ("apply", "--only", "redis", "--yes", "--json", "--settle", "0")
COMPOSE = (Path(__file__).parents[1] / "redis" / "compose.yaml").read_text()
MEMORY_ONLY = COMPOSE.replace("--requirepass ${REDIS_PASSWORD}\n", '--requirepass ${REDIS_PASSWORD} --save ""\n')
"""It keeps nothing on the disk by itself: what a step forgets to write is gone with the process."""
NAMES = ("appendonly", "maxmemory", "maxmemory-policy")


@dataclass
class RedisBed(Bed):
    """A stack of one Redis with keys of every kind."""

    def picture(self) -> dict[str, Any]:
        """Files, containers, settings, every key with its content, and whether a log lies there."""
        names = self.stack.exec("redis", "ls", "/data").split()
        return {
            "files": self.picture_of_files(), **containers(self.stack), "keys": picture(self.stack),
            "settings": config(self.stack, *NAMES), "log": "appendonlydir" in names,
        }  # fmt: skip


class SingleMatrix(Matrix):
    """One server."""

    apply = APPLY


class ReplicaMatrix(Matrix):
    """With a replica beside it."""

    apply = (*APPLY, "--set", "redis.mode=replica")


@pytest.fixture(scope="module")
def bed(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    parent = tmp_path_factory.mktemp("redis")
    stack = make_stack(parent, compose=MEMORY_ONLY)
    env = (stack.directory / ".env").read_bytes()
    bed = RedisBed(stack, parent / "state", parent, first_env=env)
    bed.new_life()
    try:
        stack.up()
        fill(stack, 30)
        yield bed
    finally:
        problems = tear_down(stack)
    assert not problems, "the stack was not removed whole"


@pytest.fixture(scope="module")
def single(bed: Bed) -> Matrix:
    return SingleMatrix(bed)


def test_an_apply_that_is_cut_off_loses_no_key(single: Matrix, chance: random.Random, portion: slice) -> None:
    found = [t for t in trials("apply to Redis", single.events, (ROLLBACK, RESUME, RECOVER)) if _is_own(t.point)]
    kinds = {step_kind(t.point) for t in found}
    assert kinds == REDIS_KINDS - {"redis-replica"}
    check(single, share(chance, found, 1)[portion], single.try_apply)


@pytest.mark.all
def test_a_rollback_that_is_cut_off_loses_no_key(single: Matrix, chance: random.Random, portion: slice) -> None:
    def act(trial: Any) -> None:
        assert single.stand()
        single.try_rollback(trial)

    found = [t for t in trials("rollback of Redis", single.back_events, (RECOVER, ROLLBACK)) if _is_own(t.point)]
    check(single, share(chance, found, 1)[portion], act)


@pytest.mark.all
def test_a_replica_that_was_being_proven_stands_or_is_gone(bed: Bed, chance: random.Random, portion: slice) -> None:
    matrix = ReplicaMatrix(bed)
    found = trials("apply of a replica", matrix.events, (ROLLBACK, RESUME, RECOVER))
    found = [t for t in found if step_kind(t.point) == "redis-replica"]
    assert found
    check(matrix, share(chance, found, 1)[portion], matrix.try_apply)


def _is_own(point: Any) -> bool:
    return step_kind(point) in REDIS_KINDS
