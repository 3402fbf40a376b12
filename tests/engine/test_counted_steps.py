"""What a moved Qdrant or Grafana holds, counted before it is stopped and by what runs then."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import unquote

import pytest

from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.steps import load_kinds
from nftui.steps.kind import Context, StepFailed


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
