"""HTTP to the engine, over its socket or TCP; apart, because http.client takes 20 ms to import."""

from __future__ import annotations

import http.client
import socket
import ssl
from http.client import HTTPException

from nftui.system.endpoint import Endpoint, Tls


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def connect(endpoint: Endpoint, timeout: float) -> http.client.HTTPConnection:
    """A connection that opens with its first request. Raises OSError for an address of another kind."""
    if endpoint.scheme == "unix":
        return _UnixConnection(endpoint.path, timeout)
    if endpoint.scheme not in ("tcp", "http", "https"):
        raise OSError(f"{endpoint.scheme}:// is not supported here")
    place = endpoint.path.rstrip("/")
    if endpoint.tls is not None or endpoint.scheme == "https":
        return http.client.HTTPSConnection(place, timeout=timeout, context=_tls_context(endpoint.tls))
    return http.client.HTTPConnection(place, timeout=timeout)


def _tls_context(tls: Tls | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca if tls else None)
    if tls and not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls and tls.cert:
        context.load_cert_chain(tls.cert, tls.key)
    return context


__all__ = ["HTTPException", "connect"]
