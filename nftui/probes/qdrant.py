"""The `qdrant` probe: version and collections over the REST API. Read-only; at most a hundred collections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from nftui.clients.http import HttpClient
from nftui.model.ai import Collection, QdrantFacts
from nftui.model.errors import NftuiError
from nftui.model.facts import Live
from nftui.model.stack import Service
from nftui.system.exec import Exec

PROBE = "qdrant"
_MAX_COLLECTIONS = 100
_KEYS = ("QDRANT__SERVICE__API_KEY", "QDRANT__SERVICE__READ_ONLY_API_KEY")


def probe_qdrant(service: Service, exec_port: Exec | None, environ: Mapping[str, str] | None = None) -> Live:
    """Read QdrantFacts from the first running container. Never raises for a server that will not answer."""
    try:
        client = HttpClient(service, _port(service), _headers(service))
        return Live(PROBE, service.name, read_facts(client), via=client.via)
    except NftuiError as error:
        return Live(PROBE, service.name, None, str(error))


def _environment(service: Service) -> Mapping[str, str]:
    container = service.running
    found = {k.upper(): v for k, v in service.environment.items() if v}
    return found | {k.upper(): v for k, v in (container.environment if container else {}).items() if v}


def _port(service: Service) -> int:
    text = _environment(service).get("QDRANT__SERVICE__HTTP_PORT", "")
    return int(text) if text.isdigit() else 6333


def _headers(service: Service) -> dict[str, str]:
    environment = _environment(service)
    key = next((environment[name] for name in _KEYS if name in environment), None)
    return {"api-key": key} if key else {}


def read_facts(client: HttpClient) -> QdrantFacts:
    """Facts over REST. Raises HttpUnreachable where not even the collections may be listed."""
    listed = client.json("/collections")["result"]["collections"]
    names = [str(item["name"]) for item in listed][:_MAX_COLLECTIONS]
    found = client.json("/")
    version = found.get("version") if isinstance(found, dict) else None
    collections = tuple(_collection(name, client.json(f"/collections/{quote(name, safe='')}")) for name in names)
    return QdrantFacts(str(version) if version else None, collections, client.status("/collections", plain=True) == 200)


def _collection(name: str, answer: Any) -> Collection:
    result = answer["result"]
    config = result.get("config") or {}
    vectors = _vectors((config.get("params") or {}).get("vectors"))
    hnsw = config.get("hnsw_config") or {}
    quantized = bool(config.get("quantization_config")) or any(v.get("quantization_config") for v in vectors)
    return Collection(
        name=name,
        status=str(result.get("status", "")),
        points=result.get("points_count"),
        indexed_vectors=result.get("indexed_vectors_count"),
        segments=result.get("segments_count"),
        dimensions=max((int(v["size"]) for v in vectors if v.get("size")), default=None),
        m=hnsw.get("m"),
        ef_construct=hnsw.get("ef_construct"),
        indexing_threshold_kb=(config.get("optimizer_config") or {}).get("indexing_threshold"),
        quantized=quantized,
        on_disk=bool(vectors) and all(v.get("on_disk") for v in vectors),
    )


def _vectors(value: Any) -> list[dict[str, Any]]:
    """The unnamed vector's parameters, or those of every named one."""
    if not isinstance(value, dict):
        return []
    return [value] if "size" in value else [v for v in value.values() if isinstance(v, dict)]
