"""A stack of one Redis, filled with keys of every kind, and a picture of all that is in it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.stack import images
from tests.stack.fixtures import SESSION
from tests.stack.running import Stack

PASSWORD = "not-a-secret-of-anyone"


def make_stack(parent: Path, version: str = "7", compose: str | None = None) -> Stack:
    """Nothing is started."""
    images.ensure(f"redis:{version}")
    directory = parent / f"{SESSION}-{secrets.token_hex(2)}"
    directory.mkdir()
    text = compose or (Path(__file__).parent / "compose.yaml").read_text()
    (directory / "compose.yaml").write_text(text)
    (directory / ".env").write_text(f"REDIS_PASSWORD={PASSWORD}\nREDIS_IMAGE={images.reference(f'redis:{version}')}\n")
    return Stack(directory.name, directory)


def fill(stack: Stack, count: int = 200, service: str = "redis") -> None:
    """Strings, hashes, lists, sets, sorted sets and streams; some that expire; a queue's keys; a second database."""
    with stack.redis(service) as client:
        pipe = client.pipeline(transaction=False)
        for number in range(count):
            pipe.set(f"text:{number}", "x" * number)
            pipe.hset(f"hash:{number}", mapping={"a": number, "b": "y"})
            pipe.rpush(f"list:{number}", *range(number % 7 + 1))
        pipe.sadd("set", *range(50))
        pipe.zadd("zset", {f"m{n}": n for n in range(50)})
        pipe.xadd("stream", {"f": "v"}, id="1-1")
        pipe.set("session:1", "soon", ex=90_000)
        pipe.rpush("bull:mail:wait", 1, 2)
        pipe.hset("bull:mail:meta", "opts", "x")
        pipe.execute()


def picture(stack: Stack, service: str = "redis") -> dict[str, tuple[str, bool]]:
    """Each key with the digest of its content and whether it expires."""
    found: dict[str, tuple[str, bool]] = {}
    with stack.redis(service) as client:
        client.connection_pool.connection_kwargs |= {"decode_responses": True, "encoding_errors": "surrogateescape"}
        for key in client.scan_iter(count=1000):
            found[str(key)] = (_digest(client, str(key)), client.pttl(key) > 0)
    return dict(sorted(found.items()))


def _digest(client: Any, key: str) -> str:
    """By its content: DUMP differs between encodings of the same value."""
    read: dict[str, Callable[[], Any]] = {
        "string": lambda: client.get(key), "hash": lambda: sorted(client.hgetall(key).items()),
        "list": lambda: client.lrange(key, 0, -1), "set": lambda: sorted(client.smembers(key)),
        "zset": lambda: client.zrange(key, 0, -1, withscores=True), "stream": lambda: client.xrange(key),
    }  # fmt: skip
    kind = str(client.type(key))
    return hashlib.sha256(f"{kind} {read[kind]()!r}".encode()).hexdigest()


def config(stack: Stack, *names: str, service: str = "redis") -> dict[str, str]:
    """CONFIG GET of each."""
    with stack.redis(service) as client:
        return {name: str(client.config_get(name)[name]) for name in names}
