"""The connection is lost in the middle of an apply: the run goes on, and the next login finds and follows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import Nftui
from tests.e2e.runs import journal, process
from tests.stack.running import Stack, wait_until
from tests.worker import sshd

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sshd.why_not() is not None, reason=str(sshd.why_not())),
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[sshd.Server]:
    directory = tmp_path / "ssh"
    directory.mkdir(mode=0o700)
    with sshd.server(directory) as found:
        yield found


def test_a_lost_connection_ends_the_follower_and_not_the_run(
    running_stack: Stack, tmp_path: Path, server: sshd.Server
) -> None:
    nftui = Nftui(running_stack.directory, tmp_path / "state")
    environ = nftui.environment()
    apply = nftui.command("apply", "--only", "postgres", "--yes", "--settle", "30")
    with server.login(apply, nftui.directory, environ) as first:
        wait_until(lambda: "issued" in journal(nftui), seconds=150, what="the middle of the run")
        worker = process(nftui, "worker")
        assert worker is not None
        first.cut()
    with server.login(nftui.command(), nftui.directory, environ) as second:
        second.sees(b"A run is going on")
    attached = nftui("attach", "--json")
    assert attached.code == 0 and attached.json["outcome"] == "applied", attached.out + attached.err
    wait_until(lambda: not worker.alive, seconds=20, what="the worker's end")
    assert journal(nftui).count("begin") == 1 and "note" not in journal(nftui)
    record = json.loads(next(nftui.state.glob("*/audit.jsonl")).read_text().splitlines()[-1])
    assert "ssh_connection" in record and record["outcome"] == "applied"
    assert running_stack.show("work_mem") != "4MB"
