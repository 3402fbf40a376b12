"""Every order of runs ends in the bytes and the running containers that a model of generations says."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nftui.engine.journal import Journal, Phase
from nftui.engine.wiring import Wiring
from nftui.guardian import NOTE
from nftui.model.choices import Choices
from nftui.model.errors import DriftError
from nftui.model.message import msg
from nftui.session import Session
from nftui.system.docker import EngineError
from tests.generations.machine import FakeGatherer, Machine, new_session
from tests.generations.reference import NOTHING, OPERATIONS, Levels, Reference

ENVS = (None, b"", b"A=1\n", b"A=1", b"A=1\r\nB=2\r\n", b"# c\nCOMPOSE_FILE=compose.yaml\nA=1\n")
"""Operator's `.env` files: absent, empty, plain, without a last newline, from Windows, naming the file already."""


@pytest.fixture(scope="module")
def memory() -> Iterator[Path]:
    """A directory in memory where there is one: every run syncs its journal."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    path = Path(tempfile.mkdtemp(prefix="nftui-test-", dir=place))
    yield path
    shutil.rmtree(path)


class Operator:
    """Does the operations with nftui, and looks at disk and containers only."""

    def __init__(self, root: Path, env: bytes | None) -> None:
        (root / "p").mkdir()
        self.env, self.state = env, root / "state"
        self.machine = Machine(root / "p", env)
        self.reference = Reference()
        self.seen: dict[Levels, dict[str, bytes]] = {NOTHING: self.files()}

    def session(self) -> Session:
        """Of a new process."""
        return new_session(self.machine, self.state)

    def files(self) -> dict[str, bytes]:
        """Everything in the project directory."""
        return {p.name: p.read_bytes() for p in sorted(self.machine.directory.iterdir())}

    def do(self, operation: str) -> None:
        """With nftui, then in the model."""
        if operation.startswith("roll"):
            self._roll_back(operation)
        else:
            self._apply(operation)
        self.reference.do(operation)

    def _apply(self, operation: str) -> None:
        session, name = self.session(), {"A": "alpha", "B": "beta"}[operation[-1]]
        level = str(int(self.reference.now[0] or "1") % 3 + 1) if operation == "change A" else "1"
        off = operation.startswith("off")
        choices, _warnings = session.choices(
            only=[name], off=[name] if off else [], sets=[] if off else [f"{name}.level={level}"]
        )
        plan = session.prove(choices)
        if plan.draft.changes:
            run = session.runs.start_apply(plan, settle_s=0)
            assert session.runs.run_status(run).outcome == "applied", session.runs.run_status(run)

    def _roll_back(self, operation: str) -> None:
        session, target = self.session(), None
        standing = session.state.standing()
        if operation != "roll back one":
            if self.reference.older == len(self.reference.generations) - 1:
                return
            target = standing[self.reference.older][1]
        shown = session.history.way_back(target)
        before = self.files()
        run = session.runs.start_rollback(target)
        assert (run is None) == (shown is None) == (len(self.reference.generations) == 1)
        if run is None or shown is None:
            return
        status = session.runs.run_status(run)
        assert status.outcome == "rolled-back" and not [s.id for s in status.steps if "late:" in s.id]
        assert before | {Path(c.path).name: c.content for c in shown.files} == {
            **dict.fromkeys(before), **self.files()
        }, "the preview told something else"  # fmt: skip

    def check(self) -> None:
        """Bytes, containers and generation are what the model says."""
        levels, files = self.reference.now, self.files()
        assert files == self.seen.setdefault(levels, files), f"other bytes for {levels}"
        wanted = expected(levels)
        assert (yaml.safe_load(files.get("compose.nftui.yaml", b"")) or {}).get("services", {}) == wanted
        running = {name: yaml.safe_load(keys) for name, keys in self.machine.running().items()}
        assert running == {"db": {}, "cache": {}} | wanted
        session = self.session()
        assert session.state.in_force().generation == len(self.reference.generations) - 1
        assert not session.prove(session.choices(skip=["alpha", "beta"])[0]).draft.changes


def expected(levels: Levels) -> dict[str, dict[str, str]]:
    """Service to keys."""
    alpha, beta = levels
    db = ({"a": alpha} if alpha else {}) | ({"b": beta} if beta else {})
    return ({"db": db} if db else {}) | ({"cache": {"b": beta}} if beta else {})


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's life without its process."""
    from nftui import guardian, worker

    def spawn(directory: Path, environ: object) -> None:
        assert worker.Worker(directory).run() == 0

    monkeypatch.setattr(guardian, "spawn", spawn)


def play(memory: Path, env: bytes | None, operations: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, looked at after each."""
    root = Path(tempfile.mkdtemp(dir=memory))
    operator = Operator(root, env)
    monkeypatch.setattr("nftui.orders.open_session", lambda project: operator.session())
    for operation in operations:
        operator.do(operation)
        operator.check()
    while len(operator.reference.generations) > 1:
        operator.do("roll back one")
        operator.check()
    shutil.rmtree(root)


def test_an_edit_that_a_repair_overwrote_needs_force_on_the_way_back(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = Operator(Path(tempfile.mkdtemp(dir=memory)), b"A=1\n")
    monkeypatch.setattr("nftui.orders.open_session", lambda project: operator.session())
    operator.do("apply A")
    path = operator.machine.directory / "compose.nftui.yaml"
    edited = path.read_bytes() + b"# mine\n"
    path.write_bytes(edited)
    session = operator.session()
    session.runs.start_apply(session.prove(Choices()), settle_s=0)
    assert operator.files() == operator.seen.setdefault(("1", None), operator.files())
    repaired, first = operator.files(), session.state.standing()[0][1]
    shown = operator.session().history.way_back(first)
    assert shown is not None and shown.foreign == (str(path),)
    with pytest.raises(DriftError, match="--force"):
        operator.session().runs.start_rollback(first)
    assert operator.files() == repaired and len(operator.session().state.runs()) == 2
    run = operator.session().runs.start_rollback(first, force=True)
    assert run is not None and operator.files() == operator.seen[NOTHING]
    (note,) = operator.session().runs.run_status(run).notes
    assert "overwritten" in note and operator.session().state.blobs.whole(note.rpartition("/")[2].rstrip("."))


def operator_with(memory: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    operator = Operator(Path(tempfile.mkdtemp(dir=memory)), b"A=1\n")
    monkeypatch.setattr("nftui.orders.open_session", lambda project: operator.session())
    return operator


def apply_files_only(operator: Operator, name: str) -> None:
    session = operator.session()
    plan = session.prove(session.choices(only=[name])[0])
    session.runs.start_apply(plan, settle_s=0, files_only=True)


def rolled_back(operator: Operator, target: str | None = None, **options: bool) -> tuple[list[str], tuple[str, ...]]:
    """Ids of the steps and notes of a rollback that came to its end, and is back at the beginning."""
    shown = operator.session().history.way_back(target)
    run = operator.session().runs.start_rollback(target, **options)
    assert run is not None and shown is not None
    status = operator.session().runs.run_status(run)
    assert status.outcome == "rolled-back" and operator.files() == operator.seen[NOTHING]
    assert set(operator.machine.running().values()) == {"{}"}, "it still runs the tuning"
    late = {s.service for s in status.steps if "late:" in s.id}
    assert late <= set(shown.services), "the preview told nothing of it"
    return [s.id.partition("/")[2] for s in status.steps], status.notes


def test_what_the_operator_started_by_the_files_is_taken_back_with_them(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = operator_with(memory, monkeypatch)
    apply_files_only(operator, "beta")
    operator.machine.up("db", scale=1, grace_s=1)
    assert operator.machine.running() == {"db": '{"b": "1"}', "cache": "{}"}
    steps, _notes = rolled_back(operator)
    assert [s for s in steps if "recreate" in s] == ["late:recreate:db"], "what does not run the file was touched"


def test_what_a_later_run_made_by_the_files_of_an_earlier_one_is_taken_back_with_both(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The later run's way back makes it again while the earlier one's files are still there."""
    operator = operator_with(memory, monkeypatch)
    apply_files_only(operator, "alpha")
    operator.do("apply B")
    first = operator.session().state.standing()[0][1]
    assert json.loads(operator.machine.running()["db"]) == {"a": "1", "b": "1"}
    steps, _notes = rolled_back(operator, first)
    assert [s for s in steps if "recreate" in s] == ["recreate:cache", "recreate:db", "late:recreate:db"]


@pytest.mark.parametrize("started", [True, False])
def test_what_was_started_by_the_files_of_a_run_that_was_cut_off_goes_back_with_it(
    memory: Path, monkeypatch: pytest.MonkeyPatch, started: bool
) -> None:
    operator, write = operator_with(memory, monkeypatch), Journal.write

    def cut(journal: Journal, phase: Phase, step: str | None = None, **data: Any) -> Any:
        if phase is Phase.INTENT and str(step).startswith("recreate:"):
            raise CutOff
        return write(journal, phase, step, **data)

    session = operator.session()
    plan = session.prove(session.choices(only=["alpha"])[0])
    with monkeypatch.context() as patch, pytest.raises(CutOff):
        patch.setattr(Journal, "write", cut)
        session.runs.start_apply(plan, settle_s=0)
    state = operator.session().state
    for path in (state.root / "lock.json", state.runs()[-1] / NOTE):
        path.unlink()
    if started:
        operator.machine.up("db", scale=1, grace_s=1)
    made = operator.machine.made["db"][0]
    run = operator.session().runs.start_rollback()
    assert run is not None and operator.session().runs.run_status(run).outcome == "rolled-back"
    assert operator.files() == operator.seen[NOTHING] and operator.machine.running()["db"] == "{}"
    assert operator.machine.made["db"][0] == made + started, "made again for nothing"


def test_one_that_is_only_made_again_along_with_another_is_not_asked_about(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in apply: Compose calls whoever shares volumes a difference at every `up`."""
    operator = operator_with(memory, monkeypatch)
    monkeypatch.setattr(FakeGatherer, "standing", property(_shared(FakeGatherer.standing)))
    operator.do("apply A")
    assert operator.machine.made["cache"][0] == 2, "it was not made again along with the database"
    monkeypatch.setattr(Wiring, "pending", lambda wiring: {"cache": ("its definition",)})
    assert "recreate:cache" in rolled_back(operator)[0]


def _shared(standing: Any) -> Any:
    return lambda gatherer: replace(standing.fget(gatherer), shared={"db": ("cache",)})


def test_what_nothing_of_it_was_changed_for_is_left_alone(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken back is the second run only; the database runs the first one's part, which stays."""
    operator = operator_with(memory, monkeypatch)
    operator.do("apply A")
    apply_files_only(operator, "beta")
    operator.machine.up("cache", scale=1, grace_s=1)
    container = operator.machine.made["db"]
    run = operator.session().runs.start_rollback()
    assert run is not None and operator.machine.made["db"] == container
    assert operator.machine.running() == {"db": '{"a": "1"}', "cache": "{}"}


def test_a_rollback_brings_in_nothing_of_the_operator_s_unasked(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = operator_with(memory, monkeypatch)
    operator.do("apply A")
    pending = {"cache": ("its definition",)}
    monkeypatch.setattr(Wiring, "pending", lambda wiring: pending)
    before, runs = operator.files(), len(operator.session().state.runs())
    pending["db"] = ("environment: SECRET",)
    with pytest.raises(DriftError, match=r"db does not run what your files say \(environment: SECRET\)") as caught:
        operator.session().runs.start_rollback()
    assert caught.value.code == 3 and "--force" in str(caught.value) and "cache" not in str(caught.value)
    assert operator.files() == before and len(operator.session().state.runs()) == runs
    assert operator.machine.running()["db"] == '{"a": "1"}'
    _steps, (note,) = rolled_back(operator, force=True)
    assert "environment: SECRET" in note and "--force" in note


def test_what_differs_elsewhere_does_not_stop_a_rollback(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = operator_with(memory, monkeypatch)
    operator.do("apply A")
    monkeypatch.setattr(Wiring, "pending", lambda wiring: {"cache": ("its definition",)})
    assert rolled_back(operator)[1] == ()


def test_a_rollback_without_a_comparison_needs_force(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = operator_with(memory, monkeypatch)
    operator.do("apply A")

    def fails(wiring: Wiring) -> dict[str, tuple[str, ...]]:
        raise EngineError("engine-slow", msg("Docker does not answer."))

    monkeypatch.setattr(Wiring, "pending", fails)
    with pytest.raises(DriftError, match="cannot be compared with your files: Docker does not answer"):
        operator.session().runs.start_rollback()
    rolled_back(operator, force=True)


@pytest.mark.parametrize(("runs_former", "told"), [(True, 0), (False, 1)])
def test_what_runs_by_an_older_part_of_nftui_s_file_differs_by_nftui(
    memory: Path, monkeypatch: pytest.MonkeyPatch, runs_former: bool, told: int
) -> None:
    """Files only, over a tuned service that was not started since: the container is the former generation's."""
    operator = operator_with(memory, monkeypatch)
    operator.do("apply A")
    operator.do("change A")
    gatherer, state = operator.session().gatherer, operator.session().state
    monkeypatch.setattr(Wiring, "pending", lambda wiring: {"db": ("command",)})
    monkeypatch.setattr(Wiring, "stale", lambda wiring, path: set() if runs_former else {"db"})
    generations = [state.generation(number) for number in range(3)]
    assert len(gatherer.brought_in({"db"}, state.lineage, generations)) == told
    same = [generations[0], generations[2], generations[2]]
    assert len(gatherer.brought_in({"db"}, state.lineage, same)) == 1, "its part is the present one"


class CutOff(BaseException):
    """Where the worker's life ends."""


def test_a_rollback_cut_off_after_its_commit_is_finished_and_no_other_run_goes_with_it(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = Operator(Path(tempfile.mkdtemp(dir=memory)), b"A=1\n")
    monkeypatch.setattr("nftui.orders.open_session", lambda project: operator.session())
    operator.do("apply A")
    after_a = operator.files()
    operator.do("apply B")
    write = Journal.write

    def cut(journal: Journal, phase: Phase, *args: Any, **data: Any) -> Any:
        if phase is Phase.END:
            raise CutOff
        return write(journal, phase, *args, **data)

    with monkeypatch.context() as patch, pytest.raises(CutOff):
        patch.setattr(Journal, "write", cut)
        operator.session().runs.start_rollback()
    state = operator.session().state
    for path in (state.root / "lock.json", state.runs()[-1] / NOTE):
        path.unlink()  # their owner is dead in the story, and this process
    assert operator.files() == after_a
    cut_off = state.runs()[-1].name
    shown = operator.session().history.way_back()
    assert shown is not None and shown.runs == (cut_off,)
    assert operator.session().runs.start_rollback() == cut_off
    assert operator.session().runs.run_status(cut_off).outcome == "rolled-back"
    assert operator.files() == after_a and len(operator.session().state.standing()) == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(env=b"A=1", operations=["apply A", "apply B", "off B", "off A", "change A"])
@given(env=st.sampled_from(ENVS), operations=st.lists(st.sampled_from(OPERATIONS), min_size=5, max_size=5))
def test_any_five_operations(
    memory: Path, monkeypatch: pytest.MonkeyPatch, env: bytes | None, operations: list[str]
) -> None:
    play(memory, env, tuple(operations), monkeypatch)


@pytest.mark.all
@pytest.mark.timeout(1800)
@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(env=st.sampled_from(ENVS), operations=st.lists(st.sampled_from(OPERATIONS), min_size=5, max_size=5))
def test_very_many_fives(
    memory: Path, monkeypatch: pytest.MonkeyPatch, env: bytes | None, operations: list[str]
) -> None:
    play(memory, env, tuple(operations), monkeypatch)
