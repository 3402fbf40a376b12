"""How much memory a server asks the budget for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.advice import Demand
from nftui.model.units import GIB, MIB, parse_size
from nftui.optimizations.postgres.data import live_facts
from nftui.optimizations.postgres.knobs import ID
from nftui.optimizations.postgres.proof import BUFFERS_MAX

if TYPE_CHECKING:
    from nftui.model.choices import Choices
    from nftui.model.facts import Facts
    from nftui.model.stack import Service

LEAST, SMALL, LARGE = 256 * MIB, GIB, 16 * GIB
"""No server lives on less than LEAST; one of unknown size asks for SMALL, the largest for LARGE (a guess: the
operator's limit replaces it)."""


def demand_of(facts: Facts, choices: Choices, service: Service) -> Demand:
    """From the service's own limit; without one, one and a half times its data, between SMALL and LARGE."""
    floor = max(LEAST, _for_buffers(choices, service))
    limit = service.memory_limit_bytes
    if limit:
        return Demand(ID, service.name, min(floor, limit), limit, limit)
    live = live_facts(facts, service)
    data = sum(live.databases.values()) if live is not None else 0
    wanted = max(floor, min(LARGE, max(SMALL, data * 3 // 2)))
    return Demand(ID, service.name, floor, wanted, wanted)


def _for_buffers(choices: Choices, service: Service) -> int:
    """Memory that a chosen shared_buffers asks for: it may be at most its 40 %."""
    size = parse_size(choices.value(ID, service.name, "shared_buffers") or "")
    return int(size / BUFFERS_MAX) if size else 0
