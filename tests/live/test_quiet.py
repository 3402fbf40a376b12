"""The PostgreSQL part of the quiet check, from canned rows."""

from __future__ import annotations

import json

import pytest

from nftui.clients.sql import Outcome, QueryError
from nftui.probes.quiet import connected_clients, postgres_quiet
from tests.live.fakes import FakeClient

NOW = 1_000_000.0


def session(pid: int, **changes: object) -> list[object]:
    base: dict[str, object] = {
        "pid": pid, "user": "crm", "database": "crm", "application": "n8n", "kind": "client backend", "state": "idle",
        "writes": False, "since": NOW - 100, "in_transaction": False, "copies": False, "address": "172.18.0.9",
    }  # fmt: skip
    return list({**base, **changes}.values())


def reasons(
    *sessions: list[object], version: int = 150018, recovery: str = "0", sees: str = "1", **rows: object
) -> list[str]:
    def table(name: str) -> Outcome:
        return [(json.dumps(rows.get(name)),)]

    client = FakeClient(
        {
            "server_version_num": [(str(version), "crm", recovery, sees)],
            "FROM pg_stat_activity": [(json.dumps(list(sessions) or None),)],
            "pg_replication_slots": table("slots"),
            "pg_prepared_xacts": table("prepared"),
            "pg_stat_progress_cluster": table("cluster"),
            "pg_stat_progress_create_index": table("index"),
            "pg_stat_progress_basebackup" if version >= 130000 else "state = 'backup'": table("backup"),
            "pg_is_in_backup": table("exclusive") if rows.get("exclusive") else [],
        }
    )
    return [str(message) for message in postgres_quiet(client, NOW)]


@pytest.mark.parametrize("version", [120022, 130020, 140015, 150018, 160010, 170005, 180001])
def test_idle_sessions_readers_and_short_writers_are_quiet(version: int) -> None:
    reader = session(2, in_transaction=True, state="active", since=NOW - 4000)
    short = session(3, in_transaction=True, writes=True, since=NOW - 3)
    assert reasons(session(1), reader, short, version=version) == []


def test_a_dump_is_named_with_pid_user_database_and_age() -> None:
    assert reasons(session(7, application="pg_dump", state="active", in_transaction=True)) == [
        "pg_dump is running (pid 7, user crm, database crm, 100 s)"
    ]


def test_an_idle_session_of_a_backup_manager_is_quiet() -> None:
    assert reasons(session(7, application="barman")) == []
    assert len(reasons(session(7, application="barman", state="active"))) == 1


def test_writers_older_than_30_s_and_copies() -> None:
    found = reasons(
        session(1, in_transaction=True, writes=True, state="idle in transaction"),
        session(2, in_transaction=True, copies=True, state="active"),
    )
    assert found == [
        "a transaction that writes is open, state idle in transaction (pid 1, user crm, database crm, 100 s)",
        "a COPY is running (pid 2, user crm, database crm, 100 s)",
    ]


def test_standbys_and_slots_are_one_reason_each() -> None:
    walsender = session(5, kind="walsender", application="standby1", database=None, state="active")
    plain = session(6, kind="walsender", application="", database=None, state="active")
    assert reasons(walsender, plain, slots=[["s1", "physical", 5], ["s2", "logical", 99]]) == [
        "logical replication slot s2 is in use",
        "standby1 streams by physical replication slot s1 (pid 5, user crm, database -, 100 s)",
        "172.18.0.9 receives WAL (pid 6, user crm, database -, 100 s)",
    ]


def test_rewrites_index_builds_and_base_backups_once_each() -> None:
    builder = session(5, in_transaction=True, writes=True, state="active")
    assert reasons(builder, index=[[5, "CREATE INDEX"]], cluster=[[8, "VACUUM FULL"]], backup=[[9, "base backup"]]) == [
        "base backup is running (pid 9)",
        "VACUUM FULL is running (pid 8)",
        "CREATE INDEX is running (pid 5, user crm, database crm, 100 s)",
    ]


def test_prepared_transactions_recovery_and_exclusive_backups() -> None:
    found = reasons(version=140015, recovery="1", prepared=[["g1", "crm", "app", NOW - 3600]], exclusive=[[0, "x"]])
    assert found[0].startswith("recovery is in progress")
    assert "exclusive backup" in found[1]
    assert found[2] == "prepared transaction g1 of user crm in database app waits for its end since 60 min"


def test_what_cannot_be_seen_is_not_quiet() -> None:
    assert "pg_read_all_stats" in reasons(session(1, kind=None, since=None, state=None), sees="0")[0]
    broken = FakeClient({"server_version_num": [("150018", "crm", "0", "1")]})
    assert len(postgres_quiet(broken, NOW)) == 6
    gone = FakeClient({"server_version_num": QueryError("", "terminating connection")})
    assert "terminating connection" in str(postgres_quiet(gone, NOW)[0])


def test_connected_clients() -> None:
    client = FakeClient({"GROUP BY": [(None, None, "crm", "crm", "2"), ("172.18.0.9", "n8n", "crm", "app", "9")]})
    found = connected_clients(client)
    assert found[0].address is None
    assert found[1] == ("172.18.0.9", "n8n", "crm", "app", 9)
