"""A collection on other shards, under fault: at every crash point everything is where the alias leads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nftui.engine.crossing import authorities
from nftui.engine.journal import Journal, Phase, RunView, read_journal
from nftui.engine.runner import Options, Outcome, Runner
from nftui.steps import load_kinds
from nftui.steps.kind import Found
from tests.engine.lives import live, turn_back
from tests.engine.mortal import die_at
from tests.engine.shards_world import ALIAS, CONFIG, NEW, OLD, ShardsWorld, new_shards_world, point, shards_stages
from tests.engine.test_runner import Quiet

WHERE = ["journal-before", "journal-after", "effect-before", "effect-after"]


def run(world: ShardsWorld, path: Path, make: Callable[[Path], Journal] = Journal) -> Outcome | None:
    return live(world, shards_stages(world), path, make)


def artefacts(world: ShardsWorld) -> list[str]:
    return [a.name for a in world.context().artefacts.list()]


def is_new(world: ShardsWorld) -> bool:
    """The app runs by the alias on the new collection, which has everything; the old one is kept."""
    spread = world.collections[NEW].config["params"]
    return (
        world.aliases == {ALIAS: NEW} and world.whole() and world.found["app"].running
        and (spread["shard_number"], spread["replication_factor"]) == (4, 2) and OLD in world.collections
        and sorted(artefacts(world)) == [f"q1/{OLD}", f"q1/{NEW}"]
    )  # fmt: skip


def test_a_collection_lies_on_other_shards_and_comes_back_with_what_was_written(tmp_path: Path) -> None:
    world = new_shards_world(tmp_path)
    old = world.state()
    assert [s.kind for s in shards_stages(world)[0].steps] == [
        "qdrant-shards", "hold", "qdrant-import", "qdrant-alias", "release",
    ]  # fmt: skip
    assert run(world, tmp_path / "j") is None
    assert is_new(world) and len(world.promised) > 3
    made = world.collections[NEW].config
    assert {k: v for k, v in made["params"].items() if not k.startswith(("shard", "repl"))} == {
        k: v for k, v in CONFIG["params"].items() if not k.startswith(("shard", "repl"))
    }
    assert made["hnsw_config"] == {"m": 24, "ef_construct": 100}, "as it was, but for what nobody set"
    assert [made[k] for k in ("quantization_config", "optimizer_config", "wal_config")] == [
        CONFIG[k] for k in ("quantization_config", "optimizer_config", "wal_config")
    ]
    assert world.collections[NEW].schema == {"k": "keyword"}
    view = RunView(read_journal(tmp_path / "j"))
    told = authorities((s, view.last(s.id)) for stage in shards_stages(world) for s in stage.steps)
    assert [(a.whole, a.other) for a in told] == [(f"q1/{NEW}", f"q1/{OLD}")]
    for _ in range(30):
        world.write()
    assert world.whole() and len(world.promised) > 8
    outcome = turn_back(world, shards_stages(world), tmp_path / "j")
    assert outcome is not None and outcome.name == "rolled-back", outcome
    assert world.state() == old and world.whole() and not artefacts(world)


@pytest.mark.parametrize(
    ("broken", "why"),
    [("forgets", "docs-s4r2 did not take quantization_config.scalar.type"),
     ("drops", "points of docs and docs-s4r2 differ"), ("stranger", "was written to while its alias was switched"),
     ("blind", "q2 does not know that all leads to docs-s4r2"), ("unindexed", "has no index of k"),
     ("single", "has 4 whole replicas of 4; 4 shards x 2 were asked for")],
)  # fmt: skip
def test_what_does_not_come_to_what_was_promised_is_taken_back(tmp_path: Path, broken: str, why: str) -> None:
    world = new_shards_world(tmp_path)
    old, world.broken = world.state(), broken
    outcome = run(world, tmp_path / "j")
    assert outcome is not None and outcome.name == "rolled-back" and why in outcome.reason, outcome
    assert world.state() == old and not artefacts(world)
    if broken == "stranger":
        assert world.collections[OLD].points.pop(999) == point(999), "what the stranger wrote stays"
    assert world.whole()


def test_what_was_written_to_both_is_not_guessed_at(tmp_path: Path) -> None:
    world = new_shards_world(tmp_path)
    assert run(world, tmp_path / "j") is None
    world.collections[OLD].points[998] = point(998)
    for _ in range(9):
        world.write()
    outcome = turn_back(world, shards_stages(world), tmp_path / "j")
    assert outcome is not None and outcome.name == "failed" and "neither has everything" in outcome.reason
    assert world.aliases == {ALIAS: NEW} and world.whole() and 998 in world.collections[OLD].points
    outcome = turn_back(world, shards_stages(world), tmp_path / "j", force=True)
    assert outcome is not None and outcome.name == "rolled-back"
    assert world.aliases == {ALIAS: OLD} and NEW in world.collections, "the new one stays with what was written to it"
    assert artefacts(world) == [f"q1/{NEW}"]


@pytest.mark.parametrize(("state", "why"), [("Dead", "0 is Dead"), ("Partial", "0 is Partial")])
def test_a_collection_that_is_not_whole_is_not_copied(tmp_path: Path, state: str, why: str) -> None:
    world = new_shards_world(tmp_path)
    world.collections[OLD].state = state
    world.collections[OLD].config["params"]["replication_factor"] = 2
    outcome = run(world, tmp_path / "j")
    assert outcome is not None and why in outcome.reason and NEW not in world.collections


def test_a_collection_that_no_thread_optimizes_is_not_copied(tmp_path: Path) -> None:
    world = new_shards_world(tmp_path)
    world.collections[OLD].config["optimizer_config"] = {"max_optimization_threads": 0}
    outcome = run(world, tmp_path / "j")
    assert outcome is not None and "The optimizers of docs are switched off" in outcome.reason
    assert NEW not in world.collections


def test_a_name_that_is_taken_is_not_written_over(tmp_path: Path) -> None:
    world = new_shards_world(tmp_path)
    world.collections[NEW] = mine = type(world.collections[OLD])(CONFIG, {1: point(1)})
    outcome = run(world, tmp_path / "j")
    assert outcome is not None and "is there already" in outcome.reason and world.collections[NEW] is mine


def test_an_alias_that_somebody_moved_is_left_alone(tmp_path: Path) -> None:
    world = new_shards_world(tmp_path)
    step = next(s for s in shards_stages(world)[0].steps if s.kind == "qdrant-alias")
    kind, ctx = load_kinds().of(step), world.context()
    before = {"digest": "", "copy": "", "kept": False, "mark": None}
    assert kind.classify(step, before, ctx) is Found.BEFORE
    world.aliases = {}
    assert kind.classify(step, before, ctx) is Found.PARTIAL
    world.aliases = {ALIAS: "else"}
    assert kind.classify(step, before, ctx) is Found.FOREIGN


def _points(base: Path, where: str) -> int:
    world = new_shards_world(base)
    run(world, base / "j")
    return len(read_journal(base / "j")) if where.startswith("journal") else len(world.effects)


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("where", WHERE)
def test_every_crash_point_loses_nothing(tmp_path: Path, where: str, resume: bool) -> None:
    (tmp_path / "c").mkdir()
    count = _points(tmp_path / "c", where)
    assert count >= 6
    for number in range(1, count + 1):
        base = tmp_path / f"{number}"
        base.mkdir()
        world = new_shards_world(base)
        old = world.state()
        die_at(world, where, number, lambda make, w=world, b=base: run(w, b / "j", make))  # type: ignore[misc]
        if resume:
            assert run(world, base / "j") is None, (where, number)
            assert is_new(world), (where, number)
        else:
            outcome = turn_back(world, shards_stages(world), base / "j")
            assert outcome is not None and outcome.name == "rolled-back", (where, number, outcome)
            assert world.state() == old and world.whole() and not artefacts(world), (where, number)


@pytest.mark.parametrize("where", WHERE)
def test_a_way_back_that_is_cut_off_loses_nothing(tmp_path: Path, where: str) -> None:
    """From where all stands and the app has written to the new collection."""
    for number in range(1, 200):
        base = tmp_path / f"{number}"
        base.mkdir()
        world = new_shards_world(base)
        old = world.state()
        assert run(world, base / "j") is None
        for _ in range(20):
            world.write()
        lines, effects = len(read_journal(base / "j")), len(world.effects)
        journal = Journal(base / "j")
        Runner(journal, shards_stages(world), load_kinds(), world.context(), Quiet(), Options()).turn("asked")
        journal.close()
        begun = number + (lines + 1 if where.startswith("journal") else effects)
        try:
            die_at(world, where, begun, lambda make, w=world, b=base: run(w, b / "j", make))  # type: ignore[misc]
        except pytest.fail.Exception:
            assert number > 5, "it has more points"
            break
        outcome = turn_back(world, shards_stages(world), base / "j")
        assert outcome is not None and outcome.name == "rolled-back", (where, number, outcome)
        assert world.state() == old and world.whole(), (where, number)
        assert Phase.UNDONE in {e.phase for e in read_journal(base / "j")}
