"""One memory budget for the whole host: demands in, grants out (design.md promise 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nftui.model.advice import Demand, Grant
from nftui.model.facts import Facts
from nftui.model.plan import MemoryUse
from nftui.model.stack import Role, Service
from nftui.model.units import GIB, MIB

SYSTEM_FLOOR = GIB
"""Kept for the system: max(1 GiB, 10 % of memory), ai-storage-compose-monitoring.md 4.4."""
HEADROOM = 1.2
"""Nothing is granted below the present working set times this."""
_SMALL = 256 * MIB
_WEIGHTS = {Role.POSTGRES: 4, Role.OLLAMA: 6, Role.QDRANT: 3, Role.REDIS: 2, Role.MYSQL: 4, Role.CLICKHOUSE: 4}


def reserved_bytes(facts: Facts) -> int:
    """What the system and other projects keep, in bytes."""
    total = facts.host.memory_bytes or 0
    reserve = min(max(SYSTEM_FLOOR, total // 10), total // 2) if total else 0
    return reserve + _steps(facts.others_bytes, total)


def _steps(used: int, total: int) -> int:
    """Other projects' memory in coarse steps: what they use moves from minute to minute, and advice must not."""
    step = max(GIB // 4, total // 16)
    return -(-used // step) * step


def allocate(facts: Facts, demands: Iterable[Demand]) -> tuple[Grant, ...]:
    """One grant for each active service, in name order.

    A service with a memory limit counts with it; the others share what the limits leave, by role, never more
    than they want. A function of declared facts only, so that planning again gives the same.
    """
    by_service: dict[str, list[Demand]] = {}
    for demand in demands:
        by_service.setdefault(demand.service, []).append(demand)
    active = sorted((s for s in facts.stack.services if s.active), key=lambda s: s.name)
    limited = {s.name: s.memory_limit_bytes for s in active if s.memory_limit_bytes}
    open_services = [s for s in active if s.name not in limited]
    left = _capacity(facts) - sum(limited.values())
    shares = _share(left, open_services, by_service)
    return tuple(Grant(s.name, limited.get(s.name) or shares[s.name], s.name in limited) for s in active)


def _capacity(facts: Facts) -> int:
    total = facts.host.memory_bytes
    if facts.host.cgroup_memory_bytes and facts.engine is None:
        total = min(total or facts.host.cgroup_memory_bytes, facts.host.cgroup_memory_bytes)
    return max(0, (total or 4 * GIB) - reserved_bytes(facts))


def _share(left: int, services: list[Service], demands: Mapping[str, list[Demand]]) -> dict[str, int]:
    """Split `left` by role weight; a small remainder still gives everyone the small floor of its kind."""
    weights = {s.name: _WEIGHTS.get(s.role, 1) for s in services}
    total = sum(weights.values()) or 1
    shares = {}
    for service in services:
        share = max(0, left) * weights[service.name] // total
        wanted = max((d.wanted for d in demands.get(service.name, [])), default=share)
        floor = max((d.floor for d in demands.get(service.name, [])), default=_SMALL)
        shares[service.name] = _round(max(min(share, wanted), min(floor, max(share, _SMALL))))
    return shares


def _round(number: int) -> int:
    """Whole steps of 16 MiB, so that a small change of input makes no change of advice."""
    step = 16 * MIB
    return max(step, number // step * step)


def memory_use(facts: Facts, grants: Iterable[Grant]) -> MemoryUse:
    """The host's memory bar."""
    return MemoryUse(facts.host.memory_bytes, reserved_bytes(facts), tuple((g.service, g.bytes) for g in grants))
