"""What is asked of the whole stack is asked once, however many servers there are; and the advice of tiny grants."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from nftui.model.choices import Choices
from nftui.model.findings import Level
from nftui.model.stack import Role, Service
from nftui.model.units import MIB
from nftui.optimizations.postgres import OPTIMIZATION
from nftui.optimizations.postgres import findings as findings_module
from nftui.optimizations.postgres.findings.versions import level_of
from nftui.optimizations.postgres.server import named_servers

from .build import advise, facts, service


def counting(monkeypatch: pytest.MonkeyPatch, name: str) -> list[object]:
    calls: list[object] = []
    real = getattr(findings_module, name)

    def count(*arguments: Any) -> Any:
        calls.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(findings_module, name, count)
    return calls


@pytest.mark.parametrize("name", ["connections", "named_servers"])
def test_findings_read_the_stack_once(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    calls = counting(monkeypatch, name)
    others = [Service(f"db{n}", Role.POSTGRES, image="postgres:16", version="16") for n in range(5)]
    list(OPTIMIZATION.findings(facts(service(), *others)))
    assert len(calls) == 1


@pytest.mark.parametrize(("key", "value", "named"), [
    ("DATABASE_URL", "postgres://u:p@db:5432/x", True), ("DB_HOST", "db", True), ("DB_HOST", "db:5432", True),
    ("HOSTS", "a,db", False), ("X", "postgresql://u:p@db", True), ("DATABASE_URL", "jdbc:postgresql://db/x", True),
    ("POSTGRES_USER", "db", False), ("DATABASE_URL", "db://u:p@other/x", False), ("DB_HOST", "db-replica", False),
    ("DB_HOST", "old.db", False),
])  # fmt: skip
def test_who_is_named(key: str, value: str, named: bool) -> None:
    client = Service("api", Role.APP, environment={key: value})
    assert ("db" in named_servers(facts(service(), client))) is named


def test_a_dependency_names_and_a_server_or_an_idle_service_does_not() -> None:
    needs: dict[str, Any] = {"config": {"depends_on": {"db": {"condition": "service_started"}}}}
    assert named_servers(facts(service(), Service("api", Role.APP, **needs))) == {"db"}
    assert named_servers(facts(service(), Service("api", Role.APP, active=False, **needs))) == frozenset()
    assert named_servers(facts(service(), Service("copy", Role.POSTGRES, **needs))) == frozenset()


@pytest.mark.parametrize("memory", [0, 1, MIB, 16 * MIB])
def test_a_grant_that_is_far_too_small_gives_advice_with_a_note(memory: int) -> None:
    lines = advise(facts(service()), Choices(), memory)
    assert any("does not fit" in str(note) for note in lines["max_connections"].notes)


def test_old_and_out_of_support() -> None:
    today = date(2026, 6, 1)
    assert level_of(date(2026, 5, 31), today) is Level.MEDIUM
    assert level_of(today, today) is Level.LOW
    assert level_of(date(2027, 5, 31), today) is Level.LOW
    assert level_of(date(2027, 6, 1), today) is None
