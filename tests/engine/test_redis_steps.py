"""The step kinds of Redis under fault: every crash point ends old or new, with every key; every refusal goes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nftui.engine.journal import Journal, Phase, read_journal
from nftui.engine.runner import Options, Outcome, Runner
from nftui.steps import load_kinds
from tests.engine.mortal import die_at
from tests.engine.redis_world import RedisWorld, redis_stages, redis_world
from tests.engine.test_runner import Quiet

ALL = frozenset({"a", "b", "c"})


def runner(world: RedisWorld, journal: Journal) -> Runner:
    return Runner(journal, redis_stages(world), load_kinds(), world.context(), Quiet(), Options())


def run(world: RedisWorld, path: Path, make: Callable[[Path], Journal] = Journal) -> Outcome | None:
    journal = make(path)
    try:
        return runner(world, journal).forward()
    finally:
        journal.close()


def take_back(world: RedisWorld, path: Path) -> Outcome:
    journal = Journal(path)
    try:
        driver = runner(world, journal)
        return driver.backward(driver.own_items(), "asked")
    finally:
        journal.close()


def test_everything_in_memory_is_there_after_the_restart_and_after_the_way_back(tmp_path: Path) -> None:
    world = redis_world(tmp_path)
    old = world.state()
    assert run(world, tmp_path / "j") is None
    assert world.memory == ALL and world.config["appendonly"] == "yes"
    world.memory |= {"written since"}
    assert take_back(world, tmp_path / "j").name == "rolled-back"
    assert world.memory == ALL | {"written since"}
    assert world.state()[1:2] == old[1:2] and world.state()[0] == old[0]


def test_a_log_that_nobody_writes_any_more_does_not_come_back(tmp_path: Path) -> None:
    world = redis_world(tmp_path)
    assert run(world, tmp_path / "j") is None and (world.place / "appendonlydir").exists()
    take_back(world, tmp_path / "j")
    assert [p.name for p in world.place.iterdir()] == ["appendonlydir.nftui-run"]
    notes = [e.data["text"] for e in read_journal(tmp_path / "j") if e.phase is Phase.NOTE]
    assert any("appendonlydir.nftui-run" in str(note) for note in notes)


def test_a_log_of_the_operators_own_stays(tmp_path: Path) -> None:
    world = redis_world(tmp_path)
    (world.place / "appendonlydir").mkdir()
    assert run(world, tmp_path / "j") is None
    take_back(world, tmp_path / "j")
    assert [p.name for p in world.place.iterdir()] == ["appendonlydir"]


@pytest.mark.parametrize(
    ("broken", "why"),
    [("rewrite", "aof_last_bgrewrite_status is err"), ("inert", "could not be written: it is off"),
     ("forgets", "0 of the 3 keys")],
)  # fmt: skip
def test_what_does_not_come_to_what_was_promised_is_taken_back(tmp_path: Path, broken: str, why: str) -> None:
    world = redis_world(tmp_path)
    old, world.broken = world.state(), broken
    outcome = run(world, tmp_path / "j")
    assert outcome is not None and outcome.name == "rolled-back" and why in outcome.reason
    assert world.state()[:2] == old[:2]
    # A server that forgot them all had them on the disk: the snapshot of its last clean stop was not touched before.
    assert world.memory == (ALL if broken != "forgets" else frozenset())
    assert ("up db" in world.effects) is (broken == "forgets")


def test_a_disk_that_does_not_hold_the_log_is_told_before_anything_is_changed(tmp_path: Path) -> None:
    world = redis_world(tmp_path)
    old, world.used = world.state(), 2**60
    outcome = run(world, tmp_path / "j")
    assert outcome is not None and "needs up to 1048576 TiB" in outcome.reason
    assert world.state() == old and "CONFIG SET appendonly yes" not in world.effects


def test_a_rewrite_that_never_ends_is_told_of_after_its_stall_time(tmp_path: Path) -> None:
    world = redis_world(tmp_path)
    world.polls = 10**6
    outcome = run(world, tmp_path / "j")
    assert world.clock >= 30 and outcome is not None and "it is being written" in outcome.reason
    assert world.config["appendonly"] == "no"


WHERE = ["journal-before", "journal-after", "effect-before", "effect-after"]


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("where", WHERE)
def test_every_crash_point_ends_old_or_new_with_every_key(tmp_path: Path, where: str, resume: bool) -> None:
    whole = redis_world(tmp_path / "whole")
    assert run(whole, tmp_path / "whole" / "j") is None
    lines, effects = len(list(read_journal(tmp_path / "whole" / "j"))), len(whole.effects)
    assert effects >= 3, "the effects are no longer counted"
    for point in range(1, (lines if where.startswith("journal") else effects) + 1):
        base = tmp_path / f"{where}{point}{resume}"
        world = redis_world(base)
        old = world.state()
        die(world, base, where, point)
        bring_back(world, base / "j", resume)
        assert world.memory == ALL, (where, point)
        new = (whole.files, whole.state()[1], ALL, True)
        assert world.state() == (new if resume else old), (where, point)


def die(world: RedisWorld, base: Path, where: str, point: int) -> None:
    die_at(world, where, point, lambda make: run(world, base / "j", make))


def bring_back(world: RedisWorld, path: Path, resume: bool) -> None:
    journal = Journal(path)
    following = runner(world, journal)
    if not resume and not following.view.turned:
        journal.write(Phase.TURN, reason="recovery")
    outcome = following.forward()
    assert outcome is None or outcome.name == "rolled-back", outcome
    journal.close()
