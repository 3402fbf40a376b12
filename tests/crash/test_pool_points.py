"""Cut off while a pooler is proven and an app's way to it is: readings, so that only old or new may come of it."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.crash.bed import RECOVER, RESUME, ROLLBACK, Bed, make_bed
from tests.crash.figures import FIGURES
from tests.crash.test_own_points import points as points_of
from tests.crash.test_own_points import share
from tests.stack import images
from tests.stack.fixtures import tear_down

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(3600)]

KINDS = {"pgbouncer-pools", "pgbouncer-route"}
"""Step kinds of the plan."""
APP = """
  api:
    image: ${APP_IMAGE:-nftui-test/app:latest}
    restart: unless-stopped
    depends_on:
      postgres: { condition: service_healthy }
    environment:
      DATABASE_URL: postgresql://${POSTGRES_USER}:${POSTGRES_PASSWORD}@postgres:5432/${POSTGRES_DB}
      REDIS_URL: redis://nowhere.invalid:6379/0
    stop_grace_period: 1s
    healthcheck:
      test: ["CMD-SHELL", "true"]
      interval: 1s
volumes:
"""


@pytest.fixture(scope="module")
def pooled(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """The stack with an app that uses the database."""
    images.ensure("pgbouncer:1.24")
    bed = make_bed(tmp_path_factory.mktemp("pooled"))
    path = bed.stack.directory / "compose.yaml"
    path.write_text(path.read_text().replace("\nvolumes:\n", APP))
    try:
        bed.stack.up()
        yield bed
    finally:
        problems = tear_down(bed.stack)
    assert not problems, "a stack was not removed whole"


def test_a_pooler_that_was_being_proven_stands_or_is_gone(pooled: Bed, chance: random.Random, portion: slice) -> None:
    image = f"pgbouncer.image={images.reference('pgbouncer:1.24')}"
    comes = ("apply", "--only", "pgbouncer", "--yes", "--json", "--settle", "0", "--set", image,
             "--set", "pgbouncer.route.api=pooled")  # fmt: skip
    old, events = pooled.picture(), pooled.events(*comes)
    new = pooled.picture()
    assert pooled.nftui(*ROLLBACK).code == 0 and not pooled.judge(old)
    problems = []
    trials = [p for kind in sorted(KINDS) for p in share(chance, points_of(events, kind), f"pool: {kind}")][portion]
    for number, point in enumerate(trials):
        then = (ROLLBACK, RESUME, RECOVER)[number % 3]
        pooled.new_life()
        assert pooled.crash(point, "worker", *comes), point
        done = pooled.nftui(*then)
        wrong = [] if done.code == 0 else [done.out + done.err]
        wrong += pooled.judge(old if then == ROLLBACK else new)
        FIGURES.count("pooler comes", "NOT recovered" if wrong else "recovered")
        problems += [f"{point}, then {then[:2]}: {w[:1500]}" for w in wrong]
        if then != ROLLBACK:
            assert pooled.nftui(*ROLLBACK).code == 0
        problems += [f"{point}, taken back: {w[:1500]}" for w in pooled.judge(old)]
    assert not problems, "\n".join(problems)
