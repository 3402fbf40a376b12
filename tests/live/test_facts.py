"""PostgresFacts from canned rows: versions, privileges, secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import pytest

from nftui.clients.sql import Outcome, QueryError
from nftui.model.facts import Live
from nftui.model.stack import Invocation, Role, Service, Stack
from nftui.probes.live import Probe, probe_live
from nftui.probes.postgres import MASK, probe_postgres, read_facts
from tests.live.fakes import FakeClient, container, service

SECRET = "hunter2"


def row(name: str, setting: str, shown: str = "", source: str = "default", vartype: str = "string") -> list[object]:
    return [name, setting, None, "user", source, shown or setting, vartype, None, None, False, setting, setting, None,
            None, None]  # fmt: skip


def answers(version: int, *, superuser: bool = True, **more: object) -> dict[str, Outcome]:
    core = {
        "version_num": version, "version": str(version // 10000), "superuser": superuser, "in_recovery": False,
        "settings": more.get("settings", [row("work_mem", "4096", "4MB", vartype="integer")]),
    }  # fmt: skip
    return {
        "server_version_num": [(json.dumps(core),)],
        "pg_stat_replication": [("2",)],
        "pg_db_role_setting": [(json.dumps(more.get("roles")),)],
        "FROM pg_stat_database": [("8", "0.99", "1024")],
        "pg_database_size": [('{"b": 2, "a": 1, "hidden": null}',)],
        "pg_control_system": [("7711547539986927638",)],
        "pg_stat_checkpointer": [("70", "7")],
        "pg_stat_bgwriter": [("50", "5")],
        "pg_file_settings": [(json.dumps(more.get("files")),)],
    }


@pytest.mark.parametrize("version", [120022, 130020, 140015, 150018, 160010, 170005, 180001])
def test_every_version_counts_checkpoints_where_it_keeps_them(version: int) -> None:
    facts = read_facts(FakeClient(answers(version)))
    assert facts.major == version // 10000
    assert (facts.checkpoints_timed, facts.checkpoints_requested) == ((70, 7) if version >= 170000 else (50, 5))
    assert facts.databases == {"a": 1, "b": 2}
    assert (facts.connections_now, facts.cache_hit_ratio, facts.temp_bytes, facts.has_standbys) == (7, 0.99, 1024, True)
    assert facts.system_identifier == "7711547539986927638"


def test_a_standby_is_told_from_what_receives_decoded_changes() -> None:
    """One statement for all versions: columns that 12 has, and none that a login without rights sees empty."""
    client = FakeClient({**answers(150018, superuser=False), "pg_stat_replication": [("0",)]})
    assert not read_facts(client).has_standbys
    (asked,) = (query.sql for query in client.asked if "pg_stat_replication" in query.sql)
    named = set(re.findall(r"\b(?:[rs]\.)?(state|slot_type|active_pid|pid|active|temporary)\b", asked))
    assert named == {"state", "slot_type", "active_pid", "pid", "active", "temporary"}
    assert not re.search(r"wal_status|invalidation|inactive_since|backend_type|restart_lsn", asked)


def test_a_login_without_rights_leaves_gaps_and_asks_nothing_forbidden() -> None:
    allowed: Mapping[str, Outcome] = {
        **answers(150018, superuser=False),
        "pg_control_system": QueryError("42501", "permission denied"),
        "pg_database_size": QueryError("57014", "canceling statement due to statement timeout"),
        "FROM pg_stat_database": [(None, None, None)],
    }
    client = FakeClient(allowed)
    facts = read_facts(client)
    assert not facts.superuser
    assert (facts.system_identifier, facts.databases, facts.connections_now, facts.temp_bytes) == (None, {}, None, None)
    assert not any("pg_file_settings" in query.sql for query in client.asked)


def test_settings_of_the_own_session_are_not_facts() -> None:
    settings = [row("application_name", "nftui", source="client"), row("jit", "on", vartype="bool")]
    client = FakeClient(answers(150018, settings=settings))
    assert list(read_facts(client).settings) == ["jit"]
    assert [query.guard for query in client.asked][:2] == [False, True]


def test_secrets_inside_settings_are_masked() -> None:
    settings = [
        row("primary_conninfo", f"user=rep password='{SECRET} x' host=a"),
        row("archive_command", f"push postgres://rep:{SECRET}@b/x %p"),
        row("app.jwt_secret", SECRET),
        row("password_encryption", "scram-sha-256", vartype="enum"),
        row("shared_preload_libraries", 'pg_stat_statements, "auto_explain"'),
    ]
    roles = [["crm", None, f"app.settings.api_key={SECRET}"], [None, "crm", "work_mem=9MB"]]
    facts = read_facts(FakeClient(answers(150018, settings=settings, roles=roles)))
    assert SECRET not in repr(facts)
    assert facts.settings["primary_conninfo"].shown == f"user=rep password={MASK} host=a"
    assert facts.settings["archive_command"].setting == f"push postgres://rep:{MASK}@b/x %p"
    assert facts.settings["password_encryption"].setting == "scram-sha-256"
    assert facts.preloaded == ("pg_stat_statements", "auto_explain")
    assert [(r.database, r.role, r.name, r.value) for r in facts.role_settings] == [
        ("crm", None, "app.settings.api_key", MASK),
        (None, "crm", "work_mem", "9MB"),
    ]


def test_file_errors_and_names_in_auto_conf() -> None:
    files = [
        ["/data/postgresql.conf", 9, "banana", "unrecognized configuration parameter"],
        ["/data/postgresql.auto.conf", 3, "work_mem", None],
        ["/data/postgresql.auto.conf", 4, "work_mem", None],
    ]
    facts = read_facts(FakeClient(answers(150018, files=files)))
    assert facts.file_errors == ("/data/postgresql.conf:9: banana: unrecognized configuration parameter",)
    assert facts.auto_conf == ("work_mem",)


def test_a_service_that_does_not_run() -> None:
    assert probe_postgres(service(), None) == Live("postgres", "postgres", None, "not running")


def test_probe_live_reads_active_services_of_the_role_and_survives_one_that_breaks() -> None:
    def read(one: Service, _exec: object, _environ: object) -> Live:
        if one.name == "bad":
            raise RuntimeError(SECRET)
        return Live("postgres", one.name, 1)

    def make(name: str, **changes: object) -> Service:
        return service(container(), name=name, role=Role.POSTGRES, **changes)

    services = (make("a"), make("bad"), make("off", active=False), service(name="down", role=Role.POSTGRES),
                service(container(), name="web", role=Role.APP))  # fmt: skip
    stack = Stack("crm", Invocation("/srv", ()), services)
    live = probe_live(stack, {"postgres", "redis"}, None, {"postgres": Probe((Role.POSTGRES,), read)})
    assert set(live) == {("a", "postgres"), ("bad", "postgres"), ("down", "postgres")}
    assert live["a", "postgres"].value == 1
    assert live["bad", "postgres"].error == "the probe failed (RuntimeError)"
    assert live["down", "postgres"].error == "not running"
