"""A Redis in memory for its step kinds: it loads what a real one would load, log or snapshot, after each recreate."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nftui.model.facts import Live
from nftui.model.message import msg
from nftui.model.plan import Stage, StepSpec, Undo, digest
from nftui.model.redis import RedisFacts
from nftui.model.stack import Container, MountSpec
from nftui.probes.redis_state import SAVE_AT_STOP
from nftui.steps.kind import Context
from nftui.system.blobs import BlobStore
from tests.engine.world import OVERRIDE, Killed, World

STOCK = {"appendonly": "no", "maxmemory": "0", "save": "", "dir": "/data", "appenddirname": "appendonlydir"}
WISH = {"appendonly": "yes", "maxmemory": "64MB"}
NO_LOG = frozenset[str]()


@dataclass
class RedisWorld(World):
    """One Redis that takes no snapshots: what is neither logged nor saved at its stop is gone with its process."""

    place: Path = field(default_factory=Path)
    config: dict[str, str] = field(default_factory=lambda: dict(STOCK))
    memory: frozenset[str] = frozenset({"a", "b", "c"})
    snapshot: frozenset[str] = NO_LOG
    polls: int = 3
    """How often the first rewrite of the log is seen at work."""
    busy: int = 0
    broken: str = ""
    """ "rewrite": the log cannot be written; "inert": CONFIG SET changes nothing; "forgets": keys are gone."""
    used: int = 10
    loads: int = 0
    """How often it is seen to load its data; what it answers until then is not whole."""
    gets_on: bool = True
    log: frozenset[str] = NO_LOG
    error = "refused"

    def _new(self) -> Container:
        mount = MountSpec("volume", "data", "/data", host_path=str(self.place))
        return replace(super()._new(), mounts=(mount,))

    # -- the process
    def up(self, service: str, *, scale: int, grace_s: int, force: bool = False) -> None:
        if self.config["save"] and self.container:
            self.snapshot = self.memory
        if self.config["appendonly"] == "yes" and self.container:
            self.log = self.memory
        super().up(service, scale=scale, grace_s=grace_s, force=force)
        words = self.files.get(OVERRIDE, b"").decode().split()
        asked = dict(word.split("=") for word in words if not word.startswith("shared"))
        self.config = {**STOCK, **asked}
        if self.config["maxmemory"] == "64MB":
            self.config["maxmemory"] = str(64 * 1024**2)
        there = (self.place / "appendonlydir").exists()
        self.memory = (self.log if there else NO_LOG) if self.config["appendonly"] == "yes" else self.snapshot
        if self.broken == "forgets":
            self.memory = NO_LOG

    def before_stop(self, service: str) -> None:
        if self.config["appendonly"] == "yes" and not self.config["save"]:
            self.config["save"] = SAVE_AT_STOP

    # -- its protocol
    def ask(self, *words: str) -> Any:
        if self.container is None:
            raise ConnectionRefusedError
        if words[0] == "INFO":
            return self._info()
        if words[:2] == ("CONFIG", "GET"):
            return [words[2], self.config[words[2]]] if words[2] in self.config else []
        return self._set(words[2], words[3])

    def _info(self) -> str:
        if self.loads:
            self.loads -= 1
            return f"loading:1\r\nloading_loaded_bytes:{self.loads if self.gets_on else 7}\r\n"
        at_work, on = self.busy > 0, self.config["appendonly"] == "yes"
        self.busy -= 1
        bad = "err" if self.broken == "rewrite" and not at_work else "ok"
        return f"aof_enabled:{int(on)}\r\naof_rewrite_in_progress:{int(at_work)}\r\naof_last_bgrewrite_status:{bad}\r\n"

    def _set(self, name: str, value: str) -> str:
        assert not self.loads, f"{name} was set while it loads its data"
        die = self.effect(f"CONFIG SET {name} {value}")
        if self.broken != "inert":
            self.config[name] = value
            if (name, value) == ("appendonly", "yes"):
                (self.place / "appendonlydir").mkdir(exist_ok=True)
                self.busy, self.log = self.polls, self.memory
        if die:
            raise Killed(name)
        return "OK"

    def close(self) -> None:
        pass

    def probe(self, service: str, probe: str) -> Live:
        assert not self.loads, "its keys were counted while it loads them"
        names = ("appendonly", "maxmemory", "save")
        shown = {n: self.config[n] for n in names}
        facts = RedisFacts("7", config=shown, keys=len(self.memory), lasting=len(self.memory), used_memory=self.used)
        return Live(probe, service, facts)

    def context(self, **options: object) -> Context:
        return super().context(store=lambda service: self, before_stop=self.before_stop, **options)

    def state(self) -> tuple[Any, ...]:
        """What must be exactly old or exactly new. Whether a stop would save is of no matter once all is on a disk."""
        config = {n: v for n, v in self.config.items() if n != "save"}
        return dict(self.files), config, self.memory, (self.place / "appendonlydir").exists()


def redis_world(base: Path) -> RedisWorld:
    place = base / "volume"
    place.mkdir(parents=True)
    return RedisWorld(BlobStore(base / "blobs"), place=place)


def redis_stages(world: RedisWorld) -> tuple[Stage, ...]:
    """The override, the log, the restart with it, and the read-back."""
    override = "".join(f"{name}={value} " for name, value in WISH.items()).encode() + b"shared_buffers=1 "
    world.blobs.put(override)
    text = msg("step")
    params = {"expected": WISH, "previous": {"appendonly": "no", "maxmemory": "0"}, "log": "log"}
    steps = (
        StepSpec("log", "redis-log", "db", {}, text, "db", stall_s=30, early=True),
        StepSpec("override", "file", OVERRIDE, {"after": digest(override), "mode": 0o644}, text),
        StepSpec("recreate", "recreate", "db", {"grace_s": 120, "force": False}, text, "db", undo=Undo.BY_RESTART),
        StepSpec("settings", "redis-settings", "db", params, text, "db"),
    )  # fmt: skip
    return (Stage("settings", steps, ("db",)),)
