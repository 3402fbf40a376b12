"""Keys that go to a cluster, or under Sentinel: what is written, how they get there, what drift watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.clients.rediscluster import WHOLE
from nftui.model.advice import TOLD, Assertion, Fragment
from nftui.model.message import msg
from nftui.model.plan import DataSwitch, Handover, Resume, StepSpec, Undo
from nftui.model.redis import CLOSE, CLOSED, RedisFacts
from nftui.model.units import parse_size
from nftui.optimizations.redis.beside import Layout, layout
from nftui.optimizations.redis.command import merge
from nftui.optimizations.redis.knobs import CLUSTER, GRACE, ID, NAMES, NODE_MEMORY, SHARES, SUBNET
from nftui.optimizations.redis.moving import definitions, step_params, told
from nftui.optimizations.redis.server import MODE_LABEL, build_server

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


def is_moved(lines: Iterable[Advice]) -> bool:
    """Whether that server's lines send its keys elsewhere."""
    return any(line.knob == "mode" and line.value in SHARES for line in lines)


def moved_part(server: Server, lines: Iterable[Advice]) -> Fragment:
    """The servers that take its keys, itself closed, its apps told of them."""
    values = {line.knob: str(line.value) for line in lines if line.knob in (*NAMES, "mode", SUBNET, NODE_MEMORY)}
    where = layout(server, values["mode"], values[SUBNET])
    settings = {NAMES[knob]: value.lower() for knob, value in values.items() if knob in NAMES}
    users = told(server, where)
    grace = {line.knob: str(line.value) for line in lines if line.knob == GRACE}
    services: dict[str, Mapping[str, object]] = {
        **definitions(server, where, settings, parse_size(values.get(NODE_MEMORY, ""))), **users,
        server.name: {"command": merge(server.service, {**_as_it_runs(server), CLOSE: CLOSED}), **grace,
                      **({} if where.mode == CLUSTER else {"labels": {MODE_LABEL: where.mode}})},
    }  # fmt: skip
    return Fragment(
        ID, services, {server.name: dict(sorted(values.items()))},
        own={name: (server.name, *sorted(users)) for name in where.all_names},
        volumes={where.volume(name): {"external": True, "name": where.volume(name)} for name in where.all_names},
        networks={where.key: {"external": True, "name": where.network}},
    )  # fmt: skip


def _as_it_runs(server: Server) -> dict[str, str]:
    """What it runs with stays: a log that it ceased to write would come back with the way back, without what was
    carried there (databases reference 3.5)."""
    present = {knob: server.current(knob) for knob in NAMES}
    return {NAMES[k]: v.lower() for k, v in present.items() if v is not None and v != server.baseline(k)}


def moved(facts: Facts, fragment: Fragment) -> Iterator[tuple[Server, Layout]]:
    """Servers whose keys the fragment sends elsewhere, and where to."""
    for name, values in sorted(fragment.values.items()):
        service = facts.stack.service(name)
        if values.get("mode") in SHARES and service is not None:
            server = build_server(facts, service, {})
            yield server, layout(server, values["mode"], values[SUBNET])


def _settings(fragment: Fragment, where: Layout) -> dict[str, str]:
    values = fragment.values[where.service]
    return {NAMES[knob]: value for knob, value in sorted(values.items()) if knob in NAMES}


# -- steps ---------------------------------------------------------------------------------------------------------
def prepare(facts: Facts, fragment: Fragment) -> Iterator[StepSpec]:
    """The places of those servers, before anything is touched."""
    for server, where in moved(facts, fragment):
        yield StepSpec(
            id=f"{ID}-places:{server.name}", kind="own-places", target=where.network, service=server.name,
            params={"volumes": [where.volume(name) for name in where.all_names],
                    "network": {"name": where.network, "subnet": where.subnet}},
            summary=msg("make {count} volumes, and the network {subnet}", count=len(where.all_names),
                        subnet=where.subnet),
            optimization=ID, last_back=True,
        )  # fmt: skip


def live_steps(facts: Facts, fragment: Fragment) -> Iterator[StepSpec]:
    """Those servers read back and made one, before anything goes there; and tried again once the apps use them."""
    for _, where in moved(facts, fragment):
        for name in where.names:
            params = {"expected": _settings(fragment, where), "previous": {}, "log": None}
            yield StepSpec(
                f"{ID}-settings:{name}", "redis-settings", name, params,
                msg("read {count} settings back from {service}", count=len(_settings(fragment, where)), service=name),
                name, optimization=ID,
            )  # fmt: skip
        yield from _cluster_steps(where) if where.mode == CLUSTER else _sentinel_steps(where)


def _cluster_steps(where: Layout) -> Iterator[StepSpec]:
    params = step_params(where)
    yield StepSpec(
        f"{ID}-cluster:{where.service}", "redis-cluster", where.service, params,
        msg("make the six nodes one cluster, write to each shard, restart all six and write again"),
        where.names[-1], optimization=ID, stall_s=_STALL_S,
    )  # fmt: skip
    yield StepSpec(
        f"{ID}-shards:{where.service}", "redis-shards", where.service, params,
        msg("write to each shard and read it"), where.service, optimization=ID, stall_s=_STALL_S,
    )  # fmt: skip


def _sentinel_steps(where: Layout) -> Iterator[StepSpec]:
    """Failed over while nobody uses them yet: that is when it costs nothing."""
    params = step_params(where)
    for name in where.names:
        yield StepSpec(
            f"{ID}-together:{name}", "redis-sentinel", where.service, {**params, "trial": False, "apart": True},
            msg("wait until the Sentinels see {service} with the other server, and write to the master", service=name),
            name, optimization=ID, stall_s=_STALL_S, apart=True,
        )  # fmt: skip
    yield StepSpec(
        f"{ID}-failover:{where.service}", "redis-sentinel", where.service, {**params, "trial": True},
        msg("ask each Sentinel, write to the master, restart all five, let each server be the master once"),
        where.all_names[-1], optimization=ID, stall_s=_STALL_S,
    )  # fmt: skip
    yield StepSpec(
        f"{ID}-sentinel:{where.service}", "redis-sentinel", where.service, {**params, "trial": False},
        msg("ask each Sentinel, and write to the master that they name"), where.service, optimization=ID,
        stall_s=_STALL_S,
    )  # fmt: skip


def switches(facts: Facts, fragment: Fragment) -> Iterator[DataSwitch]:
    """The keys of each such server."""
    for server, where in moved(facts, fragment):
        live = server.live if isinstance(server.live, RedisFacts) else RedisFacts("")
        seconds = _FIXED_S + (live.keys or 0) / _COPIES_S + (live.used_memory or 0) / _BYTES_S
        users = tuple(sorted({user.client.name for user in server.all_users}))
        writers = tuple(sorted({user.client.name for user in server.users if user.client.running}))
        yield DataSwitch(
            dataset=f"{server.name}-keys",
            service=server.name,
            source={"type": "server", "name": server.name},
            target={"type": "server", "name": _name_of(where)},
            fence={},
            writers=writers,
            downtime_s=round(seconds, 1),
            handover=Handover(_closing(server, where, seconds), (_carry(server, where, writers),), users),
            size_bytes=live.used_memory,
        )


def _closing(server: Server, where: Layout, seconds: float) -> tuple[StepSpec, ...]:
    name = server.name
    asked: dict[str, object] = {} if where.mode == CLUSTER else {"databases": True}
    return (
        StepSpec("close", "redis-close", name, asked, msg("let {service} take no writes any more", service=name), name,
                 optimization=ID),
        StepSpec("save", "redis-save", name, {}, msg("save {service}, and count its keys", service=name), name,
                 optimization=ID, stall_s=_STALL_S),
        StepSpec("import", "redis-import", name, step_params(where),
                 msg("copy every key of {service} to {new}, and compare them all", service=name, new=_name_of(where)),
                 name, optimization=ID, downtime_s=round(seconds, 1), resume=Resume.CONTINUE, stall_s=_STALL_S),
    )  # fmt: skip


def _name_of(where: Layout) -> str:
    return f"{where.names[0]} … {where.names[-1]}"


def _carry(server: Server, where: Layout, writers: tuple[str, ...]) -> StepSpec:
    new = _name_of(where)
    params = {
        **step_params(where), "volumes": [where.volume(name) for name in where.names], "services": list(writers),
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
    """Each server's settings and view of the whole; that the one they came from is still closed."""
    for server, where in moved(facts, fragment):
        yield Assertion("redis-setting", f"{server.name}.{CLOSE}", CLOSED, {"service": server.name, "name": CLOSE},
                        "high")  # fmt: skip
        yield from _cluster_assertions(where) if where.mode == CLUSTER else _sentinel_assertions(where)
        for node in where.names:
            for name, value in _settings(fragment, where).items():
                yield Assertion("redis-setting", f"{node}.{name}", value, {"service": node, "name": name})


def _cluster_assertions(where: Layout) -> Iterator[Assertion]:
    for node in where.names:
        yield Assertion("redis-node", f"{node}.cluster", WHOLE, {"service": node, "name": "cluster"}, "high")


def _sentinel_assertions(where: Layout) -> Iterator[Assertion]:
    """What each Sentinel sees. Who is the master may change, and is told then: that is what it is there for."""
    sentinels = where.all_names[len(where.names) :]
    for name in sentinels:
        params = {"service": name, "name": "view"}
        yield Assertion("redis-sentinel", f"{name}.view", WHOLE, params, "high")
    params = {"service": sentinels[0], "name": "master"}
    yield Assertion("redis-master", f"{where.service}.master", where.names[0], params, TOLD)
