"""A run's journal: one checksummed, fsynced line per transition. Its only writer is the worker."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from nftui.model.errors import CutOffError
from nftui.model.message import msg

JOURNAL_SCHEMA = "nftui/journal/1"


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
        entry = Entry(body["n"], Phase(body["phase"]), body["step"], body["time"], body["data"])
    except (ValueError, KeyError, TypeError):
        raise CutOffError(
            msg(
                "{path} line {line} is damaged. Nothing was touched; the snapshot's files can still be listed "
                "with 'nftui snapshots show'.",
                path=str(path),
                line=number,
            )
        ) from None
    return entry, total


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

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries, self._sum, length = _read(path)
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.ftruncate(self._handle, length)
        os.lseek(self._handle, length, os.SEEK_SET)

    def write(self, phase: Phase, step: str | None = None, **data: object) -> Entry:
        """Append one line and fsync it."""
        entry = Entry(len(self.entries) + 1, phase, step, datetime.now(UTC).isoformat(timespec="milliseconds"), data)
        body = {"n": entry.number, "phase": str(phase), "step": step, "time": entry.time, "data": data}
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
        total = _checksum(self._sum, canonical)
        line = json.dumps({"line": json.loads(canonical), "sum": total}, sort_keys=True, separators=(",", ":"))
        _write_all(self._handle, line.encode() + b"\n")
        os.fsync(self._handle)
        self._sum = total
        self.entries.append(entry)
        return entry

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
