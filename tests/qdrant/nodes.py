"""Several test servers that form a cluster, each a process of its own, without an engine."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.qdrant.server import Server, start


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Node:
    """One of them; it can be stopped and started again on its data."""

    directory: Path
    port: int
    peer_port: int
    first: str | None
    server: Server | None = None
    running: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Where the others reach it."""
        return f"http://127.0.0.1:{self.peer_port}"

    def begin(self) -> Server:
        """As one of the cluster."""
        bootstrap = ("--bootstrap", self.first) if self.first else ()
        ports = {"QDRANT__CLUSTER__ENABLED": "true", "QDRANT__CLUSTER__P2P__PORT": str(self.peer_port)}
        self.server, self.running = start(self.directory, self.port, "--uri", self.uri, *bootstrap, **ports)
        return self.server

    def end(self) -> None:
        """Its data stays."""
        if self.running is not None:
            self.running.terminate()
            self.running.wait(20)
            self.running = None


@dataclass
class Nodes:
    """All of them; the first one leads."""

    nodes: list[Node] = field(default_factory=list)

    @property
    def servers(self) -> list[Server]:
        """Those that run."""
        return [n.server for n in self.nodes if n.server is not None and n.running is not None]


@contextmanager
def cluster(parent: Path, count: int = 3) -> Iterator[Nodes]:
    """`count` nodes."""
    found = Nodes()
    try:
        for number in range(count):
            directory = parent / f"node{number}"
            directory.mkdir()
            first = found.nodes[0].uri if found.nodes else None
            found.nodes.append(Node(directory, free_port(), free_port(), first))
            found.nodes[-1].begin()
        yield found
    finally:
        for node in found.nodes:
            node.end()
