"""Services that came to run nftui's file by somebody else's hand: their way back, where no step of ours knows of them.

`apply --files-only`, and a service that is down, get their files only; the operator's own `docker compose up` starts by
them later. With the files alone taken back such a service would stay as it was tuned, and lose what it mounts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

from nftui.engine import codec
from nftui.engine.journal import Journal, Phase, RunView
from nftui.engine.override import merge_fragments
from nftui.engine.own import own_users
from nftui.engine.records import read_run
from nftui.engine.restarts import GRACE_S, recreate_step, start_step
from nftui.engine.runner import BackItem
from nftui.engine.state import InForce, ProjectState
from nftui.model.dataclass import dataclass
from nftui.model.message import msg
from nftui.model.plan import Stage
from nftui.model.stack import Container
from nftui.probes.inspected import files_of
from nftui.probes.project import is_own
from nftui.steps import gate
from nftui.steps.calls import Data
from nftui.steps.kind import Context, Kinds, ReadsBack
from nftui.steps.own import RemoveKind, StartKind
from nftui.steps.recreate import RecreateKind

_MAKES = (RecreateKind.name, StartKind.name, RemoveKind.name)
"""Kinds whose way back leaves the service as the files say."""


@dataclass(frozen=True, slots=True)
class Link:
    """A run on the way back, and what was in force before and after it."""

    key: str
    """What the keys of its items begin with."""
    stages: tuple[Stage, ...]
    view: RunView
    before: InForce
    after: InForce


def links(state: ProjectState, chain: Sequence[tuple[int, str]]) -> list[Link]:
    """Of each (generation, run) of `chain`, oldest first."""
    before = state.generation(chain[0][0] - 1)
    found = []
    for number, run in chain:
        record, view = read_run(state, run)
        after = state.generation(number)
        found.append(Link(f"{run}/", codec.stages_from(record.get("stages", [])), view, before, after))
        before = after
    return found


def late_of_run(
    journal: Journal,
    record: codec.Json,
    in_force: InForce,
    items: Sequence[BackItem],
    kept: str | None,
    shared: Mapping[str, tuple[str, ...]],
    kinds: Kinds,
    ctx: Context,
) -> Sequence[BackItem]:
    """Those of a run on its own way back, to the stage `kept` that stands or (None) to what was `in_force` before it.

    Found once, and in the journal before the first of them is begun: cut off half-way, one that is stopped by then
    would not be found again. Raises as `late_items`.
    """
    view = RunView(journal.entries)
    turn = view.find(Phase.TURN)
    if turn is not None and "late" in turn.data:
        return codec.items_from(turn.data["late"])
    stages, parts = (
        codec.stages_from(record.get("stages", [])),
        cast("Mapping[str, codec.Json]", record.get("partial", {})),
    )
    crossed = 0 if kept is None else [s.id for s in stages].index(kept) + 1
    before = in_force if kept is None else InForce.from_json(parts[kept])
    link = Link("", stages[crossed:], view, before, InForce.from_json(cast("codec.Json", record["commit"])))
    # Of another way back by the same journal, farther or less far, nothing counts as done.
    place = "" if kept is None else f"{kept}/"
    found = [replace(i, key=f"{place}{i.key}") for i in late_items([link], items, shared, kinds, ctx)]
    if found and turn is not None:
        reason, late = turn.data["reason"], codec.items_json(found)
        journal.write(Phase.TURN, reason=reason, kept=turn.data.get("kept"), late=late)
    return found


def late_items(
    chain: Sequence[Link], items: Sequence[BackItem], shared: Mapping[str, tuple[str, ...]], kinds: Kinds, ctx: Context
) -> list[BackItem]:
    """What is to be done when `items` are taken back and the files are as before the first of `chain` (oldest first).

    `shared` is that of `planner.Standing`. Raises NftuiError where the engine or a service cannot be asked.
    """
    unknown = {name: link for name, link in changed_by(chain).items() if not _is_made(name, link, items)}
    if not unknown:
        return []
    containers = [c for c in ctx.engine.containers() if not c.one_off]
    going = set(unknown) & {n for link in chain for n in own_users(link.after.fragments)}
    going -= set(own_users(chain[0].before.fragments))
    late = [n for n in sorted(unknown) if n not in going and any(c.running and _is_ours(c, n) for c in containers)]
    near = [n for name in late for n in shared.get(name, ()) if n not in late and _runs(n, containers)]
    return [
        *(_recreate(name, unknown[name], ctx) for name in late),
        *(_recreate(n, unknown[late[0]], ctx, forced=True) for n in dict.fromkeys(near)),
        *(item for name in late for item in _read_back(name, unknown[name], kinds, ctx)),
        *(_remove(n, unknown[n], containers) for n in sorted(going) if any(_is_ours(c, n) for c in containers)),
    ]


def changed_by(chain: Iterable[Link]) -> dict[str, Link]:
    """Service to the oldest run that changed its part: only what that one made again is by the last files."""
    found: dict[str, Link] = {}
    for link in chain:
        old, new = merge_fragments(link.before.fragments), merge_fragments(link.after.fragments)
        for name in {*old, *new}:
            if old.get(name) != new.get(name):
                found.setdefault(name, link)
    return found


def _is_made(service: str, link: Link, items: Iterable[BackItem]) -> bool:
    mine = (i.step for i in items if i.key.startswith(link.key))
    return any(step.kind in _MAKES and step.target == service for step in mine)


def _is_ours(container: Container, service: str) -> bool:
    return container.service == service and any(is_own(path) for path in files_of(container))


def _runs(service: str, containers: Iterable[Container]) -> bool:
    return any(c.running and c.service == service for c in containers)


def _recreate(service: str, link: Link, ctx: Context, *, forced: bool = False) -> BackItem:
    planned = (s for stage in link.stages for s in stage.steps if (s.kind, s.target) == (RecreateKind.name, service))
    grace = next((int(str(s.params["grace_s"])) for s in planned if "grace_s" in s.params), GRACE_S)
    step = recreate_step(service, grace, forced=forced)
    step = replace(step, id=f"late:{step.id}")
    return BackItem(f"{link.key}{step.id}", step, _ran(service, ctx))


def _ran(service: str, ctx: Context) -> Data:
    """How well it does now; of the containers from before nobody knows, so none that runs counts as one of them."""
    found = gate.what_ran(gate.containers_of(service, ctx), service, ctx)
    return {**found, "containers": [], "clients": list(ctx.clients(service))}


def _read_back(service: str, link: Link, kinds: Kinds, ctx: Context) -> Iterator[BackItem]:
    """Only what was compared is called rolled back."""
    for step in (s for stage in link.stages for s in stage.steps if s.service == service):
        kind = kinds.of(step)
        if isinstance(kind, ReadsBack) and link.view.intent(step.id) is None:
            yield BackItem(f"{link.key}late:{step.id}", step, kind.read(step, ctx))


def _remove(service: str, link: Link, containers: Iterable[Container]) -> BackItem:
    """One of nftui's own goes, once nothing is routed to it; a container that was not made by nftui's file stays."""
    step = start_step(service, job=False)
    step = replace(step, id=f"late:{step.id}", summary=msg("remove the container of {service}", service=service))
    others = [c for c in containers if c.service == service and not _is_ours(c, service)]
    before = {"containers": [{"id": c.id, "running": c.running} for c in others], "scale": 1}
    return BackItem(f"{link.key}{step.id}", step, before)
