"""Processes by pid, start time and boot; children that begin only once they are known, and are found again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nftui.system.identity import Child, ProcessId
from nftui.system.processes import CommandTimeout, LocalCommands
from tests.stack.running import wait_until


def test_a_process_counts_only_with_its_start_time_and_its_boot() -> None:
    here = ProcessId.here()
    assert here.alive and ProcessId.from_json(here.as_json()) == here
    assert not replace(here, start="1").alive
    assert not replace(here, boot="another").alive


def test_a_process_that_ended_is_dead_also_as_a_zombie() -> None:
    child = subprocess.Popen(["sleep", "60"])
    known = ProcessId.of(child.pid)
    assert known.alive
    child.kill()
    wait_until(lambda: not known.alive, what="the death")
    child.wait()
    assert not known.alive


@pytest.mark.parametrize("data", [{}, {"pid": "x", "start": "1"}, {"pid": 1}])
def test_what_names_no_process_is_none(data: dict[str, object]) -> None:
    assert ProcessId.from_json(data) is None and Child.from_json(data) is None


def test_a_child_is_told_before_it_begins_and_looking_ones_are_not(tmp_path: Path) -> None:
    mark, told = tmp_path / "mark", []
    commands = LocalCommands()

    def on_child(child: Child) -> None:
        told.append((child.process.alive, child.living(), mark.exists(), child.program))

    commands.on_child = on_child
    done = commands.run(["sh", "-c", f"cat > {mark}; echo out; echo bad >&2; exit 3"], input="x", timeout=20,
                        changes=True)  # fmt: skip
    assert (done.returncode, mark.read_text(), done.argv[0]) == (3, "x", "sh")
    assert (done.stdout, done.stderr) == ("out\n", "bad\n")
    ((alive, living, begun, program),) = told
    assert alive and len(living) == 1 and not begun and program == "sh"
    commands.run(["true"], timeout=20)
    assert len(told) == 1


def test_what_cannot_be_written_down_never_begins(tmp_path: Path) -> None:
    commands = LocalCommands()

    def full(child: Child) -> None:
        raise OSError(28, "No space left on device")

    commands.on_child = full
    with pytest.raises(OSError, match="No space"):
        commands.run(["touch", str(tmp_path / "begun")], timeout=20, changes=True)
    assert not (tmp_path / "begun").exists()


KILLED = """
import os, signal
from nftui.system.processes import LocalCommands
commands = LocalCommands()
commands.on_child = lambda child: os.kill(os.getpid(), signal.SIGKILL)
commands.run(["touch", "begun"], timeout=20, changes=True)
"""


def test_a_parent_killed_before_the_child_is_known_leaves_none(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TRACE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, env=environ, check=False)
    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: not _running_in(tmp_path), what="the end of what waited")
    assert not (tmp_path / "begun").exists()


def _running_in(directory: Path) -> list[str]:
    """Processes whose working directory it is."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if path.readlink() == directory:
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def test_all_that_a_child_started_is_found_and_ended() -> None:
    """Also what made a session of its own and lost its parent, and what is deaf to SIGTERM."""
    commands = LocalCommands()
    known: list[Child] = []
    commands.on_child = known.append
    script = "setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' >/dev/null 2>&1 & sleep 1"
    commands.run(["sh", "-c", script], timeout=20, changes=True)
    (child,) = known
    assert not child.process.alive and child.living()
    assert not child.await_end(0.2)
    assert child.end(1.0) and child.living() == []


def test_a_deadline_ends_what_waited_behind_the_gate_too() -> None:
    commands = LocalCommands()
    known: list[Child] = []
    commands.on_child = known.append
    with pytest.raises(CommandTimeout):
        commands.run(["sleep", "60"], timeout=0.3, changes=True)
    assert known[0].living() == []


TALKS = """
from nftui.system.processes import LocalCommands
commands = LocalCommands()
commands.on_child = lambda child: print(child.process.pid, flush=True)
commands.run(["sh", "-c", "while [ ! -e go ]; do sleep 0.1; done; echo a word; echo b >&2; : > done"], timeout=60,
             changes=True)
"""


def test_a_child_ends_its_work_though_nobody_listens_any_more(tmp_path: Path) -> None:
    """At a broken pipe Compose would die between stop and start."""
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    parent = subprocess.Popen([sys.executable, "-c", TALKS], cwd=tmp_path, env=environ, stdout=subprocess.PIPE)
    with parent:
        assert parent.stdout is not None
        child = ProcessId.of(int(parent.stdout.readline()))
        wait_until(lambda: Path(f"/proc/{child.pid}/cmdline").read_bytes().count(b"go") == 1, what="the beginning")
        parent.kill()
    (tmp_path / "go").touch()
    wait_until(lambda: not child.alive, what="its end")
    assert (tmp_path / "done").exists()
