"""Is a service doing its work, and may it be stopped now? By role: a real query, never only an open port."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence

from nftui.clients.http import HttpClient
from nftui.clients.ollama import OllamaClient
from nftui.clients.postgres import PostgresClient, PostgresUnreachable, connect
from nftui.clients.qdrant import connect_in, connect_qdrant
from nftui.model.errors import NftuiError
from nftui.model.message import Message, msg
from nftui.model.stack import Role, Service
from nftui.probes.ollama import pulls
from nftui.probes.postgres_state import checkpoint, is_serving
from nftui.probes.qdrant import snapshots
from nftui.probes.quiet import connected_clients, postgres_quiet
from nftui.probes.redis_state import redis_clients, redis_quiet, redis_serving, save_at_stop
from nftui.system.exec import Exec

_REDIS = (Role.REDIS, Role.KEYDB)


def _with_postgres(service: Service, port: Exec | None, use: Callable[[PostgresClient], object]) -> object:
    client = connect(service, port)
    try:
        return use(client)
    finally:
        client.close()


def _answers_about_models(service: Service, port: Exec | None) -> str | None:
    """It lists what it stores, which reads its disk and loads nothing; asked inside where its port is out of reach."""
    try:
        OllamaClient(service).stored()
    except NftuiError as error:
        return None if _lists_models(service, port) else str(error.message)
    return None


def _lists_models(service: Service, port: Exec | None) -> bool:
    container = service.running
    if container is None or port is None:
        return False
    try:
        return port.exec(container.id, ["ollama", "ls"])[0] == 0
    except (OSError, NftuiError):
        return False


def api(service: Service) -> HttpClient:
    """The HTTP API of that service. Raises HttpUnreachable; NftuiError for a role that has none."""
    if service.role is Role.QDRANT:
        return connect_qdrant(service)
    raise NftuiError(msg("{service} has no HTTP API that nftui knows.", service=service.name))


def api_in(service: Service, port: int, dial: Callable[[float], socket.socket]) -> HttpClient:
    """The HTTP API of a server in a helper, with the service's credentials and without TLS; `dial` connects."""
    if service.role is Role.QDRANT:
        return connect_in(service, port, dial)
    return HttpClient(service, port, dial=dial)


def _qdrant(service: Service) -> str | None:
    """Its collections are listed: /readyz says nothing on a single node (AI reference 2.7)."""
    try:
        connect_qdrant(service).json("/collections")
    except NftuiError as error:
        return str(error.message)
    return None


def serving(service: Service, port: Exec | None) -> str | None:
    """Why the service does not do its work, None when it does or when its role has no check."""
    if service.role is Role.OLLAMA:
        return _answers_about_models(service, port)
    if service.role is Role.QDRANT:
        return _qdrant(service)
    if service.role in _REDIS:
        return redis_serving(service, port)
    if service.role is not Role.POSTGRES:
        return None
    try:
        reason = _with_postgres(service, port, is_serving)
    except PostgresUnreachable as error:
        return str(error.message)
    return None if reason is None else str(reason)


def quiet(service: Service, port: Exec | None) -> Sequence[Message]:
    """Why now is no moment to stop it; a server that cannot be asked has nothing to lose by it."""
    if service.role is Role.OLLAMA:
        return pulls(service, port)
    if service.role is Role.QDRANT and service.running is not None:
        return snapshots(service)
    if service.role in _REDIS and service.running is not None:
        return redis_quiet(service, port)
    if service.role is not Role.POSTGRES or service.running is None:
        return ()
    try:
        found = _with_postgres(service, port, lambda client: postgres_quiet(client, time.time()))
    except PostgresUnreachable:
        return ()
    return found if isinstance(found, tuple) else ()


def clients(service: Service, port: Exec | None) -> set[str]:
    """Addresses from which sessions are open; empty where the service cannot be asked."""
    if service.role in _REDIS and service.running is not None:
        return redis_clients(service, port)
    if service.role is not Role.POSTGRES or service.running is None:
        return set()
    try:
        found = _with_postgres(service, port, connected_clients)
    except PostgresUnreachable:
        return set()
    return {c.address for c in found if c.address} if isinstance(found, tuple) else set()


def ease_stop(service: Service, port: Exec | None) -> None:
    """A CHECKPOINT, so that the shutdown is short; whatever hinders it does not hinder the stop."""
    if service.role in _REDIS and service.running is not None:
        save_at_stop(service, port)
    if service.role is not Role.POSTGRES or service.running is None:
        return
    try:
        _with_postgres(service, port, checkpoint)
    except PostgresUnreachable:
        return
