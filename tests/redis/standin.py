"""A stand-in for a Redis on a socket: who is let in, and what it answers to all but the login and about itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

from nftui.model.stack import Container, Role, Service

PASSWORD = "not-a-real-secret"
LOADING = "LOADING Redis is loading the dataset in memory"
MISCONF = "MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk."


@dataclass
class StandIn:
    """`says`: the refusal that all commands get but AUTH and those about itself; "" lets them pass."""

    says: str = ""
    password: str = ""
    wrong: str = "WRONGPASS invalid username-password pair or user is disabled."
    loading: list[str] = field(default_factory=lambda: ["0"])
    """What INFO says of it, one answer after the other; the last stays."""
    config: dict[str, str] = field(default_factory=lambda: {"save": "3600 1"})
    clients: str = ""
    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def service(self) -> Service:
        """As the stack has it."""
        command = ("redis-server", "--port", str(self.port), *(("--requirepass", PASSWORD) if self.password else ()))
        container = Container("c", "c", "cache", 1, "running", None, "i", "i", command=command,
                              addresses={"n": "127.0.0.1"})  # fmt: skip
        return Service("cache", Role.REDIS, containers=(container,), command=command)

    def answer(self, words: list[str], known: bool) -> bytes:
        """The bytes on the wire."""
        verb = words[0].upper()
        self.asked.append(verb)
        if verb == "AUTH":
            return b"+OK\r\n" if words[1] == self.password else f"-{self.wrong}\r\n".encode()
        if not known:
            return b"-NOAUTH Authentication required.\r\n"
        if verb == "INFO":
            now = self.loading.pop(0) if len(self.loading) > 1 else self.loading[0]
            return _bulk(f"redis_version:7.2.4\r\nredis_mode:standalone\r\nrole:master\r\nloading:{now}\r\n"
                         f"loading_loaded_bytes:{len(self.asked)}\r\nloading_loaded_perc:42.00\r\n")  # fmt: skip
        if verb == "CLIENT":
            return _bulk(self.clients)
        if verb == "CONFIG":
            found = [words[2], self.config[words[2]]] if words[2] in self.config else []
            return f"*{len(found)}\r\n".encode() + b"".join(map(_bulk, found))
        return f"-{self.says}\r\n".encode() if self.says else b"+PONG\r\n"


def _bulk(text: str) -> bytes:
    return f"${len(text)}\r\n{text}\r\n".encode()


@contextmanager
def standing_in(**options: Any) -> Iterator[StandIn]:
    """It listens."""
    one = StandIn(**options)

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            known = not one.password
            while head := self.rfile.readline():
                words = []
                for _ in range(int(head[1:])):
                    size = int(self.rfile.readline()[1:])
                    words.append(self.rfile.read(size + 2)[:-2].decode())
                said = one.answer(words, known)
                known = known or said == b"+OK\r\n"
                self.wfile.write(said)

    class Server(ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        one.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield one
        finally:
            server.shutdown()
            thread.join()
