"""The step kinds of Qdrant under fault: every crash point ends old or new, and every refusal takes all of it back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nftui.engine.journal import Journal, Phase, read_journal
from nftui.engine.runner import Options, Outcome, Runner
from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.stack import Container, MountSpec
from nftui.model.units import MIB
from nftui.steps import load_kinds
from nftui.steps.kind import Found, StepFailed
from nftui.steps.qdrant_defaults import SCRATCH
from nftui.steps.qdrant_measure import fingerprints, measure
from nftui.steps.qdrant_snapshot import _needs
from tests.engine.mortal import die_at
from tests.engine.qdrant_world import FakeQdrant, context, new_config, qdrant_stages, qdrant_world, refused
from tests.engine.test_runner import Quiet
from tests.engine.world import Killed, World


def runner(world: World, qdrant: FakeQdrant, journal: Journal, floor: float = 0.9) -> Runner:
    stages = qdrant_stages(qdrant, floor)
    return Runner(journal, stages, load_kinds(), context(world, qdrant), Quiet(), Options())


def run(world: World, qdrant: FakeQdrant, path: Path, make: Callable[[Path], Journal] = Journal) -> Outcome | None:
    journal = make(path)
    try:
        return runner(world, qdrant, journal).forward()
    finally:
        journal.close()


def changed(qdrant: FakeQdrant) -> bool:
    config = qdrant.collections["docs"]
    return config["hnsw_config"]["m"] == 24 and config["quantization_config"] is not None


def kept(world: World) -> list[str]:
    return [p.name for p in (world.blobs.root.parent / "kept").glob("*")]


def test_a_run_keeps_a_snapshot_and_changes_the_index(tmp_path: Path) -> None:
    world, qdrant = qdrant_world(tmp_path)
    assert run(world, qdrant, tmp_path / "j") is None
    assert changed(qdrant) and kept(world) == ["q-docs-run.snapshot"] and not qdrant.snapshots
    assert SCRATCH not in qdrant.collections
    told = next(e for e in read_journal(tmp_path / "j") if e.phase is Phase.VERIFIED and e.step == "collection")
    assert told.data["search"][""]["recall"] == 1.0 and told.data["count"] == 10  # type: ignore[index]
    (note,) = [str(e.data["text"]) for e in read_journal(tmp_path / "j") if e.phase is Phase.NOTE]
    assert note.startswith("docs: recall@10 was 1.0 and is 1.0; p95 was ") and note.endswith("(10 searches).")


class Break(NamedTuple):
    """How the server misbehaves, and the word that the operator must read."""

    name: str
    why: str

    def apply(self, qdrant: FakeQdrant) -> None:
        values = {"inert": True, "torn": True, "found": 8}
        setattr(qdrant, self.name, values[self.name])


@pytest.mark.parametrize(
    "broken", [Break("inert", "did not take"), Break("torn", "did not arrive whole"), Break("found", "below the floor")]
)
def test_what_does_not_come_to_what_was_promised_is_taken_back(tmp_path: Path, broken: Break) -> None:
    world, qdrant = qdrant_world(tmp_path)
    old = qdrant.state()
    broken.apply(qdrant)
    outcome = run(world, qdrant, tmp_path / "j")
    assert outcome is not None and outcome.name == "rolled-back" and broken.why in outcome.reason
    assert qdrant.state() == old and kept(world) == [] and not qdrant.snapshots


def test_a_floor_that_is_reached_is_no_reason_to_go_back(tmp_path: Path) -> None:
    world, qdrant = qdrant_world(tmp_path)
    qdrant.found = 9
    assert run(world, qdrant, tmp_path / "j") is None and changed(qdrant)


def test_a_red_collection_is_not_touched(tmp_path: Path) -> None:
    world, qdrant = qdrant_world(tmp_path)
    old, qdrant.status = qdrant.state(), "red"
    outcome = run(world, qdrant, tmp_path / "j")
    assert outcome is not None and "docs is red: no space" in outcome.reason
    assert qdrant.state() == old and "PATCH docs" not in world.effects


def test_an_optimizer_that_never_ends_is_told_of_after_its_stall_time(tmp_path: Path) -> None:
    world, qdrant = qdrant_world(tmp_path)
    original = qdrant._patch_collection

    def patch(name: str, body: object) -> bool:
        qdrant.status = "yellow"
        return original(name, body)

    qdrant._patch_collection = patch  # type: ignore[method-assign]
    outcome = run(world, qdrant, tmp_path / "j")
    assert world.clock >= 30, "it gave up too early"
    # The way back does not end either: it is said what still stands, and it can be run again.
    assert outcome is not None and outcome.name == "failed" and "no progress in 30 s" in outcome.reason
    assert "q/docs" in outcome.standing
    qdrant._patch_collection, qdrant.status = original, None  # type: ignore[method-assign]
    again = run(world, qdrant, tmp_path / "j")
    assert again is not None and again.name == "rolled-back" and not changed(qdrant)


def searched_on(qdrant: FakeQdrant, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The m that the segment was built with, at each search."""
    seen, query = [], qdrant._points_query

    def asked(body: object) -> object:
        seen.append(qdrant.built["docs"]["hnsw_config"]["m"])
        return query(body)

    monkeypatch.setattr(qdrant, "_points_query", asked)
    return seen


@pytest.mark.parametrize("tells", [True, False])
def test_green_before_the_optimizer_has_begun_is_not_taken_for_done(
    tmp_path: Path, tells: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, qdrant = qdrant_world(tmp_path)
    original, qdrant.tells = qdrant._patch_collection, tells

    def patch(name: str, body: object) -> bool:
        qdrant.late = 5
        return original(name, body)

    qdrant._patch_collection = patch  # type: ignore[method-assign]
    seen = searched_on(qdrant, monkeypatch)
    assert run(world, qdrant, tmp_path / "j") is None
    assert set(seen) == {16, 24} and seen == sorted(seen), "the new index is what was measured"
    told = next(e for e in read_journal(tmp_path / "j") if e.phase is Phase.VERIFIED and e.step == "collection")
    assert told.data["outdated_segments"] == (0 if tells else None)


def test_a_green_collection_whose_segments_stay_as_they_were_is_taken_back(tmp_path: Path) -> None:
    world, qdrant = qdrant_world(tmp_path)
    old, qdrant.late = qdrant.state(), 10_000
    outcome = run(world, qdrant, tmp_path / "j")
    assert outcome is not None and outcome.name == "rolled-back" and qdrant.state() == old
    assert "docs calls itself green, but 1 of its segments were not built anew in 30 s" in outcome.reason


def test_a_server_before_the_one_route_for_queries_is_measured_by_another(tmp_path: Path) -> None:
    world, qdrant = qdrant_world(tmp_path)
    qdrant.old, qdrant.found = True, 8
    outcome = run(world, qdrant, tmp_path / "j")
    assert outcome is not None and "finds 0.8 of the 10 nearest points, below the floor of 0.9" in outcome.reason


def test_a_red_collection_without_an_error_failed_at_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, qdrant = qdrant_world(tmp_path)
    info = qdrant._info
    monkeypatch.setattr(qdrant, "_info", lambda name: info(name) | {"status": "red", "optimizer_status": "ok"})
    outcome = run(world, qdrant, tmp_path / "j")
    assert outcome is not None and "docs is red: a write to it failed" in outcome.reason


@pytest.mark.parametrize("rule", ["search_allow_exact", "max_query_limit"])
def test_a_floor_that_cannot_be_measured_changes_nothing(tmp_path: Path, rule: str) -> None:
    world, qdrant = qdrant_world(tmp_path)
    strict = {"enabled": True, rule: 5 if rule == "max_query_limit" else False}
    qdrant.collections["docs"]["strict_mode_config"] = strict
    outcome = run(world, qdrant, tmp_path / "j")
    assert (
        outcome is not None and f"its strict mode has {rule}=" in outcome.reason and "PATCH docs" not in world.effects
    )
    journal = Journal(tmp_path / "without-a-floor")
    assert runner(world, qdrant, journal, floor=0.0).forward() is None and changed(qdrant)
    assert any("its recall is not known" in str(e.data) for e in read_journal(tmp_path / "without-a-floor"))
    journal.close()


def test_one_that_waits_for_a_first_update_is_given_one(tmp_path: Path) -> None:
    world, qdrant = qdrant_world(tmp_path)
    original = qdrant._patch_collection

    def patch(name: str, body: object) -> bool:
        qdrant.status = None if body == {"optimizers_config": {}} else "grey"
        return original(name, body)

    qdrant._patch_collection = patch  # type: ignore[method-assign]
    assert run(world, qdrant, tmp_path / "j") is None and changed(qdrant)


def test_no_room_for_the_snapshot_is_told_before_the_server_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, qdrant = qdrant_world(tmp_path)
    full = shutil.disk_usage(tmp_path)._replace(free=1024)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    outcome = run(world, qdrant, tmp_path / "j")
    assert outcome is not None and "not enough room" in outcome.reason and "snapshot=off" in outcome.reason
    assert not changed(qdrant) and not qdrant.snapshots


def test_a_way_back_keeps_what_was_written_meanwhile(tmp_path: Path) -> None:
    world, qdrant = qdrant_world(tmp_path)
    old = qdrant.state()
    assert run(world, qdrant, tmp_path / "j") is None
    qdrant.points[77] = [7.0, 7, 7, 7]
    del qdrant.points[0]
    journal = Journal(tmp_path / "j")
    back = runner(world, qdrant, journal)
    assert back.backward(back.own_items(), "test").name == "rolled-back"
    assert qdrant.state()[0] == old[0] and 77 in qdrant.points and 0 not in qdrant.points
    assert "upload" not in world.effects


def test_a_collection_that_is_gone_comes_from_the_snapshot(tmp_path: Path) -> None:
    world, qdrant = qdrant_world(tmp_path)
    old = qdrant.state()
    assert run(world, qdrant, tmp_path / "j") is None
    qdrant.drop("docs")
    assert qdrant.aliases == {}
    assert taken_back(world, qdrant, tmp_path / "j").name == "rolled-back"
    assert qdrant.state() == old and "upload" in world.effects and kept(world) == []
    assert not context(world, qdrant).artefacts.list()


def taken_back(world: World, qdrant: FakeQdrant, path: Path) -> Outcome:
    journal = Journal(path)
    back = runner(world, qdrant, journal)
    try:
        return back.backward(back.own_items(), "test")
    finally:
        journal.close()


def notes(path: Path) -> list[str]:
    return [str(e.data["text"]) for e in read_journal(path) if e.phase is Phase.NOTE]


@pytest.mark.parametrize("point", ["upload", "POST aliases"])
def test_a_restore_that_was_cut_off_ends_with_the_aliases(tmp_path: Path, point: str) -> None:
    world, qdrant = qdrant_world(tmp_path)
    old = qdrant.state()
    assert run(world, qdrant, tmp_path / "j") is None
    qdrant.drop("docs")
    whole = {"upload": 1, "POST aliases": 2}
    world.kill_at, world.kill_after = len(world.effects) + whole[point], True
    with pytest.raises(Killed):
        taken_back(world, qdrant, tmp_path / "j")
    world.kill_at = None
    assert taken_back(world, qdrant, tmp_path / "j").name == "rolled-back"
    assert qdrant.state() == old and world.effects.count("upload") == 1
    assert not context(world, qdrant).artefacts.list()


def test_a_name_that_somebody_gave_to_a_collection_stays_theirs(tmp_path: Path) -> None:
    world, qdrant = qdrant_world(tmp_path)
    assert run(world, qdrant, tmp_path / "j") is None
    qdrant.drop("docs")
    qdrant.collections["all"] = new_config()
    assert taken_back(world, qdrant, tmp_path / "j").name == "rolled-back"
    assert set(qdrant.collections) == {"docs", "all"} and qdrant.aliases == {}


def renamed(qdrant: FakeQdrant) -> None:
    """As an app does that builds its collection anew and keeps its name for others."""
    qdrant.collections["docs-2"] = qdrant.collections.pop("docs")
    qdrant.aliases = {"docs": "docs-2"}


def moved_on(qdrant: FakeQdrant) -> None:
    """As one that is reached by its alias, after the copy of its data was proven."""
    qdrant.collections["docs-2"] = qdrant.collections.pop("docs")
    qdrant.aliases = {"all": "docs-2"}


@pytest.mark.parametrize("change", [renamed, moved_on])
def test_a_collection_that_was_replaced_is_neither_touched_nor_brought_back(
    tmp_path: Path, change: Callable[[FakeQdrant], None]
) -> None:
    world, qdrant = qdrant_world(tmp_path)
    assert run(world, qdrant, tmp_path / "j") is None
    change(qdrant)
    now, before = qdrant.state(), len(world.effects)
    assert taken_back(world, qdrant, tmp_path / "j").name == "rolled-back"
    assert qdrant.state() == now and not [e for e in world.effects[before:] if "docs" in e or e == "upload"]
    assert kept(world) == ["q-docs-run.snapshot"] and len(context(world, qdrant).artefacts.list()) == 1
    said = notes(tmp_path / "j")
    assert any("docs was replaced by docs-2 meanwhile" in n for n in said)
    assert any("The snapshot of docs stays as" in n for n in said)


def test_an_alias_that_never_was_its_own_says_nothing_of_a_collection_that_is_gone(tmp_path: Path) -> None:
    world, qdrant = qdrant_world(tmp_path)
    assert run(world, qdrant, tmp_path / "j") is None
    qdrant.drop("docs")
    qdrant.collections["other"] = new_config()
    qdrant.aliases = {"foreign": "other"}
    assert taken_back(world, qdrant, tmp_path / "j").name == "rolled-back"
    assert qdrant.aliases == {"foreign": "other", "all": "docs"} and kept(world) == []


def test_a_journal_that_knows_no_aliases_and_no_status_is_gone_back_by(tmp_path: Path) -> None:
    world, qdrant = qdrant_world(tmp_path)
    assert run(world, qdrant, tmp_path / "j") is None
    step, ctx = qdrant_stages(qdrant)[0].steps[2], context(world, qdrant)
    known = next(e for e in read_journal(tmp_path / "j") if e.phase is Phase.INTENT and e.step == "collection").data
    assert known["aliases"] == ["all"] and known["status"] == "green"
    before = {k: v for k, v in known.items() if k not in ("aliases", "status")}
    qdrant.drop("docs")
    load_kinds().of(step).undo(step, before, ctx)
    assert not changed(qdrant) and qdrant.aliases == {}


def test_without_a_thread_that_optimizes_nothing_is_begun(tmp_path: Path) -> None:
    world, qdrant = qdrant_world(tmp_path)
    qdrant.collections["docs"]["optimizer_config"] = {"max_optimization_threads": 0}
    outcome = run(world, qdrant, tmp_path / "j")
    assert outcome is not None and "The optimizers of docs are switched off" in outcome.reason
    assert "PATCH docs" not in world.effects
    qdrant.collections["docs"]["optimizer_config"] = {"max_optimization_threads": 1}
    assert run(world, qdrant, tmp_path / "with-one") is None and changed(qdrant)


def test_a_way_back_does_not_wait_for_a_thread_that_is_not_there(tmp_path: Path) -> None:
    world, qdrant = qdrant_world(tmp_path)
    assert run(world, qdrant, tmp_path / "j") is None
    qdrant.collections["docs"]["optimizer_config"] = {"max_optimization_threads": 0}
    qdrant.status, began = "grey", world.clock
    assert taken_back(world, qdrant, tmp_path / "j").name == "rolled-back"
    assert not changed(qdrant) and world.clock - began < 30
    assert any("with its optimizers switched off" in n for n in notes(tmp_path / "j"))


@pytest.mark.parametrize("former", ["yellow", "green"])
def test_a_way_back_does_not_fail_for_a_green_that_was_not_there_before(tmp_path: Path, former: str) -> None:
    world, qdrant = qdrant_world(tmp_path)
    step, ctx = qdrant_stages(qdrant)[0].steps[2], context(world, qdrant)
    told: list[str] = []
    kind = load_kinds().of(step)
    ctx = replace(ctx, note=told.append)
    qdrant.status = former
    before = kind.read(step, ctx)
    kind.do(step, before, ctx)
    qdrant.status = "yellow"
    if former == "green":
        with pytest.raises(StepFailed, match="no progress in 30 s"):
            kind.undo(step, before, ctx)
    else:
        kind.undo(step, before, ctx)
        assert len(told) == 1 and told[0].endswith("status yellow. It was yellow before as well.")
    assert not changed(qdrant)


def test_green_that_awaits_an_update_is_given_one(tmp_path: Path) -> None:
    """A worker that died after the change finds this in 1.9 and 1.10, once the server was started again."""
    world, qdrant = qdrant_world(tmp_path)
    step, ctx = qdrant_stages(qdrant)[0].steps[2], context(world, qdrant)
    kind, qdrant.tells = load_kinds().of(step), False
    before = kind.read(step, ctx)
    kind.do(step, before, ctx)
    qdrant.awaits = True
    began = len(world.effects)
    kind.verify(step, before, ctx)
    assert world.effects[began:] == ["PATCH docs"] and not qdrant.awaits
    assert "PATCH /collections/docs?timeout=600" in qdrant.asked


@pytest.mark.parametrize("old", [True, False])
def test_a_point_without_that_vector_counts_for_nothing(tmp_path: Path, old: bool) -> None:
    world, qdrant = qdrant_world(tmp_path)
    qdrant.old, qdrant.lacking = old, {2, 5}
    api: Any = qdrant
    found = measure(api, "docs", qdrant.collections["docs"], list(range(10)), context(world, qdrant))
    assert found[""]["n"] == 8 and found[""]["recall"] == 1.0
    qdrant.lacking = set(range(10))
    assert measure(api, "docs", qdrant.collections["docs"], list(range(10)), context(world, qdrant)) == {}
    qdrant.refusal = "Bad request: something else"
    with pytest.raises(NftuiError, match="something else"):
        measure(api, "docs", qdrant.collections["docs"], list(range(10)), context(world, qdrant))


STRICT = {"enabled": True, "read_rate_limit": 20}


@pytest.mark.parametrize(
    ("strict", "most", "pieces"),
    [
        ({}, 1000, [16, 16, 8]),
        ({}, 5, [16, 8, *[4] * 10]),
        (STRICT, 1000, [5] * 8),
        ({**STRICT, "read_rate_limit": 3}, 1000, [1] * 40),
        ({**STRICT, "enabled": False}, 1000, [16, 16, 8]),
    ],
)
def test_vectors_are_read_in_pieces(tmp_path: Path, strict: dict[str, Any], most: int, pieces: list[int]) -> None:
    _, qdrant = qdrant_world(tmp_path)
    qdrant.points, qdrant.most = {i: [float(i)] for i in range(40)}, most
    api: Any = qdrant
    found = fingerprints(api, "docs", range(40), {"strict_mode_config": strict})
    assert len(set(found.values())) == 40 and qdrant.asked_at_once == pieces
    qdrant.most = 0
    with pytest.raises(NftuiError, match="too long"):
        fingerprints(api, "docs", [1], {})


class Disk(NamedTuple):
    """What is free where nftui keeps its copy and where the server makes its own, in MiB; 64 MiB of vectors."""

    kept: int
    server: int
    mounted: str = "/qdrant/snapshots"
    environment: Mapping[str, str] = {}
    version: str = "1.19.0"
    one: bool = False
    """Both on one disk."""
    seen: bool = True
    root: bool = False
    """The engine's own directory is that of the server."""


ENOUGH = 2 * 64 + 16


@pytest.mark.parametrize(
    ("disk", "fits"),
    [
        (Disk(ENOUGH, ENOUGH), True),
        (Disk(ENOUGH, ENOUGH - 1), False),
        (Disk(ENOUGH - 1, ENOUGH), False),
        (Disk(ENOUGH, ENOUGH, version="1.11.5"), False),
        (Disk(ENOUGH, ENOUGH + 64, version="1.11.5"), True),
        (Disk(0, ENOUGH + 128, one=True), True),
        (Disk(0, ENOUGH + 127, one=True), False),
        (Disk(ENOUGH, 0, seen=False), True),
        (Disk(ENOUGH, 0, mounted="/qdrant/storage"), True),
        (Disk(ENOUGH, 0, mounted="/qdrant/storage", root=True), False),
        (Disk(ENOUGH, 0, environment={"qdrant__storage__snapshots_path": "/copies"}), True),
        (Disk(ENOUGH, 0, "/copies", {"qdrant__storage__snapshots_path": "/copies/here"}), False),
        (Disk(ENOUGH, 0, "/qdrant/copies", {"QDRANT__STORAGE__SNAPSHOTS_PATH": "./copies"}), False),
        (Disk(ENOUGH, ENOUGH, "/work", {"QDRANT__STORAGE__TEMP_PATH": "/work"}), True),
        (Disk(ENOUGH, ENOUGH - 1, "/work", {"QDRANT__STORAGE__TEMP_PATH": "/work"}), False),
        (Disk(ENOUGH, ENOUGH, "/qdrant", {"QDRANT__STORAGE__TEMP_PATH": "./work"}), True),
    ],
)
def test_room_for_a_snapshot_is_looked_for_on_every_disk_that_takes_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: Disk, fits: bool
) -> None:
    world, qdrant = qdrant_world(tmp_path)
    there = tmp_path / "server"
    if disk.seen:
        there.mkdir()
    mount = MountSpec("bind", str(there), disk.mounted, host_path=str(there))
    world.container = Container("q", "q-1", "q", 1, "running", None, "i", "i", mounts=(mount,),
                                environment=disk.environment)  # fmt: skip
    qdrant.version = disk.version
    asked = Path.stat

    def stat(self: Path, **options: Any) -> Any:
        found = asked(self, **options)
        device = 7 if self == there and not disk.one else 1
        return os.stat_result((found.st_mode, found.st_ino, device, *tuple(found)[3:]))

    def usage(path: Path) -> Any:
        free = disk.server if path == there or disk.one else disk.kept
        return shutil._ntuple_diskusage(0, 0, free * MIB)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    params: dict[str, object] = {"collection": "docs", "bytes": 64 * MIB, "root": str(there) if disk.root else ""}
    step = StepSpec("snapshot", "qdrant-snapshot", "q/docs", params, msg("step"), "q")
    kind, ctx = load_kinds().of(step), context(world, qdrant)
    before = kind.read(step, ctx)
    monkeypatch.setattr(Path, "stat", stat)
    if fits:
        kind.do(step, before, ctx)
        assert len(kept(world)) == 1
    else:
        with pytest.raises(StepFailed, match="not enough room for the snapshot of docs"):
            kind.do(step, before, ctx)
        assert not qdrant.snapshots and not kept(world)


def test_two_directories_of_one_disk_hold_one_copy(tmp_path: Path) -> None:
    """What was packed in one is moved to the other."""
    world, qdrant = qdrant_world(tmp_path)
    for name in ("copies", "work"):
        (tmp_path / name).mkdir()
    mounts = tuple(MountSpec("bind", n, f"/{n}", host_path=str(tmp_path / n)) for n in ("copies", "work"))
    given = {"QDRANT__STORAGE__SNAPSHOTS_PATH": "/copies", "QDRANT__STORAGE__TEMP_PATH": "/work"}
    world.container = Container("q", "q-1", "q", 1, "running", None, "i", "i", mounts=mounts, environment=given)
    step = StepSpec("snapshot", "qdrant-snapshot", "q/docs", {"collection": "docs", "bytes": 8}, msg("step"), "q")
    ctx = context(world, qdrant)
    assert [place for place, _ in _needs(step, ctx.api("q"), ctx)] == [Path(ctx.kept), tmp_path / "copies"]


def replaced(qdrant: FakeQdrant) -> None:
    """As many as before, but others: sampled points are missing and no deletion accounts for them."""
    for point in range(4):
        qdrant.points[100 + point] = qdrant.points.pop(point)


def overwritten(qdrant: FakeQdrant) -> None:
    for point in range(8):
        qdrant.points[point] = [0.5, 0, 0, 0]


@pytest.mark.parametrize(("harm", "why"), [(replaced, "lacks 4 of 10"), (overwritten, "8 of 10 sampled vectors")])
@pytest.mark.parametrize("back", [True, False])
def test_points_that_an_update_loses_are_told_in_both_directions(
    tmp_path: Path, harm: Callable[[FakeQdrant], None], why: str, back: bool
) -> None:
    world, qdrant = qdrant_world(tmp_path)
    original = qdrant._patch_collection

    def patch(name: str, body: dict[str, object]) -> bool:
        if back == (body.get("quantization_config") == "Disabled"):
            harm(qdrant)
        return original(name, body)

    qdrant._patch_collection = patch  # type: ignore[method-assign]
    outcome = run(world, qdrant, tmp_path / "j")
    if back:
        assert outcome is None
        journal = Journal(tmp_path / "j")
        taken = runner(world, qdrant, journal)
        outcome = taken.backward(taken.own_items(), "test")
    assert outcome is not None and why in outcome.reason and outcome.name == ("failed" if back else "rolled-back")


def test_somebody_elses_change_stops_the_step(tmp_path: Path) -> None:
    world, qdrant = qdrant_world(tmp_path)
    step = qdrant_stages(qdrant)[0].steps[2]
    kind, ctx = load_kinds().of(step), context(world, qdrant)
    before = kind.read(step, ctx)
    assert kind.classify(step, before, ctx) is Found.BEFORE
    qdrant.collections["docs"]["hnsw_config"]["m"] = 48
    assert kind.classify(step, before, ctx) is Found.FOREIGN
    kind.do(step, before, ctx)
    assert kind.classify(step, before, ctx) is Found.AFTER


def test_defaults_that_did_not_take_are_told(tmp_path: Path) -> None:
    world, qdrant = qdrant_world(tmp_path)
    step = qdrant_stages(qdrant)[0].steps[0]
    kind, ctx = load_kinds().of(step), context(world, qdrant)
    assert kind.verify(step, {}, ctx) == {"defaults": {"m": "16"}}
    object.__setattr__(step, "params", {"expected": {"m": "32"}})
    with pytest.raises(NftuiError, match="m: 32 was asked for, it has 16"):
        kind.verify(step, {}, ctx)
    assert SCRATCH not in qdrant.collections


def test_a_server_that_may_hold_no_further_collection_is_unverified_and_the_run_goes_on(tmp_path: Path) -> None:
    world, qdrant = qdrant_world(tmp_path)
    qdrant.full = True
    assert run(world, qdrant, tmp_path / "j") is None and changed(qdrant)
    said = [n for n in notes(tmp_path / "j") if n.startswith("unverified: defaults of new collections in q")]
    assert len(said) == 1 and "storage.max_collections" in said[0]
    told = next(e for e in read_journal(tmp_path / "j") if e.phase is Phase.VERIFIED and e.step == "defaults")
    assert told.data["defaults"] is None


def test_another_refusal_of_the_read_back_is_none_of_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, qdrant = qdrant_world(tmp_path)

    def put(name: str, body: Any) -> bool:
        raise refused(400, "Wrong input: something else")

    monkeypatch.setattr(qdrant, "_put_collection", put)
    outcome = run(world, qdrant, tmp_path / "j")
    assert outcome is not None and "something else" in outcome.reason


def points(base: Path) -> tuple[int, int]:
    base.mkdir()
    world, qdrant = qdrant_world(base)
    assert run(world, qdrant, base / "j") is None
    return len(read_journal(base / "j")), len(world.effects)


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("where", ["journal-before", "journal-after", "effect-before", "effect-after"])
def test_every_crash_point_ends_old_or_new(tmp_path: Path, where: str, resume: bool) -> None:
    lines, effects = points(tmp_path / "c")
    assert effects >= 6, "the effects are no longer counted"
    for point in range(1, (lines if where.startswith("journal") else effects) + 1):
        base = tmp_path / f"{where}{point}{resume}"
        base.mkdir()
        world, qdrant = qdrant_world(base)
        old = qdrant.state()
        die(world, qdrant, base, where, point)
        bring_back(world, qdrant, base / "j", resume)
        assert SCRATCH not in qdrant.collections, (where, point)
        assert not qdrant.snapshots, (where, point)
        if resume:
            assert changed(qdrant) and len(kept(world)) == 1, (where, point)
        else:
            assert qdrant.state() == old and kept(world) == [], (where, point)
            assert not context(world, qdrant).artefacts.list()


def test_of_several_new_snapshots_none_is_taken_for_ours(tmp_path: Path) -> None:
    world, qdrant = qdrant_world(tmp_path)
    qdrant.snapshots["docs-old"] = b"the operator's"
    die(world, qdrant, tmp_path, "effect-after", points_of_post(tmp_path / "c"))
    assert len(qdrant.snapshots) == 2
    qdrant.snapshots["docs-meanwhile"] = b"the operator's, or ours"
    bring_back(world, qdrant, tmp_path / "j", False)
    assert len(qdrant.snapshots) == 3


def points_of_post(base: Path) -> int:
    """The number of the effect by which the server makes its copy."""
    base.mkdir()
    world, qdrant = qdrant_world(base)
    assert run(world, qdrant, base / "j") is None
    return world.effects.index("POST snapshots") + 1


def die(world: World, qdrant: FakeQdrant, base: Path, where: str, point: int) -> None:
    die_at(world, where, point, lambda make: run(world, qdrant, base / "j", make))


def bring_back(world: World, qdrant: FakeQdrant, path: Path, resume: bool) -> None:
    journal = Journal(path)
    following = runner(world, qdrant, journal)
    if not resume and not following.view.turned:
        journal.write(Phase.TURN, reason="recovery")
    outcome = following.forward()
    assert outcome is None or outcome.name == "rolled-back", outcome
    journal.close()
