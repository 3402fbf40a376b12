"""Step kinds around a Redis whose data goes to another version: everything on its disk, and counted again after."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import cast

from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.steps.calls import Data, StoreCalls
from nftui.steps.kind import Context, StepFailed
from nftui.steps.reading import Reading
from nftui.steps.redis_loading import loaded, must_have_loaded

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
            save(step, server, ctx)
            return {"databases": databases(server.ask("INFO", "keyspace"))}


def save(step: StepSpec, server: StoreCalls, ctx: Context) -> None:
    """A snapshot of all that is in memory now. Raises StepFailed, soon where it was refused or has failed."""
    must_have_loaded(server, str(step.service), ctx)
    last = int(server.ask("LASTSAVE") or 0)
    wait(step, ctx, lambda: is_idle(_persistence(server)), lambda: _written(_persistence(server)))
    # LASTSAVE counts in seconds: a save in the same one would not be seen.
    wait(step, ctx, lambda: _seconds(server.ask("TIME")) > last)
    # Scheduled where a rewrite of the log has begun meanwhile: it would be refused.
    if server.ask("BGSAVE", "SCHEDULE") is None:
        raise _not_saved(step, server.error)
    asked = ctx.now()

    def saved() -> bool:
        info = _persistence(server)
        if int(server.ask("LASTSAVE") or 0) > last:
            return True
        failed = is_idle(info) and value(info, "rdb_last_bgsave_status") == "err"
        if failed and ctx.now() > asked + _RETRY_S:
            raise _not_saved(step, _LOG)
        return False

    wait(step, ctx, saved, lambda: _written(_persistence(server)))
    if value(_persistence(server), "rdb_last_bgsave_status") != "ok":
        raise _not_saved(step, _LOG)


_RETRY_S = 6.0
"""A scheduled save after a failed one begins up to 5 s later. Source: Redis server.h, CONFIG_BGSAVE_RETRY_DELAY."""
_LOG = "its log says why; until a save succeeds it may refuse writes"


def _not_saved(step: StepSpec, why: str) -> StepFailed:
    return StepFailed(msg("{service} could not save its data: {why}.", service=str(step.service), why=why))


def _persistence(server: StoreCalls) -> object:
    return server.ask("INFO", "persistence")


def is_idle(persistence: object) -> bool:
    """Whether it writes neither a snapshot nor its log anew."""
    return {value(persistence, n) for n in ("rdb_bgsave_in_progress", "aof_rewrite_in_progress")} <= {"0", None}


def _written(persistence: object) -> object:
    """What moves while it writes: the keys that are done, since 6.2; before, the seconds that it takes."""
    names = ("rdb_current_bgsave_time_sec", "aof_current_rewrite_time_sec")
    return value(persistence, "current_save_keys_processed") or [value(persistence, name) for name in names]


class RedisCountKind(Reading):
    """The keys of every database, counted again by the new version; what had a time to live may be gone."""

    name = "redis-count"
    version = 1

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed naming the databases that lack keys."""
        saved = cast("Mapping[str, list[int]]", ctx.recall(str(step.params["saved"]))["databases"])
        with loaded(step.target, ctx) as server:
            now = databases(server.ask("INFO", "keyspace"))
        missing = lacking(saved, now)
        if missing:
            raise StepFailed(msg("{service} lacks keys: {names}.", service=step.target, names="; ".join(missing)))
        return {"databases": now}


def lacking(saved: Mapping[str, list[int]], now: Mapping[str, list[int]]) -> list[str]:
    """Databases with fewer keys than they had, without those that may have passed since."""
    return [
        f"{name} {now.get(name, [0])[0]} of {keys}"
        for name, (keys, expires) in sorted(saved.items())
        if now.get(name, [0])[0] < keys - expires
    ]


def wait(step: StepSpec, ctx: Context, until: Callable[[], bool], sign: Callable[[], object] = lambda: None) -> None:
    """Until it is so; StepFailed where the step stands still for too long: where `sign` moves it does not."""
    last, deadline = sign(), ctx.now() + step.stall_s
    while not until():
        now = sign()
        if now != last:
            last, deadline = now, ctx.now() + step.stall_s
        if ctx.now() >= deadline:
            raise StepFailed(msg("{service} does not come to an end with it.", service=str(step.service)))
        ctx.progress(f"waiting for {step.service}", None)
        ctx.sleep(_POLL_S)


def value(info: object, name: str) -> str | None:
    """One line of what INFO says, None where it has none of that name."""
    found = re.search(rf"^{name}:(\S+)", str(info or ""), re.M)
    return found[1] if found else None


def _seconds(answer: object) -> int:
    return int(str(answer[0])) if isinstance(answer, (list, tuple)) and answer else 0


def databases(info: object) -> dict[str, list[int]]:
    """Database to [keys, those with a time to live]."""
    return {name: [int(keys), int(expires)] for name, keys, expires in _DATABASE.findall(str(info or ""))}
