"""Findings of a stack: collected from every optimization and checker, merged, worst first; the ignore list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from nftui.engine.protocols import Registry
from nftui.model.dataclass import dataclass
from nftui.model.facts import Facts
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import Message, msg
from nftui.model.stack import Problem, Stack
from nftui.probes.surroundings import ELSEWHERE

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
    """All findings, worst first, one per service and id with the evidence of all that found it.

    What repairs a finding is named only where it is there to do it.
    """
    found: list[Finding] = []
    for optimization in registry.values():
        found += optimization.findings(facts)
    for checker in extra:
        found += checker(facts)
    found += _of_problems(facts.stack, found)
    merged: dict[tuple[str | None, str], Finding] = {}
    for finding in found:
        key = (finding.service, finding.id)
        merged[key] = _merge(merged[key], finding) if key in merged else finding
    kept = (f if f.optimization in registry else replace(f, optimization=None) for f in merged.values())
    return tuple(sorted(kept, key=_order))


def apply_ignores(findings: Iterable[Finding], ignores: Iterable[Ignore]) -> tuple[tuple[Finding, ...], int]:
    """What is left, and how many were ignored."""
    every, rules = tuple(findings), tuple(ignores)
    kept = tuple(f for f in every if not any(rule.covers(f) for rule in rules))
    return kept, len(every) - len(kept)


def misses(ignores: Iterable[Ignore], stack: Stack) -> tuple[Ignore, ...]:
    """Those that name a service that the stack does not have, where all of it could be read."""
    if _is_partly_unread(stack):
        return ()
    return tuple(rule for rule in ignores if rule.service and stack.service(rule.service) is None)


def at_least(findings: Iterable[Finding], level: Level) -> bool:
    """Whether one of them is of that level or worse."""
    return any(f.level.rank <= level.rank for f in findings)


def _order(finding: Finding) -> tuple[int, str, str]:
    return finding.level.rank, finding.service or "", finding.id


def _merge(first: Finding, second: Finding) -> Finding:
    """The worse one speaks; the evidence of both counts, each piece once."""
    evidence = tuple(dict.fromkeys((*first.evidence, *second.evidence)))
    return replace(min(first, second, key=lambda f: f.level.rank), evidence=evidence)


_SURROUNDINGS = (
    *("engine-", "compose-missing", "compose-old", "compose-v1", "compose-failed", "manager-", "started-from-"),
    *("labels-disagree", "stack-swarm", "include-remote", ELSEWHERE, "profiles-together-unresolved"),
)
"""Ids of problems that say what nftui cannot do here, and nothing about the stack: `notes`."""
_SUMMARIES = ("project-unresolved", "profile-unresolved")
"""Compose's refusal as a whole; where its cause is known, the cause is the finding."""
_UNREAD = ("include-", "extends-")
"""Ids of problems that leave a part of the project unread."""
_PUBLIC = {
    "interpolation-invalid": "dollar-interpolated", "service-undefined": "network-undefined",
    "profile-unresolved": "network-undefined", "include-unreadable": "include-missing",
}  # fmt: skip
"""The reader's id to the id of a finding that says the same."""

_KEYS = {
    "include-missing": "include", "extends-missing": "extends", "env-file-missing": "env_file",
    "compose-empty": "services",
}  # fmt: skip
"""Id of a problem to the Compose key that it is about."""


_NO_DOCKER = ("engine-missing", "engine-down", "engine-permission", "engine-slow", "engine-refused", "compose-missing")


def needs_docker(problem: Problem) -> bool:
    """Whether the problem is that Docker or Compose cannot be had at all."""
    return "apply" in problem.blocks and problem.id in _NO_DOCKER


def forbids_apply(problem: Problem) -> bool:
    """Whether apply refuses because of it, unless it is forced."""
    return "apply" in problem.blocks and not needs_docker(problem)


def obstacles(problems: Iterable[Problem]) -> tuple[Message, ...]:
    """What apply would refuse, and where else the plan's files would take part: a plan that kept it would surprise."""
    return tuple(p.message or msg("{text}", text=p.text) for p in problems if forbids_apply(p) or p.id == ELSEWHERE)


def notes(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """What limits nftui on this machine, and which profiles do resolve: to be told, but no finding about the stack."""
    return tuple(p for p in problems if p.id.startswith(_SURROUNDINGS) or p.id in _SUMMARIES)


def _of_problems(stack: Stack, found: Iterable[Finding]) -> list[Finding]:
    """Problems as findings: each cause once, also where a check has found it with its service."""
    told = {(f.id, e.file, e.line) for f in found for e in f.evidence} | {(f.id, None, None) for f in found}
    about = [p for p in stack.problems if not p.id.startswith(_SURROUNDINGS)]
    if _is_partly_unread(stack):
        # What was not read may define what seems to be missing.
        about = [p for p in about if _PUBLIC.get(p.id, p.id) != "network-undefined"]
    # A value is invalid only for want of the variable that is missing in it: `${DIR:?set it}:/data`.
    unset = {p.place for p in about if p.id == "variable-missing" and p.place}
    about = [p for p in about if p.id != "value-invalid" or p.place not in unset]
    places = {(_PUBLIC.get(p.id, p.id), *_spot(p)): p for p in about}
    causes = [p for key, p in places.items() if p.id not in _SUMMARIES and key not in told]
    known = causes or any(f.id in ("network-undefined", "container-name-conflict") for f in found)
    return [_of_problem(p, stack) for p in (causes if known else about)]


def _is_partly_unread(stack: Stack) -> bool:
    return any(p.id.startswith(_UNREAD) for p in stack.problems)


def _spot(problem: Problem) -> tuple[str | None, int | None]:
    return (problem.place.file, problem.place.line) if problem.place else (None, None)


def _service_at(stack: Stack, problem: Problem) -> str | None:
    """The one service that is written at the problem's place; None for a template that several are made of."""
    names = {s.name for s in stack.services if problem.place and problem.place in s.places.values()}
    return names.pop() if len(names) == 1 else None


def _of_problem(problem: Problem, stack: Stack) -> Finding:
    """What Compose refuses is a finding: high where it keeps nftui from planning."""
    place = problem.place
    return Finding(
        id=_PUBLIC.get(problem.id, problem.id),
        level=Level.HIGH if problem.blocks else Level.MEDIUM,
        service=_service_at(stack, problem) if problem.id in _PUBLIC else None,
        title=msg("{text}", text=problem.text),
        detail=msg("Impossible because of it: {verbs}.", verbs=", ".join(problem.blocks))
        if problem.blocks
        else msg("Planning and applying are possible all the same."),
        evidence=(
            Evidence(
                problem.key or _KEYS.get(problem.id, problem.id),
                problem.text,
                place.file if place else None,
                place.line if place else None,
            ),
        ),
        source="docker compose",
    )
