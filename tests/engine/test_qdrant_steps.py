"""The step kinds of Qdrant under fault: every crash point ends old or new, and every refusal takes all of it back."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from nftui.engine.journal import Journal, Phase, read_journal
from nftui.engine.runner import Options, Outcome, Runner
from nftui.model.errors import NftuiError
from nftui.steps import load_kinds
from nftui.steps.kind import Found
from nftui.steps.qdrant_defaults import SCRATCH
from tests.engine.mortal import die_at
from tests.engine.qdrant_world import FakeQdrant, context, qdrant_stages, qdrant_world
from tests.engine.test_runner import Quiet
from tests.engine.world import World


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
    del qdrant.collections["docs"]
    qdrant.points = {}
    journal = Journal(tmp_path / "j")
    back = runner(world, qdrant, journal)
    assert back.backward(back.own_items(), "test").name == "rolled-back"
    assert qdrant.state() == old and "upload" in world.effects and kept(world) == []


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
