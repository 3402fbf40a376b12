"""Several test servers as one cluster: what is agreed on lies on each node, points go to their shards on any of them.

The first node decides for all and tells them, where the real ones elect who does: without it nothing but points can
be changed. A replica that missed a write is Dead from then on, as in a real cluster, and stays so: nothing brings it
up to date here. A shard is a collection of the inner server, NAME~NUMBER, asked by the other nodes on its inner port.
"""

from __future__ import annotations

import copy
import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote, urlsplit

from collection import Collection, Json, Refused, fields, new_config, updated, vectors_of
from routing import Route, dispatch

READABLE = ("Active",)
_ONE = r"/collections/([^/]+)"
_WORST = ("green", "yellow", "grey", "red")
_PATIENCE_S = 20.0
_NEAR = ("Euclid", "Manhattan")
"""Distances of which less is nearer."""


class Node:
    """One node. `agreed` is the same on all of them: who they are, collections with their shards, aliases."""

    def __init__(self, server: Any, table: Sequence[Route], uri: str | None, bootstrap: str | None) -> None:
        self.server, self.table, self.uri, self.bootstrap = server, table, uri, bootstrap
        self.lock, self.file = threading.RLock(), server.settings.storage / "raft_state.json"
        self.failures: dict[str, Json] = {}
        kept = json.loads(self.file.read_text()) if self.file.exists() else {}
        self.peer = kept.get("peer") or random.getrandbits(52)
        self.agreed: Json = kept.get("agreed") or {
            "commit": 0, "leader": self.peer, "peers": {}, "collections": {}, "aliases": {},
        }  # fmt: skip

    # -- agreement
    def join(self) -> None:
        """Known to all before it serves."""
        if self.bootstrap is None and not self.uri:
            raise SystemExit("Error: the first peer of a cluster needs --uri")
        uri = (self.uri or f"http://127.0.0.1:{self.server.settings.peer_port}").rstrip("/") + "/"
        if (self.bootstrap is None or self.agreed["peers"]) and self.agreed["leader"] == self.peer:
            self.propose("join", self.peer, uri)
            return
        end = time.monotonic() + _PATIENCE_S
        where = self.agreed["peers"].get(str(self.agreed["leader"])) or str(self.bootstrap)
        while True:
            try:
                self.adopt(self._http(where, "POST", "/raft/propose", ["join", self.peer, uri]))
                return
            except OSError as error:
                if time.monotonic() > end:
                    raise SystemExit(f"Error: failed to join the cluster at {where}: {error}") from None
                time.sleep(0.2)

    def propose(self, name: str, *values: Any) -> Json:
        """A change, by whoever decides; it is done on this node when this returns, and on all that can be reached."""
        if self.agreed["leader"] != self.peer:
            try:
                decided = self._http(self._leader(), "POST", "/raft/propose", [name, *values])
            except OSError:
                raise Refused(500, "Service internal error: Waiting for consensus operation commit failed") from None
            self.adopt(decided)
            return decided
        with self.lock:
            agreed = copy.deepcopy(self.agreed)
            getattr(self, f"_agree_{name}")(agreed, *values)
            agreed["commit"] += 1
            self.adopt(agreed)
            for peer in agreed["peers"]:
                if int(peer) != self.peer:
                    self._tell(agreed["peers"][peer], agreed)
        return agreed

    def _leader(self) -> str:
        return str(self.agreed["peers"].get(str(self.agreed["leader"])) or self.bootstrap)

    def _tell(self, uri: str, agreed: Json) -> bool:
        try:
            self._http(uri, "PUT", "/raft/state", agreed, timeout=5)
        except OSError as error:
            former = self.failures.get(uri, {"count": 0})
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self.failures[uri] = {
                "count": former["count"] + 1, "latest_error": str(error), "latest_error_timestamp": stamp,
            }  # fmt: skip
            return False
        self.failures.pop(uri, None)
        return True

    def adopt(self, agreed: Json) -> bool:
        """What was agreed on, on this node: its own shards are there with their configuration, others go."""
        with self.lock:
            if agreed["commit"] < self.agreed["commit"]:
                return False
            self.agreed = agreed
            self.file.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.file.with_suffix(".new")
            temporary.write_text(json.dumps({"peer": self.peer, "agreed": agreed}))
            temporary.replace(self.file)
            mine = {
                _local(name, shard): found
                for name, found in agreed["collections"].items()
                for shard, replicas in found["shards"].items()
                if str(self.peer) in replicas
            }
            for key in set(self.server.collections) - set(mine):
                self.server.delete(key)
            for key, found in mine.items():
                self._bring(key, found)
        return True

    def _bring(self, key: str, found: Json) -> None:
        if key not in self.server.collections:
            self.server.collections[key] = Collection(self.server.root / key, copy.deepcopy(found["config"]))
        shard = self.server.collections[key]
        if shard.config != found["config"]:
            shard.configure(copy.deepcopy(found["config"]))
        for name, schema in found["schema"].items():
            if name not in shard.schema:
                shard.index_field(name, schema)

    def _agree_join(self, agreed: Json, peer: int, uri: str) -> None:
        agreed["peers"][str(peer)] = uri

    def _agree_create(self, agreed: Json, name: str, body: Any) -> None:
        if name in agreed["collections"]:
            raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
        peers = sorted(agreed["peers"], key=lambda peer: sum(
            peer in r for c in agreed["collections"].values() for r in c["shards"].values()
        ))  # fmt: skip
        count = body.get("shard_number") or len(peers)
        config = new_config({**body, "shard_number": count}, self.server.settings.defaults())
        copies = min(config["params"]["replication_factor"], len(peers))
        shards = {
            str(s): {peers[(s + c) % len(peers)]: "Active" for c in range(copies)} for s in range(count)
        }  # fmt: skip
        agreed["collections"][name] = {"config": config, "shards": shards, "schema": {}}

    def _agree_update(self, agreed: Json, name: str, body: Any) -> None:
        found = _known(agreed, name)
        found["config"] = updated(found["config"], body)

    def _agree_index(self, agreed: Json, name: str, body: Any) -> None:
        asked = fields(body, ("field_name", "field_schema"), "index")
        _known(agreed, name)["schema"][asked["field_name"]] = asked["field_schema"]

    def _agree_delete(self, agreed: Json, name: str) -> None:
        agreed["collections"].pop(name, None)
        agreed["aliases"] = {a: c for a, c in agreed["aliases"].items() if c != name}

    def _agree_aliases(self, agreed: Json, body: Any) -> None:
        for action in fields(body, ("actions",), "aliases")["actions"]:
            made, gone = action.get("create_alias"), action.get("delete_alias")
            if made:
                _known(agreed, made["collection_name"])
                if made["alias_name"] in agreed["collections"]:
                    raise Refused(400, f"Wrong input: Collection `{made['alias_name']}` already exists!")
                agreed["aliases"][made["alias_name"]] = made["collection_name"]
            elif gone:
                agreed["aliases"].pop(gone["alias_name"], None)
            else:
                raise Refused(400, "aliases: unknown action")

    def _agree_dead(self, agreed: Json, name: str, shard: str, peer: str) -> None:
        _known(agreed, name)["shards"][shard][peer] = "Dead"

    # -- the other nodes
    def _http(self, uri: str, method: str, path: str, body: Any, timeout: float = 30.0) -> Any:
        """The result of a request to another node. Raises OSError where it cannot be reached, Refused."""
        place = urlsplit(uri)
        connection = HTTPConnection(str(place.hostname), place.port or 6335, timeout=timeout)
        try:
            connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = json.loads(answer.read() or b"{}")
        except (HTTPException, ValueError) as error:
            raise OSError(repr(error)) from None
        finally:
            connection.close()
        if answer.status != 200:
            raise Refused(answer.status, str((content.get("status") or {}).get("error")))
        return content["result"]

    def _ask(self, peer: str, method: str, path: str, body: Any = None) -> Any:
        if int(peer) == self.peer:
            return dispatch(self.table, method, path, body)
        return self._http(self.agreed["peers"][peer], method, path, body)

    # -- collections
    def _name(self, name: str) -> str:
        return str(self.agreed["aliases"].get(name, name))

    def _found(self, name: str) -> Json:
        return _known(self.agreed, self._name(name))

    def _read(self, name: str, shard: str, method: str, rest: str, body: Any = None) -> Any:
        """From a replica that has all of it, this node's own first."""
        replicas = self._found(name)["shards"][shard]
        peers = sorted((p for p, s in replicas.items() if s in READABLE), key=lambda p: int(p) != self.peer)
        for peer in peers:
            try:
                return self._ask(peer, method, _path(self._name(name), shard, rest), copy.deepcopy(body))
            except OSError:
                continue
        raise Refused(500, f"Service internal error: No active replicas of shard {shard} can be reached")

    def _all(self, name: str, method: str, rest: str, body: Any = None) -> list[Any]:
        return [self._read(name, shard, method, rest, body) for shard in self._found(name)["shards"]]

    def _write(self, name: str, shard: str, method: str, rest: str, body: Any) -> None:
        found, failed, done = self._found(name), [], 0
        for peer in (p for p, s in found["shards"][shard].items() if s != "Dead"):
            try:
                self._ask(peer, method, _path(self._name(name), shard, rest), copy.deepcopy(body))
                done += 1
            except OSError:
                failed.append(peer)
        if done < min(found["config"]["params"]["write_consistency_factor"], len(found["shards"][shard])):
            raise Refused(500, f"Service internal error: {done} replicas of shard {shard} took the write")
        for peer in failed:
            self.propose("dead", self._name(name), shard, peer)

    def _shard_of(self, name: str, point: Any) -> str:
        number = point if isinstance(point, int) else uuid.UUID(point).int
        return str(number % len(self._found(name)["shards"]))

    def _sorted_out(self, name: str, items: Iterable[Any], key: Callable[[Any], Any]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for item in items:
            found.setdefault(self._shard_of(name, key(item)), []).append(item)
        return found

    def info(self, name: str) -> Json:
        """GET /collections/NAME: what the shards tell, together."""
        found, told = self._found(name), self._all(name, "GET", "")
        sums = {k: sum(t[k] for t in told) for k in ("points_count", "indexed_vectors_count", "segments_count")}
        worst = max(told, key=lambda t: _WORST.index(t["status"]))
        schema = {
            n: {**s, "points": sum(t["payload_schema"][n]["points"] for t in told)}
            for n, s in told[0]["payload_schema"].items()
        }  # fmt: skip
        return {**worst, **sums, "config": found["config"], "payload_schema": schema}

    def upsert(self, name: str, body: Any) -> Json:
        points = fields(body, ("points",), "upsert")["points"]
        for shard, mine in self._sorted_out(name, points, lambda p: p["id"]).items():
            self._write(name, shard, "PUT", "points", {"points": mine})
        return {"operation_id": 0, "status": "completed"}

    def delete_points(self, name: str, body: Any) -> Json:
        points = fields(body, ("points",), "delete")["points"]
        for shard, mine in self._sorted_out(name, points, lambda p: p).items():
            self._write(name, shard, "POST", "points/delete", {"points": mine})
        return {"operation_id": 0, "status": "completed"}

    def index_field(self, name: str, body: Any) -> Json:
        self.propose("index", self._name(name), body)
        return {"operation_id": 0, "status": "completed"}

    def retrieve(self, name: str, body: Any) -> Any:
        split = self._sorted_out(name, body["ids"], lambda p: p)
        return [p for s, ids in split.items() for p in self._read(name, s, "POST", "points", {**body, "ids": ids})]

    def count(self, name: str, body: Any) -> Json:
        return {"count": sum(found["count"] for found in self._all(name, "POST", "points/count", body))}

    def scroll(self, name: str, body: Any) -> Json:
        limit = body.get("limit", 10)
        pages = self._all(name, "POST", "points/scroll", {**body, "limit": limit + 1})
        points = sorted((p for page in pages for p in page["points"]), key=lambda p: _order(p["id"]))
        following = points[limit]["id"] if len(points) > limit else None
        return {"points": points[:limit], "next_page_offset": following}

    def query(self, name: str, body: Any) -> Json:
        return {"points": self._query(name, body)}

    def query_batch(self, name: str, body: Any) -> Any:
        return [self.query(name, one) for one in fields(body, ("searches",), "query/batch")["searches"]]

    def _query(self, name: str, body: Any) -> list[Any]:
        query, limit, using = body["query"], body.get("limit", 10), body.get("using", "")
        if isinstance(query, dict) and "nearest" in query:
            query = query["nearest"]
        itself = query if isinstance(query, int | str) else None
        if itself is not None:
            stored = self.retrieve(name, {"ids": [itself], "with_vector": True})
            if not stored:
                raise Refused(404, f"Not found: No point with id {itself} found")
            vector = stored[0]["vector"]
            query = vector[using] if isinstance(vector, dict) else vector
        asked = {**body, "query": query, "limit": limit + (itself is not None)}
        found = [p for page in self._all(name, "POST", "points/query", asked) for p in page["points"]]
        if isinstance(query, dict) and "sample" in query:
            random.shuffle(found)
            return found[:limit]
        vector = vectors_of(self._found(name)["config"]).get(using, {})
        found.sort(key=lambda p: p["score"], reverse=vector.get("distance") not in _NEAR)
        return [p for p in found if p["id"] != itself][:limit]

    # -- what the cluster tells of itself
    def status(self) -> Json:
        """GET /cluster. A node that does not reach who leads knows of nobody who does."""
        leads, agreed = self.agreed["leader"] == self.peer, self.agreed
        if leads:
            for peer, uri in agreed["peers"].items():
                if int(peer) != self.peer:
                    self._tell(uri, agreed)
        reached = leads or self._tell(self._leader(), agreed)
        return {
            "status": "enabled", "peer_id": self.peer, "peers": {p: {"uri": u} for p, u in agreed["peers"].items()},
            "raft_info": {
                "term": 1, "commit": agreed["commit"], "pending_operations": 0, "is_voter": True,
                "leader": agreed["leader"] if reached else None,
                "role": "Leader" if leads else "Follower" if reached else "Candidate",
            },
            "consensus_thread_status": {
                "consensus_thread_status": "working", "last_update": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            },
            "message_send_failures": dict(self.failures),
        }  # fmt: skip

    def shards(self, name: str) -> Json:
        """GET /collections/NAME/cluster."""
        found, local, remote = self._found(name), [], []
        for shard, replicas in found["shards"].items():
            for peer, state in replicas.items():
                if int(peer) == self.peer:
                    count = self.server.count(_local(self._name(name), shard), {})["count"]
                    local.append({"shard_id": int(shard), "points_count": count, "state": state})
                else:
                    remote.append({"shard_id": int(shard), "peer_id": int(peer), "state": state})
        return {
            "peer_id": self.peer, "shard_count": len(found["shards"]), "local_shards": local, "remote_shards": remote,
            "shard_transfers": [],
        }  # fmt: skip

    def list_aliases(self, name: str | None = None) -> Json:
        found = [(a, c) for a, c in sorted(self.agreed["aliases"].items()) if name in (None, c)]
        return {"aliases": [{"alias_name": a, "collection_name": c} for a, c in found]}

    def inner_routes(self) -> list[Route]:
        """For the other nodes."""
        return [
            ("POST", "/raft/propose", lambda body: self.propose(*body)),
            ("PUT", "/raft/state", self.adopt),
        ]

    def routes(self) -> list[Route]:
        """For everybody; what is not told of here this server does not know in a cluster."""
        known = ("/", "/telemetry")
        return [
            *(route for route in self.table if route[1] in known),
            ("GET", "/cluster", self.status),
            ("GET", "/aliases", self.list_aliases),
            ("POST", "/collections/aliases", lambda body: bool(self.propose("aliases", body))),
            ("GET", "/collections", lambda: {"collections": [{"name": n} for n in sorted(self.agreed["collections"])]}),
            ("GET", f"{_ONE}/cluster", self.shards),
            ("GET", _ONE, self.info),
            ("PUT", _ONE, lambda n, body: bool(self.propose("create", n, body))),
            ("PATCH", _ONE, lambda n, body: bool(self.propose("update", self._name(n), body))),
            ("DELETE", _ONE, lambda n: n in self.agreed["collections"] and bool(self.propose("delete", n))),
            ("GET", f"{_ONE}/exists", lambda n: {"exists": self._name(n) in self.agreed["collections"]}),
            ("GET", f"{_ONE}/aliases", self.list_aliases),
            ("PUT", f"{_ONE}/index", self.index_field),
            ("PUT", f"{_ONE}/points", self.upsert),
            ("POST", f"{_ONE}/points", self.retrieve),
            ("POST", f"{_ONE}/points/delete", self.delete_points),
            ("POST", f"{_ONE}/points/count", self.count),
            ("POST", f"{_ONE}/points/scroll", self.scroll),
            ("POST", f"{_ONE}/points/query", self.query),
            ("POST", f"{_ONE}/points/query/batch", self.query_batch),
        ]


def _known(agreed: Mapping[str, Any], name: str) -> Json:
    if name not in agreed["collections"]:
        raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
    found: Json = agreed["collections"][name]
    return found


def _local(name: str, shard: str) -> str:
    return f"{name}~{shard}"


def _path(name: str, shard: str, rest: str) -> str:
    return f"/collections/{quote(_local(name, shard), safe='')}" + (f"/{rest}" if rest else "")


def _order(point: Any) -> tuple[bool, Any]:
    """Numbers before UUIDs, as points are sorted."""
    return isinstance(point, str), point
