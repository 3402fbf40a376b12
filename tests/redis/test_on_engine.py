"""The main job on a real Redis: its log is on and nothing of what was in memory is gone, there and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nftui.steps.redis_replica import KEY
from tests.e2e.command import Nftui, everything_written, tree
from tests.redis.server import PASSWORD, config, fill, make_stack, picture
from tests.stack import images
from tests.stack.fixtures import tear_down
from tests.stack.running import Stack, docker, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(600)]
ONLY = ("--only", "redis")
FAST = ("--settle", "1")
NAMES = ("appendonly", "maxmemory", "maxmemory-policy", "save", "appendfsync")


@pytest.fixture
def stack(engine: None, tmp_path: Path) -> Iterator[Stack]:
    made = make_stack(tmp_path)
    try:
        made.up()
        fill(made)
        yield made
    finally:
        problems = tear_down(made)
    assert not problems, "the stack was not removed whole"


@pytest.fixture
def nftui(stack: Stack, tmp_path: Path) -> Nftui:
    return Nftui(stack.directory, tmp_path / "state")


def test_the_log_is_on_and_nothing_is_lost_there_and_back(nftui: Nftui, stack: Stack) -> None:
    files, keys, settings = tree(stack.directory), picture(stack), config(stack, *NAMES)
    plan = nftui("plan", *ONLY, "--json").json
    assert plan["changes"], plan
    done = nftui("apply", *ONLY, "--yes", "--json", *FAST)
    assert done.code == 0, done.err + done.out
    assert {s["state"] for s in done.json["steps"]} == {"verified"}
    now = config(stack, *NAMES)
    assert now == {**settings, "appendonly": "yes", "maxmemory": str(153 * 1024**2)}
    assert picture(stack) == keys
    assert nftui("plan", *ONLY, "--json").json["changes"] is False
    assert nftui("status", "--json").code == 0
    with stack.redis() as client:
        client.set("written:since", "1")
    stack.compose("restart", "redis")
    stack.up()
    assert picture(stack).keys() == {*keys, "written:since"}
    back = nftui("rollback", "--yes", "--json")
    assert back.code == 0, back.err + back.out
    assert tree(stack.directory) == files and config(stack, *NAMES) == settings
    assert picture(stack).keys() == {*keys, "written:since"}
    assert "appendonlydir" not in stack.exec("redis", "ls", "/data").split()
    assert PASSWORD.encode() not in everything_written(nftui.state)


def test_a_replica_follows_is_proven_and_goes_again(nftui: Nftui, stack: Stack) -> None:
    files, keys = tree(stack.directory), picture(stack)
    mode = ("--set", "redis.mode=replica")
    done = nftui("apply", *ONLY, *mode, "--yes", "--json", *FAST)
    assert done.code == 0, done.err + done.out
    assert picture(stack) == keys and picture(stack, "redis-replica") == keys
    now = config(stack, *NAMES, service="redis-replica")
    assert now["appendonly"] == "yes" and now["maxmemory"] == str(153 * 1024**2)
    assert KEY not in keys
    written = (stack.directory / "compose.nftui.yaml").read_text()
    assert PASSWORD not in written and "${REDIS_PASSWORD}" in written
    assert nftui("plan", *ONLY, *mode, "--json").json["changes"] is False
    assert nftui("status", "--json").code == 0
    with stack.redis("redis-replica") as client:
        client.replicaof("NO", "ONE")
    drift = nftui("status", "--json")
    assert drift.code == 3 and [d["target"] for d in drift.json["drift"]] == ["redis-replica.master_link_status"]
    back = nftui("rollback", "--yes", "--json")
    assert back.code == 0, back.err + back.out
    assert tree(stack.directory) == files and picture(stack) == keys and list(stack.services()) == ["redis"]
    assert PASSWORD.encode() not in everything_written(nftui.state)


@pytest.fixture
def strange(stack: Stack) -> Iterator[str]:
    """An image whose entrypoint is the program and whose user owns nothing."""
    name, made = f"{stack.project}/keys:7", docker("create", images.reference("redis:7"))
    docker("commit", "--change", 'ENTRYPOINT ["redis-server"]', "--change", "USER nobody", made, name)
    docker("rm", "-v", made)
    yield name
    docker("rm", "-fv", f"{stack.project}-redis-replica-1", check=False)
    docker("rmi", name)


def test_a_replica_may_have_an_image_that_only_has_the_program(nftui: Nftui, stack: Stack, strange: str) -> None:
    files, keys = tree(stack.directory), picture(stack)
    wish = ("--set", "redis.mode=replica", "--set", f"redis.image={strange}")
    done = nftui("apply", *ONLY, *wish, "--yes", "--json", *FAST)
    assert done.code == 0, done.err + done.out
    assert stack.inspect("redis-replica")["Config"]["Image"] == strange and picture(stack, "redis-replica") == keys
    assert "appendonlydir" in stack.exec("redis-replica", "ls", "/data").split()
    stack.compose("restart", "redis-replica")
    wait_until(lambda: nftui("status", "--json").code == 0, seconds=60, what="the replica follows again")
    back = nftui("rollback", "--yes", "--json")
    assert back.code == 0, back.err + back.out
    assert tree(stack.directory) == files and list(stack.services()) == ["redis"]
    refused = nftui("plan", *ONLY, "--set", "redis.mode=replica", "--set", f"redis.image={strange}.1", "--json")
    assert refused.code == 2 and f"docker pull {strange}.1" in refused.err + refused.out


@pytest.mark.parametrize("mode", ["cluster", "sentinel"])
def test_several_databases_and_clients_that_cannot_are_one_line_and_nothing_is_touched(
    nftui: Nftui, stack: Stack, mode: str
) -> None:
    with stack.redis() as client:
        client.set("elsewhere", "1")
        client.move("elsewhere", 3)
        files, before = tree(stack.directory), stack.services()
        # This connection is a client that no service names as its own.
        done = nftui("apply", *ONLY, "--set", f"redis.mode={mode}", "--yes", "--json", *FAST)
    assert done.code == 2, done.err + done.out
    line = next(line for line in done.err.splitlines() if f"mode = {mode}" in line)
    assert "no service names as its own" in line and ("3 (1 keys)" in line) is (mode == "cluster"), done.err
    assert "Traceback" not in done.err and tree(stack.directory) == files and stack.services() == before
