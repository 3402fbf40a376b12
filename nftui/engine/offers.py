"""What an optimization says beside its fragment: data to be moved, things to be had first, warnings. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from nftui.engine.protocols import HoldsData, MovesData, Optimization, Prepares
from nftui.model.advice import Advice, Applicability, Fragment
from nftui.model.choices import Choices, Selection
from nftui.model.facts import Facts, Live
from nftui.model.message import Message, msg
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
    back = {name: text for name, text in sorted(written.items()) if name in previous and previous[name] != text}
    return replace(step, params={**step.params, "back": back}) if back else step


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
    optimization: Optimization,
    selection: Selection,
    applies: Applicability,
    choices: Choices,
    advice: Iterable[Advice],
) -> Iterable[Message]:
    """What the operator asked for and does not get."""
    if selection is not Selection.ON:
        return
    named = any(key[0] == optimization.id for key in choices.values)
    if not applies.applicable and named:
        yield msg("{id} was chosen but does not apply here: {why}", id=optimization.id, why=applies.reason)
    if applies.applicable:
        yield from _nowhere(optimization.id, applies, choices, advice)
    for service, why in applies.refused.items():
        yield msg("{service} is left as it is: {why}", service=service, why=why)


def _nowhere(name: str, applies: Applicability, choices: Choices, advice: Iterable[Advice]) -> Iterable[Message]:
    """Values for one service that nothing here takes: a name that is misspelt must not pass in silence."""
    taken = {(line.service, line.knob) for line in advice}
    for optimization, service, knob in sorted(k for k in choices.values if k[0] == name and k[1] is not None):
        if (service, knob) not in taken and service not in applies.refused:
            yield msg(
                "{id}@{service}.{knob} is taken by nothing here. It applies to: {known}.",
                id=optimization,
                service=service,
                knob=knob,
                known=", ".join(applies.services) or "-",
            )


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
