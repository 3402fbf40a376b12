"""The `qdrant` optimization: index, quantization and defaults of each server. Pure.

What plans is imported where it is asked for: `check` needs none of it, nor does a stack without such a server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.advice import Advice, Applicability, Assertion, Demand, Effort, Fragment, Risk
from nftui.model.message import msg
from nftui.optimizations._servers import part_advice, parts_on, tunable
from nftui.optimizations.qdrant.knobs import BY_NAME, ID, KNOBS, PART_DAYS, SHARDING_DAYS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.engine.protocols import Grants
    from nftui.model.choices import Choices
    from nftui.model.facts import Facts
    from nftui.model.findings import Finding
    from nftui.model.knobs import Knob
    from nftui.model.plan import DataSwitch, StepSpec


class Qdrant:
    """Vector index tuning; see engine.protocols.Optimization."""

    id: str = ID
    order: int = 40
    title = msg("Qdrant index")
    summary = msg("Graph, quantization and placement of each collection, measured before and after; defaults for new.")
    risk: Risk = Risk.MEDIUM
    needs: tuple[str, ...] = (ID,)
    knobs: tuple[Knob, ...] = KNOBS

    def applies(self, facts: Facts) -> Applicability:
        """Active servers on a volume of their own; of a cluster the one that speaks for it, where it has aliases."""
        from nftui.optimizations.qdrant.server import applicability

        return applicability(facts)

    def findings(self, facts: Facts) -> Iterable[Finding]:
        """None of its own: those about Qdrant stand in nftui/checks."""
        return ()

    def demand(self, facts: Facts, choices: Choices) -> tuple[Demand, ...]:
        """Its limit; without one, what its collections take with room for the optimizer, 1 GiB where unknown."""
        from nftui.optimizations.qdrant.demand import demands_of

        return tuple(demand for service in tunable(facts, self.applies(facts)) for demand in demands_of(facts, service))

    def advise(self, facts: Facts, choices: Choices, grants: Grants) -> tuple[Advice, ...]:
        """Part switches, then the lines of each server. Raises UsageError."""
        from nftui.optimizations.qdrant.advise import server_advice
        from nftui.optimizations.qdrant.server import build_server

        servers = [build_server(facts, service, grants) for service in tunable(facts, self.applies(facts))]
        lines = [line for server in servers for line in server_advice(server, choices)]
        return (*part_advice(ID, PART_DAYS, BY_NAME, choices), *lines) if lines else ()

    def effort(self, facts: Facts, advice: tuple[Advice, ...]) -> Effort:
        """Two days, split over the parts that are on; of several nodes only where their shards lie."""
        from nftui.optimizations.qdrant.sharding import is_own

        if all(line.service is None or is_own(line.knob) for line in advice):
            changes = any(line.changes for line in advice)
            return Effort(SHARDING_DAYS, SHARDING_DAYS) if changes else Effort(0, 0)
        on = parts_on(advice, PART_DAYS)
        days = round(sum(PART_DAYS[part] for part in on), 2)
        return Effort(days, days)

    def fragment(self, facts: Facts, advice: tuple[Advice, ...]) -> Fragment:
        """Environment, and the values of each collection."""
        from nftui.optimizations.qdrant.fragment import build_fragment

        return build_fragment(facts, advice)

    def steps(self, facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
        """Read-back, snapshots, updates."""
        from nftui.optimizations.qdrant.fragment import live_steps

        return live_steps(facts, fragment)

    def switches(self, facts: Facts, fragment: Fragment) -> tuple[DataSwitch, ...]:
        """Collections that shall lie on other shards."""
        from nftui.optimizations.qdrant.sharding import switches

        return tuple(switches(facts, fragment))

    def holds(self, present: Fragment) -> tuple[str, ...]:
        """Servers in which an alias leads to a collection that nftui made."""
        from nftui.optimizations.qdrant.sharding import is_own

        return tuple(s for s, values in sorted(present.values.items()) if any(is_own(k) for k in values))

    def restores(self, knob: str) -> bool:
        """The values of a collection stand in the server; those of new ones come and go with its environment."""
        return knob.startswith("collection.")

    def checks(self, facts: Facts, fragment: Fragment) -> tuple[Assertion, ...]:
        """What shall hold from then on."""
        from nftui.optimizations.qdrant.fragment import assertions

        return assertions(fragment)
