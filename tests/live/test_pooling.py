"""What a pooler must know of a server: temporary tables in every database that is in use, and no session of nftui's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nftui.clients.postgres import ConnectError, Failure, Login
from nftui.model.facts import Live
from nftui.model.pooling import ServerFacts
from nftui.model.stack import Service
from nftui.probes import pooling
from nftui.probes.pooling import probe_roles
from tests.live.conftest import Server, until
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


@pytest.mark.parametrize(
    ("sessions", "asked"),
    [
        (["shop", "files", "shop"], ["crm", "shop", "files"]), ([], ["crm"]), (["crm"], ["crm"]),
        (["locked", "shop"], ["crm", "locked", "shop"]), (["template1", "shop"], ["crm", "shop"]),
    ],
    ids=["the most first", "nobody", "its own only", "one that lets nobody in", "no database of apps"],
)  # fmt: skip
def test_the_databases_in_use_are_asked(monkeypatch: pytest.MonkeyPatch, sessions: list[str], asked: list[str]) -> None:
    went: list[str] = []

    def connect(service: Service, exec_port: object, environ: object, login: Login) -> FakeClient:
        went.append(login.database)
        if login.database == "locked":
            raise ConnectError(Failure.NOT_ALLOWED, "no pg_hba.conf entry")
        core = {"max": 100, "reserved": 3, "tls": False, "databases": DATABASES}
        rows = [["10.0.0.9", "shop", name, False, False, True] for name in sessions]
        return FakeClient({
            "max_connections": [(json.dumps(core),)], "pg_authid": [("[]",)], "pg_stat_activity": [(json.dumps(rows),)],
            "relpersistence": [(login.database,)] if login.database == "shop" else [],
        })  # fmt: skip

    monkeypatch.setattr(pooling, "connect", connect)
    service = Service("postgres", containers=(container(environment={"POSTGRES_USER": "crm"}),))
    found = known(probe_roles(service, None))
    assert went == asked and found.temporary == ({"shop"} if "shop" in sessions else frozenset())
