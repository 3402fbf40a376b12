"""What nftui adds to an apply beyond Compose's own `up --wait` on the same change, and what its journal costs.

Run, where an engine answers and is otherwise idle: python -m tests.benchmarks.apply [ROUNDS]
The settling time is nought on both sides. Syncs are counted by strace, where it is installed.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.benchmarks.timing import interleave, report, seconds
from tests.e2e.command import Nftui
from tests.stack.fixtures import copy_stack, tear_down
from tests.stack.running import Stack

VALUES = ("1MB", "2MB")
UP = ("docker", "compose", "up", "-d", "--wait", "--no-deps", "postgres")


class Change:
    """One setting of a running PostgreSQL, turned over again and again, by nftui and by hand."""

    def __init__(self, stack: Stack, nftui: Nftui) -> None:
        self.stack, self.nftui, self.turn = stack, nftui, 0
        self.override = stack.directory / "compose.nftui.yaml"

    def command(self) -> list[str]:
        """The next apply."""
        self.turn += 1
        value = f"postgres.work_mem={VALUES[self.turn % 2]}"
        return self.nftui.command("apply", "--only", "postgres", "--set", value, "--yes", "--json", "--settle", "0")

    def by_nftui(self) -> float:
        """Plan, prove, snapshot, apply, read back, commit."""
        return seconds(self.command(), str(self.stack.directory), self.nftui.environment())

    def by_hand(self) -> float:
        """The same bytes into the same file, and Compose; put back afterwards, outside of the time."""
        before = self.override.read_text()
        old, new = VALUES[self.turn % 2], VALUES[(self.turn + 1) % 2]
        self.override.write_text(before.replace(f"work_mem={old}", f"work_mem={new}"))
        assert self.override.read_text() != before
        found = seconds(UP, str(self.stack.directory), self.nftui.environment())
        self.override.write_text(before)
        seconds(UP, str(self.stack.directory), self.nftui.environment())
        return found


def main(rounds: int = 5) -> None:
    """Print every figure of this file."""
    with tempfile.TemporaryDirectory() as temporary:
        stack = copy_stack(Path(temporary), "15", {})
        try:
            stack.up()
            _measure(Change(stack, Nftui(stack.directory, Path(temporary) / "state")), rounds)
        finally:
            assert tear_down(stack) == []


def _measure(change: Change, rounds: int) -> None:
    change.by_nftui()
    found = interleave({"compose up --wait": change.by_hand, "nftui apply": change.by_nftui}, rounds)
    report("the same change", found, "compose up --wait", "<= 1.10x + 1 s")
    hand, ours = (statistics.median(found[name]) for name in ("compose up --wait", "nftui apply"))
    print(f"  added: {ours - hand:.2f} s; allowed: {0.1 * hand + 1:.2f} s")
    _steps(change)
    if shutil.which("strace"):
        _syncs(change)


def _steps(change: Change) -> None:
    """Where a run's own time goes."""
    done = change.nftui(*change.command()[4:])
    for step in done.json["steps"]:
        print(f"  step {step['id']:<40} {step['seconds']} s")


def _syncs(change: Change) -> None:
    """fsync by file, over the whole run with everything that it starts."""
    trace = change.override.parent.parent / "trace"
    command = ["strace", "-f", "-y", "-e", "trace=fsync,fdatasync", "-e", "signal=none", "-o", str(trace)]
    done = subprocess.run(
        [*command, *change.command()], cwd=change.stack.directory, env=change.nftui.environment(), check=True,
        capture_output=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    steps = len(json.loads(done.stdout)["steps"])
    names = Counter(Path(p).name for p in re.findall(r"f(?:data)?sync\(\d+<([^>]+)>", trace.read_text()))
    lines = names["journal.jsonl"]
    print(f"syncs: {sum(names.values())} in all; journal {lines} for {steps} steps, {lines / steps:.1f} a step")
    print("  " + ", ".join(f"{name} {count}" for name, count in names.most_common()))


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
