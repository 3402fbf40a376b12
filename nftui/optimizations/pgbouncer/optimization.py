"""The `pgbouncer` optimization: a pooler of nftui's own, and the apps that tolerate it routed to it. Pure.

What plans is imported where it is asked for: `check` needs none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.advice import Advice, Applicability, Assertion, Demand, Effort, Fragment, Risk
from nftui.model.message import msg
from nftui.model.pooling import OUTSIDE_PROBE, POOLER_PROBE, ROLES_PROBE
from nftui.optimizations.pgbouncer.knobs import ID, KNOBS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.engine.protocols import Grants
    from nftui.model.choices import Choices
    from nftui.model.facts import Facts
    from nftui.model.findings import Finding
    from nftui.model.knobs import Knob
    from nftui.model.plan import StepSpec


class Pgbouncer:
    """Connection pooling; see engine.protocols.Optimization."""

    id: str = ID
    order: int = 20
    title = msg("Connection pooling")
    summary = msg("A PgBouncer before PostgreSQL: many clients share few server connections.")
    risk: Risk = Risk.MEDIUM
    needs: tuple[str, ...] = (ROLES_PROBE, POOLER_PROBE, OUTSIDE_PROBE)
    knobs: tuple[Knob, ...] = KNOBS

    def applies(self, facts: Facts) -> Applicability:
        """Where a server can be asked, and some app may go through a pooler."""
        from nftui.optimizations.pgbouncer.planning import applies

        return applies(facts)

    def findings(self, facts: Facts) -> Iterable[Finding]:
        """None: what is wrong with pooling is found by checks that need no server."""
        return ()

    def demand(self, facts: Facts, choices: Choices) -> tuple[Demand, ...]:
        """What its own service is limited to; a pooler of the operator's keeps what it has."""
        from nftui.optimizations.pgbouncer.planning import demand

        return demand(facts, choices)

    def advise(self, facts: Facts, choices: Choices, grants: Grants) -> tuple[Advice, ...]:
        """The pooler's values, then each app's route. Raises UsageError for what is refused."""
        from nftui.optimizations.pgbouncer.planning import advise

        return advise(facts, choices)

    def effort(self, facts: Facts, advice: tuple[Advice, ...]) -> Effort:
        """Two days, if anything is routed; a pooler that is there costs the part of its sizes."""
        from nftui.optimizations.pgbouncer.planning import effort

        return effort(facts, advice)

    def fragment(self, facts: Facts, advice: tuple[Advice, ...]) -> Fragment:
        """The service, its files, the apps' variables."""
        from nftui.optimizations.pgbouncer.planning import fragment

        return fragment(facts, advice)

    def steps(self, facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
        """Read-backs."""
        from nftui.optimizations.pgbouncer.planning import steps

        return steps(facts, fragment)

    def checks(self, facts: Facts, fragment: Fragment) -> tuple[Assertion, ...]:
        """What shall hold from then on."""
        from nftui.optimizations.pgbouncer.planning import checks

        return checks(facts, fragment)
