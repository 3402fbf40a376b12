"""A mode for each app: what its databases get, who shares one, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from nftui.model.errors import UsageError
from nftui.model.facts import Facts
from nftui.optimizations.pgbouncer import OPTIMIZATION
from tests.pgbouncer.build import URL, advise, app, choose, facts, fragment, text_of

N8N = (
    "DB_TYPE: postgresdb, DB_POSTGRESDB_HOST: db, DB_POSTGRESDB_DATABASE: shop, DB_POSTGRESDB_USER: shop, "
    "DB_POSTGRESDB_PASSWORD: '${SHOP_PASSWORD}'"
)


def three(directory: Path) -> Facts:
    """Unknown apps, each on a database of its own."""
    names = ("a", "b", "c")
    return facts(directory, *(app(n, variables=f"DATABASE_URL: 'postgresql://shop:x@db/d{n}'") for n in names))


def shared(directory: Path) -> Facts:
    """n8n, which is pooled by itself, and an unknown app on the same database."""
    return facts(directory, app(), app("flow", "n8nio/n8n:1.60", N8N))


def test_each_app_may_have_a_mode_of_its_own(tmp_path: Path) -> None:
    found = three(tmp_path)
    routes = {"route_a": "transaction", "route_b": "statement", "route_c": "session"}
    made = fragment(found, **routes)
    text = text_of(made, "pgbouncer.ini")
    for name, mode in (("da", "transaction"), ("db", "statement"), ("dc", "session")):
        assert f"\n{name} = host=db port=5432 dbname={name} pool_mode={mode} " in text
    assert OPTIMIZATION.steps(found, made)[0].params["modes"] == {
        "da": "transaction", "db": "statement", "dc": "session",
    }  # fmt: skip
    assert [advise(found, **routes)[f"route.{n}"].value for n in "abc"] == ["transaction", "statement", "session"]


@pytest.mark.parametrize(
    ("route", "pool_mode", "said"),
    [
        ("transaction", None, "transaction"), ("statement", None, "statement"), ("pooled", None, "transaction"),
        ("session", None, None), ("pooled", "session", None), ("transaction", "session", "transaction"),
    ],
)  # fmt: skip
def test_what_only_the_operator_knows_is_said(
    tmp_path: Path, route: str, pool_mode: str | None, said: str | None
) -> None:
    more = {"pool_mode": pool_mode} if pool_mode else {}
    notes = [str(n) for n in advise(facts(tmp_path, app()), route_api=route, **more)["route.api"].notes]
    assert [n for n in notes if "tolerates" in n] == (
        [f"You say that it tolerates {said} mode; nftui knows nothing of that."] if said else []
    )


def test_it_is_not_said_of_what_nftui_recommends(tmp_path: Path) -> None:
    found = facts(tmp_path, app("flow", "n8nio/n8n:1.60", N8N))
    for route, said in (("transaction", False), ("pooled", False), ("statement", True)):
        notes = advise(found, route_flow=route)["route.flow"].notes
        assert any("tolerates" in str(n) for n in notes) is said


@pytest.mark.parametrize(
    ("routes", "values"),
    [
        ({}, ("direct", "pooled")),
        ({"route_api": "transaction"}, ("transaction", "pooled")),
        ({"route_api": "statement"}, ("statement", "direct")),
        ({"route_flow": "session"}, ("session", "session")),
        ({"pool_mode": "session"}, ("session", "pooled")),
        ({"route_api": "direct", "route_flow": "session"}, ("direct", "session")),
    ],
    ids=[
        "nobody says",
        "the same mode",
        "the operator's word first",
        "both in session mode",
        "whose mode is session",
        "who is direct has none",
    ],
)
def test_a_database_has_one_mode(tmp_path: Path, routes: dict[str, str], values: tuple[str, str]) -> None:
    lines = advise(shared(tmp_path), **routes)
    assert (lines["route.api"].value, lines["route.flow"].value) == values


def test_the_operators_word_comes_first_whatever_the_names(tmp_path: Path) -> None:
    found = facts(tmp_path, app("z"), app("flow", "n8nio/n8n:1.60", N8N))
    lines = advise(found, route_z="statement")
    assert (lines["route.z"].value, lines["route.flow"].value) == ("statement", "direct")


@pytest.mark.parametrize(
    ("routes", "words"),
    [
        ({"route_api": "statement", "route_flow": "transaction"}, "one mode"),
        ({"route_api": "statement", "route_flow": "pooled"}, "one mode"),
        ({"route_api": "session"}, "route.api = session is refused: the database shop is in transaction mode"),
    ],
)
def test_two_modes_of_one_database_are_refused(tmp_path: Path, routes: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        OPTIMIZATION.advise(shared(tmp_path), choose(**routes), {})


@pytest.mark.parametrize("route", ["transaction", "statement"])
def test_what_sets_its_session_has_no_such_mode_either(tmp_path: Path, route: str) -> None:
    found = facts(tmp_path, app(variables=f"DATABASE_URL: '{URL}?schema=tenant&pgbouncer=true'"))
    for mode in ("session", "transaction"):
        with pytest.raises(UsageError, match="which only session mode serves"):
            OPTIMIZATION.advise(found, choose(route_api=route, pool_mode=mode), {})
    assert advise(found, route_api="session")["route.api"].value == "session"
