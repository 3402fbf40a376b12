"""What an optimization says beside its fragment: data to be moved, things to be had first, warnings. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from nftui.engine.protocols import HoldsData, MovesData, Optimization, Prepares
from nftui.model.advice import Advice, Applicability, Fragment
from nftui.model.choices import Choices, Selection
from nftui.model.facts import Facts, Live
from nftui.model.knobs import SERVICE, Knob, knob_named
from nftui.model.message import Message, listed, msg
from nftui.model.plan import DataSwitch, StepSpec


def switches(
    facts: Facts, optimization: Optimization, selection: Selection, fragment: Fragment | None, present: Fragment | None
) -> tuple[DataSwitch, ...]:
    """Data that has to lie elsewhere before the fragment may be written."""
    if selection is not Selection.ON or fragment is None or not isinstance(optimization, MovesData):
        return ()
    names = changed(fragment, present)
    return tuple(s for s in optimization.switches(facts, fragment) if s.service in names or not _by_files(s))


def _by_files(switch: DataSwitch) -> bool:
    """Whether it is due because files change; else the optimization itself sees what is due."""
    return switch.handover is None or switch.handover.renews


def first(
    facts: Facts, optimization: Optimization, selection: Selection, fragment: Fragment, present: Fragment | None
) -> tuple[StepSpec, ...]:
    """Steps that come before all else, for what of the fragment is new."""
    if selection is not Selection.ON or not isinstance(optimization, Prepares):
        return ()
    names = running(facts, changed(fragment, present))
    return tuple(step for step in optimization.prepare(facts, fragment) if step.service in names)


def proven_by(step: StepSpec, present: Fragment | None) -> StepSpec:
    """The step, told what the files in force will bring up again on the way back.

    A service that drifted (recreated without nftui's file, say) does not run that now; `previous` is what it runs.
    """
    previous, service = step.params.get("previous"), step.service or ""
    if present is None or not isinstance(previous, Mapping):
        return step
    written = {**_environment(present.services.get(service, {})), **present.values.get(service, {})}
    back = _others(written, previous)
    return replace(step, params={**step.params, "back": back}) if back else step


def read_again(step: StepSpec) -> StepSpec:
    """The step in a later stage: taken back alone, that one leaves what an earlier stage brought."""
    previous, expected = step.params.get("previous"), step.params.get("expected")
    if not isinstance(previous, Mapping) or not isinstance(expected, Mapping):
        return step
    return replace(step, params={**step.params, "back": _others(expected, previous)})


def _others(texts: Mapping[str, object], previous: Mapping[str, object]) -> dict[str, object]:
    """What of `previous` has another value there."""
    return {name: text for name, text in sorted(texts.items()) if name in previous and previous[name] != text}


def _environment(keys: Mapping[str, object]) -> dict[str, str]:
    found = keys.get("environment")
    return {str(k): str(v).replace("$$", "$") for k, v in found.items()} if isinstance(found, Mapping) else {}


def stays(optimization: Optimization, fragment: Fragment | None, present: Fragment | None) -> Iterable[Message]:
    """Data that was moved does not come back by leaving a line out of a file (engine.md 2)."""
    if fragment is not None or present is None or not isinstance(optimization, MovesData):
        return
    if isinstance(optimization, HoldsData) and (names := optimization.holds(present)):
        yield msg(
            "{id} put data of {services} elsewhere, and switching it off would not bring it back. Take its run back "
            "instead: nftui rollback.", id=optimization.id, services=", ".join(names),
        )  # fmt: skip
    moved = sorted({_whose(name, present) for name, keys in present.services.items() if _holds(name, keys, present)})
    if moved:
        yield msg(
            "{id} moved data; switching it off would start {services} on what was left behind. Take its run back "
            "instead: nftui rollback.",
            id=optimization.id,
            services=", ".join(moved),
        )


def _holds(name: str, keys: Mapping[str, object], present: Fragment) -> bool:
    """Whether that part of the fragment names a place of data; one of nftui's own may just mount a configuration."""
    mounts = keys.get("volumes")
    if name not in present.own or not isinstance(mounts, (list, tuple)):
        return bool(mounts)
    return any(isinstance(m, Mapping) and m.get("source") in present.volumes for m in mounts)


def _whose(name: str, present: Fragment) -> str:
    """The operator's service, for one of nftui's own."""
    return present.own[name][0] if present.own.get(name) else name


def notes(
    facts: Facts,
    optimization: Optimization,
    selection: Selection,
    applies: Applicability,
    choices: Choices,
    advice: Sequence[Advice],
) -> Iterable[Message]:
    """What the operator asked for and does not get."""
    if selection is not Selection.ON:
        return
    named = any(key[0] == optimization.id for key in choices.values)
    if not applies.applicable and named:
        yield msg("{id} was chosen but does not apply here: {why}", id=optimization.id, why=applies.reason)
    if applies.applicable:
        yield from _nowhere(facts, optimization, applies, choices, advice)
        yield from (warning for line in advice for warning in line.warnings)
    for service, why in applies.refused.items():
        yield msg("{service} is left as it is: {why}", service=service, why=why)


def _nowhere(
    facts: Facts, optimization: Optimization, applies: Applicability, choices: Choices, advice: Sequence[Advice]
) -> Iterable[Message]:
    """Values that nothing here takes: a name that is misspelt must not pass in silence."""
    taken = {(service, line.knob) for line in advice for service in (line.service, None)}
    asked = sorted((service or "", knob) for name, service, knob in choices.values if name == optimization.id)
    for service, knob in asked:
        if (service or None, knob) in taken or service in applies.refused:
            continue
        pattern = knob_named(optimization.knobs, knob)
        if pattern is not None and pattern.dynamic and (not service or service in applies.services):
            known = _known(optimization, pattern, advice, service or None)
            unread = _unread(facts, optimization, pattern, applies, service or None)
            yield _no_such_name(f"{_whole(optimization.id, service)}.{knob}", known, unread)
        elif service:
            yield _not_taken(f"{_whole(optimization.id, service)}.{knob}", applies.services)


def _whole(optimization: str, service: str) -> str:
    return f"{optimization}@{service}" if service else optimization


def _not_taken(knob: str, known: Sequence[str]) -> Message:
    if not known:
        return msg("{knob} is taken by nothing here.", knob=knob)
    return msg("{knob} is taken by nothing here. It applies to: {known}.", knob=knob, known=listed(known))


def _no_such_name(knob: str, known: Sequence[str], unread: Sequence[str]) -> Message:
    """What could not be read may have that name: then nobody says that it is wrong."""
    if not unread:
        return _not_taken(knob, known)
    if not known:
        return msg("{knob} is taken by nothing here now: what {services} has could not be read.", knob=knob,
                   services=listed(unread))  # fmt: skip
    return msg("{knob} is taken by nothing here now: what {services} has could not be read. Elsewhere it applies to: "
               "{known}.", knob=knob, services=listed(unread), known=listed(known))  # fmt: skip


def _known(optimization: Optimization, pattern: Knob, advice: Sequence[Advice], service: str | None) -> list[str]:
    """The names that such a value may have here, in the order of the advice."""
    lines = (line.knob for line in advice if service is None or line.service == service)
    names = (pattern.name_in(knob) for knob in lines if knob_named(optimization.knobs, knob) == pattern)
    return [name for name in dict.fromkeys(names) if name is not None]


def _unread(
    facts: Facts, optimization: Optimization, pattern: Knob, applies: Applicability, service: str | None
) -> list[str]:
    """Services which only say themselves what such a name can be, and did not."""
    if pattern.dynamic == SERVICE:
        return []
    asked = (service,) if service else (*applies.services, *applies.refused)
    return sorted(s for s in asked if any(facts.live_value(s, probe) is None for probe in optimization.needs))


def unverified(facts: Facts, service: str) -> Message:
    """Its files are written, and nothing live is done; where no engine answers, nobody knows whether it runs."""
    if facts.engine is None:
        return msg(
            "unverified: {service} (no engine can be reached, so what it runs is not known; its files are written)",
            service=service,
        )
    if facts.stack.elsewhere:
        return msg(
            "unverified: {service} (it does not run as project {project}; its files are written)",
            service=service,
            project=facts.stack.name,
        )
    return msg("unverified: {service} (it does not run; its files are written)", service=service)


def unread(live: Live) -> Message:
    """What cannot be read now could not be read back either: the downtime would be for nothing."""
    return msg(
        "{service} cannot be asked: {why}. Nothing could be read back from it, so it is not touched.",
        service=live.service,
        why=(live.error or "").rstrip("."),
    )


def pending(name: str, reasons: Iterable[str]) -> Message:
    """A recreate of it would apply what the operator has not applied yet."""
    return msg(
        "{service} does not run what your files say ({why}); nftui would apply that as well. Apply or revert it first.",
        service=name,
        why="; ".join(reasons),
    )


def changed(fragment: Fragment | None, present: Fragment | None) -> set[str]:
    """Services whose part of the override differs."""
    new = fragment.services if fragment else {}
    old = present.services if present else {}
    return {name for name in {*new, *old} if new.get(name) != old.get(name)}


def running(facts: Facts, names: set[str]) -> list[str]:
    """Only what runs can be down."""
    return [s.name for s in facts.stack.services if s.name in names and s.running is not None]
