"""A run's journal: one checksummed, fsynced line per transition. Its only writer is the worker."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from nftui.engine.reserve import FULL, Reserve
from nftui.model.dataclass import dataclass
from nftui.model.errors import CutOffError, UsageError
from nftui.model.message import msg
from nftui.system.durable import sync_directory

JOURNAL_VERSION = 1
"""Stands in the first line; a journal of a newer version is refused."""


class Phase(StrEnum):
    """Transitions of a run and of its steps (engine.md 6)."""

    BEGIN = "begin"
    INTENT = "intent"
    ISSUED = "issued"
    DONE = "done"
    VERIFIED = "verified"
    CHILD = "child"
    """A process that changes something is about to begin, by pid, start time, boot and mark."""
    SKIPPED = "skipped"
    FAILED = "failed"
    TURN = "turn"
    """The run goes backwards from here on."""
    UNDOING = "undoing"
    UNDONE = "undone"
    UNDO_FAILED = "undo-failed"
    AWAITING = "awaiting-confirm"
    CONFIRMED = "confirmed"
    ANSWER = "answer"
    NOTE = "note"
    COMMIT = "commit"
    END = "end"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line; `step` is None for the run's own transitions."""

    number: int
    phase: Phase
    step: str | None
    time: str
    data: Mapping[str, object] = field(default_factory=dict)


def _checksum(previous: str, body: str) -> str:
    return hashlib.sha256(f"{previous}\n{body}".encode()).hexdigest()[:32]


def _parse(text: str, previous: str, path: Path, number: int) -> tuple[Entry, str]:
    try:
        outer = json.loads(text)
        body, total = outer["line"], outer["sum"]
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
        if _checksum(previous, canonical) != total or body["n"] != number:
            raise ValueError
        fields = body["step"], body["time"], body["data"]
        schema = int(body["data"].get("schema", 1)) if number == 1 else 1
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _damaged(path, number) from None
    # A whole line that is not understood is no damage: a later version wrote it.
    if schema > JOURNAL_VERSION or body["phase"] not in set(Phase):
        raise UsageError(msg("{path} was written by a newer nftui; use that one. Nothing was touched.", path=str(path)))
    return Entry(number, Phase(body["phase"]), *fields), total


def _damaged(path: Path, number: int) -> CutOffError:
    return CutOffError(
        msg(
            "{path} line {line} is damaged. Nothing was touched. Put back a copy of that file; without one, "
            "'nftui snapshots verify {run}' tells what of the snapshot is whole and can be restored by hand.",
            path=str(path),
            line=number,
            run=path.parent.name,
        )
    )


def read_journal(path: Path) -> list[Entry]:
    """All whole lines. A torn last line (no newline) is what a crash leaves: it is ignored; other damage raises."""
    return _read(path)[0]


def _read(path: Path) -> tuple[list[Entry], str, int]:
    """Entries, the checksum of the last one, and the length in bytes of what is whole."""
    raw = path.read_bytes() if path.exists() else b""
    whole = raw[: raw.rfind(b"\n") + 1]
    entries: list[Entry] = []
    total = ""
    for number, line in enumerate(whole.splitlines(), start=1):
        entry, total = _parse(line.decode("utf-8", "replace"), total, path, number)
        entries.append(entry)
    return entries, total, len(whole)


class Journal:
    """The writer: opens or continues a journal; each `write` is on the disk when it returns."""

    def __init__(self, path: Path, reserve: Reserve | None = None) -> None:
        self.path, self.reserve = path, reserve
        self.strained = False
        """True once a line could be written only by giving the reserve up: the run must not go on from here."""
        self.entries, self._sum, self._length = _read(path)
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        # Lines are synced into a file whose name might not be: after a power cut nothing would have begun.
        sync_directory(path.parent)
        os.ftruncate(self._handle, self._length)
        os.lseek(self._handle, self._length, os.SEEK_SET)

    def write(self, phase: Phase, step: str | None = None, **data: object) -> Entry:
        """Append one line and fsync it; on a full disk the reserve is given up for it, once."""
        found: dict[str, object] = data if self.entries else {"schema": JOURNAL_VERSION, **data}
        entry = Entry(len(self.entries) + 1, phase, step, datetime.now(UTC).isoformat(timespec="milliseconds"), found)
        body = {"n": entry.number, "phase": str(phase), "step": step, "time": entry.time, "data": found}
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
        total = _checksum(self._sum, canonical)
        line = json.dumps({"line": json.loads(canonical), "sum": total}, sort_keys=True, separators=(",", ":"))
        self._append(line.encode() + b"\n")
        self._sum = total
        self.entries.append(entry)
        return entry

    def _append(self, line: bytes) -> None:
        try:
            self._put(line)
        except OSError as error:
            if error.errno not in FULL or self.reserve is None or not self.reserve.give_journal():
                raise
            self.strained = True
            self._put(line)
        self._length += len(line)

    def _put(self, line: bytes) -> None:
        """At the end of what is whole: half a line of a failed try is written over."""
        os.ftruncate(self._handle, self._length)
        os.lseek(self._handle, self._length, os.SEEK_SET)
        _write_all(self._handle, line)
        os.fsync(self._handle)

    def close(self) -> None:
        """Release the file."""
        os.close(self._handle)


def _write_all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


@dataclass(slots=True)
class RunView:
    """What a journal says: where each step stands and where the run goes."""

    entries: list[Entry]

    def last(self, step: str) -> Phase | None:
        """The step's newest phase (children, answers and notes do not count)."""
        beside = (Phase.NOTE, Phase.ANSWER, Phase.CHILD)
        found = [e.phase for e in self.entries if e.step == step and e.phase not in beside]
        return found[-1] if found else None

    def intent(self, step: str) -> Mapping[str, object] | None:
        """What was found before the step first acted."""
        for entry in self.entries:
            if entry.step == step and entry.phase is Phase.INTENT:
                return entry.data
        return None

    def find(self, phase: Phase) -> Entry | None:
        """The newest run-wide entry of that phase."""
        return next((e for e in reversed(self.entries) if e.phase is phase), None)

    @property
    def turned(self) -> bool:
        """True once the run goes backwards."""
        return self.find(Phase.TURN) is not None

    @property
    def cancelled(self) -> bool:
        """True once the operator's wish to have everything taken back was accepted."""
        asked = ("cancel", "rollback")
        answers = [e.data for e in self.entries if e.phase is Phase.ANSWER]
        return any(data.get("accepted") and data.get("request") in asked for data in answers)

    @property
    def ended(self) -> bool:
        """True where the run came to its end (also a failed one)."""
        return bool(self.entries) and self.entries[-1].phase is Phase.END

    @property
    def outcome(self) -> str | None:
        """applied, unchanged, rolled-back, failed or partial; None while it goes on."""
        end = self.find(Phase.END)
        return str(end.data["outcome"]) if end and self.ended else None
