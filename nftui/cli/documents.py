"""The promised keys of the JSON documents (cli.md), made from the model. More keys may follow, none may go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields

from nftui.cli.i18n import tr
from nftui.cli.output import plain
from nftui.engine.preview import diff_files
from nftui.model.advice import Advice, Effort
from nftui.model.artefact import Artefact
from nftui.model.facts import Facts, Live
from nftui.model.findings import Finding
from nftui.model.message import Message
from nftui.model.plan import Draft, FileChange, OptimizationPlan, Plan, Stage, StepSpec
from nftui.model.run import Damage, Drift, ProjectStatus, Pruning, RunStatus, SnapshotInfo, StepState, WayBack
from nftui.model.stack import Service

Json = dict[str, object]


def detect(facts: Facts) -> Json:
    """Host, stack, engine."""
    stack = facts.stack
    return {
        "host": plain(facts.host),
        "stack": {
            "name": stack.name,
            "directory": stack.invocation.directory,
            "files": list(stack.files),
            "profiles": list(stack.profiles),
            "services": [_service(s) for s in stack.services],
            "problems": plain(stack.problems),
            "managers": list(stack.managers),
            "resolved_by": stack.resolved_by,
        },
        "engine": plain(facts.engine),
    }


def _service(service: Service) -> Json:
    names = ("name", "role", "extra_roles", "image", "version", "active", "profiles", "state", "memory_limit_bytes",
             "memory_reservation_bytes", "cpus", "shm_bytes", "restart", "scale", "ports", "mounts")  # fmt: skip
    return {name: plain(getattr(service, name)) for name in names}


def unread(live: Live) -> dict[str, object]:
    """A running service that did not answer."""
    return {"service": live.service, "probe": live.probe, "why": live.error}


def finding(found: Finding) -> Json:
    """One finding."""
    return {
        "id": found.id, "level": str(found.level), "service": found.service, "title": tr(found.title),
        "detail": tr(found.detail), "evidence": plain(found.evidence), "source": found.source,
        "optimization": found.optimization,
    }  # fmt: skip


def plan(found: Plan, warnings: Iterable[Message]) -> Json:
    """The plan as promised; `warnings` are those of the choices, the draft adds its own."""
    draft = found.draft
    return {
        "id": found.id,
        "project": found.project,
        "changes": draft.changes,
        "preconditions": [p.as_json() for p in draft.preconditions],
        "optimizations": [_optimization(o) for o in draft.optimizations],
        "files": files(draft.files),
        "stages": [_stage(s) for s in draft.stages],
        "effort_days": _days(draft.effort),
        "downtime_seconds": draft.downtime_s,
        "memory": {
            "host_bytes": draft.memory.host_bytes,
            "reserved_bytes": draft.memory.reserved_bytes,
            "services": [{"name": name, "bytes": number} for name, number in draft.memory.services],
        },
        "warnings": all_warnings(draft, warnings),
    }


def all_warnings(draft: Draft, warnings: Iterable[Message]) -> list[str]:
    """What the choices, the draft and its refusals have to say, each once."""
    return list(dict.fromkeys(tr(m) for m in (*warnings, *draft.warnings, *draft.losses, *draft.refusals)))


def _days(effort: Effort) -> Json:
    return {"low": round(effort.low, 2), "high": round(effort.high, 2)}


def _optimization(item: OptimizationPlan) -> Json:
    return {
        "id": item.id,
        "title": tr(item.title) if item.title else item.id,
        "selection": str(item.selection),
        "applicable": item.applicable,
        "lacks": tr(item.lacks) if item.lacks is not None else None,
        "reason": tr(item.reason),
        "effort_days": _days(item.effort),
        "downtime_seconds": item.downtime_s,
        "risk": str(item.risk),
        "knobs": [_knob(a) for a in item.advice],
    }


def _knob(advice: Advice) -> Json:
    return {
        "name": advice.knob, "service": advice.service, "value": advice.value, "current": advice.current,
        "recommended": advice.recommended, "unit": advice.unit, "why": tr(advice.why), "source": advice.source,
        "changes": advice.changes, "kept": advice.kept, "restart": advice.restart,
        "notes": [tr(note) for note in advice.notes],
    }  # fmt: skip


def files(changes: Sequence[FileChange]) -> list[Json]:
    """Every file with its unified diff."""
    return [{"path": d.path, "action": d.action, "diff": d.text} for d in diff_files(changes)]


def _stage(stage: Stage) -> Json:
    return {
        "id": stage.id, "commit_point": stage.commit_point, "fence": stage.fence,
        "loss": tr(stage.loss) if stage.loss else None, "backup": plain(stage.backup),
        "copied_bytes": stage.switch.size_bytes if stage.switch else None,
        "steps": [_step(s) for s in stage.steps],
    }  # fmt: skip


def _step(step: StepSpec) -> Json:
    return {
        "id": step.id, "kind": step.kind, "service": step.service, "summary": tr(step.summary),
        "undo": str(step.undo_after_write), "downtime_seconds": step.downtime_s,
    }  # fmt: skip


def run(
    status: RunStatus,
    *,
    unused: Iterable[tuple[str, str]] = (),
    skipped: Iterable[str] = (),
    warnings: Iterable[str] = (),
) -> Json:
    """The end of a run; `unused` names what was asked for and has not even begun, with the reason.

    `skipped`: ids of live steps for services that do not run.
    """
    missing = [{"id": s.id, "reason": s.error or s.detail or s.state} for s in status.steps if not stands(status, s)]
    resting = [{"id": name, "state": "skipped", "seconds": 0.0, "error": None} for name in skipped]
    return {
        "run": status.run,
        "plan": status.plan,
        "snapshot": status.run,
        "outcome": status.outcome,
        "steps": [
            *({"id": s.id, "state": s.state, "seconds": s.seconds, "error": s.error} for s in status.steps),
            *resting,
        ],
        "not_applied": [*missing, *({"id": name, "reason": reason} for name, reason in unused)],
        "reason": status.reason,
        "standing": list(status.standing),
        "notes": list(status.notes),
        "warnings": list(warnings),
    }


def stands(status: RunStatus, step: StepState) -> bool:
    """Whether the step did what its run was for."""
    return step.state == ("undone" if status.kind == "rollback" else "verified")


def unchanged(plan_id: str | None, warnings: Iterable[str] = ()) -> Json:
    """There was nothing to do."""
    return {
        "plan": plan_id, "snapshot": None, "outcome": "unchanged", "steps": [], "not_applied": [], "reason": "",
        "standing": [], "warnings": list(warnings),
    }  # fmt: skip


def way_back(found: WayBack) -> Json:
    """What a rollback would do."""
    return {
        "runs": list(found.runs), "generation": found.generation, "files": files(found.files),
        "services": list(found.services), "downtime_seconds": found.downtime_s,
        "steps": [tr(step) for step in found.steps], "foreign": list(found.foreign), "merged": list(found.merged),
        "losses": [tr(loss) for loss in found.losses], "pending": [tr(words) for words in found.pending],
    }  # fmt: skip


def status(found: ProjectStatus) -> Json:
    """A run that goes on or was cut off, and drift."""
    return {
        "state": found.state, "run": found.run, "generation": found.generation,
        "drift": [_drift(d) for d in found.drift],
        "repairs": [{"target": d.target, "command": d.repair} for d in found.drift if d.repair],
        "told": [_drift(d) for d in found.told],
        "unknown": [_drift(d) for d in found.unknown],
        "owner": found.owner, "hint": found.hint, "confirm_left_seconds": found.confirm_left_s,
        "data": [{"dataset": a.dataset, "whole": a.whole, "other": a.other} for a in found.data],
    }  # fmt: skip


def _drift(drift: Drift) -> Json:
    return {"target": drift.target, "expected": drift.expected, "actual": drift.actual, "level": drift.level}


def snapshot(info: SnapshotInfo) -> Json:
    """One snapshot."""
    return {**{f.name: plain(getattr(info, f.name)) for f in fields(info)}, "damaged": damages(info.damaged)}


def damages(found: Iterable[Damage]) -> list[Json]:
    """What is wrong, and what is safe to do."""
    return [{"path": d.path, "what": tr(d.what), "safe": tr(d.safe)} for d in found]


def pruning(found: Pruning) -> Json:
    """What goes and what stays."""
    return {
        "pruned": list(found.going), "kept": [{"id": name, "why": tr(why)} for name, why in found.kept],
        "blobs": found.blobs, "bytes": found.bytes, "done": found.done,
    }  # fmt: skip


def artefact(found: Artefact) -> Json:
    """One artefact."""
    return {**found.as_json(), "needed_by": list(found.needed_by)}


def log_entry(record: Mapping[str, object]) -> Json:
    """One line of the audit log, with the keys that every line has."""
    keys = ("time", "user", "from", "kind", "run", "plan", "outcome", "code", "reason")
    return {**{k: record.get(k) for k in keys}, **{k: plain(v) for k, v in record.items() if k not in keys}}
