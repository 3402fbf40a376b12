"""The same on a real engine: seeded orders of five runs of two optimizations end where the model says."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.e2e.command import Copy, copy_package, tree
from tests.e2e.test_drop_in import DROPPED
from tests.generations.reference import OPERATIONS, Levels, Reference
from tests.stack.fixtures import StackFactory
from tests.stack.running import Stack

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
WORK_MEM = {"1": "2MB", "2": "3MB", "3": "5MB", None: "4MB"}
"""What fits the memory of the stack; 6MB are refused."""
GRACE = {"1": 45, None: 1}


def orders(seed: int) -> list[str]:
    """Five operations that begin with something to take back."""
    chosen = random.Random(seed)  # noqa: S311
    return ["apply A", *chosen.choices(OPERATIONS, k=4)]


class Operator:
    """A is the database's tuning, B the worker's."""

    def __init__(self, nftui: Copy, stack: Stack) -> None:
        self.nftui, self.stack, self.reference = nftui, stack, Reference()
        self.seen: dict[Levels, object] = {self.reference.now: tree(stack.directory)}
        self.runs: list[str] = []

    def do(self, operation: str) -> None:
        """By the command line, then in the model."""
        untouched = self.untouched(operation)
        done = self.nftui(*self.arguments(operation), "--yes", "--json")
        assert done.code == 0, f"{operation}: {done.out}{done.err}"
        self.reference.do(operation)
        if done.json["outcome"] == "applied":
            self.runs.append(done.json["run"])
        self.runs = self.runs[: len(self.reference.generations) - 1]
        assert all(self.stack.container(name) == before for name, before in untouched.items())

    def untouched(self, operation: str) -> dict[str, str]:
        """Containers that the operation has nothing to do with."""
        other = {"A": "redis", "B": "postgres"}.get(operation[-1])
        return {other: self.stack.container(other)} if other else {}

    def arguments(self, operation: str) -> list[str]:
        """What an operator would type."""
        if operation == "roll back one":
            return ["rollback"]
        if operation.startswith("roll"):
            older = self.reference.older
            # Halfway back may be where it stands already: the only run that could be named is none of it.
            return ["rollback", self.runs[older]] if older < len(self.runs) else ["apply", "--repair"]
        name = {"A": "postgres", "B": "grace"}[operation[-1]]
        if operation.startswith("off"):
            return ["apply", "--settle", "0", "--only", name, "--off", name]
        level = str(int(self.reference.now[0] or "1") % 3 + 1) if operation == "change A" else "1"
        value = f"postgres.work_mem={WORK_MEM[level]}" if name == "postgres" else "grace@jobs.stop_grace_period=45s"
        return ["apply", "--settle", "0", "--only", name, "--set", value]

    def check(self, operation: str) -> None:
        """Bytes, live values, generation, no drift."""
        alpha, beta = self.reference.now
        files = tree(self.stack.directory)
        assert files == self.seen.setdefault(self.reference.now, files), operation
        assert self.stack.show("work_mem") == WORK_MEM[alpha], operation
        assert self.stack.inspect("jobs")["Config"].get("StopTimeout") == GRACE[beta], operation
        status = self.nftui("status", "--json")
        assert status.code == 0, status.out
        assert status.json["generation"] == len(self.reference.generations) - 1, operation
        assert "Recreate" not in self.stack.compose("up", "-d", "--dry-run").stderr


@pytest.mark.all
@pytest.mark.parametrize("seed", range(1, 7))
def test_five_runs_end_where_the_model_says(stack_factory: StackFactory, tmp_path: Path, seed: int) -> None:
    stack = stack_factory()
    nftui = Copy(stack.directory, tmp_path / "state", copy_package(tmp_path / "copy", DROPPED))
    operator = Operator(nftui, stack)
    for operation in orders(seed):
        operator.do(operation)
        operator.check(operation)
    while len(operator.reference.generations) > 1:
        operator.do("roll back one")
    operator.check(f"seed {seed}: everything taken back")
