"""Whether what a server holds fits below a bound that refuses writes instead of evicting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.units import MIB, parse_size
from nftui.optimizations.redis.knobs import NOEVICTION

if TYPE_CHECKING:
    from nftui.optimizations.redis.server import Server

SPARE = 1.25
"""maxmemory is never set below what is in use and some: it would refuse or evict at once."""
MOST = 0.85
"""Of the memory: above that the fork of a save ends in a kill, and the operator's own bound gives way."""


def own_bound(server: Server) -> int:
    """The operator's own maxmemory in bytes, 0 where there is none."""
    return parse_size(server.own("maxmemory") or "0") or 0


def needed(server: Server) -> int:
    """Bytes of the least bound."""
    return -(-int(server.used * SPARE) // MIB) * MIB


def evicts(server: Server) -> bool:
    """By the operator's own policy."""
    return (server.own("policy") or server.baseline("policy") or NOEVICTION) != NOEVICTION


def is_too_full(server: Server) -> bool:
    """Whether it evicts at a bound that cannot be raised to hold what is there."""
    own = own_bound(server)
    most = int(server.memory * MOST) if server.memory is not None else own
    return bool(own) and evicts(server) and own < needed(server) and needed(server) > most
