"""What a cluster on one machine is for: masters killed while it is written to, with WAIT 1 and without.

A stack of its own, made a cluster by nftui itself; what an apply cost is told beside what was predicted.

Run: python -m tests.benchmarks.redis_cluster [KILLS]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.e2e.command import Nftui
from tests.redis.clustered import clustered_stack
from tests.redis.failover import kill_masters


def main(kills: int = 10) -> None:
    """Set up, measure, remove."""
    with tempfile.TemporaryDirectory() as directory, clustered_stack(Path(directory)) as stack:
        stack.up()
        nftui = Nftui(stack.directory, Path(directory) / "state")
        done = nftui("apply", "--only", "redis", "--set", "redis.mode=cluster", "--yes", "--without-backup", "--json",
                     timeout=600)  # fmt: skip
        assert done.code == 0, done.err + done.out
        print("\n".join(done.json["notes"]))
        print(kill_masters(stack, kills))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
