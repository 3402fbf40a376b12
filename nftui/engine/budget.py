"""One memory budget for the whole host: demands in, grants out (design.md promise 4).

Host >= system + huge pages + other projects + grants, always. Where that is not enough, tiers are filled in turn: what
is in use now, the floors of data, the other floors, the operator's limits, and last what more is wanted. The page
cache of a service is charged to the service by the kernel, so it lies inside the grants of those that live on it.
Source: ai-storage-compose-monitoring.md 4.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from nftui.engine.own import is_job
from nftui.model.advice import Demand, Fragment, Grant
from nftui.model.dataclass import dataclass
from nftui.model.facts import Facts
from nftui.model.message import Message, msg
from nftui.model.plan import MemoryUse
from nftui.model.stack import Role, Service
from nftui.model.units import GIB, MIB, human_size
from nftui.probes.services import limits_of

SYSTEM_FLOOR = GIB
"""Kept for the system: max(1 GiB, 10 % of memory), at most half of a small host."""
HEADROOM = 1.2
"""Nothing is granted below the present working set times this."""
_ASSUMED = 4 * GIB
"""A host that does not tell its memory."""
_STEP = 16 * MIB
_COARSE = 64 * MIB
_NEEDS = {
    Role.POSTGRES: (256 * MIB, GIB, 4), Role.MYSQL: (512 * MIB, GIB, 4), Role.CLICKHOUSE: (GIB, 4 * GIB, 4),
    Role.OLLAMA: (GIB, 8 * GIB, 6), Role.QDRANT: (256 * MIB, GIB, 3), Role.REDIS: (128 * MIB, 512 * MIB, 2),
    Role.KEYDB: (128 * MIB, 512 * MIB, 2), Role.DRAGONFLY: (256 * MIB, 512 * MIB, 2),
}  # fmt: skip
"""Roles that hold data or models: floor and wanted in bytes where nobody demands, and weight."""
_LIGHT = {
    Role.PGBOUNCER: (32 * MIB, 128 * MIB, 1), Role.POOLER: (32 * MIB, 128 * MIB, 1),
    Role.EXPORTER: (32 * MIB, 64 * MIB, 1), Role.CLIENT: (32 * MIB, 64 * MIB, 1),
    Role.PROMETHEUS: (256 * MIB, GIB, 1), Role.MEMCACHED: (64 * MIB, 128 * MIB, 1),
}  # fmt: skip
_ANY = (128 * MIB, 512 * MIB, 1)


@dataclass(frozen=True, slots=True)
class Need:
    """What all containers of one service need, in bytes."""

    service: str
    count: int
    now: int
    """The present working set with its headroom, in coarse steps."""
    floor: int
    wanted: int
    worst: int
    weight: int
    limit: int | None
    holds_data: bool
    demanded: bool


@dataclass(frozen=True, slots=True)
class Budget:
    """Who gets what, the host's bar, and what gives way."""

    grants: tuple[Grant, ...]
    use: MemoryUse
    warnings: tuple[Message, ...] = ()


def kept_demands(fragments: Iterable[Fragment]) -> list[Demand]:
    """What services of nftui's own may use that stay as an earlier run left them: their limits.

    A job is over; what has no limit that can be read is taken for any service.
    """
    found = []
    for fragment in fragments:
        for name in fragment.own:
            definition = fragment.services.get(name, {})
            limit = limits_of(definition)[0]
            floor, wanted = (limit, limit) if limit else _ANY[:2]
            if not is_job(definition):
                found.append(Demand(fragment.optimization, name, floor, wanted, wanted))
    return found


def total_bytes(facts: Facts) -> int | None:
    """Memory of the machine that runs the containers; None where it is unknown."""
    if facts.engine is not None and not facts.engine.local:
        return facts.engine.memory_bytes
    known = [facts.host.memory_bytes, facts.engine.memory_bytes if facts.engine else facts.host.cgroup_memory_bytes]
    return min((size for size in known if size), default=None)


def make_budget(facts: Facts, demands: Iterable[Demand]) -> Budget:
    """One grant for each active service, in name order: bytes for one container of it."""
    needs = needs_of(facts, demands)
    kept, squeezed = _reserved(facts, sum(n.floor for n in needs))
    room = (total_bytes(facts) or _ASSUMED) - kept
    given = _share(room, needs)
    grants = tuple(Grant(n.service, given[n.service] // n.count, n.limit == given[n.service]) for n in needs)
    use = MemoryUse(total_bytes(facts), kept, tuple((n.service, given[n.service]) for n in needs))
    return Budget(grants, use, (*squeezed, *_shortage(room, needs, given)))


def needs_of(facts: Facts, demands: Iterable[Demand]) -> tuple[Need, ...]:
    """What each active service needs, in name order; its own declared limit bounds it.

    A demand for a service that the stack does not have is for one that nftui would bring. One without any container
    (`replicas: 0`) takes nothing, unless an optimization speaks for it.
    """
    by_service: dict[str, list[Demand]] = {}
    for demand in demands:
        by_service.setdefault(demand.service, []).append(demand)
    names = {s.name for s in facts.stack.services}
    ours = [Service(name) for name in by_service if name not in names]
    there = (s for s in facts.stack.services if s.active and (s.scale > 0 or s.name in by_service))
    active = sorted((*there, *ours), key=lambda s: s.name)
    return tuple(_need(s, by_service.get(s.name, ()), facts.usage.get(s.name, 0)) for s in active)


def _need(service: Service, demands: Sequence[Demand], used: int) -> Need:
    floor, wanted, weight = _NEEDS.get(service.role) or _LIGHT.get(service.role, _ANY)
    count = max(1, service.scale)
    if demands:
        floor, wanted = max(d.floor for d in demands), max(d.wanted for d in demands)
    worst = max((d.worst for d in demands), default=wanted)
    limit = service.memory_limit_bytes * count if service.memory_limit_bytes else None
    now = _coarse(int(used * HEADROOM))
    sizes = [now, max(now, floor * count), max(now, floor * count, limit or wanted * count), worst * count]
    now, floor, wanted, worst = (min(size, limit or size) for size in sizes)
    holds_data = service.role in _NEEDS
    return Need(service.name, count, now, floor, wanted, worst, weight, limit, holds_data, bool(demands))


def _coarse(size: int) -> int:
    """Up to the next of at least eight steps per power of two: what is in use moves from minute to minute, and advice
    must not."""
    step = max(_COARSE, 1 << max(0, size.bit_length() - 4))
    return -(-size // step) * step


def _reserved(facts: Facts, floors: int) -> tuple[int, tuple[Message, ...]]:
    """What the system, its huge pages and other projects keep, in bytes, and whose promise is not kept in full.

    What others were promised but do not use gives way before a floor of this stack does. An eighth is the stack's
    whatever is said of the rest.
    """
    total = total_bytes(facts) or _ASSUMED
    huge = min(facts.host.huge_pages_bytes or 0, total)
    usable = total - huge
    system = min(max(SYSTEM_FLOOR, usable // 10), usable // 2)
    promised, used = _coarse(facts.others_bytes), _coarse(facts.others_used_bytes)
    others = max(min(promised, max(0, usable - system - floors)), min(used, promised))
    others = min(others, usable - usable // 8 - system)
    reserved = huge + system + others
    if others >= facts.others_bytes:
        return reserved, ()
    note = msg(
        "Other projects on this host were promised {promised}; {kept} can be kept for them beside this stack's floors. "
        "Lower what they may use, or switch services off.",
        promised=human_size(facts.others_bytes), kept=human_size(others),
    )  # fmt: skip
    return reserved, (note,)


def _share(room: int, needs: Sequence[Need]) -> dict[str, int]:
    """Tier after tier; whole steps above the floor, so that a small change of input makes no change of advice."""
    given = {n.service: 0 for n in needs}
    weights = {n.service: n.weight for n in needs}
    tiers = (
        {n.service: n.now for n in needs},
        {n.service: n.floor if n.holds_data else n.now for n in needs},
        {n.service: n.floor for n in needs},
        {n.service: n.wanted if n.limit else n.floor for n in needs},
        {n.service: n.wanted for n in needs},
    )
    for tier in tiers:
        more = _fill(room - sum(given.values()), {name: upto - given[name] for name, upto in tier.items()}, weights)
        given = {name: size + more[name] for name, size in given.items()}
        if given != tier:
            break
    return {n.service: _whole(given[n.service], n) for n in needs}


def _whole(size: int, need: Need) -> int:
    return size if size >= need.wanted else max(min(size, need.floor), size // _STEP * _STEP)


def _fill(amount: int, caps: Mapping[str, int], weights: Mapping[str, int]) -> Mapping[str, int]:
    """Split by weight; what one does not need goes to the others."""
    if amount >= sum(caps.values()):
        return caps
    given, left, weight = {}, amount, sum(weights.values())
    for name in sorted(caps, key=lambda n: (caps[n] / weights[n], n)):
        given[name] = min(caps[name], left * weights[name] // weight)
        left, weight = left - given[name], weight - weights[name]
    return given


def _shortage(room: int, needs: Sequence[Need], given: Mapping[str, int]) -> Iterator[Message]:
    """What does not fit, with names and figures: the worst that holds, and what to do."""
    floors = sum(n.floor for n in needs)
    if floors > room:
        others = sorted((n for n in needs if not n.holds_data), key=lambda n: (-n.floor, n.service))
        yield msg(
            "This stack needs {floors} at least, and {room} is left for it. Below their floor: {short}. Switch off or "
            "move to another machine what is not needed, for example {off}.",
            floors=human_size(floors), room=human_size(room), short=_figures(needs, given, "floor"),
            off=", ".join(f"{n.service} ({human_size(n.floor)})" for n in (others or list(needs))[:3]),
        )  # fmt: skip
    elif short := [n for n in needs if n.limit and given[n.service] < n.limit]:
        yield msg(
            "More memory is promised than fits: {sum} are promised, {room} is left for this stack. Planned with less "
            "than the limit: {short}. Lower the limit of each, or switch services off.",
            sum=human_size(sum(n.limit or 0 for n in needs)), room=human_size(room),
            short=_figures(short, given, "wanted"),
        )  # fmt: skip
    elif short := [n for n in needs if n.demanded and given[n.service] < n.wanted]:
        yield msg(
            "{room} is left for this stack, less than all of it wants. Gives way: {short}.",
            room=human_size(room), short=_figures(short, given, "wanted"),
        )  # fmt: skip


def _figures(needs: Sequence[Need], given: Mapping[str, int], what: str) -> str:
    """ "db 1.0 of 2.0 GiB, …": the largest gaps first, five at most."""
    gaps = sorted(((getattr(n, what) - given[n.service], n) for n in needs), key=lambda g: (-g[0], g[1].service))
    short = [n for gap, n in gaps if gap > 0]
    named = [f"{n.service} {human_size(given[n.service])} / {human_size(getattr(n, what))}" for n in short[:5]]
    return ", ".join([*named, *([f"+{len(short) - 5}"] if len(short) > 5 else [])])
