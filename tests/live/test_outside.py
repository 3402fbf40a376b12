"""A server outside of the stack: which it is, what is read of it, and that nobody waits for one that is silent."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import quote

import pytest

from nftui.catalog.outside import outside_postgres
from nftui.model.facts import Live
from nftui.model.pooling import OUTSIDE_PROBE, OutsideFacts
from nftui.model.stack import Stack
from nftui.probes import outside
from nftui.probes.live import probe_live
from nftui.probes.outside import probe_outside
from tests.live.conftest import PASSWORD, Server, docker
from tests.pgbouncer.build import app, facts

FAR = "postgresql://shop:not-a-secret@db.example.org"


def stack(directory: Path, *variables: str, more: str = "") -> Stack:
    services = [app(f"a{n}", variables=text, more=more) for n, text in enumerate(variables)]
    return facts(directory, *services).stack


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (f"URL: '{FAR}:6543/shop'", ["db.example.org:6543"]),
        (f"URL: '{FAR}/shop', OTHER: '{FAR}/more'", ["db.example.org:5432"]),
        ("URL: 'postgresql://a:x@10.1.2.3/shop'", ["10.1.2.3:5432"]),
        ("URL: 'postgresql://a:x@db/shop'", []),
        ("URL: 'postgresql://a:x@localhost/shop'", []),
        ("URL: 'redis://far.example.org'", []),
        ("URL: 'https://db.example.org'", []),
        ("URL: 'postgresql://a:x@$${HOST}/shop'", []),
    ],
)
def test_a_server_that_the_stack_has_not_is_outside(tmp_path: Path, text: str, places: list[str]) -> None:
    assert [one.place for one in outside_postgres(stack(tmp_path, text))] == places


def test_who_does_not_run_uses_none(tmp_path: Path) -> None:
    assert not outside_postgres(stack(tmp_path, f"URL: '{FAR}/shop'", more="    profiles: [never]\n"))


def test_the_variable_with_a_password_is_asked_with(tmp_path: Path) -> None:
    bare = "postgresql://shop@db.example.org/shop"
    (one,) = outside_postgres(stack(tmp_path, f"A_URL: '{bare}'", f"B_URL: '{FAR}/shop'"))
    assert (one.client, one.key, one.login.password) == ("a1", "B_URL", "not-a-secret")


def test_one_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "_read", lambda server: time.sleep(5))
    began = time.monotonic()
    (live,) = probe_outside(stack(tmp_path, f"URL: '{FAR}/shop'"), 0.1).values()
    assert time.monotonic() - began < 3 and live.value is None and "0.1 s" in str(live.error)


def test_one_without_a_login_is_not_asked(tmp_path: Path) -> None:
    (live,) = probe_outside(stack(tmp_path, "URL: 'postgresql://shop@db.example.org/shop'")).values()
    assert live.value is None and live.error == "URL has no whole login"


def test_it_is_asked_where_somebody_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Live(OUTSIDE_PROBE, "db.example.org:5432", OutsideFacts("16.2", 90))
    monkeypatch.setattr(outside, "_read", lambda server: asked)
    found = stack(tmp_path, f"URL: '{FAR}/shop'")
    assert probe_live(found, [OUTSIDE_PROBE], None) == {("db.example.org:5432", OUTSIDE_PROBE): asked}
    assert not any(probe == OUTSIDE_PROBE for _, probe in probe_live(found, ["postgres"], None))


def test_one_that_refuses_says_why_without_its_password(tmp_path: Path) -> None:
    (live,) = probe_outside(stack(tmp_path, "URL: 'postgresql://shop:not-a-secret@127.0.0.2:1/shop'")).values()
    assert live.value is None and "127.0.0.2" in str(live.error) and "not-a-secret" not in str(live.error)


@pytest.mark.engine
def test_its_version_and_room_are_read_and_nothing_is_set(server: Server, tmp_path: Path) -> None:
    server.admin("ALTER SYSTEM SET log_statement = 'all'; SELECT pg_reload_conf()")
    address = next(iter(server.container.addresses.values()))
    (live,) = probe_outside(stack(tmp_path, f"URL: 'postgresql://crm:{quote(PASSWORD)}@{address}/crm'")).values()
    known = live.value
    assert isinstance(known, OutsideFacts) and known.version.startswith(str(server.major)), live.error
    assert known.max_connections == 100
    said = docker("logs", server.name)
    log = said.stdout + said.stderr
    assert b"current_setting('max_connections')" in log and b"statement: SET" not in log
