"""Another major of Redis on the real engine, by snapshot and by append-only file: all keys, and the way back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import Done, Nftui, tree
from tests.stack import images
from tests.stack.fixtures import StackFactory
from tests.stack.running import Stack, docker

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="data is switched only by root"),
]
CONSENT = ("--yes", "--accept-irreversible", "--without-backup", "--settle", "1", "--json")
WISH = ("--only", "images", "--set", "images.redis={image}")


@dataclass
class Bench:
    """A stack of which only the Redis runs, and the command."""

    stack: Stack
    nftui: Nftui

    def __call__(self, verb: str, *more: str) -> Done:
        wish = (word.format(image=images.reference("redis:7")) for word in WISH)
        return self.nftui(verb, *wish, *more, timeout=400)

    def fill(self) -> None:
        """Every type, a time to live, two databases."""
        with self.stack.redis() as r:
            r.set("text", "ü" * 1000)
            r.rpush("list", *(f"job {n}" for n in range(500)))
            r.hset("hash", mapping={f"f{n}": n for n in range(600)})
            r.zadd("sorted", {f"m{n}": n / 3 for n in range(300)})
            r.sadd("set", *range(700))
            r.xadd("stream", {"a": "1"})
            r.set("passing", "x", ex=100000)
        self._cli("-n", "3", "SET", "elsewhere", "db3")

    def holds(self) -> dict[str, Any]:
        """What is in it, without what passes by itself."""
        with self.stack.redis() as r:
            found: dict[str, Any] = {
                "text": r.get("text"), "list": r.lrange("list", 0, -1), "hash": r.hgetall("hash"),
                "sorted": r.zrange("sorted", 0, -1, withscores=True), "set": sorted(r.smembers("set")),
                "stream": r.xrange("stream"), "passes": r.ttl("passing") > 0, "size": r.dbsize(),
            }  # fmt: skip
        return {**found, "elsewhere": self._cli("-n", "3", "GET", "elsewhere")}

    def _cli(self, *words: str) -> str:
        return docker("exec", self.stack.container("redis"), "redis-cli", *words)

    def version(self) -> str:
        with self.stack.redis() as r:
            return str(r.info("server")["redis_version"]).partition(".")[0]

    def place(self, name: str) -> Path:
        return Path(json.loads(docker("volume", "inspect", f"{self.stack.project}_{name}"))[0]["Mountpoint"])

    def clean(self) -> None:
        """What Compose does not remove."""
        docker("rm", "-fv", self.stack.container("redis"), check=False)
        for name in docker("volume", "ls", "-q", "--filter", f"name={self.stack.project}_").split():
            docker("volume", "rm", name, check=False)
        for name in docker("images", "--format", "{{.Repository}}:{{.Tag}}").split():
            if name.startswith(f"nftui-kept/{self.stack.project}"):
                docker("rmi", name)


@pytest.fixture
def bench(stack_factory: StackFactory, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    images.ensure("redis:6", "redis:7")
    stack = stack_factory(up=False)
    stack.set_env(REDIS_IMAGE=images.reference("redis:6"))
    file = stack.directory / "compose.yaml"
    file.write_text(file.read_text().replace("--maxmemory 64mb", f"--maxmemory 64mb {request.param}"))
    stack.up("redis")
    found = Bench(stack, Nftui(stack.directory, tmp_path / "state"))
    yield found
    found.clean()


AOF = pytest.param("--appendonly yes", id="aof")
PLAIN = [
    pytest.param("", id="rdb", marks=pytest.mark.all),
    pytest.param("--save ''", id="never", marks=pytest.mark.all),
]


@pytest.mark.parametrize("bench", [AOF, *PLAIN], indirect=True)
def test_redis_goes_over_with_all_its_keys_and_comes_back(bench: Bench) -> None:
    bench.fill()
    files, before = tree(bench.stack.directory), bench.holds()
    done = bench("apply", *CONSENT)
    assert done.code == 0 and done.json["outcome"] == "applied", done.out + done.err
    assert bench.version() == "7" and bench.holds() == before
    assert bench.nftui("status", "--json").code == 0
    assert not bench("plan", "--json").json["changes"]
    with bench.stack.redis() as r:
        r.set("later", "written after")
    refused = bench.nftui("rollback", "--yes", "--json")
    assert refused.code == 2 and "--force" in refused.out + refused.err
    back = bench.nftui("rollback", "--yes", "--force", "--json")
    assert back.code == 0 and back.json["outcome"] == "rolled-back", back.out + back.err
    assert bench.version() == "6" and bench.holds() == before and tree(bench.stack.directory) == files
    _is_closed(bench)


def _is_closed(bench: Bench) -> None:
    """Neither version starts on what was left behind, and trying changes nothing of its data."""
    place = bench.place("redis-7")
    data = {p: p.read_bytes() for p in place.rglob("*") if p.is_file()}
    for major in ("6", "7"):
        command = bench.stack.inspect("redis")["Config"]["Cmd"]
        bind = f"type=bind,source={place},target=/data"
        name = f"{bench.stack.project}-try"
        docker("run", "--name", name, "--network=none", "--mount", bind, images.reference(f"redis:{major}"), *command,
               check=False, timeout=20)  # fmt: skip
        state = json.loads(docker("inspect", name))[0]["State"]
        docker("rm", "-fv", name)
        assert not state["Running"] and state["ExitCode"], major
    assert {p: p.read_bytes() for p in place.rglob("*") if p in data} == data
