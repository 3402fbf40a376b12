"""Nodes, shards and aliases of a Qdrant, from its REST API (openapi of 1.19; the same since 1.0)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from nftui.clients.http import HttpUnreachable
from nftui.clients.qdrant import collection_path
from nftui.model.shards import Cluster, Replica


class Asked(Protocol):
    """Whatever can be asked for a JSON document. Raises HttpUnreachable."""

    def json(self, path: str) -> Any: ...


def is_barred(error: HttpUnreachable) -> bool:
    """Whether the key may not ask for that, or there is no such route; anything else leaves the answer unknown."""
    return error.status in (401, 403, 404)


def read_cluster(api: Asked) -> Cluster | None:
    """From /cluster; None where it is in no cluster mode, or the key may not ask for it. Raises HttpUnreachable."""
    try:
        found = api.json("/cluster").get("result")
    except HttpUnreachable as error:
        if not is_barred(error):
            raise
        return None
    if not isinstance(found, Mapping) or found.get("status") != "enabled":
        return None
    raft, thread = found.get("raft_info") or {}, found.get("consensus_thread_status") or {}
    return Cluster(
        peer=int(found["peer_id"]),
        peers={int(peer): str(info["uri"]) for peer, info in sorted((found.get("peers") or {}).items())},
        leader=raft.get("leader") or None,  # 0 is nobody
        consensus=str(thread.get("err") or thread.get("consensus_thread_status") or "working"),
        pending=int(raft.get("pending_operations") or 0),
        failing=tuple(sorted(found.get("message_send_failures") or ())),
    )


def read_shards(api: Asked, collection: str) -> tuple[tuple[Replica, ...], int]:
    """Every replica of every shard, by shard; and how many are on their way. Raises HttpUnreachable."""
    found = api.json(collection_path(collection, "cluster"))["result"]
    own = [Replica(int(s["shard_id"]), int(found["peer_id"]), str(s["state"])) for s in found["local_shards"]]
    others = [Replica(int(s["shard_id"]), int(s["peer_id"]), str(s["state"])) for s in found["remote_shards"]]
    replicas = sorted((*own, *others), key=lambda r: (r.shard, r.peer))
    return tuple(replicas), len(found.get("shard_transfers") or ())


def read_aliases(api: Asked) -> dict[str, str]:
    """Alias to the collection that it means. Raises HttpUnreachable."""
    found = (api.json("/aliases").get("result") or {}).get("aliases") or ()
    return {str(a["alias_name"]): str(a["collection_name"]) for a in found}
