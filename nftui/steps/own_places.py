"""Volumes and a network for services of nftui's own: made before those start, and gone with them while nobody wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from nftui.model.artefact import ArtefactState
from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.steps.calls import Data
from nftui.steps.kind import Context, Found, StepFailed

EMPTIED = "carried back"
"""The checksum of a volume all of whose data was proven to be where it came from."""

_TAKEN = "Pool overlaps with other one"
"""The engine's words. Source: moby libnetwork/ipamapi, ErrPoolOverlap, Docker 17 to 28."""


def volumes_of(step: StepSpec) -> list[str]:
    """The volumes that the step names."""
    return [str(name) for name in cast("list[object]", step.params["volumes"])]


def _network(step: StepSpec) -> tuple[str, str]:
    """Name and address range."""
    found = cast("Mapping[str, str]", step.params["network"])
    return found["name"], found["subnet"]


class OwnPlacesKind:
    """Each is recorded as an artefact before it is made. A step that proves what is in the volumes marks them as made.

    Undo removes the network, and the volumes that were never marked, for nobody but nftui wrote to them, or whose data
    is proven to be elsewhere again (EMPTIED). What else was marked may hold the only trace of a write, so it stays
    until the operator deletes it.
    """

    name = "own-places"
    version = 1
    reads_files = False

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Nothing of that name may be there: what others made is never used."""
        name, _ = _network(step)
        there = [v for v in volumes_of(step) if ctx.engine.volume(v) is not None]
        there += [name] if ctx.engine.network(name) is not None else []
        if there:
            raise StepFailed(
                msg("{names} is there already; nothing is put over other data. Look at 'nftui artefacts list', and "
                    "delete it there.", names=", ".join(there))
            )  # fmt: skip
        return {}

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """By what is there."""
        name, subnet = _network(step)
        network = ctx.engine.network(name)
        if network not in (None, subnet):
            return Found.FOREIGN
        there = [network is not None, *(ctx.engine.volume(v) is not None for v in volumes_of(step))]
        return Found.AFTER if all(there) else Found.PARTIAL if any(there) else Found.BEFORE

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """The network first: it can be refused, for its range may be taken."""
        name, subnet = _network(step)
        labels = {"nftui.run": ctx.run, "nftui.step": step.id}
        ctx.artefacts.record("network", name, ctx.run, step.id, range=subnet, was="for services of nftui's own")
        if ctx.engine.network(name) is None:
            _create(name, subnet, labels, ctx)
        for volume in volumes_of(step):
            ctx.artefacts.record("volume", volume, ctx.run, step.id, was="the new place")
            ctx.engine.create_volume(volume, labels)

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Read back."""
        if self.classify(step, before, ctx) is not Found.AFTER:
            raise StepFailed(msg("Not all of {names} could be made.", names=step.target))
        ctx.artefacts.made(_network(step)[0], None, None)
        return {}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """What uses them is gone by then."""
        name, _ = _network(step)
        if ctx.engine.network(name) is not None:
            ctx.engine.remove_network(name)
        ctx.artefacts.drop(name)
        kept = [volume for volume in volumes_of(step) if not _removed(volume, ctx)]
        if kept:
            ctx.note(f"{', '.join(kept)} stay with what was written to them; 'nftui artefacts delete' removes them")


def _create(name: str, subnet: str, labels: Mapping[str, str], ctx: Context) -> None:
    """StepFailed in words of its own where another network got the range since the plan was made."""
    try:
        ctx.engine.create_network(name, subnet, labels)
    except NftuiError as error:
        if _TAKEN not in str(error.message):
            raise
        raise StepFailed(
            msg(
                "Another network has taken addresses of {subnet} since this was planned ({why}). No service was "
                "touched. Apply again: the plan is made anew, with a range that is free.",
                subnet=subnet,
                why=str(error.message),
            )
        ) from error


def _removed(volume: str, ctx: Context) -> bool:
    found = next((a for a in ctx.artefacts.list() if a.name == volume), None)
    if found and found.state is not ArtefactState.RECORDED and found.checksum != EMPTIED:
        return False
    if found and ctx.engine.volume(volume) is not None:
        ctx.engine.remove_volume(volume)
    ctx.artefacts.drop(volume)
    return True
