"""A Redis that goes to another version: saved, counted, cut off anywhere; and fences for what a server loads."""

from __future__ import annotations

from pathlib import Path

import pytest

from nftui.engine.journal import read_journal
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.steps.copy import CopyKind
from nftui.steps.fence import FenceKind, LiftKind
from nftui.steps.kind import Found
from tests.engine.data_world import contents
from tests.engine.redis_data_world import RedisDataWorld, new_redis_world, redis_stage
from tests.engine.test_data_switch import NEW, OLD, WHERE, _die, _recover, run, whole


def test_it_is_saved_after_its_writers_and_counted_before_them(tmp_path: Path) -> None:
    world = new_redis_world(tmp_path)
    original = contents(world.root / "old")
    assert run(world, tmp_path / "j", (redis_stage(world),)) is None
    assert world.now() == NEW
    order = [e for e in world.effects if e in ("stop a1", "save", "stop c1", "up db", "start a1")]
    assert order == ["stop a1", "save", "stop c1", "up db", "start a1"]
    assert world.asked[-1] == "INFO keyspace"
    whole(world, original)


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ({"db0": (7, 0)}, "lacks keys: db0 7 of 10"), ({"db3": (0, 0)}, "lacks keys: db3 0 of 1"),
        ({"db0": (8, 0)}, ""), ({"db0": (12, 2)}, ""),
    ],
)  # fmt: skip
def test_keys_that_are_gone_take_it_back_but_for_those_that_pass(
    tmp_path: Path, lost: dict[str, tuple[int, int]], words: str
) -> None:
    world = new_redis_world(tmp_path)
    world.lost = lost
    outcome = run(world, tmp_path / "j", (redis_stage(world),))
    if words:
        assert outcome is not None and outcome.name == "rolled-back" and words in outcome.reason and world.now() == OLD
    else:
        assert outcome is None and world.now() == NEW


def test_a_save_that_fails_stops_nothing(tmp_path: Path) -> None:
    world = new_redis_world(tmp_path)
    world.status = "err"
    outcome = run(world, tmp_path / "j", (redis_stage(world),))
    assert outcome is not None and "could not save" in outcome.reason and world.now() == OLD
    assert "stop c1" not in world.effects


@pytest.mark.parametrize(
    ("how", "words"),
    [({"saves": False, "status": "err"}, "its log says why"), ({"error": "NOPERM no rights"}, "NOPERM no rights")],
)
def test_a_save_that_fails_or_is_refused_keeps_nobody_waiting(
    tmp_path: Path, how: dict[str, object], words: str
) -> None:
    """Its writers are held meanwhile, and the step may stand still for long."""
    world = new_redis_world(tmp_path)
    for name, value in how.items():
        setattr(world, name, value)
    began = world.clock
    outcome = run(world, tmp_path / "j", (redis_stage(world),))
    assert outcome is not None and words in outcome.reason and world.now() == OLD
    assert "could not save" in outcome.reason and "stop c1" not in world.effects
    assert world.clock - began < 30


def test_a_save_that_gets_on_may_take_longer_than_one_that_stands_still(tmp_path: Path) -> None:
    world = new_redis_world(tmp_path)
    world.takes_s = 500.0
    assert run(world, tmp_path / "j", (redis_stage(world),)) is None
    assert world.now() == NEW and world.clock > 500


@pytest.mark.parametrize("where", WHERE)
def test_every_crash_point_ends_old_or_new(tmp_path: Path, where: str) -> None:
    (tmp_path / "c").mkdir()
    world = new_redis_world(tmp_path / "c")
    run(world, tmp_path / "c" / "j", (redis_stage(world),))
    lines, effects = len(read_journal(tmp_path / "c" / "j")), len(world.effects)
    for point in range(1, (lines if where.startswith("journal") else effects) + 1):
        base = tmp_path / f"{point}"
        base.mkdir()
        world = new_redis_world(base)
        original, plan = contents(world.root / "old"), (redis_stage(world),)
        _die(world, base / "j", plan, where, point)
        assert _recover(world, base / "j", plan, resume=point % 2 == 0) is None or world.now() in (OLD, NEW)
        assert world.now() in (OLD, NEW), (where, point)
        whole(world, original)


# -- fences ----------------------------------------------------------------------------------------------------------
FILE = {"path": "appendonly.aof", "block": "directory", "later_path": "appendonlydir", "later_block": "file"}
FOLDER = {"path": "appendonlydir", "block": "file"}


@pytest.fixture
def world(tmp_path: Path) -> RedisDataWorld:
    return new_redis_world(tmp_path)


def _step(world: RedisDataWorld, fence: dict[str, str], name: str = "old") -> StepSpec:
    place = {"type": "volume", "name": name}
    return StepSpec("x", "fence", name, {"place": place, "authority": place, "fence": fence, "dataset": "d"}, msg("x"))


def _parts(place: Path) -> None:
    (place / "appendonlydir").mkdir(parents=True)
    (place / "appendonlydir" / "appendonly.aof.1.base.rdb").write_text("base")


def test_a_directory_is_fenced_by_a_file_in_its_place(world: RedisDataWorld) -> None:
    place, ctx, kind = world.root / "old", world.context(), FenceKind()
    world.container = None
    _parts(place)
    step = _step(world, FOLDER)
    before = {"fingerprint": ctx.trees.facts(str(place)).fingerprint}
    assert kind.classify(step, before, ctx) is Found.BEFORE
    for _ in range(2):
        kind.do(step, before, ctx)
    assert (place / "appendonlydir").is_file() and (place / "appendonlydir.nftui-fenced").is_dir()
    assert kind.classify(step, before, ctx) is Found.AFTER
    for _ in range(2):
        kind.undo(step, before, ctx)
    assert (place / "appendonlydir" / "appendonly.aof.1.base.rdb").read_text() == "base"
    assert not (place / "appendonlydir.nftui-fenced").exists()


def test_what_a_newer_server_made_of_its_file_is_closed_as_well(world: RedisDataWorld) -> None:
    """Redis 7 moves the append-only file of 6 into a directory: that is what has to be closed by then."""
    place, ctx, kind = world.root / "new", world.context(), LiftKind()
    world.container = None
    _parts(place)
    step = _step(world, FILE, "new")
    for _ in range(2):
        kind.undo(step, {}, ctx)
        assert (place / "appendonlydir").is_file() and (place / "appendonly.aof").is_dir()
        assert (place / "appendonlydir.nftui-fenced" / "appendonly.aof.1.base.rdb").read_text() == "base"


def test_a_copy_of_a_fenced_directory_is_equal_and_opens(world: RedisDataWorld) -> None:
    source, ctx, kind = world.root / "old", world.context(), CopyKind()
    _parts(source)
    places = {"source": {"type": "volume", "name": "old"}, "target": {"type": "volume", "name": "new"}}
    step = StepSpec("s", "copy", "new", {**places, "fence": FOLDER, "dataset": "d"}, msg("x"))
    before = kind.read(step, ctx)
    kind.do(step, before, ctx)
    kind.verify(step, before, ctx)
    new = world.root / "new"
    assert (new / "appendonlydir").is_file() and (new / "appendonlydir.nftui-fenced").is_dir()
    LiftKind().do(_step(world, FOLDER, "new"), {}, ctx)
    assert (new / "appendonlydir" / "appendonly.aof.1.base.rdb").read_text() == "base"
