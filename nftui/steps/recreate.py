"""Recreating a service by Compose, by the rules of engine.md 7."""

from __future__ import annotations

from collections.abc import Sequence

from nftui.model.message import Message, msg
from nftui.model.plan import StepSpec
from nftui.steps import gate
from nftui.steps.calls import Data
from nftui.steps.gate import containers_of, scale_of
from nftui.steps.kind import Context, Found, StepFailed


class RecreateKind:
    """`docker compose up -d --no-deps …` of one service, then healthy and serving for the settling time."""

    name = "recreate"
    version = 1
    reads_files = True

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """What ran: containers, hashes, health, scale; and the hash that the files on disk now ask for.

        A service that an earlier step holds does not run any more: that step remembered it (`held` names it).
        """
        after = ctx.compose.config_hashes().get(step.target)
        if "held" in step.params:
            held = ctx.recall(str(step.params["held"]))["services"]
            assert isinstance(held, dict)
            return {**held[step.target], "after": after}
        ran = gate.what_ran(containers_of(step.target, ctx), step.target, ctx)
        return {**ran, "after": after, "clients": list(ctx.clients(step.target))}

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """After: all that runs is new; what it was made from is proven by the read-backs, not by a hash.

        (Compose 2.26 leaves dependencies that were not selected out of the hash that it writes on a container.)
        """
        found = containers_of(step.target, ctx)
        running = [c for c in found if c.running]
        old = _ids(before)
        if len(running) < scale_of(before):
            return Found.PARTIAL
        return Found.BEFORE if any(c.id in old for c in running) else Found.AFTER

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Wait for a quiet moment, ease the stop, recreate."""
        wait_quiet(step.target, ctx)
        ctx.before_stop(step.target)
        self._up(step, scale_of(before), ctx)
        ctx.issued(f"compose up {step.target}")

    def _up(self, step: StepSpec, scale: int, ctx: Context) -> None:
        ctx.compose.up(
            step.target,
            scale=max(1, scale),
            grace_s=int(str(step.params.get("grace_s", 120))),
            force=bool(step.params.get("force")),
        )

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Healthy by its own check and by nftui's role check, and stable for the settling time."""
        gate.wait_serving(step, before, ctx)
        gate.settle(step, before, ctx)
        restarted = bring_back_clients(step, before, ctx)
        found = [c for c in containers_of(step.target, ctx) if c.running]
        return {"containers": [{"id": c.id, "hash": c.config_hash} for c in found], "restarted": restarted}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """The files are back already: recreate by them unless it runs by them, then the same checks.

        Never fewer than run now: the operator may have scaled it since.
        """
        wanted = ctx.compose.config_hashes().get(step.target)
        running = [c for c in containers_of(step.target, ctx) if c.running]
        original = len(running) >= scale_of(before) and {c.id for c in running} <= _ids(before)
        same = len(running) >= scale_of(before) and all(c.config_hash == wanted for c in running)
        if not original and (not same or step.params.get("force")):
            _must_mean_former_image(step.target, before, ctx)
            ctx.before_stop(step.target)
            self._up(step, max(scale_of(before), len(running)), ctx)
        gate.wait_restored(step, before, ctx)
        _must_run_former_image(step.target, before, ctx)
        bring_back_clients(step, before, ctx)


def _former_images(before: Data) -> set[str]:
    """Ids of the images that ran; empty where nobody knows."""
    records = before["containers"]
    assert isinstance(records, list)
    return {str(r["image"]) for r in records}


def _must_mean_former_image(service: str, before: Data, ctx: Context) -> None:
    """Before anything stops: what newer code once did to old data, no way back mends."""
    former = _former_images(before)
    name = ctx.compose.image(service) if former else None
    found = ctx.images.find(name) if name else None
    if found is not None and found.id not in former:
        raise StepFailed(
            msg(
                "{image} means {now}, and {service} ran {former} before: it was not made anew. Tag the former one "
                "again, then run the rollback again.",
                image=str(name),
                now=found.id,
                service=service,
                former=", ".join(sorted(former)),
            )
        )


def _must_run_former_image(service: str, before: Data, ctx: Context) -> None:
    """A tag that was pulled meanwhile gives another image to a container that is made again."""
    former = _former_images(before)
    now = {c.image_id for c in containers_of(service, ctx) if c.running}
    if former and not now <= former:
        raise StepFailed(
            msg(
                "{service} runs image {now}, and ran {former} before: its tag names another one now. Tag the former "
                "one again, then run the rollback again.",
                service=service,
                now=", ".join(sorted(now - former)),
                former=", ".join(sorted(former)),
            )
        )


def _ids(before: Data) -> set[str]:
    containers = before["containers"]
    assert isinstance(containers, list)
    return {str(c["id"]) for c in containers}


def wait_quiet(service: str, ctx: Context) -> None:
    """Wait up to `wait_quiet_s`, then refuse with the reasons (engine.md 7)."""
    deadline = ctx.now() + ctx.wait_quiet_s
    while reasons := ctx.quiet(service):
        if ctx.now() >= deadline:
            raise StepFailed(_not_quiet(service, reasons))
        ctx.progress(str(reasons[0]), None)
        ctx.sleep(1.0)


def _not_quiet(service: str, reasons: Sequence[Message]) -> Message:
    return msg("{service} is not stopped now: {reason}", service=service, reason="; ".join(str(r) for r in reasons))


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
    down = sorted(name for name in missing if not any(c.running for c in containers_of(name, ctx)))
    if down:
        raise StepFailed(msg("{clients} did not come back to {service}", clients=", ".join(down), service=step.target))
    return sorted(missing)


def _wait_for_clients(step: StepSpec, before: Data, ctx: Context) -> set[str]:
    clients = before.get("clients") or []
    wanted = {str(name) for name in clients} if isinstance(clients, list) else set()
    end, pause = ctx.now() + ctx.clients_s, gate.pauses(gate.POLL_S * 2)
    while missing := wanted - set(ctx.clients(step.target)):
        if ctx.now() >= end:
            return missing
        ctx.progress(f"waiting for {', '.join(sorted(missing))} to reconnect", None)
        ctx.sleep(next(pause))
    return set()
