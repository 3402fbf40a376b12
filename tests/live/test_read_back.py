"""Values compared as PostgreSQL reads them, and the questions around a restart."""

from __future__ import annotations

import pytest

from nftui.clients.postgres import Failure, PostgresClient, PostgresUnreachable
from nftui.clients.sql import QueryError
from nftui.model.message import msg
from nftui.probes.postgres_state import NotReady, checkpoint, clean_shutdown, is_serving, wait_ready
from nftui.steps.postgres_settings import DifferenceKind, ReadValue, compare, read_values
from nftui.steps.postgres_values import canonical, parse_bool, same
from tests.live.fakes import FakeClient


@pytest.mark.parametrize(
    ("name", "expected", "setting", "vartype", "unit"),
    [
        ("shared_buffers", "512MB", "65536", "integer", "8kB"),
        ("shared_buffers", "524288kB", "65536", "integer", "8kB"),
        ("shared_buffers", "0.5GB", "65536", "integer", "8kB"),
        ("shared_buffers", "65536", "65536", "integer", "8kB"),
        ("work_mem", "1.5MB", "1536", "integer", "kB"),
        ("track_activity_query_size", "4kB", "4096", "integer", "B"),
        ("min_wal_size", "1GB", "64", "integer", "16MB"),
        ("checkpoint_timeout", "15min", "900", "integer", "s"),
        ("statement_timeout", "1d", "86400000", "integer", "ms"),
        ("work_mem", "30.1GB", "31561728", "integer", "kB"),
        ("log_file_mode", "0640", "0640", "integer", None),
        ("log_min_duration_statement", "-1", "-1", "integer", "ms"),
        ("wal_buffers", "-1", "2048", "integer", "8kB"),
        ("max_connections", " 200 ", "200", "integer", None),
        ("max_connections", "0x10", "16", "integer", None),
        ("random_page_cost", "1.10", "1.1", "real", None),
        ("checkpoint_completion_target", "0.90", "0.9", "real", None),
        ("vacuum_cost_delay", "2000us", "2", "real", "ms"),
        ("jit", "true", "on", "bool", None),
        ("jit", "OF", "off", "bool", None),
        ("synchronous_commit", "true", "on", "enum", None),
        ("wal_compression", "on", "pglz", "enum", None),
        ("huge_pages", "TRY", "try", "enum", None),
        ("shared_preload_libraries", "a,b", '"a", b', "string", None),
    ],
)
def test_same(name: str, expected: str, setting: str, vartype: str, unit: str | None) -> None:
    assert same(name, expected, setting, vartype, unit)


@pytest.mark.parametrize(
    ("name", "expected", "setting", "vartype", "unit"),
    [
        ("shared_buffers", "513MB", "65536", "integer", "8kB"),
        ("shared_buffers", "512mb", "65536", "integer", "8kB"),  # the server takes units in this spelling only
        ("max_connections", "100kB", "100", "integer", None),
        ("work_mem", "banana", "4096", "integer", "kB"),
        ("work_mem", "4min", "4096", "integer", "kB"),
        ("random_page_cost", "1.1", "1.2", "real", None),
        ("jit", "o", "on", "bool", None),
        ("archive_command", "a, b", "a,b", "string", None),
        ("shared_preload_libraries", "b,a", "a,b", "string", None),
    ],
)
def test_not_same(name: str, expected: str, setting: str, vartype: str, unit: str | None) -> None:
    assert not same(name, expected, setting, vartype, unit)


def test_bool_words() -> None:
    assert [parse_bool(x) for x in ("t", "Yes", "1", "on", "f", "n", "0", "off")] == [True] * 4 + [False] * 4
    assert canonical("x", "8kB", "integer", "8kB") == 1


def value(setting: str, source: str = "command line", **changes: object) -> ReadValue:
    base: dict[str, object] = {"shown": setting + "kB", "source": source, "pending_restart": False, "setting": setting,
                               "unit": "kB", "vartype": "integer"}  # fmt: skip
    return ReadValue(**{**base, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "pending", "set_by", "kind"),
    [
        ("configuration file", False, "command line", DifferenceKind.NOT_TAKEN),
        ("command line", True, "command line", DifferenceKind.NOT_TAKEN),  # ALTER SYSTEM beneath -c sets the flag too
        ("command line", True, "configuration file", DifferenceKind.OVERRIDDEN),
        ("user", False, "command line", DifferenceKind.OVERRIDDEN),
        ("database user", False, "command line", DifferenceKind.OVERRIDDEN),
        ("configuration file", True, "configuration file", DifferenceKind.PENDING_RESTART),
        ("something new", False, "command line", DifferenceKind.OVERRIDDEN),
    ],
)
def test_why_a_value_differs(source: str, pending: bool, set_by: str, kind: DifferenceKind) -> None:
    found = compare({"work_mem": "16MB"}, {"work_mem": value("4096", source, pending_restart=pending)}, set_by)
    assert [d.kind for d in found] == [kind]
    assert "16MB" in str(found[0].message)
    assert "4096kB" in str(found[0].message)


def test_equal_values_are_no_difference_and_missing_ones_are_unknown() -> None:
    found = compare({"work_mem": "4MB", "io_method": "worker"}, {"work_mem": value("4096")})
    assert [(d.name, d.kind, d.actual) for d in found] == [("io_method", DifferenceKind.UNKNOWN, None)]


def test_read_values_keeps_the_names_as_asked_and_sets_no_timeout() -> None:
    client = FakeClient({"pg_settings": [("DateStyle", "ISO", "default", "0", "ISO", None, "string", None)]})
    assert read_values(client, ["datestyle"])["datestyle"].shown == "ISO"
    assert not client.asked[0].guard
    assert read_values(client, []) == {}


def test_is_serving() -> None:
    assert is_serving(FakeClient({"SELECT 1": [("1", "0", "*")]})) is None
    standby = FakeClient({"SELECT 1": [("1", "1", "*")]})
    assert "recovery" in str(is_serving(standby))
    assert is_serving(standby, recovery_before=True) is None
    private = FakeClient({"SELECT 1": [("1", "0", "")]})
    assert "first-start" in str(is_serving(private))
    assert is_serving(private, socket_only_before=True) is None
    assert "gone" in str(is_serving(FakeClient({"SELECT 1": QueryError("", "gone")})))


def test_checkpoint_says_why_not() -> None:
    client = FakeClient({"CHECKPOINT": []})
    assert checkpoint(client) is None
    assert client.asked[0].timeout_s >= 600
    refused = FakeClient({"CHECKPOINT": QueryError("42501", "must be superuser")}, user="app")
    assert "user app may not" in str(checkpoint(refused))
    assert "timeout" in str(checkpoint(FakeClient({"CHECKPOINT": QueryError("57014", "statement timeout")})))


CLEAN = ["LOG:  received fast shutdown request", "LOG:  database system is shut down"]


@pytest.mark.parametrize(
    ("lines", "clean"),
    [
        (CLEAN, True),
        (["LOG:  database system was shut down at 2026-01-01 10:00:00 UTC"], True),
        ([*CLEAN, "LOG:  database system is ready to accept connections"], None),
        (["LOG:  database system was interrupted; last known up at 2026-01-01"], False),
        (["LOG:  database system was not properly shut down; automatic recovery in progress",
          "LOG:  database system is ready to accept connections"], False),
        (["LOG:  server process (PID 9) was terminated by signal 9: Killed"], False),
        (["LOG:  listening on IPv4 address"], None),
        ([], None),
    ],
)  # fmt: skip
def test_clean_shutdown_by_the_log(lines: list[str], clean: bool | None) -> None:
    assert clean_shutdown(lines) is clean


def test_clean_shutdown_by_pg_controldata() -> None:
    text = "pg_control version number:            1300\nDatabase cluster state:               {}\n"
    assert clean_shutdown(control=text.format("shut down")) is True
    assert clean_shutdown(control=text.format("shut down in recovery")) is True
    assert clean_shutdown(CLEAN, control=text.format("in production")) is False
    assert clean_shutdown(CLEAN, control="garbage") is True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def play(kinds: list[Failure | None], clock: Clock, stall_s: float = 5.0, signs: list[int] | None = None) -> float:
    """Run wait_ready over scripted answers (the last repeats); returns the time that it took."""
    ready = FakeClient({"SELECT 1": [("1", "0", "*")]})

    def connect() -> PostgresClient:
        kind = kinds.pop(0) if len(kinds) > 1 else kinds[0]
        if kind is not None:
            raise PostgresUnreachable(msg("no: {kind}", kind=kind), kind)
        return ready

    sign = (lambda: signs.pop(0) if len(signs) > 1 else signs[0]) if signs else None
    assert wait_ready(connect, stall_s, sign, clock=clock, sleep=clock.sleep) is ready
    return clock.now


def test_recovery_extends_the_wait() -> None:
    assert play([Failure.REFUSED, *[Failure.STARTING] * 100, None], Clock()) > 50


def test_no_progress_ends_the_wait() -> None:
    clock = Clock()
    with pytest.raises(NotReady, match=r"no progress towards ready for 5 s: no: refused"):
        play([Failure.REFUSED], clock)
    assert clock.now < 6


def test_a_standing_sign_ends_it_and_a_moving_one_does_not() -> None:
    with pytest.raises(NotReady):
        play([Failure.STARTING], Clock(), signs=[1])
    assert play([*[Failure.STARTING] * 100, None], Clock(), signs=list(range(200))) > 40


def test_a_crash_loop_is_no_progress() -> None:
    clock = Clock()
    loop: list[Failure | None] = [*[Failure.STARTING] * 3, *[Failure.REFUSED] * 3] * 20
    with pytest.raises(NotReady):
        play([*loop, None], clock)
    assert clock.now < 30


def test_a_refused_password_is_said_at_once() -> None:
    clock = Clock()
    with pytest.raises(NotReady, match="no: password"):
        play([Failure.PASSWORD], clock)
    assert clock.now == 0
