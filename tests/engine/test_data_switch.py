"""Data that is switched under fault: whatever happens, one whole copy is in use and no row is lost (engine.md 5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nftui.engine.crossing import authorities
from nftui.engine.journal import Journal, Phase, RunView, read_journal
from nftui.engine.runner import Options, Outcome, Runner
from nftui.model.plan import Stage
from nftui.steps import load_kinds
from nftui.steps.copy import DataCheckKind
from nftui.steps.kind import StepFailed
from tests.engine.cluster_world import cluster_stages, new_cluster_world
from tests.engine.data_world import (
    ALWAYS,
    CONTROL,
    DataWorld,
    contents,
    new_data_world,
    stage_of,
    switch,
)
from tests.engine.grafana_world import grafana_stage, grafana_switch, new_grafana_world
from tests.engine.images_world import image_stage, new_images_world, try_stage
from tests.engine.mortal import MortalJournal, die_at
from tests.engine.qdrant_rehearsal_world import new_qdrant_rehearsal_world, qdrant_stage, qdrant_switch
from tests.engine.qdrant_world import qdrant_stages, qdrant_world
from tests.engine.redis_data_world import new_redis_world, redis_stage
from tests.engine.redis_world import redis_stages, redis_world
from tests.engine.rehearsal_world import rehearsal_stage
from tests.engine.shards_world import new_shards_world, shards_stages
from tests.engine.test_own_steps import new_world as own_world
from tests.engine.test_own_steps import stages as own_stages
from tests.engine.test_runner import Quiet, WhenAwaited
from tests.engine.world import ENV, Killed, new_world, stages
from tests.ollama.world import new_world as model_world
from tests.ollama.world import stages as model_stages

OLD = ("old", "old", "running", ALWAYS, b"A=1\n")
NEW = ("new", "new", "running", ALWAYS, b"A=1\n")


def run(
    world: DataWorld, path: Path, plan: tuple[Stage, ...], make: Callable[[Path], Journal] = Journal,
    *requests: str | None, **options: object,
) -> Outcome | None:  # fmt: skip
    """One life of the worker."""
    journal = make(path)
    runner = Runner(journal, plan, load_kinds(), world.context(), Quiet(*requests), Options(**options))  # type: ignore[arg-type]
    try:
        return runner.forward()
    finally:
        journal.close()


def whole(world: DataWorld, original: dict[str, bytes]) -> None:
    """Nothing that was written is lost, and the old volume is changed by nothing but its fence."""
    assert world.rows() == {str(n) for n in range(1, world.writes + 1)}
    assert contents(world.root / "old") == original
    db = world.container
    assert db and not world.fenced(str(db.mounts[0].source))
    other = {"old": "new", "new": "old"}[str(db.mounts[0].source)]
    assert world.fenced(other), f"{other} can be started on"


def test_data_is_copied_switched_fenced_and_written_to(tmp_path: Path) -> None:
    world = new_data_world(tmp_path)
    original = contents(world.root / "old")
    plan = (stage_of(world, switch()),)
    assert run(world, tmp_path / "j", plan) is None
    assert world.now() == NEW and world.writes == 1
    assert contents(world.root / "new") == original
    whole(world, original)
    view = RunView(read_journal(tmp_path / "j"))
    told = authorities((s, view.last(s.id)) for s in plan[0].steps)
    assert [(a.dataset, a.whole, a.other) for a in told] == [("old-new", "new", "old")]


def test_a_server_below_a_script_ends_before_the_script_is_stopped(tmp_path: Path) -> None:
    """Only the one whose data is copied; the app beside is stopped as ever."""
    world = new_data_world(tmp_path, wrapped=True)
    assert run(world, tmp_path / "j", (stage_of(world, switch()),)) is None
    assert world.now() == NEW
    stops = [e for e in world.effects if e.startswith(("policy", "end", "stop"))]
    assert stops[:5] == ["policy a1", "stop a1", "policy c1", "end c1", "stop c1"]


def test_data_of_a_server_that_went_down_with_its_script_is_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = new_data_world(tmp_path, wrapped=True)
    monkeypatch.setattr(world, "end_server", lambda container_id, grace_s: None)
    outcome = run(world, tmp_path / "j", (stage_of(world, switch()),))
    assert outcome is not None and "did not shut down cleanly" in outcome.reason
    assert world.now() == OLD


READ_ONLY = {("pgbouncer-pools", 1), ("pgbouncer-route", 1), ("redis-replica", 1)}
"""They change nothing: tests/crash cuts them off on the engine."""
ELSEWHERE = {("redis-sentinel", 1)}
"""tests/redis/test_watching.py cuts it off at each of its effects, tests/crash on the engine."""


def test_every_kind_of_step_has_crash_points(tmp_path: Path) -> None:
    """A kind that is registered and appears in none of the worlds is untested: add it to one of them."""
    world = new_data_world(tmp_path / "d")
    plans = (
        *stages(new_world(tmp_path / "w")), *own_stages(own_world(tmp_path / "o")), stage_of(world, switch()),
        *model_stages(model_world(tmp_path / "m")), *qdrant_stages(qdrant_world(tmp_path / "q")[1]),
        *redis_stages(redis_world(tmp_path / "r")), *cluster_stages(new_cluster_world(tmp_path / "k")),
        *shards_stages(new_shards_world(tmp_path / "s")), rehearsal_stage(), grafana_stage(),
        qdrant_stage(), try_stage(),
        image_stage(new_images_world(tmp_path / "i")), redis_stage(new_redis_world(tmp_path / "r")),
        grafana_switch(new_grafana_world(tmp_path / "g")), qdrant_switch(new_qdrant_rehearsal_world(tmp_path / "x")),
    )  # fmt: skip
    found = {(s.kind, s.kind_version) for stage in plans for s in stage.steps}
    assert found | READ_ONLY | ELSEWHERE == set(load_kinds())


WHERE = ["journal-before", "journal-after", "effect-before", "effect-after"]


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("where", WHERE)
def test_every_crash_point_loses_nothing(tmp_path: Path, where: str, resume: bool, wrapped: bool) -> None:
    (tmp_path / "c").mkdir()
    world = new_data_world(tmp_path / "c", wrapped=wrapped)
    run(world, tmp_path / "c" / "j", (stage_of(world, switch()),))
    lines, effects = len(read_journal(tmp_path / "c" / "j")), len(world.effects)
    for point in range(1, (lines if where.startswith("journal") else effects) + 1):
        base = tmp_path / f"{point}"
        base.mkdir()
        _crash_and_recover(base, where, point, resume, wrapped)


def _crash_and_recover(base: Path, where: str, point: int, resume: bool, wrapped: bool) -> None:
    world = new_data_world(base, wrapped=wrapped)
    original, plan = contents(world.root / "old"), (stage_of(world, switch()),)
    _die(world, base / "j", plan, where, point)
    crossed = any(e.step == "data:old-new/release" and e.phase is Phase.INTENT for e in read_journal(base / "j"))
    outcome = _recover(world, base / "j", plan, resume)
    name = "applied" if outcome is None else outcome.name
    assert name == ("applied" if resume else "partial" if crossed else "rolled-back"), (where, point, outcome)
    assert world.now() == (NEW if resume or crossed else OLD), (where, point, world.now())
    whole(world, original)


def _die(world: DataWorld, path: Path, plan: tuple[Stage, ...], where: str, point: int) -> None:
    die_at(world, where, point, lambda make: run(world, path, plan, make))


def _recover(
    world: DataWorld, path: Path, plan: tuple[Stage, ...], resume: bool, *, lossy: bool = False
) -> Outcome | None:
    journal = Journal(path)
    runner = Runner(journal, plan, load_kinds(), world.context(), Quiet(), Options(lossy=lossy))
    if not resume and not runner.view.turned:
        runner.turn("recovery")
    try:
        return runner.forward()
    finally:
        journal.close()


@pytest.mark.parametrize("where", WHERE)
def test_a_way_back_that_is_cut_off_loses_nothing(tmp_path: Path, where: str) -> None:
    """The first life fails when the server is up; the second dies on its way back, the third ends it."""
    for point in range(1, 200):
        base = tmp_path / f"{point}"
        base.mkdir()
        world = new_data_world(base)
        original, plan = contents(world.root / "old"), (stage_of(world, switch()),)
        world.serving_reason = "no answer"
        _die(world, base / "j", plan, "journal-after", _lines_until_recreate(plan))
        world.serving_reason, start = None, len(world.effects)
        journal = Journal(base / "j")
        Runner(journal, plan, load_kinds(), world.context(), Quiet(), Options()).turn("failed")
        journal.close()
        at = len(read_journal(base / "j")) if where.startswith("journal") else start
        try:
            _die(world, base / "j", plan, where, at + point)
        except pytest.fail.Exception:
            assert point > 6, "it has more than six points"
            break
        outcome = _recover(world, base / "j", plan, resume=False)
        assert outcome is not None and outcome.name == "rolled-back", (where, point, outcome)
        assert world.now() == OLD, (where, point)
        whole(world, original)


def _lines_until_recreate(plan: tuple[Stage, ...]) -> int:
    """Journal lines up to the line that the server was started: three for each step before, and two of its own."""
    ids = [s.id for s in plan[0].steps]
    return 3 * ids.index("data:old-new/recreate:db") + 2


def test_a_forced_way_back_that_is_cut_off_goes_on_to_the_beginning(tmp_path: Path) -> None:
    """The consent stands in the journal: the life that ends it was not asked again."""
    for point in range(1, 200):
        base = tmp_path / f"{point}"
        base.mkdir()
        world = new_data_world(base)
        original, plan = contents(world.root / "old"), (stage_of(world, switch()),)
        _die(world, base / "j", plan, "journal-after", 3 * len(plan[0].steps))
        lines = len(read_journal(base / "j"))
        journal = MortalJournal(base / "j")
        journal.kill_at, journal.after = lines + 1 + point, True
        runner = Runner(journal, plan, load_kinds(), world.context(), Quiet(), Options(lossy=True))
        runner.turn("taken back by force")
        try:
            runner.forward()
            assert point > 6, "it has more than six points"
            break
        except Killed:
            journal.close()
        outcome = _recover(world, base / "j", plan, resume=False)
        assert outcome is not None and outcome.name == "rolled-back", (point, outcome)
        assert world.now() == OLD and contents(world.root / "old") == original, point
        assert world.fenced("new"), point


def test_a_consent_that_comes_after_the_turn_counts(tmp_path: Path) -> None:
    world = new_data_world(tmp_path)
    plan = (stage_of(world, switch()),)
    _die(world, tmp_path / "j", plan, "journal-after", 3 * len(plan[0].steps) - 1)
    journal = Journal(tmp_path / "j")
    Runner(journal, plan, load_kinds(), world.context(), Quiet(), Options()).turn("failed")
    journal.close()
    outcome = _recover(world, tmp_path / "j", plan, resume=False, lossy=True)
    assert outcome is not None and outcome.name == "rolled-back" and world.now() == OLD
    turns = [e.data["kept"] for e in read_journal(tmp_path / "j") if e.phase is Phase.TURN]
    assert turns == ["data:old-new", None]


def test_a_cancel_that_comes_too_late_still_lets_everyone_in(tmp_path: Path) -> None:
    world = new_data_world(tmp_path)
    plan = (stage_of(world, switch(writers=None)),)
    _die(world, tmp_path / "j", plan, "journal-after", 3 * [s.opens for s in plan[0].steps].index(True) + 1)
    journal = Journal(tmp_path / "j")
    journal.write(Phase.ANSWER, request="cancel", accepted=True, text="")
    journal.close()
    outcome = run(world, tmp_path / "j", plan)
    # Not partial: Compose was not asked yet what it would touch.
    assert outcome is not None and outcome.name == "failed" and outcome.standing and world.now() == NEW
    assert RunView(read_journal(tmp_path / "j")).last("data:old-new/release") is Phase.VERIFIED


def test_unconfirmed_data_goes_back_because_its_writers_stayed_stopped(tmp_path: Path) -> None:
    world = new_data_world(tmp_path)
    original = contents(world.root / "old")
    started: list[str] = []
    world.on_start = lambda name: started.append(world.named())
    outcome = run(world, tmp_path / "j", (stage_of(world, switch()),), confirm_within_s=5.0,
                  boot_time=lambda: world.clock, boot_id="b")  # fmt: skip
    assert outcome is not None and outcome.name == "rolled-back" and "not confirmed" in outcome.reason
    assert started == ["old"] and world.now() == OLD
    whole(world, original)


def test_confirmed_data_lets_its_writers_in(tmp_path: Path) -> None:
    world = new_data_world(tmp_path)
    original, plan = contents(world.root / "old"), (stage_of(world, switch()),)
    journal = Journal(tmp_path / "j")
    options = Options(confirm_within_s=5.0, boot_time=lambda: world.clock, boot_id="b")
    outcome = Runner(journal, plan, load_kinds(), world.context(), WhenAwaited(journal), options).forward()
    journal.close()
    assert outcome is None and world.now() == NEW
    order = [
        e.phase for e in read_journal(tmp_path / "j") if e.phase is Phase.CONFIRMED or e.step == plan[0].steps[-1].id
    ]
    assert order[0] is Phase.CONFIRMED and len(order) > 1
    whole(world, original)


def test_a_timer_does_not_take_back_what_was_written_by_a_writer_that_someone_started(tmp_path: Path) -> None:
    world = new_data_world(tmp_path)
    original, plan = contents(world.root / "old"), (stage_of(world, switch()),)

    def tick() -> float:
        world.api = replace(world.api, state="running")
        return world.clock

    outcome = run(world, tmp_path / "j", plan, confirm_within_s=5.0, boot_time=tick, boot_id="b")
    assert outcome is not None and outcome.name == "partial" and outcome.kept == plan[0].id
    assert world.now() == NEW
    whole(world, original)


def test_a_writer_that_does_not_come_up_takes_no_data_back(tmp_path: Path) -> None:
    world = new_data_world(tmp_path)
    original, plan = contents(world.root / "old"), (stage_of(world, switch()),)

    def refuse(name: str) -> None:
        raise OSError("no such image")

    world.on_start = refuse
    outcome = run(world, tmp_path / "j", plan)
    assert outcome is not None and outcome.name == "partial" and "no such image" in outcome.reason
    assert world.now()[:3] == ("new", "new", "exited")
    whole(world, original)


def test_what_lies_before_a_commit_point_stands_when_the_next_one_fails(tmp_path: Path) -> None:
    world = new_data_world(tmp_path)
    original = contents(world.root / "old")
    first = stage_of(world, switch())
    second = stage_of(world, switch("third", "new"), b"volume=new \n")
    (world.root / "third").mkdir()
    (world.root / "third" / "other").write_text("someone's")
    outcome = run(world, tmp_path / "j", (first, second))
    assert outcome is not None and outcome.name == "partial" and outcome.kept == first.id
    assert "not empty" in outcome.reason and world.now() == NEW
    whole(world, original)


def test_a_reversible_stage_before_a_failed_switch_goes_back_with_it(tmp_path: Path) -> None:
    world = new_data_world(tmp_path)
    (world.root / "new").mkdir()
    (world.root / "new" / "other").write_text("someone's")
    settings = Stage("settings", tuple(s for s in stages(world)[0].steps if s.kind == "env"), ())
    outcome = run(world, tmp_path / "j", (settings, stage_of(world, switch())))
    assert outcome is not None and outcome.name == "rolled-back"
    assert world.now() == OLD and (world.root / "new" / "other").read_text() == "someone's"


def test_where_writers_cannot_be_held_a_failure_after_the_switch_is_told_and_not_undone(tmp_path: Path) -> None:
    world = new_data_world(tmp_path)
    plan = (stage_of(world, switch(writers=None)),)
    world.serving_reason = "no answer"
    outcome = run(world, tmp_path / "j", plan)
    assert outcome is not None and outcome.name == "failed" and "db" in outcome.standing
    assert world.named() == "new" and world.fenced("old")
    world.serving_reason = None
    again = _recover(world, tmp_path / "j", plan, resume=False, lossy=True)
    assert again is not None and again.name == "rolled-back" and world.now()[:2] == ("old", "old")
    assert world.fenced("new")


def test_taken_back_by_consent_the_new_copy_is_kept_with_what_was_written(tmp_path: Path) -> None:
    world = new_data_world(tmp_path)
    original, plan = contents(world.root / "old"), (stage_of(world, switch()),)
    assert run(world, tmp_path / "j", plan) is None
    world.write_row()
    later = (world.root / "new" / "rows").read_text()
    journal = Journal(tmp_path / "j")
    runner = Runner(journal, plan, load_kinds(), world.context(), Quiet(), Options())
    assert runner.backward(runner.own_items(), "asked").name == "rolled-back"
    assert world.now() == OLD and (world.root / "new" / "rows").read_text() == later
    kept = [(a.name, str(a.state)) for a in world.context().artefacts.list()]
    assert kept == [("new", "made")]
    whole(world, original)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda old: (old / "late").write_text("x"), "was written to after it was copied"),
        (lambda old: (old / "base" / "1").write_text("x"), "was written to after it was copied"),
    ],
)
def test_a_source_that_moved_after_the_copy_is_not_left_behind(
    tmp_path: Path, spoil: Callable[[Path], object], why: str
) -> None:
    world = new_data_world(tmp_path)
    original_write = world.write

    def write(path: str, content: bytes, **more: object) -> None:
        original_write(path, content, **more)  # type: ignore[arg-type]
        spoil(world.root / "old")

    world.write = write  # type: ignore[method-assign]
    outcome = run(world, tmp_path / "j", (stage_of(world, switch()),))
    assert outcome is not None and outcome.name == "rolled-back" and why in outcome.reason
    assert world.now() == OLD and (world.root / "old" / CONTROL).exists()


def test_a_full_disk_is_seen_before_anything_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = new_data_world(tmp_path)
    monkeypatch.setattr("nftui.system.trees.LocalTrees.room", lambda self, path: (10, 10))
    outcome = run(world, tmp_path / "j", (stage_of(world, switch()),))
    assert outcome is not None and "10 bytes" in outcome.reason
    assert world.effects == [] and world.now() == OLD and not (world.root / "new").exists()


@pytest.mark.parametrize("target", ["volume", "directory", "there"])
def test_room_is_looked_for_on_the_disk_that_takes_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """A volume may be bound to a directory of another disk by its options: a new one lies with the engine's others."""
    world, root, beside = new_data_world(tmp_path), str(tmp_path / "engine"), str(tmp_path / "beside")
    monkeypatch.setattr(world, "volumes_root", lambda: root)
    asked: list[str] = []

    def room(self: object, path: str) -> tuple[int, int]:
        asked.append(path)
        return (10, 10)

    monkeypatch.setattr("nftui.system.trees.LocalTrees.room", room)
    if target == "there":
        (world.root / "new").mkdir()
    (step,) = [s for s in stage_of(world, switch()).steps if s.kind == "data-check"]
    place = {"type": "directory", "path": beside} if target == "directory" else {"type": "volume", "name": "new"}
    with pytest.raises(StepFailed, match="has 10 bytes"):
        DataCheckKind().verify(replace(step, params={**step.params, "target": place}), {}, world.context())
    assert asked == [{"volume": root, "directory": beside, "there": str(world.root / "new")}[target]]


@pytest.mark.parametrize("needed", [True, False])
def test_a_place_without_the_data_is_seen_before_anything_stops(tmp_path: Path, needed: bool) -> None:
    """A server that was told to keep it elsewhere: what lies here is none of it, a copy would bring nothing back."""
    world = new_data_world(tmp_path)
    fence = {"path": "app.db", "block": "directory"} | ({"needed": "yes"} if needed else {})
    outcome = run(world, tmp_path / "j", (stage_of(world, replace(switch(), fence=fence)),))
    assert (outcome is not None and "holds no app.db" in outcome.reason) == needed
    assert not needed or not [e for e in world.effects if e.startswith(("stop", "up"))]


def test_a_copy_that_differs_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = new_data_world(tmp_path)
    copied = DataWorld.create_volume

    def lose(self: DataWorld, name: str, labels: dict[str, str]) -> str:
        place = copied(self, name, labels)
        monkeypatch.setattr("nftui.system.trees._xattrs", lambda full: ("user.x", b"") if "new" in full else ())
        return place

    monkeypatch.setattr(DataWorld, "create_volume", lose)
    monkeypatch.setattr("nftui.system.trees._attributes", lambda place, entry: None)
    outcome = run(world, tmp_path / "j", (stage_of(world, switch()),))
    assert outcome is not None and "differs in" in outcome.reason
    assert world.now() == OLD and not (world.root / "new").exists()
    assert ENV in world.files
