"""Sentinels and two servers in the place of one, on a real engine: what was promised is there, and back again."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import Nftui, everything_written, tree
from tests.redis.clustered import LONG_S, PASSWORD, acked, places
from tests.redis.server import config, fill, picture
from tests.redis.watched import SENTINELS, SERVERS, Watched, kill_masters, watched_stack
from tests.stack.running import Stack, docker, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1200)]
SENTINEL = ("--only", "redis", "--set", "redis.mode=sentinel")
YES = ("--yes", "--without-backup", "--json", "--settle", "1")


@pytest.fixture
def stack(engine: None, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stack]:
    with watched_stack(tmp_path, getattr(request, "param", "7")) as made:
        made.up()
        fill(made)
        with made.redis() as client:
            client.select(3)
            client.set("elsewhere", "1", ex=90_000)
        yield made


def writes(stack: Stack, what: str) -> set[str]:
    """What was acknowledged by then; the app goes on to write."""
    before = acked(stack)
    wait_until(lambda: len(acked(stack)) > len(before) + 20, seconds=LONG_S, what=what)
    return before


def elsewhere(stack: Stack, service: str) -> str | None:
    """The key of the other database."""
    with stack.redis(service) as client:
        client.select(3)
        return str(client.get("elsewhere")) if client.pttl("elsewhere") > 0 else None


def kill_master(stack: Stack) -> tuple[str, set[str]]:
    """The server that is the master from then on, and writes that only the one that ended may have had."""
    watched, sure = Watched(stack), acked(stack)
    gone = watched.master()
    time.sleep(1)  # What was acknowledged before has long been with the replica.
    docker("kill", stack.container(gone))
    wait_until(lambda: watched.master() != gone, seconds=LONG_S, what="the other server is the master")
    unsure = acked(stack) - sure
    docker("start", stack.container(gone))
    wait_until(watched.whole, seconds=LONG_S, what="all five are together again")
    return watched.master(), unsure


def test_a_master_that_ends_is_followed_and_all_of_it_comes_back(stack: Stack, tmp_path: Path) -> None:
    nftui = Nftui(stack.directory, tmp_path / "state")
    first = nftui("apply", "--only", "redis", *YES)
    assert first.code == 0, first.err + first.out
    files = tree(stack.directory)
    done = nftui("apply", *SENTINEL, *YES, timeout=600)
    assert done.code == 0, done.err + done.out
    kept = writes(stack, "the app writes to the master")
    with stack.redis() as client, pytest.raises(Exception, match="good replicas"):
        client.set("late", "1")
    said = nftui("status", "--json")
    assert (said.code, said.json["drift"], said.json["told"]) == (0, [], [])
    written = (stack.directory / "compose.nftui.yaml").read_text()
    assert PASSWORD not in written and "${REDIS_PASSWORD}" in written
    heir, unsure = kill_master(stack)
    assert heir == SERVERS[1]
    kept |= writes(stack, "the app follows to the other server")
    said = nftui("status", "--json")
    assert (said.code, said.json["drift"]) == (0, []), said.out
    assert [(t["target"], t["expected"], t["actual"]) for t in said.json["told"]] == [("redis.master", *SERVERS)]
    assert nftui("plan", "--only", "redis", "--json").json["changes"] is False
    # A setting changed after a failover: both are recreated, and each keeps its role or is failed over.
    again = nftui("apply", "--only", "redis", "--set", "redis.maxmemory=100MB", *YES, timeout=600)
    assert again.code == 0, again.err + again.out
    wait_until(Watched(stack).whole, seconds=LONG_S, what="all five are together after a recreate")
    for name in SERVERS:
        assert config(stack, "maxmemory", service=name) == {"maxmemory": str(100 * 1024 * 1024)}
    kept |= writes(stack, "the app writes after the recreate")
    master = Watched(stack).master()
    stack.compose("stop", *SERVERS, *SENTINELS)
    stack.compose("start", *reversed((*SERVERS, *SENTINELS)))
    wait_until(Watched(stack).whole, seconds=LONG_S, what="all five are together after a restart")
    assert Watched(stack).master() == master, "what Sentinel said lasts"
    kept |= writes(stack, "the app writes after the restart")
    assert elsewhere(stack, master) == "1"
    back = nftui("rollback", "--yes", "--json", timeout=600)
    assert back.code == 0, back.err + back.out
    back = nftui("rollback", "--yes", "--json", timeout=600)
    assert back.code == 0, back.err + back.out
    held = set(picture(stack))
    kept -= unsure
    assert kept <= held, f"{len(kept - held)} writes were not carried back"
    assert elsewhere(stack, "redis") == "1"
    assert tree(stack.directory) == files and set(stack.services()) == {"redis", "app"}
    assert nftui("plan", "--only", "redis", "--json").json["changes"] is False
    assert not places(stack)
    assert PASSWORD.encode() not in everything_written(nftui.state)
    writes(stack, "it writes to the one server")


def restart_all(stack: Stack) -> None:
    """Every one of the five at once."""
    stack.compose("stop", *SERVERS, *SENTINELS)
    stack.compose("start", *SERVERS, *SENTINELS)
    wait_until(Watched(stack).whole, seconds=LONG_S, what="all five are together after a restart")


@pytest.mark.parametrize("stack", ["8"], indirect=True)
def test_an_image_that_hands_nothing_unknown_to_its_user_starts_again_and_again(stack: Stack, tmp_path: Path) -> None:
    """Official ones since 8.0.2; what is beside a Sentinel's file keeps them from handing over even that."""
    nftui = Nftui(stack.directory, tmp_path / "state")
    done = nftui("apply", *SENTINEL, *YES, timeout=600)
    assert done.code == 0, done.err + done.out
    restart_all(stack)
    stack.exec(SENTINELS[0], "touch", "/data/temp-1-2.conf")
    heir, unsure = kill_master(stack)
    restart_all(stack)
    assert Watched(stack).master() == heir
    for name, file in {**dict.fromkeys(SERVERS, "nftui-role.conf"), SENTINELS[0]: "sentinel.conf"}.items():
        assert stack.exec(name, "stat", "-c", "%U", f"/data/{file}").strip() == "redis"
    kept = writes(stack, "the app writes after the restarts") - unsure
    back = nftui("rollback", "--yes", "--json", timeout=600)
    assert back.code == 0, back.err + back.out
    assert kept <= set(picture(stack)) and not places(stack)


@pytest.mark.all
@pytest.mark.timeout(3600)
def test_masters_are_killed_and_no_write_that_the_replica_had_is_lost(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nftui = Nftui(stack.directory, tmp_path / "state")
    done = nftui("apply", *SENTINEL, *YES, timeout=600)
    assert done.code == 0, done.err + done.out
    figures = kill_masters(stack, 6)
    with capsys.disabled():
        sys.stdout.write(f"\n{figures}\n")
    figures.must_lose_nothing(6)
    promised = writes(stack, "the app writes to whoever is the master")
    back = nftui("rollback", "--yes", "--json", timeout=600)
    assert back.code == 0, back.err + back.out
    late = acked(stack) - promised
    assert late <= set(picture(stack)), "a write after the last of them was not carried back"
