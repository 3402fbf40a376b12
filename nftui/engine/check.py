"""Findings of a stack: collected from every optimization and checker, merged, worst first; the ignore list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from nftui.engine.protocols import Registry
from nftui.model.facts import Facts
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import msg
from nftui.model.stack import Problem

Checker = Callable[[Facts], Iterable[Finding]]
"""Finds what belongs to no optimization."""


@dataclass(frozen=True, slots=True)
class Ignore:
    """An entry of an ignore list: a finding's id, of one service or of all, and why it is accepted."""

    id: str
    service: str | None
    reason: str

    def covers(self, finding: Finding) -> bool:
        """Whether that finding is meant."""
        return finding.id == self.id and self.service in (None, finding.service)


def collect(facts: Facts, registry: Registry, extra: Iterable[Checker] = ()) -> tuple[Finding, ...]:
    """All findings, worst first, one per service and id with the evidence of all that found it."""
    found = [_of_problem(p) for p in facts.stack.problems]
    for optimization in registry.values():
        found += optimization.findings(facts)
    for checker in extra:
        found += checker(facts)
    merged: dict[tuple[str | None, str], Finding] = {}
    for finding in found:
        key = (finding.service, finding.id)
        merged[key] = _merge(merged[key], finding) if key in merged else finding
    return tuple(sorted(merged.values(), key=_order))


def apply_ignores(findings: Iterable[Finding], ignores: Iterable[Ignore]) -> tuple[tuple[Finding, ...], int]:
    """What is left, and how many were ignored."""
    every, rules = tuple(findings), tuple(ignores)
    kept = tuple(f for f in every if not any(rule.covers(f) for rule in rules))
    return kept, len(every) - len(kept)


def at_least(findings: Iterable[Finding], level: Level) -> bool:
    """Whether one of them is of that level or worse."""
    return any(f.level.rank <= level.rank for f in findings)


def _order(finding: Finding) -> tuple[int, str, str]:
    return finding.level.rank, finding.service or "", finding.id


def _merge(first: Finding, second: Finding) -> Finding:
    """The worse one speaks; the evidence of both counts, each piece once."""
    evidence = tuple(dict.fromkeys((*first.evidence, *second.evidence)))
    return replace(min(first, second, key=lambda f: f.level.rank), evidence=evidence)


def _of_problem(problem: Problem) -> Finding:
    """What Compose refuses is a finding: high where it keeps nftui from planning."""
    place = problem.place
    return Finding(
        id=problem.id,
        level=Level.HIGH if problem.blocks else Level.MEDIUM,
        service=None,
        title=msg("{text}", text=problem.text),
        detail=msg("Impossible because of it: {verbs}.", verbs=", ".join(problem.blocks))
        if problem.blocks
        else msg("Planning and applying are possible all the same."),
        evidence=(Evidence(problem.id, problem.text, place.file if place else None, place.line if place else None),),
        source="docker compose",
    )
