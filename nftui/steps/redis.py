"""A Redis: its log turned on without losing what is in memory, and its settings read back.

A start with a log that was never written is a start with nothing, whatever the snapshot beside it holds (databases
reference 3.5): the log is written by the running server first, and only then asked for by its command.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import PurePosixPath

from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.redis import RedisFacts
from nftui.model.units import human_size, parse_size
from nftui.steps.calls import Data, StoreCalls
from nftui.steps.gate import containers_of
from nftui.steps.kind import Context, Found, StepFailed
from nftui.steps.reading import Reading
from nftui.steps.redis_loading import loaded

POLL_S = 0.5
_LOGS = ("appendonlydir", "appendonly.aof")
"""What the log is called from version 7 on and before; where the server says another name, that one."""
_LOST = 2
"""A server that comes back with less than one in so many of its lasting keys has not loaded them: apps delete keys
too, but not half of them within a restart."""


def _session(step: StepSpec, ctx: Context) -> AbstractContextManager[StoreCalls]:
    """Not before it has loaded its data: it would write a log of a part, and tell of a part."""
    return loaded(step.target, ctx)


def _get(client: StoreCalls, name: str) -> str | None:
    answer = client.ask("CONFIG", "GET", name)
    return str(answer[1]) if isinstance(answer, list) and len(answer) == 2 else None


def _set(client: StoreCalls, service: str, name: str, value: str) -> None:
    if client.ask("CONFIG", "SET", name, value) != "OK":
        raise StepFailed(
            msg("{service} refused {name} = {value}: {why}", service=service, name=name, value=value,
                why=client.error or "no reason given")
        )  # fmt: skip


def _persistence(client: StoreCalls) -> dict[str, str]:
    text = str(client.ask("INFO", "persistence") or "")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def _facts(service: str, ctx: Context) -> RedisFacts:
    live = ctx.probe(service, "redis")
    if not isinstance(live.value, RedisFacts):
        raise StepFailed(msg("{service} cannot be asked: {why}", service=service, why=live.error or "?"))
    return live.value


def _ids(service: str, ctx: Context) -> list[str]:
    return sorted(c.id for c in containers_of(service, ctx) if c.running)


class RedisLogKind:
    """CONFIG SET appendonly yes, its first rewrite awaited; undo: off again, once the service runs by its old files.

    The stop before that wrote a snapshot of everything (`before_stop`).
    """

    name = "redis-log"
    version = 1
    reads_files = True
    undo_rank = 1

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Whether it is on, the process that this is true of, where it will lie, and whether it fits there."""
        with _session(step, ctx) as client:
            now, save = _get(client, "appendonly"), _get(client, "save")
            if now is None:
                raise StepFailed(
                    msg("{service} does not let nftui change its settings (CONFIG): {why}", service=step.target,
                        why=client.error or "no answer")
                )  # fmt: skip
            place, name = _place(step, client, ctx), _log_name(client)
        if now != "yes":
            _must_have_room(step, place, ctx)
        there = place is not None and bool(ctx.trees.holds(place, name))
        return {"appendonly": now, "save": save, "ids": _ids(step.target, ctx), "place": place, "name": name,
                "existed": there}  # fmt: skip

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """On and written, on and at work, or off."""
        with _session(step, ctx) as client:
            found = _state(_persistence(client))[0] if _get(client, "appendonly") == "yes" else Found.BEFORE
        return found

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """The server forks and writes everything it holds; it serves meanwhile."""
        with _session(step, ctx) as client:
            _set(client, step.target, "appendonly", "yes")
        ctx.issued(f"log of {step.target}")

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Whole on the disk; what it holds is counted, for after the restart."""
        with _session(step, ctx) as client:
            _follow(step, client, ctx)
        facts = _facts(step.target, ctx)
        return {"keys": facts.keys, "lasting": facts.lasting}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Off, also in a process that was never recreated; the save points come back with it there."""
        if before["appendonly"] == "yes":
            return
        with _session(step, ctx) as client:
            if _get(client, "appendonly") == "yes":
                _set(client, step.target, "appendonly", "no")
            if before["save"] is not None and set(_ids(step.target, ctx)) & _texts(before["ids"]):
                _set(client, step.target, "save", str(before["save"]))
            if _persistence(client).get("aof_enabled") != "0":
                raise StepFailed(msg("{service} keeps its log on.", service=step.target))
        _set_aside(before, step.target, ctx)


def _texts(value: object) -> set[str]:
    assert isinstance(value, (list, tuple))
    return {str(v) for v in value}


def _place(step: StepSpec, client: StoreCalls, ctx: Context) -> str | None:
    """Its data directory on this machine, None where it cannot be told."""
    directory = PurePosixPath(_get(client, "dir") or "")
    mounts = [m for c in containers_of(step.target, ctx) if c.running for m in c.mounts]
    over = [m for m in mounts if directory.is_relative_to(m.target)]
    deepest = max(over, key=lambda m: len(m.target), default=None)
    if deepest is None or not deepest.host_path:
        return None
    found = str(PurePosixPath(deepest.host_path, directory.relative_to(deepest.target)))
    return found if ctx.trees.exists(found) else None


def _log_name(client: StoreCalls) -> str:
    return _get(client, "appenddirname") or _get(client, "appendfilename") or _LOGS[1]


def _must_have_room(step: StepSpec, place: str | None, ctx: Context) -> None:
    """The log's base is at most as large as what is in memory."""
    needed = _facts(step.target, ctx).used_memory or 0
    free = ctx.trees.room(place)[0] if place else None
    if free is not None and free < needed:
        raise StepFailed(
            msg("The log of {service} needs up to {needed}, and {free} are free where it lies.", service=step.target,
                needed=human_size(needed), free=human_size(free))
        )  # fmt: skip


def _state(info: Mapping[str, str]) -> tuple[Found, str]:
    """AFTER: the log is whole on the disk; PARTIAL: it is being written; BEFORE: it is not, for the reason."""
    if info.get("aof_enabled") != "1":
        return Found.BEFORE, "it is off"
    if info.get("aof_rewrite_in_progress") == "1":
        return Found.PARTIAL, "it is being written"
    bad = [n for n in ("aof_last_bgrewrite_status", "aof_last_write_status") if info.get(n, "ok") != "ok"]
    if bad:
        return Found.BEFORE, f"{bad[0]} is {info[bad[0]]}"
    due = info.get("aof_rewrite_scheduled") == "1"
    return (Found.PARTIAL, "it is about to be written") if due else (Found.AFTER, "")


def _follow(step: StepSpec, client: StoreCalls, ctx: Context) -> None:
    """Until the first rewrite has ended well. What it writes is progress."""
    last, deadline = "", ctx.now() + step.stall_s
    while True:
        info = _persistence(client)
        found, why = _state(info)
        if found is Found.AFTER:
            return
        sign = f"{info.get('aof_current_rewrite_time_sec')} {info.get('current_save_keys_processed')}"
        if sign != last:
            last, deadline = sign, ctx.now() + step.stall_s
        if found is Found.BEFORE or ctx.now() >= deadline:
            raise StepFailed(msg("The log of {service} could not be written: {why}.", service=step.target, why=why))
        ctx.progress(f"writing the log of {step.target}", None)
        ctx.sleep(POLL_S)


def _set_aside(log: Data, service: str, ctx: Context) -> None:
    """A log that nobody writes any more would come back at the next start that asks for one, and hide the snapshot."""
    place, name = log.get("place"), str(log.get("name"))
    if log.get("existed") or not isinstance(place, str) or not ctx.trees.holds(place, name):
        return
    left = f"{name}.nftui-{ctx.run}"
    ctx.trees.rename(place, name, left)
    ctx.note(f"the log that {service} no longer writes lies beside its snapshot as {left}; it may be deleted")


class RedisSettingsKind(Reading):
    """Settings read back by CONFIG GET, and nothing lost by the restart; undo: the former values run again."""

    name = "redis-settings"
    version = 1
    reads_files = True
    reads_back = True

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """What the log's step counted before the restart."""
        log = step.params.get("log")
        return {"lasting": ctx.recall(str(log)).get("lasting") if log else None}

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed naming each value that did not take, or that keys are missing."""
        with _session(step, ctx):
            facts = _facts(step.target, ctx)
        wrong = differences(_values(step, "expected"), facts.config)
        if wrong:
            raise StepFailed(
                msg("{service} does not run what was asked: {list}", service=step.target, list="; ".join(wrong))
            )
        _must_hold(step, before, facts)
        return {"settings": dict(facts.config), "keys": facts.keys, "lasting": facts.lasting}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """What the files do not say was set in the running server, and is set there again."""
        previous = _values(step, "previous")
        if not previous:
            return  # A server that was not there before goes with its container.
        with _session(step, ctx) as client:
            for name, value in previous.items():
                if not same(value, _get(client, name) or ""):
                    _set(client, step.target, name, value)
        wrong = differences(previous, _facts(step.target, ctx).config)
        if wrong:
            raise StepFailed(
                msg("{service} does not run its former values: {list}", service=step.target, list="; ".join(wrong))
            )


def _values(step: StepSpec, key: str) -> dict[str, str]:
    found = step.params[key]
    assert isinstance(found, Mapping)
    return {str(k): str(v) for k, v in found.items()}


def _must_hold(step: StepSpec, before: Data, facts: RedisFacts) -> None:
    had = before["lasting"]
    if isinstance(had, int) and facts.lasting is not None and facts.lasting * _LOST < had:
        raise StepFailed(
            msg("{service} came back with {now} of the {had} keys that do not expire.", service=step.target,
                now=facts.lasting, had=had)
        )  # fmt: skip


def differences(expected: Mapping[str, str], actual: Mapping[str, str]) -> list[str]:
    """Each setting that is not as asked."""
    return [f"{n} = {actual.get(n)}, not {v}" for n, v in expected.items() if not same(v, actual.get(n, ""))]


def same(one: str, other: str) -> bool:
    """By meaning: the server prints sizes in bytes."""
    size = parse_size(one)
    return one == other or (size is not None and size == parse_size(other))
