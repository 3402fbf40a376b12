"""A cluster in the place of one server, on a real engine: no acknowledged write is lost, there and back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import Nftui, everything_written, tree
from tests.redis.clustered import LONG_S, NODES, PASSWORD, acked, cluster_keys, clustered_stack, places
from tests.redis.failover import kill_masters
from tests.redis.server import config, picture
from tests.stack.running import Stack, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]
CLUSTER = ("--only", "redis", "--set", "redis.mode=cluster")
YES = ("--yes", "--without-backup", "--json", "--settle", "1")


@pytest.fixture
def stack(engine: None, tmp_path: Path) -> Iterator[Stack]:
    with clustered_stack(tmp_path) as made:
        made.up()
        fill_one_database(made)
        yield made


def fill_one_database(stack: Stack, count: int = 200) -> None:
    """Keys of every kind, some that expire: nothing of a queue, which a cluster does not take."""
    with stack.redis() as client:
        pipe = client.pipeline(transaction=False)
        for number in range(count):
            pipe.set(f"text:{number}", "x" * number)
            pipe.hset(f"hash:{number}", mapping={"a": number, "b": "y"})
        pipe.hset("hash:large", mapping={f"f{n}": "v" * 70 for n in range(300)})
        pipe.sadd("set", *(f"m{n}" for n in range(500)))
        pipe.zadd("zset", {f"m{n}": n for n in range(300)})
        pipe.rpush("list", *range(300))
        pipe.xadd("stream", {"f": "v"}, id="1-1")
        pipe.xgroup_create("stream", "readers", "0")
        pipe.set(b"\xff\x00binary", b"\xfe\x00\r\n")
        pipe.set("session:1", "soon", ex=90_000)
        pipe.execute()


def test_every_acknowledged_write_is_there_and_back(stack: Stack, tmp_path: Path) -> None:
    """From a server whose log is on: what was carried back stands in the log that it starts from."""
    nftui = Nftui(stack.directory, tmp_path / "state")
    first = nftui("apply", "--only", "redis", *YES)
    assert first.code == 0, first.err + first.out
    files = tree(stack.directory)
    wait_until(lambda: len(acked(stack)) > 20, seconds=LONG_S, what="the app writes")
    done = nftui("apply", *CLUSTER, *YES, timeout=400)
    assert done.code == 0, done.err + done.out
    before = acked(stack)
    wait_until(lambda: len(acked(stack)) > len(before) + 20, seconds=LONG_S, what="the app writes to the cluster")
    held = cluster_keys(stack)
    assert before <= set(held), "a write that was acknowledged is not in the cluster"
    with stack.redis() as client, pytest.raises(Exception, match="good replicas"):
        client.set("late", "1")
    assert nftui("plan", *CLUSTER, "--json").json["changes"] is False
    assert nftui("plan", "--only", "redis", "--json").json["changes"] is False, "left alone it stays a cluster"
    assert nftui("status", "--json").code == 0
    written = (stack.directory / "compose.nftui.yaml").read_text()
    assert PASSWORD not in written and "${REDIS_PASSWORD}" in written
    # All six at once, in another order: each has its own address again.
    stack.compose("stop", *NODES)
    stack.compose("start", *reversed(NODES))
    wait_until(lambda: nftui("status", "--json").code == 0, seconds=LONG_S, what="the cluster is whole after a restart")
    assert before <= set(cluster_keys(stack))
    since = acked(stack)
    wait_until(lambda: len(acked(stack)) > len(since) + 20, seconds=LONG_S, what="the app writes after the restart")
    back = nftui("rollback", "--yes", "--json", timeout=400)
    assert back.code == 0, back.err + back.out
    promised = acked(stack)
    assert promised <= set(picture(stack)), "a write to the cluster was not carried back"
    assert tree(stack.directory) == files and set(stack.services()) == {"redis", "app"}
    assert config(stack, "appendonly")["appendonly"] == "yes"
    assert nftui("plan", "--only", "redis", "--json").json["changes"] is False
    assert not places(stack)
    assert PASSWORD.encode() not in everything_written(nftui.state)
    wait_until(lambda: len(acked(stack)) > len(promised), seconds=LONG_S, what="it writes to the one server")
    assert nftui("rollback", "--yes", "--json").code == 0
    # The containers still bear the name of nftui's file, which is gone.
    assert nftui("plan", *CLUSTER, "--json").json["changes"] is True


@pytest.mark.all
@pytest.mark.timeout(3600)
def test_ten_masters_are_killed_and_no_write_that_a_replica_had_is_lost(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nftui = Nftui(stack.directory, tmp_path / "state")
    done = nftui("apply", *CLUSTER, *YES, timeout=400)
    assert done.code == 0, done.err + done.out
    figures = kill_masters(stack, 10)
    with capsys.disabled():
        sys.stdout.write(f"\n{figures}\n")
    figures.must_lose_nothing(10)
    back = nftui("rollback", "--yes", "--json", timeout=400)
    assert back.code == 0, back.err + back.out
    assert acked(stack) <= set(picture(stack)), "a write that was acknowledged while masters died was not carried back"
