"""The modes whose keys go to servers of nftui's own: what each of them has of its own, behind one face."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from nftui.optimizations.redis import cluster, sentinel
from nftui.optimizations.redis.beside import Layout, Tell, obstacles, user_parts
from nftui.optimizations.redis.knobs import CLUSTER
from nftui.optimizations.redis.replica import port_of
from nftui.optimizations.redis.server import key_services, watch_names

if TYPE_CHECKING:
    from nftui.model.message import Message
    from nftui.optimizations.redis.server import Server


def moving_obstacles(server: Server, mode: str, image: str | None) -> Iterator[Message]:
    """Everything that forbids it, beside the gate's verdict on its clients."""
    why = sentinel.own_obstacle(server) if mode != CLUSTER else None
    if why is not None:
        yield why
    yield from obstacles(server, mode, image, _tell(server, mode))


def _tell(server: Server, mode: str) -> Tell:
    names = key_services(server.name, mode)
    if mode == CLUSTER:
        return partial(cluster.tell_of, names, int(port_of(server)))
    return partial(sentinel.tell_of, server, watch_names(server.name, mode))


def step_params(where: Layout) -> dict[str, object]:
    """How the steps are told of them."""
    return {"nodes": cluster.nodes_of(where)} if where.mode == CLUSTER else {"watch": sentinel.watch_of(where)}


def definitions(
    server: Server, where: Layout, settings: Mapping[str, str], memory: int | None
) -> dict[str, dict[str, object]]:
    """Each service whole, with `memory` bytes as the limit of one that holds keys. Raises CannotMerge."""
    found = cluster.node_definitions if where.mode == CLUSTER else sentinel.definitions
    return found(server, where, settings, memory)


def told(server: Server, where: Layout) -> dict[str, dict[str, object]]:
    """Each app that uses it, told of them."""
    return user_parts(server, where, _tell(server, where.mode))
