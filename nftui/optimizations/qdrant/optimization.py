"""The `qdrant` optimization: index, quantization and defaults of each server. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.advice import Advice, Applicability, Assertion, Demand, Effort, Fragment, Risk
from nftui.model.message import msg
from nftui.model.units import GIB
from nftui.optimizations._servers import part_advice, parts_on, tunable
from nftui.optimizations.qdrant import rules
from nftui.optimizations.qdrant.advise import server_advice
from nftui.optimizations.qdrant.fragment import assertions, build_fragment, live_steps
from nftui.optimizations.qdrant.knobs import BY_NAME, KNOBS, PART_DAYS
from nftui.optimizations.qdrant.server import ID, Server, applicability, build_server

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.engine.protocols import Grants
    from nftui.model.choices import Choices
    from nftui.model.facts import Facts
    from nftui.model.findings import Finding
    from nftui.model.knobs import Knob
    from nftui.model.plan import StepSpec


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
        """Active servers on a volume of their own, outside of clusters."""
        return applicability(facts)

    def findings(self, facts: Facts) -> Iterable[Finding]:
        """None of its own: those about Qdrant stand in nftui/checks."""
        return ()

    def demand(self, facts: Facts, choices: Choices) -> tuple[Demand, ...]:
        """Its limit; without one, what its collections take with room for the optimizer, 1 GiB where unknown."""
        return tuple(_demand(facts, server) for server in _servers(facts, {}))

    def advise(self, facts: Facts, choices: Choices, grants: Grants) -> tuple[Advice, ...]:
        """Part switches, then the lines of each server. Raises UsageError."""
        lines = [line for server in _servers(facts, grants) for line in server_advice(server, choices)]
        return (*part_advice(ID, PART_DAYS, BY_NAME, choices), *lines) if lines else ()

    def effort(self, facts: Facts, advice: tuple[Advice, ...]) -> Effort:
        """Two days, split over the parts that are on."""
        on = parts_on(advice, PART_DAYS)
        days = round(sum(PART_DAYS[part] for part in on), 2)
        return Effort(days, days)

    def fragment(self, facts: Facts, advice: tuple[Advice, ...]) -> Fragment:
        """Environment, and the values of each collection."""
        return build_fragment(facts, advice)

    def steps(self, facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
        """Read-back, snapshots, updates."""
        return live_steps(facts, fragment)

    def checks(self, facts: Facts, fragment: Fragment) -> tuple[Assertion, ...]:
        """What shall hold from then on."""
        return assertions(fragment)


def _servers(facts: Facts, grants: Grants) -> list[Server]:
    return [build_server(facts, service, grants) for service in tunable(facts, applicability(facts))]


def _demand(facts: Facts, server: Server) -> Demand:
    limit = server.service.memory_limit_bytes
    used = facts.usage.get(server.name, 0)
    if limit:
        return Demand(ID, server.name, min(used, limit), limit, limit)
    collections = server.live.collections if server.live else ()
    needed = sum(rules.memory_bytes(c.points or 0, c.index) for c in collections)
    wanted = max(GIB, used, int(needed * rules.HEADROOM))
    return Demand(ID, server.name, used, wanted, wanted)
