"""What a run left in its directory, read for a way back."""

from __future__ import annotations

from nftui.engine import codec
from nftui.engine.follow import load
from nftui.engine.journal import RunView, read_journal
from nftui.engine.runner import BackItem, backward_order
from nftui.engine.state import ProjectState
from nftui.steps import load_kinds


def taken_back(state: ProjectState, run: str) -> list[BackItem]:
    """The steps of `run` that began, in the order in which they are taken back."""
    directory, kinds = state.run(run), load_kinds()
    view = RunView(read_journal(directory / "journal.jsonl"))
    plan = codec.check_schema(load(directory / "plan.json"))
    items = []
    for stage in reversed(codec.stages_from(plan.get("stages", []))):
        for step in backward_order(stage, kinds):
            before = view.intent(step.id)
            if before is not None:
                items.append(BackItem(f"{run}/{step.id}", step, before))
    return items
