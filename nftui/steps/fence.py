"""Fences: no server starts on the copy that is not the whole one (engine.md 5)."""

from __future__ import annotations

from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.steps.calls import Data
from nftui.steps.kind import Context, Found, StepFailed
from nftui.steps.places import (
    as_it_became,
    fence,
    find,
    is_fenced,
    lift,
    must_be_idle,
    name_of,
    path_of,
    place_of,
    put_block,
)


def _classify(step: StepSpec, ctx: Context, *, wanted: bool) -> Found:
    path = find(place_of(step, "place"), ctx)
    now = None if path is None else is_fenced(step, path, ctx)
    if path is None:
        return Found.FOREIGN
    return Found.PARTIAL if now is None else Found.AFTER if now is wanted else Found.BEFORE


def _must_be(step: StepSpec, ctx: Context, *, fenced: bool) -> None:
    path = path_of(place_of(step, "place"), ctx)
    if is_fenced(step, path, ctx) is not fenced:
        raise StepFailed(
            msg("{path}: its fence is not as it should be; look at it before anything starts on it.", path=path)
        )


class FenceKind:
    """The source that is left behind: its server cannot start on it until the fence is lifted.

    `copied` names the step that copied it: what was written since then would be lost, so it must be untouched.
    """

    name = "fence"
    version = 1
    reads_files = False

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """What it looked like when it was copied."""
        return {"fingerprint": ctx.recall(str(step.params["copied"]))["fingerprint"]}

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """By the fenced file's name."""
        return _classify(step, ctx, wanted=True)

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Nothing may run on it, nothing may have been written to it since it was copied."""
        place = place_of(step, "place")
        path = path_of(place, ctx)
        must_be_idle(path, ctx)
        if is_fenced(step, path, ctx) is False and ctx.trees.facts(path).fingerprint != before["fingerprint"]:
            raise StepFailed(msg("{path} was written to after it was copied.", path=path))
        kind = "volume" if place["type"] == "volume" else "directory"
        dataset = str(step.params["dataset"])
        ctx.artefacts.record(kind, name_of(place), ctx.run, step.id, dataset=dataset, was="the place before")
        fence(step, path, ctx)

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Read back; from here on the other copy is the one whole copy."""
        _must_be(step, ctx, fenced=True)
        place = place_of(step, "place")
        ctx.artefacts.made(name_of(place), ctx.trees.facts(path_of(place, ctx)).bytes, None)
        return {"authority": name_of(place_of(step, "authority"))}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Lift it: the data is the service's own again."""
        place = place_of(step, "place")
        lift(step, path_of(place, ctx), ctx)
        _must_be(step, ctx, fenced=False)
        ctx.artefacts.drop(name_of(place))


class LiftKind:
    """A proven copy opened for its service; undo closes it again, with everything that was written to it."""

    name = "lift"
    version = 1
    reads_files = False

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Nothing that the plan does not say."""
        return {}

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """After: no fence, no mark."""
        found = _classify(step, ctx, wanted=False)
        marked = found is Found.AFTER and ctx.trees.marked(path_of(place_of(step, "place"), ctx)) is not None
        return Found.PARTIAL if marked else found

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """The fence first: a place that is marked is still known as unfinished."""
        path = path_of(place_of(step, "place"), ctx)
        lift(step, path, ctx)
        ctx.trees.unmark(path)

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Read back."""
        if self.classify(step, before, ctx) is not Found.AFTER:
            raise StepFailed(msg("{name} could not be opened.", name=name_of(place_of(step, "place"))))
        return {}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Closed and kept; what cannot be reached any more cannot be started on either."""
        path = find(place_of(step, "place"), ctx)
        if path is None or not ctx.trees.exists(path):
            return
        must_be_idle(path, ctx)
        became = as_it_became(step, path, ctx)
        fence(became, path, ctx)
        put_block(step, path, ctx)  # For a server of the former version too.
        step = became
        _must_be(step, ctx, fenced=True)
