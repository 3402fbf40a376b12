"""A data world whose `db` is a Redis: what it says of its data, and its saves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nftui.model.message import msg
from nftui.model.plan import Stage, StepSpec
from nftui.steps.kind import Context
from nftui.system.blobs import BlobStore
from tests.engine.data_world import DataWorld, stage_of, switch
from tests.engine.world import ENV, Killed


@dataclass
class RedisDataWorld(DataWorld):
    """`keys` are told once the new place is in use; a save takes until the clock has moved."""

    keys: dict[str, tuple[int, int]] = field(default_factory=lambda: {"db0": (10, 2), "db3": (1, 0)})
    """Database to (keys, those with a time to live)."""
    lost: dict[str, tuple[int, int]] = field(default_factory=dict)
    """What the new server says otherwise."""
    saved: float = 0.0
    status: str = "ok"
    asked: list[str] = field(default_factory=list)
    error: str = ""
    takes_s: float = 0.0
    began: float = 0.0
    saves: bool = True
    """Whether a save succeeds."""

    def ask(self, *words: str) -> Any:
        self.asked.append(" ".join(words))
        answers: dict[str, Callable[[], Any]] = {
            "LASTSAVE": lambda: int(self.saved), "TIME": lambda: [str(int(self.clock)), "0"],
            "BGSAVE SCHEDULE": self._save,
            "INFO persistence": lambda: "\r\n".join(
                ("loading:0", *self._at_work(), f"rdb_last_bgsave_status:{self.status}")
            ),
            "INFO keyspace": self._keyspace,
        }  # fmt: skip
        return answers[" ".join(words)]()

    def _at_work(self) -> tuple[str, ...]:
        """A save of `takes_s` that writes a key a second."""
        done = self.clock - self.began
        if self.began and done >= self.takes_s and self.saves:
            self.saved, self.began = self.clock, 0.0
        busy = bool(self.began) and done < self.takes_s
        return f"rdb_bgsave_in_progress:{int(busy)}", f"current_save_keys_processed:{int(done) if busy else 0}"

    def _save(self) -> str | None:
        if self.error:
            return None
        die = self.effect("save")
        self.began = self.clock if self.takes_s or not self.saves else 0.0
        self.saved = self.clock if not self.began else self.saved
        if die:
            raise Killed("save")
        return "Background saving started"

    def _keyspace(self) -> str:
        now = {**self.keys, **(self.lost if self.named() == "new" else {})}
        return "\r\n".join(f"{name}:keys={k},expires={e},avg_ttl=0" for name, (k, e) in now.items())

    def close(self) -> None:
        """Nothing stays open."""

    def context(self, **options: object) -> Context:
        return replace(super().context(**options), store=lambda name: self)


def new_redis_world(base: Path) -> RedisDataWorld:
    """`.env` with one key of the operator's, no override."""
    return RedisDataWorld(BlobStore(base / "blobs"), {ENV: b"A=1\n"}, root=base / "volumes")


def redis_stage(world: RedisDataWorld) -> Stage:
    """A switch that saves before and counts after."""
    text = msg("step")
    save = StepSpec("save", "redis-save", "db", {}, text, "db")
    return counted_stage(world, save, StepSpec("count", "redis-count", "db", {}, text, "db"))


def counted_stage(world: DataWorld, first: StepSpec, then: StepSpec) -> Stage:
    """A switch with a step once the writers are held, and one that recalls it when the service runs again."""
    stage = stage_of(world, replace(switch(), ease=(first,)))
    params = {**then.params, "saved": f"{stage.id}/{first.id}"}
    steps = list(stage.steps)
    then = replace(then, id=f"{stage.id}/{then.id}", params=params)
    steps.insert(next(n for n, s in enumerate(steps) if s.kind == "release"), then)
    return replace(stage, steps=tuple(steps))
