"""Recreating a service by Compose, by the rules of engine.md 7."""

from __future__ import annotations

from collections.abc import Sequence

from nftui.model.message import Message, msg
from nftui.model.plan import StepSpec
from nftui.model.stack import Container
from nftui.steps.kind import Context, Data, Found, StepFailed

POLL_S = 0.25


def _containers(service: str, ctx: Context) -> list[Container]:
    return sorted((c for c in ctx.engine.containers() if c.service == service), key=lambda c: c.number)


class RecreateKind:
    """`docker compose up -d --no-deps …` of one service, then healthy and serving for the settling time."""

    name = "recreate"
    version = 1
    reads_files = True

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """What ran: containers, hashes, health, scale; and the hash that the files on disk now ask for."""
        found = _containers(step.target, ctx)
        running = [c for c in found if c.running]
        return {
            "containers": [
                {
                    "id": c.id,
                    "hash": c.config_hash,
                    "image": c.image_id,
                    "health": c.health,
                    "restarts": c.restart_count,
                }
                for c in found
            ],
            "scale": len(running),
            "healthy": bool(running) and all(c.health == "healthy" for c in running),
            "after": ctx.compose.config_hashes().get(step.target),
            "clients": list(ctx.clients(step.target)),
        }

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """After: all that runs is new; what it was made from is proven by the read-backs, not by a hash.

        (Compose 2.26 leaves dependencies that were not selected out of the hash that it writes on a container.)
        """
        found = _containers(step.target, ctx)
        running = [c for c in found if c.running]
        old = _ids(before)
        if len(running) < _scale(before):
            return Found.PARTIAL
        return Found.BEFORE if any(c.id in old for c in running) else Found.AFTER

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Wait for a quiet moment, ease the stop, recreate."""
        _wait_quiet(step.target, ctx)
        ctx.before_stop(step.target)
        self._up(step, before, ctx)
        ctx.issued(f"compose up {step.target}")

    def _up(self, step: StepSpec, before: Data, ctx: Context) -> None:
        ctx.compose.up(
            step.target,
            scale=max(1, _scale(before)),
            grace_s=int(str(step.params.get("grace_s", 120))),
            force=bool(step.params.get("force")),
        )

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Healthy by its own check and by nftui's role check, and stable for the settling time."""
        wait_serving(step, before, ctx)
        settle(step, ctx)
        restarted = bring_back_clients(step, before, ctx)
        found = [c for c in _containers(step.target, ctx) if c.running]
        return {"containers": [{"id": c.id, "hash": c.config_hash} for c in found], "restarted": restarted}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """The files are back already: recreate by them unless it runs by them, then the same checks."""
        wanted = ctx.compose.config_hashes().get(step.target)
        running = [c for c in _containers(step.target, ctx) if c.running]
        original = len(running) >= _scale(before) and {c.id for c in running} <= _ids(before)
        same = len(running) >= _scale(before) and all(c.config_hash == wanted for c in running)
        if not original and (not same or step.params.get("force")):
            ctx.before_stop(step.target)
            self._up(step, before, ctx)
        wait_serving(step, before, ctx)
        bring_back_clients(step, before, ctx)


def _ids(before: Data) -> set[str]:
    containers = before["containers"]
    assert isinstance(containers, list)
    return {str(c["id"]) for c in containers}


def _scale(before: Data) -> int:
    return int(str(before["scale"]))


def _wait_quiet(service: str, ctx: Context) -> None:
    """Wait up to `wait_quiet_s`, then refuse with the reasons (engine.md 7)."""
    deadline = ctx.now() + ctx.wait_quiet_s
    while reasons := ctx.quiet(service):
        if ctx.now() >= deadline:
            raise StepFailed(_not_quiet(service, reasons))
        ctx.progress(str(reasons[0]), None)
        ctx.sleep(1.0)


def _not_quiet(service: str, reasons: Sequence[Message]) -> Message:
    return msg("{service} is not stopped now: {reason}", service=service, reason="; ".join(str(r) for r in reasons))


def wait_serving(step: StepSpec, before: Data, ctx: Context) -> None:
    """Until every container of the service is healthy and the role check passes.

    Its own healthcheck counts only if it passed before (engine.md 8). Progress in the log or a start period
    extends the wait: `stall_s` counts from the last sign of progress.
    """
    last_sign, deadline = "", ctx.now() + step.stall_s
    while True:
        reason = _why_not(step.target, before, ctx)
        if reason is None:
            return
        sign = _sign(step.target, ctx)
        if sign != last_sign:
            last_sign, deadline = sign, ctx.now() + step.stall_s
        if ctx.now() >= deadline:
            raise StepFailed(_failed(step.target, reason, ctx))
        ctx.progress(reason, None)
        ctx.sleep(POLL_S)


def _why_not(service: str, before: Data, ctx: Context) -> str | None:
    found = _containers(service, ctx)
    running = [c for c in found if c.running]
    if len(running) < _scale(before):
        states = ", ".join(sorted({c.state for c in found})) or "absent"
        dead = [c for c in found if c.state in ("exited", "dead", "restarting") or c.restart_count > 2]
        if dead:
            raise StepFailed(_failed(service, f"its container is {states}", ctx))
        return f"{service} is {states}"
    if before.get("healthy") and any(c.health == "unhealthy" for c in running):
        raise StepFailed(_failed(service, "its healthcheck fails", ctx))
    if before.get("healthy") and not all(c.health == "healthy" for c in running):
        return f"waiting for the health of {service}"
    return ctx.serving(service)


def _sign(service: str, ctx: Context) -> str:
    """What changes while a start makes progress: states, restarts, the last log line."""
    found = _containers(service, ctx)
    tail = ctx.engine.logs(found[-1].id, 1) if found else ""
    return repr([(c.id, c.state) for c in found]) + tail


def _failed(service: str, reason: str, ctx: Context) -> Message:
    found = _containers(service, ctx)
    tail = ctx.engine.logs(found[-1].id, 5).strip() if found else ""
    return msg(
        "{service} did not come back: {reason}. Its log ends with: {log}",
        service=service,
        reason=reason,
        log=tail or "(nothing)",
    )


def settle(step: StepSpec, ctx: Context) -> None:
    """It must stay up and serving for the settling time: no restart, no OOM kill."""
    first = {c.id: c.restart_count for c in _containers(step.target, ctx)}
    end = ctx.now() + ctx.settle_s
    while ctx.now() < end:
        ctx.progress(f"settling, {end - ctx.now():.0f} s", None)
        ctx.sleep(min(1.0, max(0.05, end - ctx.now())))
        for container in _containers(step.target, ctx):
            worse = not container.running or container.oom_killed
            if worse or container.restart_count > first.get(container.id, 0):
                raise StepFailed(_failed(step.target, "it restarted while it settled", ctx))
    reason = ctx.serving(step.target)
    if reason:
        raise StepFailed(_failed(step.target, reason, ctx))


def bring_back_clients(step: StepSpec, before: Data, ctx: Context) -> list[str]:
    """Who was connected before must be back; a client that is not is restarted (engine.md 7). Returns those.

    One that runs and still does not connect may just have nothing to ask: only one that does not come up fails.
    """
    missing = _wait_for_clients(step, before, ctx)
    if not missing:
        return []
    for container in [c for c in ctx.engine.containers() if c.service in missing and c.running]:
        ctx.progress(f"restarting {container.service}, which did not reconnect", None)
        ctx.engine.restart(container.id, 10)
    _wait_for_clients(step, before, ctx)
    down = sorted(name for name in missing if not any(c.running for c in _containers(name, ctx)))
    if down:
        raise StepFailed(msg("{clients} did not come back to {service}", clients=", ".join(down), service=step.target))
    return sorted(missing)


def _wait_for_clients(step: StepSpec, before: Data, ctx: Context) -> set[str]:
    clients = before.get("clients") or []
    wanted = {str(name) for name in clients} if isinstance(clients, list) else set()
    end = ctx.now() + ctx.clients_s
    while missing := wanted - set(ctx.clients(step.target)):
        if ctx.now() >= end:
            return missing
        ctx.progress(f"waiting for {', '.join(sorted(missing))} to reconnect", None)
        ctx.sleep(POLL_S * 2)
    return set()
