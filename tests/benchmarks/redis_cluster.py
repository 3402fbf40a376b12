"""What a cluster on one machine is for, and what it costs: masters killed, and writes against a single server.

A stack of its own, made a cluster by nftui itself; `redis-benchmark` inside of the containers, the two interleaved in
one run, so that only ratios are told. On few cores a cluster is no faster (measurements 3).

Run: python -m tests.benchmarks.redis_cluster [KILLS] [ROUNDS]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from tests.e2e.command import Nftui
from tests.redis.clustered import NODES, clustered_stack
from tests.redis.failover import kill_masters
from tests.stack.running import Stack

REQUESTS = 20_000


def rate(stack: Stack, service: str, *options: str) -> float:
    """SETs a second that `redis-benchmark` reaches."""
    command = ["redis-benchmark", "-t", "set", "-n", str(REQUESTS), "-c", "50", "-d", "64", "--csv",
               "-h", service, "-a", stack.environment["REDIS_PASSWORD"], *options]  # fmt: skip
    lines = [line for line in stack.exec(service, *command).splitlines() if line.startswith('"SET"')]
    return float(lines[-1].split(",")[1].strip('"'))


def measure(stack: Stack, kills: int, rounds: int) -> None:
    """Both, and their ratio."""
    with stack.redis() as client:
        client.config_set("min-replicas-to-write", 0)
    pairs = [(rate(stack, "redis"), rate(stack, NODES[0], "--cluster")) for _ in range(rounds)]
    with stack.redis() as client:
        client.delete("key:__rand_int__")
        client.config_set("min-replicas-to-write", 1000)
    ratios = sorted(cluster / single for single, cluster in pairs)
    print(f"SET, 50 clients: single {statistics.median(s for s, _ in pairs):.0f}/s, cluster/single {ratios}")
    print(kill_masters(stack, kills))


def main(kills: int = 10, rounds: int = 3) -> None:
    """Set up, measure, remove."""
    with tempfile.TemporaryDirectory() as directory, clustered_stack(Path(directory)) as stack:
        stack.up()
        nftui = Nftui(stack.directory, Path(directory) / "state")
        done = nftui("apply", "--only", "redis", "--set", "redis.mode=cluster", "--yes", "--without-backup", "--json",
                     timeout=600)  # fmt: skip
        assert done.code == 0, done.err + done.out
        print("\n".join(done.json["notes"]))
        measure(stack, kills, rounds)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
