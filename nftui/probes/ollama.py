"""The `ollama` probe: version, stored and loaded models over the REST API. Read-only: loads nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nftui.clients.http import HttpClient, HttpUnreachable
from nftui.model.ai import Model, OllamaFacts
from nftui.model.errors import NftuiError
from nftui.model.facts import Live
from nftui.model.stack import Service
from nftui.system.exec import Exec

PROBE = "ollama"


def probe_ollama(service: Service, exec_port: Exec | None, environ: Mapping[str, str] | None = None) -> Live:
    """Read OllamaFacts from the first running container. Never raises for a server that will not answer."""
    try:
        client = HttpClient(service, _port(service))
        return Live(PROBE, service.name, read_facts(client), via=client.via)
    except NftuiError as error:
        return Live(PROBE, service.name, None, str(error))


def _port(service: Service) -> int:
    container = service.running
    host = (container.environment if container else {}).get("OLLAMA_HOST") or service.environment.get("OLLAMA_HOST")
    match = re.search(r":(\d{1,5})/?$", host or "")
    return int(match[1]) if match else 11434


def read_facts(client: HttpClient) -> OllamaFacts:
    """Facts over REST; /api/ps is not there in servers before 0.1.33. Raises HttpUnreachable."""
    stored = _models(client.json("/api/tags"))
    try:
        loaded = _models(client.json("/api/ps"))
    except HttpUnreachable:
        loaded = ()
    return OllamaFacts(str(client.json("/api/version").get("version") or "") or None, stored, loaded)


def _models(answer: Any) -> tuple[Model, ...]:
    """`expires_at` stays a text: for ever is centuries ahead, past what a datetime can hold."""
    models = answer.get("models") if isinstance(answer, dict) else None
    return tuple(
        Model(str(m.get("name") or m.get("model")), int(m.get("size") or 0), int(m.get("size_vram") or 0),
              m.get("expires_at"))
        for m in models or ()
    )  # fmt: skip
