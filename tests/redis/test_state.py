"""What is asked of a running Redis around a restart, and what its replica is asked, without an engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nftui.clients.redis import RedisLocked, RedisUnreachable
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.stack import Container, Service
from nftui.probes import redis_state
from nftui.probes.redis import _file_settings
from nftui.steps.kind import StepFailed
from nftui.steps.redis_replica import KEY, RedisReplicaKind
from tests.engine.world import new_world


@dataclass
class Session:
    """Answers by its settings and keys; what it was asked is remembered."""

    info: dict[str, str] = field(default_factory=dict)
    config: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    clients: str = ""
    copies: int = 1
    via = "test"
    error = "OOM command not allowed"
    full: bool = False
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def ask(self, *words: str) -> Any:
        self.asked.append(words)
        return getattr(self, f"_{words[0].lower()}")(*words[1:])

    def close(self) -> None:
        self.asked.append(("closed",))

    def _info(self, section: str) -> str:
        return "".join(f"{name}:{value}\r\n" for name, value in self.info.items())

    def _ping(self) -> str:
        return "PONG"

    def _config(self, what: str, name: str, value: str = "") -> Any:
        if what == "GET":
            return [name, self.config[name]]
        self.config[name] = value
        return "OK"

    def _client(self, what: str) -> str:
        return self.clients

    def _set(self, name: str, value: str, *rest: str) -> str | None:
        if self.full:
            return None
        self.keys[name] = value
        return "OK"

    def _wait(self, *words: str) -> int:
        return self.copies

    def _get(self, name: str) -> str | None:
        return self.keys.get(name)

    def _del(self, name: str) -> int:
        return int(self.keys.pop(name, None) is not None)


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    made = Session()
    monkeypatch.setattr(redis_state, "connect", lambda service, port: made)
    return made


REDIS = Service("cache")


def fails(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def connect(service: Service, port: object) -> Session:
        raise error

    monkeypatch.setattr(redis_state, "connect", connect)


def test_a_server_serves_once_it_has_loaded(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    session.info = {"loading": "1"}
    assert redis_state.redis_serving(REDIS, None) == "it is still loading its data"
    session.info = {"loading": "0"}
    assert redis_state.redis_serving(REDIS, None) is None and session.asked[-1] == ("closed",)
    fails(monkeypatch, RedisUnreachable(msg("no way in")))
    assert redis_state.redis_serving(REDIS, None) == "no way in"
    fails(monkeypatch, RedisLocked(msg("a password")))
    assert redis_state.redis_serving(REDIS, None) is None, "it answers, and nftui is only not let in"


@pytest.mark.parametrize("work", ["loading", "rdb_bgsave_in_progress", "aof_rewrite_in_progress"])
def test_no_stop_in_the_middle_of_a_save(session: Session, work: str) -> None:
    assert redis_state.redis_quiet(REDIS, None) == ()
    session.info = {work: "1"}
    assert len(redis_state.redis_quiet(REDIS, None)) == 1


@pytest.mark.parametrize(
    ("log", "save", "then"), [("yes", "", "3600 1"), ("yes", "900 1", "900 1"), ("no", "", ""), ("no", "60 1", "60 1")]
)
def test_a_stop_writes_a_snapshot_where_there_is_a_log(session: Session, log: str, save: str, then: str) -> None:
    session.config = {"appendonly": log, "save": save}
    redis_state.save_at_stop(REDIS, None)
    assert session.config["save"] == then


def test_clients_are_told_by_their_addresses(session: Session) -> None:
    session.clients = (
        "id=1 addr=172.18.0.5:41000 flags=N cmd=get\nid=2 addr=172.18.0.6:1 flags=S cmd=replconf\n"
        "id=3 addr=172.18.0.1:5 flags=N cmd=client|list\nid=4 addr=[fd00::7]:9 flags=N cmd=set\n"
    )
    assert redis_state.redis_clients(REDIS, None) == {"172.18.0.5", "fd00::7"}


def test_a_configuration_is_read_as_the_server_reads_it(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("# x\nsave 900 1\nSAVE 60 10\nmaxmemory 64mb\nrequirepass fake\n")
    (tmp_path / "b.conf").write_text("include /other.conf\n")
    from nftui.model.stack import MountSpec

    mount = MountSpec("bind", str(tmp_path), "/etc/redis")
    container = Container("c", "c", "cache", 1, "running", None, "i", "i", mounts=(mount,))
    assert _file_settings(container, "/etc/redis/a.conf", None) == {"save": "900 1 60 10", "maxmemory": "64mb"}
    assert _file_settings(container, "/etc/redis/b.conf", None) is None
    assert _file_settings(container, "/elsewhere", None) is None and _file_settings(container, "", None) == {}


# -- the replica -------------------------------------------------------------------------------------------------
UP = {"role": "slave", "master_link_status": "up", "master_sync_in_progress": "0"}
STEP = StepSpec("r", "redis-replica", "copy", {"master": "cache"}, msg("look"), "cache", stall_s=5)


def verify(tmp_path: Path, master: Session, replica: Session) -> float:
    """Seconds that it took. The replica has what the master has."""
    world = new_world(tmp_path)
    ctx = world.context(store=lambda service: master if service == "cache" else replica)
    RedisReplicaKind().verify(STEP, {}, ctx)
    return world.clock


def test_a_replica_gets_what_is_written_and_the_probe_leaves_nothing(tmp_path: Path) -> None:
    master = Session()
    verify(tmp_path, master, Session(info=UP, keys=master.keys))
    assert master.keys == {} and ("DEL", KEY) in master.asked


@pytest.mark.parametrize(
    ("master", "info", "shared", "why"),
    [(Session(), {"role": "master"}, True, "does not follow cache: role master"),
     (Session(), {**UP, "master_link_status": "down"}, True, "link down"),
     (Session(), {**UP, "master_sync_in_progress": "1"}, True, "does not follow"),
     (Session(copies=0), UP, True, "does not get"), (Session(), UP, False, "does not get"),
     (Session(full=True), UP, True, "took no write: OOM")],
    ids=["promoted", "down", "copying", "unacknowledged", "unread", "full"],
)  # fmt: skip
def test_a_replica_that_does_not_follow_fails_the_step(
    tmp_path: Path, master: Session, info: dict[str, str], shared: bool, why: str
) -> None:
    with pytest.raises(StepFailed, match=why):
        verify(tmp_path, master, Session(info=info, keys=master.keys if shared else {}))
    assert KEY not in master.keys
