"""The way to a Qdrant: its port, its key, TLS where its service speaks it, and paths of its API."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from nftui.clients.http import HttpClient
from nftui.model.stack import Service

_KEYS = ("QDRANT__SERVICE__API_KEY", "QDRANT__SERVICE__ALT_API_KEY", "QDRANT__SERVICE__READ_ONLY_API_KEY")
"""The one that may write comes first."""


def connect_qdrant(service: Service) -> HttpClient:
    """The first route that answers. Raises HttpUnreachable."""
    environment = _environment(service)
    port = environment.get("QDRANT__SERVICE__HTTP_PORT", "")
    key = next((environment[name] for name in _KEYS if name in environment), None)
    tls = environment.get("QDRANT__SERVICE__ENABLE_TLS", "").lower() in ("true", "1")
    return HttpClient(service, int(port) if port.isdigit() else 6333, {"api-key": key} if key else {}, tls=tls)


def collection_path(name: str, *rest: str) -> str:
    """`/collections/NAME/REST…`, names quoted."""
    return "/".join(("/collections", quote(name, safe=""), *(quote(part, safe="/") for part in rest)))


def _environment(service: Service) -> Mapping[str, str]:
    """Names are compared without regard to case; what runs beats what the files say."""
    container = service.running
    found = {k.upper(): v for k, v in service.environment.items() if v}
    return found | {k.upper(): v for k, v in (container.environment if container else {}).items() if v}
