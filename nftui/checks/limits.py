"""Findings about memory and CPU limits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nftui.catalog import repositories_of
from nftui.checks._common import COMPOSE, at_argument, lasting, mapping
from nftui.engine.budget import total_bytes
from nftui.engine.evidence import at
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import msg
from nftui.model.patterns import regex
from nftui.model.stack import Role
from nftui.model.units import GIB, MIB, human_size, parse_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nftui.model.facts import Facts
    from nftui.model.stack import Service

_HUNGRY = frozenset({Role.POSTGRES, Role.MYSQL, Role.CLICKHOUSE, Role.QDRANT, Role.OLLAMA, Role.REDIS, Role.KEYDB})
_NEAR_FULL = 0.95
_JAVA = regex(r"-Xmx(\d+[kKmMgG])")
_NODE = regex(r"--max[-_]old[-_]space[-_]size[= ](\d+)")
_WIRED_TIGER = regex(r"--wiredTigerCacheSizeGB[= ](\d+(?:\.\d+)?)")
_HEAPS = regex(
    r"MAX_HEAP_SIZE|SOLR_HEAP|SPARK_WORKER_MEMORY|NEO4J_(?:dbms|server)_memory_(?:heap_max__size|pagecache_size)"
)
"""Variables whose value is a heap or a cache: Cassandra, Solr, Spark, Neo4j."""
_MEMCACHED = regex(r"(?<!\S)(?:-m|--memory-limit)[ =]?(\d+)(?!\S)")
_BUFFER_POOL = regex(r"innodb[-_]buffer[-_]pool[-_]size[= ](\d+[kKmMgG]?)")


def limits_missing(facts: Facts) -> Iterable[Finding]:
    """limits-missing: a lasting service that may take all memory of the host."""
    for service in lasting(facts):
        running = service.running
        if service.memory_limit_bytes or (running and running.memory_limit_bytes):
            continue
        yield Finding(
            "limits-missing", Level.MEDIUM if service.role in _HUNGRY else Level.LOW, service.name,
            msg("Nothing bounds its memory"),
            msg("When memory runs out the kernel picks a victim on the whole host, and it may be another service."),
            (at(service, "deploy.resources.limits.memory", "deploy.resources.limits"),), f"{COMPOSE}, resources",
            "limits",
        )  # fmt: skip


def exceed_host(facts: Facts) -> Iterable[Finding]:
    """limits-exceed-host: what the active services may take together, and for long, is more than there is."""
    total, stay = total_bytes(facts), {s.name for s in lasting(facts)}
    there = (s for s in facts.stack.services if s.active and (s.name in stay or s.role is Role.UNKNOWN))
    limited = [s for s in there if s.memory_limit_bytes]
    sum_ = sum((s.memory_limit_bytes or 0) * s.scale for s in limited)
    if not total or sum_ <= total:
        return
    limited.sort(key=lambda s: -(s.memory_limit_bytes or 0))
    yield Finding(
        "limits-exceed-host", Level.MEDIUM, None, msg("The memory limits together do not fit the host"),
        msg("They add up to {sum}; the host has {total}.", sum=human_size(sum_), total=human_size(total)),
        tuple(_limit(s, s.memory_limit_bytes or 0, f"{s.name}.") for s in limited), f"{COMPOSE}, resources", "limits",
    )  # fmt: skip


def _limit(service: Service, size: int, prefix: str = "") -> Evidence:
    key = "mem_limit" if service.config.get("mem_limit") else "deploy.resources.limits.memory"
    return at(service, f"{prefix}{key}", key, human_size(size))


def too_small(facts: Facts) -> Iterable[Finding]:
    """limit-too-small: below what the service was told to use, needs by its makers' word, or uses now."""
    for service in facts.stack.services:
        limit = service.memory_limit_bytes
        reasons = list(_reasons(facts, service, limit)) if limit else []
        if limit and reasons:
            needs = "; ".join(f"{e.key} {e.value}" for e in reasons)
            yield Finding(
                "limit-too-small", Level.HIGH, service.name, msg("Its memory limit is below what it needs"),
                msg("The limit is {limit}: {needs}.", limit=human_size(limit), needs=needs),
                (_limit(service, limit), *reasons), f"{COMPOSE}, resources", "limits",
            )  # fmt: skip


def _reasons(facts: Facts, service: Service, limit: int) -> Iterator[Evidence]:
    reserved = service.memory_reservation_bytes
    if reserved and reserved > limit:
        yield at(service, "reservations.memory", "deploy.resources.reservations.memory", human_size(reserved))
    for key, option, place, told in _told(service):
        if told >= limit:
            shown = f"{option} {human_size(told)}".strip()
            argument = place == "command"
            yield at_argument(service, key, key.lstrip("-"), shown) if argument else at(service, key, place, shown)
    for repository in repositories_of(service.image or ""):
        if repository.least_memory > limit:
            yield Evidence("needs at least", human_size(repository.least_memory))
    used = facts.usage.get(service.name, 0)
    if used > limit * _NEAR_FULL * service.scale:
        yield Evidence("in use", human_size(used))
    if any(c.oom_killed for c in service.containers):
        yield Evidence("State.OOMKilled", "true")
    elif facts.oom_kills.get(service.name):
        # A child's end leaves the container, and the engine's flag, as they were.
        yield Evidence("memory cgroup oom_kill", str(facts.oom_kills[service.name]))


def _told(service: Service) -> Iterator[tuple[str, str, str, int]]:
    """Memory that the service is told to take for itself: variable or flag, option in it, place, bytes."""
    for name, value in service.environment.items():
        place = f"environment.{name}"
        if _HEAPS.fullmatch(name):
            yield name, "", place, parse_size(value or "") or 0
        yield from ((name, "-Xmx", place, parse_size(x) or 0) for x in _JAVA.findall(value or ""))
        yield from ((name, "max-old-space-size", place, int(x) * MIB) for x in _NODE.findall(value or ""))
    words = " ".join((*(service.entrypoint or ()), *(service.command or ())))
    yield from (("-Xmx", "", "command", parse_size(x) or 0) for x in _JAVA.findall(words))
    yield from (("--max-old-space-size", "", "command", int(x) * MIB) for x in _NODE.findall(words))
    yield from (("wiredTigerCacheSizeGB", "", "command", int(float(x) * GIB)) for x in _WIRED_TIGER.findall(words))
    if service.role is Role.MEMCACHED:
        yield from (("-m", "", "command", int(x) * MIB) for x in _MEMCACHED.findall(words))
    yield from (("innodb_buffer_pool_size", "", "command", parse_size(x) or 0) for x in _BUFFER_POOL.findall(words))


def cpu_exceeds_host(facts: Facts) -> Iterable[Finding]:
    """cpu-limit-exceeds-host: the engine refuses to create the container."""
    count = (facts.engine.cpus if facts.engine else None) or facts.host.cpu.logical or 0
    for service in facts.stack.services if count else ():
        evidence, detail = [], msg("")
        last = _last_cpu(str(service.config.get("cpuset") or ""))
        if last is not None and last >= count:
            evidence.append(at(service, "cpuset", "cpuset", str(service.config["cpuset"])))
            detail = msg("It is bound to CPU {last}, the host has {count}, from 0 on; the engine refuses that.",
                         last=last, count=count)  # fmt: skip
        if service.cpus and service.cpus > count:
            key = "cpus" if service.config.get("cpus") else "deploy.resources.limits.cpus"
            evidence.insert(0, at(service, key, key, f"{service.cpus:g}"))
            detail = msg("It may use {cpus} CPUs, the host has {count}; the engine refuses that.",
                         cpus=f"{service.cpus:g}", count=count)  # fmt: skip
        if evidence:
            yield Finding(
                "cpu-limit-exceeds-host", Level.HIGH if service.active else Level.MEDIUM, service.name,
                msg("The container cannot be created here: it asks for more CPUs than there are"), detail,
                tuple(evidence), "nextflow reference, experiment 7", "limits",
            )  # fmt: skip


def _last_cpu(cpuset: str) -> int | None:
    """The highest number of a list as "0-3,8"; None where it is none."""
    numbers = re.findall(r"\d+", cpuset) if re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", cpuset) else []
    return max(map(int, numbers), default=None)


def reservation_ignored(facts: Facts) -> Iterable[Finding]:
    """reservation-cpus-ignored: Compose honours it in Swarm only."""
    for service in facts.stack.services:
        reserved = mapping(mapping(mapping(service.config.get("deploy")).get("resources")).get("reservations"))
        value = str(reserved.get("cpus") or "")
        if not value or re.fullmatch(r"0*\.?0*", value):
            continue
        key = "deploy.resources.reservations.cpus"
        yield Finding(
            "reservation-cpus-ignored", Level.INFO, service.name, msg("A CPU reservation that Compose ignores"),
            msg("Outside Swarm nothing is reserved: `cpu_shares` gives weight, `cpuset` gives CPUs."),
            (at(service, key, key, value),), "docker compose, create.go; nextflow reference, experiment 11",
        )  # fmt: skip


CHECKS = (limits_missing, exceed_host, too_small, cpu_exceeds_host, reservation_ignored)
