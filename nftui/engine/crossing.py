"""Commit points: which a run has crossed, and which copy of a data set is the whole one (engine.md 5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from nftui.engine.journal import Phase, RunView
from nftui.model.plan import Stage, StepSpec
from nftui.model.run import Authority
from nftui.steps.hold import HoldKind
from nftui.steps.kind import Context, Kinds

_SWITCHED = (Phase.DONE, Phase.VERIFIED, Phase.UNDOING, Phase.UNDO_FAILED)


def last_crossed(stages: Sequence[Stage], view: RunView, kinds: Kinds, ctx: Context) -> str | None:
    """The newest stage that cannot be taken back by itself any more; it and all before it stand.

    To be asked before the first step is taken back: that may start the writers again.
    """
    crossed = [s.id for s in stages if s.commit_point and (opened(s, view) or _written(s, view, kinds, ctx))]
    return crossed[-1] if crossed else None


def opened(stage: Stage, view: RunView) -> bool:
    """Whether others were let in, as the journal tells it."""
    return any(view.intent(s.id) is not None for s in stage.crossing)


def _written(stage: Stage, view: RunView, kinds: Kinds, ctx: Context) -> bool:
    """Whether the service runs on the new data and someone started its held writers by hand."""
    if not any(s.lossy and view.last(s.id) not in (None, Phase.UNDONE) for s in stage.steps if not s.opens):
        return False
    held = [(s, kinds.of(s)) for s in stage.steps if view.last(s.id) in (Phase.DONE, Phase.VERIFIED)]
    writers = ((s, k) for s, k in held if isinstance(k, HoldKind) and s.params.get("writers"))
    return any(k.written(s, ctx) for s, k in writers)


def authorities(steps: Iterable[tuple[StepSpec, Phase | None]], *, going_back: bool = False) -> tuple[Authority, ...]:
    """The one whole copy of each data set that these steps switch, by the newest phase of each.

    A way back that is cut off still counts the new place: it may hold what was written later.
    """
    found = []
    for step, phase in steps:
        if "authority" not in step.params:
            continue
        new, old = (_name(step, key) for key in ("authority", "place"))
        switched = phase is not Phase.UNDONE if going_back else phase in _SWITCHED
        whole, other = (new, old) if switched else (old, new)
        found.append(Authority(str(step.params["dataset"]), whole, other))
    return tuple(found)


def _name(step: StepSpec, key: str) -> str:
    place = cast("dict[str, str]", step.params[key])
    return place.get("name") or place["path"]
