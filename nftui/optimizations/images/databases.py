"""Where an app keeps what its next version may change for good: no step of nftui's brings that back."""

from __future__ import annotations

from pathlib import PurePosixPath
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
_GRAFANA_DIRECTORY, _GRAFANA_FILE = "/var/lib/grafana", "grafana.db"
"""Where the image keeps it, unless it is told otherwise."""
_GRAFANA_INI = "/etc/grafana/grafana.ini"
_COMMENT = regex(r"\s[;#].*")
_NAMED = regex(r"\$(?:__env)?\{(\w+)\}")
"""A variable in a value of grafana.ini."""


def databases_of(facts: Facts, service: Service) -> tuple[str, ...]:
    """Databases outside of its own directory that the app migrates: services of the stack, else kinds of servers."""
    environment = {k: v for k, v in {**service.environment, **_running(service)}.items() if v}
    if service.role is Role.GRAFANA:
        return tuple(_of_grafana(facts, service, environment))
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


def grafana_directory(service: Service) -> str:
    """Where a Grafana keeps its data, the database among it where that is a file."""
    return ({**service.environment, **_running(service)}.get("GF_PATHS_DATA") or _GRAFANA_DIRECTORY).rstrip("/")


def _of_grafana(facts: Facts, service: Service, environment: Mapping[str, str]) -> Iterator[str]:
    """A PostgreSQL that it only draws from is none of its own (grafana.com/docs, [database])."""
    hidden = [name for name in ("GF_DATABASE_URL__FILE", "GF_DATABASE_TYPE__FILE") if name in environment]
    if hidden:
        yield hidden[0]
        return
    said = _configured(facts, service, environment)
    kind = said.get("url", "").partition(":")[0] or said.get("type", "")
    path = said.get("path") or _GRAFANA_FILE
    if kind not in _SQLITE:
        host = "" if said.get("url") else said.get("host", "").partition(":")[0]
        yield host or kind
    elif PurePosixPath(grafana_directory(service), path) != PurePosixPath(grafana_directory(service), _GRAFANA_FILE):
        yield path


def _configured(facts: Facts, service: Service, environment: Mapping[str, str]) -> dict[str, str]:
    """Its [database]: of a mounted grafana.ini, and what the environment puts over it (pkg/setting)."""
    from nftui.catalog.mounted import mounted

    file = mounted(facts.stack, service, environment.get("GF_PATHS_CONFIG") or _GRAFANA_INI)
    found = dict(_section(file.text, "database")) if file and file.text else {}
    told = {name: _NAMED.sub(lambda m: environment.get(m[1], ""), value) for name, value in found.items()}
    head = "GF_DATABASE_"
    return told | {n.removeprefix(head).lower(): v for n, v in environment.items() if n.startswith(head)}


def _section(text: str, wanted: str) -> Iterator[tuple[str, str]]:
    """Keys of one section of an ini file."""
    section = ""
    for line in (line.strip() for line in text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif section == wanted and "=" in line and line[0] not in ";#":
            key, _, value = line.partition("=")
            yield key.strip(), _COMMENT.sub("", value).strip().strip("\"'`")
