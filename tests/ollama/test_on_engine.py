"""The whole way on a running server: plan, apply, read back, models in memory, status, rollback to the byte."""

from __future__ import annotations

import pytest

from tests.e2e.command import tree
from tests.ollama.conftest import Server

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(300)]

APPLY = ("apply", "--only", "ollama", "--yes", "--json", "--settle", "0")


def test_applied_read_back_and_taken_back(server: Server) -> None:
    before, variables = tree(server.stack.directory), server.environment()
    assert server.held() == {}
    done = server.nftui(*APPLY)
    assert done.code == 0, done.out + done.err
    held = server.held()
    assert set(held) == {"tiny-chat:1b", "embed:latest", "small-chat:2b"}
    assert all(m["expires_at"] > "2200" for m in held.values())
    assert server.environment()["OLLAMA_KEEP_ALIVE"] == "24h"
    assert server.stack.inspect("ollama")["State"]["Health"]["Status"] == "healthy"
    assert server.nftui("status").code == 0
    again = server.nftui("plan", "--only", "ollama", "--json").json
    assert not again["changes"], again["files"]

    back = server.nftui("rollback", "--yes", "--json")
    assert back.code == 0, back.out + back.err
    assert tree(server.stack.directory) == before and server.environment() == variables
    assert server.held() == {}
