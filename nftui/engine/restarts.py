"""Steps that make a service's containers anew, or start one of nftui's own: each is built here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

from nftui.model.message import msg
from nftui.model.plan import StepSpec, Undo
from nftui.steps.own import StartKind
from nftui.steps.recreate import RecreateKind

GRACE_S = 120
"""The old container's stop timeout: data services need it for a shutdown checkpoint (engine.md 7)."""
OWN_GRACE_S = 30
"""A service of nftui's own keeps no data that a stop has to save."""
DOWNTIME_S = 12.0
"""Predicted seconds of a recreate before this host has measured one: stop, start and health."""


def recreate_step(service: str, grace_s: int = GRACE_S, *, forced: bool = False, held: str = "") -> StepSpec:
    """By the files as they are then. `forced`: also where Compose sees no change; `held`: the step that stopped it."""
    return StepSpec(
        id=f"recreate:{service}",
        kind=RecreateKind.name,
        target=service,
        service=service,
        params={"grace_s": grace_s, "force": forced, **({"held": held} if held else {})},
        summary=msg("recreate {service}", service=service),
        downtime_s=DOWNTIME_S,
        undo_after_write=Undo.BY_RESTART,
    )


def start_step(service: str, *, job: bool, after: Sequence[str] = ()) -> StepSpec:
    """One of nftui's own; a `job` ends when its work is done. `after`: what of the operator's it needs for that."""
    return StepSpec(
        id=f"start:{service}",
        kind=StartKind.name,
        target=service,
        service=service,
        params={"grace_s": OWN_GRACE_S, "job": job, "after": list(after)},
        summary=msg("start {service}", service=service),
    )
