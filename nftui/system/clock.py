"""Clocks: boot id, time since boot, wall time. Deadlines use boot time, so that a changed wall clock moves none."""

from __future__ import annotations

import time
from dataclasses import field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from nftui.model.dataclass import dataclass

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """Port for time."""

    def boot_id(self) -> str:
        """The kernel's id of this boot; "" where it is unknown."""
        ...

    def boot_seconds(self) -> float:
        """Seconds since boot, suspended time included: the base of deadlines, compared only within one boot."""
        ...

    def now(self) -> datetime:
        """Wall time in UTC; for people, never for deadlines."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's clocks."""

    def boot_id(self) -> str:
        """See Clock."""
        try:
            return _BOOT_ID.read_text().strip()
        except OSError:
            return ""

    def boot_seconds(self) -> float:
        """See Clock."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def now(self) -> datetime:
        """See Clock."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """See Clock."""
        time.sleep(max(0.0, seconds))


@dataclass
class FakeClock:
    """For tests: time passes only by `sleep`, `advance` and `reboot`."""

    boot: str = "boot-1"
    seconds: float = 1000.0
    wall: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    slept: list[float] = field(default_factory=list)

    def boot_id(self) -> str:
        """See Clock."""
        return self.boot

    def boot_seconds(self) -> float:
        """See Clock."""
        return self.seconds

    def now(self) -> datetime:
        """See Clock."""
        return self.wall

    def sleep(self, seconds: float) -> None:
        """See Clock; returns at once."""
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.seconds += seconds
        self.wall += timedelta(seconds=seconds)

    def reboot(self, boot: str) -> None:
        """Another boot: time since boot starts again at 0."""
        self.boot, self.seconds = boot, 0.0
