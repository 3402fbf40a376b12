"""Where a service is open, and where its memory limit is written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nftui.catalog import default_ports
from nftui.checks._common import mapping, starts_with
from nftui.engine.evidence import at
from nftui.model.patterns import regex

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nftui.model.facts import Facts
    from nftui.model.findings import Evidence
    from nftui.model.stack import Service

LOCAL = regex(r"127\.0\.0\.1|localhost|::1")
_BINDING = "com.docker.network.bridge.host_binding_ipv4"
_LOOPBACK = ("127.", "::1", "[::1]", "localhost")
_LISTENS = regex(
    r"(?m)^\s*(?:bind(?:[-_]?ip|[-_]address)?|listen_addresses|listen_addr)\s*[:=]?\s*[\"']?(?:127\.0\.0\.1|localhost)",
    re.IGNORECASE,
)
"""A line of a server's configuration by which it listens on the host's own address only."""
_ADDRESS_NAMES = regex(r"QDRANT__SERVICE__HOST|LISTEN_ADDR|(?:network|http)\.(?:bind_)?host", re.IGNORECASE)


def is_on_host(service: Service) -> bool:
    """It has the host's network: whatever it listens on is open there, and nothing is published."""
    return service.config.get("network_mode") == "host"


def host_ports(facts: Facts, service: Service) -> Iterator[Evidence]:
    """The port of a server that is on the host's network, unless it is told to stay on the host's own address."""
    words = " ".join((*(service.entrypoint or ()), *(service.command or ())))
    told = (value or "" for name, value in service.environment.items() if _ADDRESS_NAMES.fullmatch(name))
    here = LOCAL.search(words) or any(map(LOCAL.match, told)) or starts_with(facts, service, _LISTENS)
    for usual in default_ports(service.role, service.image)[:1] if not here else ():
        yield at(service, f"0.0.0.0:{usual}", "network_mode", "host")


def open_ports(facts: Facts, service: Service) -> list[Evidence]:
    """Published ports that other machines reach, and those of the host's network; "address:port" is the key."""
    if is_on_host(service):
        return list(host_ports(facts, service))
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
