"""Which process is meant: ids are used again, so a process counts only with its start time and its boot."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from nftui.model.dataclass import dataclass
from nftui.system.clock import SystemClock

MARK = "NFTUI_CHILD"
"""Variable in the environment of a child that changes something; its own children inherit it."""


def start_time(pid: int) -> str | None:
    """Field 22 of /proc/PID/stat: start time in clock ticks since boot; None where there is no living process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else fields[19]


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process of one boot."""

    pid: int
    start: str
    boot: str

    @staticmethod
    def of(pid: int) -> ProcessId:
        """A living process as it is known now; `start` is "" where it is gone already."""
        return ProcessId(pid, start_time(pid) or "", SystemClock().boot_id())

    @staticmethod
    def here() -> ProcessId:
        """This process."""
        return ProcessId.of(os.getpid())

    @staticmethod
    def from_json(data: Mapping[str, object]) -> ProcessId | None:
        """Inverse of `as_json`; None where it names no process. A note without a boot is of this one."""
        try:
            boot = str(data.get("boot") or SystemClock().boot_id())
            return ProcessId(int(str(data["pid"])), str(data["start"]), boot)
        except (KeyError, ValueError):
            return None

    def as_json(self) -> dict[str, object]:
        """Plain form."""
        return asdict(self)

    @property
    def alive(self) -> bool:
        """Whether that very process lives now."""
        return self.boot == SystemClock().boot_id() and start_time(self.pid) == self.start


@dataclass(frozen=True, slots=True)
class Child:
    """A child that changes something, with all that it starts: they carry its mark, wherever they went."""

    process: ProcessId
    mark: str
    program: str
    """Program and subcommand, for people."""

    @staticmethod
    def new_mark() -> str:
        """Nobody else has it."""
        return os.urandom(8).hex()

    @staticmethod
    def from_json(data: Mapping[str, object]) -> Child | None:
        """Inverse of `as_json`; None where it names no process."""
        process = ProcessId.from_json(data)
        return Child(process, str(data.get("mark", "")), str(data.get("program", ""))) if process else None

    def as_json(self) -> dict[str, object]:
        """Plain form."""
        return {**self.process.as_json(), "mark": self.mark, "program": self.program}

    def living(self) -> list[int]:
        """Its processes that live now, found by the mark; the leader also where its environment cannot be read."""
        if self.process.boot != SystemClock().boot_id():
            return []
        found = _marked(self.mark) if self.mark else set()
        return sorted(found | ({self.process.pid} if self.process.alive else set()))

    def await_end(self, seconds: float) -> bool:
        """Wait up to `seconds`; True once none of them lives."""
        deadline = time.monotonic() + seconds
        while self.living():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        return True

    def end(self, patience_s: float) -> bool:
        """SIGTERM, after `patience_s` SIGKILL; True once none of them lives, as seen in /proc."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.living():
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, sign)
            if self.await_end(patience_s):
                return True
        return False


def _marked(mark: str) -> set[int]:
    """Living processes whose environment holds the mark."""
    wanted, found = f"{MARK}={mark}".encode(), set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            pid = int(path.parent.name)
            if wanted in path.read_bytes().split(b"\0") and start_time(pid) is not None:
                found.add(pid)
    return found
