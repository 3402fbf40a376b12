"""The nodes of a cluster in words: who they are, where the shards lie, and what is wrong with them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from nftui.model.message import Message, msg

if TYPE_CHECKING:
    from nftui.model.ai import Collection, QdrantFacts
    from nftui.model.shards import Cluster


def nodes(cluster: Cluster) -> str:
    """All of them by their hosts; who leads is marked."""
    names = sorted((cluster.name(peer), peer == cluster.leader) for peer in cluster.peers)
    return ", ".join(f"{name} (leads)" if leads else name for name, leads in names)


def shards(live: QdrantFacts, cluster: Cluster) -> str:
    """Collection by collection: how many, in how many copies, and on which nodes."""
    return "; ".join(_spread(c, cluster) for c in live.collections) or "no collection"


def _spread(collection: Collection, cluster: Cluster) -> str:
    copies = f" x {collection.copies}" if collection.copies > 1 else ""
    on: dict[str, list[int]] = {}
    for replica in collection.replicas:
        on.setdefault(cluster.name(replica.peer), []).append(replica.shard)
    places = ", ".join(f"{node}: {_listed(numbers)}" for node, numbers in sorted(on.items()))
    return f"{collection.name}: {collection.shards}{copies}" + (f" ({places})" if places else "")


def _listed(numbers: Iterable[int]) -> str:
    return " ".join(str(number) for number in sorted(numbers))


def troubles(live: QdrantFacts, cluster: Cluster) -> Iterator[Message]:
    """What keeps the cluster from being whole, as that node sees it."""
    if cluster.leader is None:
        yield msg("No node leads: most of them do not see each other, so no collection or alias can be changed.")
    if cluster.consensus != "working":
        yield msg("Its consensus does not work: {why}.", why=cluster.consensus)
    if cluster.failing:
        yield msg("Nothing can be sent to {peers}.", peers=", ".join(cluster.failing))
    for collection in live.collections:
        yield from _broken(collection, cluster)


def _broken(collection: Collection, cluster: Cluster) -> Iterator[Message]:
    broken = [r for r in collection.replicas if not r.whole]
    if broken:
        listed = ", ".join(f"{r.shard} on {cluster.name(r.peer)} is {r.state}" for r in broken)
        yield msg("{name} is not whole: shard {replicas}.", name=collection.name, replicas=listed)
    whole = {r.shard for r in collection.replicas if r.whole}
    lost = sorted({r.shard for r in broken} - whole)
    if lost:
        yield msg("{name} has no whole copy of shard {shards}: its points cannot be read.",
                  name=collection.name, shards=_listed(lost))  # fmt: skip
    if collection.transfers:
        yield msg("{count} shards of {name} are on their way between nodes.",
                  count=collection.transfers, name=collection.name)  # fmt: skip
