"""A run as its journal and progress file tell it: the one follower of wizard and command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import cast

from nftui.engine.codec import items_from, stages_from
from nftui.engine.journal import Entry, Phase, RunView, read_journal
from nftui.engine.records import RECORD, read_record
from nftui.model.choices import Choices
from nftui.model.errors import ExitCode
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.run import RunStatus, StepState, Told
from nftui.model.units import human_seconds
from nftui.system.identity import ProcessId

_STATE = {
    Phase.INTENT: "running", Phase.ISSUED: "running", Phase.DONE: "running", Phase.VERIFIED: "verified",
    Phase.SKIPPED: "skipped", Phase.FAILED: "failed", Phase.UNDOING: "undoing", Phase.UNDONE: "undone",
    Phase.UNDO_FAILED: "undo-failed",
}  # fmt: skip


_NEVER_BEGUN = msg("The run's process died before it began; nothing was touched.")


def load(path: Path) -> Mapping[str, object]:
    """A JSON file of a run; {} where it is not there yet."""
    try:
        return cast("Mapping[str, object]", json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}


def told(directory: Path) -> Told:
    """The order of the run in `directory`."""
    order = load(directory / "request.json")
    asked = order.get("asked", order.get("choices"))  # an older nftui kept the resolved ones only
    choices = Choices.from_json(cast("Mapping[str, object]", asked)) if asked is not None else None
    return Told(
        directory.name,
        cast("str | None", order.get("plan")),
        choices,
        cast("Mapping[str, object]", order.get("options", {})),
    )


def run_status(directory: Path, boot_now: Callable[[], float]) -> RunStatus:
    """One look at the run in `directory`."""
    refused = load(directory / "refused.json")
    if refused:
        return _refused(directory, load(directory / RECORD), refused)
    view = RunView(read_journal(directory / "journal.jsonl"))
    plan = read_record(directory, view.entries) if (directory / RECORD).exists() or view.entries else {}
    steps = _steps(plan, view, load(directory / "progress.json"))
    end, begin = view.find(Phase.END), view.find(Phase.BEGIN)
    state = _state(directory, view)
    if state == "interrupted" and begin is None:
        return _refused(directory, plan, {"message": _NEVER_BEGUN, "code": ExitCode.FAILED.value})
    if state != "ended":
        end = None
    turn = view.find(Phase.TURN)
    reason = str((end.data if end else turn.data if turn else {}).get("reason", ""))
    return RunStatus(
        run=directory.name,
        kind=str(begin.data.get("kind", "apply")) if begin else str(plan.get("kind", "apply")),
        plan=cast("str | None", plan.get("plan")),
        steps=steps,
        state=state,
        outcome=str(end.data["outcome"]) if end else None,
        reason=reason,
        turned=view.turned,
        confirm_left_s=_left(view, boot_now),
        standing=tuple(dict.fromkeys(cast("Sequence[str]", end.data.get("standing", ())))) if end else (),
        code=int(str(end.data["code"])) if end else None,
        notes=(
            *(str(text) for text in cast("Sequence[object]", plan.get("notes", ()))),
            *(str(e.data.get("text", "")) for e in view.entries if e.phase is Phase.NOTE),
            *_downtimes(plan, view),
        ),
    )


def _refused(directory: Path, plan: Mapping[str, object], refused: Mapping[str, object]) -> RunStatus:
    return RunStatus(
        run=directory.name, kind=str(plan.get("kind", "apply")), plan=cast("str | None", plan.get("plan")), steps=(),
        state="ended", outcome="failed", reason=str(refused["message"]), code=int(str(refused["code"])),
    )  # fmt: skip


def _state(directory: Path, view: RunView) -> str:
    live = is_live(directory)
    # A way back that could not finish is tried again in the same journal: its former end is not the end.
    if view.ended and not (live and view.entries[-1].data.get("standing")):
        return "ended"
    if not live:
        return "interrupted"
    waiting = view.find(Phase.AWAITING) and not view.find(Phase.CONFIRMED) and not view.turned
    return "awaiting-confirm" if waiting else "running"


def is_live(directory: Path) -> bool:
    """Whether someone works on the run: its guardian, its worker, or who is about to start them."""
    notes = (ProcessId.from_json(load(directory / name)) for name in ("guardian.json", "worker.json"))
    return any(note is not None and note.alive for note in notes)


def is_starting(directory: Path) -> bool:
    """Whether the run has not begun its journal yet, and will."""
    return not (directory / "refused.json").exists() and is_live(directory)


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


def _downtimes(plan: Mapping[str, object], view: RunView) -> Iterator[str]:
    """Of each data set that was switched: how long its service was down, beside what was predicted."""
    for stage in stages_from(plan.get("stages", [])) if plan.get("kind") != "rollback" else ():
        held = [e for s in stage.steps if s.kind == "hold" for e in view.entries if e.step == s.id]
        up = {s.id: s.target for s in stage.steps if s.kind == "recreate"}
        serving = [e for e in view.entries if e.step in up and e.phase is Phase.VERIFIED]
        if stage.commit_point and held and serving:
            measured = _seconds([held[0], serving[0]]) or 0.0
            predicted = sum(s.downtime_s for s in stage.steps)
            text = msg(
                "{service} was down for {measured}; predicted were {predicted}.", service=up[str(serving[0].step)],
                measured=human_seconds(measured), predicted=human_seconds(predicted),
            )  # fmt: skip
            yield str(text)


def _seconds(own: list[Entry]) -> float | None:
    if len(own) < 2:
        return None
    first, last = (datetime.fromisoformat(e.time) for e in (own[0], own[-1]))
    return max(0.0, (last - first).total_seconds())
