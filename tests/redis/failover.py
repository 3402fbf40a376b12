"""Masters of a cluster killed while it is written to: what was acknowledged and is gone, and how long writes failed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

import redis

from nftui.clients.rediscluster import Seen, myself, slot_of, view
from nftui.clients.resp import RespClient
from tests.redis.clustered import LONG_S, NODES
from tests.stack.running import Stack, docker, wait_until

WRITING_S = 1.0
"""How long it is written to a master before its end."""


@dataclass
class Writer(threading.Thread):
    """Writes keys of one slot to one server until that is gone; keeps those that were acknowledged."""

    server: redis.Redis
    tag: str
    waits: bool
    acknowledged: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        """With WAIT a write counts once a replica has it."""
        number = 0
        while True:
            key = f"{{{self.tag}}}:{'wait' if self.waits else 'plain'}:{number}"
            try:
                self.server.set(key, key)
                if not self.waits or int(self.server.wait(1, 1000)) >= 1:
                    self.acknowledged.append(key)
            except (redis.RedisError, OSError):
                return
            number += 1


@dataclass
class Figures:
    """Of all kills."""

    acknowledged: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    """With WAIT 1, and without."""
    lost: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    seconds: list[float] = field(default_factory=list)
    """From the kill until a write to that shard succeeded."""

    def must_lose_nothing(self, kills: int) -> None:
        """After so many: of what a replica had acknowledged."""
        assert len(self.seconds) == kills and self.acknowledged[True]
        assert self.lost[True] == 0, self

    def __str__(self) -> str:
        times = "/".join(f"{s:.1f}" for s in sorted(self.seconds))
        return (
            f"{len(self.seconds)} masters killed; writes back after {times} s; under WAIT 1 "
            f"{self.lost[True]} of {self.acknowledged[True]} acknowledged writes lost, without it "
            f"{self.lost[False]} of {self.acknowledged[False]}"
        )


def takes_writes(open_session: Callable[[], redis.Redis], key: str) -> bool:
    """Whether a server takes a write now."""
    try:
        with open_session() as client:
            return bool(client.set(key, "1"))
    except (redis.RedisError, OSError):
        return False


def missing(client: redis.Redis, keys: list[str]) -> int:
    """Of `keys`, how many that server has not."""
    chunks = (keys[n : n + 500] for n in range(0, len(keys), 500))
    return len(keys) - sum(int(client.exists(*chunk)) for chunk in chunks)


class Trial:
    """One cluster, of a stack that nftui made it for."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.addresses = {name: stack.address(name) for name in NODES}

    def session(self, name: str) -> redis.Redis:
        """To one node, from this machine."""
        password = self.stack.environment["REDIS_PASSWORD"]
        return redis.Redis(host=self.addresses[name], password=password, decode_responses=True,
                           socket_timeout=3, socket_connect_timeout=1)  # fmt: skip

    def seen(self, name: str) -> list[Seen]:
        """All nodes as that one sees them; read by nftui's own session, for redis-py takes the answer apart."""
        with closing(RespClient(self.addresses[name], 6379, name, 3.0)) as client:
            client.ask("AUTH", self.stack.environment["REDIS_PASSWORD"])
            return view(client)

    def masters(self) -> dict[str, tuple[tuple[int, int], ...]]:
        """Each to its slots, by its own word."""
        found = {}
        for name in NODES:
            me = myself(self.seen(name))
            if "master" in me.flags and me.slots:
                found[name] = me.slots
        return found

    def kill_one(self, number: int, figures: Figures) -> None:
        """Write, kill, wait for writes, look for what was acknowledged, start it again."""
        name, slots = sorted(self.masters().items())[number % 3]
        tag = next(f"t{n}" for n in range(100_000) if any(a <= slot_of(b"t%d" % n) <= b for a, b in slots))
        writers = [Writer(self.session(name), f"{tag}", waits) for waits in (True, False)]
        for writer in writers:
            writer.start()
        time.sleep(WRITING_S)
        docker("kill", self.stack.container(name))
        killed = time.monotonic()
        heir = self.wait_for_write(tag, name)
        figures.seconds.append(time.monotonic() - killed)
        for writer in writers:
            writer.join(LONG_S)
            figures.acknowledged[writer.waits] += len(writer.acknowledged)
        with self.session(heir) as client:
            for writer in writers:
                figures.lost[writer.waits] += missing(client, writer.acknowledged)
            client.delete(*(k for writer in writers for k in writer.acknowledged))
        docker("start", self.stack.container(name))
        wait_until(self.whole, seconds=LONG_S, what="all six are together again")

    def wait_for_write(self, tag: str, gone: str) -> str:
        """The node that takes one."""
        end = time.monotonic() + LONG_S
        while time.monotonic() < end:
            for name in NODES:
                if name != gone and takes_writes(partial(self.session, name), f"{{{tag}}}:probe"):
                    return name
            time.sleep(0.1)
        raise AssertionError("no node takes writes for that shard any more")

    def whole(self) -> bool:
        """Every node answers and sees no other one amiss; each replica has its link."""
        try:
            for name in NODES:
                seen = self.seen(name)
                with self.session(name) as client:
                    link = client.info("replication").get("master_link_status", "up")
                if link != "up" or any("fail" in flag for s in seen for flag in s.flags):
                    return False
        except (redis.RedisError, OSError):
            return False
        return True


def kill_masters(stack: Stack, times: int) -> Figures:
    """One after the other, each time another shard's."""
    figures, trial = Figures(), Trial(stack)
    wait_until(trial.whole, seconds=LONG_S, what="the cluster is whole")
    for number in range(times):
        trial.kill_one(number, figures)
    return figures
