"""Which recall takes a change back."""

from __future__ import annotations

import pytest

from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.steps.kind import StepFailed
from nftui.steps.qdrant import _must_find


@pytest.mark.parametrize(
    ("floor", "default", "before", "after", "stays"),
    [
        (0.95, True, 0.999, 0.96, True), (0.95, True, 0.999, 0.94, False), (0.95, True, None, 0.94, False),
        # It found less before: taken back it would find no more.
        (0.95, True, 0.8, 0.9, True), (0.95, True, 0.8, 0.795, True), (0.95, True, 0.8, 0.7, False),
        (0.99, False, 0.8, 0.9, False), (0.0, False, 0.8, 0.1, True), (0.95, True, 0.8, None, True),
    ],
)  # fmt: skip
def test_what_finds_less_than_was_asked_for_is_taken_back(
    floor: float, default: bool, before: float | None, after: float | None, stays: bool
) -> None:
    params = {"collection": "docs", "recall_floor": floor, "or_before": default}
    step = StepSpec("x", "qdrant-collection", "q/docs", params, msg("x"), service="q")
    found = {"": {"recall": after, "p95_ms": 1.0, "n": 10}}
    former = {"search": {"": {"recall": before, "p95_ms": 1.0, "n": 10}}}
    if stays:
        _must_find(step, former, found)
    else:
        with pytest.raises(StepFailed, match="below the floor"):
            _must_find(step, former, found)
