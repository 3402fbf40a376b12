"""The `ollama` probe: version, stored and loaded models over the REST API. Read-only: loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nftui.catalog import repositories_of
from nftui.clients.http import HttpUnreachable
from nftui.clients.ollama import OllamaClient
from nftui.model.ai import Model, OllamaFacts
from nftui.model.errors import NftuiError
from nftui.model.facts import Live
from nftui.model.message import Message, msg
from nftui.model.stack import Container, Service
from nftui.system.exec import Exec

PROBE = "ollama"
READ = ("OLLAMA_", "LLAMA_ARG_")
"""What the server reads, and what it hands on to llama-server."""
_NO_ROUTE = (404, 405)
_MOST = 100
"""Models whose shape is asked for: one request each."""


def probe_ollama(service: Service, exec_port: Exec | None, environ: Mapping[str, str] | None = None) -> Live:
    """Read OllamaFacts from the first running container. Never raises for a server that will not answer."""
    try:
        client = OllamaClient(service)
        facts = read_facts(client)
    except NftuiError as error:
        return Live(PROBE, service.name, None, str(error))
    container = service.running
    given = {k: v for k, v in container.environment.items() if k.startswith(READ)} if container else {}
    has_bash = _has_bash(container, exec_port) if container and not repositories_of(service.image or "") else None
    return Live(PROBE, service.name, replace(facts, given=given, has_bash=has_bash), via=client.via)


def _has_bash(container: Container, exec_port: Exec | None) -> bool | None:
    """Of an image that the catalog does not know."""
    try:
        return None if exec_port is None else exec_port.exec(container.id, ["bash", "-c", ":"])[0] == 0
    except (OSError, NftuiError):
        return None


def read_facts(client: OllamaClient) -> OllamaFacts:
    """Facts over REST; /api/ps is not there in servers before 0.1.38. Raises HttpUnreachable."""
    stored = client.stored()
    try:
        loaded = client.loaded()
    except HttpUnreachable as error:
        if error.status not in _NO_ROUTE:
            raise  # what is in memory is unknown, which is not nothing
        loaded = ()
    shown = tuple(_with_shape(client, m) if n < _MOST else m for n, m in enumerate(stored))
    return OllamaFacts(client.version(), shown, loaded)


def _with_shape(client: OllamaClient, model: Model) -> Model:
    """What /api/show adds; a model whose file is damaged, or an old server, says nothing."""
    try:
        return client.show(model.name).of(model)
    except NftuiError:
        return model


def pulls(service: Service, exec_port: Exec | None) -> tuple[Message, ...]:
    """A model is being pulled: its unfinished files were written to within the last minute.

    A stop breaks it off; what is on the disk is kept, and the pull goes on where somebody asks for it again.
    """
    container = service.running
    if container is None or exec_port is None:
        return ()
    given = container.environment
    store = given.get("OLLAMA_MODELS") or f"{given.get('HOME') or '/root'}/.ollama/models"
    find = ["find", f"{store}/blobs", "-name", "*-partial*", "-mmin", "-1", "-print", "-quit"]
    try:
        code, out, _ = exec_port.exec(container.id, find)
    except (OSError, NftuiError):
        return ()
    if code != 0 or not out.strip():
        return ()
    return (msg("A model is being pulled into {service}.", service=service.name),)
