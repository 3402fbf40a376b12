"""What nftui would do about pooling: a pooler of its own, or values for the one that the operator has."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nftui.model.advice import Advice, Applicability, Assertion, Demand, Effort, Fragment
from nftui.model.choices import Choices, Selection
from nftui.model.errors import UsageError
from nftui.model.message import Message, msg
from nftui.optimizations.pgbouncer import existing as tuned
from nftui.optimizations.pgbouncer import fragment as own
from nftui.optimizations.pgbouncer.advise import lines_of
from nftui.optimizations.pgbouncer.existing import Existing, find_existing
from nftui.optimizations.pgbouncer.knobs import DAYS, DIRECT, ID, IMAGE, ROUTE, SERVER
from nftui.optimizations.pgbouncer.setup import Setup, set_up
from nftui.optimizations.pgbouncer.site import NAME, Site, find_site
from nftui.optimizations.pgbouncer.verdicts import refused

if TYPE_CHECKING:
    from collections.abc import Container

    from nftui.model.facts import Facts
    from nftui.model.plan import StepSpec


def applies(facts: Facts) -> Applicability:
    """Where a server can be asked, and some app may go through a pooler."""
    existing = find_existing(facts)
    if isinstance(existing, Existing):
        return tuned.applicability(facts, existing)
    site = existing or find_site(facts)
    if isinstance(site, Message):
        return Applicability(False, site)
    found = _applicability(site)
    if not found.applicable or facts.has_image(IMAGE) is not False:
        return found
    # Another image may be named: it applies, and the first line tells what it waits for.
    lacks = msg("Its image is not here: docker pull {image}, then plan again.", image=IMAGE)
    return replace(found, lacks=lacks)


def demand(facts: Facts, choices: Choices) -> tuple[Demand, ...]:
    """What its own service is limited to; a pooler of the operator's keeps what it has."""
    wanted = choices.selection(ID) is Selection.ON
    site = (
        find_site(facts, choices.value(ID, None, SERVER))
        if wanted and not isinstance(find_existing(facts), Existing)
        else None
    )
    setup = _tried(replace(site, has_image=facts.has_image), choices) if isinstance(site, Site) else None
    if setup is None or not setup.routed:
        return ()
    return (Demand(ID, NAME, setup.memory, setup.memory, setup.memory),)


def advise(facts: Facts, choices: Choices) -> tuple[Advice, ...]:
    """The pooler's values, then each app's route. Raises UsageError for what is refused."""
    existing = find_existing(facts)
    if isinstance(existing, Existing):
        return tuned.advise(facts, existing, choices)
    chosen = choices.value(ID, None, SERVER)
    site = find_site(facts, chosen)
    if isinstance(site, Message):
        if chosen is None:
            return ()
        raise UsageError(msg("{id}.{knob} = {value} is refused: {why}", id=ID, knob=SERVER, value=chosen, why=site))
    lines = lines_of(set_up(replace(site, has_image=facts.has_image), choices), choices)
    _refuse_unconnected(facts, {line.knob for line in lines}, choices)
    return lines


def _refuse_unconnected(facts: Facts, known: Container[str], choices: Choices) -> None:
    """Raises UsageError for a route of a service that is there, and of which nobody knows how it is told its host."""
    for service in (s for s in facts.stack.services if s.active):
        chosen = choices.value(ID, None, ROUTE + service.name)
        if chosen not in (None, DIRECT) and ROUTE + service.name not in known:
            raise refused(
                service.name, chosen, msg("no variable of it is known to lead to a PostgreSQL of this stack.")
            )


def effort(facts: Facts, advice: tuple[Advice, ...]) -> Effort:
    """Two days, if anything is routed; a pooler that is there costs the part of its sizes."""
    if isinstance(find_existing(facts), Existing):
        return Effort(DAYS["sizes"], DAYS["sizes"])
    routed = any(line.knob.startswith(ROUTE) and line.value != DIRECT for line in advice)
    days = round(sum(DAYS.values()), 2) if routed else 0.0
    return Effort(days, days)


def fragment(facts: Facts, advice: tuple[Advice, ...]) -> Fragment:
    """The service, its files, the apps' variables."""
    existing = find_existing(facts)
    if isinstance(existing, Existing):
        return tuned.fragment(facts, existing, advice)
    return own.build_fragment(facts, advice)


def steps(facts: Facts, written: Fragment) -> tuple[StepSpec, ...]:
    """Read-backs."""
    existing = find_existing(facts)
    if isinstance(existing, Existing):
        return tuned.steps(existing, written.values.get(existing.pooler.name, {}))
    setup = own.in_fragment(facts, written)
    return own.read_back(setup) if setup is not None else ()


def checks(facts: Facts, written: Fragment) -> tuple[Assertion, ...]:
    """What shall hold from then on."""
    existing = find_existing(facts)
    if isinstance(existing, Existing):
        return tuned.assertions(existing)
    setup = own.in_fragment(facts, written)
    return own.assertions(setup) if setup is not None else ()


def _tried(site: Site, choices: Choices) -> Setup | None:
    """None for choices that are refused: the advice says why."""
    try:
        return set_up(site, choices)
    except UsageError:
        return None


def _applicability(site: Site) -> Applicability:
    try:
        setup = set_up(site, Choices())
    except UsageError as error:
        return Applicability(False, error.message)
    refused = {v.service: v.why for v in setup.verdicts if not v.possible}
    able = tuple(v.service for v in setup.verdicts if v.possible)
    if not able:
        first = min(refused)
        reason = msg("{service} cannot be pooled: {why}", service=first, why=refused[first])
        return Applicability(False, reason, (), refused)
    reason = msg("{server} can have a pooler, for: {names}.", server=site.server.name, names=", ".join(able))
    if site.beside:
        reason = msg("{server} can have a pooler, for: {names}; or in its place, by pgbouncer.server: {others}.",
                     server=site.server.name, names=", ".join(able), others=", ".join(site.beside))  # fmt: skip
    return Applicability(True, reason, able, refused)
