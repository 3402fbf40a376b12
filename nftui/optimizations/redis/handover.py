"""A cluster's part of the plan: what is written, what its steps are, how the keys get there, what drift watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.clients.rediscluster import WHOLE
from nftui.model.advice import Assertion, Fragment
from nftui.model.message import msg
from nftui.model.plan import DataSwitch, Handover, Resume, StepSpec, Undo
from nftui.model.redis import CLOSE, CLOSED, RedisFacts
from nftui.model.units import parse_size
from nftui.optimizations.redis.cluster import Layout, layout, node_definitions, user_parts
from nftui.optimizations.redis.command import merge
from nftui.optimizations.redis.knobs import CLUSTER, GRACE, ID, NAMES, NODE_MEMORY, SUBNET
from nftui.optimizations.redis.server import build_server

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nftui.model.advice import Advice
    from nftui.model.facts import Facts
    from nftui.optimizations.redis.server import Server

_STALL_S = 300.0
_COPIES_S = 6000
"""Keys a second, copied and compared, on two slow cores."""
_BYTES_S = 15 * 1024 * 1024
_FIXED_S = 3.0


def is_clustered(lines: Iterable[Advice]) -> bool:
    """Whether that server's lines ask for a cluster."""
    return any(line.knob == "mode" and line.value == CLUSTER for line in lines)


def cluster_part(server: Server, lines: Iterable[Advice]) -> Fragment:
    """Six nodes, the server closed, its apps told of the nodes."""
    values = {line.knob: str(line.value) for line in lines if line.knob in (*NAMES, "mode", SUBNET, NODE_MEMORY)}
    where = layout(server, values[SUBNET])
    settings = {NAMES[knob]: value.lower() for knob, value in values.items() if knob in NAMES}
    users = user_parts(server, where)
    grace = {line.knob: str(line.value) for line in lines if line.knob == GRACE}
    services: dict[str, Mapping[str, object]] = {
        **node_definitions(server, where, settings, parse_size(values.get(NODE_MEMORY, ""))), **users,
        server.name: {"command": merge(server.service, {**_as_it_runs(server), CLOSE: CLOSED}), **grace},
    }  # fmt: skip
    return Fragment(
        ID, services, {server.name: dict(sorted(values.items()))},
        own={name: (server.name, *sorted(users)) for name in where.names},
        volumes={name: {"external": True, "name": name} for name in where.volumes},
        networks={where.key: {"external": True, "name": where.network}},
    )  # fmt: skip


def _as_it_runs(server: Server) -> dict[str, str]:
    """What it runs with stays: a log that it ceased to write would come back with the way back, without what was
    carried there (databases reference 3.5)."""
    present = {knob: server.current(knob) for knob in NAMES}
    return {NAMES[k]: v.lower() for k, v in present.items() if v is not None and v != server.baseline(k)}


def clusters(facts: Facts, fragment: Fragment) -> Iterator[tuple[Server, Layout]]:
    """Servers in whose place the fragment puts a cluster."""
    for name, values in sorted(fragment.values.items()):
        service = facts.stack.service(name)
        if values.get("mode") == CLUSTER and service is not None:
            server = build_server(facts, service, {})
            yield server, layout(server, values[SUBNET])


def _settings(fragment: Fragment, where: Layout) -> dict[str, str]:
    values = fragment.values[where.service]
    return {NAMES[knob]: value for knob, value in sorted(values.items()) if knob in NAMES}


# -- steps ---------------------------------------------------------------------------------------------------------
def prepare(facts: Facts, fragment: Fragment) -> Iterator[StepSpec]:
    """The places of the nodes, before anything is touched."""
    for server, where in clusters(facts, fragment):
        yield StepSpec(
            id=f"{ID}-places:{server.name}", kind="own-places", target=where.network, service=server.name,
            params={"volumes": list(where.volumes), "network": {"name": where.network, "subnet": where.subnet}},
            summary=msg("make {count} volumes, and the network {subnet}", count=len(where.volumes),
                        subnet=where.subnet),
            optimization=ID, last_back=True,
        )  # fmt: skip


def live_steps(facts: Facts, fragment: Fragment) -> Iterator[StepSpec]:
    """The nodes read back and made one, before anything goes there; and every shard tried once the apps use it."""
    for server, where in clusters(facts, fragment):
        nodes = {"nodes": where.nodes()}
        for name in where.names:
            params = {"expected": _settings(fragment, where), "previous": {}, "log": None}
            yield StepSpec(
                f"{ID}-settings:{name}", "redis-settings", name, params,
                msg("read {count} settings back from {service}", count=len(_settings(fragment, where)), service=name),
                name, optimization=ID,
            )  # fmt: skip
        yield StepSpec(
            f"{ID}-cluster:{server.name}", "redis-cluster", server.name, nodes,
            msg("make the six nodes one cluster, write to each shard, restart all six and write again"),
            where.names[-1], optimization=ID, stall_s=_STALL_S,
        )  # fmt: skip
        yield StepSpec(
            f"{ID}-shards:{server.name}", "redis-shards", server.name, nodes,
            msg("write to each shard and read it"), server.name, optimization=ID, stall_s=_STALL_S,
        )  # fmt: skip


def switches(facts: Facts, fragment: Fragment) -> Iterator[DataSwitch]:
    """The keys of each such server."""
    for server, where in clusters(facts, fragment):
        live = server.live if isinstance(server.live, RedisFacts) else RedisFacts("")
        seconds = _FIXED_S + (live.keys or 0) / _COPIES_S + (live.used_memory or 0) / _BYTES_S
        users = tuple(sorted({user.client.name for user in server.users}))
        writers = tuple(sorted({user.client.name for user in server.users if user.client.running}))
        yield DataSwitch(
            dataset=f"{server.name}-keys",
            service=server.name,
            source={"type": "server", "name": server.name},
            target={"type": "server", "name": f"{where.names[0]} … {where.names[-1]}"},
            fence={},
            writers=writers,
            downtime_s=round(seconds, 1),
            handover=Handover(_closing(server, where, seconds), (_carry(server, where, writers),), users),
            size_bytes=live.used_memory,
        )


def _closing(server: Server, where: Layout, seconds: float) -> tuple[StepSpec, ...]:
    name = server.name
    return (
        StepSpec("close", "redis-close", name, {}, msg("let {service} take no writes any more", service=name), name,
                 optimization=ID),
        StepSpec("save", "redis-save", name, {}, msg("save {service}, and count its keys", service=name), name,
                 optimization=ID, stall_s=_STALL_S),
        StepSpec("import", "redis-import", name, {"nodes": where.nodes()},
                 msg("copy every key of {service} to the nodes, and compare them all", service=name), name,
                 optimization=ID, downtime_s=round(seconds, 1), resume=Resume.CONTINUE, stall_s=_STALL_S),
    )  # fmt: skip


def _carry(server: Server, where: Layout, writers: tuple[str, ...]) -> StepSpec:
    new = f"{where.names[0]} … {where.names[-1]}"
    params = {
        "nodes": where.nodes(), "volumes": list(where.volumes), "services": list(writers),
        "dataset": f"{server.name}-keys", "place": {"type": "server", "name": server.name},
        "authority": {"type": "server", "name": new},
    }  # fmt: skip
    return StepSpec(
        "carry", "redis-carry", server.name, params,
        msg("from here on {new} hold what counts; going back carries every key back", new=new), server.name,
        optimization=ID, undo=Undo.CARRY_BACK, undo_after_write=Undo.CARRY_BACK, first_back=True, stall_s=_STALL_S,
    )  # fmt: skip


# -- drift ---------------------------------------------------------------------------------------------------------
def assertions(facts: Facts, fragment: Fragment) -> Iterator[Assertion]:
    """Each node's settings and view of the whole; that the server it came from is still closed."""
    for server, where in clusters(facts, fragment):
        yield Assertion("redis-setting", f"{server.name}.{CLOSE}", CLOSED, {"service": server.name, "name": CLOSE},
                        "high")  # fmt: skip
        for node in where.names:
            yield Assertion("redis-node", f"{node}.cluster", WHOLE, {"service": node, "name": "cluster"}, "high")
            for name, value in _settings(fragment, where).items():
                yield Assertion("redis-setting", f"{node}.{name}", value, {"service": node, "name": name})
