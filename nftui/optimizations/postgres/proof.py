"""The memory proof: the worst case of a server fits its memory, or the advice says that it does not.

Docker kills the server where it grows past its limit, and shared_buffers above the limit does not even fail at start
(databases reference 1.3): only arithmetic protects, so this rule stands above every other.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from nftui.model.dataclass import dataclass
from nftui.model.units import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Collection

BUDGET = 0.9
"""Share of M that the worst case may take; the rest is page cache, WAL buffers and the postmaster."""

BUFFERS_MAX = 0.4
"""shared_buffers may take at most this share of M (databases reference 1.2)."""

BACKEND = 2 * MIB
"""Private memory of a backend beside its work_mem: measured 1.3 to 1.7 MB under load (measurements 2)."""

WORK_MEM_STEP = 64 * KIB
WORK_MEM_MIN = 64 * KIB
STEPS = ("work_mem to 4MB", "maintenance_work_mem", "work_mem to 1MB", "shared_buffers to M/8", "work_mem to 64kB")
"""The order in which values are lowered. max_connections never is: nobody can see the busiest hour from here."""


@dataclass(frozen=True, slots=True)
class Memory:
    """The values that take memory; bytes."""

    limit: int
    shared_buffers: int
    work_mem: int
    maintenance_work_mem: int
    max_connections: int
    parallel_workers: int
    hash_multiplier: float
    autovacuum_workers: int = 3
    autovacuum_work_mem: int | None = None
    """None: autovacuum takes maintenance_work_mem."""

    @property
    def processes(self) -> int:
        """Backends and parallel workers that may sort or hash at the same time."""
        return self.max_connections + self.parallel_workers

    @property
    def worst(self) -> int:
        """shared_buffers + every process with a full hash + every autovacuum worker + one maintenance command.

        Pages of /dev/shm are the hash tables of parallel queries: they are counted here, as work_mem of a process.
        """
        vacuum = self.maintenance_work_mem if self.autovacuum_work_mem is None else self.autovacuum_work_mem
        return (
            self.shared_buffers
            + math.ceil(self.processes * (self.work_mem * self.hash_multiplier + BACKEND))
            + self.autovacuum_workers * vacuum
            + self.maintenance_work_mem
        )

    @property
    def budget(self) -> int:
        """What the worst case may take."""
        return int(self.limit * BUDGET)

    @property
    def fits(self) -> bool:
        """The proof."""
        return self.worst <= self.budget

    @property
    def fits_without_hashes(self) -> bool:
        """The bound for a value that the operator chose: one work_mem for every process, not a full hash for each.

        Beyond it a choice is refused; between the two it is taken, and the advice says that the proof fails.
        """
        return replace(self, hash_multiplier=1.0).fits

    def weight(self, name: str) -> float:
        """How many bytes of the worst case one unit of that value costs."""
        if name == "work_mem":
            return self.processes * self.hash_multiplier
        if name == "maintenance_work_mem":
            return 1 + (self.autovacuum_workers if self.autovacuum_work_mem is None else 0)
        if name == "max_connections":
            return self.work_mem * self.hash_multiplier + BACKEND
        return 1.0

    def largest(self, name: str) -> int:
        """The largest value of `name` that fits beside the others; negative where none does."""
        without = replace(self, **{name: 0})
        return math.floor((self.budget - without.worst) / self.weight(name))


def _stages(limit: int) -> tuple[tuple[str, int], ...]:
    small = max(MIB, min(64 * MIB, limit // 32 // MIB * MIB))
    return (
        ("work_mem", 4 * MIB),
        ("maintenance_work_mem", small),
        ("work_mem", MIB),
        ("shared_buffers", max(MIB, limit // 8 // MIB * MIB)),
        ("maintenance_work_mem", max(MIB, small // 2 // MIB * MIB)),
        ("work_mem", WORK_MEM_MIN),
    )


def lower(memory: Memory, fixed: Collection[str]) -> Memory:
    """Lower what is not fixed, in the stated order and no further than needed; the result may still not fit."""
    for name, floor in _stages(memory.limit):
        if memory.fits:
            return memory
        present: int = getattr(memory, name)
        if name not in fixed and present > floor:
            best = round_down(name, min(present, memory.largest(name)))
            memory = replace(memory, **{name: max(best, floor)})
    if not memory.fits and "work_mem" not in fixed:
        # Starving every sort would not prove anything either: stop where the loss is still small.
        memory = replace(memory, work_mem=MIB)
    return memory


def smallest(memory: Memory, fixed: Collection[str]) -> Memory:
    """The least that the server can be asked to live with: what is not fixed stands at its floor."""
    floors = dict(_stages(memory.limit))
    return replace(memory, **{name: min(getattr(memory, name), f) for name, f in floors.items() if name not in fixed})


def round_down(name: str, number: int) -> int:
    """A round figure not above `number`, in the steps that people use; 0 or less stays below every floor."""
    step = WORK_MEM_STEP if name == "work_mem" and number < 16 * MIB else MIB
    return number // step * step
