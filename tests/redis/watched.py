"""A stack of one Redis and an app that can be told of Sentinels; and their masters killed while it is written to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import redis

from nftui.clients.redissentinel import master_of, problem
from nftui.clients.resp import RespClient
from tests.redis.clustered import HERE, LONG_S, clustered_stack
from tests.redis.failover import WRITING_S, Figures, Writer, missing, takes_writes
from tests.redis.server import PASSWORD
from tests.stack.running import Stack, docker, wait_until

SERVERS = ("redis-server-1", "redis-server-2")
SENTINELS = tuple(f"redis-sentinel-{number}" for number in range(1, 4))
_PORT = 26379


@contextmanager
def watched_stack(parent: Path, version: str = "7") -> Iterator[Stack]:
    """The app is one that the catalog knows by this name."""
    text = (HERE / "clustered.yaml").read_text()
    start, end = text.index("      EXECUTIONS_MODE"), text.index("    volumes:\n      - ./writer")
    environment = "      REDIS_HOST: redis\n      REDIS_AUTH: ${REDIS_PASSWORD}\n"
    compose = text[:start] + environment + text[end:]
    with clustered_stack(parent, compose, "langfuse/langfuse-nftui-test-{}", version) as stack:
        yield stack


class Watched:
    """The servers and Sentinels of a stack that nftui made them for, from this machine."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.addresses = {name: stack.address(name) for name in (*SERVERS, *SENTINELS)}

    def session(self, name: str) -> redis.Redis:
        """To one server."""
        return redis.Redis(host=self.addresses[name], password=PASSWORD, decode_responses=True,
                           encoding_errors="surrogateescape", socket_timeout=3, socket_connect_timeout=1)  # fmt: skip

    def asked(self, name: str) -> tuple[str, str | None]:
        """The master that a Sentinel names, and what it sees amiss."""
        with closing(RespClient(self.addresses[name], _PORT, name, 3.0)) as client:
            client.ask("AUTH", PASSWORD)
            return master_of(client, "redis"), problem(client, "redis")

    def master(self) -> str:
        """As the first Sentinel says."""
        return self.asked(SENTINELS[0])[0]

    def whole(self) -> bool:
        """Every Sentinel sees nothing amiss, and all name the same master."""
        try:
            found = {self.asked(name) for name in SENTINELS}
        except OSError:
            return False
        return len(found) == 1 and next(iter(found))[1] is None

    def kill_one(self, figures: Figures, number: int) -> None:
        """Write, kill, wait for writes, look for what was acknowledged, start it again."""
        name = self.master()
        heir = next(n for n in SERVERS if n != name)
        writers = [Writer(self.session(name), f"{number}", waits) for waits in (True, False)]
        for writer in writers:
            writer.start()
        time.sleep(WRITING_S)
        docker("kill", self.stack.container(name))
        killed = time.monotonic()
        wait_until(
            lambda: takes_writes(partial(self.session, heir), "probe"),
            seconds=LONG_S,
            what="the other server takes writes",
        )
        figures.seconds.append(time.monotonic() - killed)
        for writer in writers:
            writer.join(LONG_S)
            figures.acknowledged[writer.waits] += len(writer.acknowledged)
            with self.session(heir) as client:
                figures.lost[writer.waits] += missing(client, writer.acknowledged)
        docker("start", self.stack.container(name))
        wait_until(self.whole, seconds=LONG_S, what="all five are together again")


def kill_masters(stack: Stack, times: int) -> Figures:
    """One after the other: each time the one that has the role by then."""
    figures, watched = Figures(), Watched(stack)
    wait_until(watched.whole, seconds=LONG_S, what="all five are together")
    for number in range(times):
        watched.kill_one(figures, number)
    return figures
