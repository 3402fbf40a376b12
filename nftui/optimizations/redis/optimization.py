"""The `redis` optimization: persistence, memory and eviction of each server. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nftui.model.advice import Advice, Applicability, Assertion, Demand, Effort, Fragment, Risk
from nftui.model.message import msg
from nftui.model.units import MIB
from nftui.optimizations._servers import part_advice, parts_on, tunable
from nftui.optimizations.redis import handover
from nftui.optimizations.redis.advise import SHARE, server_advice
from nftui.optimizations.redis.applies import applicability
from nftui.optimizations.redis.cluster import MASTERS, node_needs
from nftui.optimizations.redis.fragment import assertions, build_fragment, live_steps
from nftui.optimizations.redis.knobs import BY_NAME, CLUSTER, ID, KNOBS, MODE_DAYS, PART_DAYS, REPLICA, SINGLE
from nftui.optimizations.redis.replica import replica_name
from nftui.optimizations.redis.server import build_server, node_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.engine.protocols import Grants
    from nftui.model.choices import Choices
    from nftui.model.facts import Facts
    from nftui.model.findings import Finding
    from nftui.model.knobs import Knob
    from nftui.model.plan import DataSwitch, StepSpec
    from nftui.optimizations.redis.server import Server

_WANTED = 512 * MIB
_NODE_STEP = 16 * MIB
"""What a server uses moves from minute to minute, and what its nodes may use must not."""


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
        return applicability(facts)

    def findings(self, facts: Facts) -> Iterable[Finding]:
        """None of its own: those about Redis stand in nftui/checks."""
        return ()

    def demand(self, facts: Facts, choices: Choices) -> tuple[Demand, ...]:
        """Its limit; without one, what its keys take with room for the fork of a save."""
        found = [(_demand(facts, server), server) for server in _servers(facts, {})]
        beside = [
            replace(demand, service=replica_name(server.name))
            for demand, server in found
            if choices.value(ID, server.name, "mode") == REPLICA
        ]
        nodes = [
            _node_demand(demand, name, server)
            for demand, server in found
            if (choices.value(ID, server.name, "mode") or (CLUSTER if server.closed else SINGLE)) == CLUSTER
            for name in node_names(server.name)
        ]
        return (*(demand for demand, _ in found), *beside, *nodes)

    def advise(self, facts: Facts, choices: Choices, grants: Grants) -> tuple[Advice, ...]:
        """Part switches, then the lines of each server. Raises UsageError."""
        lines = [line for server in _servers(facts, grants) for line in server_advice(server, choices)]
        return (*part_advice(ID, PART_DAYS, BY_NAME, choices), *lines) if lines else ()

    def effort(self, facts: Facts, advice: tuple[Advice, ...]) -> Effort:
        """Days of the parts that are on, and of more than one server."""
        on = parts_on(advice, PART_DAYS)
        modes = {line.value for line in advice if line.knob == "mode"}
        days = round(sum(PART_DAYS[part] for part in on) + max(MODE_DAYS.get(str(m), 0.0) for m in modes or {""}), 2)
        return Effort(days, days)

    def fragment(self, facts: Facts, advice: tuple[Advice, ...]) -> Fragment:
        """Each server's command, rebuilt whole, with its stop timeout."""
        return build_fragment(facts, advice)

    def steps(self, facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
        """The log before the restart, the read-back after it."""
        return live_steps(facts, fragment)

    def prepare(self, facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
        """Where the nodes of a cluster keep their keys, and where they find each other."""
        return tuple(handover.prepare(facts, fragment))

    def switches(self, facts: Facts, fragment: Fragment) -> tuple[DataSwitch, ...]:
        """The keys that go to a cluster."""
        return tuple(handover.switches(facts, fragment))

    def checks(self, facts: Facts, fragment: Fragment) -> tuple[Assertion, ...]:
        """What shall hold from then on."""
        return assertions(facts, fragment)


def _servers(facts: Facts, grants: Grants) -> list[Server]:
    return [build_server(facts, service, grants) for service in tunable(facts, applicability(facts))]


def _node_demand(demand: Demand, name: str, server: Server) -> Demand:
    """A third of what the server may use; never less than its third of the keys needs."""
    floor = node_needs(server.used)
    wanted = -(-max(floor, demand.wanted // MASTERS) // _NODE_STEP) * _NODE_STEP
    return Demand(ID, name, floor, wanted, wanted)


def _demand(facts: Facts, server: Server) -> Demand:
    limit = server.service.memory_limit_bytes
    used = max(facts.usage.get(server.name, 0), server.used)
    if limit:
        return Demand(ID, server.name, min(used, limit), limit, limit)
    wanted = max(_WANTED, int(used / SHARE))
    return Demand(ID, server.name, used, wanted, wanted)
