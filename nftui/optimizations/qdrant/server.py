"""One Qdrant of the stack, as advice needs it: its collections, its memory, CPUs, disk and declared environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import partial
from typing import TYPE_CHECKING

from nftui.catalog import data_paths
from nftui.catalog.references import version_key
from nftui.clients.qdrant_settings import absolute
from nftui.model.advice import Applicability
from nftui.model.ai import QdrantFacts
from nftui.model.dataclass import dataclass
from nftui.model.host import Medium
from nftui.model.message import Message, msg
from nftui.model.stack import Role
from nftui.optimizations._cpus import cpus_of
from nftui.optimizations._servers import split
from nftui.optimizations.qdrant.knobs import ID
from nftui.optimizations.qdrant.nodes import nodes, shards, troubles

if TYPE_CHECKING:
    from nftui.engine.protocols import Grants
    from nftui.model.facts import Facts
    from nftui.model.stack import Service

_CLUSTER = "QDRANT__CLUSTER__ENABLED"
_STORAGE = "QDRANT__STORAGE__STORAGE_PATH"
_ON = ("true", "1", "on", "yes")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that can be tuned. `memory` in bytes, None where nothing bounds it."""

    service: Service
    live: QdrantFacts | None
    memory: int | None
    fast_disk: bool
    """Its storage is known to be on NVMe or SSD."""
    cpus: int | None = None
    """That its container may use; None where nothing tells."""
    nodes: tuple[str, ...] = ()
    """Services that are nodes of its cluster and run, itself included."""
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Collection to services that name it in a variable: an alias that is switched does not reach them."""

    @property
    def spread(self) -> bool:
        """Whether the shards of its collections lie on several nodes."""
        return self.live is not None and self.live.peers > 1

    @property
    def release(self) -> tuple[int, ...]:
        """(1, 15) of 1.15.3; () where its version is not known."""
        version = (self.live.version if self.live else None) or self.service.version or ""
        return version_key(version)[:2]

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name

    def declared(self, variable: str) -> tuple[str, str] | None:
        """(name as written, value); Qdrant's names are compared without regard to case.

        What the environment leaves unsaid a mounted configuration may say; some settings have two names there.
        """
        found = [*self.service.environment.items(), *_of_files(self.live, variable)]
        return next(((k, v) for k, v in found if k.upper() == variable and v is not None), None)


def _of_files(live: QdrantFacts | None, variable: str) -> list[tuple[str, str]]:
    configured = live.configured if live else {}
    names = (variable, variable.removesuffix("_KB"))
    return [(variable, configured[name]) for name in names if name in configured]


def build_server(facts: Facts, service: Service, grants: Grants) -> Server:
    """From the facts; the running container's own limits are never an input, for nftui may have written them."""
    grant = grants.get(service.name)
    found = facts.live_value(service.name, ID)
    live = found if isinstance(found, QdrantFacts) else None
    return Server(
        service, live, grant.bytes if grant else service.memory_limit_bytes,
        _medium(facts, service) in (Medium.NVME, Medium.SSD),
        cpus_of(facts, service, grant.cpus if grant else None), _nodes(facts, service, live), _named(facts, live),
    )  # fmt: skip


def _nodes(facts: Facts, service: Service, live: QdrantFacts | None) -> tuple[str, ...]:
    """By the ids of their peers: nodes of one cluster know the same ones."""
    if live is None or live.cluster is None:
        return (service.name,)
    servers = ((s, facts.live_value(s.name, ID)) for s in facts.stack.with_role(Role.QDRANT) if s.running)
    peers = set(live.cluster.peers)
    return tuple(
        sorted(
            s.name
            for s, other in servers
            if isinstance(other, QdrantFacts) and other.cluster is not None and other.cluster.peer in peers
        )
    )


def _named(facts: Facts, live: QdrantFacts | None) -> dict[str, tuple[str, ...]]:
    names = {c.name for c in live.collections} if live and live.cluster else set()
    found: dict[str, tuple[str, ...]] = {}
    for service in facts.stack.services:
        for value in names & set(service.environment.values()) if service.active else ():
            if value is not None:
                found[value] = (*found.get(value, ()), service.name)
    return found


def _medium(facts: Facts, service: Service) -> Medium:
    container = service.running
    roots = _roots(facts, service)
    path = next((m.host_path for m in container.mounts if m.target in roots), None) if container else None
    mount = facts.host.mount_for(path) if path and (facts.engine is None or facts.engine.local) else None
    return mount.medium if mount else Medium.UNKNOWN


def _roots(facts: Facts, service: Service) -> tuple[str, ...]:
    """Where it keeps its collections: as its environment says or its configuration, else as its image does."""
    live = facts.live_value(service.name, ID)
    moved = next((v for k, v in service.environment.items() if k.upper() == _STORAGE and v), None)
    moved = moved or (live.configured.get(_STORAGE) if isinstance(live, QdrantFacts) else None)
    if moved:
        return (absolute(moved).rstrip("/"),)
    return data_paths(service.role, service.image, service.version)


def applicability(facts: Facts) -> Applicability:
    """Active Qdrant servers, split into those that can be tuned and those that are refused."""
    servers = facts.stack.with_role(Role.QDRANT)
    if not servers:
        return Applicability(False, msg("No Qdrant is active in this stack."))
    good, refused = split(servers, partial(_refusal, facts))
    if not good:
        return Applicability(False, next(iter(refused.values())), (), refused)
    return Applicability(True, msg("Qdrant servers that can be tuned: {names}.", names=", ".join(good)), good, refused)


def _refusal(facts: Facts, service: Service) -> Message | None:
    live = facts.live_value(service.name, ID)
    known = live if isinstance(live, QdrantFacts) else None
    environment = {k: v.lower() for k, v in (known.configured if known else {}).items()}
    environment |= {k.upper(): (v or "").lower() for k, v in service.environment.items()}
    alone = known is not None and known.peers == 1  # cluster mode of one node: every shard is its own
    if not alone and (environment.get(_CLUSTER) in _ON or (known and known.peers)):
        return _in_cluster(facts, service, known)
    if service.scale > 1:
        return msg("{service} runs {count} times without being a cluster.", service=service.name, count=service.scale)
    unread = facts.live.get((service.name, ID))
    if service.running is not None and unread is not None and unread.value is None:
        return msg("{service} runs and could not be asked ({reason}), so nothing could be read back.",
                   service=service.name, reason=unread.error)  # fmt: skip
    if not _has_volume(facts, service):
        return msg("{service} keeps its collections in the container: recreated, it would lose them.",
                   service=service.name)  # fmt: skip
    version = known.version if known else None
    if version is not None and version.partition(".")[0] != "1":
        return msg("{service} is Qdrant {version}; versions 1.x are known.", service=service.name, version=version)
    return None


def _in_cluster(facts: Facts, service: Service, live: QdrantFacts | None) -> Message | None:
    """Why the index is left alone there; who its nodes are and what they hold, as far as it tells.

    None for the one node that speaks for a cluster with aliases: other shards can be brought behind those.
    """
    cluster = live.cluster if live else None
    speaker = _nodes(facts, service, live)[:1]
    if live and any(c.aliases for c in live.collections) and speaker:
        if speaker == (service.name,):
            return None
        return msg("{service} is a node of the cluster for which {speaker} speaks.", service=service.name,
                   speaker=speaker[0])  # fmt: skip
    if live is None or cluster is None:
        return msg(
            "{service} is a node of a cluster: a snapshot holds its own shards only, so it is left alone.",
            service=service.name,
        )
    return msg(
        "{service} is a node of a cluster of {peers} ({nodes}): a snapshot holds its own shards only, so its index is "
        "left alone. Shards: {shards}. {state}For more shards a collection has to be made anew with 2 to 4 per node, "
        "its points copied, and an alias switched: their number is fixed at its creation.",
        service=service.name, peers=live.peers, nodes=nodes(cluster), shards=shards(live, cluster),
        state="".join(f"{trouble} " for trouble in troubles(live, cluster)),
    )  # fmt: skip


def _has_volume(facts: Facts, service: Service) -> bool:
    roots = _roots(facts, service)
    found = [m.target.rstrip("/") for m in service.mounts if m.type in ("bind", "volume")]
    return any(root == target or root.startswith(target + "/") for root in roots for target in found)
