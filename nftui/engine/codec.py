"""Stages and steps as JSON, whole: what a journal of last year is undone by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from nftui.engine.runner import BackItem
from nftui.model.errors import UsageError
from nftui.model.message import Message, msg
from nftui.model.plan import Cancel, FileChange, Resume, Stage, StepSpec, Undo, digest
from nftui.system.blobs import BlobStore

RUN_SCHEMA = 1
Json = Mapping[str, object]


def step_json(step: StepSpec) -> dict[str, object]:
    """Plain form, with text and predictions."""
    return {
        "id": step.id, "kind": step.kind, "kind_version": step.kind_version, "target": step.target,
        "params": dict(step.params), "summary": step.summary.as_json(), "service": step.service,
        "optimization": step.optimization, "downtime_s": step.downtime_s, "undo": str(step.undo),
        "undo_after_write": str(step.undo_after_write), "resume": str(step.resume), "stall_s": step.stall_s,
        "cancel": str(step.cancel), "live": step.live,
        "opens": step.opens, "last_back": step.last_back, "first_back": step.first_back,
    }  # fmt: skip


def step_from(data: Json) -> StepSpec:
    """Inverse of `step_json`."""
    values = dict(data)
    values["summary"] = Message.from_json(cast("Json", data["summary"]))
    values |= {"undo": Undo(str(data["undo"])), "undo_after_write": Undo(str(data["undo_after_write"]))}
    values["resume"] = Resume(str(data["resume"]))
    # Runs of the first version say nothing about it.
    values["cancel"] = Cancel(str(data.get("cancel", Cancel.AT_ONCE)))
    return StepSpec(**values)  # type: ignore[arg-type]


def stages_json(stages: Iterable[Stage], blobs: BlobStore) -> list[dict[str, object]]:
    """Plain form; file contents go to the blob store."""
    return [
        {
            "id": stage.id, "services": list(stage.services), "commit_point": stage.commit_point,
            "fence": stage.fence, "loss": stage.loss.as_json() if stage.loss else None,
            "steps": [step_json(s) for s in stage.steps],
            "files": [_file_json(c, blobs) for c in stage.files],
        }
        for stage in stages
    ]  # fmt: skip


def _file_json(change: FileChange, blobs: BlobStore) -> dict[str, object]:
    for content in (change.before, change.content):
        if content is not None:
            blobs.put(content)
    return {
        "path": change.path, "action": change.action, "mode": change.mode, "role": change.role,
        "before": digest(change.before), "after": digest(change.content), "keys": list(change.keys),
    }  # fmt: skip


def stages_from(data: object) -> tuple[Stage, ...]:
    """Inverse of `stages_json`, without file contents (steps name their blobs)."""
    stages = []
    for item in cast("list[Json]", data):
        steps = tuple(step_from(s) for s in cast("list[Json]", item["steps"]))
        services = tuple(str(s) for s in cast("list[object]", item["services"]))
        loss = Message.from_json(cast("Json", item["loss"])) if item.get("loss") else None
        fence = cast("str | None", item.get("fence"))
        commit_point = bool(item["commit_point"])
        stages.append(Stage(str(item["id"]), steps, services, fence=fence, commit_point=commit_point, loss=loss))
    return tuple(stages)


def items_json(items: Iterable[BackItem]) -> list[dict[str, object]]:
    """What a rollback takes back, with the intents from the journals of the runs that did it."""
    return [{"key": i.key, "step": step_json(i.step), "before": dict(i.before)} for i in items]


def items_from(data: object) -> tuple[BackItem, ...]:
    """Inverse of `items_json`."""
    return tuple(
        BackItem(str(i["key"]), step_from(cast("Json", i["step"])), cast("Json", i["before"]))
        for i in cast("list[Json]", data)
    )


def steps_of(record: Json) -> list[StepSpec]:
    """Every step of a run's record, whether it goes forth or back."""
    stages = stages_from(record.get("stages", []))
    return [s for stage in stages for s in stage.steps] + [i.step for i in items_from(record.get("items", []))]


def services_of(record: Json) -> frozenset[str]:
    """The services that its steps are about."""
    return frozenset(s.service for s in steps_of(record) if s.service)


def check_schema(data: Json) -> Json:
    """Refuse a run that a newer nftui wrote."""
    if int(str(data.get("schema", 0))) > RUN_SCHEMA:
        raise UsageError(msg("That run was written by a newer nftui; use that one. Nothing was touched."))
    return data
