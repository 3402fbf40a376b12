"""Shared memory and parallel hash joins: never a pair of work_mem and shm_size with which a query fails.

Measured: work_mem 16MB with Docker's 64 MB turns a working parallel join into "could not resize shared memory segment"
(measurements 1.3). shared_buffers does not live there.
"""

from __future__ import annotations

import math

from nftui.model.dataclass import dataclass
from nftui.model.units import MIB

_STEP = 16 * MIB
_USUAL = 256 * MIB
"""The least that is advised where the memory allows it (databases reference 1.3)."""


@dataclass(frozen=True, slots=True)
class Parallel:
    """What decides how much of /dev/shm parallel work may fill; bytes."""

    work_mem: int
    maintenance_work_mem: int
    hash_multiplier: float
    gather: int
    workers: int
    connections: int

    @property
    def concurrent(self) -> int:
        """Parallel queries with all their helpers that the worker pool can carry at once."""
        if self.gather < 1 or self.workers < 1:
            return 0
        return min(self.connections, math.ceil(self.workers / self.gather))

    @property
    def participants(self) -> int:
        """Processes of these queries, leaders included."""
        return self.concurrent * (min(self.gather, self.workers) + 1)

    @property
    def need(self) -> int:
        """Hash tables of all of them, and the dead tuples of one parallel vacuum."""
        return math.ceil(self.participants * self.work_mem * self.hash_multiplier) + self.maintenance_work_mem

    @property
    def one_query(self) -> int:
        """The hash tables of a single query: less than this and it fails even alone."""
        return (
            math.ceil((min(self.gather, self.workers) + 1) * self.work_mem * self.hash_multiplier) if self.gather else 0
        )

    def work_mem_within(self, shm: int) -> int:
        """The largest work_mem whose hash tables fit that /dev/shm; negative where none does."""
        if not self.participants:
            return self.work_mem
        return math.floor((shm - self.maintenance_work_mem) / (self.participants * self.hash_multiplier))


def wanted_shm(parallel: Parallel, limit: int | None) -> int:
    """What is advised: the need, at least the usual 256 MB or a quarter of the memory, in steps of 16 MB."""
    usual = _USUAL if limit is None else min(_USUAL, limit // 4)
    steps = math.ceil(max(parallel.need, usual // _STEP * _STEP) / _STEP)
    return max(64 * MIB, steps * _STEP)
