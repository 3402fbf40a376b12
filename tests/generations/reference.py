"""What should be in force after any order of runs: a model of choices and generations that knows nothing of nftui."""

from __future__ import annotations

from dataclasses import dataclass, field

Levels = tuple[str | None, str | None]
"""The level of alpha and of beta; None where it is off or was never on."""
NOTHING: Levels = (None, None)
OPERATIONS = ("apply A", "change A", "apply B", "off A", "off B", "roll back one", "roll back to an older one")


@dataclass
class Reference:
    """Generations, oldest first; the first is before nftui."""

    generations: list[Levels] = field(default_factory=lambda: [NOTHING])

    @property
    def now(self) -> Levels:
        """What is in force."""
        return self.generations[-1]

    def _commit(self, levels: Levels) -> None:
        if levels != self.now:
            self.generations.append(levels)

    def do(self, operation: str) -> None:
        """The operation as an operator would describe it."""
        alpha, beta = self.now
        if operation == "apply A":
            self._commit(("1", beta))
        elif operation == "change A":
            self._commit((str(int(alpha or "1") % 3 + 1), beta))
        elif operation == "apply B":
            self._commit((alpha, "1"))
        elif operation == "off A":
            self._commit((None, beta))
        elif operation == "off B":
            self._commit((alpha, None))
        elif operation == "roll back one":
            self.generations = self.generations[: max(1, len(self.generations) - 1)]
        else:
            self.generations = self.generations[: self.older + 1]

    @property
    def older(self) -> int:
        """The generation that "an older one" goes back to: halfway."""
        return (len(self.generations) - 1) // 2
