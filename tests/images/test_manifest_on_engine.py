"""What nftui compares two servers by: every value that prints otherwise is seen, whatever its type."""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Iterator

import pytest

from nftui.clients import pgmanifest
from tests.stack import images
from tests.stack.running import docker

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
TABLE = """
CREATE DOMAIN whole AS int; CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TYPE pair AS (x int, y text);
CREATE TABLE origin (r int, "a b" varchar(9), "%I" text, b bool, s smallint, i bigint, u uuid, d date, t timestamp,
  tz timestamptz, n numeric, f float8, j jsonb, dm whole, e mood, c pair, list int[], bytes bytea, ch char(5),
  "select" int);
INSERT INTO origin VALUES (1, 'x', '', true, 2, 3, '11111111-1111-1111-1111-111111111111', 'infinity', 'infinity',
  '-infinity', 1.00, '-0', '{"a": 1.0}', 4, 'a', (1, NULL), '{1,NULL}', '\\x00ff', 'ab', NULL);
CREATE TABLE wide (%s); INSERT INTO wide SELECT;
CREATE TABLE bare (); INSERT INTO bare SELECT;
SELECT lo_from_bytea(7, decode(repeat('00', 3000), 'hex'));
""".replace("%s", ", ".join(f"c{n} int" for n in range(1600)))
CHANGES = (
    "r = 2", "\"a b\" = ''", "\"%I\" = NULL", "b = false", "s = NULL", "i = 2, s = 3", "u = NULL", "d = '-infinity'",
    "t = '2024-01-01'", "tz = 'infinity'", "n = 1.0", "f = 0", "j = '{\"a\": 1.00}'", "dm = 5", "e = 'b'",
    "c = (1, '')", "list = '{NULL,1}'", "bytes = '\\x00fe'", "ch = 'abc'", "\"select\" = 0",
    "\"%I\" = 'x', \"a b\" = ''",
)  # fmt: skip


class Server:
    """One that is thrown away."""

    def __init__(self, name: str) -> None:
        self.name = name

    def ask(self, sql: str) -> str:
        """By the socket, as nftui's scripts do."""
        argv = ["docker", "exec", "-i", self.name, "psql", "-X", "-q", "-A", "-t", "-F", " ", "-v", "ON_ERROR_STOP=1",
                "-v", "part=0", "-v", "parts=1", "-U", "postgres", "-f", "-"]  # fmt: skip
        return subprocess.run(argv, input=sql.encode(), check=True, capture_output=True).stdout.decode()

    def rows(self, table: str) -> str:
        """What is told of that table."""
        lines = self.ask(pgmanifest.ROWS).splitlines()
        return next(line for line in lines if line.startswith(f"rows of public.{table} "))


@pytest.fixture(scope="module")
def server(engine: None) -> Iterator[Server]:
    images.ensure("postgres:15")
    name = f"nftui-test-manifest-{secrets.token_hex(3)}"
    docker("run", "--detach", "--name", name, "--env=POSTGRES_HOST_AUTH_METHOD=trust", "--env=POSTGRES_PASSWORD=x",
           images.reference("postgres:15"))  # fmt: skip
    try:
        ready = ["docker", "exec", name, "psql", "-h", "127.0.0.1", "-U", "postgres", "-c", "SELECT 1"]
        while subprocess.run(ready, capture_output=True, check=False).returncode:
            time.sleep(0.3)
        found = Server(name)
        found.ask(TABLE)
        yield found
    finally:
        docker("rm", "--force", "--volumes", name)


@pytest.mark.parametrize("change", CHANGES)
def test_every_value_that_prints_otherwise_is_seen(server: Server, change: str) -> None:
    server.ask("DROP TABLE IF EXISTS mix; CREATE TABLE mix AS SELECT * FROM origin")
    before = server.rows("mix")
    assert before.split()[2:4] == ["public.mix", "1"] and server.rows("mix") == before
    server.ask(f"UPDATE mix SET {change}")  # noqa: S608
    assert server.rows("mix") != before


def test_values_that_changed_rows_are_seen_and_the_order_of_rows_is_not(server: Server) -> None:
    make = "DROP TABLE IF EXISTS two; CREATE TABLE two AS SELECT * FROM (VALUES {rows}) v(x, y)"
    told = []
    for rows in ("(1, 'a'), (2, 'b')", "(2, 'b'), (1, 'a')", "(1, 'b'), (2, 'a')"):
        server.ask(make.format(rows=rows))
        told.append(server.rows("two"))
    assert told[0] == told[1] != told[2]


def test_tables_of_all_widths_are_told(server: Server) -> None:
    assert server.rows("wide").split()[3] == server.rows("bare").split()[3] == "1"


@pytest.mark.parametrize(
    "change",
    [
        "GRANT SELECT ON origin TO pg_monitor", "GRANT SELECT (r) ON origin TO pg_monitor",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO pg_monitor", "GRANT SELECT ON LARGE OBJECT 7 TO pg_monitor",
        "SELECT lo_put(7, 2999, 'x')", "SELECT lo_put(7, 3000, 'x')",
    ],
)  # fmt: skip
def test_rights_and_large_objects_are_told(server: Server, change: str) -> None:
    before = server.ask(pgmanifest.DATABASE)
    assert server.ask(pgmanifest.DATABASE) == before
    server.ask(change)
    assert server.ask(pgmanifest.DATABASE) != before
