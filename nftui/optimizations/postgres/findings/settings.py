"""Findings about values: stock settings, a worst case beyond the limit, a small /dev/shm, durability off."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nftui.catalog.mounted import mounted
from nftui.engine.evidence import at, at_option
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import msg
from nftui.model.patterns import regex
from nftui.model.units import MIB, format_size, human_size
from nftui.optimizations.postgres.command import shows_flags
from nftui.optimizations.postgres.data import data_directory, in_memory, major_version
from nftui.optimizations.postgres.findings.configured import configuration, file_settings, scripts
from nftui.optimizations.postgres.findings.evidence import amount, fact, finding, in_force, setting_evidence
from nftui.optimizations.postgres.findings.inert import targets, unread
from nftui.optimizations.postgres.gucs import stock
from nftui.optimizations.postgres.images import (
    has_own_entrypoint,
    has_stock_command,
    is_bitnami,
    repository,
    shipped_settings,
    tunes_itself,
)
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
    if server.live is None and not (_untouched_by_files(facts, server) and _untouched_by_scripts(facts, server)):
        return None
    if any(in_force(server, name) != stock(name, server.major) for name in _TELLING):
        return None
    known = server.live is not None
    detail = msg(
        "shared_buffers is 128MB, and memory and planner settings are the image's, made for any small machine.{more}",
        more="" if known else " Nothing in the files sets other values; the server was not asked.",
    )
    own = _shipped(server) or {}
    evidence = [setting_evidence(server, n) if known or n in server.flags
                else Evidence(n, own.get(n) or stock(n, server.major)) for n in _TELLING]  # fmt: skip
    image = at(server.service, "image", "image", server.service.image)
    return finding(
        server, "postgres-defaults", Level.MEDIUM, msg("The server runs the image's stock settings"), detail,
        "databases reference 1.2", image, *evidence,
    )  # fmt: skip


def _shipped(server: Server) -> dict[str, str] | None:
    return shipped_settings(server.service, server.raw_flags.get("config_file"))


def _untouched_by_files(facts: Facts, server: Server) -> bool:
    """Without live facts: a plain image, a command and a configuration that can be read, no tuning by the image."""
    service = server.service
    shipped = _shipped(server) is not None
    plain = shipped or has_stock_command(service) or (is_bitnami(service) and not service.command)
    if not plain or has_own_entrypoint(service) or tunes_itself(service) or not shows_flags(service):
        return False
    if not shipped and file_settings(facts, service, server.raw_flags, server.major) is None:
        return False
    flagged = is_bitnami(service) and service.environment.get("POSTGRESQL_EXTRA_FLAGS")
    if " -D" in " ".join(service.command or ()) or flagged:
        return False
    read = configuration(facts, service, server.raw_flags)
    seen = {target for target, _ in unread(facts, server)} | (read.targets if read else set())
    others = [target.rstrip("/") for target, _ in targets(service) if target not in seen]
    return not any(t.endswith(_CONFIGURATION) and not t.endswith(_ACCESS) for t in others)


def _untouched_by_scripts(facts: Facts, server: Server) -> bool:
    """Without live facts: no init script writes a configuration, and nobody asks the running server to change."""
    stack = facts.stack
    if any(_WRITES.search(f.text or "") for f in scripts(facts, server.service)):
        return False
    if _ASKS.search(str(server.service.config.get("post_start") or "")):
        return False
    others = [s for s in stack.services if s.name != server.name and (s.command or s.entrypoint)]
    words = [(s, [*(s.entrypoint or ()), *(s.command or ())]) for s in others]
    if any(_ASKS.search(" ".join(given)) for _, given in words):
        return False
    run = (mounted(stack, s, word) for s, given in words for word in given if word.startswith("/"))
    return not any(_ASKS.search(f.text or "") for f in run if f is not None)


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
    """postgres-shm-too-small: one parallel hash join alone outgrows /dev/shm, or one build of a pgvector index."""
    if not server.shm_managed or fact(server, "dynamic_shared_memory_type", "posix") != "posix":
        return None
    shm = (server.service.running.shm_bytes if server.service.running else None) or server.shm_declared
    # A tag that tells no version may be one of those whose hashes keep to work_mem.
    known = major_version(facts, server.service) is not None or "hash_mem_multiplier" in server.raw_flags
    parallel = Parallel(
        int(amount(server, "work_mem")), 0, server.hash_multiplier if known else 1.0,
        int(amount(server, "max_parallel_workers_per_gather")), int(amount(server, "max_parallel_workers")),
        int(amount(server, "max_connections")),
    )  # fmt: skip
    if parallel.workers < 1:
        return None
    need, names = parallel.one_query, ("work_mem", "max_parallel_workers_per_gather")
    detail = msg(
        "One parallel hash join may need {need} of /dev/shm, which has {shm}: it fails with 'could not resize shared "
        "memory segment'.",
        need=human_size(need), shm=human_size(shm),
    )  # fmt: skip
    if need <= shm:
        need, names = _one_index(server), ("maintenance_work_mem", "max_parallel_maintenance_workers")
        detail = msg(
            "A parallel build of an HNSW index takes maintenance_work_mem, {need}, of /dev/shm, which has {shm}: it "
            "fails with 'could not resize shared memory segment'.",
            need=human_size(need), shm=human_size(shm),
        )  # fmt: skip
    if need <= shm:
        return None
    evidence = [setting_evidence(server, n) for n in names]
    size = at(server.service, "shm_size", "shm_size", format_size(shm))
    return finding(
        server, "postgres-shm-too-small", Level.MEDIUM, msg("Parallel queries can outgrow /dev/shm"), detail,
        "measurements 1.3", size, *evidence,
    )  # fmt: skip


def _one_index(server: Server) -> int:
    """What pgvector takes for a parallel build of an HNSW index (its README, Docker), where somebody raised it."""
    asked = in_force(server, "maintenance_work_mem") != stock("maintenance_work_mem", server.major)
    builds = "pgvector" in repository(server.service.image) and amount(server, "max_parallel_maintenance_workers") >= 1
    return int(amount(server, "maintenance_work_mem")) if asked and builds else 0


_WRITES = regex(r"ALTER\s+SYSTEM\s+SET\s+(?!\"?[a-z_])|postgresql\.(?:auto\.)?conf", re.IGNORECASE)
_ASKS = regex(r"ALTER\s+SYSTEM\s+SET", re.IGNORECASE)
_ACCESS = ("pg_hba.conf", "pg_ident.conf")
_CONFIGURATION = (".conf", "/conf.d", "/postgresql/conf")
_OFF = ("off", "of", "false", "fals", "fal", "fa", "f", "no", "n", "0")
"""What PostgreSQL takes for off: any beginning of a word that is no other's (parse_bool_with_len)."""
_DURABILITY = ("fsync", "full_page_writes", "synchronous_commit")


def durability(facts: Facts, server: Server) -> Finding | None:
    """postgres-durability-off; silent where the data is in memory anyway."""
    directory = data_directory(facts, server.service)
    if directory and in_memory(server.service, directory):
        return None
    off = [name for name in _DURABILITY if fact(server, name, "on").lower() in _OFF]
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
        detail, "databases reference 1.6", *(_durability_evidence(server, name) for name in off), repaired=False,
    )  # fmt: skip


def _durability_evidence(server: Server, name: str) -> Evidence:
    if name in server.raw_flags and name not in " ".join(server.service.command or ()):
        return at_option(server.service, "-F", "command", "F", "fsync=off")
    return setting_evidence(server, name)


CHECKS = (defaults, exceeds_limit, shm_too_small, durability)
