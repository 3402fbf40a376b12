"""A Redis Cluster of nftui's own nodes: made one, seen whole from every node, and each shard tried by a write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import cast

from nftui.clients.rediscluster import SLOTS, info, myself, node_problem, slot_of, view
from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.steps.gate import containers_of
from nftui.steps.kind import Context, Data, Found, StepFailed, StoreCalls
from nftui.steps.reading import Reading

POLL_S = 0.5
_GRACE_S = 30
_LIFE_S, _WAIT_MS = "10", "2500"


@dataclass(frozen=True, slots=True)
class Node:
    """One server of the cluster, as the plan has it."""

    service: str
    address: str
    port: int
    follows: str | None
    """The service whose replica it is at first; None for a master. A failover changes that."""
    slots: tuple[int, int] | None
    """First and last slot of a master."""


def nodes_of(step: StepSpec) -> list[Node]:
    """Those among a step's parameters."""
    found = []
    for item in cast("list[Mapping[str, object]]", step.params["nodes"]):
        slots = cast("list[int] | None", item["slots"])
        follows = cast("str | None", item["follows"])
        at = (str(item["service"]), str(item["address"]), int(str(item["port"])))
        found.append(Node(*at, follows, (slots[0], slots[1]) if slots else None))
    return found


def owners(nodes: Sequence[Node], ctx: Context) -> dict[str, tuple[tuple[int, int], ...]]:
    """Service of each present master to its slots, by its own word. StepFailed where slots are nobody's."""
    found = {}
    for node in nodes:
        with closing(ctx.store(node.service)) as client:
            me = myself(view(client))
        if "master" in me.flags and me.slots:
            found[node.service] = me.slots
    if sum(last - first + 1 for slots in found.values() for first, last in slots) != SLOTS:
        raise StepFailed(msg("Not all slots of the cluster have a master: {masters}.", masters=", ".join(found)))
    return found


def why_not_whole(nodes: Sequence[Node], ctx: Context) -> str | None:
    """What any of the nodes sees amiss; None where all see the same whole cluster."""
    for node in nodes:
        try:
            with closing(ctx.store(node.service)) as client:
                why = node_problem(client, len(nodes))
        except (OSError, NftuiError) as error:
            why = str(error)
        if why:
            return f"{node.service}: {why}"
    return None


def wait_whole(step: StepSpec, ctx: Context) -> None:
    """Until every node sees the same whole cluster. StepFailed where that makes no progress."""
    _wait(step, lambda: why_not_whole(nodes_of(step), ctx), ctx)


def _wait(step: StepSpec, why_not: Callable[[], str | None], ctx: Context) -> None:
    last, deadline = "", ctx.now() + step.stall_s
    while (why := why_not()) is not None:
        if why != last:
            last, deadline = why, ctx.now() + step.stall_s
        if ctx.now() >= deadline:
            raise StepFailed(msg("The cluster does not come together: {why}.", why=why))
        ctx.progress(f"waiting for the cluster: {why}", None)
        ctx.sleep(POLL_S)


def probe_shards(step: StepSpec, ctx: Context) -> list[str]:
    """A key written to each master, acknowledged by its replica, and read. The masters' services."""
    found = owners(nodes_of(step), ctx)
    for service, slots in sorted(found.items()):
        key = next(k for k in _keys(step.id) if any(a <= slot_of(k.encode()) <= b for a, b in slots))
        with closing(ctx.store(service)) as client:
            _probe(client, service, key, ctx)
    return sorted(found)


def _keys(word: str) -> Iterator[str]:
    number = 0
    while True:
        yield f"nftui:shard-check:{{{word}{number}}}"
        number += 1


def _probe(client: StoreCalls, service: str, key: str, ctx: Context) -> None:
    try:
        if client.ask("SET", key, ctx.run, "EX", _LIFE_S) != "OK":
            raise StepFailed(msg("{service} took no write: {why}", service=service, why=client.error))
        if client.ask("WAIT", "1", _WAIT_MS) in (0, None):
            raise StepFailed(msg("No replica has what is written to {service}.", service=service))
        if client.ask("GET", key) != ctx.run:
            raise StepFailed(msg("{service} does not give back what was written to it.", service=service))
    finally:
        client.ask("DEL", key)


class RedisClusterKind:
    """Nodes that know of each other, slots given to the masters, each with its replica; idempotent at each command.

    Taken back with the nodes: their containers and volumes go, and nothing of it is anywhere else.
    """

    name = "redis-cluster"
    version = 1
    reads_files = True

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Nothing: what the nodes are is asked again at each command."""
        return {}

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """After: whole as each sees it."""
        nodes = nodes_of(step)
        if why_not_whole(nodes, ctx) is None:
            return Found.AFTER
        known = []
        for node in nodes:
            with closing(ctx.store(node.service)) as client:
                known.append(len(view(client)))
        return Found.PARTIAL if max(known) > 1 else Found.BEFORE

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Meet, give slots, follow: each only where it is not so yet."""
        nodes = nodes_of(step)
        ids = {n.service: self._ask(n, ctx, "CLUSTER", "MYID") for n in nodes}
        for number, node in enumerate(nodes, start=1):
            self._epoch(node, number, ctx)
        for node in nodes[1:]:
            self._meet(nodes[0], node, ids, ctx)
        _wait(step, lambda: _strangers(nodes, ctx), ctx)
        for node in nodes:
            self._take_slots(node, ctx)
            self._follow(node, ids, step, ctx)

    def _ask(self, node: Node, ctx: Context, *words: str) -> str:
        with closing(ctx.store(node.service)) as client:
            answer = client.ask(*words)
            if answer is None:
                raise StepFailed(
                    msg("{service} refused {words}: {why}", service=node.service, words=" ".join(words[:2]),
                        why=client.error)
                )  # fmt: skip
            return str(answer)

    def _epoch(self, node: Node, number: int, ctx: Context) -> None:
        """Epochs that differ from the start need no election to be told apart; only a fresh node takes one."""
        with closing(ctx.store(node.service)) as client:
            if len(view(client)) == 1 and info(client, "CLUSTER", "INFO").get("cluster_current_epoch") == "0":
                client.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number))

    def _meet(self, first: Node, node: Node, ids: Mapping[str, str], ctx: Context) -> None:
        with closing(ctx.store(first.service)) as client:
            known = {s.id for s in view(client)}
        if ids[node.service] not in known:
            self._ask(first, ctx, "CLUSTER", "MEET", node.address, str(node.port))

    def _take_slots(self, node: Node, ctx: Context) -> None:
        with closing(ctx.store(node.service)) as client:
            has = bool(myself(view(client)).slots)
        if node.slots and not has:
            self._ask(node, ctx, "CLUSTER", "ADDSLOTSRANGE", str(node.slots[0]), str(node.slots[1]))

    def _follow(self, node: Node, ids: Mapping[str, str], step: StepSpec, ctx: Context) -> None:
        if node.follows is None:
            return
        with closing(ctx.store(node.service)) as client:
            now = myself(view(client)).master
        if now != ids[node.follows]:
            self._ask(node, ctx, "CLUSTER", "REPLICATE", ids[node.follows])

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Whole and written to; and once more after all nodes were stopped and started at once."""
        wait_whole(step, ctx)
        probe_shards(step, ctx)
        for node in nodes_of(step):
            for container in containers_of(node.service, ctx):
                ctx.progress(f"restarting {node.service}", None)
                ctx.engine.restart(container.id, _GRACE_S)
        wait_whole(step, ctx)
        return {"masters": probe_shards(step, ctx)}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Nothing: it goes with the nodes."""


def _strangers(nodes: Sequence[Node], ctx: Context) -> str | None:
    for node in nodes:
        with closing(ctx.store(node.service)) as client:
            seen = view(client)
        known = [s for s in seen if "handshake" not in s.flags]
        if len(known) < len(nodes):
            return f"{node.service} knows {len(known)} of {len(nodes)} nodes"
    return None


class RedisShardsKind(Reading):
    """Every node sees the whole cluster, and every shard takes and gives back a write."""

    name = "redis-shards"
    version = 1
    reads_files = True

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed naming what is not."""
        wait_whole(step, ctx)
        return {"masters": probe_shards(step, ctx)}
