"""A PgBouncer of the operator's: what is kept, what is advised, what is written, and when it is left alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nftui.model.errors import UsageError
from nftui.model.facts import Facts, Live
from nftui.model.pooling import PoolerFacts, Session
from nftui.model.stack import Container
from nftui.optimizations.pgbouncer import OPTIMIZATION
from nftui.probes.pooler import _file, _own
from tests.pgbouncer.build import advise, app, choose, facts, fragment, text_of, with_address

INI = "/etc/pgbouncer/pgbouncer.ini"
POOL = f"  pool: {{image: 'acme/pgbouncer:1.24', command: ['pgbouncer', '{INI}']}}\n"
DEFAULTS = {
    "pool_mode": "session", "max_client_conn": "100", "default_pool_size": "20", "reserve_pool_size": "0",
    "query_wait_timeout": "120", "reserve_pool_timeout": "5", "server_login_retry": "15",
    "max_prepared_statements": "200",
}  # fmt: skip
OWN = {"default_pool_size": "7", "auth_file": "/etc/pgbouncer/userlist.txt", "listen_addr": "*"}


def pooled(directory: Path, host: str = "db", text: str = POOL, **more: Any) -> Facts:
    """Its console was read; the server behind it is `host`."""
    values: dict[str, Any] = {
        "version": "1.24.1", "databases": {"shop": {"host": host}}, "defaults": DEFAULTS, "ini": INI, "own": OWN,
        "pools": (("shop", "shop"),),
    }  # fmt: skip
    known = PoolerFacts(**{**values, **more})
    found = facts(directory, app(), text)
    return replace(found, live={**found.live, ("pool", "pgbouncer"): Live("pgbouncer", "pool", known)})


def test_what_the_operator_set_is_kept_and_shown(tmp_path: Path) -> None:
    lines = advise(pooled(tmp_path))
    size = lines["default_pool_size"]
    assert (size.value, size.recommended, size.kept, size.changes) == ("7", "25", True, False)
    assert size.why.args == {"pools": 1, "room": 89, "total": 100, "kept": 11}
    assert (lines["max_client_conn"].value, lines["pool_mode"].value) == ("1000", "session")
    assert not any(name.startswith("route.") or name == "image" for name in lines)


def through(name: str, database: str, user: str = "shop") -> str:
    return app(name, variables=f"DATABASE_URL: 'postgresql://{user}:x@pool/{database}'")


FOUR = {name: {"host": "db"} for name in ("shop", "crm", "flow", "files")}
FORCED = {"shop": {"host": "db", "force_user": "owner"}}
BUDGETS: dict[str, tuple[dict[str, Any], int]] = {
    "one that is there": ({}, 1),
    "one for each database, at a quiet hour": ({"databases": FOUR, "pools": ()}, 4),
    "two users of a database": ({"databases": FOUR, "pools": (("a", "shop"), ("b", "shop"))}, 5),
    "an app that is not connected now": ({"text": POOL + through("b", "shop", "else")}, 2),
    "an app of a pool that is there": ({"text": POOL + through("b", "shop")}, 1),
    "an app of a database that is not listed": ({"text": POOL + through("b", "more")}, 2),
    "one user for all": (
        {"databases": FORCED, "pools": (("owner", "shop"),), "text": POOL + through("b", "shop", "else")}, 1),
    "the console's own": ({"databases": {"shop": {"host": "db"}, "pgbouncer": {"host": ""}}}, 1),
    "one of another server": (
        {"databases": {"shop": {"host": "db"}, "far": {"host": "db.example.org"}},
         "pools": (("shop", "shop"), ("far", "far")), "text": POOL + through("b", "far")}, 1),
}  # fmt: skip


@pytest.mark.parametrize("case", BUDGETS)
def test_every_pool_that_there_may_be_is_counted(tmp_path: Path, case: str) -> None:
    more, pools = BUDGETS[case]
    lines = advise(pooled(tmp_path, **more))
    sizes = [lines[name] for name in ("default_pool_size", "reserve_pool_size")]
    assert [line.why.args["pools"] for line in sizes] == [pools, pools]
    assert pools * sum(int(line.recommended or 0) for line in sizes) <= 89


HERE, POOLER = "10.0.0.9", "10.0.0.7"


@pytest.mark.parametrize(
    ("address", "count", "kept"),
    [(HERE, 0, 5), (HERE, 30, 30), ("10.0.0.8", 12, 5 + 15), (POOLER, 40, 5)],
    ids=["an app that goes past it", "all that it holds", "somebody else", "its own"],
)
def test_what_is_held_past_it_is_not_shared(tmp_path: Path, address: str, count: int, kept: int) -> None:
    found = with_address(pooled(tmp_path), "api", HERE, *[Session(address, "shop", "shop")] * count)
    place = Container("c2", "pool-1", "pool", 1, "running", None, "i", "s", addresses={"default": POOLER})
    services = tuple(replace(s, containers=(place,)) if s.name == "pool" else s for s in found.stack.services)
    assert advise(replace(found, stack=replace(found.stack, services=services)))["default_pool_size"].why.args == {
        "pools": 1, "room": 94 - kept, "total": 100, "kept": 6 + kept,
    }  # fmt: skip


def rows(count: int) -> dict[str, dict[str, str]]:
    return {f"d{n}": {"host": "db"} for n in range(count)}


def test_sizes_stay_where_there_are_more_pools_than_connections(tmp_path: Path) -> None:
    many = pooled(tmp_path, databases=rows(90), pools=())
    lines = advise(many)
    assert "default_pool_size" not in lines
    assert any("90 pools" in str(note) and "89 connections" in str(note) for note in lines["max_client_conn"].notes)
    with pytest.raises(UsageError, match="cannot fit"):
        advise(many, default_pool_size="5")
    assert "default_pool_size" in advise(pooled(tmp_path, databases=rows(89), pools=()))


def test_its_section_is_restated_and_the_rest_included(tmp_path: Path) -> None:
    made = fragment(pooled(tmp_path), default_pool_size="30")
    text = text_of(made, "pgbouncer.ini")
    assert text.index(f"%include {INI}") < text.index("\n[pgbouncer]\n") < text.index("default_pool_size = 30")
    assert "auth_file = /etc/pgbouncer/userlist.txt" in text and "default_pool_size = 7" not in text
    assert made.services["pool"]["command"] == ["pgbouncer", "/etc/nftui-pgbouncer/pgbouncer.ini"]
    assert set(made.services) == {"pool"} and not made.own
    step = OPTIMIZATION.steps(pooled(tmp_path), made)[0]
    assert step.params["config"] == made.values["pool"] and step.params["clients"] == []


def test_what_is_only_restated_is_read_back_as_well(tmp_path: Path) -> None:
    shown = {"default_pool_size": "7", "auth_file": "/x", "listen_addr": "*", "pool_mode": "session"}
    found = pooled(tmp_path, own={**OWN, "unknown_key": "1"}, config=shown)
    kept = OPTIMIZATION.steps(found, fragment(found, default_pool_size="30"))[0].params["kept"]
    assert kept == {"auth_file": ["/etc/pgbouncer/userlist.txt", "/x"], "listen_addr": ["*", "*"]}


@pytest.mark.parametrize(
    "before",
    [
        "; see [databases] above\n", "auth_query = SELECT a[1] FROM b\n", "# [a]\n\n  ; [b]\n", "",
    ],
)  # fmt: skip
@pytest.mark.parametrize("after", ["", "\n  [users]\nshop = pool_mode=session\n", "[peers]\n"])
def test_a_section_ends_at_the_line_that_begins_the_next(before: str, after: str) -> None:
    text = f"[databases]\nshop = host=db\n[pgbouncer]\nlisten_addr = *\n{before}client_tls_sslmode = require\n{after}"
    container = Container("c", "pool-1", "pool", 1, "running", None, "i", "s", command=("pgbouncer", INI))
    files = SimpleNamespace(exec=lambda *words, **more: (0, text.encode(), b""))
    path, own = _own(*_file(container, cast("Any", files), None))
    assert path == INI and (own["client_tls_sslmode"], own["listen_addr"]) == ("require", "*")
    assert "shop" not in own and ("auth_query" in own) == ("auth_query" in before)


def test_sizes_stay_where_the_server_is_not_this_stacks(tmp_path: Path) -> None:
    found = pooled(tmp_path, host="db.example.org")
    lines = advise(found)
    assert "default_pool_size" not in lines
    assert any("db.example.org" in str(note) for note in lines["max_client_conn"].notes)
    with pytest.raises(UsageError, match=r"db\.example\.org"):
        advise(found, default_pool_size="9")


@pytest.mark.parametrize("values", [{"image": "acme/x:1"}, {"route_api": "pooled"}, {"server": "db"}])
def test_what_is_the_operators_is_refused(tmp_path: Path, values: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="pool is yours"):
        OPTIMIZATION.advise(pooled(tmp_path), choose(**values), {})


def test_a_size_that_cannot_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot fit"):
        advise(pooled(tmp_path), default_pool_size="500")


@pytest.mark.parametrize(
    ("more", "words"),
    [({"ini": ""}, "which file it reads"), ({"text": POOL + POOL.replace("pool:", "pool2:")}, "several poolers")],
)
def test_it_is_left_alone_where_its_file_is_not_certain(tmp_path: Path, more: dict[str, Any], words: str) -> None:
    applies = OPTIMIZATION.applies(pooled(tmp_path, **more))
    assert not applies.applicable and words in str(applies.reason)


def test_a_change_of_its_section_is_another_assertion(tmp_path: Path) -> None:
    first, second = pooled(tmp_path), pooled(tmp_path, own={**OWN, "default_pool_size": "8"})
    before, after = (OPTIMIZATION.checks(f, fragment(f)) for f in (first, second))
    assert before[0].kind == "pooler-section" and before[0].expected != after[0].expected


def test_what_stays_as_it_is_says_why(tmp_path: Path) -> None:
    lines = advise(pooled(tmp_path))
    assert "yours to say" in str(lines["pool_mode"].why) and "would refuse" in str(lines["max_client_conn"].why)
