"""Stages that put data elsewhere: copy, prove, switch, fence, let the writers in (engine.md 5)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar, cast

from nftui.engine.filesteps import check_step, file_steps
from nftui.engine.override import merge_fragments
from nftui.engine.restarts import GRACE_S, recreate_step
from nftui.model.advice import Fragment
from nftui.model.dataclass import dataclass
from nftui.model.facts import Facts
from nftui.model.message import Message, msg
from nftui.model.mounted import FileSet
from nftui.model.plan import DataSwitch, Draft, FileChange, Handover, Resume, Stage, StepSpec, Undo, canonical
from nftui.model.stack import Service
from nftui.steps.places import name_of

_DUMP_SHARE = 0.4
"""Of the downtime of a dump and restore."""
_STALL_S = 3600.0
"""An index that is built may write nothing for a while."""
T = TypeVar("T")


def without(fragment: Fragment, present: Fragment | None, pending: Iterable[tuple[str, DataSwitch]]) -> Fragment:
    """`fragment` as it may be written while those data sets do not lie there yet: their services as they are.

    So are services of nftui's own that go but are still used by those, and the files that any of them mounts. What is
    new of nftui's own is there from the first stage on: nothing has to be moved before it may start.
    """
    waiting = [switch for owner, switch in pending if owner == fragment.optimization]
    moving = {name for s in waiting for name in (s.service, *(s.handover.users if s.handover else ()))}
    if not moving:
        return fragment
    old = present or Fragment(fragment.optimization)
    names = _still_used(moving, old.own, fragment.own)
    services = _mixed(fragment.services, old.services, names)
    volumes = {**old.volumes, **fragment.volumes}
    used = {str(m.get("source")) for keys in services.values() for m in _mounts(keys)}
    networks = {**old.networks, **fragment.networks}
    joined = {str(n) for keys in services.values() for n in cast("Iterable[object]", keys.get("networks") or ())}
    return replace(
        fragment,
        services=services,
        values=_mixed(fragment.values, old.values, names),
        files=_file_sets(fragment, old, services),
        own=_mixed(fragment.own, old.own, names),
        volumes={name: keys for name, keys in volumes.items() if name in used},
        networks={name: keys for name, keys in networks.items() if name in joined},
    )


def _still_used(names: set[str], former: Mapping[str, tuple[str, ...]], new: Collection[str]) -> set[str]:
    """`names` with what goes of nftui's own and is used by one of them, itself or through another one."""
    found = set(names)
    while more := {n for n, users in former.items() if n not in new and n not in found and found & set(users)}:
        found |= more
    return found


def _file_sets(fragment: Fragment, old: Fragment, services: Mapping[str, object]) -> tuple[FileSet, ...]:
    """Those that `services` name by then. One that none of the fragment's names waits for no data."""
    now, final = canonical(services).decode(), canonical(fragment.services).decode()
    new = {_tail(s): s for s in fragment.files if _tail(s) in now or _tail(s) not in final}
    stay = {_tail(s): s for s in old.files if _tail(s) in now}
    return tuple((stay | new).values())


def _tail(files: FileSet) -> str:
    return files.directory("/")


def _mixed(new: Mapping[str, T], old: Mapping[str, T], names: Collection[str]) -> dict[str, T]:
    kept = {n: v for n, v in old.items() if n in names}
    return {n: v for n, v in new.items() if n not in names} | kept


def _mounts(keys: Mapping[str, object]) -> list[Mapping[str, object]]:
    found = keys.get("volumes")
    return [m for m in found if isinstance(m, Mapping)] if isinstance(found, (list, tuple)) else []


def whole_optimizations(draft: Draft, until: Stage | None) -> set[str]:
    """Optimizations of which nothing is left to be done after `until`; all of the draft's without it."""
    final = {f.optimization: (f.services, f.values) for f in draft.fragments}
    names = {o.id for o in draft.optimizations}
    if until is None:
        return names
    reached = {f.optimization: (f.services, f.values) for f in until.fragments}
    return {n for n in names if reached.get(n) == final.get(n)}


def judge(facts: Facts, switch: DataSwitch, pending: Mapping[str, Sequence[str]]) -> Iterator[Message]:
    """Why that data is not moved."""
    service, engine = facts.stack.service(switch.service), facts.engine
    if service is None or service.running is None:
        yield msg("{service} does not run; its data is not moved.", service=switch.service)
    elif sum(1 for c in service.containers if c.running) > 1:
        yield msg("{service} runs more than once; its data is not moved.", service=switch.service)
    if switch.service in pending:
        why = "; ".join(pending[switch.service])
        yield msg("{service} does not run what your files say ({why}); its data is not moved.",
                  service=switch.service, why=why)  # fmt: skip
    if engine is not None and (engine.rootless or engine.userns_remap or engine.product == "desktop"):
        yield msg("The engine keeps its data where nftui cannot copy it exactly (rootless, user namespaces, Desktop).")
    mounting = set(_mounting(facts, switch)) if switch.handover is None else set()
    others = sorted(mounting - {switch.service, *(switch.writers or ())})
    if others:
        yield msg("{others} also has {dataset} mounted; it is not moved.", others=", ".join(others),
                  dataset=switch.dataset)  # fmt: skip


def _mounting(facts: Facts, switch: DataSwitch) -> Iterator[str]:
    name = switch.source.get("name") or switch.source.get("path")
    for service in facts.stack.services:
        for container in service.containers:
            if container.running and any(name in (m.source, m.host_path) for m in container.mounts):
                yield service.name


def _held(facts: Facts, switch: DataSwitch) -> bool:
    """Whether nobody can write while the writers are stopped: no way in from outside of the project."""
    service = facts.stack.service(switch.service)
    return switch.writers is not None and service is not None and not _open(facts, service)


def _open(facts: Facts, service: Service) -> bool:
    networks = service.config.get("networks") or {}
    names = [str(n) for n in networks] if isinstance(networks, (Mapping, list)) else []
    external = any((facts.stack.networks.get(n) or {}).get("external") for n in names)
    return bool(service.ports) or external or service.config.get("network_mode") not in (None, "bridge")


@dataclass(frozen=True, slots=True)
class Around:
    """Steps of a data stage that are not about the data."""

    write: Sequence[StepSpec] = ()
    """Files that services mount from this stage on."""
    leave: Sequence[StepSpec] = ()
    """Files that they mount no longer."""
    beside: Sequence[StepSpec] = ()
    """Recreate what lives in the service's namespaces."""
    live: Sequence[StepSpec] = ()
    """Read back."""
    remove: Sequence[StepSpec] = ()
    """Services of nftui's own that nothing uses any more."""


_NOTHING = Around()


def data_stage(
    facts: Facts,
    switch: DataSwitch,
    files: Sequence[FileChange],
    fragments: Sequence[Fragment],
    around: Around = _NOTHING,
    pending: Collection[str] = (),
) -> Stage:
    """The steps of one data set. `pending` services differ from the operator's files.

    The files are switched in when the copy that they name is proven and open; the source is fenced after that, so
    that at each moment the files name a copy on which the service starts. Undo lifts the fence first.
    """
    if switch.handover is not None:
        return _handover_stage(facts, switch, switch.handover, files, fragments, around, pending)
    name, held = f"data:{switch.dataset}", _held(facts, switch)
    services = (switch.service, *(str(s.service) for s in (*around.beside, *around.remove)))
    switched = [c for c in files if c.role != "mounted"]
    steps = [
        *_copying(switch),
        *around.write,
        *file_steps(switched, facts.stack.files[:1]),
        *around.leave,
        _fence(switch),
        replace(_recreate(switch), opens=not held),
        # Not before: a dry run of `up` waits for dependencies, and fails on one that is stopped [X, Compose 2.26].
        *check_step(facts, switched, set(services), pending, merge_fragments(fragments)),
        *around.beside,
        *around.live,
        *around.remove,
        *_release(switch),
    ]
    return Stage(
        name,
        tuple(_within(name, step) for step in steps),
        services,
        tuple(files),
        fence="writers" if held else None,
        commit_point=True,
        loss=_loss(switch),
        switch=switch,
        fragments=tuple(fragments),
    )


def _handover_stage(
    facts: Facts,
    switch: DataSwitch,
    handover: Handover,
    files: Sequence[FileChange],
    fragments: Sequence[Fragment],
    around: Around,
    pending: Collection[str],
) -> Stage:
    """Writers held, the server closed, all of it with the others and proven; then the files, then who uses it.

    Undo meets them backwards: the writers are held again, what they wrote is carried back while the files still name
    the others, and only then do the files and the server come back.
    """
    name = f"data:{switch.dataset}"
    users = [n for n in handover.users if n in (switch.writers or ())]
    services = (switch.service, *users, *(str(s.service) for s in (*around.beside, *around.remove)))
    switched = [c for c in files if c.role != "mounted"]
    renewed = [_renew(switch.service), *(_renew(user, held="hold") for user in users)] if handover.renews else []
    steps = [
        *handover.before,
        *([_hold("hold", switch.writers, switch.service, writers=True, grace_s=0)] if switch.writers else ()),
        *handover.close,
        *handover.open,
        *around.write,
        *file_steps(switched, facts.stack.files[:1]),
        *around.leave,
        *renewed,
        *check_step(facts, switched, set(services), pending, merge_fragments(fragments)),
        *around.beside,
        *around.live,
        *around.remove,
        *(replace(s, opens=False) for s in _release(switch) if switch.writers),
    ]
    steps = [_within(name, step) for step in steps]
    return Stage(name, tuple(steps), services, tuple(files), commit_point=True, switch=switch,
                 fragments=tuple(fragments))  # fmt: skip


def _renew(service: str, held: str = "") -> StepSpec:
    """By files that name other servers than before; who is held starts with that."""
    return replace(recreate_step(service, held=held), undo=Undo.BY_RESTART)


def _within(stage: str, step: StepSpec) -> StepSpec:
    """Ids are unique in a plan; what names another step of the stage names it whole."""
    own = {key: f"{stage}/{step.params[key]}" for key in ("held", "copied", "saved") if key in step.params}
    return replace(step, id=f"{stage}/{step.id}", params={**step.params, **own})


def _loss(switch: DataSwitch) -> Message:
    return msg(
        "Going back puts {service} on {old} again: what was written since the switch stays in {new}, fenced.",
        service=switch.service,
        old=name_of(switch.source),
        new=name_of(switch.target),
    )


def _copying(switch: DataSwitch) -> list[StepSpec]:
    places = {"source": switch.source, "target": switch.target, "fence": switch.fence, "dataset": switch.dataset}
    opened = {"place": switch.target, "fence": switch.fence}
    new = name_of(switch.target)
    look = msg("look whether {dataset} can be put into {place}", dataset=switch.dataset, place=new)
    check = StepSpec("check", "data-check", new, places, look)
    if switch.dump is not None:
        check = replace(check, kind="pg-check", params={**places, **switch.dump}, service=switch.service)
    return [
        check,
        *([_hold("hold", switch.writers, switch.service, writers=True, grace_s=0)] if switch.writers else ()),
        *switch.ease,
        _hold("stop", (switch.service,), switch.service, clean=True, grace_s=GRACE_S),
        *(_copied(switch, places) if switch.dump is None else _dumped(switch, places, switch.dump)),
        StepSpec("lift", "lift", new, opened, msg("open the copy in {place}", place=new), last_back=True),
    ]


def _copied(switch: DataSwitch, places: Mapping[str, object]) -> list[StepSpec]:
    new = name_of(switch.target)
    return [
        StepSpec("copy", "copy", new, places, msg("copy {dataset} to {place}, and compare", dataset=switch.dataset,
                 place=new), switch.service, downtime_s=switch.downtime_s, resume=Resume.CONTINUE, last_back=True),
    ]  # fmt: skip


def _dumped(switch: DataSwitch, places: Mapping[str, object], dump: Mapping[str, object]) -> list[StepSpec]:
    new, params = name_of(switch.target), {**places, **dump}
    return [
        StepSpec("copy", "pg-dump", new, params, msg("dump {dataset} with the tools of the new version",
                 dataset=switch.dataset), switch.service, downtime_s=round(switch.downtime_s * _DUMP_SHARE, 1),
                 last_back=True, stall_s=_STALL_S),
        StepSpec("restore", "pg-restore", new, params, msg("restore it into {place}, and compare all rows", place=new),
                 switch.service, downtime_s=round(switch.downtime_s * (1 - _DUMP_SHARE), 1), last_back=True,
                 stall_s=_STALL_S),
    ]  # fmt: skip


def _hold(name: str, services: Sequence[str], quiet: str, **more: object) -> StepSpec:
    return StepSpec(
        id=name,
        kind="hold",
        target=", ".join(services),
        params={"services": list(services), "quiet": quiet, **more},
        summary=msg("stop {services}", services=", ".join(services)),
        undo=Undo.BY_RESTART,
        undo_after_write=Undo.BY_RESTART,
        last_back=True,
    )


def _fence(switch: DataSwitch) -> StepSpec:
    params = {"place": switch.source, "authority": switch.target, "fence": switch.fence, "dataset": switch.dataset,
              "copied": "copy"}  # fmt: skip
    old = name_of(switch.source)
    return StepSpec("fence", "fence", old, params, msg("fence {place}: nothing starts on it any more", place=old))


def _recreate(switch: DataSwitch) -> StepSpec:
    summary = msg("start {service} on {place}", service=switch.service, place=name_of(switch.target))
    step = _renew(switch.service, held="stop")
    return replace(step, summary=summary, undo_after_write=Undo.LOSSY)


def _release(switch: DataSwitch) -> list[StepSpec]:
    """Also where nobody was stopped: from its intent on the commit point counts as crossed."""
    services = list(switch.writers or ())
    return [
        StepSpec(
            id="release",
            kind="release",
            target=", ".join(services) or switch.service,
            params={"services": services, **({"held": "hold"} if services else {})},
            summary=msg("start {services} again", services=", ".join(services)) if services
            else msg("let {service} be written to", service=switch.service),
            undo=Undo.BY_RESTART,
            undo_after_write=Undo.BY_RESTART,
            opens=True,
        )
    ]  # fmt: skip
