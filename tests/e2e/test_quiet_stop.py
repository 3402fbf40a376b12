"""A moment that is not quiet: apply waits, then refuses with the reason, and the database was never stopped."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.e2e.command import Done, Nftui, tree
from tests.e2e.shared import stack_of
from tests.stack.running import Stack, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def stack(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    for stack in stack_of(tmp_path_factory, None, "postgres"):
        with stack.postgres() as connection:
            connection.execute("ALTER SYSTEM SET max_prepared_transactions = 2")
        stack.compose("restart", "postgres")
        stack.up("postgres")
        yield stack


@pytest.fixture(scope="module")
def nftui(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Nftui:
    return Nftui(stack.directory, tmp_path_factory.mktemp("n") / "state")


def apply(nftui: Nftui, wait_s: int) -> Done:
    return nftui("apply", "--only", "postgres", "--yes", "--json", "--settle", "0", "--wait-quiet", str(wait_s))


@contextmanager
def session(stack: Stack, name: str, *statements: str) -> Iterator[None]:
    """An open session that has said `statements`; what still runs in it is ended at last."""
    import psycopg

    env = stack.environment
    connection = psycopg.connect(
        host=stack.address("postgres"), user=env["POSTGRES_USER"], password=env["POSTGRES_PASSWORD"],
        dbname=env["POSTGRES_DB"], autocommit=True, application_name=name,
    )  # fmt: skip
    try:
        for statement in statements:
            connection.execute(statement.encode())
        yield
    finally:
        connection.close()


@contextmanager
def inside(stack: Stack, *command: str) -> Iterator[None]:
    """A client in the database's container, while it works."""
    argv = ["docker", "exec", stack.container("postgres"), *command]
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield
        assert child.poll() is None, child.communicate()
    finally:
        with stack.postgres() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND backend_type IN ('client backend', 'walsender')"
            )
        child.communicate(timeout=30)


def busy(stack: Stack, query: str) -> Callable[[], bool]:
    def ask() -> bool:
        with stack.postgres() as connection:
            return bool(connection.execute(query.encode()).fetchall())

    return ask


@contextmanager
def dump(stack: Stack) -> Iterator[None]:
    """pg_dump, which waits for a table."""
    env = stack.environment
    with ExitStack() as used:
        used.enter_context(session(stack, "owner", "BEGIN", "LOCK contacts IN ACCESS EXCLUSIVE MODE"))
        used.enter_context(inside(stack, "pg_dump", "-U", env["POSTGRES_USER"], env["POSTGRES_DB"]))
        wait_until(busy(stack, "SELECT 1 FROM pg_stat_activity WHERE application_name = 'pg_dump'"), what="pg_dump")
        yield


@contextmanager
def index_build(stack: Stack) -> Iterator[None]:
    """CREATE INDEX CONCURRENTLY, which waits for a writer."""
    env = stack.environment
    sql = "CREATE INDEX CONCURRENTLY slow ON contacts (note)"
    with ExitStack() as used:
        used.enter_context(session(stack, "writer", "BEGIN", "UPDATE contacts SET note = note WHERE id = 1"))
        used.enter_context(inside(stack, "psql", "-U", env["POSTGRES_USER"], "-d", env["POSTGRES_DB"], "-c", sql))
        wait_until(busy(stack, "SELECT 1 FROM pg_stat_progress_create_index"), what="the index build")
        yield
    with stack.postgres() as connection:
        connection.execute("DROP INDEX IF EXISTS slow")


@contextmanager
def base_backup(stack: Stack) -> Iterator[None]:
    """pg_basebackup at its slowest."""
    user = stack.environment["POSTGRES_USER"]
    stack.exec("postgres", "rm", "-rf", "/tmp/base")
    with inside(stack, "pg_basebackup", "-U", user, "-D", "/tmp/base", "--max-rate", "32k", "-c", "fast"):
        wait_until(busy(stack, "SELECT 1 FROM pg_stat_progress_basebackup"), what="the base backup")
        yield
    stack.exec("postgres", "rm", "-rf", "/tmp/base")


@contextmanager
def prepared(stack: Stack) -> Iterator[None]:
    """A prepared transaction that nobody ends."""
    with session(stack, "xa", "BEGIN", "UPDATE contacts SET note = note WHERE id = 2", "PREPARE TRANSACTION 'left'"):
        pass
    yield
    with stack.postgres() as connection:
        connection.execute("ROLLBACK PREPARED 'left'")


@contextmanager
def long_transaction(stack: Stack) -> Iterator[None]:
    """A writer since more than half a minute."""
    with session(stack, "batch", "BEGIN", "UPDATE contacts SET note = note WHERE id = 3"):
        since = (
            "SELECT 1 FROM pg_stat_activity WHERE application_name = 'batch' AND xact_start < now() - interval '31 s'"
        )
        wait_until(busy(stack, since), seconds=60, what="half a minute")
        yield


CASES = [
    pytest.param(dump, "pg_dump is running", id="dump"),
    pytest.param(index_build, "CREATE INDEX CONCURRENTLY is running", id="index", marks=pytest.mark.all),
    pytest.param(base_backup, "base backup is running", id="base-backup", marks=pytest.mark.all),
    pytest.param(prepared, "prepared transaction left", id="prepared", marks=pytest.mark.all),
    pytest.param(long_transaction, "a transaction that writes is open", id="long", marks=pytest.mark.all),
]


@pytest.mark.parametrize(("disturbance", "words"), CASES)
def test_what_would_be_cut_off_is_waited_for_and_then_refused(
    nftui: Nftui, stack: Stack, disturbance: Callable[[Stack], Iterator[None]], words: str
) -> None:
    before, container = tree(stack.directory), stack.container("postgres")
    started = stack.inspect("postgres")["State"]["StartedAt"]
    with disturbance(stack):  # type: ignore[attr-defined]
        done = apply(nftui, 1)
    assert (done.code, done.json["outcome"]) == (1, "rolled-back"), done.out + done.err
    assert "postgres is not stopped now" in done.json["reason"] and words in done.json["reason"], done.out
    assert (stack.container("postgres"), stack.inspect("postgres")["State"]["StartedAt"]) == (container, started)
    assert tree(stack.directory) == before and nftui("status").code == 0


@pytest.mark.all
def test_a_dump_that_ends_in_time_is_waited_for(nftui: Nftui, stack: Stack) -> None:
    before = tree(stack.directory)
    with ExitStack() as used:
        used.enter_context(dump(stack))
        child = subprocess.Popen(
            nftui.command("apply", "--only", "postgres", "--yes", "--settle", "0", "--wait-quiet", "90"),
            cwd=nftui.directory, env=nftui.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        waiting = nftui.state.glob
        wait_until(lambda: any("pg_dump" in p.read_text() for p in waiting("*/runs/*/progress.json")), seconds=60,
                   what="the wait")  # fmt: skip
        time.sleep(1)
        assert child.poll() is None and stack.show("random_page_cost") == "4"
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, (out, err)
    assert stack.show("random_page_cost") != "4"
    done = nftui("rollback", "--yes")
    assert done.code == 0, done.err
    assert tree(stack.directory) == before and stack.show("random_page_cost") == "4"
