"""Talking to an engine over a socket, and what is said when it does not answer."""

import base64
import http.server
import json
import os
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from nftui.probes.resolve import Background
from nftui.system.described import engine_of
from nftui.system.docker import DockerEngine, EngineError, unreachable
from nftui.system.endpoint import Endpoint

INFO = {"ID": "AAAA", "SecurityOptions": ["name=seccomp,profile=default", "name=rootless"], "MemTotal": 1024, "NCPU": 2,
        "KernelVersion": os.uname().release, "Swarm": {"LocalNodeState": "inactive"}, "OperatingSystem": "Debian",
        "DockerRootDir": "/var/lib/docker", "Architecture": "aarch64"}  # fmt: skip
LOG = b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x04err\n"
ANSWERS: dict[str, tuple[int, bytes]] = {
    "/version": (200, b'{"Version": "20.10.24", "ApiVersion": "1.41"}'),
    "/info": (200, json.dumps(INFO).encode()),
    "/containers/json": (200, b'[{"Id": "1"}]'),
    "/containers/gone/json": (404, b'{"message": "No such container: gone"}'),
    "/containers/1/logs": (200, LOG),
    "/containers/tty/logs": (200, b"plain text\n"),
    "/odd": (200, b"<html>"),
    "/together": (200, b"[]"),
}
STATS = {"/srv": {"name": "srv", "mode": 1 << 31 | 0o755}, "/srv/a": {"name": "a", "mode": 0o644}}
AT_ONCE = threading.Barrier(2)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        found = STATS.get(parse_qs(self.path.partition("?")[2])["path"][0])
        self.send_response(200 if found else 404)
        if found:
            self.send_header("X-Docker-Container-Path-Stat", base64.b64encode(json.dumps(found).encode()).decode())
        self.end_headers()

    def do_GET(self) -> None:
        if self.path == "/together":
            AT_ONCE.wait(20)
        status, body = ANSWERS[self.path.partition("?")[0]]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        # An engine closes connections that were idle: so does this one, after each answer.
        self.close_connection = self.path.startswith("/containers/json")

    def address_string(self) -> str:
        return "socket"

    def log_message(self, *args: Any) -> None:
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DockerEngine]:
    path = tmp_path / "docker.sock"
    with Server(str(path), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = DockerEngine(Endpoint(f"unix://{path}"))
        yield port
        port.close()
        server.shutdown()


def test_facts(engine: DockerEngine) -> None:
    facts = engine.facts()
    assert (facts.version, facts.api_version, facts.id, facts.memory_bytes) == ("20.10.24", "1.41", "AAAA", 1024)
    assert (facts.rootless, facts.userns_remap, facts.local, facts.product) == (True, False, True, "docker")


def test_an_idle_connection_is_made_anew(engine: DockerEngine) -> None:
    for _ in range(3):
        assert engine.containers("a=b") == [{"Id": "1"}]


def test_threads_do_not_wait_for_each_other(engine: DockerEngine) -> None:
    for _ in range(2):
        both = [Background(lambda: engine.get("/together")) for _ in range(2)]
        assert [one.result() for one in both] == [[], []]


def test_a_directory_in_a_container_is_told_from_a_file(engine: DockerEngine) -> None:
    assert [engine.is_directory("1", path) for path in ("/srv", "/srv/a", "/none")] == [True, False, False]
    assert engine._sdk is None


def test_errors_have_the_engines_words(engine: DockerEngine) -> None:
    with pytest.raises(EngineError, match="No such container: gone") as caught:
        engine.inspect("gone")
    assert caught.value.status == 404
    with pytest.raises(EngineError, match="no Docker Engine"):
        engine.get("/odd")


def test_logs_with_and_without_frames(engine: DockerEngine) -> None:
    assert engine.logs("1", 5) == "outerr\n"
    assert engine.logs("tty", 5) == "plain text\n"


def test_what_is_said_when_it_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="there is no socket at") as caught:
        DockerEngine(Endpoint(f"unix://{tmp_path}/none.sock")).facts()
    problem = caught.value.problem()
    assert (problem.id, problem.blocks) == ("engine-down", ("apply",))
    assert unreachable(Endpoint(), PermissionError()).id == "engine-permission"
    assert unreachable(Endpoint(), ConnectionRefusedError()).id == "engine-down"
    assert unreachable(Endpoint(), TimeoutError()).id == "engine-slow"


@pytest.mark.parametrize(
    ("version", "info", "host", "expected"),
    [
        ({"Components": [{"Name": "Podman Engine"}]}, {}, "unix:///run/podman/podman.sock", ("podman", True)),
        ({}, {"OperatingSystem": "Docker Desktop", "KernelVersion": "6-linuxkit"}, "unix:///x", ("desktop", False)),
        ({}, {"DockerRootDir": "/var/snap/docker/common/var-lib-docker"}, "unix:///x", ("snap", True)),
        ({}, {}, "ssh://root@far", ("docker", False)),
        ({}, {}, "tcp://far:2376", ("docker", False)),
        ({}, {"Name": os.uname().nodename}, "tcp://127.0.0.1:2375", ("docker", True)),
        ({}, {"KernelVersion": "1.2.3"}, "unix:///forwarded.sock", ("docker", False)),
    ],
)
def test_kinds_of_engines(version: dict[str, Any], info: dict[str, Any], host: str, expected: tuple[str, bool]) -> None:
    found = engine_of(version, info, Endpoint(host))
    assert (found.product, found.local) == expected
