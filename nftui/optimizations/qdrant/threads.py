"""Threads and segments that Qdrant takes by itself for the CPUs of its container, and when a value is beyond them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.message import Message, msg

if TYPE_CHECKING:
    from nftui.optimizations.qdrant.server import Server

THREADS = ("search_threads", "optimizer_cpus", "indexing_threads", "segments")
_CPU_BOUND = ("optimizer_cpus", "indexing_threads")
"""What only computes: more of these than CPUs wait for each other."""
_COUNT = "QDRANT_NUM_CPUS"
"""What the server takes for the number of CPUs where it is given (lib/common/common/src/cpu.rs)."""


def why(server: Server, name: str, declared: str | None) -> Message:
    """The reason to leave it to Qdrant: num_cpus reads the quotas of both cgroup versions (1.7 to 1.19)."""
    cpus = server.cpus
    if cpus is None:
        return msg("Qdrant counts the CPUs that its container may use, a quota included, and takes as many as are "
                   "right.")  # fmt: skip
    if name in _CPU_BOUND and declared is not None and declared.isdigit() and int(declared) > cpus:
        return msg("{declared} is more than the {cpus} CPUs that its container may use: they would wait for each "
                   "other.", declared=declared, cpus=cpus)  # fmt: skip
    return msg("Qdrant counts the CPUs that its container may use, a quota included: of {cpus} it takes {taken} by "
               "itself.", cpus=cpus, taken=_taken(name, cpus, server.release))  # fmt: skip


def miscounted(server: Server) -> Message | None:
    """A count of CPUs that stands for that of the container, and is larger."""
    declared = server.declared(_COUNT)
    if declared is None or server.cpus is None or not declared[1].isdigit() or int(declared[1]) <= server.cpus:
        return None
    return msg("{name}={count} is what Qdrant takes for its CPUs, and its container may use {cpus}: everything that 0 "
               "leaves to Qdrant is too much.", name=_COUNT, count=declared[1], cpus=server.cpus)  # fmt: skip


def _taken(name: str, cpus: int, release: tuple[int, ...]) -> int:
    """lib/common/common/src/defaults.rs, and get_number_segments: half as many segments since 1.15, four times the
    threads for searches since 1.18.
    """
    if name == "segments":
        return min(8, max(2, cpus // 2 if release >= (1, 15) else cpus))
    if name == "indexing_threads":
        return min(8, cpus) if cpus <= 48 else 12 if cpus <= 64 else 16
    if name == "search_threads" and release >= (1, 18):
        return 4 * cpus
    return cpus if cpus <= 2 else cpus - (_spared(cpus) if name == "optimizer_cpus" else 1)


def _spared(cpus: int) -> int:
    """CPUs that optimizing leaves to searches."""
    steps = ((32, 1), (48, 2), (64, 3), (96, 4), (128, 6))
    return next((spared for most, spared in steps if cpus <= most), cpus // 16)
