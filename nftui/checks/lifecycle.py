"""Findings about how services start, stay up and end."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    for service in facts.stack.services:
        if service.role in (Role.CLIENT, Role.UNKNOWN) or _is_one_shot(facts, service) or _restarts(service):
            continue
        yield Finding(
            "restart-missing", Level.MEDIUM if service.role is not Role.APP else Level.LOW, service.name,
            msg("It does not come back after a crash or a reboot"),
            msg("Without `restart:` the engine leaves it stopped. `restart: unless-stopped` brings it back."),
            (at(service, "restart", "restart", service.restart or "no"),), "compose specification, restart",
        )  # fmt: skip


def _restarts(service: Service) -> bool:
    return (service.restart or "no").partition(":")[0] not in ("no", "", "false")


def _is_one_shot(facts: Facts, service: Service) -> bool:
    """Someone waits for it to end, or it is a job of Swarm's."""
    for other in facts.stack.services:
        depends = other.config.get("depends_on")
        wanted = depends.get(service.name) if isinstance(depends, dict) else None
        if isinstance(wanted, dict) and wanted.get("condition") == "service_completed_successfully":
            return True
    return False


CHECKS = (restart_missing,)
