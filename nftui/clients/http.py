"""JSON over HTTP with a service's port: its address, then where it is published. Answers are bounded.

Steps use the methods that change something; facts are read with `json` and `status` alone.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nftui.clients.routes import routes
from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.model.stack import Service

TIMEOUT_S = 3.0
MAX_BYTES = 8 * 1024 * 1024
_LIMITED = 429


_PIECE = 1024 * 1024


class HttpUnreachable(NftuiError):
    """No way to the server, or it refused: one line. `status` is 0 where there was no answer at all."""

    status = 0
    cut_off = False
    """Whether the answer was longer than MAX_BYTES, so that less has to be asked for at once."""


class HttpClient:
    """Requests to one server; a connection per request, so that nothing stays open."""

    def __init__(
        self,
        service: Service,
        port: int,
        headers: Mapping[str, str] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        dial: Callable[[float], socket.socket] | None = None,
    ) -> None:
        """Finds the first route that answers anything. Raises HttpUnreachable.

        `tls`: encrypted, and what it takes to believe whoever answers. `dial`: connects within so many seconds; then it
        is the only way, and is first gone with the first request.
        """
        self.headers, self.tls, self.dial = dict(headers or {}), tls, dial
        self.patience_s = TIMEOUT_S
        """For an answer that comes at once; a run waits longer than somebody who only looks."""
        self.limited_s = 0.0
        """How long a request waits in all where the server limits how often it is asked, and says for how long."""
        if dial is not None:
            self.host, self.port, self.via = "localhost", port, "its own loopback"
            return
        container = service.running
        reasons = []
        for host, number, via in routes(container, port) if container else ():
            self.host, self.port, self.via = host, number, via
            try:
                self.status("/")
            except (OSError, http.client.HTTPException) as error:
                reasons.append(f"{via}: {_why(error)}")
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
        _must_be_good("GET", path, status, body)
        raise HttpUnreachable(msg("{path}: status {status}", path=path, status=status))

    def _get(self, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        with self._asked("GET", path, None, headers, self.patience_s) as answer:
            return answer.status, answer.read(MAX_BYTES)

    @contextmanager
    def _asked(
        self, method: str, path: str, body: object, headers: Mapping[str, str], timeout_s: float
    ) -> Iterator[http.client.HTTPResponse]:
        connection = self._connection(timeout_s)
        try:
            connection.request(method, path, body=body, headers=dict(headers))  # type: ignore[arg-type]
            yield connection.getresponse()
        finally:
            connection.close()

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        if self.dial is not None:
            return _Dialled(self.host, self.port, self.dial, timeout_s)
        if self.tls is None:
            return http.client.HTTPConnection(self.host, self.port, timeout=timeout_s)
        return http.client.HTTPSConnection(self.host, self.port, timeout=timeout_s, context=self.tls)

    # -- for steps -----------------------------------------------------------------------------------------
    def send(self, method: str, path: str, body: object = None, *, timeout_s: float | None = None) -> Any:
        """Ask with a JSON body; the JSON answer. Raises HttpUnreachable, with the server's own words."""
        data, left = None if body is None else json.dumps(body).encode(), self.limited_s
        while True:
            status, text, pause = self._sent(method, path, data, timeout_s or self.patience_s)
            if status != _LIMITED or pause is None or pause > left:
                break
            time.sleep(pause)
            left -= pause
        _must_be_good(method, path, status, text)
        if len(text) > MAX_BYTES:
            raise _too_long(method, path)
        with _told(method, path):
            return json.loads(text or b"null")

    def _sent(self, method: str, path: str, data: bytes | None, timeout_s: float) -> tuple[int, bytes, float | None]:
        """Status, body (one byte more than is taken where there is more), and for how long not to ask again."""
        headers = {**self.headers, "Content-Type": "application/json"}
        with _told(method, path), self._asked(method, path, data, headers, timeout_s) as answer:
            return answer.status, answer.read(MAX_BYTES + 1), _pause(answer.getheader("Retry-After"))

    def download(self, path: str, target: str, *, timeout_s: float) -> tuple[int, str]:
        """What is at `path` as the new file `target`, on the disk; its bytes and sha256.

        Raises HttpUnreachable, and OSError where the file cannot be written.
        """
        with _told("GET", path), self._asked("GET", path, None, self.headers, timeout_s) as answer:
            _must_be_good("GET", path, answer.status, b"")
            pieces = iter(lambda: answer.read(_PIECE), b"")
            return _written(pieces, target)

    def upload(self, path: str, source: str, *, timeout_s: float) -> None:
        """The file `source` as the one part `snapshot` of a form. Raises HttpUnreachable."""
        head = (
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="snapshot"; filename="{Path(source).name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        tail = f"\r\n--{_BOUNDARY}--\r\n".encode()
        headers = {
            **self.headers, "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
            "Content-Length": str(len(head) + Path(source).stat().st_size + len(tail)),
        }  # fmt: skip
        with _told("POST", path), self._asked("POST", path, _form(head, source, tail), headers, timeout_s) as answer:
            _must_be_good("POST", path, answer.status, answer.read(MAX_BYTES))


class _Dialled(http.client.HTTPConnection):
    """Over a connection that somebody else makes."""

    def __init__(self, host: str, port: int, dial: Callable[[float], socket.socket], timeout_s: float) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self._dial, self._timeout_s = dial, timeout_s

    def connect(self) -> None:
        """See HTTPConnection. Raises OSError."""
        self.sock = self._dial(self._timeout_s)


def _why(error: Exception) -> str:
    """One line; what answers in frames of HTTP/2 is most often a port for gRPC."""
    if isinstance(error, http.client.BadStatusLine) and not isinstance(error, http.client.RemoteDisconnected):
        return "it does not speak HTTP: a gRPC port?"
    return " ".join(str(error).split())[:120] or type(error).__name__


_BOUNDARY = "nftui-7b0d6f4c0a1e4a54"


def _form(head: bytes, source: str, tail: bytes) -> Iterator[bytes]:
    yield head
    with Path(source).open("rb") as file:
        yield from iter(lambda: file.read(_PIECE), b"")
    yield tail


def _written(pieces: Iterator[bytes], target: str) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        for piece in pieces:
            file.write(piece)
            digest.update(piece)
            size += len(piece)
        file.flush()
        os.fsync(file.fileno())
    return size, digest.hexdigest()


def _pause(value: str | None) -> float | None:
    """Seconds of a Retry-After, at least one; None where there is none, or it names a date."""
    return max(1.0, float(value)) if value is not None and value.isdigit() else None


def _too_long(method: str, path: str) -> HttpUnreachable:
    most = MAX_BYTES // 1024 // 1024
    error = HttpUnreachable(
        msg("{method} {path}: an answer of more than {most} MiB", method=method, path=path, most=most)
    )
    error.cut_off = True
    return error


@contextmanager
def _told(method: str, path: str) -> Iterator[None]:
    """A connection that fails as one line; what a full disk says stays an OSError."""
    try:
        yield
    except (ConnectionError, TimeoutError, http.client.HTTPException, ValueError) as error:
        reason = type(error).__name__
        raise HttpUnreachable(msg("{method} {path}: {reason}", method=method, path=path, reason=reason)) from None


def _must_be_good(method: str, path: str, status: int, text: bytes) -> None:
    if status < 300:
        return
    words = {401: "the key is missing or wrong", 403: "the key does not allow it"}.get(status, _words(text))
    text_ = "{method} {path}: status {status}{words}"
    error = HttpUnreachable(
        msg(text_, method=method, path=path, status=status, words=f" ({words})" if words else "")
    )  # fmt: skip
    error.status = status
    raise error


def _words(text: bytes) -> str:
    """The reason in an error's document, as Qdrant and Ollama put it; "" where there is none."""
    try:
        found = json.loads(text)
        status = found.get("status")
        return str(status["error"] if isinstance(status, dict) else found.get("error") or "")[:300]
    except (ValueError, AttributeError, KeyError):
        return ""
