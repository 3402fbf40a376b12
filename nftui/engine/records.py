"""What a run left in its directory, read for a way back: proven, before anything is undone."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from nftui.engine import codec
from nftui.engine.crossing import authorities, opened
from nftui.engine.journal import Entry, Phase, RunView, read_journal
from nftui.engine.runner import BackItem, backward_order
from nftui.engine.state import ProjectState
from nftui.model.errors import NftuiError, UsageError
from nftui.model.message import Message, msg
from nftui.model.plan import Stage
from nftui.model.run import Authority
from nftui.steps import load_kinds
from nftui.steps.kind import KeepsBlobs, Kinds

RECORD = "plan.json"
"""A run's plan: its journal's first line holds the checksum."""


def record_sum(directory: Path) -> str:
    """The checksum of the run's plan record as it lies on the disk."""
    return hashlib.sha256((directory / RECORD).read_bytes()).hexdigest()


def read_record(directory: Path, entries: Iterable[Entry] | None = None) -> codec.Json:
    """The plan of the run in `directory`, proven by its journal.

    Raises UsageError where it is missing, damaged or of a newer version.
    """
    path = directory / RECORD
    try:
        data = json.loads(path.read_bytes())
        record = codec.check_schema(cast("codec.Json", data))
        codec.stages_from(record.get("stages", []))
        codec.items_from(record.get("items", []))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, OSError) and error.errno == errno.EIO:
            raise  # the disk does not answer: of the record nothing is known
        raise _damaged(path, f"{type(error).__name__}: {error}") from None
    found = read_journal(directory / "journal.jsonl") if entries is None else entries
    begin = next((e for e in found if e.phase is Phase.BEGIN), None)
    if begin is not None and begin.data.get("record") not in (None, record_sum(directory)):
        raise _damaged(path, "not what the run began with")
    return record


def _damaged(path: Path, why: str) -> UsageError:
    return UsageError(
        msg(
            "{path} is damaged ({why}). Nothing was touched. Put back a copy of that file; without one, "
            "'nftui snapshots verify {run}' tells what of the snapshot is whole and can be restored by hand.",
            path=str(path),
            why=why,
            run=path.parent.name,
        )
    )


def restored_bytes(directory: Path, state: ProjectState) -> int:
    """Bytes of the files that this run's way back would put into the project directory; 0 while it has no record."""
    if not (directory / RECORD).exists():
        return 0
    stages = cast("list[codec.Json]", read_record(directory).get("stages", []))
    changes = [c for stage in stages for c in cast("list[codec.Json]", stage["files"])]
    return sum(state.blobs.size(str(c["before"])) for c in changes if c["before"])


def taken_back(state: ProjectState, run: str) -> list[BackItem]:
    """The steps of `run` that began and still stand, in the order in which they are taken back.

    Raises UsageError where its records are missing or damaged: nothing would be taken back, and called so.
    """
    plan, view = read_run(state, run)
    stages, kinds = codec.stages_from(plan.get("stages", [])), load_kinds()
    items = []
    for stage in reversed(stages):
        for step in backward_order(stage, kinds):
            before = view.intent(step.id)
            if before is not None and view.last(step.id) is not Phase.UNDONE:
                items.append(BackItem(f"{run}/{step.id}", step, before))
    return items


def unfinished(state: ProjectState, run: str) -> list[BackItem]:
    """What is still to be taken back of a run that was cut off; of a rollback, what it had not yet undone."""
    directory = state.run(run)
    view = RunView(read_journal(directory / "journal.jsonl"))
    record = read_record(directory, view.entries)
    if record.get("kind") == "rollback":
        return [i for i in codec.items_from(record["items"]) if view.last(i.key) is not Phase.UNDONE]
    return [i for i in taken_back(state, run) if view.last(i.step.id) is not Phase.UNDONE]


def blobs_of(item: BackItem, kinds: Kinds) -> tuple[str, ...]:
    """The digests that taking this step back reads."""
    kind = kinds.of(item.step)
    return kind.blobs(item.step, item.before) if isinstance(kind, KeepsBlobs) else ()


def must_be_whole(state: ProjectState, items: Iterable[BackItem], runs: Iterable[str]) -> None:
    """UsageError naming what is missing for taking `items` of `runs` back; asked before the first of them."""
    kinds = load_kinds()
    for item in items:
        for digest in blobs_of(item, kinds):
            _prove(state, digest, item)
    gone = state.artefacts.ended(list(runs))
    if gone is not None:
        raise UsageError(
            msg(
                "{name} was deleted as an artefact, and with it the way back behind the run {run}. Nothing was "
                "touched; later runs can still be taken back by name.",
                name=gone.name,
                run=gone.run,
            )
        )


def _prove(state: ProjectState, digest: str, item: BackItem) -> None:
    try:
        state.blobs.get(digest)
    except NftuiError as error:
        raise UsageError(
            msg(
                "The way back of {target} is not whole: {why} Nothing was touched. Put back a copy of {path}; later "
                "runs can still be taken back by name.",
                target=item.step.target,
                why=str(error.message),
                path=str(state.blobs.path(digest)),
            )
        ) from None


def read_run(state: ProjectState, run: str) -> tuple[codec.Json, RunView]:
    """The plan of `run` and its journal, both proven; raises UsageError where one is missing or damaged."""
    directory = state.run(run)
    view = RunView(read_journal(directory / "journal.jsonl"))
    if view.find(Phase.BEGIN) is None:
        raise _damaged(directory / "journal.jsonl", "it is missing or empty")
    return read_record(directory, view.entries), view


def losses(state: ProjectState, run: str) -> list[Message]:
    """What taking `run` back loses: of commit points only those that it crossed, and only what still stands."""
    plan, view = read_run(state, run)
    return [loss for stage in codec.stages_from(plan.get("stages", [])) for loss in _lost(stage, view)]


def _lost(stage: Stage, view: RunView) -> list[Message]:
    standing = [s for s in stage.steps if view.last(s.id) not in (None, Phase.UNDONE)]
    if stage.commit_point:
        crossed = stage.loss and opened(stage, view) and any(s.opens for s in standing)
        return [stage.loss] if stage.loss and crossed else []
    return [msg("{step}: cannot be taken back whole", step=str(s.summary)) for s in standing if s.lossy]


def data_places(state: ProjectState, run: str) -> tuple[Authority, ...]:
    """Where the data is that `run` moved, or takes back."""
    plan, view = read_run(state, run)
    if plan.get("kind") == "rollback":
        return authorities(((i.step, view.last(i.key)) for i in codec.items_from(plan["items"])), going_back=True)
    return authorities((s, view.last(s.id)) for stage in codec.stages_from(plan.get("stages", [])) for s in stage.steps)
