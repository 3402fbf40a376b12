"""Cut off at every transition on the real engine: what `status` says, and that the way back or forth is exact."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from nftui.engine.journal import Phase
from nftui.steps import load_kinds
from tests.crash.bed import APPLY, RECOVER, RESUME, ROLLBACK, Bed, Point
from tests.crash.conftest import ALL
from tests.crash.figures import FIGURES
from tests.crash.injector import MOMENTS
from tests.crash.test_cluster_points import KINDS as CLUSTER_KINDS
from tests.crash.test_model_points import KINDS as MODEL_KINDS
from tests.crash.test_own_points import KINDS as OWN_KINDS
from tests.crash.test_pool_points import KINDS as POOL_KINDS
from tests.crash.test_sentinel_points import KINDS as SENTINEL_KINDS
from tests.crash.test_shards_points import KINDS as SHARDS_KINDS
from tests.e2e.command import Done

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(5400)]

KINDS = {"file", "env", "project-check", "recreate", "postgres-settings"}
"""Step kinds that the plan of `APPLY` on the crash stack consists of: a new kind needs a plan here that has it."""
DATA_KINDS = {"data-check", "hold", "copy", "lift", "fence", "release"}
"""Those that the plan of test_data_points.py has as well."""
QDRANT_KINDS = {"qdrant-snapshot", "qdrant-collection", "qdrant-defaults"}
"""Those of the plan of test_qdrant.py."""
REDIS_KINDS = {"redis-log", "redis-settings", "redis-replica"}
"""Those of the plans of test_redis.py."""
IMAGE_KINDS = {"image", "image-check", "pg-check", "pg-dump", "pg-restore"}
"""Those of the plan of test_image_points.py, and those of its other ones."""
SAVE_KINDS = {"redis-save", "redis-count", "redis-rehearsal"}
TRY_KINDS = {"pg-try"}
REHEARSAL_KINDS = {"grafana-rehearsal", "qdrant-rehearsal"}
"""Those of test_rehearsal_points.py."""
COUNT_KINDS = {"grafana-count", "qdrant-count"}
"""Those of test_counted_points.py."""
BEGUN = "journal intent override:compose.nftui.yaml"
SHARE = 5
"""Points of a plain run: one for each step kind."""
KIND_OF = {
    "override:": "file", "compose.nftui.yaml": "file", "env:": "env", ".env": "env", "check:": "project-check",
    "recreate:": "recreate", "qdrant-snapshot:": "qdrant-snapshot", "qdrant-collection:": "qdrant-collection",
    "qdrant-defaults:": "qdrant-defaults", "snapshots": "qdrant-snapshot", "PATCH docs": "qdrant-collection",
    "redis-log:": "redis-log", "redis-settings:": "redis-settings", "redis-replica:": "redis-replica",
    "nftui-defaults": "qdrant-defaults", "postgres-settings:": "postgres-settings", "postgres": "recreate",
}  # fmt: skip
"""Part of an event's name to the step kind that it belongs to."""


def test_no_step_kind_is_without_crash_points() -> None:
    assert {name for name, _ in load_kinds()} == KINDS.union(
        OWN_KINDS,
        DATA_KINDS,
        POOL_KINDS,
        MODEL_KINDS,
        QDRANT_KINDS,
        REDIS_KINDS,
        IMAGE_KINDS,
        SAVE_KINDS,
        TRY_KINDS,
        REHEARSAL_KINDS,
        COUNT_KINDS,
        CLUSTER_KINDS,
        SENTINEL_KINDS,
        SHARDS_KINDS,
    )


@dataclass(frozen=True)
class Trial:
    """One crash and what is done about it."""

    scenario: str
    point: Point
    death: str
    then: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.scenario}, {self.death} dies {self.point}, then {' '.join(self.then[:2])}"


def points(events: Iterable[tuple[str, int]]) -> Iterator[Point]:
    """The moments of each event. Before it is after the one that came before it, so only the first has that moment."""
    for position, (name, number) in enumerate(events):
        extra = ("during",) if name.startswith("journal") else MOMENTS if name.startswith("up ") else ()
        first = () if position or name.startswith("journal") else ("before",)
        for when in (*first, *extra, "after"):
            yield Point(name, number, when)


def deaths(point: Point) -> tuple[str, ...]:
    """The ways to die that make a difference there."""
    if point.when in MOMENTS:
        return ("worker", "children", "power")
    return {"after": ("worker", "power"), "during": ("torn",), "before": ("worker", "power")}[point.when]


def step_kind(point: Point) -> str:
    """The kind whose journal lines or effects the point is about; "" for the run's own."""
    return next((kind for part, kind in KIND_OF.items() if f" {part}" in point.event), "")


class Matrix:
    """All trials on one bed; what goes wrong is collected, so that one run shows everything."""

    apply: tuple[str, ...] = APPLY
    back: tuple[str, ...] = ROLLBACK

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.old = bed.picture()
        self.events = bed.events(*self.apply)
        self.new = bed.picture()
        self.back_events = bed.events(*self.back)
        assert not bed.judge(self.old), bed.judge(self.old)
        bed.new_life()
        self.unconfirmed_events = after(bed.events(*self.unconfirmed, code=1), "journal awaiting-confirm")
        self.problems: list[str] = []

    @property
    def unconfirmed(self) -> tuple[str, ...]:
        """An apply that takes itself back."""
        return (*self.apply, "--confirm-within", "1")

    def try_apply(self, trial: Trial) -> None:
        """Cut an apply off, then do what the trial says."""
        self.bed.new_life()
        if not self.bed.crash(trial.point, trial.death, *self.apply):
            self._missed(trial)
            return
        began, ended = self._begun(), self._ended()
        found = self._status(open_=began and not ended)
        done = self.bed.nftui(*trial.then)
        new = began and trial.then in (RESUME, RECOVER)
        found += self._judge(done, new)
        self._note(trial, found)
        self._back_to_old(found)

    def try_unconfirmed(self, trial: Trial) -> None:
        """Cut the way back of an unconfirmed apply off: from there on there is only the old state."""
        self.bed.new_life()
        if not self.bed.crash(trial.point, trial.death, *self.unconfirmed):
            self._missed(trial)
            return
        ended = self._ended()
        found = self._status(open_=not ended)
        found += self._judge(self.bed.nftui(*trial.then), new=False)
        self._note(trial, found)
        self._back_to_old(found)

    def try_twice(self, trial: Trial, second: Trial) -> None:
        """Cut an apply off, then what brings it back as well."""
        self.bed.new_life()
        found = [] if self.bed.crash(trial.point, trial.death, *self.apply) else ["the point was not reached"]
        self.bed.crash(second.point, second.death, *trial.then)
        done = self.bed.nftui(*second.then)
        journal = self.bed.journal()
        outcome = journal[-1].data.get("outcome") if journal else None
        found += self._judge(done, new=outcome == "applied")
        self._note(trial, [f"{problem} (then {second})" for problem in found])
        self._back_to_old(found)

    def try_rollback(self, trial: Trial) -> None:
        """Cut a rollback of a finished run off; the run stands already."""
        if not self.bed.crash(trial.point, trial.death, *self.back):
            self._missed(trial)
            return
        began, ended = self._begun(), self._ended()
        found = self._status(open_=began and not ended)
        again = trial.then if began and not ended else self.back
        found += self._judge(self.bed.nftui(*again), new=False)
        self._note(trial, found)
        self._back_to_old(found)

    def _missed(self, trial: Trial) -> None:
        """Whatever kept the run from its point must not keep the next one from its own."""
        self._note(trial, [f"the point was not reached\n{self.bed.said}"])
        self.bed.reset()

    def _begun(self) -> bool:
        return bool(self.bed.journal())

    def _ended(self) -> bool:
        journal = self.bed.journal()
        return bool(journal) and journal[-1].phase is Phase.END

    def _status(self, *, open_: bool) -> list[str]:
        said = self.bed.nftui("status", "--json")
        expected = (5, "interrupted") if open_ else (0, "idle")
        if said.code not in (0, 5) or (said.code, said.json["state"]) != expected:
            return [f"status: {said.code} {said.out}{said.err}, expected {expected}"]
        return []

    def _judge(self, done: Done, new: bool) -> list[str]:
        if done.code != 0:
            return [f"ended with {done.code}: {done.out}{done.err}"]
        wrong = self.bed.judge(self.new if new else self.old)
        FIGURES.differing_bytes += differing(self.new if new else self.old, wrong, self.bed)
        return wrong + self.bed.invariants(1 if new else 0)

    def _note(self, trial: Trial, found: list[str]) -> None:
        FIGURES.count(f"crash in {trial.scenario}, {trial.death}", "NOT recovered" if found else "recovered")
        self.problems += [f"{trial}: {problem[:1500]}" for problem in found]

    def _back_to_old(self, found: list[str]) -> None:
        """After a trial that left something, a clean stack: the next one must be judged for itself."""
        if self.bed.picture() == self.old:
            return
        if not found and self.bed.nftui(*self.back).code == 0 and not self.bed.judge(self.old):
            return
        self.bed.reset()

    def stand(self) -> bool:
        """Apply whole, for the trials of a rollback."""
        self.bed.new_life()
        done = self.bed.nftui(*self.apply)
        assert done.code == 0, done.out + done.err
        return True


def after(events: list[tuple[str, int]], name: str) -> list[tuple[str, int]]:
    """The events from `name` on."""
    return events[[event for event, _ in events].index(name) :]


def differing(expected: Mapping[str, Any], wrong: list[str], bed: Bed) -> int:
    """Bytes of the project's files that are not what they should be."""
    if not any(line.startswith("files") for line in wrong):
        return 0
    now = bed.picture()["files"]
    names = {n for n in {*now, *expected["files"]} if now.get(n) != expected["files"].get(n)}
    paths = [bed.stack.directory / n for n in names]
    return sum(p.stat().st_size if p.exists() else 1 for p in paths)


def trials(scenario: str, events: Iterable[tuple[str, int]], ways: tuple[tuple[str, ...], ...]) -> list[Trial]:
    """Every point with every death; what is done then takes turns, so that each way meets each sort of point."""
    found = [(p, d) for p in points(events) for d in deaths(p)]
    return [Trial(scenario, p, d, ways[n % len(ways)]) for n, (p, d) in enumerate(found)]


def share(chance: random.Random, found: list[Trial], number: int) -> list[Trial]:
    """All of them, or a few that meet every step kind."""
    if ALL:
        return found
    by_kind: dict[str, list[Trial]] = {}
    for trial in found:
        by_kind.setdefault(step_kind(trial.point), []).append(trial)
    picked = [chance.choice(group) for kind, group in sorted(by_kind.items()) if kind][:number]
    picked += chance.sample([t for t in found if t not in picked], max(0, number - len(picked)))
    FIGURES.left_out[f"crash in {found[0].scenario}"] = len(found) - len(picked)
    return picked


@pytest.fixture(scope="module")
def matrix(bed: Bed) -> Matrix:
    """The old and the new picture, and all that a whole run does."""
    return Matrix(bed)


def check(matrix: Matrix, found: list[Trial], act: Callable[[Trial], None]) -> None:
    """Run them all, then tell what went wrong."""
    before = len(matrix.problems)
    for trial in found:
        act(trial)
    assert len(matrix.problems) == before, "\n".join(matrix.problems[before:])


def test_an_apply_that_is_cut_off_ends_old_or_new(matrix: Matrix, chance: random.Random, portion: slice) -> None:
    found = trials("apply", matrix.events, (ROLLBACK, RESUME, RECOVER))
    check(matrix, share(chance, found, SHARE)[portion], matrix.try_apply)


def test_a_rollback_that_is_cut_off_ends_old(matrix: Matrix, chance: random.Random, portion: slice) -> None:
    def act(trial: Trial) -> None:
        assert matrix.stand()
        matrix.try_rollback(trial)

    found = trials("rollback", matrix.back_events, (RECOVER, ROLLBACK))
    check(matrix, share(chance, found, 1)[portion], act)


def test_the_way_back_of_an_unconfirmed_apply_that_is_cut_off_ends_old(
    matrix: Matrix, chance: random.Random, portion: slice
) -> None:
    found = trials("unconfirmed apply", matrix.unconfirmed_events, (ROLLBACK, RECOVER))
    check(matrix, share(chance, found, 1)[portion], matrix.try_unconfirmed)


def test_a_recovery_that_is_cut_off_as_well_ends_old_or_new(
    matrix: Matrix, chance: random.Random, portion: slice
) -> None:
    """Pairs by chance: of all of them there are some ten thousand."""
    first = trials("apply, then in its recovery", matrix.events, (ROLLBACK, RESUME, RECOVER))
    second = trials("recovery", [*after(matrix.events, BEGUN), *after(matrix.back_events, "journal begin")], (RECOVER,))
    pairs = [(chance.choice(first), chance.choice(second)) for _ in range(16 if ALL else 1)[portion]]
    before = len(matrix.problems)
    for one, two in pairs:
        matrix.try_twice(one, two)
    assert len(matrix.problems) == before, "\n".join(matrix.problems[before:])
