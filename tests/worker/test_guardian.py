"""The guardian: who lives when, what is left behind, and how systemd is asked."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from nftui import guardian
from nftui.engine.follow import is_live, load
from nftui.engine.journal import Journal, Phase
from nftui.model.errors import ExitCode, NftuiError
from nftui.system.identity import ProcessId
from tests.stack.running import wait_until

FAKE_SECRET = "not-a-real-password"


def journaled(directory: Path, *phases: Phase) -> None:
    """One life of a worker: it adds these lines."""
    journal = Journal(directory / "journal.jsonl")
    for phase in phases:
        journal.write(phase)
    journal.close()


class Lives:
    """Workers that write what they were given, and end as they were told."""

    def __init__(self, directory: Path, *lives: tuple[int, tuple[Phase, ...]]) -> None:
        self.directory, self.lives = directory, list(lives)
        self.orders: list[Mapping[str, object]] = []

    def __call__(self) -> int:
        self.orders.append(load(self.directory / "recover.json"))
        code, phases = self.lives.pop(0)
        journaled(self.directory, *phases)
        return code


def guard(directory: Path, *lives: tuple[int, tuple[Phase, ...]]) -> list[Mapping[str, object]]:
    """The orders that each life found."""
    made = Lives(directory, *lives)
    guardian.guard(directory, made, lambda seconds: None)
    return made.orders


def test_a_run_that_ended_is_left_alone(tmp_path: Path) -> None:
    assert guard(tmp_path, (1, (Phase.BEGIN, Phase.END))) == [{}]
    assert not (tmp_path / "refused.json").exists()


def test_a_killed_worker_is_followed_by_one_that_recovers(tmp_path: Path) -> None:
    orders = guard(tmp_path, (-9, (Phase.BEGIN, Phase.INTENT)), (0, (Phase.END,)))
    assert len(orders) == 2 and orders[1]["asked"] is False and "resume" not in orders[1]
    assert "killed by signal 9" in str(orders[1]["why"])


def test_it_gives_up_after_three(tmp_path: Path) -> None:
    orders = guard(tmp_path, (-9, (Phase.BEGIN,)), (-9, ()), (1, ()), (-9, ()), (0, (Phase.END,)))
    assert len(orders) == 1 + guardian.RESTARTS


def test_what_was_asked_of_a_recovery_stays_asked(tmp_path: Path) -> None:
    (tmp_path / "recover.json").write_text(json.dumps({"resume": False, "force": True, "asked": True}))
    orders = guard(tmp_path, (-9, (Phase.BEGIN,)), (0, (Phase.END,)))
    assert (orders[1]["resume"], orders[1]["force"], orders[1]["asked"]) == (False, True, True)


def test_a_worker_that_dies_before_its_first_line_leaves_a_refusal(tmp_path: Path) -> None:
    assert len(guard(tmp_path, (-9, ()))) == 1
    assert "nothing was touched" in str(load(tmp_path / "refused.json")["message"])


def test_a_record_that_is_removed_once_its_run_ended_well_is_not_written_to(tmp_path: Path) -> None:
    def live() -> int:
        journaled(tmp_path, Phase.BEGIN, Phase.END)
        (tmp_path / "journal.jsonl").unlink()  # as `rm -r` of the state directory does right after the command
        return 0

    guardian.guard(tmp_path, live, lambda seconds: None)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_never_began_keeps_no_variables_and_one_that_did_needs_them(tmp_path: Path) -> None:
    kept = tmp_path / guardian.ENVIRONMENT
    kept.write_text(json.dumps({"PASSWORD": FAKE_SECRET}))
    journaled(tmp_path, Phase.BEGIN)
    guardian.refuse(tmp_path, "held")
    assert kept.exists()
    (tmp_path / "journal.jsonl").unlink()
    guardian.refuse(tmp_path, "held", ExitCode.LOCKED)
    assert not kept.exists() and load(tmp_path / "refused.json") == {"message": "held", "code": 4}


def test_a_refusal_and_a_damaged_journal_are_not_tried_again(tmp_path: Path) -> None:
    (tmp_path / "refused.json").write_text(json.dumps({"message": "held", "code": 4}))
    assert len(guard(tmp_path, (4, (Phase.BEGIN,)))) == 1
    (tmp_path / "refused.json").unlink()
    (tmp_path / "journal.jsonl").write_text("no journal\n{}\n")
    assert len(guard_damaged(tmp_path)) == 1


def guard_damaged(directory: Path) -> list[int]:
    """Lives that write nothing."""
    lives: list[int] = []

    def live() -> int:
        lives.append(1)
        return -9

    guardian.guard(directory, live, lambda seconds: None)
    return lives


# -- starting ---------------------------------------------------------------------------------------------------
@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A run's directory without an order: its worker refuses, so that a whole life takes a moment."""
    path = tmp_path / "state" / "runs" / "R1"
    path.mkdir(parents=True)
    yield path
    wait_until(lambda: not other_lives(path), what="the end of the guardian")


def other_lives(directory: Path) -> bool:
    """Whether a process that is not this one works on it."""
    notes = [ProcessId.from_json(load(directory / n)) for n in ("guardian.json", "worker.json")]
    return any(note is not None and note.alive and note.pid != os.getpid() for note in notes)


def test_between_the_claim_and_the_end_there_is_always_someone(directory: Path) -> None:
    guardian.claim(directory)
    assert is_live(directory)
    guardian.spawn(directory, dict(os.environ))
    assert load(directory / "guardian.json")["pid"] != os.getpid()
    wait_until(lambda: (directory / "refused.json").exists(), what="the refusal")


def test_the_guardian_is_nobodys_child_and_has_the_askers_variables(directory: Path) -> None:
    """The environment is in one private file of the run, exact, without nftui's own and with CI's marks taken off."""
    environ = {**os.environ, "DB_PASSWORD": FAKE_SECRET, "NFTUI_X": "1", "BUILD_ID": "42", "LINES": "a\nb"}
    guardian.spawn(directory, environ)
    saved = directory / "environment.json"
    assert saved.stat().st_mode & 0o777 == 0o600
    found = load(saved)
    assert (found["DB_PASSWORD"], found["LINES"]) == (FAKE_SECRET, "a\nb") and "NFTUI_X" not in found


ORDER = """
import json, os, sys
from pathlib import Path
from nftui import guardian
guardian._work = lambda directory: (directory / "seen.json").write_text(json.dumps(
    {"env": dict(os.environ), "sid": os.getsid(0), "pid": os.getpid(), "ppid": os.getppid(),
     "hup": str(int(__import__("signal").getsignal(1))), "umask": os.umask(0)})) and 0
sys.exit(guardian.main(sys.argv[1:]))
"""


def seen_by_a_worker(directory: Path, monkeypatch: pytest.MonkeyPatch, environ: Mapping[str, str]) -> dict[str, object]:
    """What a worker finds that was started for `environ`."""
    program = directory / "program.py"
    program.write_text(ORDER)
    monkeypatch.setattr(guardian, "_double_fork", lambda d: [sys.executable, "-P", str(program), str(d)])
    guardian.spawn(directory, environ)
    wait_until(lambda: (directory / "seen.json").exists() and (directory / "seen.json").read_text(), what="the worker")
    return dict(json.loads((directory / "seen.json").read_text()))


def test_a_worker_is_deaf_to_hang_ups_and_carries_no_mark_of_ci(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = seen_by_a_worker(directory, monkeypatch, {**os.environ, "BUILD_ID": "42", "RUNNER_TRACKING_ID": "x"})
    assert seen["sid"] != os.getsid(0) and seen["pid"] != seen["sid"], "it could get a controlling terminal"
    assert seen["hup"] == str(int(signal.SIG_IGN)) and seen["umask"] == 0o077
    env = seen["env"]
    assert isinstance(env, dict)
    assert (env["BUILD_ID"], env["RUNNER_TRACKING_ID"]) == ("dontKillMe", "0")


# -- systemd ----------------------------------------------------------------------------------------------------
@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """systemd is the init, and systemd-run does this; its arguments and variables are in the file returned."""
    (tmp_path / "systemd").mkdir()
    (tmp_path / "linger").mkdir()
    monkeypatch.setattr(guardian, "_SYSTEMD", tmp_path / "systemd")
    monkeypatch.setattr(guardian, "_LINGER", tmp_path / "linger")
    monkeypatch.delenv("NFTUI_GUARDIAN", raising=False)

    def make(script: str) -> Path:
        program, log = tmp_path / "bin" / "systemd-run", tmp_path / "asked"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {shlex.quote(str(log))}\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        return log

    return make


STARTS_A_UNIT = """
set --  "$@"; vars=
while [ "$1" != -- ]; do
  case $1 in --setenv=*) vars="$vars ${1#--setenv=}";; esac
  shift
done
shift
env -i $vars "$@" </dev/null >/dev/null 2>&1 &
"""


def test_root_gets_a_system_unit_and_no_variable_stands_on_its_command_line(
    directory: Path, systemd: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = systemd(STARTS_A_UNIT)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    guardian.spawn(directory, {**os.environ, "DB_PASSWORD": FAKE_SECRET})
    wait_until(lambda: (directory / "refused.json").exists(), what="the worker of the unit")
    asked = log.read_text().splitlines()
    assert f"--unit=nftui-{directory.name}" in asked and "--property=KillMode=mixed" in asked
    assert "--property=OOMPolicy=continue" in asked and "--user" not in asked
    assert FAKE_SECRET not in log.read_text()
    assert [a.split("=")[1] for a in asked if a.startswith("--setenv=")] == ["PYTHONSAFEPATH", "PYTHONPATH"]
    assert asked[asked.index("--") + 1 :][-2:] == ["--foreground", str(directory)]


def test_a_user_gets_a_unit_only_where_it_outlives_the_last_logout(
    tmp_path: Path, systemd: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    systemd("")
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    environ = dict(os.environ)
    assert guardian.systemd_unit(tmp_path, environ, root=False) is None
    (tmp_path / "linger" / "ann").touch()
    unit = guardian.systemd_unit(tmp_path, environ, root=False)
    assert unit is not None and unit[:2] == ["systemd-run", "--user"]


def test_without_systemd_there_is_no_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guardian, "_SYSTEMD", tmp_path / "none")
    assert guardian.systemd_unit(tmp_path, dict(os.environ), root=True) is None


def test_a_systemd_that_refuses_is_no_reason_not_to_run(directory: Path, systemd: Callable[[str], Path]) -> None:
    log = systemd("exit 1")
    guardian.spawn(directory, dict(os.environ))
    wait_until(lambda: (directory / "refused.json").exists(), what="the worker")
    assert log.exists()


def test_a_process_that_does_not_start_is_said_and_never_starts_later(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guardian, "_double_fork", lambda d: ["false"])
    with pytest.raises(NftuiError, match="nothing was touched"):
        guardian.spawn(directory, dict(os.environ))
    monkeypatch.setattr(guardian, "_detach", lambda: None)
    monkeypatch.setattr(guardian, "_calm", lambda d: None)
    assert guardian.main([str(directory)]) != 0
    assert not (directory / "worker.json").exists()
