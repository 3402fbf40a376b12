"""A cluster in the place of one server: six nodes on fixed addresses, who is told of them, and what forbids it.

Fixed addresses, for the nodes store those of each other: dealt anew by the engine after a restart they put a whole
shard out of reach (databases reference 3.2). Clients are told names instead, which each network resolves by itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from nftui.catalog.clustered import to_cluster
from nftui.catalog.references import version_key
from nftui.clients.rediscluster import SLOTS
from nftui.model.dataclass import dataclass
from nftui.model.message import Message, msg
from nftui.model.stack import Role
from nftui.model.units import MIB, human_size, parse_size
from nftui.optimizations._servers import variables
from nftui.optimizations.redis.replica import holds_data, networks_of, obstacle, other_mounts, port_of, twin
from nftui.optimizations.redis.server import NODES, node_names

if TYPE_CHECKING:
    from nftui.optimizations.redis.server import Server

MASTERS = 3
TIMEOUT_MS = "5000"
"""cluster-node-timeout: writes are back within 10 s of a master's end (measurements 3)."""
NODE_FLOOR = 48 * MIB
"""Of a node: an empty server, its buffers for a replica, and the fork of a save."""
_SINCE = (7, 0)
"""cluster-announce-hostname, ADDSLOTSRANGE and PEXPIRETIME."""
_POOL = [f"10.109.{number}.0/28" for number in range(256)]
"""Outside of what Docker deals out by itself (172.17.0.0/12 and 192.168.0.0/16)."""
_LEAST = 16
"""Addresses of a range: six nodes, a gateway, and room."""
SAVE = "3600 1 300 100 60 10000"
"""A server's own save points (redis.conf)."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the nodes of one server are."""

    service: str
    subnet: str
    network: str
    """As the engine names it."""
    key: str
    """As the Compose file names it."""
    port: int
    volumes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The services, masters first."""
        return node_names(self.service)

    def nodes(self) -> list[dict[str, object]]:
        """As the steps are told of them."""
        found: list[dict[str, object]] = []
        for index, name in enumerate(self.names):
            master = index < MASTERS
            follows = None if master else self.names[index - MASTERS]
            slots = [SLOTS * index // MASTERS, SLOTS * (index + 1) // MASTERS - 1] if master else None
            found.append({"service": name, "address": self.address(index), "port": self.port, "follows": follows,
                          "slots": slots})  # fmt: skip
        return found

    def address(self, index: int) -> str:
        """The node's: after the network's own and the gateway's."""
        return str(ipaddress.ip_network(self.subnet)[index + 2])


def layout(server: Server, subnet: str) -> Layout:
    """Names that follow from the project and the service."""
    names = node_names(server.name)
    volumes = tuple(f"{server.project}_{name}" for name in names)
    return Layout(server.name, subnet, f"{server.project}_{server.name}-nodes", f"{server.name}-nodes",
                  int(port_of(server)), volumes)  # fmt: skip


# -- what forbids it -----------------------------------------------------------------------------------------------
def obstacles(server: Server, image: str | None) -> Iterator[Message]:
    """Beside the gate's verdict on its clients."""
    why = obstacle(server)
    if why is not None:
        yield why
        return
    assert server.live is not None
    if server.service.role is not Role.REDIS or version_key(server.live.version) < _SINCE:
        yield msg("it runs {version}; nodes that are told apart by name need Redis 7.0", version=server.live.version)
    if server.live.replicas:
        yield msg("{count} replicas follow it, and would let it take writes again", count=server.live.replicas)
    if server.live.accounts > 1 or server.live.functions:
        yield msg("it has accounts or functions of its own (ACL, FUNCTION), which are not among its keys")
    if image not in (None, server.service.image):
        yield msg("its nodes run the image of the server, so that what is written to them can be carried back")
    yield from _untold(server)
    yield from _no_room(server)


def _untold(server: Server) -> Iterator[Message]:
    for user in server.users:
        if to_cluster(user, variables(user.client), [("node", 6379)]).refused:
            yield msg("it is not known by which variables {service} is told of a cluster", service=user.client.name)


def node_needs(used: int) -> int:
    """Bytes that each node needs for a third of `used`, with room to grow and for the fork of a save."""
    return max(NODE_FLOOR, int(used / MASTERS * 1.25 / 0.6))


def _no_room(server: Server) -> Iterator[Message]:
    needed = node_needs(server.used)
    if server.node_memory is not None and server.node_memory < needed:
        yield msg("{count} nodes need {needed} each, and {left} are left for each on this machine", count=NODES,
                  needed=human_size(needed), left=human_size(server.node_memory))  # fmt: skip


# -- addresses -----------------------------------------------------------------------------------------------------
def choose_range(server: Server, chosen: str | None) -> str | Message:
    """The range in use; the chosen one; else the first that nobody has. A Message says why it cannot be."""
    own = layout(server, _POOL[0]).network
    present = (server.ranges or {}).get(own, ())
    if chosen is None or chosen in present:
        return present[0] if present else _first_free(server)
    try:
        wanted = ipaddress.IPv4Network(chosen)
    except ValueError:
        return msg("it is no range of IPv4 addresses like 10.109.0.0/28")
    if wanted.num_addresses < _LEAST or not wanted.is_private:
        return msg("it must be private and have {count} addresses", count=_LEAST)
    owner = _owner(server, wanted, own)
    if owner is not None:
        return msg("those addresses are taken by {owner}", owner=owner)
    return str(wanted)


def _owner(server: Server, wanted: ipaddress.IPv4Network, own: str) -> str | None:
    for name, ranges in sorted((server.ranges or {}).items()):
        if name != own and any(_overlap(wanted, taken) for taken in ranges):
            return name
    return None


def _overlap(wanted: ipaddress.IPv4Network, text: str) -> bool:
    taken = ipaddress.ip_network(text, strict=False)
    return isinstance(taken, ipaddress.IPv4Network) and wanted.overlaps(taken)


def _first_free(server: Server) -> str | Message:
    free = (text for text in _POOL if _owner(server, ipaddress.IPv4Network(text), "") is None)
    for number, text in enumerate(free):
        if number == server.place:
            return text
    return msg("no range of addresses is free; name one by {id}.subnet", id="redis")


# -- what is written -----------------------------------------------------------------------------------------------
def as_node(server: Server, memory: str | None) -> Server:
    """What advice on memory is given for: one node with its third of the keys."""
    live = replace(server.live, used_memory=server.used // MASTERS) if server.live else None
    return replace(server, memory=parse_size(memory or ""), live=live)


def node_definitions(
    server: Server, where: Layout, settings: Mapping[str, str], memory: int | None
) -> dict[str, dict[str, object]]:
    """Each node whole, with `memory` bytes as its limit. Raises CannotMerge."""
    found = {}
    for index, name in enumerate(where.names):
        address = where.address(index)
        definition = twin(server, None, {**_node_settings(server, name, address), **settings})
        for key in ("deploy", "mem_reservation"):
            definition.pop(key, None)
        found[name] = {
            **definition,
            "networks": {**{n: {} for n in networks_of(server.service)}, where.key: {"ipv4_address": address}},
            "volumes": [_data_mount(server, where.volumes[index]), *other_mounts(server)],
            "restart": server.service.restart or "unless-stopped",
            "stop_grace_period": "30s",
            **({"mem_limit": memory} if memory else {}),
        }
    return found


def _node_settings(server: Server, name: str, address: str) -> dict[str, str]:
    found = {
        "cluster-enabled": "yes", "cluster-config-file": "nodes.conf", "cluster-node-timeout": TIMEOUT_MS,
        "cluster-announce-ip": address, "cluster-announce-hostname": name,
        "cluster-preferred-endpoint-type": "hostname", "appendonly": "yes",
    }  # fmt: skip
    asked = server.flags.get("save")
    return found if asked is None or asked.strip("\"' ") else {**found, "save": SAVE}


def _data_mount(server: Server, volume: str) -> dict[str, object]:
    target = next(m.target for m in server.service.mounts if holds_data(server, m))
    return {"type": "volume", "source": volume, "target": target}


def user_parts(server: Server, where: Layout) -> dict[str, dict[str, object]]:
    """Each app that uses it, told of the nodes."""
    nodes = [(name, where.port) for name in where.names]
    ready = "service_healthy" if server.service.config.get("healthcheck") else "service_started"
    needs = {name: {"condition": ready} for name in where.names}
    found: dict[str, dict[str, object]] = {}
    for user in server.users:
        told = to_cluster(user, variables(user.client), nodes).values
        part = found.setdefault(user.client.name, {"environment": {}, "depends_on": needs})
        part["environment"] = {**_mapping(part["environment"]), **told}
    return found


def _mapping(value: object) -> Mapping[str, str]:
    return value if isinstance(value, Mapping) else {}
