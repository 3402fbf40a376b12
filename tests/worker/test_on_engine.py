"""Workers killed on a real stack: the guardian's recovery, and children that live on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nftui.system.identity import Child
from tests.e2e.command import Nftui, tree
from tests.e2e.runs import journal, kill, lines, newest, process
from tests.stack.running import Stack, docker, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(600)]
COMPOSE = "com.docker.compose"
APPLY = ("apply", "--only", "postgres", "--yes", "--json", "--settle", "1")


@pytest.fixture
def nftui(running_stack: Stack, tmp_path: Path) -> Nftui:
    return Nftui(running_stack.directory, tmp_path / "state")


def start(nftui: Nftui, *arguments: str) -> subprocess.Popen[bytes]:
    """A verb in the background."""
    return subprocess.Popen(
        nftui.command(*arguments), cwd=nftui.directory, env=nftui.environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_worker_killed_in_the_window_keeps_its_deadline_and_can_be_confirmed(nftui: Nftui) -> None:
    """A confirm from a reboot ago is refused; the follower never notices that there is another worker."""
    follower = start(nftui, *APPLY, "--confirm-within", "400")
    wait_until(lambda: journal(nftui)[-1:] == ["awaiting-confirm"], seconds=120, what="the window")
    assert nftui("status").code == 12
    first = process(nftui, "worker")
    kill(nftui, "worker")
    assert nftui("status").code == 12, "for a moment it looked cut off"
    wait_until(lambda: process(nftui, "worker") not in (None, first), seconds=60, what="another worker")
    assert nftui("confirm", "--json").json["accepted"] is True
    assert follower.wait(60) == 0
    found = journal(nftui)
    assert found.count("awaiting-confirm") == 1 and "note" in found and found[-1] == "end"
    assert nftui("status", "--json").json["generation"] == 1
    directory = newest(nftui)
    assert directory and not (directory / "environment.json").exists()
    assert nftui("confirm").code == 2


@dataclass(frozen=True)
class Held:
    """A `docker` whose `compose up` begins its work only once the test lets it."""

    log: Path
    gate: Path

    @property
    def ups(self) -> int:
        """How often it was asked."""
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    found, program = Held(tmp_path / "ups", tmp_path / "go"), tmp_path / "bin" / "docker"
    program.parent.mkdir()
    wait = f"echo up >> {found.log}; while [ ! -e {found.gate} ]; do sleep 0.1; done"
    program.write_text(
        f'#!/bin/sh\ncase " $* " in *" --dry-run "*) ;; *" up "*) {wait};; esac\nexec {shutil.which("docker")} "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("NFTUI_GUARDIAN", "none")
    yield found
    found.gate.touch()


def cut_off_in_compose(nftui: Nftui) -> Child:
    """Kill the worker alone while its `compose up` lives; returns that child, as the journal has it."""
    follower = start(nftui, *APPLY)
    wait_until(lambda: journal(nftui)[-1:] == ["child"], seconds=120, what="compose up")
    child = Child.from_json(lines(nftui)[-1]["data"])
    assert child is not None
    wait_until(lambda: len(child.living()) > 1, what="what Compose's place-holder started")
    kill(nftui, "worker")
    assert follower.wait(60) == 5 and child.living(), "the child did not outlive the worker"
    assert nftui("status").code == 5
    return child


def test_what_compose_still_does_is_over_before_recovery_acts(
    nftui: Nftui, held: Held, running_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(running_stack.directory)
    child = cut_off_in_compose(nftui)
    rolled = nftui("rollback", "--yes", "--json")
    assert rolled.code == 0 and rolled.json["outcome"] == "rolled-back", rolled.out + rolled.err
    found = journal(nftui)
    after = found[len(found) - found[::-1].index("child") :]
    assert child.living() == [] and after[:2] == ["note", "turn"], after
    assert tree(running_stack.directory) == before and running_stack.show("work_mem") == "4MB"
    child = cut_off_in_compose(nftui)
    resumed = start(nftui, "apply", "--resume", "--yes", "--json")
    wait_until(lambda: process(nftui, "worker") is not None, seconds=60, what="the worker that goes on")
    held.gate.touch()
    assert resumed.wait(170) == 0 and child.living() == []
    assert held.ups == 2, "what Compose was doing was asked for again"
    assert running_stack.show("work_mem") != "4MB" and nftui("status").code == 0


def half_made(stack: Stack) -> str:
    """What Compose leaves when it is cut off after it has made the new container; returns its id."""
    old = stack.inspect("postgres")
    labels = {**old["Config"]["Labels"], f"{COMPOSE}.replace": old["Id"], f"{COMPOSE}.config-hash": "0"}
    arguments = [part for key, value in labels.items() for part in ("--label", f"{key}={value}")]
    return docker("create", "--name", f"0123456789ab_{old['Name'].lstrip('/')}", *arguments, old["Image"])


def test_what_compose_made_and_did_not_start_does_not_take_the_service_down(
    nftui: Nftui, held: Held, running_stack: Stack
) -> None:
    """Left alone, the next `up` removes the container that runs, fails at its name, and nothing runs any more."""
    name = running_stack.inspect("postgres")["Name"]
    assert cut_off_in_compose(nftui).end(5)
    made = half_made(running_stack)
    held.gate.touch()
    resumed = nftui("apply", "--resume", "--yes", "--json")
    assert resumed.code == 0 and resumed.json["outcome"] == "applied", resumed.out + resumed.err
    assert made not in docker("ps", "--all", "--quiet", "--no-trunc").split()
    assert running_stack.inspect("postgres")["Name"] == name and running_stack.show("work_mem") != "4MB"
