"""What screens return to the flow."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from nftui.engine.consent import NO_CONSENT, Consent
from nftui.model.dataclass import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from nftui.model.plan import Plan


class Move(StrEnum):
    """Where the operator wants to go."""

    NEXT = "next"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class Apply:
    """The reviewed plan is to be applied; None: no time limit for keeping it."""

    plan: Plan
    confirm_within_s: float | None
    consent: Consent = NO_CONSENT


@dataclass(frozen=True, slots=True)
class Follow:
    """A run that is going on, or that `start` begins, is to be watched."""

    start: Callable[[], str | None]
