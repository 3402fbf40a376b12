"""What a moved Qdrant or Grafana holds, counted before it is stopped and by what runs then."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import unquote

import pytest

from nftui.engine.journal import Journal, read_journal
from nftui.engine.runner import Options, Runner
from nftui.model.message import msg
from nftui.model.plan import Stage, StepSpec
from nftui.steps import load_kinds
from nftui.steps.kind import Context, StepFailed
from tests.engine.grafana_world import GrafanaWorld, grafana_switch, new_grafana_world
from tests.engine.mortal import die_at
from tests.engine.qdrant_rehearsal_world import QdrantRehearsalWorld, new_qdrant_rehearsal_world, qdrant_switch
from tests.engine.test_data_switch import NEW, OLD, run
from tests.engine.test_runner import Quiet


class Server:
    """A Qdrant of these collections."""

    def __init__(self, points: Mapping[str, int]) -> None:
        self.points = points

    def json(self, path: str) -> Any:
        assert path == "/collections"
        return {"result": {"collections": [{"name": name} for name in self.points]}}

    def send(self, method: str, path: str, body: Any, timeout_s: float) -> Any:
        assert (method, body) == ("POST", {"exact": True})
        name = unquote(path).removeprefix("/collections/").removesuffix("/points/count")
        return {"result": {"count": self.points[name]}}


def context(points: Mapping[str, int], said: Mapping[str, object]) -> Context:
    found = SimpleNamespace(
        api=lambda service: Server(points), recall=lambda step: said, progress=lambda text, part: None,
        trees=SimpleNamespace(exists=lambda path: Path(path).is_dir()),
    )  # fmt: skip
    return cast("Context", found)


def counted(kind: str, ctx: Context, **params: object) -> Mapping[str, object]:
    step = StepSpec("s", kind, "store", params, msg("step"), "store")
    return load_kinds().of(step).verify(step, {}, ctx)


@pytest.mark.parametrize(
    ("now", "less"),
    [
        ({"docs": 5, "a/b": 2}, ""), ({"docs": 9, "a/b": 2, "new": 1}, ""), ({"docs": 4, "a/b": 2}, "docs 4 of 5"),
        ({"a/b": 2}, "docs 0 of 5"),
    ],
)  # fmt: skip
def test_points_that_are_gone_are_told_by_collection(now: dict[str, int], less: str) -> None:
    was = counted("qdrant-count", context({"docs": 5}, {}))
    assert was == {"counts": {"docs": 5}}
    ctx = context(now, was)
    if less:
        with pytest.raises(StepFailed, match=f"store has less than before: {less}"):
            counted("qdrant-count", ctx, saved="count")
    else:
        assert counted("qdrant-count", ctx, saved="count")["counts"]


def database(path: Path, **rows: int) -> dict[str, str]:
    path.mkdir()
    with closing(sqlite3.connect(path / "grafana.db")) as made:
        for table in ("dashboard (title)", "alert_rule (title)"):
            made.execute(f"CREATE TABLE {table}")
        for table, count in rows.items():
            made.executemany(f"INSERT INTO {table} VALUES (?)", [(str(n),) for n in range(count)])  # noqa: S608
        made.commit()
    return {"type": "directory", "path": str(path)}


@pytest.mark.parametrize(("now", "less"), [(3, ""), (4, ""), (2, "dashboard 2 of 3")])
def test_what_people_made_is_counted_in_the_place_that_runs_then(tmp_path: Path, now: int, less: str) -> None:
    old, new = database(tmp_path / "old", dashboard=3), database(tmp_path / "new", dashboard=now, alert_rule=1)
    was = counted("grafana-count", context({}, {}), place=old, file="grafana.db")
    assert was == {"counts": {"dashboard": 3, "alert_rule": 0}}
    if less:
        with pytest.raises(StepFailed, match=less):
            counted("grafana-count", context({}, was), place=new, file="grafana.db", saved="count")
    else:
        counted("grafana-count", context({}, was), place=new, file="grafana.db", saved="count")


@dataclass(frozen=True)
class Kept:
    """A world, how it is made, its switch, and how it loses something while it is moved."""

    new: Callable[[Path], Any]
    stage: Callable[[Any], Stage]
    lose: Callable[[Any], object]
    words: str


def _lose_dashboards(world: GrafanaWorld) -> None:
    with closing(sqlite3.connect(world.root / "new" / "grafana.db")) as made:
        made.execute("DELETE FROM dashboard WHERE title = 'Orders'")
        made.commit()


def _lose_points(world: QdrantRehearsalWorld) -> None:
    world.collections["docs"]["points"].pop()


WORLDS = [
    pytest.param(Kept(new_grafana_world, grafana_switch, _lose_dashboards, "dashboard 1 of 2"), id="grafana"),
    pytest.param(Kept(new_qdrant_rehearsal_world, qdrant_switch, _lose_points, "docs 69 of 70"), id="qdrant"),
]  # fmt: skip


@pytest.mark.parametrize("kept", WORLDS)
def test_a_server_that_reads_less_than_was_there_is_taken_back(tmp_path: Path, kept: Kept) -> None:
    for lose in (False, True):
        world = kept.new(tmp_path / str(lose))
        up = world.up

        def losing(*words: Any, up: Any = up, world: Any = world, lose: bool = lose, **more: Any) -> None:
            up(*words, **more)
            if lose and world.named() == "new":
                kept.lose(world)

        world.up = losing
        outcome = run(world, tmp_path / f"j{lose}", (kept.stage(world),))
        assert world.now() == (OLD if lose else NEW), outcome
        assert (outcome is not None and kept.words in outcome.reason) == lose


@pytest.mark.parametrize("where", ["journal-before", "journal-after"])
@pytest.mark.parametrize("kept", WORLDS)
def test_every_crash_point_ends_old_or_new(tmp_path: Path, kept: Kept, where: str) -> None:
    (tmp_path / "c").mkdir()
    world = kept.new(tmp_path / "c")
    run(world, tmp_path / "c" / "j", (kept.stage(world),))
    assert world.now() == NEW
    for point in range(1, len(read_journal(tmp_path / "c" / "j")) + 1):
        base = tmp_path / f"{point}"
        base.mkdir()
        world = kept.new(base)
        plan = (kept.stage(world),)
        die_at(world, where, point, partial(run, world, base / "j", plan))
        again = Runner(Journal(base / "j"), plan, load_kinds(), world.context(), Quiet(), Options())
        if point % 2 and not again.view.turned:
            again.turn("recovery")
        again.forward()
        again.journal.close()
        assert world.now() in (OLD, NEW), (where, point)
