"""Cut off while a collection gets other shards: on the engine, no write that the app was promised is lost."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.bed import ROLLBACK, Bed
from tests.crash.chosen import Trial, cut_off, trials, try_share
from tests.qdrant.clustered import clustered_stack, goes_on, leads, node
from tests.qdrant.test_nodes_on_engine import NEW, SHARDS, YES

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.all, pytest.mark.timeout(7200)]

KINDS = {"qdrant-shards", "qdrant-import", "qdrant-alias"}
"""Step kinds of a collection that gets other shards."""
STEPS = {"shards": "qdrant-shards", "import": "qdrant-import", "alias": "qdrant-alias"}
"""Steps of each, by the end of their ids."""
APPLY = ("apply", *SHARDS, *YES[:-1], "0")


@pytest.fixture
def bed(engine: None, tmp_path: Path) -> Iterator[Bed]:
    with clustered_stack(tmp_path) as stack:
        bed = Bed(stack, tmp_path / "state", tmp_path, first_env=(stack.directory / ".env").read_bytes(), patience=600)
        bed.new_life()
        yield bed


def test_a_copy_that_was_cut_off_stands_or_is_gone_and_nothing_promised_is_lost(
    bed: Bed, chance: random.Random
) -> None:
    found = trials(bed.events(*APPLY), STEPS)
    assert set(STEPS.values()) == KINDS
    go_back(bed)
    try_share(chance, found, "crash in apply of other shards", lambda trial: try_one(bed, trial))


def try_one(bed: Bed, trial: Trial) -> None:
    """It ends old or new, and from new there is a way back."""
    cut_off(bed, trial, APPLY)
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
