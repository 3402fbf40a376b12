"""The `qdrant` probe: version and collections over the REST API. Read-only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nftui.clients.http import HttpClient, HttpUnreachable
from nftui.clients.qdrant import collection_path, connect_qdrant, overwritten
from nftui.clients.qdrant_nodes import is_barred, read_aliases, read_cluster, read_shards
from nftui.clients.qdrant_settings import mounted_settings
from nftui.model.ai import Collection, QdrantFacts, default_threshold_kb
from nftui.model.errors import NftuiError
from nftui.model.facts import Live
from nftui.model.message import Message, msg
from nftui.model.qdrant import fields_in_memory, may_optimize, read_config, unmeasurable
from nftui.model.stack import Service
from nftui.system.exec import Exec

PROBE = "qdrant"
_ADVISED = tuple(f"QDRANT__{part}" for part in (
    "STORAGE__STORAGE_PATH", "STORAGE__HNSW_INDEX__", "STORAGE__PERFORMANCE__",
    "STORAGE__OPTIMIZERS__DEFAULT_SEGMENT_NUMBER", "CLUSTER__ENABLED",
))  # fmt: skip
_RUNNING = ("running_snapshots", "running_snapshot_recovery")


def probe_qdrant(service: Service, exec_port: Exec | None, environ: Mapping[str, str] | None = None) -> Live:
    """Read QdrantFacts from the first running container. Never raises for a server that will not answer."""
    try:
        client = connect_qdrant(service)
        facts = replace(read_facts(client, overwritten(service)), configured=_configured(service))
        return Live(PROBE, service.name, facts, via=client.via)
    except NftuiError as error:
        return Live(PROBE, service.name, None, str(error))


def _configured(service: Service) -> dict[str, str]:
    """No more than advice asks for: a configuration holds keys as well."""
    return {name: value for name, value in mounted_settings(service).items() if name.startswith(_ADVISED)}


def read_facts(client: HttpClient, forced: Mapping[str, int]) -> QdrantFacts:
    """Facts over REST. Raises HttpUnreachable where not even the collections may be listed.

    `forced`: values of the optimizers that the server puts over those of every collection.
    """
    listed = client.json("/collections")["result"]["collections"]
    names = [str(item["name"]) for item in listed]
    told = client.json("/")
    version = told.get("version") if isinstance(told, dict) else None
    version = str(version) if version else None
    cluster, aliases = read_cluster(client), _named(client)
    read = (_read(client, name, aliases, forced, spread=cluster is not None) for name in names)
    stock = default_threshold_kb(version)
    found = [replace(c, indexing_threshold_kb=stock) if c.indexing_threshold_kb is None else c for c in read if c]
    is_open = client.status("/collections", plain=True) == 200
    return QdrantFacts(version, tuple(found), is_open, cluster)


def _read(
    client: HttpClient, name: str, aliases: Mapping[str, str], forced: Mapping[str, int], *, spread: bool
) -> Collection | None:
    """None where it was deleted since it was listed. Raises HttpUnreachable."""
    try:
        found = _collection(name, client.json(collection_path(name)), forced)
        replicas, transfers = read_shards(client, name) if spread else ((), 0)
    except HttpUnreachable as error:
        if error.status != 404:
            raise
        return None
    mine = tuple(sorted(alias for alias, target in aliases.items() if target == name))
    return replace(found, aliases=mine, replicas=replicas, transfers=transfers)


def _collection(name: str, answer: Any, forced: Mapping[str, int]) -> Collection:
    result = answer["result"]
    config = dict(result.get("config") or {})
    config["optimizer_config"] = {**(config.get("optimizer_config") or {}), **forced}
    index, points = read_config(config), result.get("points_count")
    vectors = index.vectors
    return Collection(
        name=name,
        status=str(result.get("status", "")),
        points=points,
        indexed_vectors=result.get("indexed_vectors_count"),
        segments=result.get("segments_count"),
        dimensions=max((v.size for v in vectors), default=None),
        m=_number(index.hnsw.get("m")),
        ef_construct=_number(index.hnsw.get("ef_construct")),
        indexing_threshold_kb=config["optimizer_config"].get("indexing_threshold"),
        quantized=bool(index.quantization) or any(v.quantization for v in vectors),
        on_disk=bool(vectors) and all(index.is_on_disk(v, points or 0) for v in vectors),
        index=index,
        shards=_number((config.get("params") or {}).get("shard_number")) or 1,
        copies=_number((config.get("params") or {}).get("replication_factor")) or 1,
        optimizer=_optimizer(result.get("optimizer_status")),
        unmeasurable=unmeasurable(config),
        fields=fields_in_memory(result.get("payload_schema")),
        optimizes=may_optimize(config),
    )


def _named(client: HttpClient) -> Mapping[str, str]:
    """Its aliases; none where a key may not ask for them."""
    try:
        return read_aliases(client)
    except HttpUnreachable as error:
        if not is_barred(error):
            raise
        return {}


def snapshots(service: Service) -> tuple[Message, ...]:
    """Snapshots that are being made or restored, which a stop would break off; servers before 1.16 do not tell."""
    try:
        told = connect_qdrant(service).json("/telemetry?details_level=2")["result"]["collections"].get("snapshots")
        names = [str(s["id"]) for s in told or () if any(s.get(count) for count in _RUNNING)]
    except (NftuiError, KeyError, TypeError, AttributeError):
        return ()
    text = "A snapshot of {names} is being made or restored in {service}."
    return (msg(text, names=", ".join(sorted(names)), service=service.name),) if names else ()


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _optimizer(value: object) -> str:
    """ "ok", or the error that the server tells."""
    return str(value.get("error")) if isinstance(value, Mapping) else str(value or "")
