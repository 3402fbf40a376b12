"""What step kinds share that only read: nothing to capture, nothing to do, nothing to take back."""

from __future__ import annotations

from nftui.model.plan import StepSpec
from nftui.steps.calls import Data
from nftui.steps.kind import Context, Found


class Reading:
    """A step whose `verify` is all of it; each kind adds that, its name and its version."""

    reads_files = False

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Nothing to take back."""
        return {}

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """Always to be done: it is a reading."""
        return Found.BEFORE

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Nothing: `verify` reads."""

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Nothing was changed."""
