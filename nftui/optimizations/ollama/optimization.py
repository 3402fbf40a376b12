"""The `ollama` optimization: which models stay in memory, what makes them fit, loading them ahead. Pure.

What plans is imported where it is asked for: `check` needs none of it, nor does a stack without such a server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.advice import Advice, Applicability, Assertion, Demand, Effort, Fragment, Risk
from nftui.model.message import msg
from nftui.optimizations._servers import part_advice, parts_on, tunable
from nftui.optimizations.ollama.knobs import BY_NAME, ID, KNOBS, PART_DAYS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.engine.protocols import Grants
    from nftui.model.choices import Choices
    from nftui.model.facts import Facts
    from nftui.model.findings import Finding
    from nftui.model.knobs import Knob
    from nftui.model.plan import StepSpec


class Ollama:
    """Ollama model caching; see engine.protocols.Optimization."""

    id: str = ID
    order: int = 30
    title = msg("Ollama model caching")
    summary = msg("Which models stay in memory, how many at once, and that they are there before the first request.")
    risk: Risk = Risk.LOW
    needs: tuple[str, ...] = ("ollama",)
    knobs: tuple[Knob, ...] = KNOBS

    def applies(self, facts: Facts) -> Applicability:
        """Active servers that can be recreated safely."""
        from nftui.optimizations.ollama.applies import applicability

        return applicability(facts)

    def findings(self, facts: Facts) -> Iterable[Finding]:
        """None of its own: nftui.checks.ollama finds them, also where this cannot be applied."""
        return ()

    def demand(self, facts: Facts, choices: Choices) -> tuple[Demand, ...]:
        """Memory per server that can be tuned, and of the small service beside it."""
        from nftui.optimizations.ollama.demand import demand_of, keeper_demand

        servers = tunable(facts, self.applies(facts))
        beside = (found for service in servers for found in keeper_demand(facts, choices, service))
        return (*(demand_of(facts, choices, service) for service in servers), *beside)

    def advise(self, facts: Facts, choices: Choices, grants: Grants) -> tuple[Advice, ...]:
        """Part switches, then one line per knob and server. Raises UsageError."""
        from nftui.optimizations.ollama.report import server_advice
        from nftui.optimizations.ollama.server import build_server

        servers = [build_server(facts, service, grants) for service in tunable(facts, self.applies(facts))]
        lines = [line for server in servers for line in server_advice(server, choices)]
        return (*part_advice(ID, PART_DAYS, BY_NAME, choices), *lines) if lines else ()

    def effort(self, facts: Facts, advice: tuple[Advice, ...]) -> Effort:
        """Two to three days, split over the parts that are on."""
        on = parts_on(advice, PART_DAYS)
        low, high = (round(sum(PART_DAYS[part][i] for part in on), 2) for i in (0, 1))
        return Effort(low, high)

    def fragment(self, facts: Facts, advice: tuple[Advice, ...]) -> Fragment:
        """Each server's variables, a healthcheck that works, and the models that are loaded ahead."""
        from nftui.optimizations.ollama.fragment import build_fragment

        return build_fragment(facts, advice)

    def steps(self, facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
        """Read-backs, and loading the models."""
        from nftui.optimizations.ollama.fragment import live_steps

        return live_steps(facts, fragment)

    def checks(self, facts: Facts, fragment: Fragment) -> tuple[Assertion, ...]:
        """What shall hold from then on."""
        from nftui.optimizations.ollama.fragment import assertions

        return assertions(fragment)
