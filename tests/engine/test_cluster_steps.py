"""A cluster in the place of one server, under fault: at every crash point no promised write is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nftui.engine.crossing import authorities
from nftui.engine.journal import Journal, Phase, RunView, read_journal
from nftui.engine.runner import Options, Outcome, Runner
from nftui.steps import load_kinds
from tests.engine.cluster_world import FOREVER, ClusterWorld, cluster_stages, new_cluster_world
from tests.engine.lives import live, turn_back
from tests.engine.mortal import die_at
from tests.engine.test_runner import Quiet

WHERE = ["journal-before", "journal-after", "effect-before", "effect-after"]
SHARE = 5
"""Of the points, taken here: every fifth, by an offset that differs for each way of dying."""


def run(world: ClusterWorld, path: Path, make: Callable[[Path], Journal] = Journal) -> Outcome | None:
    return live(world, cluster_stages(world), path, make)


def is_old(world: ClusterWorld, old: tuple[object, ...]) -> None:
    """As before, with every key that was there and every promised write."""
    now = world.state()
    assert now == old, now
    assert world.promised <= set(world.db.keys)
    assert {k: world.db.keys[k] for k in (b"text", b"soon", b"\xff\x00")} == {
        b"text": (b"t", FOREVER), b"soon": (b"s", 10**15), b"\xff\x00": (b"\xfe", FOREVER),
    }  # fmt: skip


def is_new(world: ClusterWorld) -> None:
    """The app runs on the cluster, which has everything; the server is closed."""
    assert world.db.closed == "1000" and world.found["api"].running and world.found["api"].config_hash == "api:True"
    assert world.promised | {b"text", b"soon", b"\xff\x00"} <= set(world.all_keys())


def test_the_keys_go_there_and_come_back_with_what_was_written(tmp_path: Path) -> None:
    world = new_cluster_world(tmp_path)
    old = world.state()
    assert run(world, tmp_path / "j") is None
    is_new(world)
    view = RunView(read_journal(tmp_path / "j"))
    told = authorities((s, view.last(s.id)) for stage in cluster_stages(world) for s in stage.steps)
    assert [(a.dataset, a.whole, a.other) for a in told] == [("db-keys", "the nodes", "db")]
    world.owner(b"text").keys[b"text"] = (b"changed", FOREVER)
    world.owner(b"soon").keys.pop(b"soon")
    for number in range(200):
        key = b"later:%d" % number
        world.owner(key).take(key, b"l")
        world.promised.add(key)
    outcome = turn_back(world, cluster_stages(world), tmp_path / "j")
    assert outcome is not None and outcome.name == "rolled-back", outcome
    assert world.state() == old and world.promised <= set(world.db.keys)
    assert world.db.keys[b"text"] == (b"changed", FOREVER) and b"soon" not in world.db.keys


@pytest.mark.parametrize(
    ("broken", "why"),
    [("open", "still takes writes"), ("failing", "answers a write with MISCONF"),
     ("loses", "1 keys differ"), ("apart", "knows 1 of 6 nodes")],
)  # fmt: skip
def test_what_does_not_come_to_what_was_promised_is_taken_back(tmp_path: Path, broken: str, why: str) -> None:
    world = new_cluster_world(tmp_path)
    old, world.broken = world.state(), broken
    outcome = run(world, tmp_path / "j")
    assert outcome is not None and why in outcome.reason, outcome
    assert outcome.name == "rolled-back"
    is_old(world, old)


def test_a_server_that_is_full_can_be_closed_and_moved(tmp_path: Path) -> None:
    """It refuses every write that takes memory, for that reason and before it looks at its replicas."""
    world = new_cluster_world(tmp_path)
    world.broken = "full"
    assert run(world, tmp_path / "j") is None
    is_new(world)


def test_a_range_that_another_project_took_meanwhile_says_what_to_do(tmp_path: Path) -> None:
    """The engine refuses the network before anything of the operator's is touched."""
    world = new_cluster_world(tmp_path)
    old, world.broken = world.state(), "taken"
    outcome = run(world, tmp_path / "j")
    assert outcome is not None and outcome.name == "rolled-back"
    assert "10.109.0.0/28 since this was planned" in outcome.reason and "Apply again" in outcome.reason
    assert not world.effects
    is_old(world, old)


def test_nodes_that_are_gone_stop_the_way_back_unless_it_is_forced(tmp_path: Path) -> None:
    """What was written to them would be lost: only the operator can consent to that; the volumes stay then."""
    world = new_cluster_world(tmp_path)
    assert run(world, tmp_path / "j") is None
    gone = world.found.pop("node-2")
    outcome = turn_back(world, cluster_stages(world), tmp_path / "j")
    assert outcome is not None and outcome.name == "failed" and world.db.closed == "0"
    assert not world.found["api"].running, "nobody writes to a server that lacks keys"
    assert turn_back(world, cluster_stages(world), tmp_path / "j", force=True).name == "rolled-back"  # type: ignore[union-attr]
    assert world.volume("v-node-1") and gone.service == "node-2"
    notes = [str(e.data["text"]) for e in read_journal(tmp_path / "j") if e.phase is Phase.NOTE]
    assert any("could not be carried back" in note for note in notes) and any("v-node-1" in note for note in notes)


def test_a_place_that_is_there_already_is_not_used(tmp_path: Path) -> None:
    world = new_cluster_world(tmp_path)
    world.create_volume("v-node-3", {})
    outcome = run(world, tmp_path / "j")
    assert outcome is not None and outcome.name == "rolled-back" and "v-node-3 is there already" in outcome.reason
    assert world.volume("v-node-3") and not world.ranges


def _points(base: Path, where: str) -> int:
    world = new_cluster_world(base)
    run(world, base / "j")
    return len(read_journal(base / "j")) if where.startswith("journal") else len(world.effects)


def _die(world: ClusterWorld, path: Path, where: str, point: int) -> None:
    die_at(world, where, point, lambda make: run(world, path, make))


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("where", WHERE)
def test_every_crash_point_loses_nothing(tmp_path: Path, where: str, resume: bool) -> None:
    (tmp_path / "c").mkdir()
    for point in range(1 + WHERE.index(where) % SHARE, _points(tmp_path / "c", where) + 1, SHARE):
        base = tmp_path / f"{point}"
        base.mkdir()
        world = new_cluster_world(base)
        old = world.state()
        _die(world, base / "j", where, point)
        if resume:
            assert run(world, base / "j") is None, (where, point)
            is_new(world)
        else:
            outcome = turn_back(world, cluster_stages(world), base / "j")
            assert outcome is not None and outcome.name == "rolled-back", (where, point, outcome)
            is_old(world, old)


@pytest.mark.parametrize("where", WHERE)
def test_a_way_back_that_is_cut_off_loses_nothing(tmp_path: Path, where: str) -> None:
    """From where all stands and the app has written to the cluster."""
    for point in range(1 + WHERE.index(where) % SHARE, 400, SHARE):
        base = tmp_path / f"{point}"
        base.mkdir()
        world = new_cluster_world(base)
        old = world.state()
        assert run(world, base / "j") is None
        for key in (b"later:1", b"later:2", b"later:3"):
            world.owner(key).take(key, b"l")
            world.promised.add(key)
        lines, effects = len(read_journal(base / "j")), len(world.effects)
        journal = Journal(base / "j")
        Runner(journal, cluster_stages(world), load_kinds(), world.context(), Quiet(), Options()).turn("asked")
        journal.close()
        try:
            _die(world, base / "j", where, point + (lines + 1 if where.startswith("journal") else effects))
        except pytest.fail.Exception:
            assert point > 20, "it has more points"
            break
        outcome = turn_back(world, cluster_stages(world), base / "j")
        assert outcome is not None and outcome.name == "rolled-back", (where, point, outcome)
        is_old(world, old)
