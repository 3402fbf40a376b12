"""Findings about how services start, stay up and end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.checks._common import COMPOSE, lasting, mapping
from nftui.engine.evidence import at
from nftui.model.findings import Finding, Level
from nftui.model.message import msg
from nftui.model.stack import Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.model.facts import Facts
    from nftui.model.stack import Service


def restart_missing(facts: Facts) -> Iterable[Finding]:
    """restart-missing: a service that serves for long and does not come back after a crash or reboot."""
    for service in lasting(facts):
        policy = _policy(service)
        if policy not in ("no", "", "none", "false"):
            continue
        yield Finding(
            "restart-missing", Level.MEDIUM if service.role is not Role.APP else Level.LOW, service.name,
            msg("It does not come back after a crash or a reboot"),
            msg("Without `restart:` the engine leaves it stopped. `restart: unless-stopped` brings it back."),
            (at(service, "restart", "restart", service.restart or "no"),), f"{COMPOSE}, restart",
        )  # fmt: skip


def _policy(service: Service) -> str:
    """What the engine is told: `restart`, else deploy.restart_policy, whose condition is `any` where it says none."""
    deploy = mapping(service.config.get("deploy"))
    if service.restart is None and "restart_policy" in deploy:
        return str(mapping(deploy["restart_policy"]).get("condition") or "any")
    return (service.restart or "no").partition(":")[0]


CHECKS = (restart_missing,)
