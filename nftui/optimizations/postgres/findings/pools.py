"""Finding about connections: the apps' pools, where their sizes are written down, against max_connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.catalog.connections import Connection
from nftui.engine.evidence import at
from nftui.engine.mounted import mounted
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import msg
from nftui.model.patterns import regex
from nftui.model.stack import Role
from nftui.optimizations.postgres.findings.evidence import amount, finding, setting_evidence

if TYPE_CHECKING:
    from nftui.model.facts import Facts
    from nftui.model.stack import Service
    from nftui.optimizations.postgres.server import Server

_SIZES = {
    "DB_POSTGRESDB_POOL_SIZE": "",
    "DATABASE_POOL_SIZE": "DATABASE_POOL_MAX_OVERFLOW",
    "SQLALCHEMY_POOL_SIZE": "SQLALCHEMY_MAX_OVERFLOW",
    "DB_POOL_SIZE": "DB_MAX_OVERFLOW",
    "DB_POOL": "",
    "DB_POOL_MAX": "",
    "DATABASE_POOL_MAX": "",
    "POSTGRES_POOL_SIZE": "",
    "PG_POOL_MAX": "",
    "SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE": "",
}
"""Variables that are a pool's size per process, and its overflow, where the catalog does not know the image."""

_LIMIT = regex(r"[?&](?:connection_limit|pool_size|max_pool_size|pool_max_conns|pool_max|pool)=(\d+)")
_POOLERS = ("DEFAULT_POOL_SIZE", "PGBOUNCER_DEFAULT_POOL_SIZE")
"""A pooler's connections for each database and user (edoburu, Bitnami)."""
_INI = regex(r"(?m)^\s*default_pool_size\s*=\s*(\d+)")
_CAPPED = regex(r"(?m)^\s*max_(?:db|user)_connections\s*=\s*[1-9]|\bpool_size\s*=")
_RESERVED = 3
"""superuser_reserved_connections: apps cannot have them."""


def pools(facts: Facts, server: Server) -> Finding | None:
    """postgres-connections-vs-pools: only sizes that are written down count, and only of apps that connect directly."""
    links = {c.client.name: c for c in server.links if _is_direct(c, server)}
    found = [
        (link.client, evidence, size * link.client.scale)
        for link in links.values()
        for evidence, size in (_pooler(facts, link.client) if link.client.role is Role.PGBOUNCER else _pool(link))
    ]
    total, most = sum(size for _, _, size in found), int(amount(server, "max_connections"))
    if total <= most - _RESERVED:
        return None
    detail = msg(
        "The pools of {apps} open up to {total} connections; max_connections is {most}, {reserved} of them reserved.",
        apps=", ".join(sorted({other.name for other, _, _ in found})), total=total, most=most, reserved=_RESERVED,
    )  # fmt: skip
    return finding(
        server, "postgres-connections-vs-pools", Level.MEDIUM, msg("The apps' pools can pass max_connections"), detail,
        "databases reference 1.2", setting_evidence(server, "max_connections"), *(e for _, e, _ in found),
    )  # fmt: skip


def _is_direct(link: Connection, server: Server) -> bool:
    both = link.client.active and server.service.active and link.client.scale > 0
    return both and link.kind == "postgres"


def _pool(link: Connection) -> list[tuple[Evidence, int]]:
    """Evidence and size of the client's pool: from its URL, or the variables that its app or any app has for it."""
    other, environment = link.client, {k: v for k, v in link.client.environment.items() if v}
    match = _LIMIT.search(environment.get(link.key, ""))
    if match:
        return [(at(other, link.key, f"environment.{link.key}", f"…{match[0][1:]} ({other.name})"), int(match[1]))]
    known = {link.use.pool_size: link.use.pool_overflow or ""} if link.use and link.use.pool_size else _SIZES
    for key, overflow in known.items():
        size, more = environment.get(key, ""), environment.get(overflow, "0")
        if size.isdigit():
            total = int(size) + (int(more) if more.isdigit() else 0)
            return [(at(other, key, f"environment.{key}", f"{size} ({other.name})"), total)]
    return []


def _pooler(facts: Facts, service: Service) -> list[tuple[Evidence, int]]:
    """What a PgBouncer opens at least when one user of one database is busy; nothing where another bound is set."""
    environment = {k: v for k, v in service.environment.items() if v}
    if any(key.endswith(("MAX_DB_CONNECTIONS", "MAX_USER_CONNECTIONS")) for key in environment):
        return []
    ini = mounted(facts.stack, service, "/etc/pgbouncer/pgbouncer.ini")
    if ini is not None:
        match = None if _CAPPED.search(ini.text or "") else _INI.search(ini.text or "")
        line = (ini.text or "").count("\n", 0, match.start(1)) + 1 if match else None
        return [(Evidence("default_pool_size", match[1], ini.path, line), int(match[1]))] if match else []
    return [
        (at(service, key, f"environment.{key}", environment[key]), int(environment[key]))
        for key in _POOLERS if environment.get(key, "").isdigit()
    ][:1]  # fmt: skip


CHECKS = (pools,)
