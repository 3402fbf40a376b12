"""The rehearsal of a Redis: the files that it loads, copied while it runs, and loaded by both images."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

from nftui.model.plan import StepSpec
from nftui.model.stack import Container
from nftui.steps.calls import Data, StoreCalls
from nftui.steps.kind import Context
from nftui.steps.redis_save import databases, is_idle, lacking, save, value, wait
from nftui.steps.rehearse import Rehearsal, copy_files

Keys = Mapping[str, list[int]]
_LOADED = 1.5
"""Times the memory that the server's data takes now: a newer version, and what it needs to load it."""


class RedisRehearsalKind(Rehearsal[Keys]):
    """They are files that only grow (the append-only log) or are replaced whole (the snapshot): a copy during which
    none was replaced is what a server finds after a loss of power at that moment. Its keys are counted, by database.
    """

    name = "redis-rehearsal"

    def memory(self, step: StepSpec, running: Container, ctx: Context) -> int:
        """See Rehearsal."""
        with _live(step, ctx) as live:
            return int(int(value(live.ask("INFO", "memory"), "used_memory") or 0) * _LOADED)

    def fill(self, step: StepSpec, before: Data, path: str, ctx: Context) -> None:
        """See Rehearsal. What only lies in memory is saved first."""
        with _live(step, ctx) as live:
            if value(live.ask("INFO", "persistence"), "aof_enabled") != "1":
                save(step, live, ctx)
        copy_files(step, path, ctx, lambda: _replaced(step, ctx))

    def has_it(self, step: StepSpec, helper: str, ctx: Context) -> bool:
        """See Rehearsal."""
        with closing(ctx.store_in(str(step.service), helper)) as inside:
            return value(inside.ask("INFO", "persistence"), "loading") == "0"

    def tell(self, step: StepSpec, helper: str, path: str, ctx: Context) -> Keys:
        """Keys by database."""
        with closing(ctx.store_in(str(step.service), helper)) as inside:
            return databases(inside.ask("INFO", "keyspace"))

    def lacking(self, was: Keys, now: Keys) -> list[str]:
        """See Rehearsal."""
        return lacking(was, now)

    def words(self, now: Keys) -> tuple[str, object]:
        """See Rehearsal."""
        return f"{sum(keys for keys, _ in now.values())} keys", now


def _live(step: StepSpec, ctx: Context) -> closing[StoreCalls]:
    """Opened anew each time: a server may end a session that says nothing for as long as a copy takes."""
    return closing(ctx.store(str(step.service)))


_REPLACED = ("rdb_last_save_time", "rdb_saves", "aof_base_size", "aof_rewrites")
"""What moves when a file is replaced; a version has not all of them."""


def _replaced(step: StepSpec, ctx: Context) -> list[str | None]:
    """Once nothing is being written anew."""
    with _live(step, ctx) as live:
        wait(step, ctx, lambda: is_idle(live.ask("INFO", "persistence")))
        info = live.ask("INFO", "persistence")
        return [value(info, name) for name in _REPLACED]
