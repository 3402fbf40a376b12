"""Finding about connections: the apps' pools, where their sizes are written down, against max_connections."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nftui.engine.evidence import at
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import msg
from nftui.optimizations.postgres.findings.evidence import amount, finding, setting_evidence
from nftui.optimizations.postgres.server import is_host_in

if TYPE_CHECKING:
    from nftui.model.facts import Facts
    from nftui.model.stack import Service
    from nftui.optimizations.postgres.server import Server

_SIZES = {
    "DB_POSTGRESDB_POOL_SIZE": "",
    "DATABASE_POOL_SIZE": "DATABASE_POOL_MAX_OVERFLOW",
    "SQLALCHEMY_POOL_SIZE": "SQLALCHEMY_MAX_OVERFLOW",
}
"""Variables of known apps that are a pool's size per process, and its overflow."""

_LIMIT = re.compile(r"[?&](?:connection_limit|pool_size|max_pool_size)=(\d+)")
_RESERVED = 3
"""superuser_reserved_connections: apps cannot have them."""


def pools(facts: Facts, server: Server) -> Finding | None:
    """postgres-connections-vs-pools: only sizes that are written down count, and only of apps that connect directly."""
    found = [
        (other, evidence, size * max(1, other.scale))
        for other in facts.stack.services
        if other.active and server.service.active and other.name != server.name
        for evidence, size in _pool(other, server.name)
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


def _pool(other: Service, host: str) -> list[tuple[Evidence, int]]:
    """Evidence and size of that service's pool on the server: from a URL to it, or a known app's variable."""
    environment = {k: v for k, v in other.environment.items() if v}
    names = [key for key, value in environment.items() if is_host_in(host, key, value)]
    for key in names:
        match = _LIMIT.search(environment[key])
        if match:
            return [(at(other, f"{other.name}: {key}", f"environment.{key}", f"…{match[0][1:]}"), int(match[1]))]
    for key, overflow in _SIZES.items() if names else ():
        size = environment.get(key, "")
        if size.isdigit():
            more = environment.get(overflow, "0")
            total = int(size) + (int(more) if more.isdigit() else 0)
            return [(at(other, f"{other.name}: {key}", f"environment.{key}", size), total)]
    return []


CHECKS = (pools,)
