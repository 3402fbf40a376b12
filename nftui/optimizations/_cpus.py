"""How many CPUs a service may use."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nftui.model.facts import Facts
    from nftui.model.stack import Service


def cpus_of(facts: Facts, service: Service, granted: float | None) -> int | None:
    """CPUs the service may use, at least 1; None where nothing tells: nproc in a container does not see quotas
    (databases reference 1.2).

    The running container's quota is not read: `limits` may have written it, and such a value is never an input.
    """
    host = facts.engine.cpus if facts.engine and facts.engine.cpus else facts.host.cpu.logical
    counts = [host, service.cpus, granted, _quota(service), _cpuset(service.config.get("cpuset"))]
    known = [float(count) for count in counts if count]
    return max(1, math.ceil(min(known))) if known else None


def _quota(service: Service) -> float | None:
    quota, period = service.config.get("cpu_quota"), service.config.get("cpu_period")
    try:
        return float(str(quota)) / float(str(period or 100_000)) if quota else None
    except (ValueError, ZeroDivisionError):
        return None


def _cpuset(text: object) -> float | None:
    try:
        spans = [part.partition("-") for part in str(text or "").split(",") if part]
        return float(sum(int(high or low) - int(low) + 1 for low, _, high in spans)) or None
    except ValueError:
        return None
