"""A Redis that still loads its data is waited for, as long as it gets on; and keys that end while they are copied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.probes import redis_state
from nftui.steps import gate
from nftui.steps.comparators import COMPARATORS
from nftui.steps.kind import StepFailed
from nftui.steps.redis import RedisLogKind, RedisSettingsKind
from nftui.steps.redis_handover import RedisCloseKind
from nftui.steps.redis_keys import Keys, copy, of_server
from nftui.steps.redis_save import RedisSaveKind
from tests.engine.cluster_world import ClusterWorld, Server, Session, new_cluster_world
from tests.engine.redis_world import RedisWorld, redis_world
from tests.engine.test_redis_steps import ALL, run, take_back
from tests.engine.world import new_world
from tests.redis.standin import LOADING, standing_in


# -- the steps -----------------------------------------------------------------------------------------------------
def test_the_way_back_waits_for_a_server_that_comes_up(tmp_path: Path) -> None:
    world = redis_world(tmp_path)
    assert run(world, tmp_path / "j") is None
    world.loads = 500
    assert take_back(world, tmp_path / "j").name == "rolled-back"
    assert world.memory == ALL and world.config["appendonly"] == "no" and world.clock >= 240


STEP = StepSpec("x", "x", "db", {"expected": {}, "previous": {"appendonly": "no"}, "log": None}, msg("x"), "db")
Act = Callable[[RedisWorld], object]
LOG, SETTINGS = RedisLogKind(), RedisSettingsKind()
BEFORE: dict[str, object] = {"appendonly": "no", "save": "", "ids": [], "lasting": None}
ACTS: dict[str, Act] = {
    "read": lambda w: LOG.read(STEP, w.context()), "log undo": lambda w: LOG.undo(STEP, BEFORE, w.context()),
    "classify": lambda w: LOG.classify(STEP, BEFORE, w.context()),
    "verify": lambda w: SETTINGS.verify(STEP, BEFORE, w.context()),
    "settings undo": lambda w: SETTINGS.undo(STEP, BEFORE, w.context()),
}  # fmt: skip


@pytest.mark.parametrize("act", ACTS)
def test_each_part_waits_and_one_that_stands_still_is_told(tmp_path: Path, act: str) -> None:
    world = redis_world(tmp_path)
    world.up("db", scale=1, grace_s=1)
    world.loads = 400
    ACTS[act](world)
    assert world.clock >= 199 and not world.loads
    world.loads, world.gets_on = 10**6, False
    with pytest.raises(StepFailed, match="db does not get on with loading"):
        ACTS[act](world)


def test_keys_are_asked_for_once_they_are_there(tmp_path: Path) -> None:
    world = new_cluster_world(tmp_path)
    ctx, step = world.context(), StepSpec("s", "s", "db", {}, msg("s"), "db")
    for act in (
        lambda: list(_scan(world)), lambda: RedisCloseKind().read(step, ctx),
        lambda: RedisSaveKind().verify(step, {}, ctx),
    ):  # fmt: skip
        world.loads = 3
        act()
        assert not world.loads


def _scan(world: ClusterWorld) -> list[list[bytes]]:
    with of_server("db", world.context()) as keys:
        return list(keys.scan())


# -- the gate ------------------------------------------------------------------------------------------------------
def test_a_server_that_gets_on_is_waited_for_and_one_that_does_not_is_not(tmp_path: Path) -> None:
    step = StepSpec("recreate", "recreate", "db", {}, msg("r"), "db", stall_s=2.0)
    left = [f"loading ({part} %)" for part in range(50)]
    world = new_world(tmp_path)
    gate.wait_serving(step, {"scale": 1}, world.context(serving=lambda name: left.pop(0) if left else None))
    assert world.clock > 5
    for said in (["loading"], ["one", "other"]):
        told = said * 500
        with pytest.raises(StepFailed, match="did not come back"):
            gate.wait_serving(step, {"scale": 1}, new_world(tmp_path).context(serving=lambda name: told.pop()))  # noqa: B023


# -- the stop ------------------------------------------------------------------------------------------------------
def test_a_stop_waits_for_a_log_that_is_still_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped while it loads it writes no snapshot, and may be started without its log then."""
    paused = list[float]()
    monkeypatch.setattr("time.sleep", paused.append)
    with standing_in(says=LOADING, loading=["1", "1", "0"], config={"appendonly": "yes", "save": ""}) as server:
        redis_state.save_at_stop(server.service, None)
        assert len(paused) == 2
    with standing_in(says=LOADING, loading=["1", "0"], config={"appendonly": "no", "save": ""}) as server:
        redis_state.save_at_stop(server.service, None)
        assert len(paused) == 2, "a snapshot is whole on the disk"


def test_what_a_node_sees_while_it_loads_is_not_known() -> None:
    from nftui.model.advice import Assertion
    from nftui.model.facts import Live
    from nftui.model.redis import RedisFacts

    facts = RedisFacts("7", mode="cluster", loading=True)
    node = Assertion("redis-node", "n", "whole", {"service": "n", "name": "cluster"})
    read = COMPARATORS["redis-node"].read
    assert read(node, lambda service, probe: Live(probe, service, facts)) is None
    assert read(node, lambda service, probe: Live(probe, service, replace(facts, loading=False))) == "no cluster"


# -- keys that end -------------------------------------------------------------------------------------------------
class Ending(Session):
    """Keys whose time comes between the first question about them and the second."""

    def _key(self, server: Server, verb: bytes, *words: bytes) -> Any:
        found = super()._key(server, verb, *words)
        if verb in (b"DUMP", b"PEXPIRETIME") and words[0].startswith(b"soon"):
            server.keys.pop(words[0], None)
        return found


def test_a_key_that_ends_while_it_is_copied_does_not_live_for_ever(tmp_path: Path) -> None:
    world = new_cluster_world(tmp_path)
    world.db.keys[b"soon:2"] = (b"s", 10**15)
    world._make("node-1")
    world.nodes["node-1"] = Server("node-1")
    source = Keys("db", [Ending(world, "db")], lambda key: 0)
    target = Keys("node-1", [Session(world, "node-1")], lambda key: 0)
    assert copy(source, target, world.context()) == 2
    assert set(world.nodes["node-1"].keys) == {b"text", b"\xff\x00"}, "those that stay are all there"
