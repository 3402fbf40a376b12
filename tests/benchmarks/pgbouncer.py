"""What the pooler is for: many clients, connections that are opened for each transaction, and the memory of backends.

A stack of its own (PostgreSQL at 2 GiB and 100 connections), pooled by nftui itself; pgbench from this machine, the
ways interleaved in one run, so that only ratios are told. Every login is by SCRAM on both ways, for which a client
derives a key by thousands of hashes. Elsewhere that is the client's own affair; here pgbench shares the cores with the
servers, and most of what is measured would be pgbench. So the role's key is made with one round before the ratios are
taken, and the first of them is told with the usual rounds too; beside each what the servers themselves took of a
processor for a transaction, which a busy machine does not change.

Run: python -m tests.benchmarks.pgbouncer [ROUNDS] [SECONDS]
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.stacks import patient
from tests.e2e.command import Nftui
from tests.stack import images
from tests.stack.fixtures import copy_stack, tear_down
from tests.stack.running import Stack

IMAGE = "pgbouncer:1.24"
MANY, FEW = 1000, 60
"""The few are what 100 connections have room for beside the pools and the apps."""
SAMPLE_S = 1.0
_ANONYMOUS = (
    "cat /proc/[0-9]*/status | awk '/^Name:/ {n=$2} /^RssAnon:/ && n ~ /postgres/ {s+=$2; c++} END {print s, c}'"
)
_CPU_V1, _CPU_V2 = "/sys/fs/cgroup/cpuacct/cpuacct.usage", "/sys/fs/cgroup/cpu.stat"


@dataclass(frozen=True)
class Result:
    """One run of pgbench; `tps` 0 where it gave up. Memory is what all backends hold for themselves, in bytes; `cost`
    the processor time of both servers for a transaction, in ms."""

    tps: float
    p95_ms: float | None
    refused: int
    memory: int
    cost: float = 0.0


class Bench:
    """One stack and the ways to its database."""

    def __init__(self, stack: Stack, seconds: int) -> None:
        self.stack, self.seconds = stack, seconds

    def run(self, service: str, port: int, clients: int, *options: str) -> Result:
        """Select-only; p95 from the log of every transaction."""
        env = {**os.environ, "PGPASSWORD": self.stack.environment["POSTGRES_PASSWORD"]}
        with tempfile.TemporaryDirectory() as logs, _Memory(self.stack) as memory:
            command = ["pgbench", "-n", "-S", "-M", "simple", "-j", "2", "-T", str(self.seconds), "-c", str(clients),
                       "-l", f"--log-prefix={logs}/log", "-h", self.stack.address(service), "-p", str(port),
                       "-U", self.stack.environment["POSTGRES_USER"], *options,
                       self.stack.environment["POSTGRES_DB"]]  # fmt: skip
            before = self.used()
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
            cost = self.used() - before
            times = sorted(int(line.split()[2]) for path in Path(logs).iterdir() for line in path.open())
        found = re.search(r"tps = ([\d.]+)", done.stdout)
        refused = len(re.findall(r"too many clients|remaining connection slots", done.stderr))
        tps = float(found[1]) if found else 0.0
        if not tps:
            print(f"{service}, {clients} clients gave up: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        return Result(tps, times[int(len(times) * 0.95)] / 1000 if times else None, refused, memory.most,
                      cost / len(times) if times else 0.0)  # fmt: skip

    def used(self) -> float:
        """Processor time that the containers of both servers have had, in ms."""
        script = f"cat {_CPU_V1} 2>/dev/null || awk '/^usage_usec/ {{print $2 * 1000}}' {_CPU_V2}"
        return sum(int(self.stack.exec(name, "sh", "-c", script)) / 1e6 for name in ("postgres", "pgbouncer"))

    def fill(self) -> None:
        """pgbench's tables."""
        env = {**os.environ, "PGPASSWORD": self.stack.environment["POSTGRES_PASSWORD"]}
        where = ["-h", self.stack.address("postgres"), "-U", self.stack.environment["POSTGRES_USER"]]
        subprocess.run(["pgbench", "-i", "-q", "-s", "5", *where, self.stack.environment["POSTGRES_DB"]], env=env,
                       check=True, capture_output=True)  # fmt: skip


class _Memory:
    """The most that the server's processes held at once, sampled while something runs."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.most, self._end = stack, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(SAMPLE_S):
            kilobytes = self.stack.exec("postgres", "sh", "-c", _ANONYMOUS, check=False).split()
            self.most = max(self.most, int(kilobytes[0]) * 1024 if kilobytes else 0)


def oom_kills(stack: Stack) -> bool:
    """Whether the engine saw the server killed for lack of memory."""
    state = stack.inspect("postgres")["State"]
    return bool(state["OOMKilled"]) or not state["Running"]


def peak(stack: Stack) -> int:
    """The most memory that the pooler's container held, in bytes."""
    files = "/sys/fs/cgroup/memory.peak /sys/fs/cgroup/memory/memory.max_usage_in_bytes"
    return int(stack.exec("pgbouncer", "sh", "-c", f"cat {files} 2>/dev/null || true").split()[0])


EACH = {
    f"direct, {FEW} clients, a connection each transaction": ("postgres", FEW, "-C"),
    f"pooled, {MANY} clients, a connection each transaction": ("pgbouncer", MANY, "-C"),
}
CONNECTED = {
    f"direct, {FEW} clients, connected": ("postgres", FEW),
    f"pooled, {MANY} clients, connected": ("pgbouncer", MANY),
    f"direct, {MANY} clients, connected": ("postgres", MANY),
}


def measure(bench: Bench, ways: Mapping[str, tuple[object, ...]], rounds: int) -> list[list[Result]]:
    """All ways, in turn; what each of them reached, and how many times as much the second does as the first."""
    kept = dict[str, list[Result]]()
    for _ in range(rounds):
        for name, (service, clients, *options) in ways.items():
            kept.setdefault(name, []).append(bench.run(str(service), 5432, int(str(clients)), *map(str, options)))
            time.sleep(1)
    for name, results in kept.items():
        tps, memory = (statistics.median(v) for v in ([r.tps for r in results], [r.memory for r in results]))
        p95 = statistics.median(r.p95_ms for r in results if r.p95_ms is not None) if results[0].p95_ms else None
        refused = max(r.refused for r in results)
        print(
            f"{name:52} {tps:8.0f} tps  p95 {p95 or 0:8.1f} ms  refused {refused}  backends {memory / 2**20:6.0f} MiB"
        )
    first, second, *_ = kept.values()
    ratios = [b.tps / a.tps for a, b in zip(first, second, strict=True) if a.tps] or [0.0]
    print(f"a connection each transaction, pooled/direct: {min(ratios):.1f} to {max(ratios):.1f} (aim: at least 8)")
    costs = [statistics.median(r.cost for r in way) for way in (first, second)]
    times = costs[0] / (costs[1] or 1)
    print(f"the servers took {costs[0]:.2f} ms direct and {costs[1]:.2f} ms pooled: {times:.1f} times")
    return list(kept.values())


def measure_all(stack: Stack, rounds: int, seconds: int, apply: Callable[[], None]) -> None:
    """With the role's own key, then with one of a single round."""
    bench = Bench(stack, seconds)
    bench.fill()
    print("-- keys of 4096 rounds, derived by pgbench for each connection")
    measure(bench, EACH, 1)
    env = stack.environment
    secret = env["POSTGRES_PASSWORD"]
    sql = f"SET scram_iterations = 1; ALTER ROLE {env['POSTGRES_USER']} PASSWORD '{secret}'"
    stack.exec("postgres", "psql", "-q", "-U", env["POSTGRES_USER"], "-d", env["POSTGRES_DB"], "-c", sql)
    apply()
    print("-- keys of one round")
    _, _, direct, pooled, _ = measure(bench, {**EACH, **CONNECTED}, rounds)
    each, held = statistics.median(r.memory for r in direct) / FEW, statistics.median(r.memory for r in pooled)
    print(f"backend memory for {MANY} clients, pooled/direct (by {FEW}): 1/{each * MANY / held:.0f} (aim: 1/20)")
    limit = stack.inspect("pgbouncer")["HostConfig"]["Memory"]
    print(f"the pooler held at most {peak(stack) / 2**20:.0f} MiB of its {limit / 2**20:.0f}")
    print(f"killed for lack of memory: {oom_kills(stack)}")


def main(rounds: int = 3, seconds: int = 7) -> None:
    """Set up, measure, remove."""
    images.ensure("postgres:17", "app:latest", "redis:7", IMAGE)
    with tempfile.TemporaryDirectory() as directory:
        stack = copy_stack(Path(directory), "17", {})
        path = stack.directory / "compose.yaml"
        text = path.read_text().replace("limits: { memory: 1G }", "limits: { memory: 2G }")
        path.write_text(patient(text))
        nftui = Nftui(stack.directory, Path(directory, "state"))

        def apply() -> None:
            done = nftui("apply", "--only", "pgbouncer", "--yes", "--settle", "1",
                         "--set", f"pgbouncer.image={images.reference(IMAGE)}",
                         "--set", "pgbouncer.max_client_conn=1200", "--set", "pgbouncer.route.api=pooled",
                         "--set", "pgbouncer.route.jobs=pooled", timeout=900)  # fmt: skip
            assert done.code == 0, done.err

        try:
            stack.up()
            apply()
            measure_all(stack, rounds, seconds, apply)
        finally:
            tear_down(stack)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
