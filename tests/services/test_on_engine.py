"""A service of nftui's own on the real engine: brought, kept, changed, lost, taken out, brought back, undone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.command import Copy, Done, copy_package, everything_written, tree
from tests.services.dropped.relay import USER, WORD
from tests.stack.running import Stack, docker

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(600)]

DROPPED = Path(__file__).parent / "dropped" / "relay.py"


@pytest.fixture
def nftui(running_stack: Stack, tmp_path: Path) -> Copy:
    """The command with the optimization that brings a service."""
    return Copy(running_stack.directory, tmp_path / "state", copy_package(tmp_path / "copy", DROPPED))


def apply(nftui: Copy, *options: str, code: int = 0) -> Done:
    done = nftui("apply", "--yes", "--json", "--settle", "1", *options)
    assert done.code == code, done.out + done.err
    return done


def directories(stack: Stack) -> set[Path]:
    return set((stack.directory / "nftui" / "relay").glob("*"))


def routed_to(stack: Stack) -> str:
    environment = dict(e.partition("=")[::2] for e in stack.inspect("jobs")["Config"]["Env"])
    return str(environment["REDIS_HOST"])


def mounted(stack: Stack) -> Path:
    return Path(next(m["Source"] for m in stack.inspect("relay")["Mounts"] if m["Destination"] == "/etc/relay"))


def maxmemory(stack: Stack) -> str:
    return stack.exec("relay", "redis-cli", "config", "get", "maxmemory").split()[-1]


def test_a_service_of_its_own_comes_and_goes(nftui: Copy, running_stack: Stack, tmp_path: Path) -> None:
    stack, before = running_stack, tree(running_stack.directory)
    former = stack.services()
    _is_shown(nftui)
    first = _comes(nftui, stack)
    _stays_with_a_plain_up(stack)
    _is_missed_and_brought_back(nftui, stack)
    second = _is_changed(nftui, stack, first)
    _harm_is_taken_back(nftui, stack, {first, second})
    _goes(nftui, stack, {first, second})
    shutil.rmtree(stack.directory / "nftui")
    _is_rolled_back(nftui, stack)
    assert "relay" in stack.services() and mounted(stack) == second and routed_to(stack) == "relay"
    assert maxmemory(stack) == str(32 << 20)
    shutil.rmtree(stack.directory / "nftui")
    for _generation in range(3):
        _is_rolled_back(nftui, stack)
    assert tree(stack.directory) == before and not (stack.directory / "nftui").exists()
    assert routed_to(stack) == "redis" and set(stack.services()) == set(former)
    assert {n: i for n, i in stack.services().items() if n != "jobs"} == {
        n: i for n, i in former.items() if n != "jobs"
    }
    assert WORD.encode() not in everything_written(tmp_path / "state")


def _is_shown(nftui: Copy) -> None:
    shown = nftui("plan", "--only", "relay", "--json")
    files = {Path(f["path"]).name: f for f in shown.json["files"]}
    assert set(files) == {"redis.conf", "users.txt", ".gitignore", "compose.nftui.yaml", ".env"}
    assert "+maxmemory 16mb" in files["redis.conf"]["diff"] and "••••••" in files["users.txt"]["diff"]
    assert WORD not in shown.out + shown.err
    kinds = [s["kind"] for stage in shown.json["stages"] for s in stage["steps"]]
    assert kinds == ["mounted", "file", "env", "project-check", "start", "recreate"]


def _comes(nftui: Copy, stack: Stack) -> Path:
    apply(nftui, "--only", "relay")
    assert stack.inspect("relay")["State"]["Health"]["Status"] == "healthy"
    assert routed_to(stack) == "relay" and maxmemory(stack) == str(16 << 20)
    secret = (mounted(stack) / "private" / "users.txt").stat()
    assert (secret.st_mode & 0o777, secret.st_uid, secret.st_gid) == (0o640, *USER)
    assert stack.exec("relay", "cat", "/etc/relay/private/users.txt") == WORD
    assert (stack.directory / "nftui" / ".gitignore").read_text() == "*\n"
    assert nftui("status").code == 0 and nftui("plan", "--only", "relay", "--exit-code").code == 0
    return mounted(stack)


def _stays_with_a_plain_up(stack: Stack) -> None:
    before = stack.services()
    stack.up()
    assert stack.services() == before


def _is_missed_and_brought_back(nftui: Copy, stack: Stack) -> None:
    docker("rm", "-fv", stack.container("relay"))
    missed = nftui("status", "--json")
    assert missed.code == 3 and [d["actual"] for d in missed.json["drift"]] == ["absent"], missed.out
    jobs = stack.container("jobs")
    apply(nftui, "--only", "relay")
    assert stack.inspect("relay")["State"]["Running"] and stack.container("jobs") == jobs
    assert nftui("status").code == 0


def _is_changed(nftui: Copy, stack: Stack, first: Path) -> Path:
    relay, jobs = stack.container("relay"), stack.container("jobs")
    apply(nftui, "--only", "relay", "--set", "relay.size=32mb")
    assert stack.container("relay") != relay and stack.container("jobs") == jobs
    assert maxmemory(stack) == str(32 << 20) and directories(stack) == {first, mounted(stack)} != {first}
    return mounted(stack)


def _harm_is_taken_back(nftui: Copy, stack: Stack, kept: set[Path]) -> None:
    files = tree(stack.directory)
    done = apply(nftui, "--only", "relay", "--set", "relay.size=nonsense", code=1)
    assert done.json["outcome"] == "rolled-back"
    assert maxmemory(stack) == str(32 << 20) and tree(stack.directory) == files and directories(stack) == kept


def _goes(nftui: Copy, stack: Stack, kept: set[Path]) -> None:
    apply(nftui, "--only", "relay", "--off", "relay")
    assert "relay" not in stack.services() and routed_to(stack) == "redis" and directories(stack) == kept
    assert not (stack.directory / "compose.nftui.yaml").exists()


def _is_rolled_back(nftui: Copy, stack: Stack) -> None:
    done = nftui("rollback", "--yes", "--json")
    assert done.code == 0 and done.json["outcome"] == "rolled-back", done.out + done.err
