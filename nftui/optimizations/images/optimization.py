"""The `images` optimization; see engine.protocols.Optimization. Pure.

What plans is imported where it is asked for: `check` needs none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.advice import Advice, Applicability, Assertion, Demand, Effort, Fragment, Risk
from nftui.model.message import msg
from nftui.model.postgres import CLUSTER_PROBE
from nftui.model.stack import Role
from nftui.optimizations.images.knobs import ID, KNOBS, PIN, PROBES, STAY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.engine.protocols import Grants
    from nftui.model.choices import Choices
    from nftui.model.facts import Facts
    from nftui.model.findings import Finding
    from nftui.model.knobs import Knob
    from nftui.model.plan import DataSwitch, StepSpec

_DAYS = {"pin": Effort(0.25, 0.25), "image": Effort(0.25, 0.5), "dump": Effort(1.25, 1.75)}
_MOST = Effort(2, 3)


class Images:
    """Image updates and pins."""

    id: str = ID
    order: int = 70
    title = msg("Image updates")
    summary = msg("What runs is pinned; another version comes with its data, one at a time, when you ask for it.")
    risk: Risk = Risk.HIGH
    needs: tuple[str, ...] = (*sorted(PROBES.values()), CLUSTER_PROBE)
    knobs: tuple[Knob, ...] = KNOBS

    def applies(self, facts: Facts) -> Applicability:
        """Where something runs: every active service whose image nobody builds here."""
        from nftui.optimizations.images.subject import subjects

        found = subjects(facts)
        names = tuple(s.name for s in found)
        if not names:
            return Applicability(False, msg("No service of this stack takes its image from a registry."))
        if not any(s.running for s in found):
            return Applicability(False, msg("Nothing of this stack runs: there is nothing to pin or to carry over."))
        return Applicability(True, msg("Images of {count} services.", count=len(names)), names)

    def findings(self, facts: Facts) -> Iterable[Finding]:
        """None: tags, repositories and versions have findings that need no server."""
        return ()

    def demand(self, facts: Facts, choices: Choices) -> tuple[Demand, ...]:
        """None: another version is taken to need what this one does."""
        return ()

    def advise(self, facts: Facts, choices: Choices, grants: Grants) -> tuple[Advice, ...]:
        """One line for each service, and one for all. Raises UsageError for a value that must not be."""
        from nftui.optimizations.images.advise import advise, advise_rehearsal, refuse_built
        from nftui.optimizations.images.subject import subjects

        refuse_built(facts, choices)
        return (*(advise(facts, subject, choices) for subject in subjects(facts)), advise_rehearsal(choices))

    def effort(self, facts: Facts, advice: tuple[Advice, ...]) -> Effort:
        """By what is done: pins together, each other image, each dump and restore; two to three days at most."""
        from nftui.optimizations.images.subject import subjects

        roles = {s.name: s.service.role for s in subjects(facts)}
        total = Effort(0, 0)
        if any(line.value == PIN and line.changes for line in advice):
            total += _DAYS["pin"]
        for line in advice:
            if line.changes and line.value not in (PIN, STAY):
                total += _DAYS["dump" if roles.get(line.knob) is Role.POSTGRES else "image"]
        return Effort(min(total.low, _MOST.low), min(total.high, _MOST.high))

    def fragment(self, facts: Facts, advice: tuple[Advice, ...]) -> Fragment:
        """Images, and the places of data that goes with them."""
        from nftui.optimizations.images.fragment import build_fragment

        return build_fragment(facts, advice)

    def switches(self, facts: Facts, fragment: Fragment) -> tuple[DataSwitch, ...]:
        """Data that has to lie elsewhere first."""
        from nftui.optimizations.images.fragment import switches

        return switches(facts, fragment)

    def prepare(self, facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
        """Every image on the engine, and tried."""
        from nftui.optimizations.images.fragment import prepare

        return prepare(facts, fragment)

    def steps(self, facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
        """What runs, read back."""
        from nftui.optimizations.images.fragment import read_back

        return read_back(facts, fragment)

    def checks(self, facts: Facts, fragment: Fragment) -> tuple[Assertion, ...]:
        """What shall run from then on."""
        from nftui.optimizations.images.fragment import assertions

        return assertions(fragment)
