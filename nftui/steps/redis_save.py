"""Step kinds around a Redis whose data goes to another version: everything on its disk, and counted again after."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import cast

from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.steps.calls import Data
from nftui.steps.kind import Context, StepFailed
from nftui.steps.reading import Reading

_POLL_S = 0.2
_DATABASE = re.compile(r"^(db\d+):keys=(\d+),expires=(\d+)", re.M)


class RedisSaveKind(Reading):
    """A snapshot of all that is in memory, once its writers are held; how many keys there are, by database.

    Nothing to take back: a newer snapshot of the same data is none the worse.
    """

    name = "redis-save"
    version = 1

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed where it cannot be saved, or saving stands still."""
        with closing(ctx.store(step.target)) as server:
            last = server.ask("LASTSAVE")
            _wait(step, ctx, lambda: _value(server.ask("INFO", "persistence"), "rdb_bgsave_in_progress") != "1")
            # LASTSAVE counts in seconds: a save in the same one would not be seen.
            _wait(step, ctx, lambda: _seconds(server.ask("TIME")) > int(last or 0))
            server.ask("BGSAVE")
            _wait(step, ctx, lambda: int(server.ask("LASTSAVE") or 0) > int(last or 0))
            if _value(server.ask("INFO", "persistence"), "rdb_last_bgsave_status") != "ok":
                raise StepFailed(msg("{service} could not save its data.", service=step.target))
            return {"databases": _databases(server.ask("INFO", "keyspace"))}


class RedisCountKind(Reading):
    """The keys of every database, counted again by the new version; what had a time to live may be gone."""

    name = "redis-count"
    version = 1

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed naming the databases that lack keys."""
        saved = cast("Mapping[str, list[int]]", ctx.recall(str(step.params["saved"]))["databases"])
        with closing(ctx.store(step.target)) as server:
            _wait(step, ctx, lambda: _value(server.ask("INFO", "persistence"), "loading") == "0")
            now = _databases(server.ask("INFO", "keyspace"))
        lacking = [
            f"{name} {now.get(name, [0])[0]} of {keys}"
            for name, (keys, expires) in sorted(saved.items())
            if now.get(name, [0])[0] < keys - expires
        ]
        if lacking:
            raise StepFailed(msg("{service} lacks keys: {names}.", service=step.target, names="; ".join(lacking)))
        return {"databases": now}


def _wait(step: StepSpec, ctx: Context, until: Callable[[], bool]) -> None:
    deadline = ctx.now() + step.stall_s
    while not until():
        if ctx.now() >= deadline:
            raise StepFailed(msg("{service} does not come to an end with it.", service=step.target))
        ctx.progress(f"waiting for {step.target}", None)
        ctx.sleep(_POLL_S)


def _value(info: object, name: str) -> str | None:
    found = re.search(rf"^{name}:(\S+)", str(info or ""), re.M)
    return found[1] if found else None


def _seconds(answer: object) -> int:
    return int(str(answer[0])) if isinstance(answer, (list, tuple)) and answer else 0


def _databases(info: object) -> dict[str, list[int]]:
    """Database to [keys, those with a time to live]."""
    return {name: [int(keys), int(expires)] for name, keys, expires in _DATABASE.findall(str(info or ""))}
