"""Two servers of nftui's own and the Sentinels that watch them: each asked, the master written to, failover tried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import replace
from typing import cast

from nftui.clients.rediscluster import info
from nftui.clients.redissentinel import master_of, problem
from nftui.model.dataclass import dataclass
from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.steps.calls import Data
from nftui.steps.kind import Context, StepFailed
from nftui.steps.reading import Reading
from nftui.steps.redis_nodes import Fleet, Node, probe_write, restart, start, wait

KEY = "nftui:sentinel-check"
_BACK_S = 40.0
"""On the way back nothing may stand still for good: a server that ended long ago is not waited for."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Who watches whom."""

    master: str
    """What the Sentinels call it, whoever has the role."""
    servers: tuple[str, ...]
    """Services that hold the keys, the first master first."""
    sentinels: tuple[str, ...]

    def fleet(self, ctx: Context) -> Fleet:
        """Sessions with all of them; the Sentinels are stopped first and started last."""
        return Fleet([Node(name, "", 0, None, None) for name in (*self.servers, *self.sentinels)], ctx)


def watch_of(step: StepSpec) -> Watch:
    """Those among a step's parameters."""
    found = cast("Mapping[str, object]", step.params["watch"])
    servers, sentinels = (cast("list[str]", found[key]) for key in ("servers", "sentinels"))
    return Watch(str(found["master"]), tuple(servers), tuple(sentinels))


def present_master(step: StepSpec, ctx: Context) -> str:
    """The service that most Sentinels name and that says so itself, waited for: one may just have ended.

    Raises StepFailed where they do not come to agree.
    """
    watch, found = watch_of(step), [""]

    def why_not() -> str | None:
        found[0], why = _agreed(watch, fleet)
        return why

    with closing(watch.fleet(ctx)) as fleet:
        wait(step, why_not, ctx)
    return found[0]


def _agreed(watch: Watch, fleet: Fleet) -> tuple[str, str | None]:
    """The present master, and why it is not certain."""
    named = Counter(name for name in (_named(watch, s, fleet) for s in watch.sentinels) if name)
    name, count = named.most_common(1)[0] if named else ("", 0)
    if count * 2 <= len(watch.sentinels) or name not in watch.servers:
        return name, f"{count} of {len(watch.sentinels)} Sentinels name {name or 'a master'}"
    try:
        role = info(fleet.client(name), "INFO", "replication").get("role")
    except (OSError, NftuiError) as error:
        fleet.drop(name)
        return name, f"{name}: {error}"
    return name, None if role == "master" else f"{name} is {role}"


def _named(watch: Watch, sentinel: str, fleet: Fleet) -> str:
    try:
        return master_of(fleet.client(sentinel), watch.master)
    except (OSError, NftuiError):
        fleet.drop(sentinel)
        return ""


def _amiss(watch: Watch, fleet: Fleet) -> str | None:
    """What any of the Sentinels sees amiss, or that they do not name the same master."""
    for name in watch.sentinels:
        try:
            why = problem(fleet.client(name), watch.master)
        except (OSError, NftuiError) as error:
            fleet.drop(name)
            why = str(error)
        if why:
            return f"{name}: {why}"
    named = {_named(watch, s, fleet) for s in watch.sentinels}
    if len(named) > 1:
        return f"the Sentinels name {', '.join(sorted(named))}"
    master, why = _agreed(watch, fleet)
    return why or _alone(master, fleet)


def _alone(master: str, fleet: Fleet) -> str | None:
    """By the master's own word: a Sentinel asks for that every 10 s only."""
    try:
        follower = info(fleet.client(master), "INFO", "replication").get("slave0", "")
    except (OSError, NftuiError) as error:
        fleet.drop(master)
        return f"{master}: {error}"
    return None if "state=online" in follower else f"no replica follows {master} yet"


class RedisSentinelKind(Reading):
    """Every Sentinel sees one master, its replica and the others, and the master takes and gives back a write.

    With `trial`, before anyone uses them: the same after all five were down at once, and with each server as the
    master once. So what each was told lasts, and each may log in to the other.
    """

    name = "redis-sentinel"
    version = 1
    reads_files = True

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed naming what is not."""
        watch = watch_of(step)
        with closing(watch.fleet(ctx)) as fleet:
            if step.params["trial"]:
                start(fleet)
            master = _proven(step, watch, fleet)
            if step.params["trial"]:
                restart(fleet)
                master = _proven(step, watch, fleet)
                seen = {master}
                while master != watch.servers[0] or seen != set(watch.servers):
                    master = _moved(step, watch, fleet, master)
                    seen.add(master)
            return {"master": master}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Nothing was changed. What was recreated before it goes back next: not while the other server is behind."""
        if not step.params.get("apart"):
            return
        watch = watch_of(step)
        bounded = replace(step, stall_s=min(step.stall_s, _BACK_S))
        with closing(watch.fleet(ctx)) as fleet, suppress(StepFailed):
            wait(bounded, lambda: _amiss(watch, fleet), ctx)


def _proven(step: StepSpec, watch: Watch, fleet: Fleet) -> str:
    """The present master, once all is in order and it was written to."""
    wait(step, lambda: _amiss(watch, fleet), fleet.ctx)
    master = _agreed(watch, fleet)[0]
    fleet.drop(master)  # A change of roles ends sessions that it finds.
    probe_write(fleet.client(master), master, KEY, fleet.ctx)
    return master


def _moved(step: StepSpec, watch: Watch, fleet: Fleet, master: str) -> str:
    """Another server as the master, by Sentinel's own failover."""
    wait(step, lambda: _failover(watch, fleet), fleet.ctx)
    wait(step, lambda: _still(watch, fleet, master), fleet.ctx)
    now = _proven(step, watch, fleet)
    if now == master:
        raise StepFailed(msg("{service} is still the master after a failover.", service=master))
    return now


def _failover(watch: Watch, fleet: Fleet) -> str | None:
    first = watch.sentinels[0]
    try:
        client = fleet.client(first)
        return None if client.ask("SENTINEL", "FAILOVER", watch.master) == "OK" else f"{first}: {client.error}"
    except (OSError, NftuiError) as error:
        fleet.drop(first)
        return f"{first}: {error}"


def _still(watch: Watch, fleet: Fleet, master: str) -> str | None:
    named = _named(watch, watch.sentinels[0], fleet)
    return f"{master} is the master" if named in (master, "") else None
