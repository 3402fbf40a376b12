"""The way to a PostgreSQL service: container address, then published port, then psql inside the container."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from nftui.clients.libpq import connect_network
from nftui.clients.pglogin import Login, read_login
from nftui.clients.psql import VIA, connect_exec
from nftui.clients.routes import routes
from nftui.clients.sql import (
    ConnectError,
    Failure,
    Param,
    PostgresClient,
    PostgresUnreachable,
    Query,
    QueryError,
    Row,
    summary,
)
from nftui.model.message import msg
from nftui.model.stack import Container, Service
from nftui.system.exec import Exec

__all__ = [
    "ConnectError", "Exec", "Failure", "Login", "Param", "PostgresClient", "PostgresUnreachable", "Query", "QueryError",
    "Row", "connect", "read_login",
]  # fmt: skip

_FINAL = (Failure.STARTING, Failure.STOPPING)
_TELLING = (Failure.STARTING, Failure.STOPPING, Failure.PASSWORD, Failure.FULL)

Way = tuple[str, Callable[[Login], PostgresClient]]


def connect(
    service: Service,
    exec_port: Exec | None,
    environ: Mapping[str, str] | None = None,
    login: Login | None = None,
) -> PostgresClient:
    """Open a session on the service's first running container.

    `environ` gives the values of declared variables that are passed through by name only. `login` overrides the one
    that the service's environment tells. Raises PostgresUnreachable, whose message is one line without any secret.
    """
    container = service.running
    if container is None:
        raise PostgresUnreachable(msg("{service} is not running", service=service.name), Failure.REFUSED)
    login = login or read_login(service, exec_port, environ)
    failures: list[ConnectError] = []
    for via, way in _ways(container, login, exec_port):
        if _pointless(via, failures):
            continue
        try:
            return _on_any_database(way, login)
        except ConnectError as error:
            failures.append(error)
        if failures[-1].kind in _FINAL:
            break
    kinds = [f.kind for f in failures]
    kind = next((k for k in _TELLING if k in kinds), kinds[-1] if kinds else Failure.OTHER)
    raise PostgresUnreachable(summary(service.name, login.user, login.origin, failures), kind, failures)


def _pointless(via: str, failures: list[ConnectError]) -> bool:
    """The server checks one password on every network route: asking again only adds a failed login to its log."""
    return via != VIA and any(f.kind is Failure.PASSWORD for f in failures)


def _ways(container: Container, login: Login, exec_port: Exec | None) -> Iterator[Way]:
    for host, port, via in routes(container, login.port):
        yield via, partial(connect_network, address=host, port=port, via=via)
    if exec_port is not None:
        yield VIA, partial(_exec_as_someone, exec_port, container.id)


def _on_any_database(way: Callable[[Login], PostgresClient], login: Login) -> PostgresClient:
    """The declared database may be gone, or never made (its variable counts at the first start only)."""
    try:
        return way(login)
    except ConnectError as error:
        if error.kind is not Failure.NO_DATABASE or login.database == "postgres":
            raise
    return way(login.other(database="postgres"))


def _exec_as_someone(exec_port: Exec, container_id: str, login: Login) -> PostgresClient:
    """Over the socket the superuser's usual name is worth a try where the environment's role does not exist."""
    try:
        return connect_exec(exec_port, container_id, login)
    except ConnectError as error:
        if error.kind is not Failure.NO_ROLE or login.user == "postgres":
            raise
    return connect_exec(exec_port, container_id, login.other(user="postgres"))
