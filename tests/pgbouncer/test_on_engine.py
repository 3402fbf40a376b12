"""A pooler before a real PostgreSQL: brought, read back, proven, missed, rotated, refused, taken back to the byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.command import Done, Nftui, everything_written, tree
from tests.stack import images
from tests.stack.fixtures import StackFactory
from tests.stack.running import Stack, wait_until

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
