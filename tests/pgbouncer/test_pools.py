"""Each pool is tried: with which password, by how many clients, and what is said of those that are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nftui.clients.postgres import ConnectError, Failure
from nftui.clients.scram import fits
from nftui.model.facts import Live
from nftui.model.pooling import PoolerFacts, RoleSecret, ServerFacts
from nftui.model.stack import MountSpec
from nftui.optimizations.pgbouncer import OPTIMIZATION
from nftui.steps import pooling
from nftui.steps.kind import Context, StepFailed
from nftui.steps.pooling import PoolsKind
from tests.pgbouncer.build import advise, app, facts, fragment, server
from tests.pgbouncer.test_steps import CONFIG, ROW, context, pools

PENCIL = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
    ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)
"""Of the password "pencil", salt and iterations as in RFC 7677."""
URL = {"URL": "postgresql://shop:pencil@pgbouncer/shop"}
SPLIT = {"DB_USER": "shop", "DB_NAME": "shop"}
KEYS = {"user": "DB_USER", "database": "DB_NAME"}


class Pooler:
    """Lets in who has the password; counts who is in at once and who was refused."""

    def __init__(self) -> None:
        self.inside = self.most = self.refused = 0
        self._lock = Lock()

    def connect(self, login: Any, *_: object) -> Any:
        if login.password != "pencil":
            self.refused += 1
            raise ConnectError(Failure.PASSWORD, "password authentication failed")
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        return self

    def batch(self, queries: list[object]) -> list[list[tuple[str]]]:
        return [[("1",)] for _ in queries]

    def close(self) -> None:
        with self._lock:
            self.inside -= 1


@pytest.fixture
def pooler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pooler]:
    found = Pooler()
    monkeypatch.setattr(pooling, "connect_network", found.connect)
    yield found
    assert found.inside == 0


def world(
    variables: Mapping[str, str],
    files: Mapping[str, str] | None = None,
    mounts: tuple[str, ...] = (),
    console: PoolerFacts | None = None,
) -> tuple[Context, list[str]]:
    """The app with these variables, and what is noted of the step."""
    found = context(None, variables=variables)
    first, notes = found.engine.containers()[0], list[str]()
    place = tuple(MountSpec("bind", "/x", target) for target in mounts)
    every = [replace(first, mounts=place), replace(first, id="p", service="pgbouncer")]
    known = ServerFacts(100, 3, roles={"shop": RoleSecret("shop", "scram", PENCIL)})
    answers = {"postgres-sessions": known, "pgbouncer": console or PoolerFacts("1.25", CONFIG, ROW)}
    found.engine = cast("Any", SimpleNamespace(containers=lambda: every))
    found.probe = lambda service, name: Live(name, service, answers[name])
    found.content = lambda container, path: (files or {}).get(path)
    found.note = notes.append
    return found, notes


def one(keys: Mapping[str, str], size: int = 2, most: str = "1000") -> Any:
    """The pool of shop, that the app is in by these variables."""
    clients = [{"service": "api", "keys": dict(keys), "pool": ["shop", "shop"]}]
    return pools(size=size, config={**CONFIG, "max_client_conn": most}, clients=clients)


@pytest.mark.parametrize(("size", "count"), [(2, 5), (60, 63), (300, 303)])
def test_a_pool_is_tried_by_more_clients_than_it_has(pooler: Pooler, size: int, count: int) -> None:
    ctx, notes = world(URL)
    assert PoolsKind().verify(one({"url": "URL"}, size), {}, ctx)["served"] == {"shop/shop": count}
    assert pooler.most == count and not notes


@pytest.mark.parametrize(
    ("size", "most", "clients", "count"), [(600, "5000", 0, 500), (60, "50", 0, 49), (60, "80", 30, 49), (9, "1", 4, 1)]
)
def test_where_there_are_no_places_for_more_it_is_said(
    pooler: Pooler, size: int, most: str, clients: int, count: int
) -> None:
    now = PoolerFacts("1.25", {**CONFIG, "max_client_conn": most}, ROW, clients=("10.0.0.9",) * clients)
    ctx, notes = world(URL, console=now)
    assert PoolsKind().verify(one({"url": "URL"}, size, most), {}, ctx)["served"] == {"shop/shop": count}
    assert pooler.most == count and len(notes) == 1 and f"by {count} clients" in notes[0] and "not proven" in notes[0]


FILES = {
    "its own file": ({**SPLIT, "DB_PASSWORD_FILE": "/f"}, {"/f": "pencil"}, ()),
    "a line's end": ({**SPLIT, "DB_PASSWORD_FILE": "/f"}, {"/f": " pencil\r"}, ()),
    "Grafana's": ({**SPLIT, "GF_DATABASE_PASSWORD__FILE": "/f"}, {"/f": "pencil"}, ()),
    "another one's first": (
        {**SPLIT, "A_PASSWORD_FILE": "/a", "B_PASSWORD_FILE": "/b"}, {"/a": "else", "/b": "pencil"}, ()),
    "libpq's file": (
        {**SPLIT, "PGPASSFILE": "/f"}, {"/f": "# a comment\nelse:5432:*:shop:no\ndb:*:shop:shop:pencil"}, ()),
    "a secret that no variable names": (SPLIT, {"/run/secrets/db": "pencil"}, ("/run/secrets/db",)),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_a_password_in_a_file_is_read_there(pooler: Pooler, case: str) -> None:
    variables, files, mounts = FILES[case]
    ctx, notes = world(variables, files, mounts)
    found = PoolsKind().verify(one(KEYS), {}, ctx)
    assert (found["served"], found["unproven"], notes) == ({"shop/shop": 5}, [], []) and pooler.most == 5


UNKNOWN = {
    "no file": (SPLIT, {}, ()),
    "a file that cannot be read": ({**SPLIT, "DB_PASSWORD_FILE": "/f"}, {}, ()),
    "another login's": ({**SPLIT, "SMTP_PASSWORD_FILE": "/f"}, {"/f": "else"}, ()),
    "a mount that is no secret": (SPLIT, {"/data/db": "pencil"}, ("/data/db",)),
    "a variable of another kind": ({**SPLIT, "PROFILE": "/f"}, {"/f": "pencil"}, ()),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_a_pool_whose_password_is_not_known_is_named_and_not_tried(pooler: Pooler, case: str) -> None:
    variables, files, mounts = UNKNOWN[case]
    ctx, notes = world(variables, files, mounts)
    found = PoolsKind().verify(one(KEYS), {}, ctx)
    assert (found["served"], found["unproven"], pooler.refused) == ({}, ["shop/shop"], 0)
    assert len(notes) == 1 and "as shop on shop" in notes[0] and "api" in notes[0]


def test_so_is_one_of_an_app_that_does_not_run(pooler: Pooler) -> None:
    ctx, notes = world(URL)
    containers = [c for c in ctx.engine.containers() if c.service == "pgbouncer"]
    ctx.engine = cast("Any", SimpleNamespace(containers=lambda: containers))
    assert PoolsKind().verify(one({"url": "URL"}), {}, ctx)["unproven"] == ["shop/shop"] and len(notes) == 1


def test_a_password_that_the_pooler_refuses_fails_the_step(pooler: Pooler) -> None:
    ctx, _ = world({"URL": URL["URL"].replace("pencil", "not-a-secret")})
    with pytest.raises(StepFailed, match="does not serve shop on shop") as failed:
        PoolsKind().verify(one({"url": "URL"}), {}, ctx)
    assert "not-a-secret" not in str(failed.value)


@pytest.mark.parametrize(
    ("password", "verifier", "expected"),
    [("pencil", PENCIL, True), ("Pencil", PENCIL, False), ("pencil", "md5" + "0" * 32, False), ("", "", False)],
)
def test_a_verifier_tells_its_password(password: str, verifier: str, expected: bool) -> None:
    assert fits(password, verifier) is expected


@pytest.mark.parametrize(("more", "said"), [("", False), (", DB_PASSWORD_FILE: /run/secrets/x", True)])
def test_the_advice_says_that_a_login_may_not_be_proven(tmp_path: Path, more: str, said: bool) -> None:
    secret = "" if more else ", DB_PASSWORD: x"
    found = facts(tmp_path, app(variables=f"DB_HOST: db, DB_USER: shop, DB_NAME: shop{secret}{more}"))
    assert any("no login through" in str(n) for n in advise(found)["route.api"].notes) is said
    assert not any("no login" in str(n) for n in advise(found, route_api="direct")["route.api"].notes)


@pytest.mark.parametrize(
    ("size", "clients", "said"), [("60", "1000", False), ("60", "61", True), ("600", "1000", True)]
)
def test_the_advice_says_that_a_pool_is_not_tried_when_full(
    tmp_path: Path, size: str, clients: str, said: bool
) -> None:
    found = facts(tmp_path, app(), known=server(max_connections=1000))
    lines = advise(found, default_pool_size=size, reserve_pool_size="0", max_client_conn=clients)
    assert any("not tried" in str(n) for n in lines["default_pool_size"].notes) is said


def test_the_step_knows_each_pool_without_a_container(tmp_path: Path) -> None:
    found = facts(tmp_path, app())
    assert OPTIMIZATION.steps(found, fragment(found))[0].params["clients"] == [
        {"service": "api", "keys": {"url": "DATABASE_URL"}, "pool": ["shop", "shop"]}
    ]
