"""Whether a snapshot is still whole: every blob, journal line, plan record and generation, by checksum."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import cast

from nftui.engine import codec
from nftui.engine.journal import RunView, read_journal
from nftui.engine.place import read_identity
from nftui.engine.records import RECORD, blobs_of, read_record, taken_back
from nftui.engine.state import ProjectState
from nftui.model.errors import NftuiError
from nftui.model.message import Message, msg
from nftui.model.run import Damage
from nftui.steps import load_kinds


def of_run(state: ProjectState, directory: Path, *, stands: bool) -> tuple[Damage, ...]:
    """Everything that is wrong with one run's snapshot. A torn last line of its journal is no damage."""
    found = [*_open(directory)]
    safe = _safe(stands=stands)
    if (directory / "journal.jsonl").exists() or not (directory / "refused.json").exists():
        found += _readable(directory / "journal.jsonl", safe, lambda: read_journal(directory / "journal.jsonl"))
    if (directory / RECORD).exists() or (directory / "journal.jsonl").exists():
        record = _readable(directory / RECORD, safe, lambda: read_record(directory, ()))
        found += record or _readable(directory / RECORD, safe, lambda: _proven(directory))
        found += () if record else _blobs(state, directory, safe)
    if stands and not found:
        found += _readable(directory / "journal.jsonl", safe, lambda: taken_back(state, directory.name))
    return tuple(found)


def of_state(state: ProjectState) -> tuple[Damage, ...]:
    """What is wrong beside the runs: whose it is, what is in force, each generation, the artefacts' records."""
    found = _readable(state.root / "project.json", _COPY, lambda: read_identity(state.root))
    if not found:
        found = _readable(state.root / "inforce.json", _IN_FORCE, state.in_force)
    if not found:
        for number in range(1, state.in_force().generation + 1):
            found += _readable(state.generation_path(number), _COPY, partial(state.generation, number))
    found += _readable(state.root / "artefacts", _COPY, state.artefacts.list)
    for part in ("generations", "blobs", "artefacts"):
        found += _open(state.root / part)
    return tuple(found)


_COPY = msg("Put back a copy of it; until then nothing of this project is applied or rolled back.")
_IN_FORCE = msg("Put back the newest file of 'generations' beside it under this name, if what it describes stands.")


def _safe(*, stands: bool) -> Message:
    if stands:
        return msg(
            "Its rollback is refused, later runs can still be taken back by name. Put back a copy of it, or restore "
            "by hand the files that 'nftui snapshots show' names."
        )
    return msg("No rollback needs it any more; it can stay, or go with 'nftui snapshots prune'.")


def _readable(path: Path, safe: Message, read: Callable[[], object]) -> list[Damage]:
    try:
        read()
    except NftuiError as error:
        return [Damage(str(path), error.message, safe)]
    except OSError as error:
        return [Damage(str(path), msg("{why}", why=error.strerror or str(error)), safe)]
    return []


def _proven(directory: Path) -> None:
    """The record against the journal's first line, where that one can be read."""
    try:
        entries = read_journal(directory / "journal.jsonl")
    except NftuiError:
        return
    read_record(directory, entries)


def _blobs(state: ProjectState, directory: Path, safe: Message) -> Iterator[Damage]:
    """Each blob that the way back or the way on reads, with the file that it holds."""
    for digest, path in _named(state, directory).items():
        try:
            state.blobs.get(digest)
        except NftuiError as error:
            what = msg("{why} It holds {path}.", why=str(error.message), path=path)
            yield Damage(str(state.blobs.path(digest)), what, safe)


def _named(state: ProjectState, directory: Path) -> dict[str, str]:
    stages = cast("list[codec.Json]", read_record(directory, ()).get("stages", []))
    changes = [c for stage in stages for c in cast("list[codec.Json]", stage["files"])]
    found = {str(c[key]): str(c["path"]) for c in changes for key in ("after", "before") if c[key]}
    try:
        items, kinds = taken_back(state, directory.name), load_kinds()
    except NftuiError:
        return found
    return found | {digest: item.step.target for item in items for digest in blobs_of(item, kinds)}


def _open(directory: Path) -> Iterator[Damage]:
    """What others can read or write, or a link in the place of a file."""
    for base, names, files in os.walk(directory):
        for path in (Path(base), *(Path(base) / name for name in (*names, *files))):
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode) or mode & 0o077:
                what = msg("It is a link, or open to other users.")
                yield Damage(str(path), what, msg("See that its content is nftui's, then: chmod go= {path}", path=path))


def ended(directory: Path) -> bool:
    """Whether the run came to its end and left nothing to be done; False also where its journal cannot be read."""
    journal = directory / "journal.jsonl"
    if not journal.exists():
        return (directory / "refused.json").exists()
    try:
        view = RunView(read_journal(journal))
    except NftuiError:
        return False
    return view.ended and not view.entries[-1].data.get("standing")
