"""A stack of one Redis and an app that can be told of a cluster; what the app was promised, and what is there."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.redis.server import PASSWORD, make_stack
from tests.stack import images
from tests.stack.fixtures import tear_down
from tests.stack.running import Stack, docker

HERE = Path(__file__).parent
LONG_S = 180
"""Bound of a wait: nothing is asserted about how long it takes."""
NODES = tuple(f"redis-node-{number}" for number in range(1, 7))


@contextmanager
def clustered_stack(
    parent: Path, compose: str | None = None, app: str = "nftui-test-{}/n8n", version: str = "7"
) -> Iterator[Stack]:
    """Nothing is started. Removed whole afterwards, with what nftui keeps for the operator. `app`: its image's name."""
    images.ensure("app:latest")
    stack = make_stack(parent, version, compose or (HERE / "clustered.yaml").read_text())
    image = app.format(secrets.token_hex(3))
    docker("tag", images.reference("app:latest"), image)
    (stack.directory / "writer").mkdir()
    (stack.directory / "writer" / "writer.py").write_bytes((HERE / "writer.py").read_bytes())
    with (stack.directory / ".env").open("a") as env:
        env.write(f"APP_IMAGE={image}\n")
    try:
        yield stack
    finally:
        stack.compose("down", "--volumes", "--remove-orphans", "--timeout", "2", check=False)
        problems = remove_places(stack) + tear_down(stack)
        docker("rmi", image, check=False)
    assert not problems, "the stack was not removed whole"


def places(stack: Stack) -> list[str]:
    """Volumes and networks of the servers that took the keys."""
    own = f"{stack.project}_redis-"
    found = [f"volume {v}" for v in docker("volume", "ls", "-q").split() if v.startswith(own)]
    networks = docker("network", "ls", "--format", "{{.Name}}").split()
    return found + [f"network {n}" for n in networks if n.startswith(own)]


def remove_places(stack: Stack) -> list[str]:
    """What is left after that."""
    for place in places(stack):
        docker(*place.split()[:1], "rm", place.split()[1], check=False)
    return places(stack)


def acked(stack: Stack) -> set[str]:
    """Keys whose write was acknowledged to the app; none before it has begun."""
    return set(stack.exec("app", "cat", "/acked/keys", check=False).split())


@contextmanager
def sessions(stack: Stack) -> Iterator[list[Any]]:
    """One to each node."""
    with ExitStack() as opened:
        yield [opened.enter_context(stack.redis(name)) for name in NODES]


def cluster_keys(stack: Stack) -> dict[str, str]:
    """Every string key of the masters with its value."""
    found: dict[str, str] = {}
    with sessions(stack) as clients:
        for client in clients:
            client.connection_pool.connection_kwargs["encoding_errors"] = "surrogateescape"
            if client.info("replication")["role"] == "master":
                found |= {k: client.get(k) for k in client.scan_iter(count=1000) if client.type(k) == "string"}
    return found


__all__ = ["LONG_S", "NODES", "PASSWORD", "acked", "cluster_keys", "clustered_stack", "places", "sessions"]
