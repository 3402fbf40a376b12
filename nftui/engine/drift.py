"""Drift: what was applied and no longer stands. Evaluates assertions only; unreadable is unknown, not drift."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from nftui.model.advice import Assertion
from nftui.model.run import Drift

Reader = Callable[[Assertion], str | None]
"""Reads what the assertion speaks of now, in the form of `expected`; None where it cannot be read."""
Same = Callable[[Assertion, str], bool]


def evaluate(
    assertions: Iterable[Assertion], readers: Mapping[str, Reader], same: Mapping[str, Same] | None = None
) -> tuple[tuple[Drift, ...], tuple[Drift, ...]]:
    """What drifted, and what could not be read; two calls on an untouched stack never differ."""
    drifted: list[Drift] = []
    unknown: list[Drift] = []
    for assertion in assertions:
        reader = readers.get(assertion.kind)
        actual = reader(assertion) if reader else None
        item = Drift(assertion.target, assertion.expected, actual, assertion.level)
        if actual is None:
            unknown.append(item)
        elif not (same or {}).get(assertion.kind, _equal)(assertion, actual):
            drifted.append(item)
    return tuple(drifted), tuple(unknown)


def _equal(assertion: Assertion, actual: str) -> bool:
    return assertion.expected == actual
