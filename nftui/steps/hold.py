"""Writers held while data is switched: stopped, kept from coming back by themselves, and started again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import cast

from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.stack import Container
from nftui.steps import gate
from nftui.steps.calls import Data
from nftui.steps.gate import containers_of, scale_of
from nftui.steps.kind import Context, Found, StepFailed
from nftui.steps.recreate import wait_quiet

_ENGINE_GRACE_S = 10.0
"""What the engine gives a container that asks for nothing else. An app keeps its own: it may ignore SIGTERM."""
_NEVER = {"Name": "no", "MaximumRetryCount": 0}
"""An `always` container would come back with the engine after a reboot, and write."""


def _services(step: StepSpec) -> list[str]:
    return [str(name) for name in cast("list[object]", step.params["services"])]


def _running(step: StepSpec, ctx: Context) -> list[Container]:
    return [c for name in _services(step) for c in containers_of(name, ctx) if c.running]


def _held(before: Data) -> Mapping[str, Data]:
    return cast("Mapping[str, Data]", before["services"])


def _records(held: Data) -> list[Data]:
    return cast("list[Data]", held["containers"])


def stop_running(step: StepSpec, ctx: Context) -> None:
    """Stop what runs of the step's `services`, and keep it from coming back by itself.

    Where `clean` is asked for, the server itself ends first: who started it may not wait for it.
    """
    least = float(str(step.params.get("grace_s", 0)))
    for container in _running(step, ctx):
        ctx.progress(f"stopping {container.service}", None)
        ctx.engine.set_restart_policy(container.id, _NEVER)
        own = _ENGINE_GRACE_S if container.stop_grace_s is None else container.stop_grace_s
        grace = int(max(least, own))
        if step.params.get("clean"):
            ctx.engine.end_server(container.id, grace)
        ctx.engine.stop(container.id, grace)


def _start(step: StepSpec, before: Data, ctx: Context) -> None:
    """What ran runs again, no more and no less, and comes back by itself as it did."""
    for name, held in _held(before).items():
        for container, policy in _to_start(name, held, ctx):
            ctx.engine.set_restart_policy(container.id, policy)
            if not container.running:
                ctx.progress(f"starting {name}", None)
                ctx.engine.start(container.id)


def _to_start(service: str, held: Data, ctx: Context) -> list[tuple[Container, Data]]:
    """The containers that ran; in the place of one that is gone another one of that service."""
    records = {str(c["id"]): c for c in _records(held)}
    present = sorted(containers_of(service, ctx), key=lambda c: (c.id not in records, not c.running, c.number))
    policies = [cast("Data", c["restart"]) for c in records.values()]
    pairs = zip(present, policies, strict=False)
    return [(c, cast("Data", records[c.id]["restart"]) if c.id in records else policy) for c, policy in pairs]


def _wait(step: StepSpec, before: Data, ctx: Context, until: Callable[[StepSpec, Data, Context], None]) -> None:
    for name, held in _held(before).items():
        if scale_of(held):
            until(replace(step, target=name), held, ctx)


class HoldKind:
    """Services stopped for a while; undo starts exactly those containers again that ran.

    `quiet` names the service that must be at rest first; `clean` asks for exit code 0: a server that was killed has
    not written everything.
    """

    name = "hold"
    version = 1
    reads_files = False

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """What runs, by service, in the form in which a recreate remembers it."""
        return {"services": {name: _state(name, ctx) for name in _services(step)}}

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """Never foreign: who starts a held service by hand is met by `written`."""
        ran = sum(scale_of(held) for held in _held(before).values())
        now = len(_running(step, ctx))
        return Found.AFTER if not now else Found.BEFORE if now >= ran else Found.PARTIAL

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Wait for a quiet moment, ease the stop, stop."""
        quiet = step.params.get("quiet")
        if quiet:
            wait_quiet(str(quiet), ctx)
            ctx.before_stop(str(quiet))
        stop_running(step, ctx)

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """None runs; with `clean` each ended by itself."""
        running = sorted({c.service for c in _running(step, ctx)})
        if running:
            raise StepFailed(msg("{services} runs again though it was stopped.", services=", ".join(running)))
        ids = {str(c["id"]) for held in _held(before).values() for c in _records(held)}
        codes = {c.service: c.exit_code for n in _services(step) for c in containers_of(n, ctx) if c.id in ids}
        if step.params.get("clean") and any(codes.values()):
            raise StepFailed(
                msg("{service} did not shut down cleanly; its data is not copied.", service=", ".join(codes))
            )
        return {"stopped": sorted(ids)}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Start what ran, and wait until it is as healthy as it was."""
        _start(step, before, ctx)
        _wait(step, before, ctx, gate.wait_restored)

    def written(self, step: StepSpec, ctx: Context) -> bool:
        """Whether a service that should be held runs: someone started it, and it may have written."""
        return bool(_running(step, ctx))


def _state(service: str, ctx: Context) -> Data:
    running = [c for c in containers_of(service, ctx) if c.running]
    ran = gate.what_ran(running, service, ctx)
    restart = {c.id: dict(ctx.engine.restart_policy(c.id)) for c in running}
    records = [{**record, "restart": restart[str(record["id"])]} for record in _records(ran)]
    return {**ran, "containers": records, "clients": []}


class ReleaseKind:
    """The held services started again: from here on they write to the switched data."""

    name = "release"
    version = 1
    reads_files = False

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """What the hold remembered; nothing where nobody was held."""
        held = step.params.get("held")
        return {"services": ctx.recall(str(held))["services"] if held else {}}

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """After: as many run as ran, each coming back by itself as it did."""
        now = {c.id for c in _running(step, ctx)}
        pairs = [p for name, held in _held(before).items() for p in _to_start(name, held, ctx)]
        if len(pairs) < sum(scale_of(held) for held in _held(before).values()):
            return Found.PARTIAL
        done = all(c.id in now and dict(ctx.engine.restart_policy(c.id)) == dict(p) for c, p in pairs)
        return Found.AFTER if done else Found.PARTIAL if now else Found.BEFORE

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Start them."""
        _start(step, before, ctx)

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """As many as before, as healthy as before."""
        _wait(step, before, ctx, gate.wait_serving)
        if self.classify(step, before, ctx) is not Found.AFTER:
            raise StepFailed(msg("not all of {services} came back", services=", ".join(_services(step))))
        return {"started": sorted(c.id for c in _running(step, ctx))}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Hold them again: the data under them is about to change. The hold starts them when it is taken back."""
        stop_running(step, ctx)
        if _running(step, ctx):
            raise StepFailed(msg("{services} could not be stopped.", services=", ".join(_services(step))))
