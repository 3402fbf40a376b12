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
    old: str
    new: str

    def __call__(self, verb: str, *more: str) -> Done:
        wish = (word.format(image=images.reference(f"redis:{self.new}")) for word in WISH)
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
    old, new, arguments = request.param
    images.ensure(f"redis:{old}", f"redis:{new}")
    stack = stack_factory(up=False)
    stack.set_env(REDIS_IMAGE=images.reference(f"redis:{old}"))
    file = stack.directory / "compose.yaml"
    file.write_text(file.read_text().replace("--maxmemory 64mb", f"--maxmemory 64mb {arguments}"))
    stack.up("redis")
    found = Bench(stack, Nftui(stack.directory, tmp_path / "state"), old, new)
    yield found
    found.clean()


LOG, NEVER = "--appendonly yes", "--save ''"
WAYS = [
    pytest.param(("6", "7", LOG), id="aof"),
    # A 6.0 that is started with arguments has no save points but those that it is given.
    pytest.param(("6", "7", "--save 3600 1"), id="rdb", marks=pytest.mark.all),
    pytest.param(("6", "7", NEVER), id="never", marks=pytest.mark.all),
    pytest.param(("7", "8", LOG), id="8-aof", marks=pytest.mark.all),
    pytest.param(("7", "8", ""), id="8-rdb", marks=pytest.mark.all),
]


@pytest.mark.parametrize("bench", WAYS, indirect=True)
def test_redis_goes_over_with_all_its_keys_and_comes_back(bench: Bench) -> None:
    bench.fill()
    files, before = tree(bench.stack.directory), bench.holds()
    done = bench("apply", *CONSENT)
    assert done.code == 0 and done.json["outcome"] == "applied", done.out + done.err
    assert bench.version() == bench.new and bench.holds() == before
    must_have_been_rehearsed(bench, done)
    assert bench.nftui("status", "--json").code == 0
    assert not bench("plan", "--json").json["changes"]
    with bench.stack.redis() as r:
        r.set("later", "written after")
    refused = bench.nftui("rollback", "--yes", "--json")
    assert refused.code == 2 and "--force" in refused.out + refused.err
    back = bench.nftui("rollback", "--yes", "--force", "--json")
    assert back.code == 0 and back.json["outcome"] == "rolled-back", back.out + back.err
    assert bench.version() == bench.old and bench.holds() == before and tree(bench.stack.directory) == files
    _is_closed(bench)


def must_have_been_rehearsed(bench: Bench, done: Done) -> None:
    """Both images told the keys of a copy, unless the server keeps nothing; nothing of it is left."""
    told = [n for n in done.json["notes"] if n.startswith("rehearsed: ")]
    keeps = NEVER not in (bench.stack.directory / "compose.yaml").read_text()
    assert [n for n in told if f"redis:{bench.new} read 8 keys of a copy of redis" in n] if keeps else not told, told
    assert not docker("volume", "ls", "-q", "--filter", f"name={bench.stack.project}_redis-rehearsal")
    assert not docker("ps", "-aq", "--filter", f"volume={bench.stack.project}_redis-rehearsal")


def _is_closed(bench: Bench) -> None:
    """Neither version starts on what was left behind, and trying changes nothing of its data."""
    place = bench.place(f"redis-{bench.new}")
    data = {p: p.read_bytes() for p in place.rglob("*") if p.is_file()}
    for major in (bench.old, bench.new):
        command = bench.stack.inspect("redis")["Config"]["Cmd"]
        bind = f"type=bind,source={place},target=/data"
        name = f"{bench.stack.project}-try"
        docker("run", "--name", name, "--network=none", "--mount", bind, images.reference(f"redis:{major}"), *command,
               check=False, timeout=20)  # fmt: skip
        state = json.loads(docker("inspect", name))[0]["State"]
        docker("rm", "-fv", name)
        assert not state["Running"] and state["ExitCode"], major
    assert {p: p.read_bytes() for p in place.rglob("*") if p in data} == data


MINOR = [pytest.param(("7", "8", ""), id="rdb"), pytest.param(("7", "8", LOG), id="aof", marks=pytest.mark.all)]


@pytest.mark.parametrize("bench", MINOR, indirect=True)
def test_a_minor_version_that_writes_other_files_comes_back_on_the_former_ones(bench: Bench) -> None:
    """By its tag of the same major, by its files not: 7.0 does not load what the other one saved (RDB 10 and 12)."""
    bench.fill()
    before, newer = bench.holds(), f"{images.reference('redis:7')}.4"
    docker("tag", images.reference(f"redis:{bench.new}"), newer)
    try:
        wish = ("--only", "images", "--set", f"images.redis={newer}")
        done = bench.nftui("apply", *wish, *CONSENT, timeout=300)
        assert done.code == 0 and done.json["outcome"] == "applied", done.out + done.err
        assert bench.version() == bench.new and bench.holds() == before
        assert not bench.nftui("plan", *wish, "--json").json["changes"]
        back = bench.nftui("rollback", "--yes", "--force", "--json")
        assert back.code == 0 and back.json["outcome"] == "rolled-back", back.out + back.err
    finally:
        docker("rmi", newer, check=False)
    assert bench.version() == bench.old and bench.holds() == before


BAD = [pytest.param(("6", "7", LOG), id="aof"), pytest.param(("7", "8", ""), id="8-rdb", marks=pytest.mark.all)]


@pytest.mark.parametrize("bench", BAD, indirect=True)
def test_an_image_that_cannot_load_the_data_is_found_out_before_anything_stops(bench: Bench) -> None:
    """Another server of the same name: its command is the service's, and one of its settings is unknown to it."""
    bench.fill()
    files, before = tree(bench.stack.directory), bench.holds()
    container = bench.stack.inspect("redis")
    broken = f"{images.reference(f'redis:{bench.new}')}.99"
    made = docker("create", images.reference(f"redis:{bench.new}"))
    docker("commit", "--change", 'ENTRYPOINT ["redis-server", "--no-such", "1"]', made, broken)
    docker("rm", "-v", made)
    try:
        wish = ("--only", "images", "--set", f"images.redis={broken}")
        done = bench.nftui("apply", *wish, *CONSENT, timeout=300)
    finally:
        docker("rmi", broken)
    assert done.code == 1 and "does not start on a copy of the data of redis" in done.out + done.err, done.out
    assert "no-such" in done.out + done.err
    now = bench.stack.inspect("redis")
    assert (now["Id"], now["State"]["StartedAt"]) == (container["Id"], container["State"]["StartedAt"])
    assert bench.holds() == before and tree(bench.stack.directory) == files
    assert not docker("volume", "ls", "-q", "--filter", f"name={bench.stack.project}_redis-")
