"""A pooler before a real PostgreSQL: brought, read back, proven, missed, rotated, refused, taken back to the byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.command import Done, Nftui, everything_written, tree
from tests.stack import images
from tests.stack.fixtures import StackFactory
from tests.stack.running import Stack, docker, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]

VERSIONS = ["1.24", pytest.param("1.18", marks=pytest.mark.all)]
Pooled = Callable[[str], tuple[Stack, Nftui]]


@pytest.fixture(params=VERSIONS)
def image(request: pytest.FixtureRequest, engine: None) -> str:
    images.ensure(f"pgbouncer:{request.param}")
    return images.reference(f"pgbouncer:{request.param}")


@pytest.fixture
def nftui(stack_factory: StackFactory, tmp_path: Path) -> tuple[Stack, Nftui]:
    stack = stack_factory()
    return stack, Nftui(stack.directory, tmp_path / "state")


def apply(nftui: Nftui, *options: str, code: int = 0) -> Done:
    done = nftui("apply", "--only", "pgbouncer", "--yes", "--json", "--settle", "1", *options)
    assert done.code == code, done.out + done.err
    return done


def variables(stack: Stack, service: str) -> dict[str, str]:
    return dict(e.partition("=")[::2] for e in stack.inspect(service)["Config"]["Env"])


def console(stack: Stack, what: str) -> list[list[str]]:
    text = stack.exec("pgbouncer", "psql", "-XAtqc", f"SHOW {what}")
    return [line.split("|") for line in text.splitlines()]


def addresses_on_server(stack: Stack) -> set[str]:
    with stack.postgres() as connection:
        rows = connection.execute(
            "SELECT DISTINCT host(client_addr) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND client_addr IS NOT NULL"
        ).fetchall()
    return {str(row[0]) for row in rows}


def test_comes_is_proven_and_goes(nftui: tuple[Stack, Nftui], image: str, tmp_path: Path) -> None:
    stack, run = nftui
    before, former = tree(stack.directory), stack.services()
    options = ("--set", f"pgbouncer.image={image}", "--set", "pgbouncer.route.api=pooled",
               "--set", "pgbouncer.route.jobs=pooled")  # fmt: skip
    apply(run, *options)
    assert stack.inspect("pgbouncer")["State"]["Health"]["Status"] == "healthy"
    api, jobs = variables(stack, "api"), variables(stack, "jobs")
    assert "@pgbouncer:5432/" in api["DATABASE_URL"] and (jobs["DB_HOST"], jobs["DB_PORT"]) == ("pgbouncer", "5432")
    assert stack.http("api", "/health")[0] == 200
    wait_until(
        lambda: (
            {stack.address("api"), stack.address("jobs")} <= {cell for row in console(stack, "CLIENTS") for cell in row}
        )
    )
    seen = addresses_on_server(stack)
    assert stack.address("pgbouncer") in seen and not {stack.address("api"), stack.address("jobs")} & seen
    config = {row[0]: row[1] for row in console(stack, "CONFIG")}
    assert (config["pool_mode"], config["max_client_conn"], config["default_pool_size"]) == (
        "transaction",
        "1000",
        "25",
    )
    no_secret_is_in_clear(stack, tmp_path / "state")
    assert run("status").code == 0 and run("plan", "--only", "pgbouncer", *options, "--exit-code").code == 0
    stack.up()
    assert stack.services().keys() == {*former, "pgbouncer"}
    done = run("rollback", "--yes", "--json")
    assert done.code == 0 and done.json["outcome"] == "rolled-back", done.out + done.err
    assert tree(stack.directory) == before and set(stack.services()) == set(former)
    assert variables(stack, "jobs")["DB_HOST"] == "postgres"
    wait_until(lambda: stack.address("api") in addresses_on_server(stack))


def no_secret_is_in_clear(stack: Stack, state: Path) -> None:
    secret = stack.environment["POSTGRES_PASSWORD"]
    for path in (stack.directory / "nftui").rglob("*"):
        assert not path.is_file() or secret not in path.read_text()
    assert secret not in str(stack.inspect("pgbouncer")["Config"])
    assert secret not in (stack.directory / "compose.nftui.yaml").read_text()
    assert secret.encode() not in everything_written(state) and b"SCRAM-SHA-256$4096" not in everything_written(state)
    userlist = next((stack.directory / "nftui" / "pgbouncer").glob("*/userlist.txt"))
    assert userlist.stat().st_mode & 0o777 == 0o640 and '" "SCRAM-SHA-256$' in userlist.read_text()


def test_a_new_password_is_drift_and_an_apply_heals_it(nftui: tuple[Stack, Nftui], image: str) -> None:
    stack, run = nftui
    options = ("--set", f"pgbouncer.image={image}")
    apply(run, *options)
    assert {row[0]: row[1] for row in console(stack, "CONFIG")}["pool_mode"] == "session"
    with stack.postgres() as connection:
        user, password = stack.environment["POSTGRES_USER"], stack.environment["POSTGRES_PASSWORD"]
        connection.execute(f"ALTER ROLE {user} PASSWORD '{password}'")
    missed = run("status", "--json")
    assert missed.code == 3 and [d["target"] for d in missed.json["drift"]] == [f"postgres.role.{user}"], missed.out
    assert "SCRAM" not in missed.out
    pooler, jobs = stack.container("pgbouncer"), stack.container("jobs")
    apply(run, *options)
    assert stack.container("pgbouncer") != pooler and stack.container("jobs") == jobs
    assert run("status").code == 0 and stack.http("jobs", "/health")[0] == 200


def test_a_server_that_comes_back_at_another_address_is_found_again(nftui: tuple[Stack, Nftui], image: str) -> None:
    stack, run = nftui
    apply(run, "--set", f"pgbouncer.image={image}", "--set", "pgbouncer.route.jobs=pooled")
    assert stack.http("jobs", "/health")[0] == 200
    server, former = stack.container("postgres"), stack.address("postgres")
    network = next(iter(stack.inspect("postgres")["NetworkSettings"]["Networks"]))
    docker("stop", "-t", "30", server)
    squatters = [docker("run", "-d", "--rm", "--network", network, "--entrypoint", "sleep", image, "300").strip()
                 for _ in range(3)]  # fmt: skip
    try:
        docker("start", server)
        assert stack.address("postgres") != former
        wait_until(lambda: stack.http("jobs", "/health")[0] == 200, seconds=60, what="the pooler has the new address")
    finally:
        docker("rm", "-f", *squatters)
    stack.up()
    assert run("status").code == 0


def test_what_cannot_be_had_is_refused_and_nothing_is_touched(nftui: tuple[Stack, Nftui], image: str) -> None:
    stack, run = nftui
    before, former = tree(stack.directory), stack.services()
    for option, word in (
        ("pgbouncer.default_pool_size=200", "cannot fit"),
        ("pgbouncer.image=nftui-test/none:1", "docker pull"),
        ("pgbouncer.max_prepared_statements=10000000", "out of bounds"),
    ):
        done = run("apply", "--only", "pgbouncer", "--yes", "--set", f"pgbouncer.image={image}", "--set", option)
        assert done.code == 2 and word in done.err + done.out, done.err
    with stack.postgres() as connection:
        connection.execute(f"SET password_encryption = md5; ALTER ROLE {stack.environment['POSTGRES_USER']} "
                           f"PASSWORD '{stack.environment['POSTGRES_PASSWORD']}'")  # fmt: skip
    done = run("plan", "--only", "pgbouncer", "--set", f"pgbouncer.image={image}", "--json")
    mine = next(o for o in done.json["optimizations"] if o["id"] == "pgbouncer")
    assert done.code == 0 and not mine["applicable"] and "md5" in mine["reason"] and not done.json["changes"]
    assert tree(stack.directory) == before and stack.services() == former


def test_a_pooler_that_cannot_serve_is_taken_back_before_any_app_notices(
    nftui: tuple[Stack, Nftui], image: str
) -> None:
    """The server lets in the addresses of today's clients only: the pooler would get nobody in."""
    stack, run = nftui
    before, former = tree(stack.directory), stack.services()
    known = [stack.address("api"), stack.address("jobs"), stack.address("api").rpartition(".")[0] + ".1"]
    rules = ["local all all trust", *(f"host all all {a}/32 scram-sha-256" for a in known)]
    text = "\\n".join(rules)
    stack.exec("postgres", "sh", "-c", f'printf "{text}\\n" > "$PGDATA/pg_hba.conf"')
    with stack.postgres() as connection:
        connection.execute("SELECT pg_reload_conf()")
    done = apply(run, "--set", f"pgbouncer.image={image}", code=1)
    assert done.json["outcome"] == "rolled-back" and "does not serve" in done.out + done.err, done.out
    assert tree(stack.directory) == before and stack.services() == former


FILED = """
  filed:
    image: ${APP_IMAGE:-nftui-test/app:latest}
    entrypoint: ["sleep", "3600"]
    restart: unless-stopped
    environment: {DB_HOST: postgres, DB_NAME: "${POSTGRES_DB}", DB_USER: filed, DB_PASSWORD_FILE: /run/secrets/db}
    volumes: ["./db-password:/run/secrets/db:ro"]
    stop_grace_period: 1s
  blind:
    image: ${APP_IMAGE:-nftui-test/app:latest}
    entrypoint: ["sleep", "3600"]
    restart: unless-stopped
    environment: {DB_HOST: postgres, DB_NAME: "${POSTGRES_DB}", DB_USER: blind, DB_PASSWORD_FILE: /nowhere}
    stop_grace_period: 1s
"""


def test_a_password_in_a_file_is_tried_and_one_that_cannot_be_read_is_named(
    stack_factory: StackFactory, image: str, tmp_path: Path
) -> None:
    stack = stack_factory(up=False)
    run = Nftui(stack.directory, tmp_path / "state")
    (stack.directory / "db-password").write_text("not-a-secret-file\n")
    path = stack.directory / "compose.yaml"
    path.write_text(path.read_text().replace("\n  redis:\n", FILED + "\n  redis:\n", 1))
    stack.up()
    with stack.postgres() as connection:
        for name in ("filed", "blind"):
            connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'not-a-secret-file'")
    routes = [w for n in ("filed", "blind") for w in ("--set", f"pgbouncer.route.{n}=session")]
    done = apply(run, "--set", f"pgbouncer.image={image}", *routes, "--set", "pgbouncer.default_pool_size=18",
                 "--set", "pgbouncer.reserve_pool_size=2")  # fmt: skip
    written = everything_written(tmp_path / "state")
    database = stack.environment["POSTGRES_DB"]
    assert f'"filed/{database}": 23'.encode() in written or f'"filed/{database}":23'.encode() in written
    notes = [n for n in done.json["notes"] if "No login" in n]
    assert len(notes) == 1 and f"as blind on {database}" in notes[0], done.out
    assert b"not-a-secret-file" not in written and "not-a-secret-file" not in done.out


POOL = """
  pool:
    image: {image}
    command: ["/etc/pgbouncer/pgbouncer.ini"]
    user: "6000:6000"
    volumes: ["./pgb:/etc/pgbouncer:ro"]
"""
OWN_INI = """[databases]
nextflow = host=postgres port=5432 dbname=nextflow
[pgbouncer]
listen_addr = *
unix_socket_dir = /tmp
auth_type = trust
auth_file = /etc/pgbouncer/userlist.txt
default_pool_size = 7
"""


@pytest.mark.all
def test_a_pooler_of_the_operators_is_tuned_by_a_file_that_includes_theirs(
    stack_factory: StackFactory, image: str, tmp_path: Path
) -> None:
    stack = stack_factory(up=False)
    run = Nftui(stack.directory, tmp_path / "state")
    (stack.directory / "pgb").mkdir(mode=0o755)
    (stack.directory / "pgb" / "pgbouncer.ini").write_text(OWN_INI)
    (stack.directory / "pgb" / "userlist.txt").write_text('"nextflow" ""\n')
    path = stack.directory / "compose.yaml"
    path.write_text(path.read_text().replace("\n  redis:\n", POOL.format(image=image) + "\n  redis:\n", 1))
    stack.up()
    before = tree(stack.directory)
    apply(run)
    text = stack.exec(
        "pool", "psql", "-h", "/tmp", "-p", "6432", "-U", "pgbouncer", "-XAtqc", "SHOW CONFIG", "pgbouncer"
    )
    config = {row[0]: row[1] for row in (line.split("|") for line in text.splitlines())}
    assert (config["max_client_conn"], config["default_pool_size"], config["server_login_retry"]) == ("1000", "7", "2")
    assert "pgbouncer" not in stack.services() and run("status").code == 0
    assert run("plan", "--only", "pgbouncer", "--exit-code").code == 0
    ini = stack.directory / "pgb" / "pgbouncer.ini"
    ini.write_text(OWN_INI.replace("= 7", "= 8"))
    assert [d["target"] for d in run("status", "--json").json["drift"]] == ["pool.pgbouncer.ini"]
    apply(run)
    assert run("status").code == 0
    ini.write_text(OWN_INI)
    for _ in range(2):
        done = run("rollback", "--yes", "--json")
    assert done.code == 0 and tree(stack.directory) == before, done.out
    assert stack.inspect("pool")["Args"] == ["/etc/pgbouncer/pgbouncer.ini"]


@pytest.mark.all
def test_with_the_server_tuned_in_the_same_run_and_switched_off_again(nftui: tuple[Stack, Nftui], image: str) -> None:
    stack, run = nftui
    before = tree(stack.directory)
    options = ("--set", f"pgbouncer.image={image}", "--set", "postgres.work_mem=3MB", "--only", "postgres,pgbouncer")
    shown = run("plan", *options)
    assert "not-a-secret" not in shown.out and "SCRAM-SHA-256$4096" not in shown.out, shown.out
    done = run("apply", "--yes", "--json", "--settle", "1", *options)
    assert done.code == 0, done.out + done.err
    assert stack.show("work_mem") == "3MB" and variables(stack, "jobs")["DB_HOST"] == "pgbouncer"
    wait_until(lambda: stack.http("jobs", "/health")[0] == stack.http("api", "/health")[0] == 200)
    done = run("apply", "--yes", "--json", "--settle", "1", "--only", "pgbouncer", "--off", "pgbouncer")
    assert done.code == 0 and "pgbouncer" not in stack.services(), done.out + done.err
    assert stack.show("work_mem") == "3MB" and variables(stack, "jobs")["DB_HOST"] == "postgres"
    for _ in range(2):
        done = run("rollback", "--yes", "--json")
        assert done.code == 0, done.out + done.err
    assert tree(stack.directory) == before


BY_ENVIRONMENT = """
  pool:
    image: {image}
    environment:
      DB_USER: ${{POSTGRES_USER}}
      DB_PASSWORD: ${{POSTGRES_PASSWORD}}
      DB_HOST: postgres
      AUTH_TYPE: scram-sha-256
      DEFAULT_POOL_SIZE: "7"
      {more}
    depends_on: {{postgres: {{condition: service_healthy}}}}
"""


@pytest.fixture
def by_environment(stack_factory: StackFactory, tmp_path: Path) -> Callable[[str], tuple[Stack, Nftui]]:
    """A stack with a pooler of the operator's that has no file of theirs; jobs go through it."""

    def made(more: str) -> tuple[Stack, Nftui]:
        images.ensure("pgbouncer-env:1.24")
        stack = stack_factory(up=False)
        path = stack.directory / "compose.yaml"
        pool = BY_ENVIRONMENT.format(image=images.reference("pgbouncer-env:1.24"), more=more)
        text = path.read_text().replace("DB_HOST: postgres", "DB_HOST: pool")
        path.write_text(text.replace("\n  redis:\n", pool + "\n  redis:\n", 1))
        stack.up()
        return stack, Nftui(stack.directory, tmp_path / "state")

    return made


def shown_over_tcp(stack: Stack) -> dict[str, str]:
    """SHOW CONFIG as any admin asks for it."""
    import psycopg

    user, password = stack.environment["POSTGRES_USER"], stack.environment["POSTGRES_PASSWORD"]
    target = f"host={stack.address('pool')} port=5432 dbname=pgbouncer user={user} password={password}"
    with psycopg.connect(target, autocommit=True) as connection:
        return {str(row[0]): str(row[1]) for row in connection.execute(b"SHOW CONFIG").fetchall()}


INI = "/etc/pgbouncer/pgbouncer.ini"


def test_a_pooler_that_is_configured_by_variables_is_tuned_by_them(
    by_environment: Callable[[str], tuple[Stack, Nftui]], tmp_path: Path
) -> None:
    stack, run = by_environment("ADMIN_USERS: ${POSTGRES_USER}")
    before, former = tree(stack.directory), stack.exec("pool", "cat", INI)
    options = ("--set", "pgbouncer.default_pool_size=20", "--set", "pgbouncer.pool_mode=transaction")
    refused = run("plan", "--only", "pgbouncer", "--set", "pgbouncer.reserve_pool_timeout=4s")
    assert refused.code == 2 and "reads no variable" in refused.err, refused.err
    planned = run("plan", "--only", "pgbouncer", "--json", *options)
    assert "would be lost" not in planned.out and stack.environment["POSTGRES_PASSWORD"] not in planned.out
    apply(run, *options)
    config = shown_over_tcp(stack)
    names = ("default_pool_size", "pool_mode", "max_client_conn", "server_login_retry", "reserve_pool_timeout")
    assert [config[name] for name in names] == ["20", "transaction", "1000", "2", "5"]
    assert variables(stack, "pool")["DEFAULT_POOL_SIZE"] == "20" and stack.http("jobs", "/health")[0] == 200
    assert stack.inspect("pool")["Args"] == ["/usr/sbin/pgbouncer", INI] and not (stack.directory / "nftui").exists()
    assert run("status").code == 0 and run("plan", "--only", "pgbouncer", *options, "--exit-code").code == 0
    stack.up()
    assert shown_over_tcp(stack)["default_pool_size"] == "20"
    assert stack.environment["POSTGRES_PASSWORD"].encode() not in everything_written(tmp_path / "state")
    done = run("rollback", "--yes", "--json")
    assert done.code == 0 and tree(stack.directory) == before, done.out + done.err
    assert stack.exec("pool", "cat", INI) == former and shown_over_tcp(stack)["default_pool_size"] == "7"


def test_what_somebody_wrote_into_its_file_would_be_lost_and_is_told(
    by_environment: Callable[[str], tuple[Stack, Nftui]],
) -> None:
    stack, run = by_environment("ADMIN_USERS: ${POSTGRES_USER}")
    stack.exec("pool", "sh", "-c", f"echo 'server_idle_timeout = 60' >> {INI}")
    done = run("apply", "--only", "pgbouncer", "--yes", "--json")
    assert done.code == 2 and f"would be lost: {INI}" in done.out + done.err and "userlist" not in done.out, done.out
    assert shown_over_tcp(stack)["max_client_conn"] == "100"


def test_a_console_without_a_login_is_left_alone_with_the_way_to_open_it(
    by_environment: Callable[[str], tuple[Stack, Nftui]],
) -> None:
    stack, run = by_environment("ADMIN_USERS: somebody")
    done = run("plan", "--only", "pgbouncer", "--json")
    mine = next(o for o in done.json["optimizations"] if o["id"] == "pgbouncer")
    user = stack.environment["POSTGRES_USER"]
    assert not mine["applicable"] and f"ADMIN_USERS=somebody,{user} or UNIX_SOCKET_DIR=/tmp" in mine["reason"], mine
