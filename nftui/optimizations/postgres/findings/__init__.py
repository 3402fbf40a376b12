"""Findings about the PostgreSQL servers of a stack: true in both directions, silent when in doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.choices import Choices
from nftui.model.stack import Role
from nftui.optimizations.postgres.findings import access, inert, lifecycle, pools, settings, volumes
from nftui.optimizations.postgres.server import build_server

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.model.facts import Facts
    from nftui.model.findings import Finding

_CHECKS = (*settings.CHECKS, *inert.CHECKS, *access.CHECKS, *volumes.CHECKS, *lifecycle.CHECKS, *pools.CHECKS)


def find(facts: Facts) -> Iterable[Finding]:
    """Every finding of every PostgreSQL service of the files, active or not."""
    for service in facts.stack.services:
        if service.role is Role.POSTGRES:
            server = build_server(facts, service, Choices(), {})
            for check in _CHECKS:
                finding = check(facts, server)
                if finding is not None:
                    yield finding
