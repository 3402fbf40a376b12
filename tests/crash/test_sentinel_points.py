"""Cut off while Sentinels and two servers take the place of a Redis: no write that the app was promised is lost."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.bed import Bed
from tests.crash.chosen import try_share
from tests.crash.test_cluster_points import begun, try_one, whole_run
from tests.e2e.command import tree
from tests.redis.test_sentinel_on_engine import SENTINEL, YES
from tests.redis.watched import SENTINELS, SERVERS, Watched, watched_stack
from tests.stack.running import Stack

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.all, pytest.mark.timeout(7200)]

KINDS = {"redis-sentinel"}
"""Step kinds of Sentinel beside those of a cluster."""
STEPS = {"redis-failover:redis": "trial", "redis-sentinel:redis": "after", "import": "import", "carry": "carry"}
"""Steps to be cut off, by the end of their ids: the kind stands for two, and the others go another way than a
cluster's."""
APPLY = ("apply", *SENTINEL, *YES[:-1], "0")
OWN = (*SERVERS, *SENTINELS)


@pytest.fixture
def bed(engine: None, tmp_path: Path) -> Iterator[Bed]:
    with watched_stack(tmp_path) as stack:
        yield begun(stack, tmp_path)


def held(stack: Stack) -> set[str]:
    """Keys of the present master."""
    watched = Watched(stack)
    with watched.session(watched.master()) as client:
        return {str(key) for key in client.scan_iter(count=1000)}


def test_sentinels_that_were_cut_off_stand_or_are_gone_and_nothing_promised_is_lost(
    bed: Bed, chance: random.Random
) -> None:
    files = tree(bed.stack.directory)
    found = whole_run(bed, files, APPLY, STEPS, OWN, held)
    try_share(chance, found, "crash in apply of Sentinel", lambda t: try_one(bed, files, APPLY, t, OWN, held))
