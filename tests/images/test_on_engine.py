"""Another major of PostgreSQL on the real engine: all that a server holds goes over, nothing is lost, and back."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nftui.model.units import GIB, MIB
from nftui.system.trees import LocalTrees
from tests.e2e.command import Done, Nftui, everything_written, tree
from tests.stack import images
from tests.stack.fixtures import StackFactory
from tests.stack.running import Stack, docker, wait_until

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="data is switched only by root"),
]
SCHEMA = Path(__file__).parent / "schema.sql"
CONTROL = Path("global/pg_control")
FENCED = Path("global/pg_control.nftui-fenced")
CONSENT = ("--yes", "--accept-irreversible", "--without-backup", "--settle", "1", "--json")
ALONE = tuple(word for app in ("api", "jobs") for word in ("--set", f"images.{app}=stay"))
"""The apps' tag moves; here they are left as they are."""
TABLES, ROW_BYTES = 6, 290
"""A row with its share of both indexes, measured."""
PASSWORDS = ("not-a-secret-old", "not-a-secret-new")
NEXT_WAL = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 9)"
OWN_SETTINGS = """temp_buffers = 9MB
shop.note = 'it''s \\\\d kept,\\nand this'
hba_file = '/var/lib/postgresql/data/logins/own'
"""


@dataclass
class Bench:
    """One stack, the command, and what is looked at."""

    stack: Stack
    nftui: Nftui
    old: str
    new: str
    bulk: int = 0
    """Bytes of rows and indexes beside those of the schema."""

    def image(self, major: str) -> str:
        """The reference of that major."""
        return images.reference(f"postgres:{major}")

    def apply(self, major: str, *more: str) -> Done:
        """To that major."""
        wish = f"images.postgres={self.image(major)}"
        return self.nftui("apply", "--only", "images", *ALONE, "--set", wish, *more, timeout=800 + self.bulk // MIB)

    def psql(self, sql: str, database: str = "second db", user: str | None = None, password: str = "") -> str:
        """What the running server answers; logged in over the network where a user is named."""
        env = self.stack.environment
        name, word = (user, password) if user else (env["POSTGRES_USER"], env["POSTGRES_PASSWORD"])
        return docker(
            "exec", "-e", f"PGPASSWORD={word}", "-e", f"PGDATABASE={database}", self.stack.container("postgres"),
            "psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.stack.address("postgres"), "-U", name, "-c",
            sql,
        )  # fmt: skip

    def fill(self) -> None:
        """The schema that has everything."""
        env = self.stack.environment
        argv = ["docker", "exec", "-i", self.stack.container("postgres"), "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1",
                "-U", env["POSTGRES_USER"], "-d", env["POSTGRES_DB"], "-f", "-"]  # fmt: skip
        subprocess.run(argv, input=SCHEMA.read_bytes() + self._more().encode(), check=True, capture_output=True)
        self._configure()

    def _configure(self) -> None:
        """Settings that only a start takes, from three files, one of them with another file of logins beside it."""
        place = self.place("postgres_data")
        owner = (place / "pg_hba.conf").stat()
        for name, text in {"conf.d/own.conf": OWN_SETTINGS, "logins/own": (place / "pg_hba.conf").read_text()}.items():
            path = place / name
            path.parent.mkdir()
            path.write_text(text)
            os.chown(path, owner.st_uid, owner.st_gid)
        with (place / "postgresql.conf").open("a") as file:
            file.write("include_dir 'conf.d'\n")
        docker("restart", self.stack.container("postgres"))
        wait_until(self._answers, what="the server after its restart")

    def _answers(self) -> bool:
        try:
            return self.psql("SELECT 1") == "1"
        except subprocess.CalledProcessError:
            return False

    def _more(self) -> str:
        """Tables of one size, each with two indexes."""
        rows = self.bulk // TABLES // ROW_BYTES
        return "".join(
            f"CREATE TABLE bulk{t} AS SELECT n AS id, (n * 7919 % 1000003)::int AS a, md5(n::text) || "  # noqa: S608
            f"repeat(md5((n * 3)::text), 5) AS note, now() AS at FROM generate_series(1::bigint, {rows}) n;\n"
            f"ALTER TABLE bulk{t} ADD PRIMARY KEY (id);\nCREATE INDEX ON bulk{t} (a);\n"
            for t in range(TABLES if rows else 0)
        )

    def size(self) -> int:
        """Bytes of all databases."""
        return int(self.psql("SELECT sum(pg_database_size(oid)) FROM pg_database"))

    def place(self, name: str) -> Path:
        """Where a volume's data lies."""
        return Path(json.loads(docker("volume", "inspect", f"{self.stack.project}_{name}"))[0]["Mountpoint"])

    def mounted(self) -> str:
        """The volume that the database runs on, without the project's name."""
        mounts: Any = self.stack.inspect("postgres")["Mounts"]
        name = next(str(m["Name"]) for m in mounts if m["Destination"] == "/var/lib/postgresql/data")
        return name.removeprefix(f"{self.stack.project}_")

    def runs(self) -> str:
        """The reference that the container was made from."""
        return str(self.stack.inspect("postgres")["Config"]["Image"])

    def holds(self) -> dict[str, str]:
        """What the test's own eyes see of the data, beside what nftui compares."""
        asked = {
            "orders": "SELECT count(*), md5(string_agg(o::text, '|' ORDER BY id)) FROM shop.orders o",
            "parts": "SELECT count(*), sum(id) FROM shop.parts",
            "numbers": "SELECT last_value, is_called FROM shop.numbers",
            "blob": "SELECT md5(lo_get(424242)), lomowner::regrole FROM pg_largeobject_metadata",
            "zone": "SHOW timezone",
            "extensions": "SELECT string_agg(extname, ',' ORDER BY extname) FROM pg_extension",
            "german": "SELECT string_agg(x, ' ' ORDER BY x COLLATE shop.german) FROM (VALUES ('Z'), ('Ä'), ('a')) v(x)",
            "policy": "SELECT count(*) FROM pg_policy",
            "verifiers": "SELECT string_agg(md5(rolpassword), ',' ORDER BY rolname) FROM pg_authid",
            "comment": "SELECT obj_description('shop.orders'::regclass)",
            "duration": "SHOW log_min_duration_statement",
            "dates": "SHOW datestyle",
            "archive": "SELECT current_setting('archive_mode'), current_setting('archive_command')",
            "senders": "SHOW max_wal_senders",
            "included": "SELECT current_setting('temp_buffers'), current_setting('shop.note')",
            "logins": "SHOW hba_file",
            "databases": "SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database",
        }
        return {name: self.psql(sql) for name, sql in asked.items()}

    def logins(self) -> dict[str, bool]:
        """Whether each app's role gets in over the network, by its md5 or SCRAM verifier."""
        return {name: self._gets_in(name, word) for name, word in zip(("old_app", "New App"), PASSWORDS, strict=True)}

    def _gets_in(self, name: str, word: str) -> bool:
        try:
            return self.psql("SELECT 1", "second db", name, word) == "1"
        except subprocess.CalledProcessError:
            return False

    def clean(self) -> None:
        """What Compose does not remove: places that nftui made, images that it kept."""
        docker("rm", "-fv", self.stack.container("postgres"), check=False)
        for name in docker("volume", "ls", "-q", "--filter", f"name={self.stack.project}_").split():
            docker("volume", "rm", name, check=False)
        for name in docker("images", "--format", "{{.Repository}}:{{.Tag}}").split():
            if name.startswith(f"nftui-kept/{self.stack.project}"):
                docker("rmi", name)


class Outsider(threading.Thread):
    """Someone of whom nftui knows nothing: writes from this machine for as long as it is let in."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench, self.over = bench, threading.Event()
        self.accepted: list[int] = []
        self.refused = 0

    def run(self) -> None:
        with self.bench.stack.postgres() as connection:
            connection.execute("CREATE TABLE outside (n int)")
        number = 0
        while not self.over.wait(0.2):
            number += 1
            try:
                with self.bench.stack.postgres() as connection:
                    connection.execute("INSERT INTO outside VALUES (%s)", [number])
                self.accepted.append(number)
            except Exception:
                self.refused += 1

    def __enter__(self) -> Outsider:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.join()

    def lost(self) -> set[int]:
        """What was accepted and is not there."""
        with self.bench.stack.postgres() as connection:
            found = {int(row[0]) for row in connection.execute("SELECT n FROM outside")}
        return set(self.accepted) - found


@pytest.fixture
def bench(stack_factory: StackFactory, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    old, new, *bulk = request.param
    images.ensure(f"postgres:{old}", f"postgres:{new}")
    stack = stack_factory(postgres=old)
    found = Bench(stack, Nftui(stack.directory, tmp_path / "state"), old, new, *bulk)
    yield found
    found.clean()


OLDER = pytest.param(("13", "15"), id="13-15")
NEWER = pytest.param(("15", "17"), id="15-17", marks=pytest.mark.all)
MOVED = pytest.param(("13", "18"), id="13-18", marks=pytest.mark.all)
"""18 has its data elsewhere by default, and its image a volume above."""
LONG = (pytest.mark.all, pytest.mark.timeout(5400))
LARGE = [
    pytest.param((old, new, 2 * GIB), id=f"{old}-{new}-2GiB", marks=LONG) for old, new in (("13", "15"), ("15", "17"))
]


@pytest.mark.parametrize("bench", [OLDER, NEWER, MOVED, *LARGE], indirect=True)
def test_a_major_goes_over_whole_and_comes_back(bench: Bench) -> None:
    bench.fill()
    assert bench.size() >= bench.bulk
    files, before, logins = tree(bench.stack.directory), bench.holds(), bench.logins()
    assert before["included"] == "9MB|it's \\d kept,\nand this"
    wal = bench.psql(NEXT_WAL)
    assert logins["New App"] and (logins["old_app"] or bench.old != "13")
    if (bench.old, bench.new) == ("13", "15"):
        plan = bench.nftui("plan", "--only", "images", "--json").json
        advice = {k["name"]: k for o in plan["optimizations"] if o["id"] == "images" for k in o["knobs"]}
        assert advice["postgres"]["recommended"] == bench.image(bench.new), advice
        assert advice["postgres"]["value"] == "stay", "nobody's data is moved because a day came"
    with Outsider(bench) as outsider:
        done = bench.apply(bench.new, *CONSENT)
    assert outsider.accepted and outsider.refused and not outsider.lost(), "writes were neither kept nor refused"
    assert done.code == 0 and done.json["outcome"] == "applied", done.out + done.err
    assert any("postgres was down for" in n and "predicted were" in n for n in done.json["notes"]), done.json["notes"]
    assert not [n for n in done.json["notes"] if "left out" in n], "a setting that both versions know was left out"
    assert bench.mounted() == f"postgres-{bench.new}" and bench.runs() == bench.image(bench.new)
    assert bench.psql("SHOW server_version").startswith(f"{bench.new}.")
    assert bench.holds() == before
    assert bench.logins() == logins
    assert bench.psql(NEXT_WAL) > wal, "an archive has segments of that name already"
    assert bench.place(f"postgres-{bench.new}").stat().st_mode & 0o077 == 0
    old = bench.place("postgres_data")
    assert (old / FENCED).exists() and not (old / CONTROL).exists()
    assert not any(p.name.startswith("nftui-") for p in bench.place(f"postgres-{bench.new}").iterdir())
    assert bench.nftui("status", "--json").code == 0
    wish = f"images.postgres={bench.image(bench.new)}"
    again = bench.nftui("plan", "--only", "images", *ALONE, "--set", wish, "--json").json
    assert not again["changes"], again["stages"]
    written = everything_written(bench.nftui.state)
    assert not [p for p in (*PASSWORDS, *bench.stack.secrets) if p.encode() in written]
    _goes_back_only_by_consent(bench, files, before)


def _goes_back_only_by_consent(bench: Bench, files: dict[str, tuple[str, int, int]], before: dict[str, str]) -> None:
    kept = LocalTrees().facts(str(bench.place("postgres_data"))).fingerprint
    bench.psql("INSERT INTO shop.parts VALUES (1000000, 'written later')")
    assert LocalTrees().facts(str(bench.place("postgres_data"))).fingerprint == kept
    refused = bench.nftui("rollback", "--yes", "--json")
    assert refused.code == 2 and "--force" in refused.out + refused.err
    back = bench.nftui("rollback", "--yes", "--force", "--json")
    assert back.code == 0 and back.json["outcome"] == "rolled-back", back.out + back.err
    assert tree(bench.stack.directory) == files
    assert bench.mounted() == "postgres_data" and bench.runs() == bench.image(bench.old)
    assert bench.holds() == before
    new = bench.place(f"postgres-{bench.new}")
    assert (new / FENCED).exists() and not (new / CONTROL).exists()


@pytest.mark.parametrize("bench", [OLDER], indirect=True)
def test_its_tuning_and_another_major_go_in_one_run(bench: Bench) -> None:
    """As the wizard has it, where every optimization is on: tuned as it is, then its data moves."""
    bench.fill()
    files, before = tree(bench.stack.directory), bench.holds()
    done = bench.apply("15", "--only", "postgres", "--set", "postgres.work_mem=5MB", *CONSENT)
    assert done.code == 0, done.out + done.err
    assert bench.runs() == bench.image("15") and bench.psql("SHOW work_mem") == "5MB" and bench.holds() == before
    back = bench.nftui("rollback", "--yes", "--force", "--json", timeout=600)
    assert back.code == 0, back.out + back.err
    assert bench.runs() == bench.image("13") and tree(bench.stack.directory) == files and bench.holds() == before
