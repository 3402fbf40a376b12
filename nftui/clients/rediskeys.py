"""Keys of a Redis as bytes, many commands in one round: what copying and comparing them needs.

Values go through this process, never through a command line; the password is found as in clients/redis.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nftui.clients.redis import RedisUnreachable, candidates, fits, locked, port_of, safe_line
from nftui.clients.resp import RespClient
from nftui.clients.routes import routes
from nftui.model.dataclass import dataclass
from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.model.stack import Service
from nftui.system.exec import Exec

TIMEOUT_S = 30.0
"""For one answer: a large value is read and written whole."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What the server said instead of an answer."""

    text: str


class KeyClient(RespClient):
    """A session over TCP; strings are bytes. Raises OSError."""

    max_bulk = 512 * 1024 * 1024
    """The server's own bound of one value (redis.conf, proto-max-bulk-len)."""
    max_items = 100_000_000

    def many(self, commands: Sequence[Sequence[bytes]]) -> list[Any]:
        """The answers in order; a `Refused` for each command that was refused."""
        sent = (b"*%d\r\n" % len(c) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in c) for c in commands)
        self._socket.sendall(b"".join(sent))
        return [self._answer() for _ in commands]

    def _answer(self) -> Any:
        self.error = ""
        found = self._read()
        return Refused(self.error) if self.error else found

    def _text(self, data: bytes) -> bytes:
        return data


def open_keys(service: Service, exec_port: Exec | None, environ: Mapping[str, str]) -> KeyClient:
    """A session on the first running container, by network only. Raises RedisUnreachable."""
    container = service.running
    if container is None:
        raise RedisUnreachable(msg("{service} is not running", service=service.name))
    passwords = candidates(service, container, exec_port, environ)
    reasons = []
    for host, port, via in routes(container, port_of(container)):
        try:
            return _login(KeyClient(host, port, via, TIMEOUT_S), passwords)
        except (OSError, NftuiError) as error:
            reasons.append(f"{via}: {safe_line(error, passwords)}")
    why = "; ".join(reasons) or "it has no address that this machine reaches"
    raise RedisUnreachable(msg("{service}: {reasons}", service=service.name, reasons=why))


def _login(client: KeyClient, passwords: Sequence[str]) -> KeyClient:
    try:
        for password in passwords:
            if (not password or _fits(client, b"AUTH", password.encode())) and _fits(client, b"PING"):
                return client
        raise locked()
    except BaseException:
        client.close()
        raise


def _fits(client: KeyClient, *words: bytes) -> bool:
    (answer,) = client.many([words])
    if isinstance(answer, Refused):
        return fits(None, answer.text)
    return fits(answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer, "")
