"""Findings about how services start, stay up and end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.catalog import restart_policy
from nftui.checks._common import COMPOSE, lasting
from nftui.engine.evidence import at
from nftui.engine.given import may_be_given
from nftui.model.findings import Finding, Level
from nftui.model.message import msg
from nftui.model.stack import Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.model.facts import Facts


def restart_missing(facts: Facts) -> Iterable[Finding]:
    """restart-missing: a service that serves for long and does not come back after a crash or reboot."""
    for service in lasting(facts):
        policy = (restart_policy(service.config) or "no").partition(":")[0]
        later = not service.restart and may_be_given(facts.stack, str(service.raw.get("restart") or ""))
        if policy not in ("no", "", "none", "false") or later:
            continue
        yield Finding(
            "restart-missing", Level.MEDIUM if service.role is not Role.APP else Level.LOW, service.name,
            msg("It does not come back after a crash or a reboot"),
            msg("Without `restart:` the engine leaves it stopped. `restart: unless-stopped` brings it back."),
            (at(service, "restart", "restart", service.restart or "no"),), f"{COMPOSE}, restart",
        )  # fmt: skip


CHECKS = (restart_missing,)
