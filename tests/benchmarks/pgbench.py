"""pgbench on one data directory under four configurations: defaults, pgtune's rules, the mission's values, nftui's.

At least 60 s after each restart, interleaved; counters beside times (WAL bytes, temp files, plans, errors), for on a
shared machine ratios within 0.8 to 1.25 are noise and counters are not. Its containers are its own and removed.

Run: python -m tests.benchmarks.pgbench [--rounds 2] [--seconds 20] [--warm 60] [--scale 50]
"""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import subprocess
import time
from collections.abc import Mapping

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
    "parallel hash join": "SELECT count(*) FROM facts a JOIN facts b ON a.id = b.id",
    "sort": "SELECT count(*) FROM (SELECT id, rank() OVER (ORDER BY pad) FROM facts WHERE id % 10 = 0) x",
    "group": "SELECT count(*) FROM (SELECT id % 100000, count(*) FROM facts GROUP BY 1) x",
    "1 % by index": "SELECT sum(length(pad)) FROM facts WHERE id BETWEEN 1000 AND 21000",
}


def nftui_settings() -> tuple[dict[str, str], str]:
    """What nftui itself advises for a service of that size: planned from a Compose file, not copied."""
    import sys
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

    def fill(self, scale: int) -> None:
        """pgbench's tables, and one of 1.5 million rows."""
        self.start({}, "64MB")
        self.run("pgbench", "-i", "-q", "-s", str(scale))
        self.sql(
            "CREATE TABLE facts AS SELECT i AS id, repeat(md5(i::text), 4) AS pad FROM generate_series(1, 1500000) i"
        )
        self.sql("CREATE INDEX ON facts (id)")
        self.sql("VACUUM ANALYZE")

    def start(self, settings: Mapping[str, str], shm: str) -> None:
        """A fresh container on the same data."""
        subprocess.run(["docker", "rm", "-f", self.name], capture_output=True, check=False)
        flags = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        subprocess.run(
            ["docker", "run", "-d", "--name", self.name, "--memory", MEMORY, "--memory-swap", MEMORY, "--cpus", "2",
             "--shm-size", shm.replace("MB", "m").replace("GB", "g"), "-e", "POSTGRES_PASSWORD=not-a-secret",
             "-v", f"{self.name}:/var/lib/postgresql/data", IMAGE, "postgres", *flags],
            check=True, capture_output=True,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while subprocess.run(self.command("psql", "-h", "127.0.0.1", "-c", "select 1"), capture_output=True).returncode:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.3)

    def command(self, *arguments: str) -> list[str]:
        """`docker exec` as the server's user."""
        env = ["-e", "PGUSER=postgres", "-e", "PGPASSWORD=not-a-secret", "-e", "PGDATABASE=postgres"]
        return ["docker", "exec", *env, self.name, *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run inside; output captured."""
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False)

    def sql(self, text: str) -> str:
        """First value of a query."""
        done = self.run("psql", "-h", "127.0.0.1", "-At", "-v", "ON_ERROR_STOP=1", "-c", text)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        return done.stdout.strip()

    def close(self) -> None:
        """Remove the container and its volume."""
        subprocess.run(["docker", "rm", "-f", self.name], capture_output=True, check=False)
        subprocess.run(["docker", "volume", "rm", self.name], capture_output=True, check=False)


def measure(server: Server, seconds: int, warm: int) -> dict[str, float | str]:
    """Warm up, then reads, then writes after a checkpoint, then the queries; times and counters."""
    server.run("pgbench", "-h", "127.0.0.1", "-S", "-c", "8", "-j", "2", "-T", str(warm))
    found: dict[str, float | str] = {"read tps": _tps(server, "-S", seconds)}
    server.sql("CHECKPOINT")
    before, xacts = server.sql("SELECT pg_current_wal_lsn()"), 8 * 1500
    server.run("pgbench", "-h", "127.0.0.1", "-c", "8", "-j", "2", "-t", str(xacts // 8))
    wal = float(server.sql(f"SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '{before}')"))
    found["WAL bytes per transaction"] = wal / xacts
    found["write tps"] = _tps(server, "-N", seconds)
    for name, query in QUERIES.items():
        found |= _query(server, name, query)
    return found


def _tps(server: Server, mode: str, seconds: int) -> float:
    done = server.run("pgbench", "-h", "127.0.0.1", mode, "-c", "8", "-j", "2", "-T", str(seconds))
    line = next(ln for ln in done.stdout.splitlines() if ln.startswith("tps"))
    return float(line.split("=")[1].split()[0])


def _query(server: Server, name: str, query: str) -> dict[str, float | str]:
    times = []
    try:
        for _ in range(3):
            plan = json.loads(server.sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}"))[0]
            times.append(float(plan["Execution Time"]))
    except RuntimeError as error:
        return {f"{name}, ms": f"FAILS: {error}"}
    return {f"{name}, ms": statistics.median(times), f"{name}, temp blocks": plan["Plan"].get("Temp Written Blocks", 0)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    for name, default in (("rounds", 2), ("seconds", 20), ("warm", 60), ("scale", 50)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    own, shm = nftui_settings()
    print(f"nftui advises: {own}, shm {shm}")
    sets = {"default": ({}, "64MB"), "pgtune": (PGTUNE, "64MB"), "mission": (MISSION, "64MB"), "nftui": (own, shm)}
    server = Server()
    found: dict[str, list[dict[str, float | str]]] = {name: [] for name in sets}
    try:
        server.fill(options.scale)
        for number in range(options.rounds):
            for name in list(sets) if number % 2 == 0 else list(sets)[::-1]:
                server.start(*sets[name])
                found[name].append(measure(server, options.seconds, options.warm))
    finally:
        server.close()
    _table(found)


def _table(found: Mapping[str, list[dict[str, float | str]]]) -> None:
    print(f"{'':<32}" + "".join(f"{name:>24}" for name in found))
    for row in found["default"][0]:
        cells = [_cell(found, name, row) for name in found]
        print(f"{row:<32}" + "".join(f"{cell:>24}" for cell in cells))


def _cell(found: Mapping[str, list[dict[str, float | str]]], name: str, row: str) -> str:
    values = [run.get(row, "-") for run in found[name]]
    failed = next((v for v in values if isinstance(v, str)), None)
    if failed:
        return failed[:22]
    middle = statistics.median(float(v) for v in values)
    base = statistics.median(float(run[row]) for run in found["default"] if not isinstance(run[row], str))
    return f"{middle:.1f} ({middle / base:.2f}x)" if base else f"{middle:.1f}"


if __name__ == "__main__":
    main()
