"""A cluster in the place of one server: six nodes on fixed addresses, and who is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.catalog.clustered import to_cluster
from nftui.clients.rediscluster import SLOTS
from nftui.optimizations.redis.beside import logged, member
from nftui.optimizations.redis.knobs import CLUSTER, SHARES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nftui.catalog.connections import Connection, Rewrite
    from nftui.optimizations.redis.beside import Layout
    from nftui.optimizations.redis.server import Server

MASTERS = SHARES[CLUSTER]
TIMEOUT_MS = "5000"
"""cluster-node-timeout: writes are back within 10 s of a master's end (measurements 3)."""


def nodes_of(where: Layout) -> list[dict[str, object]]:
    """As the steps are told of them."""
    found: list[dict[str, object]] = []
    for index, name in enumerate(where.names):
        master = index < MASTERS
        follows = None if master else where.names[index - MASTERS]
        slots = [SLOTS * index // MASTERS, SLOTS * (index + 1) // MASTERS - 1] if master else None
        found.append({"service": name, "address": where.address(index), "port": where.port, "follows": follows,
                      "slots": slots})  # fmt: skip
    return found


def node_definitions(
    server: Server, where: Layout, settings: Mapping[str, str], memory: int | None
) -> dict[str, dict[str, object]]:
    """Each node whole, with `memory` bytes as its limit. Raises CannotMerge."""
    return {
        name: member(server, where, name, {**_node_settings(server, name, where.address(index)), **settings}, memory)
        for index, name in enumerate(where.names)
    }


def _node_settings(server: Server, name: str, address: str) -> dict[str, str]:
    return {
        "cluster-enabled": "yes", "cluster-config-file": "nodes.conf", "cluster-node-timeout": TIMEOUT_MS,
        "cluster-announce-ip": address, "cluster-announce-hostname": name,
        "cluster-preferred-endpoint-type": "hostname", **logged(server),
    }  # fmt: skip


def tell_of(names: tuple[str, ...], port: int, user: Connection, source: Mapping[str, str]) -> Rewrite:
    """A client's variables, pointed to those nodes."""
    return to_cluster(user, source, [(name, port) for name in names])
