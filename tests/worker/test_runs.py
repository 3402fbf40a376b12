"""What a run's notes, journal and lock say about it, in every moment between its first directory and its end."""

from __future__ import annotations

import errno
import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nftui import guardian, runs
from nftui.engine.codec import RUN_SCHEMA
from nftui.engine.journal import Journal, Phase
from nftui.engine.place import Identity
from nftui.engine.requests import FileRequests
from nftui.engine.state import ProjectLock, ProjectState
from nftui.model.errors import CutOffError, LockedError
from nftui.runs import Runs
from nftui.system.identity import ProcessId

NOBODY = ProcessId(2**22 - 1, "1", ProcessId.here().boot)


@pytest.fixture
def project(tmp_path: Path) -> Runs:
    """Runs of a project that nothing was done in."""
    state = ProjectState(tmp_path / "state", Identity("app", str(tmp_path), ""))
    state.prepare()
    gatherer = SimpleNamespace(must_be_ours=lambda state: None)
    session = SimpleNamespace(
        gatherer=gatherer, state=state, directory=str(tmp_path), boot_time=lambda: 100.0, user="ann", environ={}
    )
    return Runs(session)  # type: ignore[arg-type]


def note(run: Path, who: ProcessId, name: str = "guardian") -> None:
    (run / f"{name}.json").write_text(json.dumps(who.as_json()))


def begun(run: Path, *more: tuple[Phase, dict[str, Any]]) -> None:
    (run / "plan.json").write_text(json.dumps({"schema": RUN_SCHEMA, "kind": "apply", "stages": []}))
    journal = Journal(run / "journal.jsonl")
    journal.write(Phase.BEGIN, kind="apply")
    for phase, data in more:
        journal.write(phase, **data)
    journal.close()


def test_a_run_that_starts_is_one_that_goes_on(project: Runs) -> None:
    run = project.state.new_run()
    guardian.claim(run)
    assert project.status().state == "running" and project.status().run == run.name
    with pytest.raises(LockedError) as caught:
        project.must_be_free()
    assert caught.value.code == 4


def test_one_whose_starter_died_before_it_began_never_was(project: Runs) -> None:
    run = project.state.new_run()
    note(run, NOBODY)
    assert project.current() is None
    project.must_be_free()
    found = project.run_status(run.name)
    assert (found.state, found.outcome, found.code) == ("ended", "failed", 1) and "nothing was touched" in found.reason


def test_a_refused_one_holds_nothing(project: Runs) -> None:
    run = project.state.new_run()
    guardian.claim(run)
    (run / "refused.json").write_text(json.dumps({"message": "no", "code": 1}))
    assert project.current() is None


@pytest.mark.parametrize(
    "dead",
    [NOBODY, replace(ProcessId.here(), start="1"), replace(ProcessId.here(), boot="another")],
    ids=["gone", "pid used again", "rebooted"],
)
def test_a_run_without_a_living_owner_was_cut_off(project: Runs, dead: ProcessId) -> None:
    run = project.state.new_run()
    note(run, dead)
    note(run, dead, "worker")
    begun(run, (Phase.AWAITING, {"deadline": 200.0, "boot": "b", "seconds": 60}))
    assert project.run_status(run.name).state == "interrupted"
    with pytest.raises(CutOffError) as caught:
        project.must_be_free()
    assert caught.value.code == 5


@pytest.mark.parametrize("name", ["guardian", "worker"])
def test_either_of_the_two_keeps_it_going(project: Runs, name: str) -> None:
    run = project.state.new_run()
    for other in ("guardian", "worker"):
        note(run, ProcessId.here() if other == name else NOBODY, other)
    begun(run)
    assert project.run_status(run.name).state == "running"


def test_a_disk_that_is_gone_leaves_nobody_to_say_that_nothing_is_changed(
    project: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = project.state.new_run()
    guardian.claim(run)
    begun(run)
    seen = project.follow(run.name, interval_s=0)
    assert next(seen).state == "running"
    read = Path.read_bytes

    def gone(path: Path) -> bytes:
        if path.name == "plan.json":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", gone)
    with pytest.raises(CutOffError, match="cannot be followed any more: Input/output error") as caught:
        next(seen)
    assert caught.value.code == 5


def test_a_former_failed_end_is_not_the_end_of_another_try(project: Runs) -> None:
    run = project.state.new_run()
    begun(run, (Phase.END, {"outcome": "failed", "code": 5, "standing": ["db"]}))
    assert project.run_status(run.name).state == "ended"
    guardian.claim(run)
    status = project.run_status(run.name)
    assert (status.state, status.outcome, status.code) == ("running", None, None)


def test_waiting_for_confirm_says_what_a_reboot_means(project: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    run = project.state.new_run()
    guardian.claim(run)
    begun(run, (Phase.AWAITING, {"deadline": 160.0, "boot": "b", "seconds": 60}))
    monkeypatch.setattr(runs, "unit_installed", lambda directory: False)
    status = project.status()
    assert (status.state, status.confirm_left_s) == ("awaiting-confirm", 60.0) and "reboot" in status.hint
    monkeypatch.setattr(runs, "unit_installed", lambda directory: True)
    assert project.status().hint == ""


def test_of_two_at_once_one_gets_the_lock_and_the_other_is_told_whose_it_is(project: Runs, tmp_path: Path) -> None:
    lock, info = ProjectLock(str(tmp_path)), tmp_path / "lock.json"
    owner = {**ProcessId.here().as_json(), "user": "ann", "since": "noon"}
    with (
        lock.held(info, owner),
        pytest.raises(LockedError, match=f"process {ProcessId.here().pid}, user ann, since noon"),
        ProjectLock(str(tmp_path)).held(info, {}),
    ):
        pytest.fail("both have it")
    with lock.held(info, owner):
        assert json.loads(info.read_text())["boot"]


def test_a_former_owner_is_not_named(tmp_path: Path) -> None:
    """The lock is taken first and the note written after: between them the note is that of one who is gone."""
    info = tmp_path / "lock.json"
    with ProjectLock(str(tmp_path)).held(info, {}):
        info.write_text(json.dumps({**NOBODY.as_json(), "user": "bob", "since": "noon"}))
        with pytest.raises(LockedError) as caught, ProjectLock(str(tmp_path)).held(info, {}):
            pytest.fail("both have it")
    assert "bob" not in str(caught.value)


def test_each_asker_gets_the_answer_to_its_own_request(project: Runs) -> None:
    run = project.state.new_run()
    begun(run)
    journal = Journal(run / "journal.jsonl")
    requests, answered = FileRequests(run / "requests", journal), threading.Event()

    def answer() -> None:
        # An answer to somebody else's comes first.
        requests.answer("confirm", False, "not yours")
        while not answered.is_set():
            if requests.take() == "confirm":
                requests.answer("confirm", True, "kept")
                answered.set()
            time.sleep(0.01)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        assert project.request(run.name, "confirm") == (True, "kept")
    finally:
        answered.set()
        thread.join()
        journal.close()
