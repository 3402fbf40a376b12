"""A PgBouncer whose image writes its file from variables: how it is known, asked, tuned, and what a recreate loses."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nftui.catalog.poolers import SCRIPTED, after_urls, credentials
from nftui.clients import pgbouncer as console
from nftui.clients.pglogin import Login
from nftui.clients.sql import ConnectError, Failure
from nftui.model.errors import UsageError
from nftui.model.facts import Facts, Live
from nftui.model.pooling import PoolerFacts
from nftui.model.stack import Container, MountSpec, Service
from nftui.optimizations.pgbouncer import OPTIMIZATION
from nftui.probes.losses import layer_losses
from nftui.probes.pooler import probe_pgbouncer
from nftui.probes.remade import ini_of, userlist_of
from tests.pgbouncer.build import advise, app, facts, fragment
from tests.pgbouncer.test_existing import DEFAULTS
from tests.stack import images
from tests.stack_probe.test_losses import Layers

SCRIPT = (images.RECIPES / "pgbouncer-env" / "entrypoint.sh").read_text()
INI, USERS = "/etc/pgbouncer/pgbouncer.ini", "/etc/pgbouncer/userlist.txt"
SECRET = "not-a-secret-word"
GIVEN = {"DB_USER": "shop", "DB_PASSWORD": SECRET, "DB_HOST": "db", "ADMIN_USERS": "postgres,shop"}
BITNAMI = """
        local -r -a key_value_pairs=(
            "admin_users:${POSTGRESQL_USERNAME}"
            "pool_mode:${PGBOUNCER_POOL_MODE}"
            "default_pool_size:${PGBOUNCER_DEFAULT_POOL_SIZE}"
"""
SHOWN = {
    "VERSION": [{"version": "PgBouncer 1.25.2"}],
    "CONFIG": [{"key": "pool_mode", "value": "session", "default": "session"}],
    **{what: list[dict[str, str]]() for what in ("DATABASES", "POOLS", "CLIENTS")},
}  # fmt: skip


def started(given: dict[str, str], *mounts: MountSpec, **more: Any) -> Container:
    values: dict[str, Any] = {
        "entrypoint": ("/entrypoint.sh",), "command": ("/usr/bin/pgbouncer", INI), "environment": given,
        "addresses": {"default": "10.0.0.7"}, "mounts": mounts,
    }  # fmt: skip
    return Container("c1", "pool-1", "pool", 1, "running", None, "i", "s", **{**values, **more})


class Inside:
    """Its files, a psql where `shown` says so, and every command line and input that it was given."""

    def __init__(self, files: dict[str, str | None], psql: Callable[[str], tuple[int, bytes, bytes]] | None = None):
        self.files, self.psql = files, psql
        self.lines: list[Sequence[str]] = []
        self.inputs: list[bytes | None] = []

    def exec(self, container_id: str, argv: Sequence[str], **more: Any) -> tuple[int, bytes, bytes]:
        self.lines.append(argv)
        if argv[0] == "cat":
            text = self.files.get(argv[1])
            return (0, text.encode(), b"") if text is not None else (1, b"", b"no such file")
        self.inputs.append(more.get("input"))
        return self.psql(argv[2]) if self.psql else (3, b"", b"its console has no socket")


def there(given: dict[str, str], **more: str | None) -> dict[str, str | None]:
    """The files as the script leaves them."""
    made = {INI: ini_of(SCRIPT, {**given, "_AUTH_FILE": USERS}), USERS: userlist_of(given), "/entrypoint.sh": SCRIPT}
    return {**made, **more}


@pytest.fixture
def logins(monkeypatch: pytest.MonkeyPatch) -> list[Login]:
    """Who logged in from here; the console shows SHOWN to shop with its password."""
    seen: list[Login] = []

    class Client:
        def named(self, sql: str) -> list[dict[str, str]]:
            return SHOWN[sql.removeprefix("SHOW ")]

        def close(self) -> None:
            pass

    def connect(login: Login, address: str, port: int, via: str) -> Client:
        seen.append(login)
        if login.password != SECRET:
            raise ConnectError(Failure.PASSWORD, "password authentication failed", via)
        return Client()

    monkeypatch.setattr(console, "connect_network", connect)
    return seen


def probe(container: Container, inside: Inside) -> Live:
    return probe_pgbouncer(Service("pool", containers=(container,)), inside)


# -- asked over TCP --------------------------------------------------------------------------------------------
def test_it_is_asked_over_tcp_by_the_login_that_its_variables_tell(logins: list[Login]) -> None:
    inside = Inside(there({**GIVEN, "LISTEN_PORT": "6000"}))
    live = probe(started({**GIVEN, "LISTEN_PORT": "6000"}), inside)
    assert isinstance(live.value, PoolerFacts) and live.via == "address 10.0.0.7:6000"
    assert [(one.user, one.database, one.port) for one in logins] == [("shop", "pgbouncer", 6000)]
    assert live.value.variables["default_pool_size"] == "DEFAULT_POOL_SIZE" and live.value.version == "1.25.2"
    assert "reserve_pool_timeout" not in live.value.variables, "this script does not read it"
    assert SECRET not in repr(inside.lines) + repr(live) + repr(logins)


def test_by_psql_in_the_container_where_it_is_not_reached_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(login: Login, address: str, port: int, via: str) -> None:
        raise ConnectError(Failure.REFUSED, "connection refused", via)

    def psql(script: str) -> tuple[int, bytes, bytes]:
        return (
            (0, b"key\x1fvalue\x1faddr\x1fuser\x1fdatabase\npool_mode\x1fsession\x1fa\x1fb\x1fc\n", b"")
            if "127.0.0.1" in script
            else (3, b"", b"no socket")
        )

    monkeypatch.setattr(console, "connect_network", refuse)
    inside = Inside(there(GIVEN), psql)
    live = probe(started(GIVEN), inside)
    assert isinstance(live.value, PoolerFacts) and live.value.config == {"pool_mode": "session"}
    assert SECRET not in repr(inside.lines) and f"{SECRET}\n".encode() in inside.inputs


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({**GIVEN, "ADMIN_USERS": "root"}, "a password of root; ADMIN_USERS=root,shop or UNIX_SOCKET_DIR=/tmp among"),
        ({"DB_HOST": "db"}, "a password of postgres; UNIX_SOCKET_DIR=/tmp among"),
        ({**GIVEN, "DB_PASSWORD": "other"}, "password authentication failed"),
    ],
)
def test_a_console_that_lets_nobody_in_is_refused_with_what_would_open_it(
    logins: list[Login], given: dict[str, str], why: str
) -> None:
    live = probe(started(given), Inside(there(given)))
    assert live.value is None and why in (live.error or ""), live.error
    assert SECRET not in str(live)


def test_who_only_reads_and_who_needs_no_password(logins: list[Login]) -> None:
    assert probe(started(GIVEN), Inside(there({**GIVEN, "ADMIN_USERS": "x", "STATS_USERS": "shop"}))).value
    trusting = {"DB_HOST": "db", "AUTH_TYPE": "trust", "ADMIN_USERS": "anna"}
    probe(started(trusting), Inside(there(trusting)))
    assert (logins[-1].user, logins[-1].password) == ("anna", None)


URLS: dict[str, tuple[dict[str, str], list[tuple[str, str, str]]]] = {
    "none": ({"DB_HOST": "db"}, []),
    "plain": ({"DB_USER": "a", "DB_PASSWORD": "b"}, [("a", "b", "DB_PASSWORD")]),
    "a URL before the others": ({"DB_USER": "a", "DB_PASSWORD": "b", "DATABASE_URL": "postgres://u:p@db:1/x"},
                                [("u", "p", "DATABASE_URL")]),
    "several": ({"DATABASE_URLS": "postgres://u:p@db/x,postgres://v:q@db/y"},
                [("u", "p", "DATABASE_URLS"), ("v", "q", "DATABASE_URLS")]),
    "a URL as it stands": ({"DATABASE_URL": "postgres://u:p%40@db/x"}, [("u", "p%40", "DATABASE_URL")]),
    "one that is taken apart otherwise": ({"DATABASE_URL": "postgres://u:p@q@db/x"}, []),
    "Bitnami's": ({"POSTGRESQL_PASSWORD": "b"}, [("postgres", "b", "POSTGRESQL_PASSWORD")]),
}  # fmt: skip


@pytest.mark.parametrize("case", URLS)
def test_logins_are_read_as_the_script_reads_them(case: str) -> None:
    given, told = URLS[case]
    assert list(credentials(given)) == told


# -- what it is tuned by ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("container", "ini"),
    [
        (started(GIVEN, MountSpec("bind", "/srv/x", INI)), None),
        (started(GIVEN, MountSpec("volume", "conf", "/etc/pgbouncer")), None),
        (started(GIVEN), "[databases]\n[pgbouncer]\nadmin_users = shop\n"),
        (started(GIVEN, entrypoint=("/other.sh",)), None),
        (started(GIVEN, command=("pgbouncer", "/srv/my.ini")), None),
    ],
    ids=["a file that is mounted", "a volume that keeps it", "one of the image", "another script", "another file"],
)
def test_a_file_that_the_script_does_not_write_counts(
    logins: list[Login], container: Container, ini: str | None
) -> None:
    files = there(GIVEN, **{INI: ini} if ini else {})
    live = probe(container, Inside({**files, "/srv/my.ini": files[INI]}))
    assert isinstance(live.value, PoolerFacts) and live.value.variables == {} and live.value.ini


def test_bitnamis_variables_are_those_of_its_library_and_a_file_counts_before(logins: list[Login]) -> None:
    given = {"POSTGRESQL_USERNAME": "shop", "POSTGRESQL_PASSWORD": SECRET, "PGBOUNCER_POOL_MODE_FILE": "/run/x"}
    place, ini = "/opt/bitnami/scripts", "[pgbouncer]\nadmin_users=shop\n"
    container = started(given, entrypoint=(f"{place}/pgbouncer/entrypoint.sh",), command=(f"{place}/pgbouncer/run.sh",))
    files: dict[str, str | None] = {
        f"{place}/libpgbouncer.sh": BITNAMI,
        "/opt/bitnami/pgbouncer/conf/pgbouncer.ini": ini,
    }
    live = probe(container, Inside(files))
    assert isinstance(live.value, PoolerFacts)
    assert live.value.variables == {"default_pool_size": "PGBOUNCER_DEFAULT_POOL_SIZE"}


def test_newer_variables_are_read_of_newer_scripts_only() -> None:
    usual = SCRIPTED[0].variables(SCRIPT, {})
    assert usual["ignore_startup_parameters"] == "IGNORE_STARTUP_PARAMETERS" and usual["listen_port"] == "LISTEN_PORT"
    assert usual["max_prepared_statements"] == "MAX_PREPARED_STATEMENTS" and "unix_socket_dir" in usual
    older = SCRIPT.replace(
        "${MAX_PREPARED_STATEMENTS:+max_prepared_statements = ${MAX_PREPARED_STATEMENTS}\\n}\\\n", ""
    )
    assert "max_prepared_statements" not in SCRIPTED[0].variables(older, {})


READ = {name: name.upper() for name in DEFAULTS if name != "reserve_pool_timeout"}


def pooled(directory: Path, variables: str = "DEFAULT_POOL_SIZE: '7'", **more: Any) -> Facts:
    """Its console was read; what the container has, nftui may have set."""
    known = PoolerFacts("1.24.1", databases={"shop": {"host": "db"}}, defaults=DEFAULTS, variables=READ)
    text = app("pool", "acme/pgbouncer:1.24", f"DB_HOST: db, {variables}")
    found = facts(directory, app(), text)
    services = tuple(
        replace(s, containers=(started({"POOL_MODE": "transaction"}, **more),)) if s.name == "pool" else s
        for s in found.stack.services
    )
    stack = replace(found.stack, services=services)
    return replace(found, stack=stack, live={**found.live, ("pool", "pgbouncer"): Live("pgbouncer", "pool", known)})


def test_it_is_tuned_by_the_variables_that_its_script_reads(tmp_path: Path) -> None:
    found = pooled(tmp_path)
    lines = advise(found)
    assert (lines["default_pool_size"].value, lines["default_pool_size"].kept) == ("7", True)
    assert lines["pool_mode"].value == "session", "what nftui set counts for nothing"
    assert "reserve_pool_timeout" not in lines
    assert any("no variable for reserve_pool_timeout" in str(note) for note in lines["max_client_conn"].notes)
    made = fragment(found, default_pool_size="20")
    assert made.services == {"pool": {"environment": {
        "DEFAULT_POOL_SIZE": "20", "MAX_CLIENT_CONN": "1000", "RESERVE_POOL_SIZE": "5", "SERVER_LOGIN_RETRY": "2",
    }}} and not made.files  # fmt: skip
    (step,) = OPTIMIZATION.steps(found, made)
    assert step.params["config"] == made.values["pool"]
    assert OPTIMIZATION.checks(found, made) == ()


def test_what_its_image_sets_is_the_operators(tmp_path: Path) -> None:
    lines = advise(pooled(tmp_path, image_environment={"POOL_MODE": "statement", "DEFAULT_POOL_SIZE": "9"}))
    assert (lines["pool_mode"].current, lines["default_pool_size"].current) == ("statement", "7")


def test_what_its_script_cannot_say_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="reads no variable"):
        advise(pooled(tmp_path), reserve_pool_timeout="3s")


def test_sizes_fit_the_server_that_its_variables_name_before_any_client_came(tmp_path: Path) -> None:
    found = pooled(tmp_path)
    known = PoolerFacts("1.24.1", defaults=DEFAULTS, variables=READ)
    quiet = replace(found, live={**found.live, ("pool", "pgbouncer"): Live("pgbouncer", "pool", known)})
    assert advise(quiet)["default_pool_size"].why.args["pools"] == 1


# -- what a recreate loses -------------------------------------------------------------------------------------
def lost(given: dict[str, str], **files: str | None) -> str:
    found = layer_losses(
        Service("pool", containers=(started(given),)), Layers({INI: 1, USERS: 0, "/etc/motd": 0}),
        exec_port=Inside(there(given, **files)),
    )  # fmt: skip
    return str(found[0]).partition("lost: ")[2]


@pytest.mark.parametrize("given", [GIVEN, {**GIVEN, "AUTH_TYPE": "plain"}, {"DATABASE_URL": "postgres://u:p@db:1/x"}])
def test_what_its_script_writes_again_is_no_loss(given: dict[str, str]) -> None:
    assert lost(given) == "/etc/motd"


def test_what_somebody_wrote_is_one(tmp_path: Path) -> None:
    edited = there(GIVEN)[INI] + "server_idle_timeout = 60\n"  # type: ignore[operator]
    assert lost(GIVEN, **{INI: edited}) == f"/etc/motd, {INI}"
    assert lost(GIVEN, **{USERS: '"anna" "x"\n'}) == f"/etc/motd, {USERS}"
    assert lost(GIVEN, **{USERS: None}) == f"/etc/motd, {USERS}", "what cannot be read is not known"
    assert lost(GIVEN, **{"/entrypoint.sh": "exec pgbouncer"}) == f"/etc/motd, {INI}"
    assert lost({**GIVEN, "DATABASE_URL": "postgres://u:p@q@db/x"}) == f"/etc/motd, {INI}"


GENERATED: dict[str, dict[str, str]] = {
    "least": {"DB_HOST": "db"},
    "a user": GIVEN,
    "in clear": {**GIVEN, "AUTH_TYPE": "scram-sha-256", "DB_NAME": "shop", "POOL_MODE": "transaction", "DB_PORT": "1"},
    "all that it reads": {**GIVEN, "UNIX_SOCKET_DIR": "/tmp", "MAX_CLIENT_CONN": "9", "STATS_USERS": "a"},
}


@pytest.mark.parametrize("case", GENERATED)
def test_what_is_expected_is_what_the_script_writes(tmp_path: Path, case: str) -> None:
    script = SCRIPT.replace("PG_CONFIG_DIR=/etc/pgbouncer", f"PG_CONFIG_DIR={tmp_path}")
    (tmp_path / "userlist.txt").touch()
    given = GENERATED[case]
    environment = {"PATH": "/usr/bin:/bin", **given}
    subprocess.run(["bash", "-c", script, "sh", "true"], env=environment, check=True)
    where = {**given, "_AUTH_FILE": str(tmp_path / "userlist.txt")}
    assert ini_of(script, where) == (tmp_path / "pgbouncer.ini").read_text()
    assert userlist_of(given) == (tmp_path / "userlist.txt").read_text()


def test_what_one_url_does_not_say_stays_from_the_one_before() -> None:
    found = after_urls({"DATABASE_URLS": "postgres://u:p@db:6000/x,postgres://v@other/y"})
    assert [(f["DB_HOST"], f["DB_PORT"], f["DB_PASSWORD"]) for f in found] == [
        ("db", "6000", "p"), ("other", "6000", ""),
    ]  # fmt: skip
