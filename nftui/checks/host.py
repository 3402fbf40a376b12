"""Findings about the machine, with the command to run: nftui never changes kernel settings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nftui.checks._common import COMPOSE, KEEPERS, lasting, mapping
from nftui.engine.evidence import at
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import msg
from nftui.model.patterns import regex
from nftui.model.stack import Role
from nftui.model.units import GIB, human_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nftui.model.facts import Facts
    from nftui.model.stack import Service

_FORKS = frozenset({Role.REDIS, Role.KEYDB})
_KEEPS_ALL = regex(r"json-file|(?:.*[/_-])?loki(?:[-:].*)?")
"""Log drivers whose file grows unless they are told a size: Loki's plugin keeps one too. Others rotate or keep none."""
_KEPT_LARGE = 5 * GIB
_PRESSURE = 10.0
"""Percent of time in which some task waits for memory; a host with enough of it shows 0."""


def _has(facts: Facts, roles: frozenset[Role]) -> bool:
    here = facts.engine is None or facts.engine.local
    return here and any(s.active and s.role in roles for s in facts.stack.services)


def _sysctl(facts: Facts, name: str) -> str | None:
    return next((value for key, value in facts.host.sysctl if key == name), None)


def overcommit(facts: Facts) -> Iterable[Finding]:
    """host-overcommit: the fork for a snapshot may be refused while memory is free."""
    value = _sysctl(facts, "vm.overcommit_memory")
    if value in ("0", "2") and _has(facts, _FORKS):
        yield Finding(
            "host-overcommit", Level.MEDIUM if value == "2" else Level.LOW, None,
            msg("A snapshot's fork may fail for want of memory that is there"),
            msg("Redis asks for vm.overcommit_memory=1. As root: sysctl -w vm.overcommit_memory=1, and a line "
                "in /etc/sysctl.d."),
            (Evidence("vm.overcommit_memory", value),), "redis.io/docs, administration",
        )  # fmt: skip


def huge_pages(facts: Facts) -> Iterable[Finding]:
    """host-thp: transparent huge pages for all make forks slow."""
    value = _sysctl(facts, "transparent_hugepage")
    if value is not None and (value == "always" or "[always]" in value) and _has(facts, _FORKS):
        yield Finding(
            "host-thp", Level.LOW, None, msg("Transparent huge pages cost latency after each fork"),
            msg("As root: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled, and a unit that does it at "
                "boot."),
            (Evidence("transparent_hugepage", value),), "redis.io/docs, diagnosing latency",
        )  # fmt: skip


def swap(facts: Facts) -> Iterable[Finding]:
    """host-swap: no swap beside services that hold data, or one that is at work all the time."""
    evidence = _swapping(facts)
    if evidence and _has(facts, KEEPERS):
        yield Finding(
            "host-swap", Level.HIGH, None, msg("The host is swapping: memory does not suffice"),
            msg("Databases wait for pages that were moved to disk. Lower limits or switch services off; "
                "`free -h` and `cat /proc/pressure/memory` show when it is over."),
            evidence, "kernel documentation, accounting/psi",
        )  # fmt: skip
    if facts.host.swap_bytes == 0 and _has(facts, KEEPERS):
        yield Finding(
            "host-swap", Level.LOW, None, msg("There is no swap"),
            msg("The first shortage of memory kills a process at once. A few GiB with vm.swappiness=10 give time to "
                "see it coming."),
            (Evidence("SwapTotal", "0"),), "ai-storage reference 4.4",
        )  # fmt: skip


def _swapping(facts: Facts) -> tuple[Evidence, ...]:
    """Swap in use alone is no fault: cold pages lie there well. Tasks that wait, or nothing else left, are one."""
    host = facts.host
    if not host.swap_bytes or host.swap_free_bytes is None:
        return ()
    used = host.swap_bytes - host.swap_free_bytes
    waiting = (host.memory_pressure or 0) >= _PRESSURE and used >= host.swap_bytes // 20
    available, total = host.memory_available_bytes, host.memory_bytes
    short = available is not None and total is not None and available < total // 20 and used > host.swap_bytes // 2
    if not (waiting or short):
        return ()
    found = [Evidence("SwapTotal - SwapFree", human_size(used))]
    found += [Evidence("memory pressure, some avg300", f"{host.memory_pressure:g} %")] if waiting else []
    found += [Evidence("MemAvailable", human_size(available))] if short else []
    return tuple(found)


def logging(facts: Facts) -> Iterable[Finding]:
    """logging-unbounded: container logs that grow until the disk is full."""
    daemon = facts.beside.daemon
    if daemon is None:
        return
    options = mapping(daemon.get("log-opts"))
    default = str(daemon.get("log-driver") or "json-file")
    evidence: list[tuple[Service, Evidence]] = []
    services = list(lasting(facts))
    for service in services:
        own = mapping(service.config.get("logging"))
        driver = str(own.get("driver") or default)
        # The engine's own options hold only for its own driver.
        told = {**(options if driver == default else {}), **mapping(own.get("options"))}
        if _KEEPS_ALL.fullmatch(driver) and not _is_sized(told):
            evidence.append((service, at(service, "logging", "logging", driver)))
    if len(evidence) == len(services) > 1:
        yield _unbounded(None, [replace(e, key=f"{s.name}.{e.key}") for s, e in evidence])
    else:
        yield from (_unbounded(s.name, [e]) for s, e in evidence)


def _is_sized(options: Mapping[str, object]) -> bool:
    """A size bounds the file, -1 does not; Loki's plugin may keep none."""
    return str(options.get("max-size") or "-1") != "-1" or str(options.get("no-file")).lower() == "true"


def _unbounded(service: str | None, evidence: list[Evidence]) -> Finding:
    """Of the whole stack where nobody bounds anything: then one line in daemon.json is the cure."""
    return Finding(
        "logging-unbounded", Level.MEDIUM, service, msg("Container logs can fill the disk"),
        msg("{count} services log to files without a size: `logging.options.max-size`, or log-opts in daemon.json, "
            "bounds them.", count=len(evidence))
        if service is None else
        msg("It logs to files without a size: `logging.options.max-size`, or log-opts in daemon.json, bounds them."),
        tuple(evidence), f"docker documentation, json-file logging driver; {COMPOSE}, logging",
    )  # fmt: skip


def kept_copies(facts: Facts) -> Iterable[Finding]:
    """kept-copies-large: what nftui keeps of this project takes much room."""
    if facts.beside.kept_bytes >= _KEPT_LARGE:
        yield Finding(
            "kept-copies-large", Level.INFO, None, msg("nftui keeps old copies that take much room"),
            msg("{size} in {path}. `nftui snapshots prune` and `nftui artefacts delete` say what each is needed for.",
                size=human_size(facts.beside.kept_bytes), path=facts.beside.kept_path),
            (Evidence(facts.beside.kept_path, human_size(facts.beside.kept_bytes)),), "engine.md 5",
        )  # fmt: skip


CHECKS = (overcommit, huge_pages, swap, logging, kept_copies)
