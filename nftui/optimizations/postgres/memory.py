"""Memory of one server: the wanted values, the proof, and what gives way when it fails."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from nftui.model.dataclass import dataclass
from nftui.model.message import msg
from nftui.model.units import MIB, format_size, human_size
from nftui.optimizations.postgres.decision import Decision, Origin, chosen, decide, refusal
from nftui.optimizations.postgres.gucs import number, size, stock
from nftui.optimizations.postgres.proof import BUFFERS_MAX, STEPS, Memory, lower, round_down, smallest
from nftui.optimizations.postgres.rules import (
    Rule,
    cache_size,
    connections,
    wanted_buffers,
    wanted_maintenance,
    wanted_work_mem,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nftui.model.choices import Choices
    from nftui.model.message import Message
    from nftui.optimizations.postgres.server import Server

SIZES = ("shared_buffers", "work_mem", "maintenance_work_mem")
_GIVES_WAY = ("work_mem", "maintenance_work_mem", "shared_buffers")
"""The operator's own values that are replaced where they do not fit, in this order; their max_connections never is."""


@dataclass(slots=True)
class Solution:
    """The worked-out memory values; `memory` None where the service's memory is not known."""

    decisions: dict[str, Decision]
    memory: Memory | None = None


def solve(server: Server, choices: Choices, workers: Mapping[str, int]) -> Solution:
    """Decide the memory knobs. `workers`: max_worker_processes and max_parallel_workers. Raises UsageError."""
    count, why = connections(server)
    rule = Rule(str(count), why)
    decisions = {"max_connections": decide(server, choices, "max_connections", rule)}
    if server.memory is None:
        return Solution(decisions | _unknown(server, choices))
    return _Solver(server, server.memory, choices, decisions, workers).run()


def _unknown(server: Server, choices: Choices) -> dict[str, Decision]:
    why = msg("Its memory is not known: no limit, and no share of the host was given.")
    for name in (*SIZES, "effective_cache_size"):
        value = chosen(choices, server, name)
        if value is not None and name != "effective_cache_size":
            raise refusal(server, name, value, msg("its memory is not known, so nothing proves that it fits"))
    return {name: decide(server, choices, name, Rule(None, why)) for name in (*SIZES, "effective_cache_size")}


def vacuum_memory(server: Server) -> tuple[int, int | None]:
    """Autovacuum's workers, and its own work_mem where one is set."""
    own = size("work_mem", server.fact("autovacuum_work_mem", "-1"))
    return server.count("autovacuum_max_workers", 3), own if own is not None and own > 0 else None


def largest_of_roles(server: Server) -> int:
    """The largest work_mem of a role or a database, which stands above the server's; 0 where none has its own."""
    rows = server.live.role_settings if server.live else ()
    return max((int(number("work_mem", row.value) or 0) for row in rows if row.name == "work_mem"), default=0)


class _Solver:
    """Wanted values, then the proof; the operator's own unsafe values give way, chosen ones are refused."""

    def __init__(
        self,
        server: Server,
        limit: int,
        choices: Choices,
        decisions: dict[str, Decision],
        workers: Mapping[str, int],
    ) -> None:
        self.server, self.choices, self.limit = server, choices, limit
        self.connections = decisions["max_connections"]
        self.workers = workers
        self.auto = lower(self._wanted({}), frozenset())
        self.decisions = decisions | {name: self._decide(name) for name in SIZES}

    def _decide(self, name: str) -> Decision:
        rule = Rule(format_size(getattr(self.auto, name)), self._why(name))
        return decide(self.server, self.choices, name, rule)

    def _why(self, name: str) -> Message:
        share = {"shared_buffers": wanted_buffers, "maintenance_work_mem": wanted_maintenance}.get(name)
        memory = human_size(self.limit)
        if share is not None and getattr(self.auto, name) == share(self.limit, self.server.workload):
            part = max(1, round(self.limit / share(self.limit, self.server.workload)))
            return msg("1/{part} of the {memory} this service has.", part=part, memory=memory)
        count, raised = self.auto.max_connections, largest_of_roles(self.server)
        if self.auto.fits and not replace(self.auto, work_mem=max(self.auto.work_mem, raised)).fits:
            return msg(
                "Not proven: a role or a database has {raised} of work_mem of its own, and {count} connections with it "
                "would not fit {memory}.",
                raised=format_size(raised), count=count, memory=memory,
            )  # fmt: skip
        if name == "work_mem" and self.auto.fits and self.auto.work_mem < 4 * MIB:
            return msg(
                "Below the usual 4MB: {count} connections at work would not fit {memory}. Fewer connections give more.",
                count=count, memory=memory,
            )  # fmt: skip
        if name == "work_mem" and self.auto.fits:
            return msg("With {count} connections at work it still fits {memory}.", count=count, memory=memory)
        if not self.auto.fits:
            return msg("{count} connections do not fit {memory} in the worst case.", count=count, memory=memory)
        return msg("Lowered so that {count} connections at work fit {memory}.", count=count, memory=memory)

    def _wanted(self, fixed: Mapping[str, int]) -> Memory:
        """What the rules want beside the fixed values."""
        kind = self.server.workload
        count = int(self.connections.value or stock("max_connections", self.server.major))
        buffers = fixed.get("shared_buffers", wanted_buffers(self.limit, kind))
        work = wanted_work_mem(self.limit, buffers, count, self.workers["max_worker_processes"], kind)
        vacuum, vacuum_memory_own = vacuum_memory(self.server)
        return Memory(
            self.limit,
            buffers,
            fixed.get("work_mem", work),
            fixed.get("maintenance_work_mem", wanted_maintenance(self.limit, kind)),
            count,
            self.workers["max_parallel_workers"],
            self.server.hash_multiplier,
            vacuum,
            vacuum_memory_own,
        )

    def _fixed(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for name in SIZES:
            decision = self.decisions[name]
            text = decision.value
            if decision.origin is Origin.OFF and text is None:
                text = stock(name, self.server.major)
            amount = number(name, text) if decision.origin is not Origin.AUTO else None
            if amount is not None:
                found[name] = int(amount)
        return found

    def run(self) -> Solution:
        self._refuse_buffers()
        memory = self._fit_with_own()
        if not memory.fits:
            if not memory.fits_without_hashes:
                self._refuse_chosen(memory)
            self._say_unmet(memory)
        for name in SIZES:
            decision = self.decisions[name]
            if decision.origin is Origin.AUTO:
                decision.value = format_size(getattr(memory, name))
                decision.rule = replace(decision.rule, value=decision.value)
        self._add_cache(memory)
        return Solution(self.decisions, memory)

    def _fit(self) -> Memory:
        fixed = self._fixed()
        return lower(self._wanted(fixed), fixed)

    def _fit_with_own(self) -> Memory:
        """As many of the operator's own values as fit.

        The smallest set gives way, the first in a fixed order among equals: once our command line hides a part of it,
        the same choice among the rest comes out again.
        """
        eligible = [name for name in _GIVES_WAY if self._is_large(name)]
        sets = (c for count in range(len(eligible) + 1) for c in itertools.combinations(eligible, count))
        memory = self._fit()
        for names in sets:
            for name in eligible:
                self.decisions[name].origin = Origin.AUTO if name in names else Origin.OWN
            memory = self._fit()
            if memory.fits:
                break
        for name in eligible:
            self._say_replaced(self.decisions[name])
        return memory

    def _is_large(self, name: str) -> bool:
        decision = self.decisions[name]
        return decision.origin is Origin.OWN and (number(name, decision.value) or 0) > getattr(self.auto, name)

    def _say_replaced(self, decision: Decision) -> None:
        if decision.origin is not Origin.AUTO:
            return
        note = msg(
            "Your {knob} = {value} does not fit {memory} in the worst case, so it is replaced.",
            knob=decision.name, value=decision.value, memory=human_size(self.limit),
        )  # fmt: skip
        decision.notes.append(note)

    def _refuse_buffers(self) -> None:
        decision = self.decisions["shared_buffers"]
        most = int(self.limit * BUFFERS_MAX) // MIB * MIB
        if decision.origin is Origin.CHOSEN and (number("shared_buffers", decision.value) or 0) > most:
            reason = msg(
                "it has {memory}, of which shared_buffers may take at most {share} %: {most}",
                memory=human_size(self.limit), share=int(BUFFERS_MAX * 100), most=format_size(most),
            )  # fmt: skip
            raise refusal(self.server, "shared_buffers", str(decision.value), reason)

    def _refuse_chosen(self, memory: Memory) -> None:
        """Name the chosen value that is at fault: it takes more than the advice would."""
        at_fault = [
            name for name in (*_GIVES_WAY, "max_connections") if self._is_chosen(name) and self._exceeds_advice(name)
        ]
        if not at_fault:
            return
        name, fixed = at_fault[0], self._fixed()
        least = smallest(memory, set(fixed) | {name})
        most = least.largest(name)
        shown = str(most) if name == "max_connections" else format_size(max(0, round_down(name, most)))
        what = msg("at most {most} fits", most=shown) if most > 0 else msg("no value fits")
        reason = msg(
            "with {count} connections the worst case takes {worst} of the {budget} that {memory} allow; {what}",
            count=memory.max_connections, worst=human_size(memory.worst), budget=human_size(memory.budget),
            memory=human_size(self.limit), what=what,
        )  # fmt: skip
        raise refusal(self.server, name, str(self.decisions[name].value), reason)

    def _is_chosen(self, name: str) -> bool:
        return self.decisions[name].origin is Origin.CHOSEN

    def _exceeds_advice(self, name: str) -> bool:
        value = number(name, self.decisions[name].value) or 0
        advised = (
            number(name, self.connections.rule.value) or 0 if name == "max_connections" else getattr(self.auto, name)
        )
        return value > advised

    def _say_unmet(self, memory: Memory) -> None:
        """The proof fails whatever is lowered: say so at every memory value."""
        most = replace(memory, work_mem=4 * MIB).largest("max_connections") - memory.parallel_workers
        note = msg(
            "The worst case does not fit: {count} connections need {worst}, {memory} allow {budget}. About {most} fit "
            "with 4MB each: lower max_connections, put PgBouncer in front, or raise the limit. Lowered: {steps}.",
            count=memory.max_connections, worst=human_size(memory.worst), budget=human_size(memory.budget),
            memory=human_size(self.limit), most=max(0, most), steps=", ".join(STEPS),
        )  # fmt: skip
        for name in (*SIZES, "max_connections"):
            self.decisions[name].notes.append(note)

    def _add_cache(self, memory: Memory) -> None:
        share = cache_size(self.limit, memory.shared_buffers, self.server.workload)
        why = msg("At most 3/4 of the {memory} it has; a hint that allocates nothing.", memory=human_size(self.limit))
        rule = Rule(format_size(share), why)
        self.decisions["effective_cache_size"] = decide(self.server, self.choices, "effective_cache_size", rule)
