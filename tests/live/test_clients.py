"""Logging in, quoting, and psql's output; no server needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from nftui.clients.libpq import connect_network
from nftui.clients.pglogin import Login, read_login
from nftui.clients.postgres import connect
from nftui.clients.psql import PsqlClient, _outcomes, connect_exec
from nftui.clients.routes import routes
from nftui.clients.sql import ConnectError, Failure, PostgresUnreachable, QueryError, bind, classify, literal, one_line
from nftui.model.stack import MountSpec
from tests.live.fakes import FakeExec, container, service

SECRET = "s3cr'et pä$$"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"), (True, "true"), (7, "7"), (1.5, "1.5"), ("a'b", "'a''b'"), ("a\\'b", " E'a\\\\''b'"),
        ("", "''"),
    ],
)  # fmt: skip
def test_literal_quotes_like_libpq(value: str | int | float | None, text: str) -> None:
    assert literal(value) == text


def test_literal_refuses_nul() -> None:
    with pytest.raises(ValueError, match="NUL"):
        literal("a\0b")


def test_bind_replaces_places_once() -> None:
    assert bind("SELECT $1, $2, $10", ["$2", 2, *"345678", "x", "ten"]) == "SELECT '$2', 2, 'ten'"
    assert bind("SELECT 'costs $1'", ()) == "SELECT 'costs $1'"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('connection failed: FATAL:  password authentication failed for user "crm"', Failure.PASSWORD),
        ("fe_sendauth: no password supplied", Failure.PASSWORD),
        ("FATAL:  the database system is starting up", Failure.STARTING),
        ("FATAL:  the database system is not yet accepting connections", Failure.STARTING),
        ("FATAL:  the database system is shutting down", Failure.STOPPING),
        ("FATAL:  sorry, too many clients already", Failure.FULL),
        ('FATAL:  database "crm" does not exist', Failure.NO_DATABASE),
        ('FATAL:  role "crm" does not exist', Failure.NO_ROLE),
        ('FATAL:  no pg_hba.conf entry for host "172.18.0.1"', Failure.NOT_ALLOWED),
        ("connection timeout expired", Failure.TIMEOUT),
        ("Connection refused", Failure.REFUSED),
        ("FATAL:  das Datenbanksystem startet", Failure.OTHER),
    ],
)
def test_classify(text: str, kind: Failure) -> None:
    assert classify(text) is kind


def test_one_line_is_short_and_hides_the_secret() -> None:
    text = f'connection to server at "1.2.3.4", port 5432 failed: FATAL:  no {SECRET} here\nmore\n'
    assert one_line(text, SECRET) == "no •••••• here"


def test_container_environment_counts_before_the_declared_one() -> None:
    running = container(environment={"POSTGRES_USER": "crm", "POSTGRES_PASSWORD": SECRET, "PGPORT": "5433"})
    login = read_login(service(running, environment={"POSTGRES_PASSWORD": "newer", "POSTGRES_DB": "app"}))
    assert (login.user, login.database, login.port, login.password) == ("crm", "app", 5433, SECRET)
    assert login.origin == "POSTGRES_PASSWORD of the container"
    assert SECRET not in repr(login)


def test_defaults_and_pass_through() -> None:
    login = read_login(service(container(), environment={"POSTGRES_PASSWORD": None}), None, {"POSTGRES_PASSWORD": "x"})
    assert (login.user, login.database, login.password, login.origin) == (
        "postgres", "postgres", "x", "POSTGRES_PASSWORD declared",
    )  # fmt: skip


@pytest.mark.parametrize("flags", [("-p", "6000"), ("-c", "port=6000"), ("-p6000",), ("--port=6000",)])
def test_the_command_line_names_the_port(flags: tuple[str, ...]) -> None:
    assert read_login(service(container(command=("postgres", *flags), environment={"PGPORT": "1"}))).port == 6000


def test_password_file_from_a_bind_mount(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text(SECRET + "\n\n")
    mounts = (MountSpec("bind", str(tmp_path / "pw"), "/run/secrets/pw"),)
    login = read_login(service(container(environment={"POSTGRES_PASSWORD_FILE": "/run/secrets/pw"}, mounts=mounts)))
    assert (login.password, login.origin) == (SECRET, "file of POSTGRES_PASSWORD_FILE")


def test_password_file_inside_the_container() -> None:
    fake = FakeExec((0, SECRET.encode() + b"\n", b""))
    login = read_login(service(container(environment={"POSTGRES_PASSWORD_FILE": "/pw"})), fake)
    assert login.password == SECRET
    assert fake.calls[0][0] == ("cat", "/pw")


def test_bitnami_admin_password_wins() -> None:
    env = {"POSTGRESQL_USERNAME": "crm", "POSTGRESQL_PASSWORD": "a", "POSTGRESQL_POSTGRES_PASSWORD": "b"}
    login = read_login(service(container(environment={**env, "POSTGRESQL_DATABASE": "app"})))
    assert (login.user, login.database, login.password) == ("postgres", "app", "b")
    env.pop("POSTGRESQL_POSTGRES_PASSWORD")
    assert read_login(service(container(environment=env))).user == "crm"


def test_routes_in_order() -> None:
    one = container(addresses={"a": "172.18.0.2", "b": ""}, published={"5432/tcp": ("0.0.0.0", 6432)})  # noqa: S104
    assert [via for _, _, via in routes(one, 5432)] == ["address 172.18.0.2:5432", "published 127.0.0.1:6432"]
    assert list(routes(container(network_mode="host"), 5433)) == [("127.0.0.1", 5433, "address 127.0.0.1:5433")]


def test_psql_output_is_cut_at_the_marks() -> None:
    out = 'm 00000  m\n1\x1f\x16\x1ea\nb\x1f\nm 00000 m\n\nm 00000 m\nm 42703 column "x"\nis gone m\n'
    rows = _outcomes(out, "m")
    assert rows[:3] == [[], [("1", None), ("a\nb", "")], [("",)]]
    assert isinstance(rows[3], QueryError)
    assert rows[3].sqlstate == "42703"


def test_psql_gets_the_password_on_standard_input_only() -> None:
    fake = FakeExec((0, b"1\n", b""))
    connect_exec(fake, "c1", Login("crm", "a=b", 5432, SECRET, "container environment"))
    argv, env, given, user = fake.calls[0]
    assert SECRET not in " ".join(argv) + repr(env)
    assert given.startswith(SECRET.encode() + b"\n")
    assert (env["PGDATABASE"], user) == ("a=b", "postgres")


def test_psql_without_an_os_user_postgres() -> None:
    fake = FakeExec((126, b"", b"unable to find user postgres: no matching entries in passwd file"), (0, b"1\n", b""))
    assert connect_exec(fake, "c1", Login("crm", "crm", 5432)).via == "exec psql"
    assert [call[3] for call in fake.calls] == ["postgres", None]


def test_psql_that_dies_midway_is_an_error_for_each_statement_left() -> None:
    client = PsqlClient(FakeExec((2, b"", b"psql: error: FATAL:  terminating connection"), TimeoutError("slow")), "c1",
                        Login("crm", "crm", 5432), None)  # fmt: skip
    with pytest.raises(QueryError, match="terminating connection"):
        client.query("SELECT 1")
    with pytest.raises(QueryError, match="slow"):
        client.query("SELECT 1")


def test_nothing_listens_and_exec_fails_is_one_line() -> None:
    one = container(published={"5432/tcp": ("127.0.0.1", 1)}, environment={"POSTGRES_PASSWORD": SECRET})
    refused = b"psql: error: connection to server on socket failed: No such file or directory"
    with pytest.raises(PostgresUnreachable) as info:
        connect(service(one), FakeExec((2, b"", refused)))
    assert info.value.kind is Failure.REFUSED
    assert "published 127.0.0.1:1" in str(info.value)
    assert "exec psql: " in str(info.value)
    assert "\n" not in str(info.value)
    assert SECRET not in str(info.value)


def test_a_stopped_service_is_said_to_be_stopped() -> None:
    with pytest.raises(PostgresUnreachable, match="postgres is not running"):
        connect(service(), None)


def test_a_missing_database_falls_to_the_one_that_is_always_there() -> None:
    gone = (2, b"", b'psql: error: FATAL:  database "crm" does not exist')
    fake = FakeExec(gone, (0, b"1\n", b""))
    connect(service(container(environment={"POSTGRES_USER": "crm"})), fake)
    assert [call[1]["PGDATABASE"] for call in fake.calls] == ["crm", "postgres"]


def test_refused_network_connection() -> None:
    with pytest.raises(ConnectError) as info:
        connect_network(Login("crm", "crm", 1, SECRET, "x"), "127.0.0.1", 1, "published 127.0.0.1:1")
    assert info.value.kind is Failure.REFUSED
    assert SECRET not in str(info.value)
