"""A server outside of the stack: which it is, what is read of it, and that nobody waits for one that is silent."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import pytest

from nftui.catalog.outside import outside_postgres
from nftui.clients import libpq
from nftui.clients.pglogin import Login
from nftui.clients.sql import ConnectError, Failure
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
        ("URL: 'postgresql://a:x@far.example.org:$${PORT}/shop'", []),
        ("URL: 'postgresql+psycopg2://app:S3cr3t/xYz+9@far:5432/app'", []),
        ("URL: 'postgresql://app:12/34?x@far:5432/app'", []),
        ("URL: 'jdbc:postgresql://far:5432/app?user=app&password=x@y'", ["far:5432"]),
        ("URL: 'postgresql://a:x@[2001:db8::1]/shop'", ["[2001:db8::1]:5432"]),
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


def test_the_patience_is_one_for_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "_read", lambda server: time.sleep(9))
    urls = [f"URL: 'postgresql://a:x@far{n}.example.org/shop'" for n in range(8)]
    began = time.monotonic()
    found = probe_outside(stack(tmp_path, *urls), 0.5)
    assert time.monotonic() - began < 3 and len(found) == 8 and not any(live.value for live in found.values())


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


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ValueError("S3cr3t is no port"), "the probe failed (ValueError)"),
        (KeyError("S3cr3t"), "the probe failed (KeyError)"),
        (ConnectError(Failure.REFUSED, "connection refused", "host far"), "host far: connection refused"),
    ],
)
def test_what_nobody_foresaw_is_told_by_its_type_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], error: Exception, why: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(libpq, "connect_host", fail)
    (live,) = probe_outside(stack(tmp_path, f"URL: '{FAR}/shop'")).values()
    assert live.value is None and live.error == why and "Traceback" not in capfd.readouterr().err


@contextmanager
def listener(
    address: str, serve: Callable[[socket.socket], None] = lambda client: None
) -> Iterator[tuple[int, list[str]]]:
    """Its port, and who came."""
    came: list[str] = []

    def listen() -> None:
        with suppress(OSError):
            while True:
                client, (peer, *_) = listening.accept()
                came.append(peer)
                with client:
                    serve(client)

    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as listening:
        listening.bind((address, 0))
        listening.listen()
        thread = Thread(target=listen, daemon=True)
        thread.start()
        yield listening.getsockname()[1], came
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.parametrize("host", ["127.0.0.3", "localhost"])
def test_the_shell_of_the_operator_sends_no_password_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    login = Login("shop", "shop", 0, "not-a-secret")
    with listener("127.0.0.2") as (port, came):
        service = tmp_path / "service.conf"
        service.write_text(f"[away]\nhost=127.0.0.2\nhostaddr=127.0.0.2\nport={port}\n")
        for variables in (
            {"PGHOSTADDR": "127.0.0.2", "PGHOST": "127.0.0.2", "PGPORT": str(port), "PGLOADBALANCEHOSTS": "random"},
            {"PGSERVICE": "away", "PGSERVICEFILE": str(service)},
        ):
            for name, value in variables.items():
                monkeypatch.setenv(name, value)
            with pytest.raises(ConnectError):
                libpq.connect_host(replace(login, port=port), host, "")
            with pytest.raises(ConnectError):
                libpq.connect_network(login, "127.0.0.3", port, "address")
        assert came == []


def test_the_shell_of_the_operator_sets_nothing_that_a_server_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGREQUIREAUTH", "PGCHANNELBINDING", "PGSSLMINPROTOCOLVERSION", "PGSSLNEGOTIATION"):
        monkeypatch.setenv(name, "nonsense")
    with listener("127.0.0.2") as (port, came), pytest.raises(ConnectError):
        libpq.connect_network(Login("shop", "shop", port, "not-a-secret"), "127.0.0.2", port, "address")
    assert came


CLEAR, MD5, SCRAM = (
    (3).to_bytes(4, "big"),
    (5).to_bytes(4, "big") + b"salt",
    (10).to_bytes(4, "big") + b"SCRAM-SHA-256\0\0",
)


def asked(request: bytes, connect: Callable[[Login], object]) -> bytes:
    """What a client answers to a server that asks for its password in that way (AuthenticationRequest)."""
    heard = bytearray()

    def serve(client: socket.socket) -> None:
        if client.recv(8)[4:] == (80877103).to_bytes(4, "big"):  # SSLRequest
            client.sendall(b"N")
            client.recv(8)
        client.recv(1024)
        client.sendall(b"R" + (len(request) + 4).to_bytes(4, "big") + request)
        heard.extend(client.recv(1024))

    with listener("127.0.0.2", serve) as (port, came), pytest.raises(ConnectError):
        connect(Login("shop", "shop", port, "not-a-secret"))
    assert came
    return bytes(heard)


@pytest.mark.parametrize("shell", ["", "nonsense", "none"])
@pytest.mark.parametrize(("request_", "far", "near"), [(CLEAR, b"", b"pnot-a-secret"), (MD5, b"pmd5", b"pmd5"),
                                                       (SCRAM, b"pSCRAM", b"pSCRAM")])  # fmt: skip
def test_only_who_has_not_just_a_name_is_told_the_password_itself(
    monkeypatch: pytest.MonkeyPatch, shell: str, request_: bytes, far: bytes, near: bytes
) -> None:
    if shell:
        monkeypatch.setenv("PGREQUIREAUTH", shell)
    heard = asked(request_, lambda login: libpq.connect_host(login, "127.0.0.2", ""))
    assert heard[:1] + heard[5 : 5 + max(0, len(far) - 1)] == far
    heard = asked(request_, lambda login: libpq.connect_network(login, "127.0.0.2", login.port, "address"))
    assert heard[:1] + heard[5 : 4 + len(near)] == near


@pytest.mark.parametrize("host", ["[::1]", "::1", "127.0.0.2"])
def test_an_address_of_ipv6_is_reached_as_urls_write_it(host: str) -> None:
    with listener(host.strip("[]")) as (port, came), pytest.raises(ConnectError):
        libpq.connect_host(Login("shop", "shop", port, "not-a-secret"), host, "")
    assert came


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
