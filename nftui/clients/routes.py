"""Ways to a port of a container: its addresses, then where it is published."""

from __future__ import annotations

from collections.abc import Iterator

from nftui.model.stack import Container

# What is published for all is reached on loopback.
_ANY_HOST = ("", "0.0.0.0", "::", "[::]")  # noqa: S104 (read, not bound)


def routes(container: Container, port: int) -> Iterator[tuple[str, int, str]]:
    """(address, port, via) in the order in which they are tried."""
    addresses = [a for a in container.addresses.values() if a]
    if container.network_mode == "host":
        addresses = ["127.0.0.1"]
    for address in addresses:
        yield address, port, f"address {address}:{port}"
    host, published = container.published.get(f"{port}/tcp", ("", 0))
    if published:
        host = "127.0.0.1" if host in _ANY_HOST else host
        yield host, published, f"published {host}:{published}"
