"""The rules without the memory proof: one function per group, from a Server to wanted values (SHOW form or bytes).

Each carries why it was chosen and where it comes from (databases reference 1.2 and 1.3, pgtune, timescaledb-tune).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nftui.model.dataclass import dataclass
from nftui.model.host import Medium
from nftui.model.message import Message, msg
from nftui.model.units import GIB, KIB, MIB, format_size
from nftui.optimizations.postgres.gucs import IO_METHOD_SINCE, number, stock
from nftui.optimizations.postgres.knobs import REFERENCE

if TYPE_CHECKING:
    from nftui.optimizations.postgres.server import Server

PGTUNE = "pgtune 7caef27; databases reference 1.1"


@dataclass(frozen=True, slots=True)
class Rule:
    """A wanted value with its reason; `value` None where nothing can be said."""

    value: str | None
    why: Message
    source: str = REFERENCE


def wanted_buffers(memory: int, workload: str) -> int:
    """M/4, on a shared box M/16."""
    share = memory // 16 if workload == "desktop" else memory // 4
    return max(MIB, share // MIB * MIB)


def wanted_maintenance(memory: int, workload: str) -> int:
    """M/16 (dw M/8), at most 2GB: vacuum could not use more before 17, and three autovacuum workers take it too."""
    share = memory // 8 if workload == "dw" else memory // 16
    return max(MIB, min(2 * GIB, share) // MIB * MIB)


def wanted_work_mem(memory: int, buffers: int, connections: int, workers: int, workload: str) -> int:
    """pgtune's formula with its 4 MB floor; the proof may still lower it."""
    base = (memory - buffers) / ((connections + workers) * 3)
    divisor = {"dw": 2, "mixed": 2, "desktop": 6}.get(workload, 1)
    step = 64 * KIB
    return max(4 * MIB, int(base / divisor) // step * step)


def cache_size(memory: int, buffers: int, workload: str) -> int:
    """0.75 M (desktop M/4), never less than the buffers, never more than 0.75 M."""
    share = memory // 4 if workload == "desktop" else memory * 3 // 4
    return min(max(share, buffers), memory * 3 // 4) // MIB * MIB or MIB


def connections(server: Server) -> tuple[int, Message]:
    """The operator's count or the stock 100, raised where clients come near it; never lowered, and a raise of nftui's
    stays when fewer are seen.

    How many were seen changes from one look to the next; said, it would make two plans of one stack differ.
    """
    base, live = _present_count(server, "max_connections"), server.live
    peak = max((n for n in (live.connections_peak, live.connections_now) if n), default=0) if live else 0
    needed = math.ceil(peak * 1.2) + server.reserved_connections
    if not peak:
        return base, msg("It stays: how many the apps open in their busiest hour is not known.")
    if needed <= base:
        return base, msg("Enough for the connections seen; fewer could turn clients away.")
    if live is not None and live.has_standbys:
        return base, msg(
            "More were seen than it holds with a reserve, but a standby, or a receiver of WAL, follows it: a standby "
            "must be raised first."
        )
    return math.ceil(needed / 10) * 10, msg("The connections seen, with a fifth and what is reserved on top.")


def _present_count(server: Server, name: str) -> int:
    """The operator's or the stock count, or more where nftui wrote more before."""
    return max(int(server.own(name) or stock(name, server.major)), int(server.ours(name) or 0))


def processes(server: Server) -> dict[str, Rule]:
    """Parallel query and background processes, from the CPUs that the service may use."""
    n = server.cpus
    half = math.ceil(n / 2)
    gather = 0 if n == 1 else half if server.workload == "dw" else min(4, half)
    why = msg("CPUs for this service: {cpus}.", cpus=n)
    return {
        "max_worker_processes": Rule(str(_workers(server)), why, PGTUNE),
        "max_parallel_workers": Rule(str(min(1024, max(2, n))), why, PGTUNE),
        "max_parallel_workers_per_gather": Rule(str(gather), why, PGTUNE),
        "max_parallel_maintenance_workers": Rule(str(min(4, half)), why, PGTUNE),
    }


def _workers(server: Server) -> int:
    """Never below the stock 8; TimescaleDB's background workers come on top (timescaledb-tune)."""
    if server.live is not None and server.live.has_standbys:
        return _present_count(server, "max_worker_processes")
    extra = 19 if server.live is not None and "timescaledb" in server.live.preloaded else 0
    return max(8, server.cpus + extra)


_READ_COST = {
    Medium.NVME: ("1.1", "Data on NVMe: a random read costs hardly more than the next one."),
    Medium.SSD: ("1.1", "Data on SSD: a random read costs hardly more than the next one."),
    Medium.HDD: ("4", "Data on a spinning disk: random reads move the head."),
    Medium.VIRTUAL: (
        "1.1",
        "A virtual disk does not say what is below; those of servers today are flash, and only plans depend on it.",
    ),
}
_READ_AHEAD = {Medium.NVME: (256, 128), Medium.SSD: (200, 64), Medium.HDD: (2, 16)}
"""Medium to effective_io_concurrency before 18 and from 18 on (asynchronous reads honour it there)."""


def disk(server: Server) -> dict[str, Rule]:
    """Costs and read-ahead, from the medium below PGDATA."""
    unknown = msg("What the data lies on could not be told, so the server's own value stays.")
    cost = _READ_COST.get(server.medium)
    ahead = _READ_AHEAD.get(server.medium)
    depth = ahead[1 if server.major >= 18 else 0] if ahead else None
    why = unknown if server.medium is Medium.UNKNOWN else msg("The queue depth of a virtual disk is not known.")
    return {
        "random_page_cost": Rule(cost[0], msg(cost[1])) if cost else Rule(_left(server, "random_page_cost"), unknown),
        "effective_io_concurrency": Rule(str(depth), msg("Data on {medium}.", medium=server.medium))
        if depth is not None
        else Rule(_left(server, "effective_io_concurrency"), why),
    }


def _left(server: Server, name: str) -> str:
    """The value that stays where a rule has nothing to say."""
    return server.own(name) or stock(name, server.major)


_WAL = {
    "web": (4 * GIB, GIB), "oltp": (8 * GIB, 2 * GIB), "dw": (16 * GIB, 4 * GIB), "mixed": (4 * GIB, GIB),
    "desktop": (2 * GIB, 100 * MIB),
}  # fmt: skip
_WAL_STEP = 256 * MIB


def wal(server: Server) -> dict[str, Rule]:
    """WAL sizes within a tenth of the free disk; checkpoints spread; compression that the build has."""
    most, why = _most_wal(server)
    least = max(min(_WAL[server.workload][1], most // 4 // MIB * MIB), server.least_wal)
    return {
        "max_wal_size": Rule(format_size(most) if most else _left_wal(server, "max_wal_size"), why),
        "min_wal_size": Rule(format_size(least) if most else _left_wal(server, "min_wal_size"), why),
        "checkpoint_completion_target": Rule("0.9", msg("Spreads the writes; the default from 14 on.")),
        "wal_compression": _compression(server),
    }


def _most_wal(server: Server) -> tuple[int, Message]:
    """max_wal_size in bytes, 0 where what the server has shall stay."""
    most = _WAL[server.workload][0]
    if server.wal_free_bytes is None:
        return 0, msg("How much the disk below its WAL has free is not known, so it is not raised.")
    room = server.wal_free_bytes // 10
    if room < max(GIB, server.least_wal):
        return 0, msg("The disk below its WAL has too little room to keep more.")
    if room < most:
        return room // _WAL_STEP * _WAL_STEP, msg("A tenth of the free disk below its WAL.")
    return most, msg("Fewer forced checkpoints; recovery after a crash reads at most about that much.")


def _left_wal(server: Server, name: str) -> str:
    """The operator's value or the stock one, which initdb writes larger where a segment is."""
    left = server.own(name) or stock(name, server.major)
    return format_size(max(int(number(name, left) or 0), server.least_wal))


def _compression(server: Server) -> Rule:
    setting = server.setting("wal_compression")
    if server.major < 15:
        return Rule("on", msg("Less WAL for a little CPU."), "measurements 1.2")
    if setting is not None and "lz4" in setting.enumvals:
        return Rule("lz4", msg("Less WAL for very little CPU; this build has lz4."), "measurements 1.2")
    why = msg("Less WAL; whether this build has lz4 is not known, and the server would not start without it.")
    return Rule("pglz", why, "measurements 1.2")


def planner(server: Server) -> dict[str, Rule]:
    """Statistics, JIT, huge pages, and how version 18 reads."""
    dw = server.workload == "dw"
    jit_why = msg("Long queries gain from it.") if dw else msg("Short queries lose more to compiling than they gain.")
    jit = ("on" if dw else "off") if server.workload != "desktop" else _left(server, "jit")
    rules = {
        "default_statistics_target": Rule(
            "500" if dw else "100", msg("For {kind} queries.", kind=server.workload), PGTUNE
        ),
        "jit": Rule(jit, jit_why, PGTUNE),
        "huge_pages": Rule("try", msg("Taken where the host has them; 'on' would not start without.")),
    }
    if server.major >= IO_METHOD_SINCE:
        why = msg("Docker's seccomp profile forbids io_uring: the server would not start.")
        rules["io_method"] = Rule("worker", why)
    return rules
