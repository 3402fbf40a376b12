"""What an operator asks of a live run: files in `requests/`, each answered by a journal line (engine.md 8)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from nftui.engine.journal import Journal, Phase
from nftui.system.clock import Clock, SystemClock

KNOWN = ("confirm", "cancel", "rollback")
KEPT_S = 600.0
"""How long a request counts: who asked for a cancel while Compose stopped a database may wait that long for it."""


def new_request(what: str, run: str, who: Mapping[str, object], clock: Clock) -> dict[str, object]:
    """A request as it is written: it counts for this run, in this boot, for `KEPT_S` seconds."""
    return {"request": what, "run": run, "who": dict(who), "boot": clock.boot_id(), "asked_at": clock.boot_seconds(),
            "id": f"{time.time_ns()}"}  # fmt: skip


class FileRequests:
    """The run's end of it."""

    def __init__(self, directory: Path, journal: Journal, clock: Clock | None = None) -> None:
        self.directory, self.journal = directory, journal
        self.clock = clock or SystemClock()
        self._id = ""

    def take(self) -> str | None:
        """The next request that counts, oldest first; what does not count is answered, what is none is removed."""
        for path in sorted(self.directory.glob("*.json")):
            found = _read(path)
            path.unlink(missing_ok=True)
            if found is None:
                continue
            self._id = str(found.get("id", ""))
            reason = self._refusal(found)
            if reason is None:
                return str(found["request"])
            self.answer(str(found["request"]), False, reason)
        return None

    def _refusal(self, found: Mapping[str, object]) -> str | None:
        """Why a request does not count, None where it does."""
        if found.get("run") != self.directory.parent.name:
            return "it was asked of another run"
        if found.get("boot") != self.clock.boot_id():
            return "it was asked before the machine was restarted"
        age = self.clock.boot_seconds() - float(str(found.get("asked_at", "-inf")))
        return "it was asked too long ago" if age > KEPT_S else None

    def answer(self, request: str, accepted: bool, text: str) -> None:
        """The asker waits for this line."""
        self.journal.write(Phase.ANSWER, request=request, accepted=accepted, text=text, id=self._id)


def _read(path: Path) -> Mapping[str, object] | None:
    """A request, None for anything else."""
    try:
        data = json.loads(path.read_text())
        float(str(data.get("asked_at", 0)))
    except (OSError, ValueError, AttributeError):
        return None
    return data if isinstance(data, dict) and data.get("request") in KNOWN else None
