"""The `postgres` optimization: settings through the service's command, /dev/shm and the stop timeout. Pure.

What plans is imported where it is asked for: `check` needs none of it, nor does a stack without such a server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.advice import Advice, Applicability, Assertion, Demand, Effort, Fragment, Risk
from nftui.model.message import msg
from nftui.optimizations._servers import part_advice, parts_on, tunable
from nftui.optimizations.postgres.findings import find
from nftui.optimizations.postgres.knobs import BY_NAME, ID, KNOBS, PART_DAYS
from nftui.optimizations.postgres.server import build_server, named_servers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.engine.protocols import Grants
    from nftui.model.choices import Choices
    from nftui.model.facts import Facts
    from nftui.model.findings import Finding
    from nftui.model.knobs import Knob
    from nftui.model.plan import StepSpec


class Postgres:
    """PostgreSQL configuration tuning; see engine.protocols.Optimization."""

    id: str = ID
    order: int = 10
    title = msg("PostgreSQL tuning")
    summary = msg("Memory, WAL, planner and shared memory of the server, sized for what its service may use.")
    risk: Risk = Risk.MEDIUM
    needs: tuple[str, ...] = ("postgres",)
    knobs: tuple[Knob, ...] = KNOBS

    def applies(self, facts: Facts) -> Applicability:
        """Active servers that can be recreated safely."""
        from nftui.optimizations.postgres.applies import applicability

        return applicability(facts)

    def findings(self, facts: Facts) -> Iterable[Finding]:
        """What is wrong now with the PostgreSQL servers of the files."""
        return find(facts)

    def demand(self, facts: Facts, choices: Choices) -> tuple[Demand, ...]:
        """Memory per server that can be tuned."""
        from nftui.optimizations.postgres.demand import demand_of

        return tuple(demand_of(facts, choices, service) for service in tunable(facts, self.applies(facts)))

    def advise(self, facts: Facts, choices: Choices, grants: Grants) -> tuple[Advice, ...]:
        """Part switches, then one line per knob and server. Raises UsageError."""
        from nftui.optimizations.postgres.guards import refuse_for_version
        from nftui.optimizations.postgres.report import server_advice

        named = named_servers(facts)
        able = tunable(facts, self.applies(facts))
        servers = [build_server(facts, service, choices, grants, named) for service in able]
        refuse_for_version(servers, choices)
        lines = [line for server in servers for line in server_advice(server, choices)]
        return (*part_advice(ID, PART_DAYS, BY_NAME, choices), *lines) if lines else ()

    def effort(self, facts: Facts, advice: tuple[Advice, ...]) -> Effort:
        """One day, split over the parts that are on."""
        on = parts_on(advice, PART_DAYS)
        days = round(sum(PART_DAYS[part] for part in on), 2)
        return Effort(days, days)

    def fragment(self, facts: Facts, advice: tuple[Advice, ...]) -> Fragment:
        """Each server's command, rebuilt whole, with shm_size and stop_grace_period."""
        from nftui.optimizations.postgres.fragment import build_fragment

        return build_fragment(facts, advice)

    def steps(self, facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
        """Read-backs."""
        from nftui.optimizations.postgres.fragment import read_back_steps

        return read_back_steps(facts, fragment)

    def checks(self, facts: Facts, fragment: Fragment) -> tuple[Assertion, ...]:
        """What shall hold from then on."""
        from nftui.optimizations.postgres.fragment import assertions

        return assertions(facts, fragment)
