"""A run as its journal and progress file tell it: the one follower of wizard and command line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import cast

from nftui.engine.codec import items_from, stages_from
from nftui.engine.journal import Entry, Phase, RunView, read_journal
from nftui.engine.records import RECORD, read_record
from nftui.model.plan import StepSpec
from nftui.model.run import RunStatus, StepState

_STATE = {
    Phase.INTENT: "running", Phase.ISSUED: "running", Phase.DONE: "running", Phase.VERIFIED: "verified",
    Phase.SKIPPED: "skipped", Phase.FAILED: "failed", Phase.UNDOING: "undoing", Phase.UNDONE: "undone",
    Phase.UNDO_FAILED: "undo-failed",
}  # fmt: skip


def load(path: Path) -> Mapping[str, object]:
    """A JSON file of a run; {} where it is not there yet."""
    try:
        return cast("Mapping[str, object]", json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}


def run_status(directory: Path, lock_free: Callable[[], bool], boot_now: Callable[[], float]) -> RunStatus:
    """One look at the run in `directory`."""
    refused = load(directory / "refused.json")
    if refused:
        return _refused(directory, load(directory / RECORD), refused)
    view = RunView(read_journal(directory / "journal.jsonl"))
    plan = read_record(directory, view.entries) if (directory / RECORD).exists() or view.entries else {}
    steps = _steps(plan, view, load(directory / "progress.json"))
    end, begin = view.find(Phase.END), view.find(Phase.BEGIN)
    if not view.ended:
        end = None
    turn = view.find(Phase.TURN)
    reason = str((end.data if end else turn.data if turn else {}).get("reason", ""))
    return RunStatus(
        run=directory.name,
        kind=str(begin.data.get("kind", "apply")) if begin else str(plan.get("kind", "apply")),
        plan=cast("str | None", plan.get("plan")),
        steps=steps,
        state=_state(directory, view, lock_free),
        outcome=str(end.data["outcome"]) if end else None,
        reason=reason,
        turned=view.turned,
        confirm_left_s=_left(view, boot_now),
        standing=tuple(cast("Sequence[str]", end.data.get("standing", ()))) if end else (),
        code=int(str(end.data["code"])) if end else None,
        notes=tuple(str(e.data.get("text", "")) for e in view.entries if e.phase is Phase.NOTE),
    )


def _refused(directory: Path, plan: Mapping[str, object], refused: Mapping[str, object]) -> RunStatus:
    return RunStatus(
        run=directory.name, kind=str(plan.get("kind", "apply")), plan=cast("str | None", plan.get("plan")), steps=(),
        state="ended", outcome="failed", reason=str(refused["message"]), code=int(str(refused["code"])),
    )  # fmt: skip


def _state(directory: Path, view: RunView, lock_free: Callable[[], bool]) -> str:
    if view.ended:
        return "ended"
    alive = _alive(load(directory / "worker.json")) if not view.entries else not lock_free()
    if not alive and not (directory / "worker.json").exists() and not view.entries:
        return "running"
    if not alive:
        return "interrupted"
    waiting = view.find(Phase.AWAITING) and not view.find(Phase.CONFIRMED) and not view.turned
    return "awaiting-confirm" if waiting else "running"


def _alive(worker: Mapping[str, object]) -> bool:
    """A process counts only with its start time: process ids are used again."""
    pid = worker.get("pid")
    return pid is not None and start_time(int(str(pid))) == worker.get("start")


def start_time(pid: int) -> str | None:
    """Field 22 of /proc/PID/stat: start time in clock ticks since boot; None where there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]


def _left(view: RunView, boot_now: Callable[[], float]) -> float | None:
    entry = view.find(Phase.AWAITING)
    if entry is None or view.find(Phase.CONFIRMED) or view.turned or view.ended:
        return None
    return max(0.0, float(str(entry.data["deadline"])) - boot_now())


def _steps(plan: Mapping[str, object], view: RunView, progress: Mapping[str, object]) -> tuple[StepState, ...]:
    if plan.get("kind") == "rollback":
        keyed = [(i.key, i.step) for i in items_from(plan.get("items", []))]
    else:
        keyed = [(s.id, s) for stage in stages_from(plan.get("stages", [])) for s in stage.steps]
    return tuple(_step(key, step, view, progress) for key, step in keyed)


def _step(key: str, step: StepSpec, view: RunView, progress: Mapping[str, object]) -> StepState:
    own = [e for e in view.entries if e.step == key]
    last = view.last(key)
    failed = next((e for e in reversed(own) if "error" in e.data), None)
    verified = next((e for e in own if e.phase is Phase.VERIFIED), None)
    detail = str(progress.get("text", "")) if progress.get("step") == key and not view.ended else ""
    return StepState(
        id=key,
        summary=step.summary,
        service=step.service,
        state=_STATE.get(last, "pending") if last else "pending",
        seconds=_seconds(own),
        error=str(failed.data["error"]) if failed else None,
        detail=detail,
        data=verified.data if verified else {},
    )


def _seconds(own: list[Entry]) -> float | None:
    if len(own) < 2:
        return None
    first, last = (datetime.fromisoformat(e.time) for e in (own[0], own[-1]))
    return max(0.0, (last - first).total_seconds())


def worker_note() -> dict[str, object]:
    """What a worker leaves in worker.json."""
    return {"pid": os.getpid(), "start": start_time(os.getpid())}
