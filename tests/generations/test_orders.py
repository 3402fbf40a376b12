"""Every order of runs ends in the bytes and the running containers that a model of generations says."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nftui.engine.journal import Journal, Phase
from nftui.guardian import NOTE
from nftui.model.choices import Choices
from nftui.model.errors import DriftError
from nftui.session import Session
from tests.generations.machine import Machine, new_session
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
        assert session.runs.run_status(run).outcome == "rolled-back"
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
