"""A Qdrant of two nodes in memory, and an app that writes by an alias as long as it runs.

Whatever is asked of the server, the app writes first: what it was promised must be where the alias leads in the end.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from nftui.engine.switching import data_stage
from nftui.model.advice import Fragment
from nftui.model.ai import Collection, QdrantFacts
from nftui.model.facts import Facts, Live
from nftui.model.host import Host
from nftui.model.plan import Stage
from nftui.model.qdrant import read_config
from nftui.model.shards import Cluster
from nftui.model.stack import Container, Invocation, Role, Service, Stack
from nftui.optimizations.qdrant import OPTIMIZATION
from nftui.steps.calls import Data
from nftui.steps.kind import Context
from nftui.system.blobs import BlobStore
from tests.engine.qdrant_world import refused
from tests.engine.world import Killed, World

OLD, NEW, ALIAS = "docs", "docs-s4r2", "all"
ALWAYS = {"Name": "always", "MaximumRetryCount": 0}
UUID = "0b2c1d3e-0000-4000-8000-000000000001"
CONFIG: dict[str, Any] = {
    "params": {"vectors": {"size": 2, "distance": "Dot", "on_disk": True}, "shard_number": 1, "replication_factor": 1,
               "write_consistency_factor": 1, "on_disk_payload": True},
    "hnsw_config": {"m": 24, "ef_construct": 100, "payload_m": None}, "optimizer_config": {"indexing_threshold": 5},
    "wal_config": {"wal_capacity_mb": 32}, "quantization_config": {"scalar": {"type": "int8"}},
    "strict_mode_config": {"enabled": False},
}  # fmt: skip


def point(number: int | str, value: float = 0.5) -> dict[str, Any]:
    """The second one has neither vector nor payload."""
    if number == 2:
        return {"id": 2, "vector": {}, "payload": {}}
    return {"id": number, "vector": [value, 1.0], "payload": {"n": value, "k": "a"}}


@dataclass
class Held:
    """A collection: configuration, points, indexed fields, state of its replicas."""

    config: dict[str, Any]
    points: dict[int | str, dict[str, Any]] = field(default_factory=dict)
    schema: dict[str, Any] = field(default_factory=dict)
    state: str = "Active"


@dataclass
class ShardsWorld(World):
    """`q1`, `q2` and `app`; effects are counted, and the world dies at any of them."""

    collections: dict[str, Held] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=lambda: {ALIAS: OLD})
    policies: dict[str, Data] = field(default_factory=dict)
    found: dict[str, Container] = field(default_factory=dict)
    promised: dict[int | str, dict[str, Any] | None] = field(default_factory=dict)
    """Point to what the app wrote last of it; None where it deleted it."""
    asked: int = 0
    broken: str = ""
    """"drops": a point is lost in each write; "stranger": somebody writes to the old one as the alias is switched;
    "blind": the second node does not know of the switch; "unindexed": no field is indexed; "single": of each
    shard there is one copy, whatever was asked for; "forgets": the server passes over quantization."""

    def __post_init__(self) -> None:
        self.collections[OLD] = Held(copy.deepcopy(CONFIG), {i: point(i) for i in (*range(7), UUID)}, {"k": "keyword"})
        for name in ("q1", "q2", "app"):
            self.found[name] = Container(name, f"{name}-1", name, 1, "running", None, "img", "sha")
            self.policies[name] = dict(ALWAYS)
        self.container = self.found["q1"]

    # -- the engine
    def containers(self) -> Sequence[Container]:
        return list(self.found.values())

    def start(self, container_id: str) -> None:
        self._state(container_id, "start", "running", None)

    def stop(self, container_id: str, grace_s: int) -> None:
        self._state(container_id, "stop", "exited", 0)

    def _state(self, name: str, verb: str, state: str, code: int | None) -> None:
        die = self.effect(f"{verb} {name}")
        self.found[name] = replace(self.found[name], state=state, exit_code=code)
        if die:
            raise Killed(name)

    def restart_policy(self, container_id: str) -> Data:
        return self.policies[container_id]

    def set_restart_policy(self, container_id: str, policy: Data) -> None:
        self.policies[container_id] = dict(policy)

    # -- the app
    def write(self) -> None:  # type: ignore[override]
        """A new point, one changed, one deleted in turn: by the alias, as long as the app runs."""
        self.asked += 1
        where = self.collections.get(self.aliases.get(ALIAS, ""))
        if where is None or not self.found["app"].running or self.asked % 3:
            return
        number, turn = 100 + self.asked, self.asked // 3 % 3
        if turn == 2:
            number = min((n for n in where.points if isinstance(n, int) and 100 <= n < 900), default=1)
            where.points.pop(number, None)
            self.promised[number] = None
            return
        number = number if turn == 0 else 3
        where.points[number] = self.promised[number] = point(number, float(self.asked))

    # -- the server
    def api(self, node: str) -> Api:
        return Api(self, node)

    def context(self, **options: object) -> Context:
        return super().context(api=self.api, **options)

    def state(self) -> tuple[Any, ...]:
        """What must be as it was: who runs, which collections there are, where the alias leads. Points by `whole`."""
        names = {name: held.config for name, held in self.collections.items()}
        running = {name: (c.running, self.policies[name]) for name, c in self.found.items()}
        return copy.deepcopy((names, self.aliases, running))

    def whole(self) -> bool:
        """Whether everything is where the alias leads: what was there, and what the app was promised."""
        there = self.collections[self.aliases[ALIAS]].points
        wanted = {i: self.promised.get(i, point(i)) for i in (*range(7), UUID)} | self.promised
        return there == {i: value for i, value in wanted.items() if value is not None}


@dataclass
class Api:
    """As one node answers."""

    world: ShardsWorld
    node: str

    def json(self, path: str) -> Any:
        self.world.write()
        parts = [unquote(p) for p in path.partition("?")[0].split("/")[1:]]
        if parts == ["aliases"]:
            blind = self.world.broken == "blind" and self.node == "q2"
            found = {ALIAS: OLD} if blind else self.world.aliases
            return {"result": {"aliases": [{"alias_name": a, "collection_name": c} for a, c in found.items()]}}
        if parts == ["telemetry"]:
            raise refused(403)
        held = self._held(parts[1])
        return {"result": self._shards(held) if parts[2:] == ["cluster"] else self._info(held)}

    def _held(self, name: str) -> Held:
        name = self.world.aliases.get(name, name)
        if name not in self.world.collections:
            raise refused(404, f"Collection {name} doesn't exist")
        return self.world.collections[name]

    def _info(self, held: Held) -> Any:
        schema = {n: {"data_type": s, "points": len(held.points)} for n, s in held.schema.items()}
        return copy.deepcopy({
            "status": "green", "optimizer_status": "ok", "points_count": len(held.points), "segments_count": 1,
            "indexed_vectors_count": 0, "config": held.config, "payload_schema": schema,
        })  # fmt: skip

    def _shards(self, held: Held) -> Any:
        params = held.config["params"]
        numbers = range(params["shard_number"])
        remote = [{"shard_id": n, "peer_id": 2, "state": held.state} for n in numbers]
        return {
            "peer_id": 1, "shard_transfers": [],
            "local_shards": [{"shard_id": n, "points_count": 0, "state": "Active"} for n in numbers],
            "remote_shards": remote if params["replication_factor"] > 1 and self.world.broken != "single" else [],
        }  # fmt: skip

    def send(self, method: str, path: str, body: Any = None, *, timeout_s: float | None = None) -> Any:
        self.world.write()
        parts = [unquote(p) for p in path.partition("?")[0].split("/")[1:]]
        name, rest = parts[1], "/".join(parts[2:])
        if rest == "points/scroll":
            return {"result": self._scroll(self._held(name), body)}
        die = self.world.effect(f"{method} {rest or name}")
        if name == "aliases":
            self._switch(body["actions"])
        else:
            getattr(self, f"_{method.lower()}_{rest.replace('/', '_') or 'collection'}")(name, copy.deepcopy(body))
        if die:
            raise Killed(path)
        return {"result": True}

    def _scroll(self, held: Held, body: Any) -> Any:
        ids = sorted(held.points, key=lambda i: (isinstance(i, str), i))
        start = ids.index(next(i for i in ids if i >= body["offset"])) if body.get("offset") in ids else 0
        if "offset" in body and body["offset"] not in ids:
            start = sum(1 for i in ids if (isinstance(i, str), i) < (isinstance(body["offset"], str), body["offset"]))
        mine = ids[start : start + body["limit"]]
        following = ids[start + body["limit"]] if start + body["limit"] < len(ids) else None
        # What is empty is left out, as servers do.
        found = [{k: v for k, v in held.points[i].items() if v != {}} for i in mine]
        return {"points": copy.deepcopy(found), "next_page_offset": following}

    def _switch(self, actions: Any) -> None:
        for action in actions:
            if "create_alias" in action:
                made = action["create_alias"]
                self.world.aliases[made["alias_name"]] = made["collection_name"]
            else:
                self.world.aliases.pop(action["delete_alias"]["alias_name"], None)
        if self.world.broken == "stranger":
            self.world.collections[OLD].points[999] = point(999)

    def _put_collection(self, name: str, body: Any) -> None:
        config = copy.deepcopy(CONFIG)
        params = {k: v for k, v in body.items() if k in (*CONFIG["params"],)}
        config |= {"params": params, "optimizer_config": body["optimizers_config"]}
        config |= {k: body.get(k) for k in ("hnsw_config", "quantization_config", "wal_config", "strict_mode_config")}
        if self.world.broken == "forgets":
            config["quantization_config"] = None
        self.world.collections[name] = Held(config)

    def _put_index(self, name: str, body: Any) -> None:
        if self.world.broken != "unindexed":
            self._held(name).schema[body["field_name"]] = body["field_schema"]

    def _put_points(self, name: str, body: Any) -> None:
        points = body["points"][1:] if self.world.broken == "drops" else body["points"]
        self._held(name).points |= {p["id"]: p for p in points}

    def _post_points_delete(self, name: str, body: Any) -> None:
        for number in body["points"]:
            self._held(name).points.pop(number, None)

    def _delete_collection(self, name: str, body: Any) -> None:
        self.world.collections.pop(name, None)
        self.world.aliases = {a: c for a, c in self.world.aliases.items() if c != name}

    def download(self, path: str, target: str, *, timeout_s: float) -> tuple[int, str]:
        raise NotImplementedError

    def upload(self, path: str, source: str, *, timeout_s: float) -> None:
        raise NotImplementedError


def facts_of(world: ShardsWorld, *wanted: tuple[str, str]) -> tuple[Facts, Fragment]:
    """As they are read beforehand, with what is asked for."""
    cluster = Cluster(1, {1: "http://q1:6335/", 2: "http://q2:6335/"}, 1)
    live = QdrantFacts(
        "1.19.0", (Collection(OLD, "green", 8, index=read_config(CONFIG), aliases=(ALIAS,)),), cluster=cluster
    )
    services = (
        Service("q1", Role.QDRANT, containers=(world.found["q1"],)),
        Service("q2", Role.QDRANT, containers=(world.found["q2"],)),
        Service("app", Role.APP, environment={"QDRANT_URL": "http://q2:6333"}, containers=(world.found["app"],)),
        Service("other", Role.APP, containers=(Container("o", "o", "other", 1, "running", None, "i", "i"),)),
    )
    read = {("q1", "qdrant"): Live("qdrant", "q1", live),
            ("q2", "qdrant"): Live("qdrant", "q2", replace(live, cluster=replace(cluster, peer=2)))}  # fmt: skip
    facts = Facts(Host(), Stack("p", Invocation("/p", ()), services), live=read)
    values = dict(wanted) or {f"alias.{ALIAS}.shards": "4", f"alias.{ALIAS}.replicas": "2"}
    return facts, Fragment("qdrant", {}, {"q1": values})


def new_shards_world(base: Any) -> ShardsWorld:
    return ShardsWorld(BlobStore(base / "blobs"))


def shards_stages(world: ShardsWorld) -> tuple[Stage, ...]:
    """The stage that the planner makes of what the optimization asks for; the same in every life."""
    fresh = ShardsWorld(world.blobs)
    facts, fragment = facts_of(fresh)
    return tuple(data_stage(facts, s, (), (fragment,)) for s in OPTIMIZATION.switches(facts, fragment))  # type: ignore[attr-defined]
