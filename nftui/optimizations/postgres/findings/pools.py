"""Finding about connections: the apps' pools, where their sizes are written down, against max_connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.catalog.connections import Connection
from nftui.catalog.names import Names
from nftui.catalog.poolers import configurations
from nftui.engine.evidence import at
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import msg
from nftui.model.patterns import regex
from nftui.model.stack import Role
from nftui.optimizations.postgres.findings.evidence import amount, finding, setting_evidence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.model.facts import Facts
    from nftui.model.stack import Service
    from nftui.optimizations.postgres.server import Server

_SIZES = {
    "DB_POSTGRESDB_POOL_SIZE": "",
    "DATABASE_POOL_SIZE": "DATABASE_POOL_MAX_OVERFLOW",
    "SQLALCHEMY_POOL_SIZE": "SQLALCHEMY_MAX_OVERFLOW",
    "DB_POOL_SIZE": "DB_MAX_OVERFLOW",
    "DB_POOL": "",
}
"""Variables that are a pool's size per process, and its overflow, where the catalog does not know the image."""

_NAMED = regex(
    r"(?!.*(?:REDIS|MONGO|MYSQL|CLICKHOUSE))(?:\w+_)?(?:DB|DATABASE|DATASOURCE|PG|PGSQL|POSTGRES|POSTGRESDB|POSTGRESQL|SQL|HIKARI|TYPEORM|SEQUELIZE|ECTO)_(?:\w+_)?"
    r"(?:POOL_SIZE|POOL_MAX|POOL_MAX_SIZE|MAX_POOL_SIZE|MAXIMUM_?POOL_?SIZE|MAX_OPEN_CONN(?:ECTION)?S)"
)
"""The same in other words; an overflow has none."""

_LIMIT = regex(
    r"[?&](?:connection_limit|pool_size|max_pool_size|pool_max_conns|pool_max|pool)=(\d+)"
    r"|;\s*(?i:max(?:imum)? ?pool ?size)\s*=\s*(\d+)"
)
"""In a URL, or in Npgsql's connection string."""
_POOLERS = ("DATABASES_POOL_SIZE", "DEFAULT_POOL_SIZE", "PGBOUNCER_DEFAULT_POOL_SIZE")
"""A pooler's connections for each database and user (edoburu, Bitnami, pgbouncer/pgbouncer)."""
_INI = regex(r"(?m)^\s*default_pool_size\s*=\s*(\d+)")
_DATABASE = regex(r"(?m)^[ \t]*[\w-]+[ \t]*=[^;#\n]*\bhost\s*=\s*'?([\w.-]+)")
"""A database's line, and its server; the one of `*` stands for any number."""
_CAP = regex(r"(?m)^\s*max_(?:db|user)_connections\s*=\s*([1-9]\d*)")
_OWN_SIZE = regex(r"\bpool_size\s*=")
_CAPS = ("MAX_DB_CONNECTIONS", "MAX_USER_CONNECTIONS")
_RESERVED = 3
"""superuser_reserved_connections: apps cannot have them."""


def pools(facts: Facts, server: Server) -> Finding | None:
    """postgres-connections-vs-pools: only sizes that are written down count, and only of apps that connect directly."""
    links = {c.client.name: c for c in server.links if _is_direct(c, server)}
    apps = (c for c in links.values() if c.client.role is not Role.PGBOUNCER)
    sizes = [(c.client, *pool) for c in apps for pool in _pool(c)]
    # A pooler may name its servers in its file only.
    for service in facts.stack.with_role(Role.PGBOUNCER) if server.service.active else ():
        sizes += [(service, *pool) for pool in _pooler(facts, service, server.service, service.name in links)]
    found = [(client, evidence, size * client.scale) for client, evidence, size in sizes]
    # 0: it is a variable of a script.
    total, most = sum(size for _, _, size in found), int(amount(server, "max_connections"))
    if not most or total <= most - _RESERVED:
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
        shown = f"…{match[0][1:].strip()} ({other.name})"
        return [(at(other, link.key, f"environment.{link.key}", shown), int(match[1] or match[2]))]
    known = _SIZES | {key: "" for key in environment if _NAMED.fullmatch(key) and key not in _SIZES}
    if link.use and link.use.pool_size:
        known = {link.use.pool_size: link.use.pool_overflow or ""}
    for key, overflow in known.items():
        size, more = environment.get(key, ""), environment.get(overflow, "0")
        if size.isdigit():
            total = int(size) + (int(more) if more.isdigit() else 0)
            return [(at(other, key, f"environment.{key}", f"{size} ({other.name})"), total)]
    return []


def _pooler(facts: Facts, service: Service, server: Service, linked: bool) -> list[tuple[Evidence, int]]:
    """What a PgBouncer opens at least when one user of each database is busy, within the bound that is set for each."""
    environment = {k: v for k, v in service.environment.items() if v}
    ini = next(iter(configurations(facts.stack, service)), None)
    if ini is not None:
        text = ini.text or ""
        names = Names(facts.stack)
        here = sum(names.resolve(service, host) is server for host in _DATABASE.findall(text)) or int(linked)
        match = None if _OWN_SIZE.search(text) else _INI.search(text)
        if match is None or not here:
            return []
        line = text.count("\n", 0, match.start(1)) + 1
        size = _within(int(match[1]), _CAP.findall(text)) * here
        return [(Evidence("default_pool_size", match[1], ini.path, line), size)]
    caps = [value for key, value in environment.items() if key.endswith(_CAPS)]
    return [
        (at(service, key, f"environment.{key}", environment[key]), _within(int(environment[key]), caps))
        for key in _POOLERS if linked and environment.get(key, "").isdigit()
    ][:1]  # fmt: skip


def _within(size: int, caps: Iterable[str]) -> int:
    """0 means no bound; one that is no number may be any."""
    if not all(cap.isdigit() for cap in caps):
        return 0
    return min([size, *(int(cap) for cap in caps if int(cap))])


CHECKS = (pools,)
