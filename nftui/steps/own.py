"""Services of nftui's own: started where there was none, removed where they go (the operator's are never either)."""

from __future__ import annotations

from collections.abc import Sequence

from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.stack import Container
from nftui.steps import gate
from nftui.steps.calls import Data
from nftui.steps.gate import containers_of, scale_of
from nftui.steps.kind import Context, Found, StepFailed


class StartKind:
    """`docker compose up` of one service that did not run, then healthy and settled; a job: ended well.

    Taken back after what was routed to it is routed away again: hence its rank.
    """

    name = "start"
    version = 1
    reads_files = True
    undo_rank = 1

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """The containers that are there already: none of them is ever removed."""
        found = containers_of(step.target, ctx)
        return {"containers": [{"id": c.id, "running": c.running} for c in found], "scale": 1}

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """After: a container that was not there, or did not run, does."""
        found = containers_of(step.target, ctx)
        if any(_is_up(c, step) and c.id not in _stood(before) for c in found):
            return Found.AFTER
        return Found.PARTIAL if _made(found, before) else Found.BEFORE

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Create and start it, and nothing else."""
        ctx.compose.up(step.target, scale=1, grace_s=_grace(step))
        ctx.issued(f"compose up {step.target}")

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Its own healthcheck counts, for nftui made it (engine.md 8); then its role's check, and the settling time."""
        if step.params.get("job"):
            gate.wait_done(step, ctx)
        else:
            new = {**before, "healthy": any(c.health for c in containers_of(step.target, ctx))}
            gate.wait_serving(step, new, ctx)
            gate.settle(step, new, ctx)
        return {"containers": [{"id": c.id} for c in containers_of(step.target, ctx)]}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Stop and remove exactly what was made; what was there and did not run does not run again."""
        found = containers_of(step.target, ctx)
        for container in _made(found, before):
            ctx.engine.remove(container.id, _grace(step))
        stood = _stood(before)
        for container in found:
            if container.running and container.id in _ids(before) - stood:
                ctx.engine.stop(container.id, _grace(step))
        left = [c for c in containers_of(step.target, ctx) if c.id not in _ids(before) or _runs_anew(c, stood)]
        if left:
            raise StepFailed(msg("{service} could not be removed again.", service=step.target))


class RemoveKind:
    """The containers of a service that goes, once nothing is routed to it any more; undo: up again by the old files.

    It is up again before anything is routed to it again: hence its rank.
    """

    name = "remove"
    version = 1
    reads_files = True
    undo_rank = -1

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Which containers go, how many of them ran, and whether they were well."""
        found = containers_of(step.target, ctx)
        running = [c for c in found if c.running]
        return {
            "containers": [{"id": c.id, "running": c.running, "restarts": c.restart_count} for c in found],
            "scale": len(running),
            "healthy": bool(running) and all(c.health == "healthy" for c in running),
            "served": bool(running) and ctx.serving(step.target) is None,
        }

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """Only those of the intent are meant."""
        left = [c for c in containers_of(step.target, ctx) if c.id in _ids(before)]
        if not left:
            return Found.AFTER
        whole = len(left) == len(_ids(before)) and sum(c.running for c in left) == scale_of(before)
        return Found.BEFORE if whole else Found.PARTIAL

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Stop and remove each."""
        for container in containers_of(step.target, ctx):
            if container.id in _ids(before):
                ctx.engine.remove(container.id, _grace(step))

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """None of them is there any more."""
        left = [c.name for c in containers_of(step.target, ctx) if c.id in _ids(before)]
        if left:
            raise StepFailed(msg("{containers} could not be removed.", containers=", ".join(left)))
        return {}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """The files are back already: up by them, as many as ran, and as well as they were."""
        running = [c for c in containers_of(step.target, ctx) if c.running]
        if scale_of(before) and len(running) < scale_of(before):
            ctx.compose.up(step.target, scale=scale_of(before), grace_s=_grace(step))
        gate.wait_restored(step, before, ctx)


def _grace(step: StepSpec) -> int:
    return int(str(step.params.get("grace_s", 120)))


def _records(before: Data) -> list[dict[str, object]]:
    containers = before["containers"]
    assert isinstance(containers, list)
    return containers


def _ids(before: Data) -> set[str]:
    return {str(c["id"]) for c in _records(before)}


def _stood(before: Data) -> set[str]:
    """Those that ran already."""
    return {str(c["id"]) for c in _records(before) if c["running"]}


def _made(found: Sequence[Container], before: Data) -> list[Container]:
    return [c for c in found if c.id not in _ids(before)]


def _is_up(container: Container, step: StepSpec) -> bool:
    return container.running or (bool(step.params.get("job")) and is_done(container))


def _runs_anew(container: Container, stood: set[str]) -> bool:
    return container.running and container.id not in stood


def is_done(container: Container) -> bool:
    """A job's container whose process ended well."""
    return container.state == "exited" and container.exit_code == 0
