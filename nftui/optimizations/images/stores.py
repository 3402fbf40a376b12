"""Where a service keeps its data, what keeps a server from starting on a place that is left behind, and who writes."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from nftui.catalog import catalog, data_paths
from nftui.catalog.apps import app_of
from nftui.catalog.connections import POSTGRES_LIKE, REDIS_LIKE, connections
from nftui.catalog.initdb import told_wal
from nftui.catalog.lookup import families_of
from nftui.catalog.names import Names
from nftui.catalog.references import parse_reference, version_key
from nftui.model.dataclass import dataclass
from nftui.model.message import Message, msg
from nftui.model.patterns import regex
from nftui.model.postgres import CLUSTER_PROBE, ClusterFacts
from nftui.model.redis import RedisFacts
from nftui.model.stack import MountSpec, Role, Service
from nftui.optimizations.images.databases import databases_of, grafana_directory
from nftui.optimizations.images.versions import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nftui.model.facts import Facts
    from nftui.optimizations.images.versions import Line

KINDS = (Role.POSTGRES, Role.REDIS, Role.GRAFANA, Role.QDRANT)
"""Roles whose data can be carried to another version."""
_PGDATA = "/var/lib/postgresql/data"
_LINE = regex(r"\d+(\.\d+)*(?=-|$)")
"""How the name of a place begins behind the service's: 15, 10.4, 15-alpine."""
_BLOCKED = {Role.GRAFANA: "grafana.db", Role.QDRANT: "raft_state.json"}
"""The file without which they would start empty: with a directory in its place they do not start at all."""


@dataclass(frozen=True, slots=True)
class Store:
    """The data of one running service."""

    service: Service
    directory: str
    """Inside of the container."""
    mount: MountSpec
    """Of the running container."""
    declared: MountSpec
    """Of the operator's files."""

    @property
    def source(self) -> dict[str, str]:
        """Its place now."""
        return _place(self.mount.type, str(self.mount.source))

    def inside(self, file: str) -> str:
        """`file` of its directory, from the mount on."""
        below = PurePosixPath(self.directory).relative_to(self.mount.target)
        return str(below / file)


def is_moved(facts: Facts, store: Store) -> bool:
    """Whether it runs on another place than the operator's files say: it was switched before."""
    declared = store.declared
    if store.mount.type != declared.type:
        return True
    if declared.type != "volume":
        return store.mount.source != declared.source
    name = (facts.stack.volumes.get(str(declared.source)) or {}).get("name")
    return store.mount.source not in (name, declared.source, f"{facts.stack.name}_{declared.source}")


def _place(kind: str, name: str) -> dict[str, str]:
    return {"type": "volume", "name": name} if kind == "volume" else {"type": "directory", "path": name}


def find_store(facts: Facts, service: Service) -> Store | Message | None:
    """None where it keeps no data that is known; a Message where it must not be moved."""
    if service.role not in KINDS or service.running is None or databases_of(facts, service):
        return None
    directory = _directory(facts, service)
    mount, declared = _deepest(service.running.mounts, directory), _deepest(service.mounts, directory)
    if mount is None or declared is None or mount.type not in ("volume", "bind"):
        return msg("{path} of {service} is on no mount of its own: its data would be lost.", path=directory,
                   service=service.name)  # fmt: skip
    if mount.anonymous or declared.anonymous:
        return msg("The data of {service} lies in a volume without a name; give it one first.", service=service.name)
    if mount.target != declared.target:
        return msg("The running {service} has its data at {path}, your files another place.", service=service.name,
                   path=mount.target)  # fmt: skip
    return Store(service, directory, mount, declared)


def _directory(facts: Facts, service: Service) -> str:
    if service.role is Role.REDIS:
        live = facts.live_value(service.name, "redis")
        asked = live.config.get("dir") if isinstance(live, RedisFacts) else None
        if asked:
            return asked.rstrip("/")
    if service.role is Role.POSTGRES:
        running = service.running.environment if service.running else {}
        named, cluster = running.get("PGDATA") or service.environment.get("PGDATA"), cluster_of(facts, service)
        return (named or (cluster.directory if cluster else "") or _PGDATA).rstrip("/")
    if service.role is Role.GRAFANA:
        return grafana_directory(service)
    found = data_paths(service.role, service.image, service.version)
    return found[0] if found else "/data"


def _deepest(mounts: Iterable[MountSpec], path: str) -> MountSpec | None:
    fitting = (m for m in mounts if path == m.target.rstrip("/") or path.startswith(m.target.rstrip("/") + "/"))
    return max(fitting, key=lambda m: len(m.target), default=None)


def target_of(facts: Facts, store: Store, words: str) -> dict[str, str]:
    """Where data of that line lies: beside the operator's own place, under a name that tells the version."""
    if store.declared.type == "volume":
        return _place("volume", f"{facts.stack.name}_{store.service.name}-{words}")
    return _place("directory", f"{store.declared.source}-{words}")


def named_line(facts: Facts, store: Store) -> Line | None:
    """Of data that was moved: the line that its place was named by, None where it lies under another name."""
    place, head = store.source, target_of(facts, store, "")
    key = "name" if place["type"] == "volume" else "path"
    rest = place[key].removeprefix(head.get(key) or "?")
    found = _LINE.match(rest) if rest != place[key] and is_moved(facts, store) else None
    return version_key(found[0]) if found else None


def fence_of(facts: Facts, store: Store) -> Mapping[str, str]:
    """See DataSwitch.fence."""
    role = store.service.role
    if role is Role.POSTGRES:
        return {"path": store.inside("global/pg_control"), "block": "absent"}
    if role is Role.REDIS:
        return _redis_fence(facts, store)
    # A configuration that is mounted may name another place: without that file there is nothing to bring along.
    return {"path": store.inside(_BLOCKED[role]), "block": "directory", "needed": "yes"}


_PARTED = 7
"""The first Redis that keeps its append-only file in parts, in a directory."""


def _redis_fence(facts: Facts, store: Store) -> Mapping[str, str]:
    """What it loads at its start: the append-only file where that is on, else the snapshot.

    Without its manifest Redis 7 writes over the parts before it gives up [X]: there the whole directory is fenced.
    """
    live = facts.live_value(store.service.name, "redis")
    config = live.config if isinstance(live, RedisFacts) else {}
    folder = {"path": store.inside(config.get("appenddirname") or "appendonlydir"), "block": "file"}
    if config.get("appendonly") != "yes":
        return {"path": store.inside(config.get("dbfilename") or "dump.rdb"), "block": "directory"}
    major = version_key(live.version)[:1] if isinstance(live, RedisFacts) else ()
    if major >= (_PARTED,):
        return folder
    file = store.inside(config.get("appendfilename") or "appendonly.aof")
    return {"path": file, "block": "directory", "later_path": folder["path"], "later_block": folder["block"]}


def cluster_of(facts: Facts, service: Service) -> ClusterFacts | None:
    """What a dump has to bring along, None where the server could not be asked."""
    value = facts.live_value(service.name, CLUSTER_PROBE)
    return value if isinstance(value, ClusterFacts) else None


def flags_of(command: Iterable[str]) -> list[str]:
    """Names of settings on the server's command line."""
    found, words = [], list(command)
    for at, word in enumerate(words):
        after = words[at + 1] if at + 1 < len(words) else ""
        text = after if word == "-c" else word[2:] if word.startswith(("--", "-c")) else ""
        name, equals, _ = text.partition("=")
        if equals and name:
            found.append(name.replace("-", "_").lower())
    return sorted(set(found))


def refusal(facts: Facts, store: Store, line: Line) -> Message | None:
    """Why its data is not carried to that other line."""
    service = store.service
    if service.scale > 1:
        return msg("{service} runs more than once.", service=service.name)
    if service.role is Role.REDIS:
        return _redis_refusal(facts, service, line)
    if service.role is not Role.POSTGRES:
        return None
    if any(family.id.startswith("bitnami") for family in families_of(parse_reference(service.image or ""))):
        return msg("Bitnami's images make and start the server of {service} by scripts and users of their own: go by "
                   "their manual.", service=service.name)  # fmt: skip
    cluster = cluster_of(facts, service)
    if cluster is None:
        live = facts.live.get((service.name, CLUSTER_PROBE))
        return msg("{service} cannot be asked: {why}.", service=service.name,
                   why=(live.error if live and live.error else "it was not").rstrip("."))  # fmt: skip
    from nftui.steps.pg_upgrade import why_not  # with all that a dump takes

    reasons = [str(reason) for reason in (*why_not(cluster), *_left_behind(store, cluster))]
    return msg("{service} cannot be dumped: {why}.", service=service.name, why="; ".join(reasons)) if reasons else None


def _left_behind(store: Store, cluster: ClusterFacts) -> Iterator[Message]:
    """Files of its configuration that a dump does not bring along, and that are not there for the new server."""
    inside = f"{store.mount.target.rstrip('/')}/"
    lost = [p for p in cluster.named if p.startswith(inside) and not p.startswith(f"{cluster.directory}/")]
    lost += [path for path in cluster.named if ".." in PurePosixPath(path).parts]
    if lost:
        yield msg("files that its configuration names lie beside its data directory on the volume that it leaves "
                  "({names}): put them into it", names=", ".join(sorted(lost)))  # fmt: skip
    if wal := sorted(told_wal(store.service)):
        yield msg("its WAL lies at {path}, outside of its data directory, and it would not find it while it is dumped",
                  path=", ".join(wal))  # fmt: skip
    mounts = store.service.running.mounts if store.service.running else ()
    mounted = sorted({m.target for m in mounts} & set(cluster.included))
    if mounted:
        yield msg("{names} are mounted into its data directory, and it would not find them while it is dumped: put "
                  "them beside the data, or on the service's command line", names=", ".join(mounted))  # fmt: skip


def _redis_refusal(facts: Facts, service: Service, line: Line) -> Message | None:
    live = facts.live_value(service.name, "redis")
    if not isinstance(live, RedisFacts):
        return msg("{service} cannot be asked: what it loads at its start is not known.", service=service.name)
    if live.mode != "standalone" or live.role != "master":
        return msg("{service} is part of a cluster or follows another one: its nodes go one by one, by its manual.",
                   service=service.name)  # fmt: skip
    return _replicas_refusal(facts, service, live.replicas, line)


def _replicas_refusal(facts: Facts, service: Service, replicas: int, line: Line) -> Message | None:
    """A replica reads what its master writes: it must not be older (redis.io/docs, replication)."""
    others = [(s, facts.live_value(s.name, "redis")) for s in facts.stack.with_role(Role.REDIS)]
    known = (o.version for s, o in others if isinstance(o, RedisFacts) and _follows(facts, s, o, service))
    if replicas <= sum(version_key(version)[: len(line)] >= line for version in known):
        return None
    return msg(
        "{count} replicas follow {service}, and one that is older than its master cannot: bring each to {wanted} "
        "first. nftui moves no replica: name its new image in your files and recreate it, it gets all keys anew from "
        "{service}. A replica that nftui made is taken away first, redis.{service}.mode=single, and made again "
        "afterwards with redis.{service}.image as the image of {service}.", count=replicas, service=service.name,
        wanted=words(line),
    )  # fmt: skip


def _follows(facts: Facts, replica: Service, live: RedisFacts, master: Service) -> bool:
    """Whether it is a replica of that one, where it tells whose; else of any."""
    if live.role != "slave" or replica.name == master.name:
        return False
    if live.master is None:
        return True
    if any(live.master in container.addresses.values() for container in master.containers):
        return True
    found = Names(facts.stack).resolve(replica, live.master)
    return found is not None and found.name == master.name


def writers_of(facts: Facts, service: Service) -> tuple[str, ...]:
    """Running services that are known to use it, and those beside it of which nothing is known."""
    likes = POSTGRES_LIKE if service.role is Role.POSTGRES else REDIS_LIKE if service.role is Role.REDIS else ()
    near = {s.name for s in facts.stack.services if s.role in likes and (s.name == service.name or s.role in likes[1:])}
    users = {c.client.name for c in connections(facts.stack) if c.server.name in near}
    unknown = {s.name for s in facts.stack.services if _may_write(s, service)}
    names = (users | unknown) - {service.name}
    return tuple(s.name for s in facts.stack.services if s.name in names and s.running is not None)


def _may_write(other: Service, service: Service) -> bool:
    if other.role not in (Role.APP, Role.UNKNOWN) or (other.image and app_of(other.image, catalog().apps)):
        return False
    return bool(_networks(other) & _networks(service))


def _networks(service: Service) -> set[str]:
    found = {n for c in service.containers if c.running for n in c.networks}
    declared = service.config.get("networks")
    names = [str(n) for n in declared] if isinstance(declared, (dict, list)) else []
    return found or set(names) or {"default"}
