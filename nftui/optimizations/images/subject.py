"""One service and its image: what runs, what the files say, and what going elsewhere would take."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nftui.catalog.references import parse_reference, version_key
from nftui.catalog.tags import is_floating
from nftui.model.ai import OllamaFacts, QdrantFacts
from nftui.model.dataclass import dataclass
from nftui.model.message import Message
from nftui.model.postgres import PostgresFacts
from nftui.model.redis import RedisFacts
from nftui.model.stack import Role
from nftui.optimizations.images.knobs import PIN, PROBES, STAY
from nftui.optimizations.images.stores import Store, find_store, is_moved, named_line, target_of
from nftui.optimizations.images.versions import Line, distribution, is_vague, line_of, tagged, version_of, words

if TYPE_CHECKING:
    from nftui.model.facts import Facts
    from nftui.model.stack import Container, Service


@dataclass(frozen=True, slots=True)
class Subject:
    """A service whose image comes from a registry."""

    service: Service
    declared: str
    """The reference in the operator's files, as Compose resolves it."""
    version: str | None
    """Of what runs, by its own word; else by its image's."""
    line: Line | None
    """Of what runs."""
    declared_line: Line | None
    """Whose data lies at the place that the operator's files name, None where nobody can tell."""
    store: Store | Message | None

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name

    @property
    def running(self) -> Container | None:
        """Its first running container; of a server whose data was moved also the one that stands still."""
        return self.service.running

    @property
    def floats(self) -> bool:
        """Whether the operator's reference may mean something else tomorrow."""
        reference = parse_reference(self.declared)
        return reference.digest is None and not self.declared.startswith("sha256:") and is_floating(reference.tag)


def subjects(facts: Facts) -> tuple[Subject, ...]:
    """Active services with an image that nobody builds here."""
    built = {s.image for s in facts.stack.services if s.config.get("build") and s.image}
    return tuple(
        _subject(facts, service, service.image)
        for service in facts.stack.services
        if service.active and service.image and service.image not in built
    )


def _subject(facts: Facts, service: Service, image: str) -> Subject:
    service = _as_it_ran(facts, service)
    store = find_store(facts, service)
    version = _version(facts, service)
    line = line_of(service.role, version) or (named_line(facts, store) if isinstance(store, Store) else None)
    return Subject(service, image, version, line, _declared_line(facts, service, image, line, store), store)


def _as_it_ran(facts: Facts, service: Service) -> Service:
    """A server that stands still, and whose data was moved, as if it ran: only its container tells the place."""
    last = next((c for c in service.containers if not c.one_off), None)
    if service.running is not None or last is None:
        return service
    shown = replace(service, containers=(replace(last, state="running"),))
    store = find_store(facts, shown)
    return shown if isinstance(store, Store) and is_moved(facts, store) else service


def _declared_line(
    facts: Facts, service: Service, image: str, line: Line | None, store: Store | Message | None
) -> Line | None:
    """Of what runs, where it runs there; else of what the tag says: what that tag means today came after the data."""
    if isinstance(store, Store):
        if not is_moved(facts, store):
            return line
        told = line_of(service.role, tagged(image))
        return None if told is None or is_vague(service.role, told) else told
    return line if isinstance(store, Message) else line_of(service.role, version_of(facts, image))


def _version(facts: Facts, service: Service) -> str | None:
    value = facts.live_value(service.name, PROBES.get(service.role, ""))
    if isinstance(value, (PostgresFacts, RedisFacts, QdrantFacts, OllamaFacts)) and value.version:
        return value.version
    running = service.running
    found = version_of(facts, running.image if running else service.image or "")
    return found if found or running is None else _by_its_tags(facts, service, running)


def _by_its_tags(facts: Facts, service: Service, running: Container) -> str | None:
    """Of what was pinned: a digest tells no version, and a tag that the engine has for the same image may.

    Labels are not asked: an image has those of what it was built on (org.opencontainers.image.version is Ubuntu's).
    """
    stored = facts.image(running.image_id)
    own = {parse_reference(r).repository for r in (service.image or "", *running.image_digests)}
    tags = (t for t in (stored.tags if stored else ()) if parse_reference(t).repository in own)
    told = [version for version in map(tagged, tags) if version]
    return max(told, key=lambda version: (len(version_key(version)), version_key(version)), default=None)


def resolve(facts: Facts, subject: Subject, value: str) -> str:
    """The reference that is written for a knob's value; the operator's own where nothing is."""
    if value == STAY:
        return subject.declared
    return _pinned(subject) if value == PIN else value


def _pinned(subject: Subject) -> str:
    """By the registry's digest; an image that no registry gave is known by its id alone."""
    running = subject.running
    if running is None:
        return subject.declared
    repository = parse_reference(subject.declared).repository
    digests = (d for d in running.image_digests if parse_reference(d).repository == repository)
    return next(digests, running.image_id)


def target_line(facts: Facts, subject: Subject, value: str) -> Line | None:
    """Of what would run by that value."""
    if value == PIN or runs_it(facts, subject, value):
        return subject.line
    if value in (STAY, subject.declared):
        return subject.declared_line
    return line_of(subject.service.role, version_of(facts, value))


def runs_it(facts: Facts, subject: Subject, reference: str) -> bool:
    """Whether that reference means the very image that runs."""
    running, stored = subject.running, facts.image(reference)
    if running is None:
        return False
    known = (*running.image_digests, running.image_id)
    return reference in known or (stored is not None and stored.id == running.image_id)


def place_of(facts: Facts, subject: Subject, value: str) -> dict[str, str] | None:
    """Where the data that it needs lies, or will; None where that is the place of the operator's files.

    What was moved stays where it is as long as its line does: what lies in the files' own place was left behind, and
    is fenced, whatever those files say by now. Text is sorted otherwise by another C library: such data is restored,
    not handed on (databases reference 4.1).
    """
    line, store = target_line(facts, subject, value), subject.store
    if not isinstance(store, Store):
        return None
    stays = store.source if is_moved(facts, store) else None
    if value == PIN or runs_it(facts, subject, value):
        return stays
    if line is None:
        return None
    build = _other_build(facts, subject, value)
    if line != subject.line:
        return target_of(facts, store, words(line))
    return target_of(facts, store, f"{words(line)}-{build}") if build else stays


def _other_build(facts: Facts, subject: Subject, value: str) -> str | None:
    """What a PostgreSQL of that reference is built on, where its data is known to come from something else."""
    running = subject.running
    if subject.service.role is not Role.POSTGRES or running is None or value == STAY:
        return None
    stored = facts.image(running.image_id)
    names = (running.image, *(stored.tags if stored else ()), subject.declared)
    build, own = distribution(value), next(filter(None, map(distribution, names)), None)
    return build if own and build != own else None


def moves(facts: Facts, subject: Subject, value: str) -> bool:
    """Whether its data has to lie elsewhere than it does now for that value."""
    place = place_of(facts, subject, value)
    return place is not None and isinstance(subject.store, Store) and place != subject.store.source
