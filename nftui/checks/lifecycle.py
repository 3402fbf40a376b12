"""Findings about how services start, stay up and end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.catalog import restart_policy
from nftui.checks._common import COMPOSE, lasting, mapping
from nftui.engine.evidence import at
from nftui.engine.given import may_be_given
from nftui.model.findings import Finding, Level
from nftui.model.message import msg
from nftui.model.stack import Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.model.facts import Facts
    from nftui.model.stack import Stack


def restart_missing(facts: Facts) -> Iterable[Finding]:
    """restart-missing: a service that serves for long and does not come back after a crash or reboot."""
    swarm = _is_for_swarm(facts.stack)
    for service in lasting(facts):
        policy = restart_policy(service.config)
        later = not service.restart and may_be_given(facts.stack, str(service.raw.get("restart") or ""))
        if later or (swarm and policy is None) or (policy or "").partition(":")[0] not in ("no", "", "none", "false"):
            continue
        yield Finding(
            "restart-missing", Level.MEDIUM if service.role is not Role.APP else Level.LOW, service.name,
            msg("It does not come back after a crash or a reboot"),
            msg("Without `restart:` the engine leaves it stopped. `restart: unless-stopped` brings it back."),
            (at(service, "restart", "restart", service.restart or "no"),), f"{COMPOSE}, restart",
        )  # fmt: skip


def _is_for_swarm(stack: Stack) -> bool:
    """Swarm starts a task again whatever ended it, unless it is told otherwise; only there are overlay networks,
    services on each node, and nodes to choose from."""
    networks = mapping(stack.document.get("networks")).values()
    deploys = [mapping(service.config.get("deploy")) for service in stack.services]
    told = any(d.get("mode") == "global" or mapping(d.get("placement")).get("constraints") for d in deploys)
    return told or any(mapping(network).get("driver") == "overlay" for network in networks)


CHECKS = (restart_missing,)
