"""Removing snapshots that no rollback needs, so that a crash in the middle leaves all that is listed whole."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nftui.engine.records import RECORD
from nftui.engine.state import ProjectState
from nftui.engine.verify import ended
from nftui.model.message import Message, msg
from nftui.system.durable import sync_directory

_DIGEST = re.compile(rb"\b[0-9a-f]{64}\b")


def sort_out(
    state: ProjectState, keep: int, older_than_days: float | None, now: datetime
) -> tuple[list[Path], list[tuple[Path, Message]]]:
    """The runs that can go, and those that stay with the reason; both oldest first.

    What stands, goes on or was cut off stays; of the others the newest `keep`, and all that are younger.
    """
    standing = {name for _, name in state.standing()}
    going: list[Path] = []
    kept: list[tuple[Path, Message]] = []
    spare = keep
    for path in reversed(state.runs()):
        why = _needed(path, standing)
        if why is None and spare > 0:
            spare, why = spare - 1, msg("it is among the newest {count}", count=keep)
        if why is None and older_than_days is not None and now - _made(path) < timedelta(days=older_than_days):
            why = msg("it is not older than {days} days", days=f"{older_than_days:g}")
        if why is None:
            going.insert(0, path)
        else:
            kept.insert(0, (path, why))
    return going, kept


def _needed(path: Path, standing: set[str]) -> Message | None:
    if path.name in standing:
        return msg("it stands: a rollback could need it")
    return None if ended(path) else msg("it has not ended, or its journal cannot be read")


def _made(path: Path) -> datetime:
    return datetime.strptime(path.name[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def unreferenced(state: ProjectState, kept: Iterable[Path]) -> list[Path]:
    """Blobs that none of the `kept` runs mentions anywhere; a digest too many only keeps a blob too long."""
    needed: set[str] = set()
    for run in kept:
        for path in (run / RECORD, run / "journal.jsonl"):
            if path.exists():
                needed |= {found.decode() for found in _DIGEST.findall(path.read_bytes())}
    return [path for path in sorted(state.blobs.root.glob("??/*")) if path.name not in needed]


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a directory."""
    return sum(p.stat().st_size for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file())


def remove(state: ProjectState, going: Iterable[Path]) -> None:
    """Each run leaves the list by one rename, before anything of it is deleted; what a crash left goes as well."""
    trash = state.root / "trash"
    trash.mkdir(mode=0o700, exist_ok=True)
    for path in going:
        path.rename(trash / path.name)
        sync_directory(path.parent)
        sync_directory(trash)
    shutil.rmtree(trash)
    sync_directory(state.root)


def drop_blobs(paths: Iterable[Path]) -> None:
    """Blobs that nothing refers to: in any order, for none is needed."""
    for path in paths:
        path.unlink()
