"""Cut off while a Qdrant's collection is copied, changed and followed: the index ends as it was or as it was to be."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.crash.bed import RECOVER, RESUME, ROLLBACK, Bed, containers
from tests.crash.test_points import QDRANT_KINDS, Matrix, check, share, step_kind, trials
from tests.qdrant.server import make_stack, of_stack, vectors
from tests.stack.fixtures import tear_down

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(3600)]

APPLY = (
    "apply", "--only", "qdrant", "--yes", "--json", "--settle", "0",
    "--set", "qdrant.collection.docs.m=24", "--set", "qdrant.collection.docs.quantization=int8",
    "--set", "qdrant.recall_floor=0.5",
)  # fmt: skip


@dataclass
class QdrantBed(Bed):
    """A stack of one Qdrant with one collection."""

    def picture(self) -> dict[str, Any]:
        """Files, containers, and the collection: configuration, count, points. Left-over snapshots are no part."""
        server = of_stack(self.stack)
        server.wait_green("docs")
        names = sorted(c.name for c in server.client.get_collections().collections)
        return {
            "files": self.picture_of_files(), **containers(self.stack), "collections": names,
            "docs": server.picture("docs"),
        }  # fmt: skip

    def reset(self) -> None:
        """As for every bed, and the collection is made again."""
        super().reset()
        of_stack(self.stack).fill("docs", vectors(1200, 48))


class QdrantMatrix(Matrix):
    """All trials on it."""

    apply = APPLY


@pytest.fixture(scope="module")
def matrix(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    parent = tmp_path_factory.mktemp("qdrant")
    stack = make_stack(parent)
    env = (stack.directory / ".env").read_bytes()
    bed = QdrantBed(stack, parent / "state", parent, first_env=env)
    bed.new_life()
    try:
        stack.up()
        of_stack(stack).fill("docs", vectors(1200, 48))
        yield QdrantMatrix(bed)
    finally:
        problems = tear_down(stack)
    assert not problems, "the stack was not removed whole"


def test_an_apply_that_is_cut_off_ends_old_or_new(matrix: Matrix, chance: random.Random, portion: slice) -> None:
    found = [t for t in trials("apply to Qdrant", matrix.events, (ROLLBACK, RESUME, RECOVER)) if _is_own(t.point)]
    assert {step_kind(t.point) for t in found} == QDRANT_KINDS
    check(matrix, share(chance, found, len(QDRANT_KINDS))[portion], matrix.try_apply)


@pytest.mark.all
def test_a_rollback_that_is_cut_off_ends_old(matrix: Matrix, chance: random.Random, portion: slice) -> None:
    def act(trial: Any) -> None:
        assert matrix.stand()
        matrix.try_rollback(trial)

    found = [t for t in trials("rollback of Qdrant", matrix.back_events, (RECOVER, ROLLBACK)) if _is_own(t.point)]
    check(matrix, share(chance, found, 1)[portion], act)


def _is_own(point: Any) -> bool:
    return step_kind(point) in QDRANT_KINDS
