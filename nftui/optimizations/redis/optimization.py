"""The `redis` optimization: persistence, memory and eviction of each server. Pure.

What plans is imported where it is asked for: `check` needs none of it, nor does a stack without such a server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.advice import Advice, Applicability, Assertion, Demand, Effort, Fragment, Risk
from nftui.model.message import msg
from nftui.optimizations._servers import part_advice, parts_on, tunable
from nftui.optimizations.redis.knobs import BY_NAME, ID, KNOBS, MODE_DAYS, PART_DAYS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.engine.protocols import Grants
    from nftui.model.choices import Choices
    from nftui.model.facts import Facts
    from nftui.model.findings import Finding
    from nftui.model.knobs import Knob
    from nftui.model.plan import DataSwitch, StepSpec


class Redis:
    """Redis tuning; see engine.protocols.Optimization."""

    id: str = ID
    order: int = 50
    title = msg("Redis persistence and memory")
    summary = msg("A log beside the snapshots, a bound below the service's memory, and no eviction of jobs.")
    risk: Risk = Risk.MEDIUM
    needs: tuple[str, ...] = (ID,)
    knobs: tuple[Knob, ...] = KNOBS

    def applies(self, facts: Facts) -> Applicability:
        """Active servers that can be recreated safely."""
        from nftui.optimizations.redis.applies import applicability

        return applicability(facts)

    def findings(self, facts: Facts) -> Iterable[Finding]:
        """None of its own: those about Redis stand in nftui/checks."""
        return ()

    def demand(self, facts: Facts, choices: Choices) -> tuple[Demand, ...]:
        """What each server needs, and what would stand beside it or in its place."""
        from nftui.optimizations.redis.demand import demands_of

        able = tunable(facts, self.applies(facts))
        return tuple(demand for service in able for demand in demands_of(facts, choices, service))

    def advise(self, facts: Facts, choices: Choices, grants: Grants) -> tuple[Advice, ...]:
        """Part switches, then the lines of each server. Raises UsageError."""
        from nftui.optimizations.redis.advise import server_advice
        from nftui.optimizations.redis.server import build_server

        servers = [build_server(facts, service, grants) for service in tunable(facts, self.applies(facts))]
        lines = [line for server in servers for line in server_advice(server, choices)]
        return (*part_advice(ID, PART_DAYS, BY_NAME, choices), *lines) if lines else ()

    def effort(self, facts: Facts, advice: tuple[Advice, ...]) -> Effort:
        """Days of the parts that are on, and of more than one server."""
        on = parts_on(advice, PART_DAYS)
        modes = {line.value for line in advice if line.knob == "mode"}
        days = round(sum(PART_DAYS[part] for part in on) + max(MODE_DAYS.get(str(m), 0.0) for m in modes or {""}), 2)
        return Effort(days, days)

    def fragment(self, facts: Facts, advice: tuple[Advice, ...]) -> Fragment:
        """Each server's command, rebuilt whole, with its stop timeout."""
        from nftui.optimizations.redis.fragment import build_fragment

        return build_fragment(facts, advice)

    def steps(self, facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
        """The log before the restart, the read-back after it."""
        from nftui.optimizations.redis.fragment import live_steps

        return live_steps(facts, fragment)

    def prepare(self, facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
        """Where servers of nftui's own keep their keys, and where they find each other."""
        from nftui.optimizations.redis.handover import prepare

        return tuple(prepare(facts, fragment))

    def switches(self, facts: Facts, fragment: Fragment) -> tuple[DataSwitch, ...]:
        """The keys that go to those servers."""
        from nftui.optimizations.redis.handover import switches

        return tuple(switches(facts, fragment))

    def checks(self, facts: Facts, fragment: Fragment) -> tuple[Assertion, ...]:
        """What shall hold from then on."""
        from nftui.optimizations.redis.fragment import assertions

        return assertions(facts, fragment)
