"""Against real servers of two majors: every way in, what is read, and what must not be interrupted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from subprocess import Popen

import pytest

from nftui.clients import postgres
from nftui.clients.libpq import connect_network
from nftui.clients.pglogin import read_login
from nftui.clients.postgres import PostgresClient, Query, QueryError
from nftui.clients.sql import ConnectError, Failure, PostgresUnreachable
from nftui.model.postgres import ClusterFacts, PostgresFacts
from nftui.model.stack import Invocation, Service, Stack
from nftui.probes.live import probe_live
from nftui.probes.postgres import probe_postgres
from nftui.probes.postgres_cluster import probe_cluster
from nftui.probes.postgres_state import checkpoint, clean_shutdown, is_serving, wait_ready
from nftui.probes.quiet import connected_clients, postgres_quiet
from nftui.steps.postgres_settings import DifferenceKind, compare, read_values
from nftui.system.exec import Exec
from tests.live.conftest import PASSWORD, DockerExec, Server, docker, until

pytestmark = pytest.mark.engine
EXEC = DockerExec()
ANY = "0.0.0.0"  # noqa: S104 (what an engine reports)
OPEN: list[PostgresClient] = []


@pytest.fixture(autouse=True)
def _close_sessions() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


def connect(service: Service, exec_port: Exec | None) -> PostgresClient:
    """A session that is closed after the test."""
    OPEN.append(postgres.connect(service, exec_port))
    return OPEN[-1]


def facts(server: Server) -> PostgresFacts:
    live = probe_postgres(server.service, EXEC, {})
    assert live.error is None, live.error
    assert isinstance(live.value, PostgresFacts)
    return live.value


def wrong(server: Server) -> dict[str, str]:
    return {**server.container.environment, "POSTGRES_PASSWORD": "not " + PASSWORD}


def test_container_address(server: Server) -> None:
    with_address = probe_live(Stack("t", Invocation("/", ()), (server.service,)), {"postgres"}, EXEC)
    live = with_address["postgres", "postgres"]
    assert live.via == f"address {next(iter(server.container.addresses.values()))}:5432", live
    found = facts(server)
    assert found.major == server.major
    assert found.superuser
    assert found.settings["work_mem"].shown == "7MB"
    assert found.settings["work_mem"].source == "command line"
    assert found.settings["statement_timeout"].source == "default"
    assert found.settings["shared_buffers"].unit == "8kB"
    assert found.data_directory == "/var/lib/postgresql/data"
    assert found.system_identifier
    assert set(found.databases) == {"crm", "postgres"}
    assert isinstance(found.checkpoints_timed, int)
    assert not found.in_recovery and not found.has_standbys


def test_published_port_when_the_address_does_not_answer(server: Server) -> None:
    one = replace(server.container, addresses={})
    with_port = probe_postgres(replace(server.service, containers=(one,)), None, {})
    assert with_port.via.startswith("published 127.0.0.1:"), with_port
    for_all = replace(one, published={"5432/tcp": (ANY, one.published["5432/tcp"][1])})
    assert probe_postgres(replace(server.service, containers=(for_all,)), None, {}).via == with_port.via


def test_exec_gives_the_same_facts(server: Server) -> None:
    one = replace(server.container, addresses={}, published={})
    live = probe_postgres(replace(server.service, containers=(one,)), EXEC, {})
    assert live.via == "exec psql"
    assert isinstance(live.value, PostgresFacts)
    by_address = facts(server)
    differ = {k for k, v in by_address.settings.items() if live.value.settings.get(k) != v}
    assert all(name.startswith("tcp_") for name in differ), differ
    assert set(live.value.settings) == set(by_address.settings)


@pytest.mark.parametrize("by_exec", [False, True])
def test_what_hangs_on_another_library_is_told_by_database(server: Server, by_exec: bool) -> None:
    one = replace(server.container, addresses={}, published={}) if by_exec else server.container
    service, client = replace(server.service, containers=(one,)), connect(server.service, EXEC)

    def write(sql: str) -> None:
        assert not isinstance(client.batch([Query(sql, guard=False)])[0], QueryError)

    try:
        for collation, by_icu in (("C", False), ("de-x-icu", True)):
            write(f'CREATE TABLE sorted (name text COLLATE "{collation}" PRIMARY KEY)')
            live = probe_cluster(service, EXEC, {})
            assert isinstance(live.value, ClusterFacts), live
            write("DROP TABLE sorted")
            assert live.value.icu and not live.value.unread
            told = {d.name: (d.extensions, d.by_icu) for d in live.value.databases}
            assert (told["crm"], told["postgres"]) == ((("plpgsql",), by_icu), (("plpgsql",), False))
    finally:
        write("DROP TABLE IF EXISTS sorted")


def test_files_included_from_elsewhere_and_archiving_are_told(server: Server) -> None:
    def read() -> ClusterFacts:
        live = probe_cluster(server.service, EXEC, {})
        assert isinstance(live.value, ClusterFacts), live
        return live.value

    def inside(script: str) -> None:
        docker("exec", server.container.name, "sh", "-ec", f"cd /var/lib/postgresql/data; {script}")

    place = "/var/lib/postgresql/data"
    before = read()
    assert (before.included, before.named, before.archives, before.directory) == ((), (), False, place)
    inside("echo 'work_mem = 9MB' >near.conf; cp near.conf /tmp/far.conf; cp postgresql.conf saved")
    try:
        inside("echo \"include 'near.conf'\" >>postgresql.conf; echo \"hba_file = 'own'\" >>postgresql.conf")
        assert (read().included, read().outside, read().named) == ((f"{place}/near.conf",), (), ("own",))
        inside("echo \"include '/tmp/far.conf'\" >>postgresql.conf")
        assert read().outside == ("/tmp/far.conf",)
    finally:
        inside("cat saved >postgresql.conf; rm saved near.conf")


def test_a_wrong_password_falls_to_exec_and_is_one_line_without_it(server: Server) -> None:
    stale = replace(server.service, containers=(replace(server.container, environment=wrong(server)),))
    assert connect(stale, EXEC).via == "exec psql"
    with pytest.raises(PostgresUnreachable) as info:
        connect(stale, None)
    assert str(info.value) == (
        "postgres refuses the password of user crm (POSTGRES_PASSWORD of the container); "
        "put there the password that the server has (a rotation was not written there)"
    )
    assert info.value.kind is Failure.PASSWORD
    assert PASSWORD not in repr(info.value) + repr(info.value.failures)
    # One refused login, not one per route.
    assert [f.via.split()[0] for f in info.value.failures] == ["address"]


def test_no_password_is_known(server: Server) -> None:
    bare = replace(server.container, environment={"POSTGRES_USER": "crm"})
    with pytest.raises(PostgresUnreachable, match="asks for a password of user crm, and none is known"):
        connect(replace(server.service, containers=(bare,)), None)


def test_a_missing_role_over_the_socket_and_a_missing_database(server: Server) -> None:
    env = {"POSTGRES_USER": "crm", "POSTGRES_DB": "nowhere"}
    one = replace(server.container, addresses={}, published={}, environment=env)
    assert connect(replace(server.service, containers=(one,)), EXEC).query("SELECT current_database()") == [
        ("postgres",)
    ]
    login = replace(read_login(server.service), database="nowhere")
    with pytest.raises(ConnectError) as info:
        connect_network(login, next(iter(server.container.addresses.values())), 5432, "address")
    assert info.value.kind is Failure.NO_DATABASE


@pytest.mark.parametrize("by_exec", [False, True])
def test_both_transports_quote_guard_and_report_alike(server: Server, by_exec: bool) -> None:
    client = server.client() if by_exec else connect(server.service, None)
    nasty = "a'b\\c\n\td é $1 %s :x"
    rows = client.batch(
        [
            Query("SELECT $1, NULL, '', true", [nasty]),
            Query("SELECT 1 WHERE false"),
            Query("CREATE TABLE nope (x int)"),
            Query("SELECT pg_sleep(5)", timeout_s=0.1),
            Query("SELECT nope"),
            Query("SHOW statement_timeout", guard=False),
            Query("SHOW statement_timeout", timeout_s=3),
        ]
    )
    assert rows[:2] == [[(nasty, None, "", "t")], []]
    assert [r.sqlstate for r in rows if isinstance(r, QueryError)] == ["25006", "57014", "42703"]
    assert rows[5:] == [[("0",)], [("3s",)]]
    client.close()


def test_alter_system_beneath_the_command_line(server: Server) -> None:
    server.admin("ALTER SYSTEM SET work_mem = '9MB'; ALTER SYSTEM SET shared_buffers = '64MB'; SELECT pg_reload_conf()")
    try:
        time.sleep(0.3)
        assert set(facts(server).auto_conf) == {"work_mem", "shared_buffers"}
        client = connect(server.service, EXEC)
        values = read_values(client, ["work_mem", "shared_buffers", "no_such_setting"])
        assert values["work_mem"].source == "command line"
        found = {d.name: d for d in compare({"work_mem": "9MB"}, values, "configuration file")}
        assert found["work_mem"].kind is DifferenceKind.OVERRIDDEN
        found = {d.name: d for d in compare({"shared_buffers": "64MB", "no_such_setting": "1"}, values,
                                            "configuration file")}  # fmt: skip
        assert found["shared_buffers"].kind is DifferenceKind.PENDING_RESTART
        assert found["no_such_setting"].kind is DifferenceKind.UNKNOWN
        assert compare({"work_mem": "7168kB", "shared_buffers": "128MB"}, values) == []
    finally:
        server.admin("ALTER SYSTEM RESET ALL; SELECT pg_reload_conf()")


def test_role_setting_beats_the_command_line(server: Server) -> None:
    server.admin("ALTER ROLE crm IN DATABASE crm SET work_mem = '11MB'; ALTER DATABASE postgres SET jit = off")
    try:
        found = [(r.database, r.role, r.name, r.value) for r in facts(server).role_settings]
        assert found == [("crm", "crm", "work_mem", "11MB"), ("postgres", None, "jit", "off")]
        (difference,) = compare({"work_mem": "7MB"}, read_values(connect(server.service, EXEC), ["work_mem"]))
        assert (difference.kind, difference.source) == (DifferenceKind.OVERRIDDEN, "database user")
    finally:
        server.admin("ALTER ROLE crm IN DATABASE crm RESET ALL; ALTER DATABASE postgres RESET ALL")


def test_an_error_in_a_file(server: Server) -> None:
    conf = "/var/lib/postgresql/data/postgresql.conf"
    docker("exec", server.name, "sh", "-c", f"cp -p {conf} /tmp/keep; echo 'banana = 1' >> {conf}")
    try:
        (error,) = facts(server).file_errors
        assert "banana: unrecognized configuration parameter" in error
        assert error.startswith(conf)
    finally:
        docker("exec", server.name, "cp", "-p", "/tmp/keep", conf)


def test_a_login_without_rights(server: Server) -> None:
    server.admin("CREATE ROLE app LOGIN PASSWORD 'app'; REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    try:
        app = {"POSTGRES_USER": "app", "POSTGRES_PASSWORD": "app", "POSTGRES_DB": "crm"}
        live = probe_postgres(
            replace(server.service, containers=(replace(server.container, environment=app),)), EXEC, {}
        )
        assert isinstance(live.value, PostgresFacts), live.error
        assert (live.value.superuser, live.value.system_identifier, live.value.auto_conf) == (False, None, ())
        assert live.value.settings["work_mem"].shown == "7MB"
        assert live.value.data_directory is None
        client = server.client("app")
        assert any("user app may not see" in str(m) for m in postgres_quiet(client, time.time()))
        assert "user app may not" in str(checkpoint(client))
    finally:
        server.admin("DROP ROLE app; GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")


@contextmanager
def running(process: Popen[bytes]) -> Iterator[Popen[bytes]]:
    try:
        yield process
    finally:
        with suppress(OSError):
            process.communicate(b"\n\\q\n", timeout=10)


def test_quiet_when_only_idle_sessions_are_there(server: Server) -> None:
    with running(server.background("psql", "-XqU", "crm")):
        client = server.client()
        until(lambda: connected_clients(client))
        assert connected_clients(client) == ((None, "psql", "crm", "crm", 1),)
        assert postgres_quiet(client, time.time()) == ()


def test_a_long_write_and_a_prepared_transaction_are_seen(server: Server) -> None:
    server.admin("CREATE TABLE IF NOT EXISTS t (x int); BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'two'")
    client = server.client()
    try:
        with running(server.background("psql", "-XqU", "crm")) as writer:
            assert writer.stdin
            writer.stdin.write(b"BEGIN; INSERT INTO t VALUES (2);\n")
            writer.stdin.flush()
            until(lambda: len(postgres_quiet(client, time.time() + 60)) == 2)
            texts = [str(m) for m in postgres_quiet(client, time.time() + 60)]
            assert "a transaction that writes is open, state idle in transaction" in texts[0]
            assert "prepared transaction two of user crm in database crm" in texts[1]
            # The same transaction is no reason while it is young.
            assert len(postgres_quiet(client, time.time())) == 1
    finally:
        server.admin("ROLLBACK PREPARED 'two'")
    assert postgres_quiet(client, time.time()) == ()


def test_a_dump_and_an_index_build_are_seen(server: Server) -> None:
    server.admin("CREATE TABLE IF NOT EXISTS big (x int); INSERT INTO big VALUES (1)")
    client = server.client()
    with running(server.background("psql", "-XqU", "crm")) as locker:
        assert locker.stdin
        locker.stdin.write(b"BEGIN; LOCK TABLE big IN ACCESS EXCLUSIVE MODE;\n")
        locker.stdin.flush()
        until(lambda: client.query("SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"))
        dump = server.background("pg_dump", "-U", "crm", "-f", "/dev/null", "crm")
        until(lambda: any("pg_dump is running" in str(m) for m in postgres_quiet(client, time.time())))
    with running(dump):
        pass
    with running(server.background("psql", "-XqU", "crm")) as holder:
        assert holder.stdin
        holder.stdin.write(b"BEGIN; INSERT INTO big VALUES (2);\n")
        holder.stdin.flush()
        until(lambda: client.query("SELECT 1 FROM pg_stat_activity WHERE backend_xid IS NOT NULL"))
        build = server.background("psql", "-XqU", "crm", "-c", "CREATE INDEX CONCURRENTLY ON big (x)")
        until(
            lambda: any("CREATE INDEX CONCURRENTLY is running" in str(m) for m in postgres_quiet(client, time.time()))
        )
    with running(build):
        pass


def test_a_walsender_with_its_slot_is_one_reason(server: Server) -> None:
    receive = "pg_receivewal -U crm -D /tmp -S keeper"
    receiver = server.background("sh", "-c", f"{receive} --create-slot; exec timeout 20 {receive}")
    client = server.client()
    try:
        until(lambda: client.query("SELECT 1 FROM pg_replication_slots WHERE active"))
        (reason,) = postgres_quiet(client, time.time())
        assert "pg_receivewal streams by physical replication slot keeper" in str(reason)
        assert facts(server).has_standbys
    finally:
        server.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
        receiver.kill()
        receiver.communicate()
        docker("exec", server.name, "sh", "-c", "kill $(pidof timeout pg_receivewal) 2>/dev/null; true")
        until(lambda: not client.query("SELECT 1 FROM pg_replication_slots WHERE active"))
        server.admin("SELECT pg_drop_replication_slot('keeper')")


def test_checkpoint_stop_and_start(server: Server) -> None:
    """Last: it restarts the server, once cleanly and once not."""
    client = connect(server.service, EXEC)
    assert checkpoint(client) is None
    client.close()
    docker("stop", "-t", "60", server.name)
    assert clean_shutdown(log(server)) is True
    since = time.time()
    docker("start", server.name)
    ready = wait_ready(lambda: connect(server.service, EXEC), 20)
    assert is_serving(ready) is None
    ready.close()
    docker("kill", server.name)
    docker("start", server.name)
    wait_ready(lambda: connect(server.service, EXEC), 20).close()
    assert clean_shutdown(log(server, since)) is False


def log(server: Server, since: float = 0.0) -> list[str]:
    done = docker("logs", "--since", f"{since:.3f}", server.name)
    return (done.stdout + done.stderr).decode().splitlines()
