"""An order: the saved request that a worker carries out, and what it becomes on fresh facts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from nftui.engine import codec
from nftui.engine.compare import differences
from nftui.engine.planner import env_origin
from nftui.engine.state import InForce
from nftui.engine.switching import whole_optimizations
from nftui.model.choices import Choices, Selection
from nftui.model.errors import DriftError
from nftui.model.message import msg
from nftui.model.plan import Draft, Plan, Stage
from nftui.model.stack import ProjectRequest
from nftui.session import Session
from nftui.steps import load_kinds
from nftui.system.blobs import BlobStore


def open_session(project: Mapping[str, object]) -> Session:
    """The session of a saved order: the worker stands where the asker stood."""
    request = cast("Mapping[str, object]", project["request"])
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in request.items()}
    os.chdir(str(project["cwd"]))
    return Session(ProjectRequest(**values), state_dir=Path(str(project["state_dir"])))  # type: ignore[arg-type]


def replan(session: Session, order: Mapping[str, object]) -> Plan:
    """The plan of a saved order on fresh facts; DriftError with the differences where it is another one."""
    plan = session.prove(Choices.from_json(cast("Mapping[str, object]", order["choices"])))
    fresh = json.loads(json.dumps(plan.draft.core()))
    lines = differences(cast("Mapping[str, object]", order["core"]), fresh)
    if lines:
        raise DriftError(msg("The plan does not fit any more; nothing was touched. {list}", list="; ".join(lines)))
    return plan


def plan_record(session: Session, plan: Plan, order: Mapping[str, object]) -> dict[str, object]:
    """What recovery and rollback need of a plan: stages whole, and what a commit leaves in force.

    `partial` says the same for each commit point, for a run that ends there.
    """
    draft = plan.draft
    _keep_contents(plan, session.state.blobs)
    options = cast("Mapping[str, object]", order.get("options", {}))
    live = [s.id for s in draft.steps if load_kinds().of(s).reads_files or s.kind == "project-check"]
    points = [stage for stage in draft.stages if stage.commit_point]
    return {
        "schema": codec.RUN_SCHEMA, "kind": "apply", "plan": plan.id,
        "skip": live if options.get("files_only") else [],
        "stages": codec.stages_json(draft.stages, session.state.blobs), "commit": _left(session, draft, None).as_json(),
        "partial": {stage.id: _left(session, draft, stage).as_json() for stage in points},
        "summaries": [str(s.summary) for s in draft.steps],
    }  # fmt: skip


def _keep_contents(plan: Plan, blobs: BlobStore) -> None:
    """What services mount, also where it lies on the disk already: a later run has to write it again."""
    for files in (s for fragment in plan.draft.fragments for s in fragment.files):
        for file in files.files.values():
            if file.content is not None:
                blobs.put(file.content)


def _left(session: Session, draft: Draft, until: Stage | None) -> InForce:
    """What the draft leaves in force, or its stages up to `until`."""
    in_force, done = session.state.in_force(), whole_optimizations(draft, until)
    choices = draft.choices
    selections = {name: s for name, s in choices.selections.items() if name in done}
    values = {key: value for key, value in choices.values.items() if key[0] in done}
    return InForce(
        generation=in_force.generation + 1,
        run=None,
        choices=_merged(in_force.choices, choices if until is None else replace(choices, selections=selections,
                                                                               values=values)),
        fragments=draft.fragments if until is None else until.fragments,
        assertions=session.gatherer.assertions(draft, until),
        env_origin=env_origin(session.facts(), session.gatherer.standing),
    )  # fmt: skip


def _merged(old: Choices, new: Choices) -> Choices:
    """The choices in force: what is untouched keeps its former values."""
    touched = {name for name, s in new.selections.items() if s is not Selection.UNTOUCHED}
    values = {k: v for k, v in old.values.items() if k[0] not in touched} | dict(new.values)
    selections = {**old.selections, **{n: s for n, s in new.selections.items() if n in touched}}
    return Choices(selections, values)
