"""Findings about the PostgreSQL servers of a stack: true in both directions, silent when in doubt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nftui.catalog.connections import Connection, connections
from nftui.engine.built import as_image
from nftui.model.choices import Choices
from nftui.model.stack import Role
from nftui.optimizations.postgres.findings import access, inert, lifecycle, pools, settings, versions, volumes
from nftui.optimizations.postgres.findings.configured import (
    extra_flags,
    file_settings,
    first_settings,
    variable_settings,
)
from nftui.optimizations.postgres.server import build_server, named_servers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from nftui.model.facts import Facts
    from nftui.model.findings import Finding
    from nftui.model.stack import Service
    from nftui.optimizations.postgres.server import Server

_CHECKS = (
    *settings.CHECKS, *inert.CHECKS, *access.CHECKS, *volumes.CHECKS, *lifecycle.CHECKS, *versions.CHECKS,
    *pools.CHECKS,
)  # fmt: skip


def find(facts: Facts) -> Iterable[Finding]:
    """Every finding of every PostgreSQL service of the files, active or not."""
    servers = [s for s in facts.stack.services if s.role is Role.POSTGRES]
    if servers:
        named, links = named_servers(facts), _links(facts)
        for service in servers:
            built = as_image(facts.stack, service) or service
            server = _server(facts, built, named, tuple(links.get(service.name, ())))
            for check in _CHECKS:
                finding = check(facts, server)
                if finding is not None:
                    yield finding


def _server(facts: Facts, service: Service, named: Collection[str], links: tuple[Connection, ...]) -> Server:
    server = build_server(facts, service, Choices(), {}, named, links)
    if server.live is not None:
        return server
    known = facts, service, server.raw_flags, server.major
    written = {**variable_settings(service, server.major), **(file_settings(*known) or {})}
    files = {**written, **extra_flags(service, server.major), **first_settings(*known)}
    return replace(server, files=files)


def _links(facts: Facts) -> dict[str, list[Connection]]:
    """Server to what connects to it: one pass, however many servers there are."""
    found: dict[str, list[Connection]] = {}
    for link in connections(facts.stack):
        found.setdefault(link.server.name, []).append(link)
    return found
