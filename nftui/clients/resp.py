"""Redis's protocol, as far as reading facts needs it: one socket, one question at a time, bounded.

redis-py would cost 0.4 s of import, and greets the server with commands that a password-protected Redis 6 refuses.
"""

from __future__ import annotations

import socket
from typing import Any

MAX_BULK = 8 * 1024 * 1024
MAX_ITEMS = 100_000


class RespError(OSError):
    """What came is not Redis's protocol, or too much of it."""


class RespClient:
    """A session over TCP; strings are text, errors and nulls None. Raises OSError."""

    max_bulk, max_items = MAX_BULK, MAX_ITEMS
    error = ""
    """What the server said the last time that it refused something."""

    def __init__(self, host: str, port: int, via: str, timeout_s: float) -> None:
        self.via = via
        self._socket = socket.create_connection((host, port), timeout_s)
        self._stream = self._socket.makefile("rb")

    def ask(self, *words: str) -> Any:
        """The answer to one command."""
        parts = [w.encode() for w in words]
        head = b"*%d\r\n" % len(parts)
        self._socket.sendall(head + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
        return self._read()

    def close(self) -> None:
        """End the session."""
        self._stream.close()
        self._socket.close()

    def _read(self, depth: int = 0) -> Any:
        line = self._stream.readline(65536)
        kind, rest = line[:1], line[1:].rstrip(b"\r\n")
        if not line.endswith(b"\r\n") or depth > 8:
            raise RespError("the server closed the connection, or does not speak Redis's protocol")
        if kind == b"+":
            return self._text(rest)
        if kind == b"-":
            self.error = rest.decode("utf-8", "replace")
            return None
        if kind not in (b":", b"$", b"*") or not rest.lstrip(b"-").isdigit():
            raise RespError("the server does not speak Redis's protocol")
        number = int(rest)
        if kind == b":":
            return number
        return self._bulk(number) if kind == b"$" else self._items(number, depth)

    def _text(self, data: bytes) -> str | bytes:
        return data.decode("utf-8", "replace")

    def _bulk(self, length: int) -> str | bytes | None:
        if length > self.max_bulk:
            raise RespError("an answer that is too long")
        if length < 0:
            return None
        data = self._stream.read(length + 2)
        if len(data) != length + 2:
            raise RespError("the server closed the connection")
        return self._text(data[:-2])

    def _items(self, count: int, depth: int) -> list[Any] | None:
        if count > self.max_items:
            raise RespError("an answer with too many items")
        return None if count < 0 else [self._read(depth + 1) for _ in range(count)]
