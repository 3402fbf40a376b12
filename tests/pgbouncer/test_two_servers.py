"""A stack with two PostgreSQL servers: one is pooled, the other is named with its apps, and the operator may choose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nftui.model.choices import Selection
from nftui.model.errors import UsageError
from nftui.model.facts import Facts, Live
from nftui.model.pooling import ServerFacts
from nftui.optimizations.pgbouncer import OPTIMIZATION
from tests.pgbouncer.build import advise, app, choose, environment, facts, fragment, server, text_of

OTHER = "  crm-db: {image: 'postgres:16', volumes: ['more:/var/lib/postgresql/data']}\n"
CRM = "postgresql://shop:${SHOP_PASSWORD}@crm-db:5432/crm"


def crm(name: str = "crm", more: str = "") -> str:
    return app(name, variables=f"CRM_URL: '{CRM}'{more}")


def two(directory: Path, *services: str, known: ServerFacts | None = None, main: ServerFacts | None = None) -> Facts:
    """`db` with two apps, and `crm-db` with these."""
    found = facts(directory, OTHER, app("api"), app("b"), *services, known=main)
    other = Live("postgres-roles", "crm-db", known or server())
    return replace(found, live={**found.live, ("crm-db", "postgres-roles"): other})


def test_the_other_server_is_named_with_its_apps(tmp_path: Path) -> None:
    found = two(tmp_path, crm())
    line = advise(found)["server"]
    assert (line.value, line.recommended, line.changes, len(line.notes)) == ("db", "db", True, 1)
    assert "crm-db has no pooler" in str(line.notes[0]) and ": crm." in str(line.notes[0])
    assert "by pgbouncer.server: crm-db" in str(OPTIMIZATION.applies(found).reason)


@pytest.mark.parametrize("services", [(), (crm("flow"),)], ids=["nobody uses it", "there is no other"])
def test_nothing_is_said_where_nobody_uses_another(tmp_path: Path, services: tuple[str, ...]) -> None:
    found = two(tmp_path) if not services else facts(tmp_path, app())
    assert not advise(found)["server"].notes and "in its place" not in str(OPTIMIZATION.applies(found).reason)


def test_an_app_of_the_other_server_is_in_the_list_and_stays_direct(tmp_path: Path) -> None:
    found = two(tmp_path, crm())
    line = advise(found)["route.crm"]
    assert (line.value, line.recommended, line.changes) == ("direct", "direct", False) and "crm-db" in str(line.why)
    assert "crm" not in fragment(found).services
    with pytest.raises(UsageError, match=r"route\.crm = session is refused: It uses crm-db"):
        advise(found, route_crm="session")
    assert advise(found, route_crm="direct")["route.crm"].value == "direct"


def test_what_is_direct_elsewhere_takes_no_connection_here(tmp_path: Path) -> None:
    assert advise(two(tmp_path, crm()))["default_pool_size"].why.args["kept"] == 6


def test_an_app_of_both_is_pooled_where_the_pooler_stands(tmp_path: Path) -> None:
    both = app("api", variables=f"DATABASE_URL: 'postgresql://shop:x@db/shop', CRM_URL: '{CRM}'")
    found = facts(tmp_path, OTHER, app("b"), both)
    lines = advise(found)
    assert lines["route.api"].value == "session" and ": api." in str(lines["server"].notes[0])
    assert list(environment(fragment(found), "api")) == ["DATABASE_URL"]


def test_the_operator_chooses_the_server(tmp_path: Path) -> None:
    found = two(tmp_path, crm())
    lines, made = advise(found, server="crm-db"), fragment(found, server="crm-db")
    assert (lines["server"].value, lines["server"].recommended) == ("crm-db", "db")
    assert [lines[f"route.{n}"].value for n in ("api", "b", "crm")] == ["direct", "direct", "session"]
    assert "crm = host=crm-db" in text_of(made, "pgbouncer.ini") and set(made.services) == {"pgbouncer", "crm"}
    assert environment(made, "crm")["CRM_URL"] == CRM.replace("@crm-db:", "@pgbouncer:")
    steps = OPTIMIZATION.steps(found, made)
    assert steps[0].params["server"] == "crm-db" and OPTIMIZATION.checks(found, made)[0].target == "crm-db.role.shop"


def test_the_memory_is_that_of_the_chosen_servers_pooler(tmp_path: Path) -> None:
    direct = choose(route_api="direct", route_b="direct").select("pgbouncer", Selection.ON)
    found = two(tmp_path, crm())
    assert not OPTIMIZATION.demand(found, direct)
    assert OPTIMIZATION.demand(found, direct.set("pgbouncer", None, "server", "crm-db"))


@pytest.mark.parametrize(("name", "words"), [("nowhere", "there are: crm-db, db"), ("api", "no PostgreSQL server")])
def test_a_server_that_is_none_is_refused(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        OPTIMIZATION.advise(two(tmp_path, crm()), choose(server=name), {})


def test_a_server_whose_roles_may_not_be_read_comes_last(tmp_path: Path) -> None:
    closed = server(roles_error="permission denied for table pg_authid")
    assert advise(two(tmp_path, crm(), main=closed))["server"].value == "crm-db"
    with pytest.raises(UsageError, match="permission denied"):
        advise(two(tmp_path, crm(), main=closed), server="db")


def test_one_that_does_not_answer_does_not_give_its_place_to_the_other(tmp_path: Path) -> None:
    found = two(tmp_path, crm())
    away = {**found.live, ("db", "postgres-roles"): Live("postgres-roles", "db", None, "not running")}
    applies = OPTIMIZATION.applies(replace(found, live=away))
    assert not applies.applicable and "roles of db cannot be read" in str(applies.reason)
