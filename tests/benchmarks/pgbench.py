"""pgbench on one data directory under four configurations: defaults, pgtune's rules, the mission's values, nftui's.

Each set is measured only after `--warm` seconds of reads that follow its restart (60: shorter runs report losses of
25 to 45 % that are not there), the order turned round each round. Counters stand beside times (WAL bytes, temp bytes,
what the plans do, failures), for on a shared machine ratios within 0.8 to 1.25 are noise and counters are not. A query
that fails is counted, not left out. The aims: no query below 0.9x of the defaults' speed, none fails, WAL <= 0.5x.
Its container and volume are its own and removed. nftui's set is planned from a Compose file; that needs no engine.

The figures: python -m tests.benchmarks.pgbench --rounds 3 --seconds 60 --warm 60 --scale 100   (about 80 minutes)
Does it work: the same with --rounds 1 --seconds 3 --warm 3 --scale 2 --rows 50000 --transactions 800   (a minute)
"""

from __future__ import annotations

import argparse
import json
import secrets
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

IMAGE = "nftui-test/postgres:15"
PLANNED_IMAGE = "postgres:15"
"""The official image that IMAGE stands in for: nftui knows that one's command and data directory."""
MEMORY = "2g"
# pgtune, "web", Linux, 2 GB, 2 CPUs, SSD, 100 connections, PostgreSQL 15.
PGTUNE = {
    "shared_buffers": "512MB", "effective_cache_size": "1536MB", "maintenance_work_mem": "128MB", "wal_buffers": "16MB",
    "checkpoint_completion_target": "0.9", "random_page_cost": "1.1", "effective_io_concurrency": "200",
    "work_mem": "4854kB", "min_wal_size": "1GB", "max_wal_size": "4GB", "huge_pages": "off", "jit": "off",
    "wal_compression": "lz4",
}  # fmt: skip
MISSION = {
    "shared_buffers": "2GB", "effective_cache_size": "8GB", "work_mem": "16MB", "maintenance_work_mem": "512MB",
    "checkpoint_completion_target": "0.9", "wal_buffers": "16MB", "random_page_cost": "1.1",
}  # fmt: skip
QUERIES = {
    "sort 160k": "SELECT count(*) FROM (SELECT rank() OVER (ORDER BY pad, id) FROM facts WHERE id % 12 = 0) x",
    "group 150k": "SELECT count(*) FROM (SELECT k % 150000 AS g, sum(id) FROM facts GROUP BY 1) x",
    "join 1 %": "SELECT count(d.name) FROM facts f JOIN dim d ON d.id = f.d WHERE f.k BETWEEN 1000 AND 20999",
    "20k scattered rows": "SELECT sum(length(pad)) FROM facts WHERE k BETWEEN 100000 AND 119999",
    "window over 10 %": "SELECT max(s) FROM (SELECT sum(id) OVER (PARTITION BY d ORDER BY k) AS s FROM facts "
    "WHERE id % 10 = 0) x",
    "parallel hash join": "SELECT count(*) FROM facts a JOIN facts b ON a.id = b.k",
    "sort to disk": "SELECT count(*) FROM (SELECT pad, count(*) FROM facts GROUP BY pad ORDER BY pad DESC) x",
}
"""The kinds that were found to tell sets apart; rows lie scattered, so that buffers matter."""
FILL = (
    "CREATE TABLE dim AS SELECT i AS id, md5(i::text) AS name FROM generate_series(0, 999) i",
    "CREATE TABLE facts AS SELECT i AS id, (i * 7368787::bigint % {rows})::int AS k, i % 1000 AS d, "
    "repeat(md5(i::text), 4) AS pad FROM generate_series(1, {rows}) i",
    "CREATE INDEX ON facts (k)", "CREATE INDEX ON facts (id)", "CREATE UNIQUE INDEX ON dim (id)", "VACUUM ANALYZE",
)  # fmt: skip
PATIENCE_S = 600
"""No single query or command of a set takes that long on a server that works: longer counts as a failure."""


def nftui_settings() -> tuple[dict[str, str], str]:
    """What nftui itself advises for a service of that size: planned from a Compose file, not copied."""
    import tempfile
    from pathlib import Path

    text = f"""services:
  postgres:
    image: {PLANNED_IMAGE}
    environment: {{POSTGRES_PASSWORD: not-a-secret}}
    volumes: ["data:/var/lib/postgresql/data"]
    deploy: {{resources: {{limits: {{memory: 2G, cpus: "2.0"}}}}}}
volumes: {{data: {{}}}}
"""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "compose.yaml").write_text(text)
        command = [sys.executable, "-m", "nftui", "plan", directory, "--only", "postgres", "--json"]
        plan = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    knobs = {k["name"]: k["value"] for o in plan["optimizations"] for k in o["knobs"]}
    shm = knobs.get("shm_size", "64MB")
    left_out = {"workload", "shm_size", "stop_grace_period"}
    settings = {k: v for k, v in knobs.items() if v is not None and k not in left_out and not k.startswith("tune_")}
    assert settings, f"nftui advises nothing: {plan['warnings']}"
    return settings, shm


class Server:
    """One container on one volume, restarted with other settings."""

    def __init__(self) -> None:
        self.name = f"nftui-bench-{secrets.token_hex(3)}"

    def fill(self, scale: int, rows: int) -> None:
        """pgbench's tables, and a large one with a small one beside it."""
        self.start({}, "256MB")  # a parallel VACUUM alone asks for 64 MB
        done = self.run("pgbench", "-i", "-q", "-s", str(scale))
        assert done.returncode == 0, done.stderr
        for statement in FILL:
            self.sql(statement.format(rows=rows))
        self.stop()

    def stop(self) -> None:
        """As nftui stops it: a clean shutdown, so that no set begins with the recovery that another one left."""
        subprocess.run(["docker", "stop", "-t", "120", self.name], capture_output=True, check=False)
        subprocess.run(["docker", "rm", "-fv", self.name], capture_output=True, check=False)

    def start(self, settings: Mapping[str, str], shm: str) -> None:
        """A fresh container on the same data. Raises RuntimeError where it does not come up."""
        flags = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        subprocess.run(
            ["docker", "run", "-d", "--name", self.name, "--memory", MEMORY, "--memory-swap", MEMORY, "--cpus", "2",
             "--shm-size", shm.replace("MB", "m").replace("GB", "g"), "-e", "POSTGRES_PASSWORD=not-a-secret",
             "-v", f"{self.name}:/var/lib/postgresql/data", IMAGE, "postgres", *flags],
            check=True, capture_output=True,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while subprocess.run(self.command("psql", "-h", "127.0.0.1", "-c", "select 1"), capture_output=True).returncode:
            if time.monotonic() > deadline:
                raise RuntimeError("the server did not start")
            time.sleep(0.3)

    def command(self, *arguments: str) -> list[str]:
        """`docker exec` as the server's user."""
        env = ["-e", "PGUSER=postgres", "-e", "PGPASSWORD=not-a-secret", "-e", "PGDATABASE=postgres"]
        return ["docker", "exec", *env, self.name, *arguments]

    def run(self, *arguments: str, seconds: int = 0) -> subprocess.CompletedProcess[str]:
        """Run inside; output captured. What takes PATIENCE_S longer than `seconds` has failed, with code 124."""
        command, limit = self.command(*arguments), seconds + PATIENCE_S
        try:
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 124, "", f"no end within {limit} s")

    def sql(self, text: str) -> str:
        """First value of a query."""
        done = self.run("psql", "-h", "127.0.0.1", "-At", "-v", "ON_ERROR_STOP=1", "-c", text)
        if done.returncode:
            raise RuntimeError(_last(done.stderr))
        return done.stdout.strip()

    def close(self) -> None:
        """Remove the container and its volume."""
        subprocess.run(["docker", "rm", "-fv", self.name], capture_output=True, check=False)
        subprocess.run(["docker", "volume", "rm", self.name], capture_output=True, check=False)


def measure(server: Server, seconds: int, warm: int, transactions: int) -> dict[str, float | str]:
    """Warm up, then reads, then writes after a checkpoint, then the queries; times and counters."""
    server.run("pgbench", "-h", "127.0.0.1", "-S", "-c", "8", "-j", "2", "-T", str(warm), seconds=warm)
    found: dict[str, float | str] = {"read tps": _tps(server, seconds, "-S")}
    found |= _wal(server, transactions)
    found["write tps"] = _tps(server, seconds)
    for name, query in QUERIES.items():
        found |= _query(server, name, query)
    return found


def _wal(server: Server, transactions: int) -> dict[str, float | str]:
    """A fixed number of tpcb transactions right after a checkpoint, where whole pages are written: a counter."""
    name = "WAL bytes per transaction"
    try:
        server.sql("CHECKPOINT")
        before = server.sql("SELECT pg_current_wal_lsn()")
        clients = ("-c", "8", "-j", "2", "-t", str(transactions // 8))
        done = server.run("pgbench", "-h", "127.0.0.1", *clients)
        if done.returncode:
            return {name: f"FAILS: {_last(done.stderr)}"}
        return {name: float(server.sql(f"SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '{before}')")) / transactions}
    except RuntimeError as error:
        return {name: f"FAILS: {error}"}


def _tps(server: Server, seconds: int, *options: str) -> float | str:
    load = ("-c", "8", "-j", "2", "-T", str(seconds))
    done = server.run("pgbench", "-h", "127.0.0.1", *load, *options, seconds=seconds)
    line = next((ln for ln in done.stdout.splitlines() if ln.startswith("tps")), None)
    if done.returncode or line is None:
        return f"FAILS: {_last(done.stderr)}"
    return float(line.split("=")[1].split()[0])


def _query(server: Server, name: str, query: str) -> dict[str, float | str]:
    """Median of three after one to warm up, temp blocks, and what tells plans apart."""
    try:
        plans = [json.loads(server.sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}"))[0] for _ in range(4)]
    except RuntimeError as error:
        return {f"{name}, ms": f"FAILS: {error}"}
    plan = plans[-1]["Plan"]
    return {
        f"{name}, ms": statistics.median(float(p["Execution Time"]) for p in plans[1:]),
        f"{name}, temp blocks": float(plan.get("Temp Written Blocks", 0)),
        f"{name}, plan nodes": float(len(_nodes(plan))),
        f"{name}, parallel nodes": float(sum("Gather" in n or "Parallel" in n for n in _nodes(plan))),
    }


def _nodes(plan: Mapping[str, Any]) -> list[str]:
    kind = ("Parallel " if plan.get("Parallel Aware") else "") + str(plan["Node Type"])
    return [kind, *(node for child in plan.get("Plans", ()) for node in _nodes(child))]


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    for name, default in (("rounds", 3), ("seconds", 60), ("warm", 60), ("scale", 100), ("rows", 2_000_000),
                          ("transactions", 12_000)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    own, shm = nftui_settings()
    print(f"nftui advises: {own}, shm {shm}")
    sets = {"default": ({}, "64MB"), "pgtune": (PGTUNE, "64MB"), "mission": (MISSION, "64MB"), "nftui": (own, shm)}
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(130))  # ended from outside, it cleans up too
    server = Server()
    found: dict[str, list[dict[str, float | str]]] = {name: [] for name in sets}
    try:
        server.fill(options.scale, options.rows)
        for number in range(options.rounds):
            for name in list(sets) if number % 2 == 0 else list(sets)[::-1]:
                print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr, flush=True)
                found[name].append(_one(server, sets[name], options))
    finally:
        server.close()
    _table(found)


def _one(server: Server, chosen: tuple[dict[str, str], str], options: argparse.Namespace) -> dict[str, float | str]:
    try:
        server.start(*chosen)
        return measure(server, options.seconds, options.warm, options.transactions)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        return {"server": f"FAILS: {error}"}
    finally:
        server.stop()


def _table(found: Mapping[str, list[dict[str, float | str]]]) -> None:
    rows = dict.fromkeys(row for runs in found.values() for run in runs for row in run)
    print(f"{'':<36}" + "".join(f"{name:>24}" for name in found))
    for row in rows:
        print(f"{row:<36}" + "".join(f"{_cell(found, name, row):>24}" for name in found))
    print(f"{'failures':<36}" + "".join(f"{_failures(runs):>24}" for runs in found.values()))


def _failures(runs: list[dict[str, float | str]]) -> int:
    return sum(isinstance(value, str) for run in runs for value in run.values())


def _cell(found: Mapping[str, list[dict[str, float | str]]], name: str, row: str) -> str:
    """The median, and its ratio to the defaults' where both have one; else how many runs failed, and why."""
    values = [run[row] for run in found[name] if row in run]
    failed = [v for v in values if isinstance(v, str)]
    if failed or not values:
        return f"{len(failed)}x {failed[0]}"[:22] if failed else "-"
    middle = statistics.median(float(v) for v in values)
    known = [float(v) for run in found["default"] if not isinstance(v := run.get(row, ""), str)]
    base = statistics.median(known) if known else 0.0
    return f"{middle:.1f} ({middle / base:.2f}x)" if base else f"{middle:.1f}"


if __name__ == "__main__":
    main()
