"""A Redis whose keys go to other servers: it takes no writes any more, all it has is there and proven; and back again.

Closed by `min-replicas-to-write`: it serves reads and its own healthcheck, and refuses each write with NOREPLICAS. It
is part of its command by then, so that a restart does not open it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager

from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.redis import CLOSE, CLOSED
from nftui.steps import hold
from nftui.steps.calls import Data, StoreCalls
from nftui.steps.kind import Context, Found, StepFailed
from nftui.steps.own_places import EMPTIED, volumes_of
from nftui.steps.reading import Reading
from nftui.steps.redis_keys import Keys, carry, copy, must_equal, of_cluster, of_server
from nftui.steps.redis_loading import loaded
from nftui.steps.redis_nodes import nodes_of
from nftui.steps.redis_save import RedisSaveKind
from nftui.steps.redis_sentinel import present_master

_OPEN = "0"
_KEY = "nftui:closed-check"


def _get(client: StoreCalls) -> str:
    answer = client.ask("CONFIG", "GET", CLOSE)
    return str(answer[1]) if isinstance(answer, list) and len(answer) == 2 else ""


def _set(client: StoreCalls, service: str, value: str) -> None:
    if client.ask("CONFIG", "SET", CLOSE, value) != "OK" or _get(client) != value:
        raise StepFailed(msg("{service} refused {name} = {value}: {why}", service=service, name=CLOSE, value=value,
                             why=client.error or "no reason given"))  # fmt: skip


class RedisCloseKind:
    """No writes any more, by the running server at once; undo: as it was."""

    name = "redis-close"
    version = 1
    reads_files = False

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """How it is now; StepFailed where it holds what a cluster does not take."""
        with loaded(step.target, ctx) as client:
            others = [f"db{number}" for number in _numbers(client) if number]
            if others and not step.params.get("databases"):
                raise StepFailed(
                    msg("{service} holds keys in {databases} by now; a cluster has only database 0.",
                        service=step.target, databases=", ".join(others))
                )  # fmt: skip
            return {"value": _get(client)}

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """By the setting."""
        with closing(ctx.store(step.target)) as client:
            return Found.AFTER if _get(client) == CLOSED else Found.BEFORE

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """From the next command on."""
        with closing(ctx.store(step.target)) as client:
            _set(client, step.target, CLOSED)

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """A write is tried, and refused for that reason; one that needs no memory: a full server refuses others."""
        with loaded(step.target, ctx) as client:
            took = client.ask("DEL", _KEY)
            why = client.error
        if took is not None:
            raise StepFailed(msg("{service} still takes writes.", service=step.target))
        if not why.startswith("NOREPLICAS"):
            raise StepFailed(
                msg("It cannot be told whether {service} is closed: it answers a write with {why}",
                    service=step.target, why=why)
            )  # fmt: skip
        return {"refused": why.partition(" ")[0]}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Open again."""
        with closing(ctx.store(step.target)) as client:
            _set(client, step.target, str(before["value"]) or _OPEN)


def _numbers(client: StoreCalls) -> list[int]:
    """The databases that hold keys."""
    return [int(n) for n in re.findall(r"^db(\d+):", str(client.ask("INFO", "keyspace") or ""), re.M)]


def _databases(step: StepSpec, ctx: Context) -> list[int]:
    """Those that either side holds keys in; a cluster has one."""
    found = {0}
    for name in (step.target, present_master(step, ctx)) if "watch" in step.params else ():
        with loaded(name, ctx) as client:
            found.update(_numbers(client))
    return sorted(found)


@contextmanager
def _sides(step: StepSpec, ctx: Context, database: int) -> Iterator[tuple[Keys, Keys]]:
    """The keys of the server, and of those that took them: a cluster, or the master that Sentinel names."""
    there = (
        of_server(present_master(step, ctx), ctx, database)
        if "watch" in step.params
        else of_cluster(nodes_of(step), ctx)
    )
    with of_server(step.target, ctx, database) as server, there as others:
        yield server, others


class RedisImportKind(Reading):
    """All keys of the target copied to the other servers, and proven there by type, time to live and value.

    The server keeps every key. What is in the others goes with them, unless something was written to it since.
    """

    name = "redis-import"
    version = 1

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Over what a cut-off import left."""
        for number in _databases(step, ctx):
            with _sides(step, ctx, number) as (source, target):
                copy(source, target, ctx)

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed where a key is missing, too many or different."""
        proven: dict[str, object] = {}
        for number in _databases(step, ctx):
            with _sides(step, ctx, number) as (source, target):
                proven[str(number)] = must_equal(source, target, ctx).as_data()
        return {"databases": proven}


class RedisCarryKind:
    """From here on the others have the one whole copy. Undo: what was written to them is carried back, and proven.

    Its intent stands in the journal before the files name them, and it is taken back before they cease to.
    """

    name = "redis-carry"
    version = 1
    reads_files = False

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Nothing: both sides are compared when it is taken back."""
        return {}

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """Always to be done: it says again what is so."""
        return Found.BEFORE

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """The volumes hold what must not be thrown away."""
        for name in volumes_of(step):
            ctx.artefacts.made(name, None, None)

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Nothing to be read: the import proved it."""
        return {"whole": step.params["authority"]}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Writers stopped, the server opened for nftui alone, what differs written, all of it proven and saved."""
        hold.stop_running(step, ctx)
        with loaded(step.target, ctx) as client:
            _set(client, step.target, _OPEN)
        try:
            carried = self._carry(step, ctx)
        except (OSError, NftuiError) as error:
            if not ctx.force:
                raise
            ctx.note(f"what was written since the switch could not be carried back ({error}); it stays in the volumes")
            return
        RedisSaveKind().verify(step, before, ctx)
        ctx.note(f"{carried} keys carried back to {step.target}")
        for name in volumes_of(step):
            ctx.artefacts.made(name, None, EMPTIED)

    def _carry(self, step: StepSpec, ctx: Context) -> int:
        count = 0
        for number in _databases(step, ctx):
            with _sides(step, ctx, number) as (server, others):
                found = carry(others, server, ctx)
            count += len(found.changed) + len(found.extra)
        return count
