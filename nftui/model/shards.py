"""Nodes of a Qdrant cluster and where the shards of its collections lie, as it tells them (GET /cluster, 1.19)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from nftui.model.dataclass import dataclass

_WHOLE = ("Active", "ActiveRead", "Listener", "ReshardingScaleDown")
"""States of a replica that has all of its shard's points (replica_set_state.rs); any other one lacks some, or may."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One copy of one shard on one node."""

    shard: int
    peer: int
    state: str
    """As the server writes it: Active, Dead, Partial, …"""

    @property
    def whole(self) -> bool:
        """Whether it has every point of its shard."""
        return self.state in _WHOLE


@dataclass(frozen=True, slots=True)
class Cluster:
    """What one node knows of its cluster."""

    peer: int
    """Its own id."""
    peers: Mapping[int, str] = field(default_factory=dict)
    """Id to address of each node, itself included."""
    leader: int | None = None
    """None: there is no majority, and nothing but points can be changed."""
    consensus: str = "working"
    """"working", or what became of the thread that keeps it in step with the others."""
    pending: int = 0
    """Changes that were agreed on and are not done on this node yet."""
    failing: tuple[str, ...] = ()
    """Addresses of nodes that it cannot send to."""

    def name(self, peer: int) -> str:
        """A node as its operator knows it: the host of its address."""
        uri = self.peers.get(peer, "")
        return uri.partition("://")[2].rstrip("/").partition(":")[0] or str(peer)
