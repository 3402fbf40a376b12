"""From choices and facts to a draft: pure, no I/O, equal for equal input (engine.md 4)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from nftui.engine import own
from nftui.engine.budget import Budget, make_budget
from nftui.engine.override import lineage_of, merge_fragments, render_override
from nftui.engine.persist import KEY, Persistence
from nftui.engine.place import not_ours
from nftui.engine.preconditions import preconditions
from nftui.engine.protocols import Grants, Optimization, Registry
from nftui.engine.resolution import resolve
from nftui.engine.state import InForce
from nftui.model.advice import Advice, Applicability, Assertion, Demand, Effort, Fragment
from nftui.model.choices import Choices, Selection
from nftui.model.facts import Facts, Live
from nftui.model.message import Message, msg
from nftui.model.plan import Draft, FileChange, OptimizationPlan, Stage, StepSpec, Undo, digest
from nftui.model.stack import Role
from nftui.steps.envkeys import drop_key, get_key, set_key

GRACE_S = 120
"""The old container's stop timeout: data services need it for a shutdown checkpoint (engine.md 7)."""
DOCKER_GRACE_S = 10.0
"""Of a container that says nothing about it."""
_DOWNTIME_S = 12.0
"""Predicted seconds of a recreate before this host has measured one: stop, start and health."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the planner must know beside the facts: what is in force and how it is kept loaded."""

    in_force: InForce
    lineage: str
    keep: Persistence
    stale: frozenset[str] = frozenset()
    """Services whose container does not run what the files on disk say, by nftui's own doing or omission."""
    pending: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Services that differ from the operator's files for reasons that are not nftui's: they are blocked."""
    shared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Service to services that share its namespaces or volumes: recreated with it (engine.md 7)."""
    losses: Mapping[str, tuple[Message, ...]] = field(default_factory=dict)
    """Service to what a recreate would take away from it for good: asked about (engine.md 7)."""
    own: Mapping[str, bool] = field(default_factory=dict)
    """Services of nftui's own that have a container, to whether it stands (a job: whether it ended well)."""


@dataclass(slots=True)
class _Parts:
    plans: list[OptimizationPlan] = field(default_factory=list)
    fragments: list[Fragment] = field(default_factory=list)
    steps: list[StepSpec] = field(default_factory=list)
    assertions: list[Assertion] = field(default_factory=list)
    warnings: list[Message] = field(default_factory=list)
    refusals: list[Message] = field(default_factory=list)
    losses: list[Message] = field(default_factory=list)


def draft(facts: Facts, choices: Choices, registry: Registry, standing: Standing) -> Draft:
    """The live preview. Raises UsageError for a value that is refused for a service that is there."""
    budget = _budget(facts, choices, registry)
    grants = {g.service: g for g in budget.grants}
    parts = _Parts(warnings=list(budget.warnings))
    for optimization in registry.values():
        _take(facts, choices, optimization, grants, standing, parts)
    stages = _stages(facts, standing, parts)
    parts.refusals += _other_state(facts, standing)
    parts.warnings += _not_kept(facts, standing, parts) if stages else ()
    if facts.stack.resolved_by == "files" and stages:
        parts.warnings.append(
            msg("unverified: the files, because Docker Compose did not read them. Look at 'docker compose config'.")
        )
    return Draft(
        choices=resolve(choices, parts.plans, standing.in_force),
        optimizations=tuple(parts.plans),
        stages=stages,
        fragments=tuple(f for f in parts.fragments if any(f.services.values())),
        grants=budget.grants,
        memory=budget.use,
        warnings=tuple(parts.warnings),
        assertions=tuple(parts.assertions),
        preconditions=preconditions(facts, stages, standing.pending, standing.losses),
        refusals=tuple(parts.refusals),
        losses=tuple(parts.losses),
    )


def _not_kept(facts: Facts, standing: Standing, parts: _Parts) -> Iterable[Message]:
    """Where nothing can keep nftui's file loaded, the operator gets the command that does (engine.md 10)."""
    if standing.keep.mode == "command" and any(any(f.services.values()) for f in parts.fragments):
        files = " ".join(f"-f {path}" for path in (*facts.stack.files, standing.keep.override))
        yield msg(
            "A plain `docker compose up` would drop the tuning ({why}). Start the stack with: "
            "docker compose {files} up -d",
            why=standing.keep.reason,
            files=files,
        )


def _other_state(facts: Facts, standing: Standing) -> Iterable[Message]:
    """Another state directory owns the file: its history would be lost (engine.md 9)."""
    fact = facts.files.get(standing.keep.override)
    owner = lineage_of(fact.content if fact else None)
    if owner is not None and owner != standing.lineage:
        yield not_ours(standing.keep.override, owner, standing.lineage)


def _budget(facts: Facts, choices: Choices, registry: Registry) -> Budget:
    demands: list[Demand] = []
    for optimization in registry.values():
        if choices.selection(optimization.id) is not Selection.OFF and optimization.applies(facts).applicable:
            demands += optimization.demand(facts, choices)
    return make_budget(facts, demands)


def _take(
    facts: Facts, choices: Choices, optimization: Optimization, grants: Grants, standing: Standing, parts: _Parts
) -> None:
    selection = choices.selection(optimization.id)
    applies = optimization.applies(facts)
    advice = optimization.advise(facts, choices, grants) if applies.applicable else ()
    present = standing.in_force.fragment(optimization.id)
    fragment = _fragment(facts, optimization, selection, applies, advice, present)
    parts.warnings += _notes(optimization, selection, applies, choices)
    if fragment is not None and any(fragment.services.values()):
        parts.fragments.append(fragment)
        parts.steps += optimization.steps(facts, fragment) if selection is Selection.ON else ()
        parts.assertions += _assertions(facts, optimization, selection, fragment, standing.in_force)
    parts.plans.append(
        OptimizationPlan(
            id=optimization.id,
            selection=selection,
            applicable=applies.applicable,
            reason=applies.reason,
            effort=optimization.effort(facts, advice) if applies.applicable else Effort(0, 0),
            downtime_s=_DOWNTIME_S * len(_running(facts, _changed(fragment, present))),
            risk=optimization.risk,
            advice=advice,
            title=optimization.title,
        )
    )


def _fragment(
    facts: Facts,
    optimization: Optimization,
    selection: Selection,
    applies: Applicability,
    advice: tuple[Advice, ...],
    present: Fragment | None,
) -> Fragment | None:
    """On: what it wants now. Untouched: what is in force, byte for byte. Off: nothing."""
    if selection is Selection.UNTOUCHED:
        return present
    if selection is Selection.OFF or not applies.applicable:
        return None
    return optimization.fragment(facts, advice)


def _notes(
    optimization: Optimization, selection: Selection, applies: Applicability, choices: Choices
) -> Iterable[Message]:
    if selection is not Selection.ON:
        return
    named = any(key[0] == optimization.id for key in choices.values)
    if not applies.applicable and named:
        yield msg("{id} was chosen but does not apply here: {why}", id=optimization.id, why=str(applies.reason))
    for service, why in applies.refused.items():
        yield msg("{service} is left as it is: {why}", service=service, why=str(why))


def _assertions(
    facts: Facts, optimization: Optimization, selection: Selection, fragment: Fragment, in_force: InForce
) -> list[Assertion]:
    if selection is Selection.UNTOUCHED:
        return [a for a in in_force.assertions if a.params.get("optimization") == optimization.id]
    found = optimization.checks(facts, fragment)
    return [replace(a, params={**a.params, "optimization": optimization.id}) for a in found]


def _changed(fragment: Fragment | None, present: Fragment | None) -> set[str]:
    new = fragment.services if fragment else {}
    old = present.services if present else {}
    return {name for name in {*new, *old} if new.get(name) != old.get(name)}


def _running(facts: Facts, names: set[str]) -> list[str]:
    """Only what runs can be down."""
    return [s.name for s in facts.stack.services if s.name in names and s.running is not None]


def _stages(facts: Facts, standing: Standing, parts: _Parts) -> tuple[Stage, ...]:
    wanted = merge_fragments(parts.fragments)
    before = merge_fragments(standing.in_force.fragments)
    changed = {n for n in {*wanted, *before} if wanted.get(n) != before.get(n)}
    changed |= {n for n in wanted if n in standing.stale}
    in_force = standing.in_force.fragments
    ours = own.sort_out(facts, standing.own, wanted, before, parts.fragments, in_force)
    parts.warnings += ours.warnings
    parts.refusals += ours.refusals
    mounted = own.mounted_changes(facts, parts.fragments)
    files = _files(facts, standing, parts.fragments, bool(wanted))
    touched = _touched(facts, standing, changed - ours.names, parts)
    renewed = [*ours.start, *ours.recreate, *touched]
    steps = [
        *own.write_steps(facts, parts.fragments, mounted),
        *_file_steps(files, facts.stack.files[:1]),
        *_check_step(facts, files, {*touched, *changed}, set(standing.pending), wanted),
        *own.start_steps(ours, wanted),
        *_recreate_steps(facts, [*ours.recreate, *touched], standing),
        *(s for s in parts.steps if s.service in renewed),
        *own.remove_steps(ours),
        *own.leave_steps(facts, parts.fragments, in_force),
    ]
    if not steps:
        return ()
    return (Stage("settings", tuple(steps), (*renewed, *ours.remove), (*mounted, *files)),)


def _touched(facts: Facts, standing: Standing, changed: set[str], parts: _Parts) -> list[str]:
    """Changed services that run, each followed by those that share its namespaces; others are told of."""
    order: list[str] = []
    for name in sorted(changed):
        service = facts.stack.service(name)
        if service is None or service.running is None:
            parts.warnings.append(msg("unverified: {service} (it does not run; its files are written)", service=name))
            continue
        if name in standing.pending:
            parts.refusals.append(_pending(name, standing.pending[name]))
        order += [n for n in (name, *standing.shared.get(name, ())) if n not in order]
    read_back = {step.service for step in parts.steps}
    parts.refusals += [_unread(live) for live in facts.unread() if live.service in read_back & set(order)]
    parts.losses += [loss for name in order for loss in standing.losses.get(name, ())]
    return order


def _unread(live: Live) -> Message:
    """What cannot be read now could not be read back either: the downtime would be for nothing."""
    return msg(
        "{service} cannot be asked: {why}. Nothing could be read back from it, so it is not touched.",
        service=live.service,
        why=(live.error or "").rstrip("."),
    )


def _pending(name: str, reasons: Iterable[str]) -> Message:
    return msg(
        "{service} does not run what your files say ({why}); nftui would apply that as well. Apply or revert it first.",
        service=name,
        why="; ".join(reasons),
    )


def _files(facts: Facts, standing: Standing, fragments: list[Fragment], wanted: bool) -> list[FileChange]:
    keep = standing.keep
    content = render_override(sorted(fragments, key=lambda f: f.optimization), standing.lineage)
    changes = [_override_change(facts, keep, content), _env_change(facts, standing, wanted)]
    return [c for c in changes if c is not None]


def _override_change(facts: Facts, keep: Persistence, content: bytes | None) -> FileChange | None:
    fact = facts.files.get(keep.override)
    before = fact.content if fact else None
    if content == before:
        return None
    base = facts.files.get(facts.stack.files[0]) if facts.stack.files else None
    mode = base.mode if base and base.mode is not None else 0o644
    action = "delete" if content is None else "create" if before is None else "update"
    return FileChange(keep.override, action, before, content, mode & 0o777, "override")


def _env_change(facts: Facts, standing: Standing, wanted: bool) -> FileChange | None:
    keep = standing.keep
    if keep.mode != "env" or keep.value is None:
        return None
    fact = facts.files.get(keep.env)
    before = fact.content if fact else None
    content = set_key(before, KEY, keep.value) if wanted else _env_origin(before, standing.in_force)
    if wanted and get_key(before, KEY) == keep.value:
        return None
    if content == before:
        return None
    action = "delete" if content is None else "create" if before is None else "update"
    return FileChange(keep.env, action, before, content, 0o644, "env", (KEY,))


def _env_origin(before: bytes | None, in_force: InForce) -> bytes | None:
    """`.env` without nftui's key: the operator's own value is back, and no file where there was none."""
    origin = in_force.env_origin
    if before is None or not origin:
        return before
    value = origin.get("value")
    content = set_key(before, KEY, str(value)) if value is not None else drop_key(before, KEY)
    if origin.get("unended") and before.startswith(content) and content.endswith(b"\n"):
        # The last line had no end before the key was appended to it.
        content = content.removesuffix(b"\n").removesuffix(b"\r")
    return None if not content and not origin.get("existed") else content


def env_origin(facts: Facts, standing: Standing) -> dict[str, object]:
    """What a commit remembers of `.env` before nftui."""
    if standing.in_force.env_origin:
        return dict(standing.in_force.env_origin)
    fact = facts.files.get(standing.keep.env)
    content = fact.content if fact else None
    return {"path": standing.keep.env, "existed": content is not None, "value": get_key(content, KEY),
            "unended": bool(content and not content.endswith((b"\n", b"\r")))}  # fmt: skip


def _file_steps(files: Iterable[FileChange], base: tuple[str, ...]) -> list[StepSpec]:
    return [_env_step(c) if c.role == "env" else _file_step(c, base) for c in files]


def _file_step(change: FileChange, base: tuple[str, ...]) -> StepSpec:
    """A new file belongs to whom the base Compose file belongs (engine.md 10)."""
    return StepSpec(
        id=f"{change.role}:{change.path.rpartition('/')[2]}",
        kind="file",
        target=change.path,
        params={"after": digest(change.content), "mode": change.mode, "like": base[0] if base else None},
        summary=msg("{action} {path}", action=change.action, path=change.path),
    )


def _env_step(change: FileChange) -> StepSpec:
    keys = {key: get_key(change.content, key) for key in change.keys}
    return StepSpec(
        id="env:.env",
        kind="env",
        target=change.path,
        params={"after": digest(change.content), "keys": keys},
        summary=msg("merge {keys} into {path}", keys=", ".join(change.keys), path=change.path),
    )


def _check_step(
    facts: Facts, files: list[FileChange], services: set[str], pending: set[str], wanted: own.Merged
) -> list[StepSpec]:
    """Compose says what it would touch; it also recreates what depends on a recreated service, which nftui does not.

    What is `pending` in the operator's files it would touch with or without nftui.
    """
    if not files:
        return []
    return [
        StepSpec(
            id="check:project",
            kind="project-check",
            target="project",
            params={
                "services": sorted(services),
                "ignored": sorted(_dependents(facts, services | pending, wanted) - services),
            },
            summary=msg("check that Compose would touch nothing else"),
        )
    ]


def _dependents(facts: Facts, services: set[str], wanted: own.Merged) -> set[str]:
    """Everything that depends on one of `services`, directly or not, also by nftui's doing (`wanted`)."""
    needs = {s.name: own.depends_on(s.config) for s in facts.stack.services}
    for name, keys in wanted.items():
        needs[name] = needs.get(name, set()) | own.depends_on(keys)
    found = set(services)
    while True:
        more = {name for name, others in needs.items() if found & others} - found
        if not more:
            return found
        found |= more


def _grace_s(facts: Facts, name: str) -> int:
    """A server may have data to save; an app that does not listen to its signal would only be down for longer."""
    service = facts.stack.service(name)
    if service is None:
        return own.GRACE_S
    if service.role not in (Role.APP, Role.CLIENT, Role.EXPORTER):
        return GRACE_S
    running = service.running.stop_grace_s if service.running else None
    return max(1, math.ceil(running or service.stop_grace_s or DOCKER_GRACE_S))


def _recreate_steps(facts: Facts, touched: list[str], standing: Standing) -> list[StepSpec]:
    forced = {n for names in standing.shared.values() for n in names}
    return [
        StepSpec(
            id=f"recreate:{name}",
            kind="recreate",
            target=name,
            service=name,
            params={"grace_s": _grace_s(facts, name), "force": name in forced},
            summary=msg("recreate {service}", service=name),
            downtime_s=_DOWNTIME_S,
            undo_after_write=Undo.BY_RESTART,
        )
        for name in touched
    ]
