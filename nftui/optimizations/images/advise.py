"""What each service should run, and why; values that must not be are refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from nftui.model.advice import Advice
from nftui.model.errors import RefusedError, UsageError
from nftui.model.message import Message, ended, msg
from nftui.model.stack import Role
from nftui.model.units import human_size
from nftui.optimizations.images.databases import databases_of
from nftui.optimizations.images.knobs import ID, KNOB, PIN, POLICY, REHEARSE, STAY
from nftui.optimizations.images.rehearsals import own_mounts, rehearsal
from nftui.optimizations.images.stores import KINDS, Store, cluster_of, is_moved, refusal
from nftui.optimizations.images.subject import Subject, moves, place_of, resolve, runs_it, subjects, target_line
from nftui.optimizations.images.versions import (
    Line,
    distribution,
    is_known,
    is_same,
    is_vague,
    line_of,
    next_of,
    support_of,
    tagged,
    version_of,
    words,
)
from nftui.system.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from nftui.model.choices import Choices
    from nftui.model.facts import Facts

_SOON = timedelta(days=90)
"""A line that has less support left than this is worth leaving."""
_STEPWISE = {Role.GRAFANA: 1, Role.QDRANT: 2}
"""They migrate their data from one version to the next only, by so many of its numbers."""
_PRODUCTS = {Role.POSTGRES: "PostgreSQL", Role.REDIS: "Redis", Role.GRAFANA: "Grafana", Role.QDRANT: "Qdrant"}
_FOREVER = "databases reference 4.4"


def advise(facts: Facts, subject: Subject, choices: Choices) -> Advice:
    """One line. Raises UsageError for a value that must not be."""
    recommended, why, source = _recommended(facts, subject)
    chosen = choices.value(ID, None, subject.name) or choices.value(ID, subject.name, subject.name)
    value = chosen or recommended
    reasons = list(_refusals(facts, subject, value))
    due = recommended not in (PIN, STAY)
    goes_on = value not in (PIN, STAY) and target_line(facts, subject, value) != subject.line
    asked = chosen is not None or not goes_on
    if reasons and chosen is not None:
        raise UsageError(msg("{id}.{service} = {value} is refused: {why}", id=ID, service=subject.name, value=value,
                             why=reasons[0]))  # fmt: skip
    held: list[Message] = []
    if reasons or not asked:
        # Another line moves the data, and nobody's data is moved because a day came: it is recommended, and waits.
        held = list(_refusals(facts, subject, STAY))
        value = PIN if held else STAY
    current = subject.running.image if subject.running else subject.declared
    instead = recommended if reasons or not asked else None
    notes = (*_of_pin(held), *_notes(facts, subject, value, instead if instead != STAY else None, reasons))
    return Advice(
        subject.name, subject.name, value, current, recommended, KNOB.unit, why, source,
        changes=resolve(facts, subject, value) != subject.declared,
        kept=due and value == STAY and chosen is None, notes=notes,
    )  # fmt: skip


def refuse_built(facts: Facts, choices: Choices) -> None:
    """Raises RefusedError where another image was asked for in place of one that is built here."""
    taken = {REHEARSE.name, *(subject.name for subject in subjects(facts))}
    for service in (s for s in facts.stack.services if s.active and s.name not in taken):
        value = choices.value(ID, None, service.name)
        if value not in (None, STAY):
            text = msg("{id}.{service} = {value} is refused: its image is built here and comes from no registry.",
                       id=ID, service=service.name, value=value)  # fmt: skip
            raise RefusedError(text, ID, service.name, service.name)


def advise_rehearsal(choices: Choices) -> Advice:
    """Whether images are tried first: yes, unless the operator says otherwise."""
    value = choices.value(ID, None, REHEARSE.name) or "on"
    return Advice(
        REHEARSE.name, None, value, None, "on", REHEARSE.unit, REHEARSE.why, REHEARSE.source, restart=False,
    )  # fmt: skip


def _recommended(facts: Facts, subject: Subject) -> tuple[str, Message, str]:
    step = _step(facts, subject)
    if step is not None:
        return step
    if subject.floats and subject.running is not None:
        return PIN, msg("Its tag moves: pinned, what runs tomorrow is what runs today."), _FOREVER
    return STAY, msg("It names its version, and no step of it is due."), POLICY


def _step(facts: Facts, subject: Subject) -> tuple[str, Message, str] | None:
    """The next line, where this one's support ends; only from what the operator's files say, never from what runs.

    (What runs may be what nftui put there: that is no reason to go further.)
    """
    role, version = subject.service.role, version_of(facts, subject.declared)
    found = next_of(role, subject.declared, version) if role in KINDS else None
    day = support_of(role, subject.declared, version)
    if found is None or subject.floats or day is None or day > SystemClock().now().date() + _SOON:
        return None
    reference, source = found
    if not is_known(subject.declared) and facts.has_image(reference) is not True:
        return None
    return reference, _support(f"{_PRODUCTS[role]} {words(line_of(role, version) or ())}", day), source


def _support(what: str, day: date) -> Message:
    if day < SystemClock().now().date():
        return msg("Support of {what} ended on {day}: no fixes since, not even for security holes.", what=what,
                   day=day.isoformat())  # fmt: skip
    return msg("Support of {what} ends on {day}: after that no fixes, not even for security holes.", what=what,
               day=day.isoformat())  # fmt: skip


# -- what must not be --------------------------------------------------------------------------------------------
def _refusals(facts: Facts, subject: Subject, value: str) -> Iterator[Message]:
    """Why that value is not written; the first is the most telling."""
    line = target_line(facts, subject, value)
    declared = facts.stack.service(subject.name)
    if declared is None or declared.running is None:
        other = value not in (STAY, PIN) and subject.service.role in KINDS
        there = subject.line if subject.running else subject.declared_line
        if other and (value != subject.declared or subject.running) and not is_same(subject.service.role, line, there):
            yield msg("it does not run, so its data cannot be looked at; start it first")
        if subject.running is None:
            return
    if value == STAY and _is_elsewhere(facts, subject):
        yield from _of_way_back(facts, subject, line)
        return
    if value in (STAY, subject.declared) and not runs_it(facts, subject, value):
        yield from _of_older_files(facts, subject)
    if value == STAY and (line is None or subject.line is None or line == subject.line):
        return
    if subject.service.role in KINDS:
        yield from _of_store(facts, subject, value, line)
    elif value in (PIN, STAY) or runs_it(facts, subject, value) or not _keeps(facts, subject):
        return
    elif _leading(facts, value) != _leading(facts, subject):
        yield msg("nftui does not know how {service} keeps its data: go to another version by its own manual",
                  service=subject.name)  # fmt: skip


def _of_way_back(facts: Facts, subject: Subject, line: Line | None) -> Iterator[Message]:
    """What the files name would start on what was left behind there: fenced, and without all that came since."""
    if line is None or subject.line is None:
        yield msg("its data was moved, and nobody can tell which version your files mean: take the run back that moved "
                  "it, nftui rollback, or name a version")  # fmt: skip
    elif line < subject.line:
        yield _no_longer(facts, subject, line)
    else:
        yield msg("its data was moved, and the place that your files name was left behind: choose pin or {image}, or "
                  "take the run back that moved it: nftui rollback", image=subject.declared)  # fmt: skip


def _no_longer(facts: Facts, subject: Subject, line: Line) -> Message:
    """A run of nftui is taken back only where there was one: it never goes to another line in the same place."""
    if not _is_elsewhere(facts, subject):
        return msg("it runs {running}, and {wanted} is older than its data: it cannot read that data any more",
                   running=words(subject.line or ()), wanted=words(line))  # fmt: skip
    return msg(
        "it runs {running}, and {wanted} cannot read that data any more. Take the run back that brought it: "
        "nftui rollback", running=words(subject.line or ()), wanted=words(line),
    )  # fmt: skip


def _of_older_files(facts: Facts, subject: Subject) -> Iterator[Message]:
    """Another version was put on the files' own data: what they name may not read what that made of it since."""
    told = line_of(subject.service.role, version_of(facts, subject.declared))
    if told is None or subject.line is None or subject.service.role not in KINDS or _is_elsewhere(facts, subject):
        return
    if told < subject.line[: len(told)] and _tells(subject):
        yield msg("it runs {running} on the data that your files name, and {wanted} cannot read that any more: choose "
                  "pin, or name {running} in your files", running=words(subject.line), wanted=words(told))  # fmt: skip


def _tells(subject: Subject) -> bool:
    """Whether its tags name the server's version: those of an image of one's own may count otherwise."""
    running = subject.running.image if subject.running else subject.declared
    return running != subject.declared and (
        is_known(subject.declared) or line_of(subject.service.role, tagged(running)) == subject.line
    )


def _of_store(facts: Facts, subject: Subject, value: str, line: Line | None) -> Iterator[Message]:
    if line is None or subject.line is None or _may_be_either(facts, subject, value, line):
        if not (value == PIN or runs_it(facts, subject, value) or _is_declared(facts, subject, value)):
            yield msg("nobody can tell which version it is: name one in the tag, or pull it first")
        return
    if line < subject.line:
        yield _no_longer(facts, subject, line)
    if isinstance(subject.store, Message):
        yield subject.store
    databases = databases_of(facts, subject.service)
    if databases and line != subject.line:
        yield msg("its new version changes what it keeps in {places}, and nftui cannot bring that back: have a backup, "
                  "and go by its own manual", places=", ".join(databases))  # fmt: skip
    parts = _STEPWISE.get(subject.service.role)
    if parts is not None and sum(line[:parts]) - sum(subject.line[:parts]) > 1:
        yield msg("it goes one step at a time: from {running} to {wanted} are several",
                  running=words(subject.line), wanted=words(line))  # fmt: skip
    if _sorts_otherwise(facts, subject, value, line):
        yield msg("it cannot be asked, so nobody can tell whether {wanted} sorts text as {running} does, and indexes "
                  "hang on that: let nftui log in", wanted=value, running=subject.declared)  # fmt: skip
    moved = place_of(facts, subject, value) is not None and line != subject.line
    reason = refusal(facts, subject.store, line) if moved and isinstance(subject.store, Store) else None
    if reason is not None:
        yield reason


def _may_be_either(facts: Facts, subject: Subject, value: str, line: Line) -> bool:
    """Whether its tag leaves open whether it reads what is there, and is read by what runs: `redis:7` over a 7.2."""
    if value in (PIN, STAY) or runs_it(facts, subject, value) or value == subject.declared or subject.line is None:
        return False
    return line[:1] == subject.line[:1] and is_vague(subject.service.role, line)


def _is_declared(facts: Facts, subject: Subject, value: str) -> bool:
    """Whether it is what the files name, on the place that they name."""
    return value == subject.declared and not _is_elsewhere(facts, subject)


def _is_elsewhere(facts: Facts, subject: Subject) -> bool:
    """Whether it runs on data that its files' own image may never have seen."""
    return isinstance(subject.store, Store) and is_moved(facts, subject.store)


def _sorts_otherwise(facts: Facts, subject: Subject, value: str, line: Line) -> bool:
    """Whether another C library may come to a PostgreSQL's files with nobody comparing (databases reference 4.1)."""
    if subject.service.role is not Role.POSTGRES or value in (PIN, STAY) or cluster_of(facts, subject.service):
        return False
    if runs_it(facts, subject, value):
        return False
    builds = {distribution(value), distribution(subject.declared)}
    return line == subject.line and not moves(facts, subject, value) and (len(builds) == 2 or None in builds)


def _keeps(facts: Facts, subject: Subject) -> bool:
    return bool(own_mounts(subject.service) or databases_of(facts, subject.service))


def _leading(facts: Facts, of: Subject | str) -> Line:
    """The first number of its version, () where it is not known."""
    version = version_of(facts, of) if isinstance(of, str) else of.version
    return line_of(Role.UNKNOWN, version) or ()


# -- what is told beside -------------------------------------------------------------------------------------------
def _of_pin(held: list[Message]) -> Iterator[Message]:
    """Why it does not stay what the files say."""
    if held:
        yield msg("Pinned, not as your files say: {why}", why=ended(held[0]))


def _notes(
    facts: Facts, subject: Subject, value: str, instead: str | None, reasons: list[Message]
) -> Iterator[Message]:
    if instead is not None and reasons:
        yield msg("{image} is due, but: {why}", image=instead, why=ended(reasons[0]))
    elif instead is not None:
        yield msg("{image} is due. It moves the data, so it is done when you ask for it: {id}.{service}={image}.",
                  image=instead, id=ID, service=subject.name)  # fmt: skip
    if subject.version:
        yield msg("It runs version {version}.", version=subject.version)
    reference = resolve(facts, subject, value)
    if value == STAY:
        due = next_of(subject.service.role, subject.declared, version_of(facts, subject.declared))
        if due is not None and subject.service.role in KINDS:
            yield msg("The next step would be {image}.", image=due[0])
        return
    stored = facts.image(reference)
    if stored is not None:
        size = human_size(stored.size) if stored.size else "?"
        digest = next((d.partition("@")[2] for d in stored.digests), stored.id)
        yield msg("{image} is on the engine: {digest}, {size}. No registry is asked.", image=reference, digest=digest,
                  size=size)  # fmt: skip
    elif facts.has_image(reference) is False:
        yield msg("{image} is not on the engine: it is pulled before anything is touched.", image=reference)
    tried = rehearsal(facts, subject, value)
    if tried is not None:
        yield tried[1]
    cluster = cluster_of(facts, subject.service)
    if cluster is not None and cluster.archives and moves(facts, subject, value):
        yield msg("It archives its WAL, and goes on doing so, with names behind the old ones. No backup from before "
                  "can be continued with it: make a new base backup afterwards, and tell a tool like pgBackRest of the "
                  "new version.")  # fmt: skip
    if isinstance(subject.store, Store) and moves(facts, subject, value):
        yield from _other_disk(facts, subject.store)
    line = target_line(facts, subject, value)
    if subject.service.role is Role.REDIS and line is not None and line >= (7,) and line != subject.line:
        yield msg("Redis from 7.4 on is under another licence (RSALv2 or SSPLv1, from 8 on AGPLv3 too).")


def _other_disk(facts: Facts, store: Store) -> Iterator[Message]:
    """A volume whose options bind a directory of another disk is followed by one of the engine's own."""
    options = (facts.stack.volumes.get(str(store.declared.source)) or {}).get("driver_opts")
    device = str(options.get("device") or "") if isinstance(options, Mapping) else ""
    root = facts.engine.data_root if facts.engine else ""
    if store.declared.type != "volume" or is_moved(facts, store) or not device.startswith("/") or not root:
        return
    old, new = facts.host.mount_for(device), facts.host.mount_for(f"{root}/volumes")
    if old is None or new is None or old.path != new.path:
        yield msg("Its data lies in {device} now, by the options of its volume. The new data will lie below {root} "
                  "instead, on another disk: the storage optimization can move it from there.", device=device,
                  root=f"{root}/volumes")  # fmt: skip
