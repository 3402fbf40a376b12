"""From choices and facts to a draft: pure, no I/O, equal for equal input (engine.md 4)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace

from nftui.engine import former, offers, own
from nftui.engine.budget import Budget, kept_demands, make_budget
from nftui.engine.check import obstacles
from nftui.engine.filesteps import check_step, env_change, file_steps, other_changes, override_change
from nftui.engine.override import lineage_of, merge_fragments, render_override
from nftui.engine.persist import KEY, Persistence, command
from nftui.engine.place import not_ours
from nftui.engine.preconditions import preconditions
from nftui.engine.protocols import Grants, Optimization, Registry
from nftui.engine.resolution import resolve
from nftui.engine.restarts import DOWNTIME_S, GRACE_S, OWN_GRACE_S, recreate_step
from nftui.engine.state import InForce
from nftui.engine.switching import Around, data_stage, judge, without
from nftui.model.advice import Advice, Applicability, Assertion, Effort, Fragment
from nftui.model.choices import Choices, Selection
from nftui.model.dataclass import dataclass
from nftui.model.errors import RefusedError
from nftui.model.facts import Facts
from nftui.model.message import Message, msg
from nftui.model.plan import DataSwitch, Draft, FileChange, OptimizationPlan, Stage, StepSpec
from nftui.model.stack import Role
from nftui.steps.envkeys import get_key

DOCKER_GRACE_S = 10.0
"""Of a container that says nothing about it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the planner must know beside the facts: what is in force and how it is kept loaded."""

    in_force: InForce
    lineage: str
    keep: Persistence
    stale: frozenset[str] = frozenset()
    """Services whose container does not run what the files on disk say, by nftui's own doing or omission."""
    edited: bool = False
    """Whether nftui's file is not as it was written, so that the way back brings up something else."""
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
    first: list[StepSpec] = field(default_factory=list)
    """What has to be there before anything is touched."""
    assertions: list[Assertion] = field(default_factory=list)
    warnings: list[Message] = field(default_factory=list)
    refusals: list[Message] = field(default_factory=list)
    losses: list[Message] = field(default_factory=list)
    switches: list[tuple[str, DataSwitch]] = field(default_factory=list)
    """(optimization, data that must lie elsewhere before its part of that service may be written)."""
    resting: list[str] = field(default_factory=list)
    """Services that change and do not run: their files are written, nothing live is done."""


@dataclass(slots=True)
class _At:
    """What stands where a stage begins."""

    fragments: Sequence[Fragment]
    files: list[FileChange] = field(default_factory=list)
    """Written by the stages before it."""
    read: set[str] = field(default_factory=set)
    """Ids of steps that they have, each of which holds since."""


def draft(facts: Facts, choices: Choices, registry: Registry, standing: Standing) -> Draft:
    """The live preview. Raises UsageError for a value that is refused for a service that is there.

    A preset may leave such values to the recommendation: then it is a warning.
    """
    given_up: list[Message] = []
    while True:
        try:
            found = _draft(facts, choices, registry, standing)
            return replace(found, warnings=(*given_up, *found.warnings))
        except RefusedError as error:
            rest = choices.without_refused(error.optimization, error.service, error.knob)
            if rest is None:
                raise
            choices = rest
            given_up.append(msg("{refusal} What nftui recommends stands instead.", refusal=str(error.message)))


def _draft(facts: Facts, choices: Choices, registry: Registry, standing: Standing) -> Draft:
    budget = _budget(facts, choices, registry, standing)
    grants = {g.service: g for g in budget.grants}
    parts = _Parts(warnings=[*obstacles(facts.stack.problems), *budget.warnings])
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
        fragments=tuple(f for f in parts.fragments if not f.is_empty),
        grants=budget.grants,
        memory=budget.use,
        warnings=tuple(parts.warnings),
        assertions=tuple(parts.assertions),
        preconditions=preconditions(facts, stages, standing.pending, standing.losses),
        refusals=tuple(parts.refusals),
        losses=tuple(parts.losses),
        skipped=(
            *_recreate_steps(facts, parts.resting, standing),
            *(s for s in parts.steps if s.service in parts.resting),
        ),
    )


def _not_kept(facts: Facts, standing: Standing, parts: _Parts) -> Iterable[Message]:
    """Where nothing can keep nftui's file loaded, the operator gets the command that does (engine.md 10)."""
    if standing.keep.mode == "command" and any(any(f.services.values()) for f in parts.fragments):
        yield msg(
            "A plain `docker compose up` would drop the tuning ({why}). Start the stack with: {command}",
            why=standing.keep.reason,
            command=command(facts.stack, standing.keep.override),
        )


def _other_state(facts: Facts, standing: Standing) -> Iterable[Message]:
    """Another state directory owns the file: its history would be lost (engine.md 9)."""
    fact = facts.files.get(standing.keep.override)
    owner = lineage_of(fact.content if fact else None)
    if owner is not None and owner != standing.lineage:
        yield not_ours(standing.keep.override, owner, standing.lineage)


def _budget(facts: Facts, choices: Choices, registry: Registry, standing: Standing) -> Budget:
    stays = (f for f in standing.in_force.fragments if choices.selection(f.optimization) is Selection.UNTOUCHED)
    demands = kept_demands(stays)
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
    remembered = former.remember(facts, optimization, fragment, advice, present)
    fragment = remembered.fragment
    switches = offers.switches(facts, optimization, selection, fragment, present)
    parts.refusals += offers.stays(optimization, fragment, present)
    parts.switches += [(optimization.id, switch) for switch in switches]
    parts.warnings += (*offers.notes(facts, optimization, selection, applies, choices, advice), *remembered.warnings)
    if fragment is not None and not fragment.is_empty:
        parts.fragments.append(fragment)
        parts.first += offers.first(facts, optimization, selection, fragment, present)
        parts.assertions += _assertions(facts, optimization, selection, fragment, standing.in_force)
    if not remembered.wanted.is_empty and (selection is not Selection.UNTOUCHED or choices.repairs):
        steps = optimization.steps(facts, remembered.wanted)
        parts.steps += [offers.proven_by(step, None if standing.edited else present) for step in steps]
    parts.plans.append(
        OptimizationPlan(
            id=optimization.id,
            selection=selection,
            applicable=applies.applicable,
            reason=applies.reason,
            effort=optimization.effort(facts, advice) if applies.applicable else Effort(0, 0),
            downtime_s=DOWNTIME_S * len(offers.running(facts, offers.changed(fragment, present)))
            + sum(s.downtime_s for s in switches),
            risk=optimization.risk,
            advice=remembered.advice,
            title=optimization.title,
            lacks=None if any(line.changes for line in advice) else applies.lacks,
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
    return own.in_profiles(optimization.fragment(facts, advice), facts.stack)


def _assertions(
    facts: Facts, optimization: Optimization, selection: Selection, fragment: Fragment, in_force: InForce
) -> list[Assertion]:
    if selection is Selection.UNTOUCHED:
        return [a for a in in_force.assertions if a.params.get("optimization") == optimization.id]
    found = optimization.checks(facts, fragment)
    return [replace(a, params={**a.params, "optimization": optimization.id}) for a in found]


def _stages(facts: Facts, standing: Standing, parts: _Parts) -> tuple[Stage, ...]:
    """What can be taken back exactly comes first; then one commit point for each data set (engine.md 5)."""
    at = _At(standing.in_force.fragments)
    stages = _settings_stage(facts, standing, parts, at)
    for number in range(1, len(parts.switches) + 1):
        stages.append(_data_stage(facts, standing, parts, number, at))
    if stages and parts.first:
        stages[0] = replace(stages[0], steps=(*parts.first, *stages[0].steps))
    return tuple(stages)


def _written(standing: Standing, parts: _Parts, done: int) -> list[Fragment]:
    """What may be written once the first `done` data sets lie where they shall."""
    present, pending = standing.in_force.fragment, parts.switches[done:]
    found = (without(f, present(f.optimization), pending) for f in parts.fragments)
    return [f for f in found if not f.is_empty]


def _settings_stage(facts: Facts, standing: Standing, parts: _Parts, at: _At) -> list[Stage]:
    fragments, former = _written(standing, parts, 0), at.fragments
    wanted, before = merge_fragments(fragments), merge_fragments(former)
    changed = {n for n in {*wanted, *before} if wanted.get(n) != before.get(n)}
    changed |= {n for n in wanted if n in standing.stale}
    files, mounted = _files(facts, standing, fragments, at)
    ours = _ours(facts, standing, fragments, parts, at)
    acting = own.acting(ours, wanted, before)
    touched = _touched(facts, standing, changed - ours.names, parts)
    renewed = [*ours.start, *ours.recreate, *touched]
    live = [s for s in parts.steps if s.live and s.service not in renewed]
    # Whether it would also be due without the recreate is no part of the plan: it may change from hour to hour.
    due = _due(parts, 0)
    late = [replace(s, live=False) for s in due if s.service in renewed and not s.early]
    steps = [
        *(s for s in parts.steps if s.early and s.service in renewed),  # Before a plain `up` could recreate them.
        *own.write_steps(facts, fragments, mounted),
        *file_steps(files, facts.stack.files[:1]),
        *check_step(facts, files, {*touched, *changed}, standing.pending, wanted),
        *own.remove_steps(n for n in ours.remove if n in acting),
        *own.start_steps(facts, (n for n in ours.start if n not in acting), wanted),
        *(s for s in late if s.service in ours.start),  # Proven before anything is routed to them.
        *own.one_by_one(_recreate_steps(facts, [*ours.recreate, *touched], standing), late),
        *(s for s in late if s.service not in ours.start and not s.apart),
        *live,
        *own.start_steps(facts, (n for n in ours.start if n in acting), wanted),
        *own.remove_steps(n for n in ours.remove if n not in acting),
        *own.leave_steps(facts, fragments, former),
    ]
    if not steps:
        return []
    at.read = {step.id for step in steps}
    services = tuple(dict.fromkeys((*renewed, *ours.remove, *(s.service for s in live if s.service))))
    return [Stage("settings", tuple(steps), services, (*mounted, *files), fragments=tuple(fragments))]


def _data_stage(facts: Facts, standing: Standing, parts: _Parts, number: int, at: _At) -> Stage:
    """That of the data set `number`, counted from 1."""
    _, switch = parts.switches[number - 1]
    fragments, former = _written(standing, parts, number), at.fragments
    files, mounted = _files(facts, standing, fragments, at)
    ours = _ours(facts, standing, fragments, parts, at)
    parts.refusals += judge(facts, switch, standing.pending)
    beside = standing.shared.get(switch.service, ())
    users = [n for n in _switched(switch) - {switch.service} if n in (switch.writers or ())]
    _look_at(facts, standing, (switch.service, *sorted(users), *beside), parts)
    for name in sorted(set(users) & set(standing.pending)):
        parts.refusals.append(offers.pending(name, standing.pending[name]))
    around = Around(
        write=own.write_steps(facts, fragments, mounted),
        leave=own.leave_steps(facts, fragments, former),
        beside=_recreate_steps(facts, list(beside), standing),
        live=_read_back(parts, number, at),
        remove=own.remove_steps(ours.remove),
    )
    return data_stage(facts, switch, (*mounted, *files), fragments, around, standing.pending)


def _due(parts: _Parts, done: int) -> list[StepSpec]:
    """Steps that can hold once the first `done` data sets lie where they shall: what reads back a file that is written
    with one of the others comes with that."""
    pending = {(who, name) for who, switch in parts.switches[done:] for name in _switched(switch)}
    return [s for s in parts.steps if s.live or (s.optimization, s.service) not in pending]


def _read_back(parts: _Parts, number: int, at: _At) -> list[StepSpec]:
    """What holds once that data set lies where it shall, of the services that come up with it."""
    services = _switched(parts.switches[number - 1][1])
    due = [s for s in _due(parts, number) if s.service in services and not s.live]
    found = [offers.read_again(s) if s.id in at.read else s for s in due]
    at.read |= {s.id for s in due}
    return found


def _switched(switch: DataSwitch) -> set[str]:
    return {switch.service, *(switch.handover.users if switch.handover else ())}


def _ours(facts: Facts, standing: Standing, fragments: Sequence[Fragment], parts: _Parts, at: _At) -> own.OwnServices:
    """What becomes of services of nftui's own in the stage that starts from `at`, which is moved on to its end."""
    wanted, before = merge_fragments(fragments), merge_fragments(at.fragments)
    ours = own.sort_out(facts, standing.own, wanted, before, fragments, at.fragments)
    parts.warnings += [w for w in ours.warnings if w not in parts.warnings]
    parts.refusals += [r for r in ours.refusals if r not in parts.refusals]
    at.fragments = fragments
    return ours


def _touched(facts: Facts, standing: Standing, changed: set[str], parts: _Parts) -> list[str]:
    """Changed services that run, each followed by those that share its namespaces; others are told of."""
    order: list[str] = []
    for name in sorted(changed):
        service = facts.stack.service(name)
        if service is None or service.running is None:
            parts.warnings.append(offers.unverified(facts, name))
            parts.resting.append(name)
            continue
        if name in standing.pending:
            parts.refusals.append(offers.pending(name, standing.pending[name]))
        order += [n for n in (name, *standing.shared.get(name, ())) if n not in order]
    _look_at(facts, standing, order, parts)
    return order


def _look_at(facts: Facts, standing: Standing, renewed: Sequence[str], parts: _Parts) -> None:
    """Why these services are not recreated, and what that would take away from them for good."""
    read_back = {step.service for step in parts.steps}
    unread = [offers.unread(live) for live in facts.unread() if live.service in read_back & set(renewed)]
    parts.refusals += [r for r in unread if r not in parts.refusals]
    lost = [loss for name in renewed for loss in standing.losses.get(name, ())]
    parts.losses += [loss for loss in lost if loss not in parts.losses]


def _files(
    facts: Facts, standing: Standing, fragments: Sequence[Fragment], at: _At
) -> tuple[list[FileChange], list[FileChange]]:
    """What a stage writes after what the stages before it wrote: nftui's file and `.env`; what services mount."""
    keep, written = standing.keep, {c.path: c.content for c in at.files}

    def present(path: str) -> bytes | None:
        fact = facts.files.get(path)
        return written.get(path, fact.content if fact else None)

    content = render_override(sorted(fragments, key=lambda f: f.optimization), standing.lineage)
    override = override_change(facts, keep, content, present(keep.override))
    env = env_change(keep, standing.in_force, present(keep.env), wanted=content is not None)
    others = other_changes(facts, keep, standing.lineage, present) if content is None else ()
    files = [c for c in (override, *others, env) if c is not None]
    mounted = [c for c in own.mounted_changes(facts, fragments) if c.path not in written]
    at.files += [*mounted, *files]
    return files, mounted


def env_origin(facts: Facts, standing: Standing) -> dict[str, object]:
    """What a commit remembers of `.env` before nftui."""
    if standing.in_force.env_origin:
        return dict(standing.in_force.env_origin)
    fact = facts.files.get(standing.keep.env)
    content = fact.content if fact else None
    return {"path": standing.keep.env, "existed": content is not None, "value": get_key(content, KEY),
            "unended": bool(content and not content.endswith((b"\n", b"\r")))}  # fmt: skip


def _grace_s(facts: Facts, name: str) -> int:
    """A server may have data to save; an app that does not listen to its signal would only be down for longer."""
    service = facts.stack.service(name)
    if service is None:
        return OWN_GRACE_S
    if service.role not in (Role.APP, Role.CLIENT, Role.EXPORTER):
        return GRACE_S
    running = service.running.stop_grace_s if service.running else None
    return max(1, math.ceil(running or service.stop_grace_s or DOCKER_GRACE_S))


def _recreate_steps(facts: Facts, touched: list[str], standing: Standing) -> list[StepSpec]:
    forced = {n for names in standing.shared.values() for n in names}
    return [recreate_step(name, _grace_s(facts, name), forced=name in forced) for name in touched]
