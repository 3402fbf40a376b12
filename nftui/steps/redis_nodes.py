"""A Redis Cluster of nftui's own nodes: made one, seen whole from every node, and each shard tried by a write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import cast

from nftui.clients.rediscluster import SLOTS, Seen, info, myself, node_problem, slot_of, view
from nftui.model.dataclass import dataclass
from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.steps.calls import Data, StoreCalls
from nftui.steps.gate import containers_of
from nftui.steps.kind import Context, Found, StepFailed
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


class Fleet:
    """Sessions with the nodes, each opened when it is first needed, and again where it broke."""

    def __init__(self, nodes: Sequence[Node], ctx: Context) -> None:
        self.nodes, self.ctx = nodes, ctx
        self._open: dict[str, StoreCalls] = {}

    def client(self, service: str) -> StoreCalls:
        """Raises NftuiError where it does not answer."""
        if service not in self._open:
            self._open[service] = self.ctx.store(service)
        return self._open[service]

    def drop(self, service: str) -> None:
        """That one broke, or its server is about to go."""
        client = self._open.pop(service, None)
        if client is not None:
            with suppress(OSError):
                client.close()

    def ask(self, node: Node, *words: str) -> str:
        """StepFailed where it is refused."""
        client = self.client(node.service)
        answer = client.ask(*words)
        if answer is None:
            raise StepFailed(
                msg("{service} refused {words}: {why}", service=node.service, words=" ".join(words[:2]),
                    why=client.error)
            )  # fmt: skip
        return str(answer)

    def view(self, node: Node) -> list[Seen]:
        """All nodes as that one sees them."""
        return view(self.client(node.service))

    def close(self) -> None:
        """End the sessions."""
        for service in tuple(self._open):
            self.drop(service)


def owners(fleet: Fleet) -> dict[str, tuple[tuple[int, int], ...]]:
    """Service of each present master to its slots, by its own word. StepFailed where slots are nobody's."""
    found = {}
    for node in fleet.nodes:
        me = myself(fleet.view(node))
        if "master" in me.flags and me.slots:
            found[node.service] = me.slots
    if sum(last - first + 1 for slots in found.values() for first, last in slots) != SLOTS:
        raise StepFailed(msg("Not all slots of the cluster have a master: {masters}.", masters=", ".join(found)))
    return found


def why_not_whole(fleet: Fleet) -> str | None:
    """What any of the nodes sees amiss; None where all see the same whole cluster."""
    for node in fleet.nodes:
        try:
            why = node_problem(fleet.client(node.service), len(fleet.nodes))
        except (OSError, NftuiError) as error:
            fleet.drop(node.service)
            why = str(error)
        if why:
            return f"{node.service}: {why}"
    return None


def wait_whole(step: StepSpec, fleet: Fleet) -> None:
    """Until every node sees the same whole cluster. StepFailed where that makes no progress."""
    wait(step, lambda: why_not_whole(fleet), fleet.ctx)


def wait(step: StepSpec, why_not: Callable[[], str | None], ctx: Context) -> None:
    """Until nothing is amiss. StepFailed where what is amiss stays the same for too long."""
    last, deadline = "", ctx.now() + step.stall_s
    while (why := why_not()) is not None:
        if why != last:
            last, deadline = why, ctx.now() + step.stall_s
        if ctx.now() >= deadline:
            raise StepFailed(msg("The servers do not come together: {why}.", why=why))
        ctx.progress(f"waiting for the servers: {why}", None)
        ctx.sleep(POLL_S)


def probe_shards(step: StepSpec, fleet: Fleet) -> list[str]:
    """A key written to each master, acknowledged by its replica, and read. The masters' services."""
    found = owners(fleet)
    for service, slots in sorted(found.items()):
        key = next(k for k in _keys(step.id) if any(a <= slot_of(k.encode()) <= b for a, b in slots))
        probe_write(fleet.client(service), service, key, fleet.ctx)
    return sorted(found)


def _keys(word: str) -> Iterator[str]:
    number = 0
    while True:
        yield f"nftui:shard-check:{{{word}{number}}}"
        number += 1


def probe_write(client: StoreCalls, service: str, key: str, ctx: Context) -> None:
    """A key written, acknowledged by a replica, read, and taken away. StepFailed where it is not so."""
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
        with closing(Fleet(nodes_of(step), ctx)) as fleet:
            if why_not_whole(fleet) is None:
                return Found.AFTER
            fresh = all(_knows(fleet, node) == 1 for node in fleet.nodes)
        return Found.BEFORE if fresh else Found.PARTIAL

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Meet, give slots, follow: each only where it is not so yet."""
        with closing(Fleet(nodes_of(step), ctx)) as fleet:
            start(fleet)
            wait(step, lambda: _silent(fleet), ctx)
            ids = {n.service: fleet.ask(n, "CLUSTER", "MYID") for n in fleet.nodes}
            for number, node in enumerate(fleet.nodes, start=1):
                _set_epoch(fleet, node, number)
            for node in fleet.nodes[1:]:
                _meet(fleet, node, ids)
            wait(step, lambda: _strangers(fleet), ctx)
            for node in fleet.nodes:
                _take_slots(fleet, node)
                _follow(fleet, node, ids)

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Whole and written to; and once more after all nodes were down at once."""
        with closing(Fleet(nodes_of(step), ctx)) as fleet:
            wait_whole(step, fleet)
            probe_shards(step, fleet)
            restart(fleet)
            wait_whole(step, fleet)
            return {"masters": probe_shards(step, fleet)}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Nothing: it goes with the nodes."""


def _knows(fleet: Fleet, node: Node) -> int:
    """How many nodes it knows; 0 where it does not answer."""
    try:
        return len(fleet.view(node))
    except (OSError, NftuiError):
        return 0


def start(fleet: Fleet) -> None:
    """Those that do not run. A life that ended while all were down left them so."""
    for node in fleet.nodes:
        for container in containers_of(node.service, fleet.ctx):
            if not container.running:
                fleet.ctx.engine.start(container.id)


def _silent(fleet: Fleet) -> str | None:
    return next((f"{n.service} does not answer" for n in fleet.nodes if not _knows(fleet, n)), None)


def _set_epoch(fleet: Fleet, node: Node, number: int) -> None:
    """Epochs that differ from the start need no election to be told apart; only a fresh node takes one."""
    client = fleet.client(node.service)
    if len(fleet.view(node)) == 1 and info(client, "CLUSTER", "INFO").get("cluster_current_epoch") == "0":
        client.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number))


def _meet(fleet: Fleet, node: Node, ids: Mapping[str, str]) -> None:
    first = fleet.nodes[0]
    if ids[node.service] not in {seen.id for seen in fleet.view(first)}:
        fleet.ask(first, "CLUSTER", "MEET", node.address, str(node.port))


def _strangers(fleet: Fleet) -> str | None:
    for node in fleet.nodes:
        known = [seen for seen in fleet.view(node) if "handshake" not in seen.flags]
        if len(known) < len(fleet.nodes):
            return f"{node.service} knows {len(known)} of {len(fleet.nodes)} nodes"
    return None


def _take_slots(fleet: Fleet, node: Node) -> None:
    if node.slots and not myself(fleet.view(node)).slots:
        fleet.ask(node, "CLUSTER", "ADDSLOTSRANGE", str(node.slots[0]), str(node.slots[1]))


def _follow(fleet: Fleet, node: Node, ids: Mapping[str, str]) -> None:
    if node.follows is not None and myself(fleet.view(node)).master != ids[node.follows]:
        fleet.ask(node, "CLUSTER", "REPLICATE", ids[node.follows])


def restart(fleet: Fleet) -> None:
    """All down before the first is up. A master waits for its replicas when it is stopped: those go first."""
    found = [c for node in reversed(fleet.nodes) for c in containers_of(node.service, fleet.ctx)]
    for container in found:
        fleet.ctx.progress(f"stopping {container.service}", None)
        fleet.drop(container.service)
        fleet.ctx.engine.stop(container.id, _GRACE_S)
    start(fleet)


class RedisShardsKind(Reading):
    """Every node sees the whole cluster, and every shard takes and gives back a write."""

    name = "redis-shards"
    version = 1
    reads_files = True

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed naming what is not."""
        with closing(Fleet(nodes_of(step), ctx)) as fleet:
            wait_whole(step, fleet)
            return {"masters": probe_shards(step, fleet)}
