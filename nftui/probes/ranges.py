"""Address ranges that this machine already routes somewhere: a network of nftui's own must not hide one."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

_ROUTES = Path("/proc/net/route")
_DEFAULT = 0


def host_routes(path: Path = _ROUTES) -> dict[str, tuple[str, ...]]:
    """ "route through IFACE" to the ranges behind it (IPv4, as the kernel lists them); {} where it lists none."""
    try:
        lines = path.read_text().splitlines()[1:]
    except OSError:
        return {}
    return parse_routes(lines)


def parse_routes(lines: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Rows of /proc/net/route: name, destination, gateway, …, mask at the eighth place, in the host's byte order.

    The default route is left out: it is where everything goes that nobody else has.
    """
    found: dict[str, list[str]] = {}
    for fields in (line.split() for line in lines):
        if len(fields) < 8:
            continue
        mask = int(fields[7], 16)
        if mask != _DEFAULT:
            network = ipaddress.ip_network(f"{_address(fields[1])}/{_address(fields[7])}", strict=False)
            found.setdefault(f"route through {fields[0]}", []).append(str(network))
    return {name: tuple(ranges) for name, ranges in found.items()}


def _address(field: str) -> str:
    return socket.inet_ntoa(struct.pack("=L", int(field, 16)))
