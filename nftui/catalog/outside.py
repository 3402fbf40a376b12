"""PostgreSQL servers that the stack uses and does not have, as the URLs of its services name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.catalog.addresses import DEFAULT_PORTS, find_address
from nftui.catalog.logins import ClientLogin, login_of
from nftui.catalog.names import Names
from nftui.model.dataclass import dataclass

if TYPE_CHECKING:
    from nftui.model.stack import Stack

_ITSELF = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class Outside:
    """One such server, by the first variable that names it with a password, else the first."""

    client: str
    key: str
    host: str
    port: str
    login: ClientLogin

    @property
    def place(self) -> str:
        """What tells it from others."""
        return f"{self.host}:{self.port}"


def outside_postgres(stack: Stack) -> tuple[Outside, ...]:
    """By place. A host that a container has by itself, or that was not interpolated, is none.

    Nor is one that may be the piece of a login: a password with `/` or `?` in it is no URL.
    """
    names, found = Names(stack), dict[str, Outside]()
    for service in stack.services:
        for key, value in service.environment.items() if service.active else ():
            address = find_address(value) if value and "://" in value else None
            if address is None or address.kind != "postgres" or address.host in _ITSELF or "$" in address.host:
                continue
            if names.resolve(service, address.host, address.port) is not None:
                continue
            port = address.port or DEFAULT_PORTS["postgres"]
            one = Outside(service.name, key, address.host, port, login_of({"url": key}, service.environment))
            if not port.isdecimal() or (not one.login.user and "@" in str(value)):
                continue
            known = found.get(one.place)
            if known is None or (one.login.password and not known.login.password):
                found[one.place] = one
    return tuple(found[place] for place in sorted(found))
