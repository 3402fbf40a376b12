"""Every way in which people start a Redis keeps its own words and all of its keys; what cannot be done is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.command import Nftui, tree
from tests.redis.server import config, fill, make_stack, picture
from tests.stack.fixtures import tear_down
from tests.stack.running import Stack

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(600)]
ONLY = ("--only", "redis")
NAMES = ("appendonly", "maxmemory", "maxmemory-policy", "save", "appendfsync", "timeout")
TEXT = (Path(__file__).parent / "compose.yaml").read_text()
COMMAND = "command: redis-server --requirepass ${REDIS_PASSWORD}\n"

Make = Callable[..., Stack]


@pytest.fixture
def make(engine: None, tmp_path: Path) -> Iterator[Make]:
    made: list[Stack] = []

    def one(command: str = COMMAND, version: str = "7", more: str = "", conf: str | None = None) -> Stack:
        text = TEXT.replace(COMMAND, command).replace("      - redis_data:/data\n", f"      - redis_data:/data\n{more}")
        stack = make_stack(tmp_path, version, text)
        if conf is not None:
            (stack.directory / "redis.conf").write_text(conf)
        made.append(stack)
        stack.up()
        return stack

    yield one
    assert not [p for s in made for p in tear_down(s)], "a stack was not removed whole"


def nftui_of(stack: Stack, tmp_path: Path) -> Nftui:
    return Nftui(stack.directory, tmp_path / "state")


CONF = "port 6379\nrequirepass not-a-secret-of-anyone\ntimeout 300\nsave 900 1\nprotected-mode no\n"
FORMS = {
    "memory only": {"command": 'command: redis-server --requirepass ${REDIS_PASSWORD} --save "" --timeout 300\n'},
    "shell": {"command": 'command: ["sh", "-c", "exec redis-server --requirepass $$REDISCLI_AUTH --timeout 300"]\n'},
    "list, twice": {"command": "command: [--requirepass, '${REDIS_PASSWORD}', --timeout, '300', --save, '60', '1', "
                               "--save, '900', '1']\n"},
    "configuration": {"command": "command: /etc/redis.conf\n", "conf": CONF,
                      "more": "      - ./redis.conf:/etc/redis.conf:ro\n"},
    "version 6": {"version": "6", "command": "command: redis-server --requirepass ${REDIS_PASSWORD} --timeout 300\n"},
}  # fmt: skip


@pytest.mark.all
@pytest.mark.parametrize("form", list(FORMS))
def test_the_operators_own_words_stay_and_no_key_is_lost(make: Make, tmp_path: Path, form: str) -> None:
    stack = make(**FORMS[form])
    fill(stack)
    files, keys, settings = tree(stack.directory), picture(stack), config(stack, *NAMES)
    nftui = nftui_of(stack, tmp_path)
    done = nftui("apply", *ONLY, "--yes", "--json", "--settle", "1")
    assert done.code == 0, done.err + done.out
    assert picture(stack) == keys
    assert config(stack, *NAMES) == {**settings, "appendonly": "yes", "maxmemory": str(153 * 1024**2)}
    assert settings["timeout"] == "300", "the form was not what it should be"
    assert nftui("plan", *ONLY, "--json").json["changes"] is False
    with stack.redis() as client:
        client.set("written:since", "1")
    back = nftui("rollback", "--yes", "--json")
    assert back.code == 0, back.err + back.out
    assert tree(stack.directory) == files and config(stack, *NAMES) == settings
    assert picture(stack).keys() == {*keys, "written:since"}
    again = nftui("apply", *ONLY, "--yes", "--json", "--settle", "1")
    assert again.code == 0, again.err + again.out
    assert picture(stack).keys() == {*keys, "written:since"}


@pytest.mark.all
def test_switched_off_again_nothing_is_lost_either(make: Make, tmp_path: Path) -> None:
    stack = make(**FORMS["memory only"])
    fill(stack)
    keys, nftui = picture(stack), nftui_of(stack, tmp_path)
    assert nftui("apply", *ONLY, "--yes", "--settle", "0").code == 0
    off = nftui("apply", "--off", "redis", "--yes", "--json", "--settle", "0")
    assert off.code == 0, off.err + off.out
    assert config(stack, "appendonly") == {"appendonly": "no"} and picture(stack) == keys


def test_what_was_set_in_the_running_server_runs_again_after_the_way_back(make: Make, tmp_path: Path) -> None:
    stack = make()
    fill(stack, 20)
    with stack.redis() as client:
        client.config_set("maxmemory-policy", "volatile-lru")
        client.config_set("maxmemory", "200mb")
        for name in ("bull:mail:wait", "bull:mail:meta"):
            client.delete(name)
    nftui, names = nftui_of(stack, tmp_path), ("maxmemory", "maxmemory-policy", "appendonly")
    settings = config(stack, *names)
    done = nftui("apply", *ONLY, "--yes", "--json", "--settle", "0")
    assert done.code == 0, done.err + done.out
    # The operator's own values are kept, and now stand where a restart finds them.
    assert config(stack, *names) == {**settings, "appendonly": "yes"}
    assert nftui("plan", *ONLY, "--json").json["changes"] is False
    assert nftui("rollback", "--yes").code == 0
    assert config(stack, *names) == settings


def test_what_would_lose_or_hide_data_is_told_and_nothing_is_touched(make: Make, tmp_path: Path) -> None:
    """Files that ask for a log which the running server never wrote; then a password that nobody tells."""
    stack = make()
    fill(stack, 5)
    path, container = stack.directory / "compose.yaml", stack.container("redis")
    text, nftui = path.read_text(), nftui_of(stack, tmp_path)
    path.write_text(text.replace(COMMAND, COMMAND.rstrip() + " --appendonly yes\n"))
    found = next(o for o in nftui("plan", *ONLY, "--json").json["optimizations"] if o["id"] == "redis")
    assert not found["applicable"] and "would start empty" in found["reason"]
    assert nftui("apply", *ONLY, "--yes").code == 0 and stack.container("redis") == container
    path.write_text(text)
    with stack.redis() as client:
        client.config_set("requirepass", "another-fake-one")
    files = tree(stack.directory)
    done = nftui("apply", *ONLY, "--yes", "--json")
    assert done.code == 2 and "password" in done.err + done.out
    assert tree(stack.directory) == files and stack.container("redis") == container


@pytest.mark.all
def test_a_disk_that_is_too_small_for_the_log_is_told_and_nothing_changes(make: Make, tmp_path: Path) -> None:
    """The data lies in a tmpfs-backed volume of 24 MB, and 20 MB are in memory."""
    stack = make(command=COMMAND.rstrip() + ' --save ""\n')
    stack.down()
    small = "volumes:\n  redis_data:\n    driver_opts: {type: tmpfs, device: tmpfs, o: 'size=12m'}\n"
    path = stack.directory / "compose.yaml"
    path.write_text(path.read_text().replace("volumes:\n  redis_data:\n", small))
    stack.up()
    with stack.redis() as client:
        for number in range(20):
            client.set(f"big:{number}", "x" * 1024**2)
    files, container = tree(stack.directory), stack.container("redis")
    done = nftui_of(stack, tmp_path)("apply", *ONLY, "--yes", "--json", "--settle", "0")
    assert done.code == 1 and "are free where it lies" in done.err + done.out
    assert tree(stack.directory) == files and stack.container("redis") == container
    assert config(stack, "appendonly") == {"appendonly": "no"}
