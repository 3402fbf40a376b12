"""What the crash tests count, told at the end of the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Figures:
    """One row for each sort of fault: how often it was tried, and how it ended."""

    rows: dict[str, Counter[str]] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    differing_bytes: int = 0

    def plain(self) -> dict[str, Any]:
        """For another process, as `add` takes it."""
        return {**vars(self), "rows": {row: dict(outcomes) for row, outcomes in self.rows.items()}}

    def add(self, rows: Mapping[str, Mapping[str, int]], left_out: Mapping[str, int], differing_bytes: int) -> None:
        """What another process of the same run counted."""
        for row, outcomes in rows.items():
            self.rows.setdefault(row, Counter()).update(outcomes)
        self.left_out.update(left_out)
        self.differing_bytes += differing_bytes

    def count(self, row: str, outcome: str, number: int = 1) -> None:
        """One more of that outcome."""
        self.rows.setdefault(row, Counter())[outcome] += number

    def recovered(self) -> tuple[int, int]:
        """Crash points tried, and of those recovered."""
        crashes = [outcomes for row, outcomes in self.rows.items() if row.startswith("crash in")]
        return sum(c.total() for c in crashes), sum(c["recovered"] for c in crashes)

    def lines(self, seed: str) -> list[str]:
        """The table."""
        found = [f"seed {seed} (NFTUI_TEST_SEED repeats it)"]
        for row, outcomes in sorted(self.rows.items()):
            told = ", ".join(f"{name} {n}" for name, n in sorted(outcomes.items()))
            found.append(f"{row:<44} tried {outcomes.total():>4}: {told}")
        for row, number in sorted(self.left_out.items()):
            found.append(f"{row:<44} left out {number} (all of them: ./nftui.sh test --all tests/crash)")
        tried, recovered = self.recovered()
        found.append(f"crash points tried {tried}, recovered {recovered}")
        found.append(f"bytes that differ after recovery: {self.differing_bytes}")
        return found


FIGURES = Figures()
