"""What a pooler must know of a server: temporary tables in every database that is in use, and no session of nftui's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event

import pytest

from nftui.clients.postgres import ConnectError, Failure, Login
from nftui.model.facts import Live
from nftui.model.pooling import ServerFacts
from nftui.model.stack import Service
from nftui.probes import pooling
from nftui.probes.live import PROBES
from nftui.probes.pooling import probe_roles
from tests.live.conftest import Server, docker, until
from tests.live.fakes import FakeClient, container

DATABASES = ["crm", "shop", "files", "locked"]


@contextmanager
def sleeping(server: Server, database: str, statement: str) -> Iterator[None]:
    """A client on that database that has run a statement and stays."""
    words = ("-XqU", "crm", "-d", database, "-c", statement, "-c", "SELECT pg_sleep(60)")
    seen = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND query ~ '^SELECT pg_sleep'"  # noqa: S608
    with server.background("psql", *words) as client:
        try:
            until(lambda: server.admin(seen) == "1")
            yield
        finally:
            client.kill()
            server.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep'")


def known(live: Live) -> ServerFacts:
    assert isinstance(live.value, ServerFacts), live.error
    return live.value


@pytest.mark.engine
def test_temporary_tables_of_another_database_are_seen(server: Server) -> None:
    server.admin("CREATE DATABASE shop")
    server.admin("CREATE DATABASE files")
    assert known(probe_roles(server.service, None)).sessions == (), "nftui's own are none of an app's"
    with sleeping(server, "shop", "CREATE TEMP TABLE t (i int)"), sleeping(server, "files", "CREATE TABLE t (i int)"):
        found = known(probe_roles(server.service, None))
    assert found.temporary == {"shop"} and sorted(s.database for s in found.sessions) == ["files", "shop"]
    assert known(probe_roles(server.service, None)).temporary == frozenset()


SETS = """
SET search_path = public; SET SESSION App.Tenant TO '7'; SET role none; SET SESSION AUTHORIZATION DEFAULT;
BEGIN; SET LOCAL temp_buffers = '1MB'; SET LOCAL app.other = '7'; COMMIT;
SET statement_timeout = 0; SET TIME ZONE 'UTC'; SET row_security = off; SET default_transaction_read_only = off;
SELECT 'SET work_mem = 1'
"""


@pytest.mark.engine
def test_what_statements_have_set_is_seen_where_they_are_counted(server: Server) -> None:
    assert known(probe_roles(server.service, None)).set_by == {}
    assert b"pg_stat_statements" not in docker("logs", server.name).stderr, "nothing that is not there is asked"
    server.admin("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
    docker("restart", server.name)
    server.wait()
    server.admin("CREATE EXTENSION pg_stat_statements")
    server.admin(SETS)
    found = known(probe_roles(server.service, None))
    assert found.set_by == {("crm", "crm"): ("app.tenant", "authorization", "role", "search_path")}


@pytest.mark.parametrize(
    ("sessions", "asked"),
    [
        (["shop", "files", "shop"], ["crm", "shop", "files"]), ([], ["crm"]), (["crm"], ["crm"]),
        (["shop", "files"], ["crm", "files", "shop"]), (["shop", "files", "files", "shop"], ["crm", "files", "shop"]),
        (["locked", "shop"], ["crm", "locked", "shop"]), (["template1", "shop"], ["crm", "shop"]),
    ],
    ids=["the most first", "nobody", "its own only", "as many, by name", "as many each", "one that lets nobody in",
         "no database of apps"],
)  # fmt: skip
def test_the_databases_in_use_are_asked(monkeypatch: pytest.MonkeyPatch, sessions: list[str], asked: list[str]) -> None:
    went = serve(monkeypatch, sessions)
    live = probe_roles(SERVICE, None)
    assert live.probe == "postgres-roles" and went == asked
    assert known(live).temporary == ({"shop"} if "shop" in sessions else frozenset())


def test_who_asks_again_and_again_logs_in_once(monkeypatch: pytest.MonkeyPatch) -> None:
    went = serve(monkeypatch, ["shop", "files", "shop"])
    live = PROBES["postgres-sessions"].read(SERVICE, None, {})
    assert live.probe == "postgres-sessions" and went == ["crm"] and len(known(live).sessions) == 3


@pytest.mark.parametrize("name", ["files", "shop"])
def test_a_database_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(pooling, "TOUR_S", 0.2)
    over = Event()
    went = serve(monkeypatch, ["shop", "files", "shop"], lambda database: over.wait(10) if database == name else None)
    began = time.monotonic()
    found = known(probe_roles(SERVICE, None))
    assert time.monotonic() - began < 3
    assert found.temporary == ({"shop"} if name == "files" else frozenset()) and len(found.sessions) == 3
    seen = list(went)
    over.set()
    time.sleep(0.2)
    assert went == seen, "no next one is begun"


def test_a_database_that_breaks_the_tour_costs_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(database: str) -> None:
        if database == "files":
            raise RuntimeError(database)

    serve(monkeypatch, ["shop", "files", "shop"], fail)
    assert known(probe_roles(SERVICE, None)).temporary == {"shop"} and "Traceback" not in capfd.readouterr().err


SERVICE = Service("postgres", containers=(container(environment={"POSTGRES_USER": "crm"}),))


def serve(
    monkeypatch: pytest.MonkeyPatch, sessions: list[str], before: Callable[[str], object] = lambda database: None
) -> list[str]:
    """A server with those sessions, a temporary table in shop; the databases that were logged in to."""
    went: list[str] = []

    def connect(service: Service, exec_port: object, environ: object, login: Login) -> FakeClient:
        went.append(login.database)
        before(login.database)
        if login.database == "locked":
            raise ConnectError(Failure.NOT_ALLOWED, "no pg_hba.conf entry")
        core = {"max": 100, "reserved": 3, "tls": False, "counts": False, "databases": DATABASES}
        rows = [["10.0.0.9", "shop", name, False, False, True] for name in sessions]
        return FakeClient({
            "max_connections": [(json.dumps(core),)], "pg_authid": [("[]",)], "pg_stat_activity": [(json.dumps(rows),)],
            "relpersistence": [(login.database,)] if login.database == "shop" else [],
        })  # fmt: skip

    monkeypatch.setattr(pooling, "connect", connect)
    return went
