"""A PostgreSQL major by nftui against plain `pg_dump | psql`: bytes a second; downtime as predicted against measured.

One stack with tables of text and two indexes each goes to another major and back, in turns with the same database piped
into an empty server of that major with its stock settings. nftui's time includes what the pipe does not do: every row
counted and hashed on both sides, statistics, everything written out to the disk.

A pipe keeps about two processors busy whatever there is; nftui as many as there are, with half as much work again for
what it proves. So two processors give it no advantage.

Run: python -m tests.benchmarks.upgrade [MEGABYTES] [ROUNDS] [OLD] [NEW]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.stacks import patient
from tests.benchmarks.timing import interleave, report
from tests.e2e.command import Nftui
from tests.stack import images
from tests.stack.fixtures import copy_stack, tear_down
from tests.stack.running import Stack, docker

TABLES = 6
ROW_BYTES = 330
"""What a row takes with its share of both indexes, measured."""
MIB = 1024 * 1024
WISH = ("--only", "images", "--set", "images.api=stay", "--set", "images.jobs=stay", "--set")
STARTED = ("hold", "stop", "copy", "restore", "lift", "fence")


@dataclass
class Bench:
    """One stack; `predicted` and `measured` of each upgrade in seconds."""

    stack: Stack
    nftui: Nftui
    new: str
    predicted: list[float]
    measured: list[float]

    def psql(self, container: str, sql: str) -> str:
        """As the superuser, over the socket."""
        env = self.stack.environment
        return docker("exec", container, "psql", "-X", "-A", "-t", "-U", env["POSTGRES_USER"], "-d",
                      env["POSTGRES_DB"], "-c", sql, timeout=3600)  # fmt: skip

    def fill(self, megabytes: int) -> None:
        """Tables of equal size."""
        rows = megabytes * MIB // TABLES // ROW_BYTES
        for number in range(TABLES):
            self.psql(
                self.stack.container("postgres"),
                f"CREATE TABLE t{number} AS SELECT n AS id, (n * 7919 % 1000003)::int AS a, md5(n::text) || "  # noqa: S608
                f"repeat(md5((n * 3)::text), 5) AS note, now() AS at FROM generate_series(1::bigint, {rows}) n; "
                f"ALTER TABLE t{number} ADD PRIMARY KEY (id); CREATE INDEX ON t{number} (a)",
            )
        self.psql(self.stack.container("postgres"), "VACUUM ANALYZE")

    def bytes(self) -> int:
        """Of the database."""
        return int(self.psql(self.stack.container("postgres"), "SELECT pg_database_size(current_database())"))

    def by_nftui(self) -> float:
        """Seconds of dump, restore and proof; the downtime goes into the lists. Back to the old one in the end."""
        wish = (*WISH, f"images.postgres={images.reference(f'postgres:{self.new}')}")
        plan = self.nftui("plan", *wish, "--json", timeout=600).json
        stage = next(s for s in plan["stages"] if s["commit_point"])
        done = self.nftui("apply", *wish, "--yes", "--accept-irreversible", "--without-backup", "--settle", "1",
                          "--json", timeout=7200)  # fmt: skip
        assert done.code == 0, done.out + done.err
        steps = {s["id"].rpartition("/")[2]: float(s["seconds"]) for s in done.json["steps"]}
        down = sum(steps[name] for name in STARTED) + steps["recreate:postgres"]
        self.predicted.append(sum(float(s["downtime_seconds"]) for s in stage["steps"]))
        self.measured.append(down)
        back = self.nftui("rollback", "--yes", "--force", "--json", timeout=3600)
        assert back.code == 0, back.out + back.err
        docker("volume", "rm", f"{self.stack.project}_postgres-{self.new}")
        for artefact in self.nftui("artefacts", "list", "--json").json["artefacts"]:
            self.nftui("artefacts", "delete", artefact["name"], "--yes")
        return steps["copy"] + steps["restore"]

    def by_pipe(self) -> float:
        """Seconds of `pg_dump | psql` into an empty server of the new version."""
        env, name = self.stack.environment, f"{self.stack.project}-pipe"
        settings = [f"--env={key}={env[key]}" for key in ("POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB")]
        network = f"{self.stack.project}_default"
        image = images.reference(f"postgres:{self.new}")
        docker("run", "--detach", "--name", name, f"--network={network}", *settings, image)
        try:
            self._wait(name)
            old = self.stack.address("postgres")
            pipe = (
                f"PGPASSWORD=$POSTGRES_PASSWORD pg_dump -h {old} -U $POSTGRES_USER $POSTGRES_DB | "
                "psql -X -q -v ON_ERROR_STOP=1 -U $POSTGRES_USER -d $POSTGRES_DB >/dev/null"
            )
            began = time.monotonic()
            subprocess.run(["docker", "exec", name, "bash", "-o", "pipefail", "-c", pipe], check=True)
            return time.monotonic() - began
        finally:
            docker("rm", "--force", "--volumes", name)

    def _wait(self, name: str) -> None:
        while subprocess.run(
            ["docker", "exec", name, "pg_isready", "-q", "-h", "127.0.0.1"], check=False, capture_output=True
        ).returncode:
            time.sleep(0.3)


def main(megabytes: int, rounds: int, old: int, new: int) -> None:
    """Measure and print."""
    images.ensure(f"postgres:{old}", f"postgres:{new}", "redis:7", "app:latest")
    with tempfile.TemporaryDirectory() as base:
        stack = copy_stack(Path(base), str(old), {})
        compose = stack.directory / "compose.yaml"
        compose.write_text(patient(compose.read_text()))
        (stack.directory / "initdb" / "10-contacts.sql").write_text("SELECT 1;\n")
        try:
            stack.up()
            bench = Bench(stack, Nftui(stack.directory, Path(base) / "state"), str(new), [], [])
            bench.fill(megabytes)
            size = bench.bytes() / MIB
            found = interleave({"nftui": bench.by_nftui, "pg_dump | psql": bench.by_pipe}, rounds)
            rates = {name: [size / s for s in values] for name, values in found.items()}
            report(f"{size:.0f} MiB from {old} to {new}", rates, "pg_dump | psql", "1.5x or more", "MiB/s")
            for predicted, measured in zip(bench.predicted, bench.measured, strict=True):
                print(
                    f"  downtime predicted {predicted:7.1f} s, measured {measured:7.1f} s: {measured / predicted:.2f}x"
                )
        finally:
            tear_down(stack)
            for name in docker("images", "--format", "{{.Repository}}:{{.Tag}}").split():
                if name.startswith(f"nftui-kept/{stack.project}"):
                    docker("rmi", name)


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    main(*(numbers + [2048, 2, 13, 15][len(numbers) :]))
