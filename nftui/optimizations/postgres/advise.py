"""One server's advice: rules, the operator's own values, the memory proof, /dev/shm, and the 5 % tolerance together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nftui.model.message import msg
from nftui.model.units import KIB, MIB, format_size, parse_size
from nftui.optimizations.postgres import rules
from nftui.optimizations.postgres.decision import Decision, Origin, chosen, decide, is_off, refusal
from nftui.optimizations.postgres.guards import check_chosen
from nftui.optimizations.postgres.gucs import near, number, stock
from nftui.optimizations.postgres.huge_pages import keep_present
from nftui.optimizations.postgres.knobs import MEASURED
from nftui.optimizations.postgres.memory import SIZES, Solution, solve
from nftui.optimizations.postgres.proof import WORK_MEM_MIN, WORK_MEM_STEP
from nftui.optimizations.postgres.rules import Rule
from nftui.optimizations.postgres.shm import Parallel, wanted_shm

if TYPE_CHECKING:
    from nftui.model.choices import Choices
    from nftui.optimizations.postgres.proof import Memory
    from nftui.optimizations.postgres.server import Server

GRACE_S = 90
"""Seconds that the image's authors advise for the shutdown checkpoint (databases reference 1.6)."""


def decide_all(server: Server, choices: Choices) -> dict[str, Decision]:
    """Every knob of that server. Raises UsageError for a chosen value that it must not get."""
    plain = {**rules.processes(server), **rules.disk(server), **rules.wal(server), **rules.planner(server)}
    decisions = {name: decide(server, choices, name, rule) for name, rule in plain.items()}
    _keep_together(server, decisions)
    workers = {n: _count(server, decisions, n) for n in ("max_worker_processes", "max_parallel_workers")}
    solution = solve(server, choices, workers)
    _settle(server, choices, decisions, solution)
    decisions |= solution.decisions
    keep_present(server, decisions)
    decisions["wal_buffers"] = _wal_buffers(server, choices, decisions)
    decisions["stop_grace_period"] = _grace(server, choices)
    check_chosen(server, decisions)
    return decisions


def _count(server: Server, decisions: dict[str, Decision], name: str) -> int:
    return int(decisions[name].value or stock(name, server.major))


def _keep_together(server: Server, decisions: dict[str, Decision]) -> None:
    """Values that only make sense beside another one follow it where nobody chose them."""
    parallel = decisions["max_parallel_workers"]
    if parallel.origin is Origin.AUTO:
        parallel.value = str(min(int(parallel.value or 0), _count(server, decisions, "max_worker_processes")))
    least, most = decisions["min_wal_size"], decisions["max_wal_size"]
    low, high = number("min_wal_size", least.value), number("max_wal_size", most.value)
    if least.origin is Origin.AUTO and low and high and low > high / 2:
        least.value = format_size(max(server.least_wal, int(high) // 2 // MIB * MIB))
    for decision in (least, most):
        _say_unknown_disk(server, decision)


def _say_unknown_disk(server: Server, decision: Decision) -> None:
    """A choice counts also where the disk below the WAL is not known; that nothing proves it is said."""
    present = server.baseline(decision.name) or stock(decision.name, server.major)
    more = (number(decision.name, decision.value) or 0) > (number(decision.name, present) or 0)
    if decision.origin is Origin.CHOSEN and server.wal_free_bytes is None and more:
        decision.notes.append(msg("The disk below its WAL is not known: nothing proves that it has room for this."))


def _settle(server: Server, choices: Choices, decisions: dict[str, Decision], solution: Solution) -> None:
    """Tolerance, then /dev/shm; a snap that breaks the proof is not taken."""
    for decision in decisions.values():
        decision.value = _snapped(server, decision)
    memory = solution.memory
    exact = {name: solution.decisions[name].value for name in SIZES}
    for decision in solution.decisions.values():
        decision.value = _snapped(server, decision)
    if memory is not None and not _as_decided(memory, solution).fits and memory.fits:
        for name, value in exact.items():
            solution.decisions[name].value = value
    _add_shm(server, choices, decisions, solution)


def _snapped(server: Server, decision: Decision) -> str | None:
    """What is in force (else what stands without nftui) where the advice differs by noise only."""
    if decision.origin is not Origin.AUTO or decision.value is None:
        return decision.value
    for present in (server.current(decision.name), server.baseline(decision.name)):
        if present is not None and near(decision.name, decision.value, present):
            return present
    return decision.value


def _as_decided(memory: Memory, solution: Solution) -> Memory:
    """The proof's values as they will be in force."""
    found = {n: number(n, solution.decisions[n].value) for n in SIZES}
    return replace(memory, **{n: int(v) for n, v in found.items() if v is not None})


def _parallel(server: Server, decisions: dict[str, Decision], solution: Solution) -> Parallel:
    def amount(name: str) -> int:
        return int(number(name, solution.decisions[name].value) or number(name, stock(name, server.major)) or 0)

    return Parallel(
        amount("work_mem"),
        amount("maintenance_work_mem"),
        server.hash_multiplier,
        _count(server, decisions, "max_parallel_workers_per_gather"),
        _count(server, decisions, "max_parallel_workers"),
        amount("max_connections"),
    )


def _add_shm(server: Server, choices: Choices, decisions: dict[str, Decision], solution: Solution) -> None:
    parallel = _parallel(server, decisions, solution)
    wanted = wanted_shm(parallel, server.memory)
    why = msg("No query runs in parallel here; building an index still may.")
    if parallel.participants:
        why = msg(
            "{count} processes of parallel queries hash at once, beside maintenance.", count=parallel.participants
        )
    rule = Rule(format_size(wanted), why, MEASURED)
    decision = _shm_decision(server, choices, rule, parallel)
    decisions["shm_size"] = decision
    size = parse_size(decision.value or "")
    if size is not None and size < parallel.need:
        _fit_into(server, decisions, solution, decision, size)


def _shm_decision(server: Server, choices: Choices, rule: Rule, parallel: Parallel) -> Decision:
    value = chosen(choices, server, "shm_size")
    declared = format_size(server.shm_declared)
    if not server.shm_managed:
        if value is not None:
            raise refusal(server, "shm_size", value, msg("its /dev/shm is not its own (ipc mode or a mount on it)"))
        why = msg("Its /dev/shm is not its own (ipc mode or a mount on it), so it is left alone.")
        return Decision("shm_size", Origin.OFF, None, replace(rule, value=None, why=why))
    if value is not None:
        return Decision("shm_size", Origin.CHOSEN, value, rule)
    if is_off(choices, server, "shm_size"):
        return Decision("shm_size", Origin.OFF, declared, rule)
    if server.service.shm_bytes is None:
        return Decision("shm_size", Origin.AUTO, rule.value, rule)
    if server.shm_declared >= parallel.need:
        return Decision("shm_size", Origin.OWN, declared, rule)
    note = msg("Your shm_size of {size} is too small for parallel queries, so it is replaced.", size=declared)
    return Decision("shm_size", Origin.AUTO, rule.value, rule, [note])


def _fit_into(server: Server, decisions: dict[str, Decision], solution: Solution, shm: Decision, size: int) -> None:
    """A fixed /dev/shm that is too small: what nobody fixed is lowered until the tables fit, else it is refused."""
    note = msg("Lowered so that parallel queries fit the {size} of /dev/shm.", size=format_size(size))
    maintenance, work = solution.decisions["maintenance_work_mem"], solution.decisions["work_mem"]
    if maintenance.origin is Origin.AUTO and (number(maintenance.name, maintenance.value) or 0) > size // 4:
        maintenance.value = format_size(max(MIB, size // 4 // MIB * MIB))
        maintenance.notes.append(note)
    parallel = _parallel(server, decisions, solution)
    room = parallel.work_mem_within(size) // WORK_MEM_STEP * WORK_MEM_STEP
    if work.origin is Origin.AUTO and parallel.need > size and room >= WORK_MEM_MIN:
        work.value = format_size(room)
        work.notes.append(note)
    gather = decisions["max_parallel_workers_per_gather"]
    if (
        _parallel(server, decisions, solution).need > size
        and gather.origin is Origin.AUTO
        and work.origin is not Origin.CHOSEN
    ):
        gather.value = "0"
        gather.notes.append(note)
    if _still_fails(_parallel(server, decisions, solution), size):
        _refuse_pair(server, solution, shm, _parallel(server, decisions, solution))


def _still_fails(parallel: Parallel, size: int) -> bool:
    return parallel.need > size and parallel.participants > 0


def _refuse_pair(server: Server, solution: Solution, shm: Decision, parallel: Parallel) -> None:
    work = solution.decisions["work_mem"]
    need = format_size((parallel.need // KIB + 1) * KIB)
    reason = msg("parallel queries may need {need} of /dev/shm and would fail; set shm_size to that or more", need=need)
    for decision in (shm, work):
        if decision.origin is Origin.CHOSEN:
            raise refusal(server, decision.name, str(decision.value), reason)
    work.notes.append(msg("Parallel queries may need {need} of /dev/shm, which has {size}.", need=need, size=shm.value))


def _wal_buffers(server: Server, choices: Choices, decisions: dict[str, Decision]) -> Decision:
    """Automatic: 1/32 of shared_buffers, at most one WAL segment; nothing is written for it."""
    buffers = number("shared_buffers", decisions["shared_buffers"].value)
    size = None if buffers is None else max(64 * KIB, min(16 * MIB, int(buffers) // 32 // (8 * KIB) * 8 * KIB))
    why = msg("Automatic: 1/32 of shared_buffers, at most 16MB; nothing is written.")
    rule = Rule(None if size is None else format_size(size), why)
    decision = decide(server, choices, "wal_buffers", rule)
    if decision.origin is Origin.AUTO:
        decision.value = "-1" if server.hidden("wal_buffers") else server.current("wal_buffers")
    return decision


def _grace(server: Server, choices: Choices) -> Decision:
    declared = server.grace_declared
    why = msg("A shutdown checkpoint takes longer than Docker's 10 s; a killed server starts with a recovery.")
    rule = Rule(f"{max(GRACE_S, declared)}s", why, "databases reference 1.6")
    value = chosen(choices, server, "stop_grace_period")
    if value is not None:
        if server.service.stop_grace_s is not None and int(value.removesuffix("s")) < declared:
            reason = msg("it already has {seconds} s, and less could kill it in its checkpoint", seconds=declared)
            raise refusal(server, "stop_grace_period", value, reason)
        return Decision("stop_grace_period", Origin.CHOSEN, value, rule)
    if is_off(choices, server, "stop_grace_period"):
        return Decision("stop_grace_period", Origin.OFF, f"{declared}s", rule)
    return Decision("stop_grace_period", Origin.AUTO, rule.value, rule)
