"""The proofs without an engine: what the console says otherwise, who still goes past the pooler, what drifted."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nftui.catalog.logins import login_of
from nftui.model.advice import Assertion
from nftui.model.facts import Live
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.pooling import PoolerFacts, RoleSecret, ServerFacts, Session
from nftui.model.stack import Container
from nftui.steps.comparators import COMPARATORS
from nftui.steps.kind import Context, StepFailed
from nftui.steps.pooling import PoolsKind, RouteKind

COMMON = {"pooler": "pgbouncer", "port": 5432, "server": "db", "pools": "pools"}
CONFIG = {"pool_mode": "transaction", "max_client_conn": "1000"}
ROW = {"shop": {"name": "shop", "pool_mode": "transaction"}}


def context(
    pooler: PoolerFacts | None, *sessions: Session, variables: Mapping[str, str] | None = None, held: bool = False,
    log: str = "",
) -> Context:  # fmt: skip
    """An app at 10.0.0.9 that held sessions, or did not; the clock runs by itself."""
    answers = {"pgbouncer": pooler, "postgres-sessions": ServerFacts(100, 3, sessions=sessions)}
    container = Container("c", "api-1", "api", 1, "running", None, "i", "s", environment=variables or {},
                          addresses={"default": "10.0.0.9"})  # fmt: skip
    pool = Container("p", "p-1", "pgbouncer", 1, "running", None, "i", "s", addresses={"default": "10.0.0.2"})
    clock = iter(range(1000))
    return cast("Context", SimpleNamespace(
        probe=lambda service, name: Live(name, service, answers[name], None if answers[name] else "no psql"),
        engine=SimpleNamespace(containers=lambda: [container, pool], logs=lambda id, lines: log if id == "p" else ""),
        note=lambda text: None,
        now=lambda: float(next(clock)), sleep=lambda seconds: None,
        recall=lambda name: {"held": ["api"]} if held and name == "pools" else {},
    ))  # fmt: skip


def step(kind: str, target: str, **params: Any) -> StepSpec:
    return StepSpec("x", kind, target, {**COMMON, **params}, msg("x"), service=target)


def pools(**params: Any) -> StepSpec:
    usual: dict[str, Any] = {"config": CONFIG, "modes": {"shop": "transaction"}, "size": 2, "clients": []}
    return step("pgbouncer-pools", "pgbouncer", **{**usual, **params})


def test_the_console_is_believed() -> None:
    asked = PoolerFacts("1.24.1", CONFIG, ROW)
    assert PoolsKind().verify(pools(), {}, context(asked))["console"] == "1.24.1"


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (PoolerFacts("1.24.1", {**CONFIG, "pool_mode": "session"}, ROW), "pool_mode = session, not transaction"),
        (PoolerFacts("1.24.1", CONFIG, {"shop": {"pool_mode": "session"}}), "shop: pool_mode = session"),
        (PoolerFacts("1.24.1", CONFIG, {}), "shop: pool_mode = None"),
        (None, "neither be asked nor tried"),
    ],
)
def test_what_the_console_says_otherwise_fails_the_step(facts: PoolerFacts | None, words: str) -> None:
    with pytest.raises(StepFailed, match=words):
        PoolsKind().verify(pools(), {}, context(facts))


OWN = {"client_tls_sslmode": ["require", "require"], "server_lifetime": ["60.0", "3600"], "listen_addr": ["*", "*"]}


def test_what_was_only_restated_must_be_as_before() -> None:
    kept = pools(kept=OWN)
    now = {**CONFIG, "client_tls_sslmode": "require", "listen_addr": "*"}
    for lifetime in ("60", "3600"):  # As their file has it, or as it was while a file of nftui's said otherwise.
        PoolsKind().verify(kept, {}, context(PoolerFacts("1", {**now, "server_lifetime": lifetime}, ROW)))
    with pytest.raises(StepFailed, match="client_tls_sslmode = disable, not require"):
        lost = {**now, "client_tls_sslmode": "disable", "server_lifetime": "60"}
        PoolsKind().verify(kept, {}, context(PoolerFacts("1", lost, ROW)))


def test_a_pool_that_cannot_be_reached_fails_the_step_without_its_password() -> None:
    variables = {"URL": "postgresql://shop:not-a-secret-shop@pgbouncer/shop"}
    spec = step("pgbouncer-pools", "api", config=CONFIG, modes={"shop": "transaction"}, size=1,
                clients=[{"service": "api", "keys": {"url": "URL"}}], port=1)  # fmt: skip
    found = context(PoolerFacts("1", CONFIG, ROW), variables=variables)
    container = found.engine.containers()[0]
    object.__setattr__(container, "addresses", {"default": "127.0.0.1"})
    with pytest.raises(StepFailed, match="does not serve shop on shop") as failed:
        PoolsKind().verify(spec, {}, found)
    assert "not-a-secret-shop" not in str(failed.value)


def test_a_session_past_the_pooler_fails_the_step() -> None:
    kind, spec = RouteKind(), step("pgbouncer-route", "api")
    asked = PoolerFacts("1.24.1", clients=("10.0.0.9",))
    assert kind.verify(spec, {}, context(asked, Session("10.0.0.8", "shop", "shop"))) == {"through": True}
    with pytest.raises(StepFailed, match="1 connections of its own"):
        kind.verify(spec, {}, context(asked, Session("10.0.0.9", "shop", "shop")))


def test_sessions_of_logins_that_were_not_routed_are_none_of_it() -> None:
    kind, spec = RouteKind(), step("pgbouncer-route", "api", logins=[["shop", "shop"]])
    asked = PoolerFacts("1.24.1", clients=("10.0.0.9",))
    others = [Session("10.0.0.9", "shop", "crm"), Session("10.0.0.9", "reader", "shop")]
    assert kind.verify(spec, {}, context(asked, *others)) == {"through": True}
    with pytest.raises(StepFailed, match="1 connections of its own"):
        kind.verify(spec, {}, context(asked, *others, Session("10.0.0.9", "shop", "shop")))


@pytest.mark.parametrize(("held", "asked", "told"), [(False, True, 0), (True, False, 0), (True, True, 1)])
def test_an_app_that_has_not_come_back_is_told_if_it_was_there(held: bool, asked: bool, told: int) -> None:
    """One that connects when it has something to ask may have had nothing to ask."""
    spec, notes = step("pgbouncer-route", "api", logins=[["shop", "shop"]]), list[str]()
    found = context(PoolerFacts("1.24.1") if asked else None, held=held)
    found.note = notes.append
    assert RouteKind().verify(spec, {}, found) == {"through": False if asked else None}
    assert len(notes) == told and all("api held connections to db" in note for note in notes)


@pytest.mark.parametrize(
    ("log", "fails"),
    [
        ("WARNING C-0x1: shop/shop@10.0.0.9:41012 pooler error: password authentication failed", True),
        ("WARNING C-0x1: shop/shop@10.0.0.90:41012 pooler error: password authentication failed", False),
        ("LOG C-0x1: shop/shop@10.0.0.9:41012 closing because: client close request (age=3s)", False),
    ],
)
def test_an_app_that_the_pooler_turned_away_is_a_failure(log: str, fails: bool) -> None:
    spec = step("pgbouncer-route", "api", logins=[["shop", "shop"]])
    found = context(PoolerFacts("1.24.1"), held=True, log=f"2026-01-01 00:00:00.000 UTC [1] {log}\n")
    if fails:
        with pytest.raises(StepFailed, match="through the pooler: password authentication failed"):
            RouteKind().verify(spec, {}, found)
    else:
        assert RouteKind().verify(spec, {}, found) == {"through": False}


def test_an_app_that_was_started_anew_has_time_to_come_back() -> None:
    found = context(PoolerFacts("1.24.1"), held=True)
    late = SimpleNamespace(**{**vars(found), "probe": lambda service, name: (
        Live(name, service, PoolerFacts("1", clients=("10.0.0.9",))) if name == "pgbouncer" and found.now() > 90
        else found.probe(service, name))})  # fmt: skip
    spec = step("pgbouncer-route", "api", logins=[["shop", "shop"]])
    assert RouteKind().verify(spec, {}, cast("Context", late)) == {"through": True}


HERE = "10.0.0.9"


@pytest.mark.parametrize(
    ("sessions", "held"),
    [
        ((Session(HERE, "shop", "shop", lasts=True),), ["api"]),
        ((Session(HERE, "shop", "shop"),), []),
        ((Session("10.0.0.8", "shop", "shop", lasts=True), Session(HERE, "else", "shop", lasts=True)), []),
    ],
    ids=["it holds one", "it comes and goes", "others do"],
)
def test_who_holds_sessions_is_seen_before_any_app_is_routed(sessions: tuple[Session, ...], held: list[str]) -> None:
    found = context(PoolerFacts("1.24.1"), *sessions)
    assert PoolsKind().read(pools(routes={"api": [["shop", "shop"]]}), found) == {"held": held}


def test_an_idle_app_is_not_a_failure() -> None:
    assert RouteKind().verify(step("pgbouncer-route", "api"), {}, context(PoolerFacts("1.24.1"))) == {"through": False}


def test_a_verifier_is_compared_by_its_digest() -> None:
    comparator = COMPARATORS["postgres-role"]

    def live(verifier: str) -> Any:
        facts = {"postgres-sessions": ServerFacts(100, 3, roles={"shop": RoleSecret("shop", "scram", verifier)})}
        return lambda service, probe: Live(probe, service, facts[probe])

    assertion = Assertion("postgres-role", "db.role.shop", "", {"service": "db", "name": "shop"})
    expected = comparator.read(assertion, live("SCRAM-SHA-256$a"))
    assert expected is not None and "SCRAM" not in expected
    same = Assertion("postgres-role", "db.role.shop", expected, assertion.params)
    assert comparator.same(same, live("SCRAM-SHA-256$a")) and not comparator.same(same, live("SCRAM-SHA-256$b"))
    assert comparator.read(assertion, lambda s, p: Live(p, s, ServerFacts(100, 3, roles_error="denied"))) is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://a%40b:p%2Fw@db/shop?sslmode=require", ("a@b", "shop", "p/w", "require")),
        ("jdbc:postgresql://db:5432/shop?user=a&password=p", ("a", "shop", "p", "")),
        ("postgres://a:p@db", ("a", "a", "p", "")),
        (r"host=db user='a b' password='p\'w\\' dbname = shop sslmode=require", ("a b", "shop", "p'w\\", "require")),
        ('Host=db;Database=shop;User Id=a;Password="p;""w";SSL Mode=Disable', ("a", "shop", 'p;"w', "Disable")),
        ("host=db user=a", ("a", "a", None, "")),
    ],
)
def test_a_login_is_read_from_a_url(url: str, expected: tuple[str, ...]) -> None:
    found = login_of({"url": "URL"}, {"URL": url})
    assert (found.user, found.database, found.password, found.sslmode) == expected
    assert "password" not in repr(found)
