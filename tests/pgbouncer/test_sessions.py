"""What the server's sessions say: who would starve in a pool, who uses more than its variables name, who is past it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nftui.model.facts import Facts
from nftui.model.pooling import Session
from nftui.optimizations.pgbouncer import OPTIMIZATION
from tests.pgbouncer.build import URL, advise, app, environment, facts, fragment, roles, server, text_of, with_address

N8N = "DB_TYPE: postgresdb, DB_POSTGRESDB_HOST: db, DB_POSTGRESDB_DATABASE: shop, DB_POSTGRESDB_USER: shop"
DIRECT = "postgresql://shop:${SHOP_PASSWORD}@db:5432/shop"
HERE, THERE = "10.0.0.9", "10.0.0.8"


def sessions(count: int, database: str = "shop", address: str = HERE, **more: bool) -> list[Session]:
    """Of the user shop."""
    return [Session(address, "shop", database, **more) for _ in range(count)]


def seen(directory: Path, *found: Session, text: str = "", connections: int = 100, **more: object) -> Facts:
    """The app `api` at HERE."""
    known = server(max_connections=connections, **more)
    return with_address(facts(directory, text or app(), known=known), "api", HERE, *found)


@pytest.mark.parametrize(("count", "value"), [(19, "session"), (20, "direct")])
def test_an_app_that_needs_its_session_and_holds_many_stays_direct(tmp_path: Path, count: int, value: str) -> None:
    listening = [*sessions(1, listens=True), *sessions(count - 1)]
    line = advise(seen(tmp_path, *listening))["route.api"]
    assert line.value == value and (f"{count} connections" in str(line.why)) == (value == "direct")
    rest = app("api", "postgrest/postgrest:v12", f"PGRST_DB_URI: '{URL}'")
    assert advise(seen(tmp_path, *sessions(count), text=rest))["route.api"].value == value


def test_many_sessions_of_an_app_in_transaction_mode_are_what_a_pool_is_for(tmp_path: Path) -> None:
    text = app("api", "n8nio/n8n:1.60", N8N)
    assert advise(seen(tmp_path, *sessions(60), text=text))["route.api"].value == "pooled"


@pytest.mark.parametrize(("held", "value"), [(14, "session"), (15, "direct")])
def test_a_pool_that_became_too_small_for_its_app_is_not_used(tmp_path: Path, held: int, value: str) -> None:
    """20 connections: 14 for a pool and its reserve."""
    found = seen(tmp_path, *sessions(held), connections=20)
    line = advise(found)["route.api"]
    assert (line.value, line.recommended) == (value, value) and ("pool of 14" in str(line.why)) == (value == "direct")
    assert bool(fragment(found).services) == (value == "session")


def test_who_falls_leaves_the_others_what_it_does_not_hold(tmp_path: Path) -> None:
    """Three pools of 11 out of 35; the one that holds 12 goes and takes them along: 23 are left for two pools of 11."""
    services = [app(n, variables=f"DATABASE_URL: 'postgresql://{n}:x@db/{n}'") for n in ("api", "b", "c")]
    known = server(max_connections=41, roles=roles(api="scram", b="scram", c="scram"))
    found = facts(tmp_path, *services, known=known)
    held = [Session(HERE, "api", "api") for _ in range(12)]
    lines = advise(with_address(found, "api", HERE, *held))
    assert [lines[f"route.{n}"].value for n in ("api", "b", "c")] == ["direct", "session", "session"]
    assert (lines["default_pool_size"].value, lines["reserve_pool_size"].value) == ("10", "1")
    assert lines["default_pool_size"].why.args["kept"] == 6 + 12


def test_a_route_that_was_chosen_stays_with_another_one_recommended(tmp_path: Path) -> None:
    line = advise(seen(tmp_path, *sessions(15), connections=20), route_api="session")["route.api"]
    assert (line.value, line.recommended) == ("session", "direct")


@pytest.mark.parametrize(("held", "kept"), [(0, 5), (5, 5), (60, 60)])
def test_what_a_direct_app_holds_is_not_shared(tmp_path: Path, held: int, kept: int) -> None:
    job = app(more="    restart: 'no'\n") + app("other", variables="DATABASE_URL: 'postgresql://o:x@db/o'")
    found = seen(tmp_path, *sessions(held), text=job, roles=roles(shop="scram", o="scram"))
    assert advise(found)["default_pool_size"].why.args["kept"] == 6 + kept


@pytest.mark.parametrize(
    ("others", "kept"),
    [
        ([], 0),
        (sessions(1, address=THERE), 5),
        (sessions(6, address=""), 10),
        ([Session(HERE, "else", "shop")], 5),
    ],
    ids=["none", "a tool", "the socket", "another login"],
)
def test_sessions_that_no_variable_explains_are_not_shared_either(
    tmp_path: Path, others: list[Session], kept: int
) -> None:
    found = seen(tmp_path, *sessions(9), *others)
    assert advise(found)["default_pool_size"].why.args["kept"] == 6 + kept


@pytest.mark.parametrize(("name", "kept"), [("pgbouncer", 0), ("exporter", 5)])
def test_those_of_nftuis_own_pooler_are_what_is_shared(tmp_path: Path, name: str, kept: int) -> None:
    found = replace(seen(tmp_path, *sessions(4, address=THERE)), brought={name: frozenset({THERE})})
    assert advise(found)["default_pool_size"].why.args["kept"] == 6 + kept


def test_sessions_of_the_socket_are_not_those_of_a_stopped_app(tmp_path: Path) -> None:
    found = with_address(facts(tmp_path, app()), "api", "", *sessions(30, address=""))
    line = advise(found)
    assert line["route.api"].value == "session" and line["default_pool_size"].why.args["kept"] == 6 + 30


def test_nothing_is_refused_where_everything_is_direct_and_full(tmp_path: Path) -> None:
    found = seen(tmp_path, *sessions(95))
    assert OPTIMIZATION.applies(found).applicable and advise(found)["route.api"].value == "direct"


def test_an_app_on_a_database_that_no_variable_names_stays_direct(tmp_path: Path) -> None:
    line = advise(seen(tmp_path, *sessions(1), *sessions(1, "tenant"), *sessions(1, "crm")))["route.api"]
    assert line.value == "direct" and "also uses crm, tenant" in str(line.why)
    for near in (sessions(1, "tenant", THERE), sessions(2)):
        assert advise(seen(tmp_path, *near))["route.api"].value == "session"
    both = app(variables=f"DATABASE_URL: '{URL}', SHADOW_DATABASE_URL: '{DIRECT}_shadow'")
    assert advise(seen(tmp_path, *sessions(1, "shop_shadow"), text=both))["route.api"].value == "session"


PAST = (
    "DIRECT_URL", "DIRECT_DATABASE_URL", "DATABASE_URL_UNPOOLED", "POSTGRES_URL_NON_POOLING", "MIGRATION_DATABASE_URL",
    "MIGRATIONS_URL", "SHADOW_DATABASE_URL", "LISTEN_URL", "DB_LISTENER_URL", "REPLICATION_URL",
)  # fmt: skip


@pytest.mark.parametrize("name", PAST)
def test_a_variable_for_the_way_past_a_pooler_is_not_rewritten(tmp_path: Path, name: str) -> None:
    made = fragment(facts(tmp_path, app(variables=f"DATABASE_URL: '{URL}', {name}: '{DIRECT}'")))
    assert list(environment(made, "api")) == ["DATABASE_URL"]


@pytest.mark.parametrize("name", ["DIRECTUS_DB_URL", "IMMIGRATION_URL", "READ_URL"])
def test_another_name_is_routed_as_well(tmp_path: Path, name: str) -> None:
    made = fragment(facts(tmp_path, app(variables=f"DATABASE_URL: '{URL}', {name}: '{DIRECT}'")))
    assert sorted(environment(made, "api")) == sorted(["DATABASE_URL", name])


def test_it_is_the_apps_way_where_it_has_no_other(tmp_path: Path) -> None:
    assert list(environment(fragment(facts(tmp_path, app(variables=f"DIRECT_URL: '{URL}'"))), "api")) == ["DIRECT_URL"]
    apart = facts(tmp_path, app(variables=f"DATABASE_URL: '{URL}'"), app("b", variables=f"DIRECT_URL: '{URL}'"))
    assert list(environment(fragment(apart), "b")) == ["DIRECT_URL"]


def test_a_database_that_is_only_reached_past_the_pooler_has_no_pool(tmp_path: Path) -> None:
    found = facts(tmp_path, app(variables=f"DATABASE_URL: '{URL}', SHADOW_DATABASE_URL: '{DIRECT}_shadow'"))
    text = text_of(fragment(found), "pgbouncer.ini")
    assert "\nshop = " in text and "shadow" not in text
    assert advise(found)["default_pool_size"].why.args["kept"] == 6 + 5


@pytest.mark.parametrize(
    ("more", "logins"),
    [
        ("", [["shop", "shop"]]),
        (f", DIRECT_URL: '{DIRECT}'", []),
        (f", SHADOW_DATABASE_URL: '{DIRECT}_shadow'", [["shop", "shop"]]),
    ],
    ids=["its only one", "the same login stays direct", "another one stays direct"],
)
def test_the_steps_know_which_logins_were_routed_and_nothing_that_changes_with_time(
    tmp_path: Path, more: str, logins: list[list[str]]
) -> None:
    young, old = (
        seen(tmp_path, *sessions(1, lasts=lasts), text=app(variables=f"DATABASE_URL: '{URL}'{more}"))
        for lasts in (False, True)
    )
    pools, route = OPTIMIZATION.steps(young, fragment(young))
    assert route.params["logins"] == logins and route.params["pools"] == pools.id
    assert pools.params["routes"] == ({"api": logins} if logins else {}) and pools.apart
    assert OPTIMIZATION.steps(old, fragment(old)) == (pools, route)
