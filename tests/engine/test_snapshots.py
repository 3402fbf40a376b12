"""Snapshots on files: every damage is named, pruning keeps what a rollback needs, a crash in it loses nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nftui.engine import codec, prune, records, removal, verify
from nftui.engine.journal import Journal, Phase
from nftui.engine.place import identity
from nftui.engine.state import InForce, ProjectState, write_json
from nftui.model.artefact import ArtefactState
from nftui.model.errors import NftuiError, UsageError
from nftui.model.message import msg
from nftui.model.plan import FileChange, Stage, StepSpec, digest
from nftui.system.docker import EngineError
from tests.engine.world import Killed

NOW = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.fixture
def state(tmp_path: Path) -> ProjectState:
    (tmp_path / "p").mkdir()
    found = ProjectState(tmp_path / "state", identity("E", "app", str(tmp_path / "p")))
    found.prepare()
    return found


def run(state: ProjectState, day: int, *, end: bool = True, stands: bool = False, **more: object) -> str:
    """A run of that day that replaced one file; its blobs are its own."""
    name = f"202601{day:02d}T000000000Z"
    directory = state.root / "runs" / name
    directory.mkdir(mode=0o700)
    before, after = f"before {day}".encode(), f"after {day}".encode()
    step = StepSpec("s", "file", f"/p/{day}", {"after": digest(after), "mode": 0o644}, msg("step"))
    stage = Stage("settings", (step,), (), (FileChange(step.target, "update", before, after),))
    stages = codec.stages_json((stage,), state.blobs)
    write_json(directory / "plan.json", {"schema": codec.RUN_SCHEMA, "kind": "apply", "stages": stages, **more})
    journal = Journal(directory / "journal.jsonl")
    journal.write(Phase.BEGIN, kind="apply", record=records.record_sum(directory))
    journal.write(Phase.INTENT, "s", before=state.blobs.put(before), attributes=None)
    journal.write(Phase.VERIFIED, "s")
    if end:
        journal.write(Phase.END, outcome="applied", code=0, standing=[])
    journal.close()
    if stands:
        state.commit(InForce(state.in_force().generation + 1, name))
    return name


def blob(state: ProjectState, text: str) -> Path:
    return state.blobs.path(str(digest(text.encode())))


def damages(state: ProjectState, name: str, *, stands: bool = True) -> list[str]:
    found = verify.of_run(state, state.run(name), stands=stands)
    assert all(str(d.safe) for d in found)
    return [f"{Path(d.path).name}: {d.what}" for d in found]


# -- verify -----------------------------------------------------------------------------------------------------
def test_what_is_whole_is_called_whole(state: ProjectState) -> None:
    name = run(state, 1, stands=True)
    assert damages(state, name) == [] and verify.of_state(state) == ()
    journal = state.run(name) / "journal.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"line": {"n": 5')
    assert damages(state, name) == []


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(bytes(raw))


@pytest.mark.parametrize("damage", [_cut, _flip, Path.unlink, lambda path: path.chmod(0o644)])
@pytest.mark.parametrize("text", ["before 1", "after 1"])
def test_each_blob_is_proven(state: ProjectState, damage: Callable[[Path], None], text: str) -> None:
    name = run(state, 1, stands=True)
    damage(blob(state, text))
    if damage in (_cut, _flip, Path.unlink):
        (found,) = damages(state, name)
        assert found.startswith(str(digest(text.encode()))) and "It holds /p/1" in found
    else:
        assert [d.path for d in verify.of_state(state)] == [str(blob(state, text))]


@pytest.mark.parametrize("damage", [_flip, Path.unlink])
@pytest.mark.parametrize("name", ["journal.jsonl", "plan.json"])
def test_journal_and_record_are_proven(state: ProjectState, damage: Callable[[Path], None], name: str) -> None:
    done = run(state, 1, stands=True)
    damage(state.run(done) / name)
    found = damages(state, done)
    assert found and all(f.startswith(name) for f in found)


def test_a_record_that_is_another_ones_is_no_record(state: ProjectState) -> None:
    one, two = run(state, 1, stands=True), run(state, 2, stands=True)
    shutil.copy(state.run(two) / "plan.json", state.run(one) / "plan.json")
    (found,) = damages(state, one)
    assert "not what the run began with" in found
    with pytest.raises(UsageError, match="not what the run began with"):
        records.taken_back(state, one)


def test_what_is_safe_depends_on_whether_it_stands(state: ProjectState) -> None:
    name = run(state, 1)
    _flip(state.run(name) / "plan.json")
    for stands, word in ((True, "rollback is refused"), (False, "prune")):
        (found,) = verify.of_run(state, state.run(name), stands=stands)
        assert word in str(found.safe)


def test_files_that_others_can_read_are_named(state: ProjectState) -> None:
    name = run(state, 1)
    (state.run(name) / "plan.json").chmod(0o640)
    (state.run(name) / "requests").symlink_to("/tmp")
    assert {line.partition(":")[0] for line in damages(state, name)} == {"plan.json", "requests"}


@pytest.mark.parametrize("place", ["inforce.json", "project.json", "generations/000001.json", "artefacts/x.json"])
def test_what_lies_beside_the_runs_is_proven(state: ProjectState, place: str) -> None:
    run(state, 1, stands=True)
    run(state, 2, stands=True)
    (state.root / place).write_text("{")
    found = verify.of_state(state)
    assert found and all(place.split("/")[0] in d.path for d in found)


# -- before a rollback ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("damage", [_flip, Path.unlink])
def test_a_way_back_that_is_not_whole_is_refused(state: ProjectState, damage: Callable[[Path], None]) -> None:
    one, two = run(state, 1, stands=True), run(state, 2, stands=True)
    damage(blob(state, "before 1"))
    both = records.taken_back(state, two) + records.taken_back(state, one)
    with pytest.raises(UsageError, match=r"/p/1 is not whole: Blob .* Nothing was touched"):
        records.must_be_whole(state, both, [one, two])
    records.must_be_whole(state, records.taken_back(state, two), [two])
    _flip(blob(state, "after 2"))
    records.must_be_whole(state, records.taken_back(state, two), [two])


def test_a_deleted_artefact_ends_the_way_back_behind_it(state: ProjectState) -> None:
    one, two = run(state, 1, stands=True), run(state, 2, stands=True)
    state.artefacts.record("volume", "v", one, "s")
    state.artefacts.made("v", 1, None)
    listed = removal.with_needs(state, state.artefacts.list())
    assert [a.needed_by for a in listed] == [(one,)]
    records.must_be_whole(state, (), [one, two])
    state.artefacts.mark("v", ArtefactState.DELETED)
    with pytest.raises(UsageError, match=f"behind the run {one}"):
        records.must_be_whole(state, (), [one, two])
    records.must_be_whole(state, (), [two])


def test_an_artefact_is_needed_by_its_run_and_all_before_it(state: ProjectState) -> None:
    names = [run(state, day, stands=True) for day in (1, 2, 3)]
    state.artefacts.record("volume", "v", names[1], "s")
    state.artefacts.record("volume", "w", "a run that does not stand", "s")
    found = {a.name: a.needed_by for a in removal.with_needs(state, state.artefacts.list())}
    assert found == {"v": tuple(names[:2]), "w": ()}


# -- prune ------------------------------------------------------------------------------------------------------
def sorted_out(state: ProjectState, keep: int, days: float | None = None) -> list[str]:
    return [path.name for path in prune.sort_out(state, keep, days, NOW)[0]]


def pruned(state: ProjectState, keep: int = 0) -> None:
    going, kept = prune.sort_out(state, keep, None, NOW)
    blobs = prune.unreferenced(state, [path for path, _ in kept])
    prune.remove(state, going)
    prune.drop_blobs(blobs)


def test_what_stands_or_has_not_ended_always_stays(state: ProjectState) -> None:
    stands = run(state, 1, stands=True)
    ended = [run(state, day) for day in (2, 3, 4)]
    run(state, 5, end=False)
    damaged = run(state, 6)
    _flip(state.run(damaged) / "journal.jsonl")
    assert sorted_out(state, 0) == ended and stands not in sorted_out(state, 0)
    assert sorted_out(state, 1) == ended[:2] and sorted_out(state, 3) == sorted_out(state, 99) == []
    assert sorted_out(state, 0, 28) == ended[:2] and sorted_out(state, 1, 28.5) == ended[:1]
    assert all(str(why) for _, why in prune.sort_out(state, 0, None, NOW)[1])


def test_a_refused_run_can_go_and_one_whose_undo_failed_stays(state: ProjectState) -> None:
    refused = state.root / "runs" / "20260102T000000000Z"
    refused.mkdir(mode=0o700)
    assert sorted_out(state, 0) == []
    write_json(refused / "refused.json", {"message": "x", "code": 2})
    failed = run(state, 3, end=False)
    journal = Journal(state.run(failed) / "journal.jsonl")
    journal.write(Phase.END, outcome="failed", code=5, standing=["/p/3"])
    journal.close()
    assert sorted_out(state, 0) == [refused.name]


def test_blobs_go_with_the_last_run_that_needs_them(state: ProjectState) -> None:
    stands = run(state, 1, stands=True)
    run(state, 2)
    shutil.copy(state.run(stands) / "plan.json", state.root / "runs" / "20260102T000000000Z" / "plan.json")
    state.audit({"run": stands})
    log = (state.root / "audit.jsonl").read_bytes()
    pruned(state)
    assert damages(state, stands) == [] and [p.name for p in state.runs()] == [stands]
    assert not blob(state, "before 2").exists() and blob(state, "before 1").exists()
    assert (state.root / "audit.jsonl").read_bytes() == log and not (state.root / "trash").exists()


@pytest.mark.parametrize("point", range(12))
def test_a_crash_in_prune_leaves_all_that_is_listed_whole(
    state: ProjectState, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    stands = run(state, 1, stands=True)
    for day in (2, 3):
        run(state, day)
    left = [point]

    def mortal(name: str) -> None:
        original = getattr(os, name)

        def act(*args: object, **options: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                raise Killed(name)
            return original(*args, **options)

        monkeypatch.setattr(os, name, act)

    for name in ("rename", "unlink", "rmdir"):
        mortal(name)
    crashed = False
    try:
        pruned(state)
    except Killed:
        crashed = True
    monkeypatch.undo()
    assert crashed or point > 8
    assert stands in [p.name for p in state.runs()]
    assert all(damages(state, path.name) == [] for path in state.runs())
    pruned(state)
    assert [p.name for p in state.runs()] == [stands] and not (state.root / "trash").exists()
    assert len(list(state.blobs.root.glob("??/*"))) == 2


# -- deleting artefacts -----------------------------------------------------------------------------------------
class Engine:
    """Volumes and tags; `busy` are mounted."""

    def __init__(self, busy: tuple[str, ...] = (), status: int | None = None) -> None:
        self.busy, self.status = busy, status
        self.removed: list[str] = []

    def remove_volume(self, name: str) -> None:
        if self.status:
            raise EngineError("engine-refused", msg("Docker says: no"), self.status)
        self.removed.append(name)

    remove_image = remove_network = remove_volume

    def containers(self, label: str | None = None) -> list[dict[str, object]]:
        return [{"Names": ["/db-1"], "Mounts": [{"Source": path}]} for path in self.busy]


def delete(state: ProjectState, kind: str, name: str, engine: Engine | None) -> ArtefactState | None:
    found = state.artefacts.record(kind, name, "R", "s")
    try:
        removal.delete(state.artefacts, found, engine)
    finally:
        after = state.artefacts.get(name).state
    return after


@pytest.mark.parametrize("kind", ["volume", "image"])
def test_what_lives_in_the_engine(state: ProjectState, kind: str) -> None:
    engine = Engine()
    assert delete(state, kind, "a", engine) is ArtefactState.DELETED and engine.removed == ["a"]
    assert delete(state, kind, "b", Engine(status=404)) is ArtefactState.DELETED
    with pytest.raises(NftuiError, match="Docker says"):
        delete(state, kind, "c", Engine(status=409))
    with pytest.raises(NftuiError, match="does not answer"):
        delete(state, kind, "d", None)
    assert [a.name for a in state.artefacts.list()] == ["c", "d"]
    assert {a.state for a in state.artefacts.list()} == {ArtefactState.RECORDED}


def test_directories_and_files(state: ProjectState, tmp_path: Path) -> None:
    (tmp_path / "old" / "below").mkdir(parents=True)
    (tmp_path / "dump").write_text("x")
    for kind, name in (("directory", "old"), ("file", "dump"), ("directory", "never there")):
        assert delete(state, kind, str(tmp_path / name), Engine()) is ArtefactState.DELETED
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize("mounted", ["", "below", ".."])
def test_a_directory_in_use_stays(state: ProjectState, tmp_path: Path, mounted: str) -> None:
    path = tmp_path / "data" / "old"
    (path / "below").mkdir(parents=True)
    with pytest.raises(NftuiError, match="db-1"):
        delete(state, "directory", str(path), Engine(busy=(str(path / mounted),)))
    with pytest.raises(NftuiError, match="may be in use"):
        delete(state, "directory", str(path), None)
    assert (path / "below").exists()


def test_nothing_is_deleted_through_a_link_or_of_an_unknown_kind(state: ProjectState, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for kind, name in (("directory", str(tmp_path / "link")), ("directory", "relative"), ("tape", "t")):
        with pytest.raises(NftuiError):
            delete(state, kind, name, Engine())
    assert (tmp_path / "real").exists() and len(state.artefacts.list()) == 3


@pytest.mark.parametrize(("mounted", "stays"), [
    ("old", True), ("old/below", True), ("older", False), ("", False),
])  # fmt: skip
def test_what_is_mounted_there_or_below_stays(
    state: ProjectState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounted: str, stays: bool
) -> None:
    """A bind mount of the same filesystem: only the kernel's list tells of it."""
    path, lines = tmp_path / "old", tmp_path / "mountinfo"
    (path / "below").mkdir(parents=True)
    lines.write_text(f"36 35 98:0 /elsewhere {tmp_path / mounted} rw - ext4 /dev/sda1 rw\n")
    monkeypatch.setattr(removal, "MOUNTS", lines)
    if stays:
        with pytest.raises(NftuiError, match="mount point"):
            delete(state, "directory", str(path), Engine())
    else:
        assert delete(state, "directory", str(path), Engine()) is ArtefactState.DELETED
    assert path.exists() == stays


def test_without_the_kernel_s_list_of_mounts_nothing_is_deleted(
    state: ProjectState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "MOUNTS", tmp_path / "nothing")
    (tmp_path / "old").mkdir()
    with pytest.raises(NftuiError, match="cannot be read"):
        delete(state, "directory", str(tmp_path / "old"), Engine())
    assert (tmp_path / "old").exists()


def test_a_deletion_that_was_cut_off_is_listed_and_goes_on(
    state: ProjectState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old").mkdir()

    def die(path: object) -> None:
        raise Killed("rmtree")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", die)
        with pytest.raises(Killed):
            delete(state, "directory", str(tmp_path / "old"), Engine())
    (found,) = state.artefacts.list()
    assert found.state is ArtefactState.DELETING and state.artefacts.ended(["R"]) == found
    removal.delete(state.artefacts, found, Engine())
    assert state.artefacts.list() == [] and not (tmp_path / "old").exists()
