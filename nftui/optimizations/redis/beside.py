"""Servers of nftui's own that take the keys of one: their names, places, addresses and memory; what forbids them.

Fixed addresses, for those servers store the ones of each other: dealt anew by the engine after a restart they put a
whole shard out of reach (databases reference 3.2). Clients are told names, which each network resolves by itself.
"""

from __future__ import annotations

import ipaddress
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from nftui.catalog.references import version_key
from nftui.model.dataclass import dataclass
from nftui.model.message import Message, msg
from nftui.model.redis import SAVE
from nftui.model.stack import Role
from nftui.model.units import MIB, human_size, parse_size
from nftui.optimizations._servers import variables
from nftui.optimizations.redis.knobs import CLUSTER, SHARES
from nftui.optimizations.redis.replica import holds_data, networks_of, obstacle, other_mounts, port_of, twin
from nftui.optimizations.redis.server import key_services, watch_names

if TYPE_CHECKING:
    from nftui.catalog.connections import Connection, Rewrite
    from nftui.optimizations.redis.server import Server

NODE_FLOOR = 48 * MIB
"""Of each: an empty server, its buffers for a replica, and the fork of a save."""
_SINCE = (7, 0)
"""cluster-announce-hostname, ADDSLOTSRANGE and PEXPIRETIME."""
_POOL = [f"10.109.{number}.0/28" for number in range(256)]
"""Outside of what Docker deals out by itself (172.17.0.0/12 and 192.168.0.0/16)."""
_LEAST = 16
"""Addresses of a range: six nodes, a gateway, and room."""
_NETWORKS = {CLUSTER: "nodes"}

Tell = Callable[["Connection", Mapping[str, str]], "Rewrite"]
"""A client and its variables as they are written, to what they become."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the servers are that take the keys of one."""

    mode: str
    service: str
    subnet: str
    network: str
    """As the engine names it."""
    key: str
    """As the Compose file names it."""
    port: int
    project: str

    @property
    def names(self) -> tuple[str, ...]:
        """The services that hold keys, masters first."""
        return key_services(self.service, self.mode)

    @property
    def all_names(self) -> tuple[str, ...]:
        """Those, and who watches them."""
        return (*self.names, *watch_names(self.service, self.mode))

    def volume(self, name: str) -> str:
        """Of that service, as the engine names it."""
        return f"{self.project}_{name}"

    def address(self, index: int) -> str:
        """Of a service, by its place in `all_names`: after the network's own and the gateway's."""
        return str(ipaddress.ip_network(self.subnet)[index + 2])


def layout(server: Server, mode: str, subnet: str) -> Layout:
    """Names that follow from the project and the service."""
    key = f"{server.name}-{_NETWORKS.get(mode, 'sentinels')}"
    return Layout(mode, server.name, subnet, f"{server.project}_{key}", key, int(port_of(server)), server.project)


# -- what forbids it -----------------------------------------------------------------------------------------------
def obstacles(server: Server, mode: str, image: str | None, tell: Tell) -> Iterator[Message]:
    """Beside the gate's verdict on its clients."""
    why = obstacle(server)
    if why is not None:
        yield why
        return
    assert server.live is not None
    if server.service.role is not Role.REDIS or version_key(server.live.version) < _SINCE:
        yield msg("it runs {version}; servers that are told apart by name, and keys that are proven to end at the "
                  "same moment, need Redis 7.0", version=server.live.version)  # fmt: skip
    if server.live.replicas:
        yield msg("{count} replicas follow it, and would let it take writes again", count=server.live.replicas)
    if server.live.accounts > 1 or server.live.functions:
        yield msg("it has accounts or functions of its own (ACL, FUNCTION), which are not among its keys")
    searches = sum(count for name, count in server.live.commands.items() if name.lower().startswith("ft."))
    if searches:
        yield msg("search indexes are used in it ({count} calls of FT.*), which are not among its keys", count=searches)
    if image not in (None, server.service.image):
        yield msg("its nodes run the image of the server, so that what is written to them can be carried back")
    names = key_services(server.name, mode)
    yield from (
        msg("nodes of {other} would have the same names; rename one of the two", other=other)
        for other in server.others if key_services(other, mode) == names
    )  # fmt: skip
    yield from _untold(server, mode, tell)
    yield from _no_room(server, mode)


def _untold(server: Server, mode: str, tell: Tell) -> Iterator[Message]:
    what = "a cluster" if mode == CLUSTER else "Sentinel"
    for user in server.all_users:
        if tell(user, variables(user.client)).refused:
            yield msg("it is not known by which variables {service} is told of {what}", service=user.client.name,
                      what=what)  # fmt: skip


def node_needs(used: int, mode: str) -> int:
    """Bytes that each needs for its share of `used`, with room to grow and for the fork of a save."""
    return max(NODE_FLOOR, int(used / SHARES[mode] * 1.25 / 0.6))


def _no_room(server: Server, mode: str) -> Iterator[Message]:
    needed, left = node_needs(server.used, mode), server.node_memory.get(mode)
    if left is not None and left < needed:
        yield msg("{count} nodes need {needed} each, and {left} are left for each on this machine",
                  count=len(key_services(server.name, mode)), needed=human_size(needed),
                  left=human_size(left))  # fmt: skip


# -- addresses -----------------------------------------------------------------------------------------------------
def choose_range(server: Server, mode: str, chosen: str | None) -> str | Message:
    """The range in use; the chosen one; else one that nobody has. A Message says why it cannot be."""
    own = layout(server, mode, _POOL[0]).network
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
    """Each project looks from a place of its own: two that plan at the same moment do not see each other's choice."""
    start = zlib.crc32(server.project.encode()) % len(_POOL)
    ranges = (*_POOL[start:], *_POOL[:start])
    free = (text for text in ranges if _owner(server, ipaddress.IPv4Network(text), "") is None)
    for number, text in enumerate(free):
        if number == server.place:
            return text
    return msg("no range of addresses is free; name one by {id}.subnet", id="redis")


# -- what is written -----------------------------------------------------------------------------------------------
def as_node(server: Server, mode: str, memory: str | None) -> Server:
    """What advice on memory is given for: one of them with its share of the keys."""
    live = replace(server.live, used_memory=server.used // SHARES[mode]) if server.live else None
    return replace(server, memory=parse_size(memory or ""), live=live)


def member(
    server: Server, where: Layout, name: str, settings: Mapping[str, str], memory: int | None
) -> dict[str, object]:
    """One of them whole, with `memory` bytes as its limit. Raises CannotMerge."""
    definition = twin(server, None, settings)
    for key in ("deploy", "mem_reservation"):
        definition.pop(key, None)
    address = where.address(where.all_names.index(name))
    return {
        **definition,
        "networks": {**{n: {} for n in networks_of(server.service)}, where.key: {"ipv4_address": address}},
        "volumes": [data_mount(server, where.volume(name)), *other_mounts(server)],
        "stop_grace_period": "30s",
        **({"mem_limit": memory} if memory else {}),
    }


def logged(server: Server) -> dict[str, str]:
    """A log and snapshots, whatever the server has."""
    asked = server.flags.get("save")
    return {"appendonly": "yes", **({} if asked is None or asked.strip("\"' ") else {"save": SAVE})}


def data_mount(server: Server, volume: str) -> dict[str, object]:
    """The volume in the place where the image keeps its data."""
    return {"type": "volume", "source": volume, "target": data_place(server)}


def data_place(server: Server) -> str:
    """Where the image keeps its data."""
    return next(m.target for m in server.service.mounts if holds_data(server, m))


def user_parts(server: Server, where: Layout, tell: Tell) -> dict[str, dict[str, object]]:
    """Each app that uses it, told of them."""
    ready = "service_healthy" if server.service.config.get("healthcheck") else "service_started"
    needs = {name: {"condition": ready if name in where.names else "service_started"} for name in where.all_names}
    found: dict[str, dict[str, object]] = {}
    for user in server.all_users:
        told = tell(user, variables(user.client)).values
        part = found.setdefault(user.client.name, {"environment": {}, "depends_on": needs})
        part["environment"] = {**_mapping(part["environment"]), **told}
    return found


def _mapping(value: object) -> Mapping[str, str]:
    return value if isinstance(value, Mapping) else {}
