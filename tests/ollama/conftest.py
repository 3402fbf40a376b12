"""A stack with an Ollama stand-in, whose models take real memory and time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from nftui.clients.ollama import OllamaClient
from nftui.model.stack import Container, Role, Service
from tests.e2e.command import Nftui
from tests.stack import images
from tests.stack.fixtures import copy_stack, tear_down
from tests.stack.running import Stack, wait_until

COMPOSE = Path(__file__).parent / "stack" / "compose.yaml"


@dataclass
class Server:
    """The stack, the command on it, and the server as its apps see it."""

    stack: Stack
    nftui: Nftui

    @property
    def client(self) -> OllamaClient:
        """nftui's own client, at the container's address."""
        container = Container("c", "c", "ollama", 1, "running", None, "i", "i",
                              addresses={"n": self.stack.address("ollama")})  # fmt: skip
        return OllamaClient(Service("ollama", Role.OLLAMA, containers=(container,)))

    def call(self, path: str, **request: object) -> Any:
        """What an app gets for a POST."""
        url = f"http://{self.stack.address('ollama')}:11434{path}"
        with urlopen(Request(url, json.dumps(request).encode()), timeout=60) as answer:
            return json.load(answer)

    def held(self) -> dict[str, Any]:
        """Name to entry of /api/ps."""
        with urlopen(f"http://{self.stack.address('ollama')}:11434/api/ps", timeout=10) as answer:
            return {m["name"]: m for m in json.load(answer)["models"]}

    def environment(self) -> dict[str, str]:
        """Variables of the running container."""
        return dict(v.split("=", 1) for v in self.stack.inspect("ollama")["Config"]["Env"])


@pytest.fixture
def server(engine: None, tmp_path: Path) -> Iterator[Server]:
    """Up, and nothing loaded."""
    stack = copy_stack(tmp_path, "15", {"OLLAMA_IMAGE": images.reference("ollama:latest")})
    shutil.copy2(COMPOSE, stack.directory / "compose.yaml")
    shutil.rmtree(stack.directory / "initdb")
    one = Server(stack, Nftui(stack.directory, tmp_path / "state"))
    try:
        stack.up()
        wait_until(lambda: answers(one), what="the server")
        yield one
    finally:
        problems = tear_down(stack)
    assert not problems, "a stack was not removed whole"


def answers(one: Server) -> bool:
    """Whether the server can be asked."""
    try:
        one.held()
    except OSError:
        return False
    return True
