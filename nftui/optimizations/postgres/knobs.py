"""The knobs of the PostgreSQL optimization: names, units and bounds are PostgreSQL's own."""

from __future__ import annotations

from nftui.model.knobs import Kind, Knob
from nftui.model.message import msg
from nftui.model.units import KIB, MIB

ID = "postgres"
REFERENCE = "databases reference 1.2"
MEASURED = "measurements 1.3"
WORKLOADS = ("web", "oltp", "dw", "mixed", "desktop")
_INT = 2147483647
_BLOCK = 8 * KIB


def _size(name: str, why: str, low: int, high: int, *, ratio: bool = False, source: str = REFERENCE) -> Knob:
    return Knob(
        name, Kind.SIZE, msg(name), msg(why), source, unit="bytes", minimum=low, maximum=high, ratio=ratio
    )  # fmt: skip


def _count(name: str, why: str, unit: str, high: int, low: int = 0, source: str = REFERENCE, main: bool = True) -> Knob:
    return Knob(
        name, Kind.INTEGER, msg(name), msg(why), source, unit=unit, minimum=low, maximum=high, main=main
    )  # fmt: skip


def _real(name: str, why: str, unit: str, high: float) -> Knob:
    return Knob(name, Kind.REAL, msg(name), msg(why), REFERENCE, unit=unit, minimum=0.0, maximum=high)


def _enum(name: str, why: str, words: tuple[str, ...], source: str = REFERENCE, main: bool = True) -> Knob:
    return Knob(name, Kind.ENUM, msg(name), msg(why), source, unit="choice", choices=words, main=main)


def _part(name: str, label: str, why: str) -> Knob:
    return Knob(
        f"tune_{name}", Kind.BOOLEAN, msg(label), msg(why), "design: each part can be switched off",
        unit="switch", per_service=False, main=False,
    )  # fmt: skip


MEMORY = _part("memory", "Memory", "Buffers, work memory, cache size and connections are chosen by nftui.")
WAL = _part("wal", "WAL and checkpoints", "WAL sizes, compression and checkpoints are chosen by nftui.")
PLANNER = _part("planner", "Planner and parallel query", "Costs, parallel workers and JIT are chosen by nftui.")
RUNTIME = _part(
    "runtime", "Shared memory and stopping", "The container's /dev/shm and stop timeout are chosen by nftui."
)

PARTS: dict[str, tuple[str, ...]] = {
    "tune_memory": (
        "shared_buffers", "effective_cache_size", "work_mem", "maintenance_work_mem", "max_connections", "huge_pages",
    ),
    "tune_wal": ("max_wal_size", "min_wal_size", "checkpoint_completion_target", "wal_buffers", "wal_compression"),
    "tune_planner": (
        "random_page_cost", "effective_io_concurrency", "default_statistics_target", "jit", "max_worker_processes",
        "max_parallel_workers", "max_parallel_workers_per_gather", "max_parallel_maintenance_workers", "io_method",
    ),
    "tune_runtime": ("shm_size", "stop_grace_period"),
}  # fmt: skip
"""Part switch to the knobs that it covers; together the parts are the optimization's one day."""

PART_DAYS = {"tune_memory": 0.35, "tune_wal": 0.2, "tune_planner": 0.25, "tune_runtime": 0.2}

CONTAINER_KNOBS = ("shm_size", "stop_grace_period")
"""Keys of the Compose service, not settings of the server."""

KNOBS: tuple[Knob, ...] = (
    _enum("workload", "What the database mostly does; the other values follow from it.", WORKLOADS),
    _size(
        "shared_buffers",
        "Pages the server caches itself: a quarter of its memory.",
        16 * _BLOCK,
        1073741823 * _BLOCK,
        ratio=True,
    ),
    _size(
        "effective_cache_size",
        "What the planner may expect to find cached; it allocates nothing.",
        _BLOCK,
        _INT * _BLOCK,
        ratio=True,
    ),
    _size("work_mem", "Memory of one sort or hash, in each connection at once.", 64 * KIB, _INT * KIB, ratio=True),
    _size("maintenance_work_mem", "Memory of VACUUM and of building an index.", MIB, _INT * KIB, ratio=True),
    _count("max_connections", "Connections the server accepts; each one costs memory.", "connections", 262143, 1),
    _enum(
        "huge_pages",
        "'try' takes huge pages where the host has them; 'on' would not start without.",
        ("try", "on", "off"),
        main=False,
    ),
    _size(
        "max_wal_size", "WAL between two checkpoints; too little forces checkpoints under load.", 2 * MIB, _INT * MIB
    ),
    _size("min_wal_size", "WAL that is kept for reuse instead of being removed.", 2 * MIB, _INT * MIB),
    _real(
        "checkpoint_completion_target",
        "Share of the interval over which a checkpoint spreads its writes.",
        "fraction",
        1.0,
    ),
    _size(
        "wal_buffers",
        "WAL not yet written; automatic is 1/32 of shared_buffers, at most one segment.",
        4 * _BLOCK,
        262143 * _BLOCK,
    ),
    _enum(
        "wal_compression",
        "Compresses full-page images: measured 5.8 times less WAL in pgbench, an upper bound.",
        ("off", "on", "pglz", "lz4", "zstd"),
        source="measurements 1.2",
    ),
    _real("random_page_cost", "What a random read costs beside a sequential one (1).", "cost", 1.79769e308),
    _count("effective_io_concurrency", "Reads the server asks for ahead.", "requests", 1000),
    _count("default_statistics_target", "Detail of the statistics that ANALYZE gathers.", "target", 10000, 1),
    _enum("jit", "Compiling queries pays only where they run for seconds.", ("on", "off")),
    _count("max_worker_processes", "Background processes in all, extensions included.", "processes", 262143),
    _count("max_parallel_workers", "Processes that parallel queries may use together.", "processes", 1024),
    _count("max_parallel_workers_per_gather", "Helpers of one parallel query.", "processes", 1024),
    _count("max_parallel_maintenance_workers", "Helpers of one index build.", "processes", 1024),
    _enum(
        "io_method",
        "How version 18 reads ahead; Docker's seccomp profile forbids io_uring.",
        ("worker", "sync", "io_uring"),
        main=False,
    ),
    _size(
        "shm_size",
        "The container's shared memory: parallel hash joins live there, and fail where it is full.",
        64 * MIB,
        _INT * KIB,
        source=MEASURED,
    ),
    Knob(
        "stop_grace_period",
        Kind.SECONDS,
        msg("stop_grace_period"),
        msg("Time for the shutdown checkpoint before Docker kills the server."),
        "databases reference 1.6",
        unit="seconds",
        minimum=1,
        maximum=86400,
    ),
    MEMORY,
    WAL,
    PLANNER,
    RUNTIME,
)

BY_NAME = {knob.name: knob for knob in KNOBS}
