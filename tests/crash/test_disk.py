"""What was said to be on the disk is there after a power failure; in memory of nothing but files, no engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nftui.engine.journal import Journal, Phase, read_journal
from nftui.engine.place import Identity
from nftui.engine.state import InForce, ProjectState, write_json
from nftui.system.files import Attributes, LocalFiles
from tests.crash.disk import Disk

PROJECT = Identity("p", "/p", "")


@contextmanager
def power(root: Path, *, keep_names: bool) -> Iterator[None]:
    """The power fails at the end of the block."""
    disk = Disk([root])
    disk.install()
    try:
        yield
        disk.lose_power(keep_names=keep_names)
    finally:
        disk.remove()


def test_the_disk_forgets_what_was_not_synced(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    with power(tmp_path, keep_names=False):
        (tmp_path / "old").write_text("newer")
        (tmp_path / "new").write_text("x")
        (tmp_path / "folder").mkdir()
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"old": "old"}


def test_the_disk_can_keep_names_without_their_bytes(tmp_path: Path) -> None:
    with power(tmp_path, keep_names=True):
        (tmp_path / "new").write_text("x")
    assert (tmp_path / "new").read_text() == ""


def journal(root: Path) -> Callable[[], None]:
    run = Journal(root / "journal.jsonl")
    run.write(Phase.BEGIN)
    run.write(Phase.INTENT, "a", before=None)

    def check() -> None:
        assert [e.phase for e in read_journal(root / "journal.jsonl")] == [Phase.BEGIN, Phase.INTENT]

    return check


def blobs(root: Path) -> Callable[[], None]:
    store = ProjectState(root, PROJECT).blobs
    digest = store.put(b"the old bytes")

    def check() -> None:
        assert store.get(digest) == b"the old bytes"

    return check


def run_directory(root: Path) -> Callable[[], None]:
    state = ProjectState(root, PROJECT)
    directory = state.new_run()
    write_json(directory / "request.json", {"kind": "apply"})

    def check() -> None:
        assert json.loads((directory / "request.json").read_text()) == {"kind": "apply"}
        assert (directory / "requests").is_dir()

    return check


def commit(root: Path) -> Callable[[], None]:
    state = ProjectState(root, PROJECT)
    state.commit(InForce(generation=1, run="r"))

    def check() -> None:
        assert state.in_force().run == state.generation(1).run == "r"

    return check


def audit(root: Path) -> Callable[[], None]:
    state = ProjectState(root, PROJECT)
    state.audit({"run": "r"})

    def check() -> None:
        assert (state.root / "audit.jsonl").read_text().count("\n") == 1

    return check


def switched_file(root: Path) -> Callable[[], None]:
    LocalFiles().write(str(root / "override"), b"new", Attributes(0o640, 0, 0))
    LocalFiles().write(str(root / "old"), b"replaced", None)
    LocalFiles().delete(str(root / "gone"))

    def check() -> None:
        assert (root / "override").read_bytes() == b"new" and (root / "old").read_bytes() == b"replaced"
        assert not (root / "gone").exists()

    return check


@pytest.mark.parametrize("keep_names", [False, True])
@pytest.mark.parametrize("act", [journal, blobs, run_directory, commit, audit, switched_file])
def test_what_is_done_survives_a_power_failure(
    tmp_path: Path, act: Callable[[Path], Callable[[], None]], keep_names: bool
) -> None:
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "gone").write_bytes(b"gone")
    if act is not blobs:
        ProjectState(tmp_path, PROJECT).prepare()
    else:
        ProjectState(tmp_path, PROJECT).root.mkdir(mode=0o700)
    with power(tmp_path, keep_names=keep_names):
        check = act(tmp_path)
    check()


@pytest.mark.parametrize("keep_names", [False, True])
def test_a_new_state_directory_survives_a_power_failure(tmp_path: Path, keep_names: bool) -> None:
    with power(tmp_path, keep_names=keep_names):
        state = ProjectState(tmp_path / "new" / "state", PROJECT)
        state.prepare()
        directory = state.new_run()
        write_json(directory / "request.json", {})
    assert (directory / "request.json").is_file() and (state.root / "project.json").is_file()
