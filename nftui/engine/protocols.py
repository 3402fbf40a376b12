"""What the engine asks of an optimization. The registry is handed in; the engine imports none of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable

from nftui.model.advice import Advice, Applicability, Assertion, Demand, Effort, Fragment, Grant, Risk
from nftui.model.choices import Choices
from nftui.model.facts import Facts
from nftui.model.findings import Finding
from nftui.model.knobs import Knob
from nftui.model.message import Message
from nftui.model.plan import DataSwitch, StepSpec

Grants = Mapping[str, Grant]


class Optimization(Protocol):
    """One of the nine: pure, returns data; never I/O, never another optimization, never the front ends."""

    id: str
    order: int
    """Place in the wizard and in the override file."""
    title: Message
    summary: Message
    risk: Risk
    needs: tuple[str, ...]
    """Names of the live probes whose facts it reads."""
    knobs: tuple[Knob, ...]

    def applies(self, facts: Facts) -> Applicability:
        """Whether it has something to do here, on which services, and which are refused with what reason."""
        ...

    def findings(self, facts: Facts) -> Iterable[Finding]:
        """What is wrong now."""
        ...

    def demand(self, facts: Facts, choices: Choices) -> tuple[Demand, ...]:
        """Memory per service; an optimization never reads the host's memory."""
        ...

    def advise(self, facts: Facts, choices: Choices, grants: Grants) -> tuple[Advice, ...]:
        """One line per knob and service. Raises UsageError for a value refused for a service that is there."""
        ...

    def effort(self, facts: Facts, advice: tuple[Advice, ...]) -> Effort:
        """Person-days of the parts that are on."""
        ...

    def fragment(self, facts: Facts, advice: tuple[Advice, ...]) -> Fragment:
        """Its part of the override; an empty one where nothing is to be written."""
        ...

    def steps(self, facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
        """Live steps after the service has been recreated with the fragment in force (read-backs)."""
        ...

    def checks(self, facts: Facts, fragment: Fragment) -> tuple[Assertion, ...]:
        """What shall hold from then on, for drift."""
        ...


@runtime_checkable
class MovesData(Protocol):
    """An optimization whose fragment names data that does not lie there yet: each of it is a commit point."""

    def switches(self, facts: Facts, fragment: Fragment) -> tuple[DataSwitch, ...]:
        """What must be copied, for services of `fragment`, in the order in which it shall be done."""
        ...


@runtime_checkable
class HoldsData(Protocol):
    """An optimization that put data elsewhere though no file of a service says so."""

    def holds(self, present: Fragment) -> tuple[str, ...]:
        """Services whose data the fragment in force put elsewhere."""
        ...


@runtime_checkable
class Restores(Protocol):
    """An optimization some of whose values live in the server itself: leaving them out of a file changes nothing.

    Its `steps` bring every value of a fragment into force, also one that nftui found there.
    """

    def restores(self, knob: str) -> bool:
        """Whether that knob's former value has to be written where the optimization no longer holds it."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """An optimization that needs things which have to be there before anything of the plan is touched."""

    def prepare(self, facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
        """The first steps of the plan, each for a `service` of `fragment`; only for what is not in force already."""
        ...


@runtime_checkable
class NamesFindings(Protocol):
    """An optimization with findings of its own, beside the public ones (nftui.model.finding_ids)."""

    finding_ids: tuple[str, ...]
    """Their ids: an ignore list may name them."""


Registry = Mapping[str, Optimization]
"""Optimization id to optimization, in wizard order."""
