"""Findings about values: stock settings, a worst case beyond the limit, a small /dev/shm, durability off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.engine.evidence import at
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import msg
from nftui.model.units import MIB, format_size, human_size
from nftui.optimizations.postgres.data import data_directory, deepest, major_version
from nftui.optimizations.postgres.findings.evidence import amount, finding, in_force, setting_evidence
from nftui.optimizations.postgres.gucs import stock
from nftui.optimizations.postgres.images import has_stock_command
from nftui.optimizations.postgres.shm import Parallel

if TYPE_CHECKING:
    from nftui.model.facts import Facts
    from nftui.optimizations.postgres.server import Server

_TELLING = ("shared_buffers", "effective_cache_size", "work_mem", "random_page_cost", "max_wal_size")
"""Where all of these are the image's, nobody tuned the server."""


def defaults(facts: Facts, server: Server) -> Finding | None:
    """postgres-defaults: only where the stock values are too small for what the service may use."""
    if server.memory is not None and server.memory <= 512 * MIB:
        return None
    if server.live is None and not _untouched_by_files(server):
        return None
    if any(in_force(server, name) != stock(name, server.major) for name in _TELLING):
        return None
    known = server.live is not None
    detail = msg(
        "shared_buffers is 128MB, and memory and planner settings are the image's, made for any small machine.{more}",
        more="" if known else " Nothing in the files sets them; the server was not asked.",
    )
    evidence = [setting_evidence(server, n) if known else Evidence(n, stock(n, server.major)) for n in _TELLING]
    image = at(server.service, "image", "image", server.service.image)
    return finding(
        server, "postgres-defaults", Level.MEDIUM, msg("The server runs the image's stock settings"), detail,
        "databases reference 1.2", image, *evidence,
    )  # fmt: skip


def _untouched_by_files(server: Server) -> bool:
    """Without live facts: a plain image, no flag of ours in the command, no configuration, no initdb settings."""
    service = server.service
    if not has_stock_command(service) or service.entrypoint or "config_file" in server.raw_flags:
        return False
    words = " ".join([*(service.command or ()), service.environment.get("POSTGRES_INITDB_ARGS") or ""])
    tunes = (
        any(name in server.flags for name in _TELLING)
        or " -D" in words
        or "--set" in words
        or "-c " in (service.environment.get("POSTGRES_INITDB_ARGS") or "")
    )
    configured = any(m.target.endswith((".conf", "/conf.d")) for m in service.mounts) or service.config.get("configs")
    return not tunes and not configured


def exceeds_limit(facts: Facts, server: Server) -> Finding | None:
    """postgres-settings-exceed-limit: by the mildest arithmetic, so that it is certain."""
    ceiling = server.memory or facts.host.memory_bytes
    if not ceiling or not _anyone_set_memory(server):
        return None
    buffers, work = amount(server, "shared_buffers"), amount(server, "work_mem")
    connections = amount(server, "max_connections")
    worst = int(buffers + connections * work)
    if worst <= ceiling:
        return None
    level = Level.HIGH if buffers > 0.75 * ceiling else Level.MEDIUM
    detail = msg(
        "shared_buffers and one work_mem for each of {count} connections come to {worst}; {kind} is {ceiling}. "
        "The server starts all the same and is killed under load.",
        count=int(connections), worst=human_size(worst), ceiling=human_size(ceiling),
        kind="its limit" if server.memory else "the host's memory",
    )  # fmt: skip
    evidence = [setting_evidence(server, n) for n in ("shared_buffers", "work_mem", "max_connections")]
    return finding(
        server, "postgres-settings-exceed-limit", level, msg("The worst case does not fit the memory it has"),
        detail, "databases reference 1.3", *evidence,
    )  # fmt: skip


def _anyone_set_memory(server: Server) -> bool:
    """A stock server in a small container is the stock server's business (postgres-defaults), not a mistake."""
    names = ("shared_buffers", "work_mem", "max_connections")
    return any(in_force(server, name) != stock(name, server.major) for name in names)


def shm_too_small(facts: Facts, server: Server) -> Finding | None:
    """postgres-shm-too-small: one parallel hash join alone outgrows /dev/shm."""
    if major_version(facts, server.service) is None:
        return None
    if not server.shm_managed or server.fact("dynamic_shared_memory_type", "posix") != "posix":
        return None
    shm = (server.service.running.shm_bytes if server.service.running else None) or server.shm_declared
    parallel = Parallel(
        int(amount(server, "work_mem")), 0, server.hash_multiplier,
        int(amount(server, "max_parallel_workers_per_gather")), int(amount(server, "max_parallel_workers")),
        int(amount(server, "max_connections")),
    )  # fmt: skip
    if parallel.workers < 1 or parallel.one_query <= shm:
        return None
    detail = msg(
        "One parallel hash join may need {need} of /dev/shm, which has {shm}: it fails with 'could not resize shared "
        "memory segment'.",
        need=human_size(parallel.one_query), shm=human_size(shm),
    )  # fmt: skip
    names = ("work_mem", "max_parallel_workers_per_gather")
    evidence = [setting_evidence(server, n) for n in names]
    size = at(server.service, "shm_size", "shm_size", format_size(shm))
    return finding(
        server, "postgres-shm-too-small", Level.MEDIUM, msg("Parallel queries can outgrow /dev/shm"), detail,
        "measurements 1.3", size, *evidence,
    )  # fmt: skip


_DURABILITY = ("fsync", "full_page_writes", "synchronous_commit")


def durability(facts: Facts, server: Server) -> Finding | None:
    """postgres-durability-off; silent where the data is in memory anyway."""
    directory = data_directory(facts, server.service)
    mount = deepest(server.service.mounts, directory) if directory else None
    if mount is not None and mount.type == "tmpfs":
        return None
    off = [name for name in _DURABILITY if server.fact(name, "on").lower() in ("off", "false", "no", "0")]
    if not off:
        return None
    harmful = [name for name in off if name != "synchronous_commit"]
    detail = (
        msg("{names} off: a power cut can destroy the database. nftui never changes it.", names=", ".join(harmful))
        if harmful
        else msg("synchronous_commit is off: the last moments of acknowledged commits are lost in a crash.")
    )
    return finding(
        server, "postgres-durability-off", Level.HIGH if harmful else Level.LOW, msg("Durability is switched off"),
        detail, "databases reference 1.6", *(setting_evidence(server, name) for name in off), repaired=False,
    )  # fmt: skip


CHECKS = (defaults, exceeds_limit, shm_too_small, durability)
