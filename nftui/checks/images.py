"""Findings about images: tags that move, repositories that ended, versions out of support."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.catalog import deprecation, end_of_support
from nftui.catalog.references import parse_reference
from nftui.catalog.tags import is_floating
from nftui.checks._common import is_store
from nftui.engine.evidence import at
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import msg
from nftui.model.patterns import regex
from nftui.model.stack import Role
from nftui.system.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nftui.model.facts import Facts
    from nftui.model.message import Message
    from nftui.model.stack import Service

_OWN = (Role.POSTGRES, Role.CLIENT)
"""PostgreSQL has an id of its own; a client of an old image reads no data and opens no port."""
_UNTIL_17 = "/var/lib/postgresql/data"
_CODENAMES = ("debian", "ubuntu", "buildpack-deps")
_RELEASE = regex(r"(?!stable|testing|unstable|oldstable|rolling|devel|latest)[a-z]{4,}(?:-(?:slim|curl|scm))?$")
"""A release by its name is a line of versions, as 12 and 24.04 are."""
_LAST_DAYS = 365
"""A store that has less support left needs its upgrade planned, as PostgreSQL does."""


def _images(facts: Facts) -> Iterator[tuple[Service, str]]:
    """Services that take their image from a registry."""
    built = {s.image for s in facts.stack.services if s.config.get("build") and s.image}
    for service in facts.stack.services:
        image = service.image or ""
        policy = service.config.get("pull_policy")
        local = image in built or policy == "build" or (policy == "never" and "/" not in image)
        # Of a registry that is not known here a tag that is written is known all the same.
        blank = image.endswith((":", "/")) or (image.startswith("/") and ":" not in image)
        if image and not blank and not local:
            yield service, image


def floating_tag(facts: Facts) -> Iterable[Finding]:
    """image-floating-tag: a tag that names no version; a digest, a build and a version tag are silent."""
    for service, image in _images(facts):
        reference = parse_reference(image)
        tag = reference.tag
        if (
            "@" in image
            or not is_floating(tag)
            or (reference.official and reference.name in _CODENAMES and _RELEASE.match(tag or ""))
        ):
            continue
        store = is_store(service)
        detail = _moved_data(service) or msg(
            "The next pull may bring another major version, which may not read the data that is there."
            if store else "What the tag `{tag}` means changes with every release: two machines, or today and tomorrow, "
            "may run different programs.", tag=tag or "latest",
        )  # fmt: skip
        yield Finding(
            "image-floating-tag", Level.MEDIUM if store else Level.LOW, service.name,
            msg("The image's tag moves: what runs tomorrow is not what runs today"), detail,
            (_evidence(service, image),), "docker documentation, pin base image versions", "images",
        )  # fmt: skip


def _moved_data(service: Service) -> Message | None:
    """PostgreSQL's image without a version is 18 or later today, and ends where 17 and before had their data."""
    own = parse_reference(service.image or "").repository == "postgres" and service.running is None
    old = any(m.target.rstrip("/") == _UNTIL_17 and m.type in ("bind", "volume") for m in service.mounts)
    if not (own and old) or service.environment.get("PGDATA"):
        return None
    return msg(
        "The next pull brings 18 or later, which keeps its data below {home} and ends with an error where {old} is "
        "mounted. Name the version that runs.", home=_UNTIL_17.rpartition("/")[0], old=_UNTIL_17,
    )  # fmt: skip


def deprecated(facts: Facts) -> Iterable[Finding]:
    """image-deprecated: nothing new comes from the repository."""
    for service, image in _images(facts):
        found = deprecation(image) if not image.startswith("/") else None
        if found is None:
            continue
        detail = msg("{why}. Its place was taken by {instead}.", why=found.deprecated, instead=found.instead)
        yield Finding(
            "image-deprecated", Level.MEDIUM, service.name, msg("The image's repository is frozen or abandoned"),
            detail if found.instead else msg("{why}.", why=found.deprecated), (_evidence(service, image),),
            found.source,
        )  # fmt: skip


def outdated(facts: Facts) -> Iterable[Finding]:
    """image-outdated: support of the tag's line of versions has ended, or a store's ends within a year.

    PostgreSQL has an id of its own.
    """
    today = SystemClock().now().date()
    for service in facts.stack.services:
        image = service.image or ""
        found = end_of_support(image) if service.role not in _OWN and image else None
        if found is None or service.config.get("build"):
            continue
        line, day, source = found
        if day < today:
            level, title = Level.MEDIUM, msg("Version {line} is out of support", line=line)
            detail = msg(
                "No fixes since {day}, security holes included; newer lines are supported.", day=day.isoformat()
            )
        elif is_store(service) and (day - today).days < _LAST_DAYS:
            level, title = Level.LOW, msg("Version {line} is in its last year of support", line=line)
            detail = msg("The last fixes are of {day}; newer lines are supported longer.", day=day.isoformat())
        else:
            continue
        shown = (_evidence(service, image),)
        yield Finding("image-outdated", level, service.name, title, detail, shown, source.source, "images")


def _evidence(service: Service, image: str) -> Evidence:
    return at(service, "image", "image", image)


CHECKS = (floating_tag, deprecated, outdated)
