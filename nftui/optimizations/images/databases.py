"""Where an app keeps what its next version may change for good: no step of nftui's brings that back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.catalog.connections import connections, named_hosts
from nftui.catalog.names import Names
from nftui.catalog.references import parse_reference
from nftui.model.patterns import regex
from nftui.model.stack import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nftui.model.facts import Facts
    from nftui.model.stack import Service

_URL = regex(r"(?:jdbc:)?(postgres(?:ql)?|mysql|mariadb|mongodb|sqlserver|mssql)(?:\+[a-z0-9]+)*:")
_SQLITE = ("sqlite3", "sqlite", "")
_GRAFANA_FILES = ("grafana.db", "/var/lib/grafana/grafana.db")
"""Where the image keeps it, unless it is told otherwise."""


def databases_of(facts: Facts, service: Service) -> tuple[str, ...]:
    """Databases outside of its own directory that the app migrates: services of the stack, else kinds of servers."""
    environment = {k: v for k, v in {**service.environment, **_running(service)}.items() if v}
    if service.role is Role.GRAFANA:
        return tuple(_of_grafana(environment))
    return tuple(dict.fromkeys(_of_app(facts, service, environment))) if _migrates(service) else ()


def _running(service: Service) -> Mapping[str, str]:
    return service.running.environment if service.running else {}


def _migrates(service: Service) -> bool:
    """Exporters, backups and consoles read; a server's data is its own."""
    return service.role in (Role.APP, Role.UNKNOWN)


def _of_app(facts: Facts, service: Service, environment: Mapping[str, str]) -> Iterator[str]:
    known = [c for c in connections(facts.stack) if c.client.name == service.name and c.kind == "postgres"]
    yield from (c.server.name for c in known)
    named = {key for connection in known for key in connection.keys}
    urls = (_URL.match(value) for name, value in sorted(environment.items()) if name not in named)
    yield from (url[1] for url in urls if url)
    names = Names(facts.stack)
    hosts = (address for _, address in named_hosts(dict(sorted(environment.items()))) if not address.scheme)
    servers = (names.resolve(service, address.host, address.port) for address in hosts)
    yield from (server.name for server in servers if server and _is_database(server))


def _is_database(server: Service) -> bool:
    """One whose connections nobody else follows."""
    return server.role is Role.MYSQL or "mongo" in parse_reference(server.image or "").name


def _of_grafana(environment: Mapping[str, str]) -> Iterator[str]:
    """A PostgreSQL that it only draws from is none of its own (grafana.com/docs, [database])."""
    url = environment.get("GF_DATABASE_URL", "").partition(":")[0]
    kind = url or environment.get("GF_DATABASE_TYPE", "")
    path = environment.get("GF_DATABASE_PATH", _GRAFANA_FILES[0])
    if kind not in _SQLITE:
        host = environment.get("GF_DATABASE_HOST", "").partition(":")[0]
        yield host or kind
    elif path not in _GRAFANA_FILES:
        yield path
