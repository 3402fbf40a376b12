"""Where a service is open, and where its memory limit is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.checks._common import mapping
from nftui.engine.evidence import at
from nftui.model.patterns import regex

if TYPE_CHECKING:
    from nftui.model.facts import Facts
    from nftui.model.findings import Evidence
    from nftui.model.stack import Service

LOCAL = regex(r"127\.0\.0\.1|localhost|::1")
_BINDING = "com.docker.network.bridge.host_binding_ipv4"
_LOOPBACK = ("127.", "::1", "[::1]", "localhost")


def open_ports(service: Service) -> list[Evidence]:
    """Published ports that other machines reach; "address:port" is the key."""
    return [
        at(service, f"{port.host_ip or '0.0.0.0'}:{port.published}", f"ports.{number}")  # noqa: S104 (read, not bound)
        for number, port in enumerate(service.ports)
        if port.published and not (port.host_ip or "").startswith(_LOOPBACK)
    ]


def is_kept_in(facts: Facts, service: Service) -> bool:
    """Its published ports reach no other machine: a network of its publishes on the host's own address only, or all
    of them are internal, for which the engine publishes nothing (moby#36174; an overlay does)."""
    networks = [mapping(facts.stack.networks.get(name)) for name in mapping(service.config.get("networks"))]
    bound = any(LOCAL.match(str(mapping(n.get("driver_opts")).get(_BINDING) or "")) for n in networks)
    internal = [n.get("internal") is True and n.get("driver") in (None, "bridge") for n in networks]
    return bound or (bool(internal) and all(internal))


def limit_key(service: Service) -> str:
    """The Compose key that holds the memory limit: `mem_limit`, or the one under `deploy`."""
    return "mem_limit" if service.config.get("mem_limit") else "deploy.resources.limits.memory"
