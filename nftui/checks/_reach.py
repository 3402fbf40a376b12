"""Where a service is open, and where its memory limit is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.engine.evidence import at

if TYPE_CHECKING:
    from nftui.model.findings import Evidence
    from nftui.model.stack import Service

_LOOPBACK = ("127.", "::1", "[::1]", "localhost")


def open_ports(service: Service) -> list[Evidence]:
    """Published ports that other machines reach; "address:port" is the key."""
    return [
        at(service, f"{port.host_ip or '0.0.0.0'}:{port.published}", f"ports.{number}")  # noqa: S104 (read, not bound)
        for number, port in enumerate(service.ports)
        if port.published and not (port.host_ip or "").startswith(_LOOPBACK)
    ]


def limit_key(service: Service) -> str:
    """The Compose key that holds the memory limit: `mem_limit`, or the one under `deploy`."""
    return "mem_limit" if service.config.get("mem_limit") else "deploy.resources.limits.memory"
