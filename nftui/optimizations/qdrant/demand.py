"""Memory that a server with its collections needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.advice import Demand
from nftui.model.units import GIB
from nftui.optimizations.qdrant import rules
from nftui.optimizations.qdrant.knobs import ID
from nftui.optimizations.qdrant.server import build_server

if TYPE_CHECKING:
    from nftui.model.facts import Facts
    from nftui.model.stack import Service
    from nftui.optimizations.qdrant.server import Server


def demands_of(facts: Facts, service: Service) -> tuple[Demand, ...]:
    """Its limit; without one, what its collections take with room for the optimizer, 1 GiB where unknown.

    None for one of several nodes, of which only where their shards lie is changed.
    """
    server = build_server(facts, service, {})
    return () if server.spread else (_demand(facts, server),)


def _demand(facts: Facts, server: Server) -> Demand:
    service = server.service
    limit = service.memory_limit_bytes
    used = facts.usage.get(service.name, 0)
    if limit:
        return Demand(ID, service.name, min(used, limit), limit, limit)
    collections = server.live.collections if server.live else ()
    needed = sum(rules.memory_bytes(c) for c in collections)
    wanted = max(GIB, used, int(needed * rules.HEADROOM))
    return Demand(ID, service.name, used, wanted, wanted)
