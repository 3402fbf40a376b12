"""Shards and replicas of collections that apps reach by an alias: advice, the copy that it takes, what drift watches.

Their number is fixed when a collection is created, so another one is made beside it and the alias is switched. Pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nftui.catalog.addresses import find_address
from nftui.catalog.names import Names
from nftui.model.advice import Assertion
from nftui.model.ai import QdrantFacts
from nftui.model.errors import UsageError
from nftui.model.message import Message, msg
from nftui.model.plan import DataSwitch, Handover, Resume, StepSpec, Undo
from nftui.model.stack import Role
from nftui.optimizations.qdrant.knobs import ID
from nftui.optimizations.qdrant.line import Line
from nftui.optimizations.qdrant.nodes import nodes, shards, troubles
from nftui.optimizations.qdrant.server import build_server
from nftui.steps.qdrant_reshard import artefact_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nftui.model.advice import Fragment
    from nftui.model.ai import Collection
    from nftui.model.choices import Choices
    from nftui.model.facts import Facts
    from nftui.model.stack import Service
    from nftui.optimizations.qdrant.server import Server

PREFIX = "alias."
SHARDS, REPLICAS = "shards", "replicas"
SOURCE = "AI reference 2.7"
_PER_NODE = 2
_READS = 5
"""How often all points are read while the writers are held: compared twice, each time both, and the old one again."""
_BYTES_S = 8 * 1024 * 1024
_POINTS_S = 4000
"""Read as JSON, on two slow cores."""
_FIXED_S = 3.0
_STALL_S = 600.0
_MADE = re.compile(r"-s\d+r\d+(-\d+)?$")


def is_own(knob: str) -> bool:
    """Whether that knob is about an alias."""
    return knob.startswith(PREFIX)


# -- advice --------------------------------------------------------------------------------------------------------
def sharding_lines(server: Server, choices: Choices) -> list[Line]:
    """Two for each alias. Raises UsageError for a spread that must not or cannot be."""
    if server.live is None or server.live.cluster is None:
        return []
    known = {alias for c in server.live.collections for alias in c.aliases}
    _must_be_known(server, choices, known)
    found = [line for c in server.live.collections for line in _lines(server, choices, c)]
    if found:
        cluster = server.live.cluster
        found[0].notes += [
            msg("{service} is a node of a cluster of {peers} ({nodes}). Shards: {shards}. A snapshot of one node holds "
                "its own shards only, so the index is left alone.", service=server.name, peers=server.live.peers,
                nodes=nodes(cluster), shards=shards(server.live, cluster)),
            *troubles(server.live, cluster),
        ]  # fmt: skip
    return found


def _must_be_known(server: Server, choices: Choices, known: set[str]) -> None:
    for name in asked(server, choices):
        if name not in known:
            raise _refused(server, name, msg(
                "it has no such alias (known: {known}). A collection that apps reach by its own name cannot be "
                "switched without them: give it an alias, and let them use that.", known=", ".join(sorted(known)) or "-"
            ))  # fmt: skip


def asked(server: Server, choices: Choices) -> list[str]:
    """Aliases for which the operator said something."""
    own = [k for o, s, k in choices.values if o == ID and s in (None, server.name) and k.startswith(PREFIX)]
    return sorted({knob.removeprefix(PREFIX).rpartition(".")[0] for knob in own})


def refuse_alone(server: Server, choices: Choices) -> None:
    """One node has nowhere to put more shards. Raises UsageError where some were asked for."""
    for name in asked(server, choices):
        raise _refused(server, name, msg(
            "it is one node, and serves every shard itself. Several nodes need cluster mode: "
            "QDRANT__CLUSTER__ENABLED=true on each, the first one started with --uri, the others with --bootstrap, and "
            "port 6335 open between them"
        ))  # fmt: skip


def _refused(server: Server, alias: str, why: Message) -> UsageError:
    return UsageError(
        msg("{id}.{knob} is refused for {service}: {why}", id=ID, knob=f"{PREFIX}{alias}", service=server.name,
            why=why)
    )  # fmt: skip


def _lines(server: Server, choices: Choices, collection: Collection) -> Iterator[Line]:
    assert server.live is not None
    peers = server.live.peers
    wanted = {what: _chosen(server, choices, collection, what) for what in (SHARDS, REPLICAS)}
    _must_be_possible(server, collection, wanted, peers)
    advised = {
        SHARDS: (collection.shards, collection.shards if collection.shards >= peers else _PER_NODE * peers,
                 msg("Their number is fixed when a collection is created: a new one is filled, proven equal, and the "
                     "alias switched.")),
        REPLICAS: (collection.copies, max(collection.copies, min(2, peers)),
                   msg("With one copy the points of a node that is down cannot be found.")),
    }  # fmt: skip
    for alias in collection.aliases:
        for what, (now, best, why) in advised.items():
            value = wanted[what]
            yield Line(f"{PREFIX}{alias}.{what}", value or str(now), str(now), str(best), why, SOURCE, value is None)


def _chosen(server: Server, choices: Choices, collection: Collection, what: str) -> str | None:
    """One word for all aliases of a collection: they lead to the same points."""
    said = {alias: choices.value(ID, server.name, f"{PREFIX}{alias}.{what}") for alias in collection.aliases}
    values = sorted({value for value in said.values() if value is not None})
    if len(values) > 1:
        raise _refused(server, collection.aliases[0], msg(
            "{aliases} lead to {name} all, and were given different values",
            aliases=", ".join(collection.aliases), name=collection.name
        ))  # fmt: skip
    return values[0] if values else None


def _must_be_possible(server: Server, collection: Collection, wanted: Mapping[str, str | None], peers: int) -> None:
    live = server.live
    if live is None or live.cluster is None or not _differs(collection, wanted):
        return
    alias = collection.aliases[0]
    if int(wanted[REPLICAS] or 1) > peers:
        raise _refused(server, alias, msg("there are {peers} nodes, and each holds one copy of a shard", peers=peers))
    wrong = list(troubles(live, live.cluster))
    if wrong:
        raise _refused(server, alias, msg("the cluster is not whole. {why}", why=wrong[0]))
    if not collection.optimizes:
        raise _refused(server, alias, msg(
            "the optimizers of {name} are switched off (max_optimization_threads=0), so a copy would get no index",
            name=collection.name
        ))  # fmt: skip
    if server.named.get(collection.name):
        raise _refused(server, alias, msg(
            "{services} names the collection {name} itself: let it use the alias first",
            services=", ".join(server.named[collection.name]), name=collection.name
        ))  # fmt: skip


def _differs(collection: Collection, wanted: Mapping[str, str | None]) -> bool:
    present = {SHARDS: str(collection.shards), REPLICAS: str(collection.copies)}
    return any(value is not None and value != present[what] for what, value in wanted.items())


# -- what it takes -------------------------------------------------------------------------------------------------
def switches(facts: Facts, fragment: Fragment) -> Iterator[DataSwitch]:
    """Each collection that shall lie on other shards."""
    for service, values in sorted(fragment.values.items()):
        live = facts.live_value(service, ID)
        found = facts.stack.service(service)
        for collection in live.collections if isinstance(live, QdrantFacts) and found else ():
            wanted = _wanted(collection, values)
            if found and isinstance(live, QdrantFacts) and _differs(collection, wanted):
                yield _switch(facts, build_server(facts, found, {}), live, collection, wanted)


def _wanted(collection: Collection, values: Mapping[str, str]) -> dict[str, str | None]:
    found = {what: [values.get(f"{PREFIX}{a}.{what}") for a in collection.aliases] for what in (SHARDS, REPLICAS)}
    return {what: next((v for v in said if v is not None), None) for what, said in found.items()}


def _switch(
    facts: Facts, server: Server, live: QdrantFacts, collection: Collection, wanted: Mapping[str, str | None]
) -> DataSwitch:
    number, copies = int(wanted[SHARDS] or collection.shards), int(wanted[REPLICAS] or collection.copies)
    new = _name(collection.name, number, copies, [c.name for c in live.collections])
    writers = users(facts, server.nodes)
    size = sum(v.size * 4 for v in collection.index.vectors) * (collection.points or 0)
    seconds = round(_FIXED_S + _READS * (size * 3 / _BYTES_S + (collection.points or 0) / _POINTS_S), 1)
    common = {"old": collection.name, "new": new}
    steps = _steps(server, collection, common, (number, copies), seconds, writers)
    return DataSwitch(
        dataset=f"{server.name}-{collection.name}",
        service=server.name,
        source=_place(server, collection.name),
        target=_place(server, new),
        fence={},
        writers=writers,
        downtime_s=seconds,
        handover=Handover(close=steps[1:2], open=steps[2:], users=(), before=steps[:1], renews=False),
        size_bytes=size,
    )


def _place(server: Server, collection: str) -> dict[str, str]:
    return {"type": "collection", "name": artefact_of(server.name, collection)}


def _name(old: str, number: int, copies: int, taken: Sequence[str]) -> str:
    """Of the new collection: it tells its spread, and is nobody's."""
    name = wanted = f"{_MADE.sub('', old)}-s{number}r{copies}"
    count = 2
    while name in taken:
        name, count = f"{wanted}-{count}", count + 1
    return name


def _steps(
    server: Server, collection: Collection, common: dict[str, str], spread: tuple[int, int], seconds: float,
    writers: tuple[str, ...],
) -> tuple[StepSpec, StepSpec, StepSpec]:  # fmt: skip
    old, new, target = common["old"], common["new"], f"{server.name}/{common['new']}"
    aliases = ", ".join(collection.aliases)
    make = StepSpec(
        "shards", "qdrant-shards", target, {**common, "shards": spread[0], "copies": spread[1]},
        msg("make {new} with {shards} shards x {copies}, and fill it from {old}", new=new, shards=spread[0],
            copies=spread[1], old=old),
        server.name, optimization=ID, resume=Resume.CONTINUE, stall_s=_STALL_S, last_back=True,
    )  # fmt: skip
    equal = StepSpec(
        "import", "qdrant-import", target, common,
        msg("copy what was written meanwhile, and compare every point of {old} and {new}", old=old, new=new),
        server.name, optimization=ID, downtime_s=seconds, resume=Resume.CONTINUE, stall_s=_STALL_S,
    )  # fmt: skip
    params = {
        **common, "aliases": list(collection.aliases), "nodes": list(server.nodes), "services": list(writers),
        "copied": "import", "dataset": f"{server.name}-{old}", "place": _place(server, old),
        "authority": _place(server, new),
    }  # fmt: skip
    lead = StepSpec(
        "alias", "qdrant-alias", aliases, params,
        msg("let {aliases} lead to {new}; going back carries back what was written to it", aliases=aliases, new=new),
        server.name, optimization=ID, undo=Undo.CARRY_BACK, undo_after_write=Undo.CARRY_BACK, stall_s=_STALL_S,
        first_back=True,
    )  # fmt: skip
    return make, equal, lead


def users(facts: Facts, nodes: Sequence[str]) -> tuple[str, ...]:
    """Running services that reach one of the nodes by a variable, or wait for one to start."""
    names = Names(facts.stack)
    return tuple(
        sorted(
            s.name
            for s in facts.stack.services
            if s.running is not None and s.role is not Role.QDRANT and _uses(s, set(nodes), names)
        )
    )


def _uses(service: Service, nodes: set[str], names: Names) -> bool:
    waits = service.config.get("depends_on") or ()
    if nodes & {str(name) for name in (waits if isinstance(waits, (dict, list, tuple)) else ())}:
        return True
    for value in service.environment.values():
        address = find_address(value) if value else None
        server = names.resolve(service, address.host, address.port) if address else None
        if server is not None and server.name in nodes:
            return True
    return False


# -- drift ---------------------------------------------------------------------------------------------------------
def assertions(fragment: Fragment) -> Iterator[Assertion]:
    """What the collection behind each alias is spread over."""
    for service, values in sorted(fragment.values.items()):
        for knob, value in sorted(values.items()):
            alias, _, what = knob.removeprefix(PREFIX).rpartition(".")
            if is_own(knob):
                params = {"service": service, "alias": alias, "name": what}
                yield Assertion("qdrant-alias", f"{service}.{knob}", value, params)
