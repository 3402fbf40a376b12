"""JSON over HTTP from a service's port: its address, then where it is published. Read-only, bounded."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any

from nftui.clients.routes import routes
from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.model.stack import Service

TIMEOUT_S = 3.0
MAX_BYTES = 8 * 1024 * 1024


class HttpUnreachable(NftuiError):
    """No way to the server, or it refused: one line."""


class HttpClient:
    """GET requests to one server; a connection per request, so that nothing stays open."""

    def __init__(self, service: Service, port: int, headers: Mapping[str, str] | None = None) -> None:
        """Finds the first route that answers anything. Raises HttpUnreachable."""
        self.headers = dict(headers or {})
        container = service.running
        reasons = []
        for host, number, via in routes(container, port) if container else ():
            self.host, self.port, self.via = host, number, via
            try:
                self.status("/")
            except (OSError, http.client.HTTPException) as error:
                reasons.append(f"{via}: {' '.join(str(error).split())[:120] or type(error).__name__}")
                continue
            return
        reason = "; ".join(reasons) or ("no address" if container else "not running")
        raise HttpUnreachable(msg("{service}: {reason}", service=service.name, reason=reason))

    def status(self, path: str, *, plain: bool = False) -> int:
        """The status of a GET; `plain`: without the headers that let nftui in. Raises OSError."""
        return self._get(path, {} if plain else self.headers)[0]

    def json(self, path: str) -> Any:
        """The document at `path`. Raises HttpUnreachable where it is refused, not there or no JSON."""
        try:
            status, body = self._get(path, self.headers)
            if status == 200:
                return json.loads(body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise HttpUnreachable(msg("{path}: {reason}", path=path, reason=type(error).__name__)) from None
        raise HttpUnreachable(msg("{path}: status {status}", path=path, status=status))

    def _get(self, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_S)
        try:
            connection.request("GET", path, headers=dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read(MAX_BYTES)
        finally:
            connection.close()
