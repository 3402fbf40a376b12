"""Health gates: a touched service must be as well as before, by its own check and by its role's, and stay so.

What counts as worse (engine.md 8): it does not run, restarts, is red where it was green, does not do its role's work,
or the kernel killed a process of it for lack of memory. Docker's own OOM flag is not enough: it tells of the main
process only, while a server whose child was killed stays up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from nftui.model.message import Message, msg
from nftui.model.plan import StepSpec
from nftui.model.stack import Container
from nftui.model.units import format_size
from nftui.steps.calls import Data
from nftui.steps.kind import Context, StepFailed

POLL_S = 0.25
FIRST_S = 0.05
"""Seconds between looks: POLL_S in the long run, less at first, for most services are back within a second or two."""
LOG_LINES = 5
"""Lines of the service's log that a failure shows."""
YOUNG_S = 60.0
"""Seconds after its start in which a server that does not answer may still be coming up."""


def containers_of(service: str, ctx: Context) -> list[Container]:
    """The service's containers now, by number."""
    return sorted((c for c in ctx.engine.containers() if c.service == service), key=lambda c: c.number)


def scale_of(before: Data) -> int:
    """How many containers ran before."""
    return int(str(before["scale"]))


def oom_kills(containers: Sequence[Container], ctx: Context) -> int:
    """Processes that the kernel killed in them since each was started; what cannot be counted counts as the flag."""
    counts = (ctx.oom_kills(c) for c in containers)
    return sum(int(c.oom_killed) if n is None else n for c, n in zip(containers, counts, strict=True))


def what_ran(found: Sequence[Container], service: str, ctx: Context) -> dict[str, object]:
    """`found`, and how well the service does: what it is measured by later."""
    running = [c for c in found if c.running]
    return {
        "containers": [
            {"id": c.id, "hash": c.config_hash, "image": c.image_id, "health": c.health, "restarts": c.restart_count}
            for c in found
        ],
        "scale": len(running),
        "healthy": bool(running) and all(c.health == "healthy" for c in running),
        "served": bool(running) and ctx.serving(service) is None,
        "oom_kills": oom_kills(running, ctx),
    }  # fmt: skip


def wait_serving(step: StepSpec, before: Data, ctx: Context) -> None:
    """Until every container of the service is healthy and does its role's work; at once where it is worse than before.

    Its own healthcheck counts only if it passed before (engine.md 8). Progress in the log or a start period
    extends the wait: `stall_s` counts from the last sign of progress.
    """
    _wait(step, lambda: _sound(step.target, before, ctx) or ctx.serving(step.target), ctx)


def wait_restored(step: StepSpec, before: Data, ctx: Context) -> None:
    """The same on the way back: it need not do what it did not do before, and what it went through is forgiven."""
    served = bool(before.get("served", True))

    def why_not() -> str | None:
        reason = _why_not(step.target, containers_of(step.target, ctx), before, ctx)
        return reason or (ctx.serving(step.target) if served else None)

    _wait(step, why_not, ctx)


def await_starts(ctx: Context) -> None:
    """Until the project's servers that were started just now do their work: after a reboot all of them come up at once.

    Those that do not answer in time are left to the steps, which know what they need. One that crashes and is
    restarted is young for ever: all together may take no longer than one.
    """
    end = ctx.now() + YOUNG_S
    for service in sorted({c.service for c in ctx.engine.containers() if not c.one_off and _is_young(c)}):
        pause = pauses()
        while ctx.now() < end and not _answers(service, ctx):
            ctx.progress(f"waiting for {service}, which was started just now", None)
            ctx.sleep(next(pause))


def _answers(service: str, ctx: Context) -> bool:
    """Or is none that could be waited for."""
    return not any(_is_young(c) for c in containers_of(service, ctx)) or ctx.serving(service) is None


def _is_young(container: Container) -> bool:
    if not container.running or container.started_at is None:
        return False
    started = datetime.fromisoformat(container.started_at[:19]).replace(tzinfo=UTC)
    return 0 <= (datetime.now(UTC) - started).total_seconds() < YOUNG_S


def wait_done(step: StepSpec, ctx: Context) -> None:
    """Until a job has ended well; StepFailed where it ended otherwise. What it logs is progress."""
    _wait(step, lambda: _not_done(step.target, ctx), ctx)


def _not_done(service: str, ctx: Context) -> str | None:
    found = containers_of(service, ctx)
    if any(c.state in ("exited", "dead") and c.exit_code != 0 for c in found):
        raise StepFailed(_failed(service, "it ended with an error", ctx))
    done = bool(found) and all(c.state == "exited" for c in found)
    return None if done else f"{service} is at work"


def pauses(longest_s: float = POLL_S) -> Iterator[float]:
    """Seconds to wait before each further look, for ever."""
    pause = FIRST_S
    while True:
        yield min(pause, longest_s)
        pause *= 1.5


def _wait(step: StepSpec, why_not: Callable[[], str | None], ctx: Context) -> None:
    """A reason that was not given before, such as how far a server is with its data, is progress too.

    So is what a server goes through that it needs: one that recovers is waited for.
    """
    last_sign, told, deadline, pause = "", set[str | None](), ctx.now() + step.stall_s, pauses()
    behind: str | None = None
    while (reason := why_not()) is not None:
        sign = _sign(step.target, ctx)
        if sign != last_sign or reason not in told:
            last_sign, deadline = sign, ctx.now() + step.stall_s
        told.add(reason)
        if ctx.now() >= deadline:
            behind, waited = _behind(step, ctx), behind
            if behind in told or (behind is None and waited is None):
                raise StepFailed(_failed(step.target, reason, ctx))
            told.add(behind)
            deadline = ctx.now() + step.stall_s
        ctx.progress(reason, None)
        ctx.sleep(next(pause))


def _behind(step: StepSpec, ctx: Context) -> str | None:
    """How far a server is that the service needs (`after`) and that does not work yet, None where all of them do."""
    names = step.params.get("after") or ()
    assert isinstance(names, (list, tuple))
    waiting = ((name, ctx.serving(name)) for name in map(str, names))
    return next((f"{name}: {why} {_sign(name, ctx)}" for name, why in waiting if why is not None), None)


def _sound(service: str, before: Data, ctx: Context) -> str | None:
    """As `_why_not`; StepFailed where it is worse than before.

    Of one look: a service that turns red between two would be waited for, and not said to fail.
    """
    found = containers_of(service, ctx)
    if reason := _worse(found, before, ctx):
        raise StepFailed(_failed(service, reason, ctx))
    return _why_not(service, found, before, ctx)


def _why_not(service: str, found: Sequence[Container], before: Data, ctx: Context) -> str | None:
    running = [c for c in found if c.running]
    if len(running) < scale_of(before):
        states = ", ".join(sorted({c.state for c in found})) or "absent"
        if any(c.state in ("exited", "dead", "restarting") for c in found):
            raise StepFailed(_failed(service, f"its container is {states}", ctx))
        return f"{service} is {states}"
    if before.get("healthy") and not all(c.health in (None, "healthy") for c in running):
        return f"waiting for the health of {service}"
    return None


def _worse(found: Sequence[Container], before: Data, ctx: Context) -> str | None:
    """What no waiting makes good, None where there is nothing of the kind."""
    killed = oom_kills(found, ctx)
    if killed and not before.get("oom_kills"):
        limits = [c.memory_limit_bytes for c in found if c.memory_limit_bytes]
        limit = f" (limit {format_size(min(limits))})" if limits else ""
        return f"the kernel killed {killed} of its processes for lack of memory{limit}"
    if any(c.restart_count > _restarts(c, before) for c in found):
        return "it crashed and was restarted"
    if before.get("healthy") and any(c.running and c.health == "unhealthy" for c in found):
        return "its healthcheck fails"
    return None


def _restarts(container: Container, before: Data) -> int:
    """Restarts that it had already, where it is a container from before; a new one has none."""
    known = before.get("containers")
    records = known if isinstance(known, list) else []
    return next((int(r.get("restarts") or 0) for r in records if r.get("id") == container.id), 0)


def _sign(service: str, ctx: Context) -> str:
    """What changes while a start makes progress: states, restarts, the last log line."""
    found = containers_of(service, ctx)
    tail = ctx.engine.logs(found[-1].id, 1) if found else ""
    return repr([(c.id, c.state) for c in found]) + tail


def _failed(service: str, reason: str, ctx: Context) -> Message:
    found = containers_of(service, ctx)
    tail = ctx.engine.logs(found[-1].id, LOG_LINES).strip() if found else ""
    return msg(
        "{service} did not come back: {reason}. Its log ends with: {log}",
        service=service,
        reason=reason,
        log=tail or "(nothing)",
    )


def settle(step: StepSpec, before: Data, ctx: Context) -> None:
    """It must stay up, green and serving for the settling time."""
    end = ctx.now() + ctx.settle_s
    while True:
        reason = _sound(step.target, before, ctx) or ctx.serving(step.target)
        if reason:
            raise StepFailed(_failed(step.target, f"while it settled: {reason}", ctx))
        if ctx.now() >= end:
            return
        ctx.progress(f"settling, {end - ctx.now():.0f} s", None)
        ctx.sleep(min(1.0, max(0.05, end - ctx.now())))
