"""Memory that a server needs, and what nftui would put beside it or in its place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nftui.model.advice import Demand
from nftui.model.units import MIB
from nftui.optimizations.redis.advise import SHARE
from nftui.optimizations.redis.cluster import MASTERS, node_needs
from nftui.optimizations.redis.knobs import CLUSTER, ID, REPLICA, SINGLE
from nftui.optimizations.redis.replica import replica_name
from nftui.optimizations.redis.server import build_server, node_names

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
    """Its limit; without one, what its keys take with room for the fork of a save. Then a replica's, or the nodes'."""
    server = build_server(facts, service, {})
    demand = _demand(facts, server)
    yield demand
    chosen = choices.value(ID, server.name, "mode")
    if chosen == REPLICA:
        yield replace(demand, service=replica_name(server.name))
    if (chosen or (CLUSTER if server.closed else SINGLE)) == CLUSTER:
        yield from (_node_demand(demand, name, server) for name in node_names(server.name))


def _node_demand(demand: Demand, name: str, server: Server) -> Demand:
    """A third of what the server may use; never less than its third of the keys needs."""
    floor = node_needs(server.used)
    wanted = -(-max(floor, demand.wanted // MASTERS) // _NODE_STEP) * _NODE_STEP
    return Demand(ID, name, floor, wanted, wanted)


def _demand(facts: Facts, server: Server) -> Demand:
    limit = server.service.memory_limit_bytes
    used = max(facts.usage.get(server.name, 0), server.used)
    if limit:
        return Demand(ID, server.name, min(used, limit), limit, limit)
    wanted = max(_WANTED, int(used / SHARE))
    return Demand(ID, server.name, used, wanted, wanted)
