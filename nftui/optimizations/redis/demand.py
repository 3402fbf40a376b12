"""Memory that a server needs, and what nftui would put beside it or in its place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nftui.model.advice import Demand
from nftui.model.units import MIB
from nftui.optimizations.redis.advise import SHARE
from nftui.optimizations.redis.beside import node_needs
from nftui.optimizations.redis.knobs import ID, REPLICA, SHARES
from nftui.optimizations.redis.replica import replica_name
from nftui.optimizations.redis.sentinel import MEMORY
from nftui.optimizations.redis.server import build_server, key_services, watch_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nftui.model.choices import Choices
    from nftui.model.facts import Facts
    from nftui.model.stack import Service
    from nftui.optimizations.redis.server import Server

_WANTED = 512 * MIB
_NODE_STEP = 16 * MIB
"""What a server uses moves from minute to minute, and what its nodes may use must not."""


def demands_of(facts: Facts, choices: Choices, service: Service) -> Iterator[Demand]:
    """Its limit; without one, what its keys take with room for the fork of a save. Then what stands beside it."""
    server = build_server(facts, service, {})
    demand = _demand(facts, server)
    yield demand
    chosen = choices.value(ID, server.name, "mode")
    if chosen == REPLICA:
        yield replace(demand, service=replica_name(server.name))
    yield from _moved_demands(demand, server, chosen or server.moved)


def _moved_demands(demand: Demand, server: Server, mode: str | None) -> Iterator[Demand]:
    """Each its share of what the server may use, and never less than its share of the keys needs."""
    if mode not in SHARES:
        return
    floor = node_needs(server.used, mode)
    wanted = -(-max(floor, demand.wanted // SHARES[mode]) // _NODE_STEP) * _NODE_STEP
    yield from (Demand(ID, name, floor, wanted, wanted) for name in key_services(server.name, mode))
    yield from (Demand(ID, name, MEMORY, MEMORY, MEMORY) for name in watch_names(server.name, mode))


def _demand(facts: Facts, server: Server) -> Demand:
    limit = server.service.memory_limit_bytes
    used = max(facts.usage.get(server.name, 0), server.used)
    if limit:
        return Demand(ID, server.name, min(used, limit), limit, limit)
    wanted = max(_WANTED, int(used / SHARE))
    return Demand(ID, server.name, used, wanted, wanted)
