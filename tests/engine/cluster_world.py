"""A world of one Redis that takes no snapshots by itself, an app that writes to it, and six nodes of a cluster.

What a server holds ends with its process unless it was saved; what the app was promised is kept beside.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from nftui.clients.rediscluster import SLOTS, slot_of
from nftui.clients.rediskeys import Refused
from nftui.engine.switching import Around, data_stage
from nftui.model.errors import NftuiError
from nftui.model.facts import Facts
from nftui.model.message import msg
from nftui.model.plan import DataSwitch, FileChange, Handover, Stage, StepSpec, Undo, digest
from nftui.model.stack import Container, Invocation, Service, Stack
from nftui.steps.calls import Data
from nftui.steps.kind import Context
from nftui.system.blobs import BlobStore
from tests.engine.world import ENV, OVERRIDE, Killed, World

ALWAYS = {"Name": "always", "MaximumRetryCount": 0}
NODES = tuple(f"node-{number}" for number in range(1, 7))
VOLUMES = tuple(f"v-{name}" for name in NODES)
NETWORK, RANGE = "net", "10.109.0.0/28"
TRAILER = b"0123456789"
FOREVER = -1


@dataclass
class Server:
    """One server: what it holds is lost with its process unless it was saved."""

    name: str
    keys: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    saved: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    closed: str = "0"
    saves: int = 0
    known: set[str] = field(default_factory=set)
    slots: tuple[int, int] | None = None
    master: str | None = None

    def take(self, key: bytes, value: bytes, until: int = FOREVER) -> None:
        """A write of a client's."""
        assert self.closed == "0", f"{self.name} refused a write"
        self.keys[key] = (value, until)


@dataclass
class ClusterWorld(World):
    """`db`, `api` and nodes; the nodes' state lies in their volumes, so that it is there after a stop."""

    root: Path = field(default_factory=Path)
    db: Server = field(default_factory=lambda: Server("db"))
    nodes: dict[str, Server] = field(default_factory=dict)
    found: dict[str, Container] = field(default_factory=dict)
    policies: dict[str, Data] = field(default_factory=dict)
    ranges: dict[str, str] = field(default_factory=dict)
    promised: set[bytes] = field(default_factory=set)
    broken: str = ""
    """ "open": the server takes writes though it was closed; "loses": an import drops a key; "apart": no node meets."""
    error: str = ""
    loads: int = 0
    """How often any server is seen to load its data."""

    def __post_init__(self) -> None:
        self.db.keys = {b"text": (b"t", FOREVER), b"soon": (b"s", 10**15), b"\xff\x00": (b"\xfe", FOREVER)}
        for name in ("db", "api"):
            self._make(name)
        self.container = self.found["db"]

    # -- the engine
    def _text(self) -> str:
        return self.files.get(OVERRIDE, b"").decode()

    def _hash_of(self, service: str) -> str:
        words = {"db": "closed", "api": "clustered"}.get(service, "nodes")
        return f"{service}:{words in self._text()}"

    def _make(self, service: str) -> None:
        self.created += 1
        made = Container(f"{service}{self.created}", f"{service}-1", service, 1, "running", None, "i", "s",
                         config_hash=self._hash_of(service))  # fmt: skip
        self.found[service] = made
        self.policies[made.id] = ALWAYS

    def config_hashes(self, *, override: bool = True) -> Mapping[str, str]:
        return {name: self._hash_of(name) for name in ("db", "api")}

    def image(self, service: str) -> str | None:
        return None

    def dry_run(self) -> Mapping[str, str]:
        return dict.fromkeys(self.found, "running")

    def containers(self) -> Sequence[Container]:
        return list(self.found.values())

    def up(self, service: str, *, scale: int, grace_s: int, force: bool = False) -> None:
        die = self.effect(f"up {service}")
        present = self.found.get(service)
        if present is None or present.config_hash != self._hash_of(service):
            self._make(service)
            self._began(service)
        elif not present.running:
            self._run(service)
        if die:
            raise Killed(service)

    def _began(self, service: str) -> None:
        if service == "db":
            self.db.keys = dict(self.db.saved)
            self.db.closed = "1000" if "closed" in self._text() else "0"
        elif service == "api":
            self._write()
        else:
            assert (self.root / f"v-{service}").is_dir(), f"{service} was started without its volume"
            assert NETWORK in self.ranges, f"{service} was started without its network"
            self.nodes.setdefault(service, Server(service, known={service}))

    def _run(self, service: str) -> None:
        self.found[service] = replace(self.found[service], state="running", exit_code=None)
        self._began(service)

    def _write(self) -> None:
        """What the app does as soon as it can, to what its container was told of."""
        key = b"row:%d" % len(self.promised)
        if self.found["api"].config_hash == "api:True":
            self.owner(key).take(key, b"r")
        else:
            self.db.take(key, b"r")
        self.promised.add(key)

    def _of(self, container_id: str) -> str:
        return next(name for name, c in self.found.items() if c.id == container_id)

    def start(self, container_id: str) -> None:
        die = self.effect(f"start {container_id}")
        self._run(self._of(container_id))
        if die:
            raise Killed(container_id)

    def stop(self, container_id: str, grace_s: int) -> None:
        die = self.effect(f"stop {container_id}")
        name = self._of(container_id)
        self.found[name] = replace(self.found[name], state="exited", exit_code=0)
        if die:
            raise Killed(container_id)

    def remove(self, container_id: str, grace_s: int) -> None:
        die = self.effect(f"remove {container_id}")
        self.found.pop(self._of(container_id))
        if die:
            raise Killed(container_id)

    def restart_policy(self, container_id: str) -> Data:
        return self.policies[container_id]

    def set_restart_policy(self, container_id: str, policy: Data) -> None:
        self.policies[container_id] = dict(policy)

    def volume(self, name: str) -> str | None:
        return str(self.root / name) if (self.root / name).is_dir() else None

    def volumes_root(self) -> str:
        return str(self.root)

    def create_volume(self, name: str, labels: Mapping[str, str]) -> str:
        die = self.effect(f"create {name}")
        (self.root / name).mkdir(parents=True, exist_ok=True)
        if die:
            raise Killed(name)
        return str(self.root / name)

    def remove_volume(self, name: str) -> None:
        die = self.effect(f"remove {name}")
        assert name.removeprefix("v-") not in self.found, f"{name} was removed under its node"
        shutil.rmtree(self.root / name)
        self.nodes.pop(name.removeprefix("v-"), None)
        if die:
            raise Killed(name)

    def network(self, name: str) -> str | None:
        return self.ranges.get(name)

    def create_network(self, name: str, subnet: str, labels: Mapping[str, str]) -> None:
        if self.broken == "taken":
            raise NftuiError(msg("Docker says: {why}", why="Pool overlaps with other one on this address space"))
        die = self.effect(f"create {name}")
        self.ranges[name] = subnet
        if die:
            raise Killed(name)

    def remove_network(self, name: str) -> None:
        die = self.effect(f"remove {name}")
        del self.ranges[name]
        if die:
            raise Killed(name)

    # -- the servers
    def server(self, service: str) -> Server:
        if not self.found.get(service) or not self.found[service].running:
            raise ConnectionRefusedError(service)
        return self.db if service == "db" else self.nodes[service]

    def owner(self, key: bytes) -> Server:
        return next(n for n in self.nodes.values() if n.slots and n.slots[0] <= slot_of(key) <= n.slots[1])

    def all_keys(self) -> dict[bytes, tuple[bytes, int]]:
        """What the cluster holds."""
        return {k: v for n in self.nodes.values() if n.slots for k, v in n.keys.items()}

    def context(self, **options: object) -> Context:
        ports = {"store": lambda name: Session(self, name), "keys": lambda name: Session(self, name)}
        return super().context(**{**ports, **options})

    def state(self) -> tuple[Any, ...]:
        """Exactly old or exactly new; what is held is looked at beside."""
        runs = {name: (c.running, c.config_hash) for name, c in self.found.items()}
        kept = sorted(p.name for p in self.root.iterdir()) if self.root.is_dir() else []
        return dict(self.files), runs, self.db.closed, dict(self.ranges), kept


@dataclass
class Session:
    """Both kinds of session on one server."""

    world: ClusterWorld
    name: str
    error: str = ""

    def close(self) -> None:
        """Nothing stays open."""

    def ask(self, *words: str) -> Any:
        server = self.world.server(self.name)
        self.error = ""
        if words[0] == "CLUSTER":
            return self._cluster(server, *words[1:])
        answers: dict[str, Callable[[], Any]] = {
            "CONFIG": lambda: self._config(server, *words[1:]), "INFO": lambda: self._info(server, words[1]),
            "LASTSAVE": lambda: server.saves, "TIME": lambda: [str(int(self.world.clock)), "0"],
            "BGSAVE": lambda: self._save(server), "SET": lambda: self._write(server, words[1], words[2]),
            "GET": lambda: server.keys.get(words[1].encode(), (b"", 0))[0].decode(), "WAIT": lambda: 1,
            "DEL": lambda: self._delete(server, words[1]),
        }  # fmt: skip
        return answers[words[0]]()

    def _config(self, server: Server, verb: str, name: str, value: str = "") -> Any:
        if verb == "GET":
            return [name, server.closed]
        die = self.world.effect(f"config {value}")
        server.closed = value
        if die:
            raise Killed(value)
        return "OK"

    def _info(self, server: Server, section: str) -> str:
        if section == "keyspace":
            return f"db0:keys={len(server.keys)},expires=0,avg_ttl=0\r\n"
        if section == "replication":
            return "master_link_status:up\r\n"
        if self.world.loads:
            self.world.loads -= 1
            return f"loading:1\r\nloading_loaded_bytes:{self.world.loads}\r\n"
        return "loading:0\r\nrdb_bgsave_in_progress:0\r\nrdb_last_bgsave_status:ok\r\n"

    def _save(self, server: Server) -> str:
        die = self.world.effect("save")
        server.saved, server.saves = dict(server.keys), int(self.world.clock)
        if die:
            raise Killed("save")
        return "OK"

    def _delete(self, server: Server, key: str) -> int | None:
        if server.closed != "0" and self.world.broken == "failing":
            self.error = "MISCONF Errors writing to the AOF file"
        elif server.closed != "0" and self.world.broken != "open":
            self.error = "NOREPLICAS Not enough good replicas to write."
        return None if self.error else int(server.keys.pop(key.encode(), None) is not None)

    def _write(self, server: Server, key: str, value: str) -> str | None:
        if self.world.broken == "full" and server is self.world.db:
            self.error = "OOM command not allowed when used memory > 'maxmemory'."
            return None
        if server.closed != "0" and self.world.broken != "open":
            self.error = "NOREPLICAS Not enough good replicas to write."
            return None
        server.keys[key.encode()] = (value.encode(), FOREVER)
        return "OK"

    # -- the cluster
    def _cluster(self, server: Server, verb: str, *words: str) -> Any:
        if verb == "MYID":
            return server.name
        if verb == "NODES":
            return "\n".join(self._line(server, self.world.nodes[name]) for name in sorted(server.known))
        if verb == "INFO":
            whole = sum(n.slots[1] - n.slots[0] + 1 for n in self.world.nodes.values() if n.slots)
            return f"cluster_state:{'ok' if whole == SLOTS else 'fail'}\r\ncluster_slots_ok:{whole}\r\n" \
                   f"cluster_current_epoch:0\r\n"  # fmt: skip
        die = self.world.effect(f"{verb} {server.name}")
        if verb == "MEET" and self.world.broken != "apart":
            self._meet(server, words[0])
        elif verb == "ADDSLOTSRANGE":
            server.slots = (int(words[0]), int(words[1]))
        elif verb == "REPLICATE":
            server.master = words[0]
        if die:
            raise Killed(verb)
        return "OK"

    def _meet(self, server: Server, address: str) -> None:
        other = NODES[int(address.rpartition(".")[2]) - 2]
        together = server.known | self.world.nodes[other].known
        for name in together:
            self.world.nodes[name].known = set(together)

    def _line(self, server: Server, other: Server) -> str:
        role = "slave" if other.master else "master"
        flags = f"myself,{role}" if other is server else role
        slots = f" {other.slots[0]}-{other.slots[1]}" if other.slots else ""
        return f"{other.name} 10.0.0.1:6379@16379 {flags} {other.master or '-'} 0 0 1 connected{slots}"

    # -- keys
    def many(self, commands: Sequence[Sequence[bytes]]) -> list[Any]:
        return [self._key(self.world.server(self.name), *command) for command in commands]

    def _key(self, server: Server, verb: bytes, *words: bytes) -> Any:
        assert not self.world.loads, "it was asked for keys while it loads them"
        value, until = server.keys.get(words[0], (None, -2)) if words else (None, -2)
        if verb == b"RESTORE":
            return self._restore(server, words)
        answers: dict[bytes, Callable[[], Any]] = {
            b"SCAN": lambda: [b"0", list(server.keys)], b"TIME": lambda: [b"1", b"0"],
            b"DUMP": lambda: None if value is None else value + TRAILER, b"PEXPIRETIME": lambda: until,
            b"TYPE": lambda: b"string", b"GET": lambda: value, b"UNLINK": lambda: self._unlink(server, words[0]),
        }  # fmt: skip
        return answers[verb]()

    def _restore(self, server: Server, words: Sequence[bytes]) -> Any:
        if server.closed != "0":
            return Refused("NOREPLICAS Not enough good replicas to write.")
        die = self.world.effect(f"restore {words[0]!r}")
        if self.world.broken != "loses" or words[0] != b"text":
            server.keys[words[0]] = (words[2][: -len(TRAILER)], int(words[1]) or FOREVER)
        if die:
            raise Killed("restore")
        return b"OK"

    def _unlink(self, server: Server, key: bytes) -> int:
        die = self.world.effect(f"unlink {key!r}")
        server.keys.pop(key, None)
        if die:
            raise Killed("unlink")
        return 1


def new_cluster_world(base: Path) -> ClusterWorld:
    """`.env` with one key of the operator's, no override, no volumes."""
    return ClusterWorld(BlobStore(base / "blobs"), {ENV: b"A=1\n"}, root=base / "volumes")


def node_params() -> list[dict[str, object]]:
    """As the optimization makes them."""
    bounds = [SLOTS * n // 3 for n in range(4)]
    return [
        {"service": name, "address": f"10.109.0.{n + 2}", "port": 6379, "follows": None if n < 3 else NODES[n - 3],
         "slots": [bounds[n], bounds[n + 1] - 1] if n < 3 else None}
        for n, name in enumerate(NODES)
    ]  # fmt: skip


def cluster_stages(world: ClusterWorld) -> tuple[Stage, ...]:
    """The nodes first, then the stage that the planner makes of the handover."""
    text, nodes = msg("step"), {"nodes": node_params()}
    first, then = b"nodes \n", b"nodes closed clustered \n"
    for content in (first, then):
        world.blobs.put(content)
    network = {"name": NETWORK, "subnet": RANGE}
    settings = (
        StepSpec("places", "own-places", NETWORK, {"volumes": list(VOLUMES), "network": network}, text, "db",
                 last_back=True),
        StepSpec("override", "file", OVERRIDE, {"after": digest(first), "mode": 0o644}, text),
        *(StepSpec(f"start:{n}", "start", n, {"grace_s": 30, "job": False}, text, n) for n in NODES),
        StepSpec("cluster", "redis-cluster", "db", nodes, text, NODES[-1], stall_s=30),
    )  # fmt: skip
    return (Stage("settings", settings, NODES), _handover(world, first, then))


def _handover(world: ClusterWorld, first: bytes, then: bytes) -> Stage:
    text, nodes = msg("step"), {"nodes": node_params()}
    old, new = {"type": "server", "name": "db"}, {"type": "server", "name": "the nodes"}
    carry = {**nodes, "volumes": list(VOLUMES), "services": ["api"], "dataset": "db-keys", "place": old,
             "authority": new}  # fmt: skip
    closing = (
        StepSpec("close", "redis-close", "db", {}, text, "db"),
        StepSpec("save", "redis-save", "db", {}, text, "db"),
        StepSpec("import", "redis-import", "db", nodes, text, "db"),
    )
    opening = StepSpec("carry", "redis-carry", "db", carry, text, "db", undo=Undo.CARRY_BACK, first_back=True)
    given = Handover(closing, (opening,), ("api",))
    switch = DataSwitch("db-keys", "db", old, new, {}, ("api",), 5.0, handover=given)
    services = tuple(Service(name, containers=(world.found[name],)) for name in ("db", "api"))
    facts = Facts(cast("Any", None), Stack("p", Invocation("/p", ()), services))
    shards = StepSpec("shards", "redis-shards", "db", nodes, text, "db")
    return data_stage(facts, switch, [FileChange(OVERRIDE, "update", first, then)], (), Around(live=(shards,)))
