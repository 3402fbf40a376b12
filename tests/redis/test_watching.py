"""What Sentinels and their servers are asked, without an engine: what counts as in order, and whose word counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nftui.clients.redissentinel import problem
from nftui.model.advice import Assertion
from nftui.model.errors import NftuiError
from nftui.model.facts import Live
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.redis import SentinelFacts
from nftui.model.stack import Container
from nftui.steps.comparators import COMPARATORS
from nftui.steps.kind import StepFailed
from nftui.steps.redis_sentinel import RedisSentinelKind, present_master
from tests.engine.world import Killed, new_world
from tests.redis.test_sentinel import SENTINELS, SERVERS

MASTER = {"name": "cache", "ip": "cache-server-1", "flags": "master", "num-slaves": "1", "num-other-sentinels": "2"}
REPLICA = {"name": "r", "ip": "cache-server-2", "flags": "slave", "master-link-status": "ok"}


class Sentinel:
    """Answers as one whose view is given."""

    def __init__(self, master: dict[str, str], replica: dict[str, str] = REPLICA, *, quorum: bool = True) -> None:
        self.master, self.replica, self.quorum, self.error = master, replica, quorum, "NOQUORUM 1 usable"

    def ask(self, *words: str) -> Any:
        answers = {
            "GET-MASTER-ADDR-BY-NAME": [self.master["ip"], "6379"] if self.master else None,
            "MASTER": [word for pair in self.master.items() for word in pair] or None,
            "REPLICAS": [[word for pair in self.replica.items() for word in pair]],
            "CKQUORUM": "OK 3 usable" if self.quorum else None,
        }  # fmt: skip
        return answers[words[1]]

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    ("seen", "why"),
    [(Sentinel(MASTER), None), (Sentinel({}), "does not watch cache"),
     (Sentinel({**MASTER, "flags": "s_down,master"}), "cache-server-1 is s_down,master"),
     (Sentinel({**MASTER, "num-other-sentinels": "1"}), "1 other Sentinels"),
     (Sentinel({**MASTER, "num-slaves": "0"}), "0 replicas"),
     (Sentinel(MASTER, {**REPLICA, "flags": "s_down,slave"}), "cache-server-2 is s_down"),
     (Sentinel(MASTER, {**REPLICA, "master-link-status": "err"}), "link to the master err"),
     (Sentinel(MASTER, quorum=False), "NOQUORUM")],
)  # fmt: skip
def test_a_sentinel_that_answers_is_not_enough(seen: Sentinel, why: str | None) -> None:
    found = problem(seen, "cache")
    assert found is None if why is None else why in str(found)


class Group:
    """Two servers and three Sentinels, of which some do not answer; a failover is done at once, and logged."""

    def __init__(self, master: str = SERVERS[0], dead: tuple[str, ...] = (), copies: int = 1) -> None:
        self.master, self.dead, self.copies = master, dead, copies
        self.keys, self.log = dict[str, str](), list[str]()
        self.stuck, self.follower, self.dies_at = False, "online", 0

    def effect(self, line: str) -> None:
        """Done, and perhaps the last thing that this life does."""
        self.log.append(line)
        if len(self.log) == self.dies_at:
            raise Killed(line)

    def store(self, service: str) -> Any:
        if service in self.dead:
            raise NftuiError(msg("no way in"))
        return _Member(self, service)

    def containers(self) -> list[Container]:
        return [Container(n, n, n, 1, "running" if n not in self.dead else "exited", None, "i", "i")
                for n in (*SERVERS, *SENTINELS)]  # fmt: skip

    def stop(self, container_id: str, grace_s: int) -> None:
        self.dead = (*self.dead, container_id)
        self.effect(f"stop {container_id}")

    def start(self, container_id: str) -> None:
        self.dead = tuple(n for n in self.dead if n != container_id)
        self.effect(f"start {container_id}")


class _Member(Sentinel):
    def __init__(self, group: Group, name: str) -> None:
        super().__init__(MASTER)
        self.group, self.name = group, name

    def ask(self, *words: str) -> Any:
        other = next(n for n in SERVERS if n != self.group.master)
        self.master, self.replica = {**MASTER, "ip": self.group.master}, {**REPLICA, "ip": other}
        if words[:2] == ("SENTINEL", "FAILOVER"):
            if not self.group.stuck:
                self.group.master = other
            self.group.effect("failover")
            return "OK"
        if words[0] == "SENTINEL":
            return super().ask(*words)
        return getattr(self, f"_{words[0].lower()}")(*words[1:])

    def _info(self, section: str) -> str:
        if self.name != self.group.master:
            return "role:slave\r\n"
        return f"role:master\r\nslave0:ip=x,port=6379,state={self.group.follower},offset=1,lag=0\r\n"

    def _set(self, key: str, value: str, *rest: str) -> str:
        assert self.name == self.group.master
        self.group.keys[key] = value
        self.group.effect(f"write {self.name}")
        return "OK"

    def _wait(self, count: str, ms: str) -> int:
        return self.group.copies

    def _get(self, key: str) -> str | None:
        return self.group.keys.get(key)

    def _del(self, key: str) -> int:
        return 1 if self.group.keys.pop(key, None) else 0


WATCH = {"master": "cache", "servers": list(SERVERS), "sentinels": list(SENTINELS)}


def step(*, trial: bool, apart: bool = False) -> StepSpec:
    params = {"watch": WATCH, "trial": trial, "apart": apart}
    return StepSpec("s", "redis-sentinel", "cache", params, msg("ask"), stall_s=3.0)


def verify(tmp_path: Path, group: Group, *, trial: bool = False) -> Any:
    ctx = new_world(tmp_path).context(store=group.store, engine=group)
    return RedisSentinelKind().verify(step(trial=trial), {}, ctx)


def test_the_master_that_they_name_is_written_to_and_nothing_is_left(tmp_path: Path) -> None:
    group = Group(SERVERS[1])
    assert verify(tmp_path, group) == {"master": SERVERS[1]}
    assert group.log == [f"write {SERVERS[1]}"] and group.keys == {}


def test_the_trial_restarts_all_and_lets_each_be_the_master(tmp_path: Path) -> None:
    group = Group(dead=(SENTINELS[2],))
    assert verify(tmp_path, group, trial=True) == {"master": SERVERS[0]}
    stops = [line for line in group.log if line.startswith("stop")]
    assert stops == [f"stop {name}" for name in reversed((*SERVERS, *SENTINELS))]
    assert group.log.index(f"start {SERVERS[0]}") > group.log.index(stops[-1])
    assert [line for line in group.log if line.startswith(("write", "failover"))] == [
        f"write {SERVERS[0]}", f"write {SERVERS[0]}", "failover", f"write {SERVERS[1]}", "failover",
        f"write {SERVERS[0]}",
    ]  # fmt: skip
    moved = Group(SERVERS[1])
    assert verify(tmp_path, moved, trial=True) == {"master": SERVERS[0]}, "cut off in between, it begins elsewhere"


def test_a_trial_that_was_cut_off_anywhere_is_done_again_whole(tmp_path: Path) -> None:
    whole = Group()
    verify(tmp_path, whole, trial=True)
    for number in range(1, len(whole.log) + 1):
        group = Group()
        group.dies_at = number
        with pytest.raises(Killed):
            verify(tmp_path, group, trial=True)
        group.dies_at = 0
        assert verify(tmp_path, group, trial=True) == {"master": SERVERS[0]}, whole.log[number - 1]
        assert not group.dead and not group.keys


def test_what_is_amiss_fails_the_step(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="No replica has what is written"):
        verify(tmp_path, Group(copies=0))
    with pytest.raises(StepFailed, match="cache-sentinel-2: no way in"):
        verify(tmp_path, Group(dead=(SENTINELS[1],)))
    behind = Group()
    behind.follower = "send_bulk"
    with pytest.raises(StepFailed, match="no replica follows cache-server-1 yet"):
        verify(tmp_path, behind)
    stuck = Group()
    stuck.stuck = True
    with pytest.raises(StepFailed, match="cache-server-1 is the master"):
        verify(tmp_path, stuck, trial=True)


def test_on_the_way_back_a_server_that_is_behind_is_waited_for_and_not_for_ever(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    group = Group()
    RedisSentinelKind().undo(step(trial=False, apart=True), {}, world.context(store=group.store))
    group.dead = (SERVERS[1], SENTINELS[0])
    RedisSentinelKind().undo(step(trial=False), {}, world.context(store=group.store))
    assert world.clock == 0 and not group.log
    RedisSentinelKind().undo(step(trial=False, apart=True), {}, world.context(store=group.store))
    assert 3 <= world.clock < 10


def test_the_way_back_goes_by_what_most_sentinels_say(tmp_path: Path) -> None:
    def master(group: Group) -> str:
        return present_master(step(trial=False), new_world(tmp_path).context(store=group.store))

    assert master(Group(SERVERS[1], dead=(SERVERS[0], SENTINELS[0]))) == SERVERS[1]
    with pytest.raises(StepFailed, match="1 of 3 Sentinels name cache-server-1"):
        master(Group(dead=SENTINELS[:2]))
    with pytest.raises(StepFailed, match="cache-server-1: no way in"):
        master(Group(dead=SERVERS[:1]))


@pytest.mark.parametrize(
    ("kind", "name", "expected", "stands"),
    [("redis-sentinel", "view", "whole", True), ("redis-master", "master", SERVERS[0], False)],
)
def test_a_failover_changes_nothing_of_what_a_sentinel_sees(kind: str, name: str, expected: str, stands: bool) -> None:
    def live(service: str, probe: str) -> Live:
        return Live(probe, service, SentinelFacts(SERVERS[1], "whole"))

    def silent(service: str, probe: str) -> Live:
        return Live(probe, service, None, "down")

    assertion = Assertion(kind, f"x.{name}", expected, {"service": SENTINELS[0], "name": name})
    assert COMPARATORS[kind].same(assertion, live) is stands
    assert COMPARATORS[kind].read(assertion, silent) is None
