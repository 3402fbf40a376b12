"""Versions of images: which one a reference names, in which line its data is, and what the next one is called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nftui.catalog import end_of_support, lookup, next_step, repositories_of
from nftui.catalog.references import parse_reference, version_key
from nftui.model.patterns import regex
from nftui.model.stack import Role

if TYPE_CHECKING:
    from datetime import date

    from nftui.model.facts import Facts

Line = tuple[int, ...]
"""Versions between which data stays readable both ways: (15,) of PostgreSQL, (1, 12) of Qdrant."""

_IN_TAG = regex(r"(?:^|(?<=pg))v?(\d+(?:\.\d+)*)")
_OF_SERVER = regex(r"(?<=pg)\d+(?:\.\d+)*")
"""Behind it stands the server's version, whatever stands before: 0.8.0-pg16 of pgvector, 2.14.2-pg16 of TimescaleDB."""
_PARTS = {Role.POSTGRES: 1, Role.REDIS: 2, Role.GRAFANA: 2, Role.QDRANT: 2}
"""Numbers of a version that make its line. Redis changes its files with minor versions: RDB 10 is 7.0's, 11 is 7.2's,
12 that of 7.4 and 8.0, later ones have more, and none reads a later one's (src/rdb.h; databases reference 4.2). A minor
version of Grafana migrates its database, and no older one brings that back (grafana.com/docs, upgrade guide)."""
_PARTED = {Role.REDIS: 7}
"""The first major of which that holds: 5.0, 6.0 and 6.2 all write RDB 9."""
_ENVIRONMENT = ("PG_MAJOR", "REDIS_VERSION")
"""Variables of official images that tell their version."""
_RELEASES = regex(r"-(bullseye|buster|stretch|jessie)\b")
"""Debian releases that newer versions are not built on."""
_DISTRIBUTION = regex(r"alpine|bookworm|bullseye|buster|stretch|trixie|jammy|noble|ubi\d*")


def version_of(facts: Facts, reference: str) -> str | None:
    """By its tag, and by what the image on the engine says of itself where that says more; None: neither tells."""
    found, stored = tagged(reference), facts.image(reference)
    own = next((stored.environment[n] for n in _ENVIRONMENT if n in stored.environment), None) if stored else None
    if found is None or own is None:
        return found or own
    key = version_key(found)
    return own if version_key(own)[: len(key)] == key else found


def tagged(reference: str) -> str | None:
    """As the catalog reads tags: an extension's version (citus:12.1) is not the server's; digits of an id are none."""
    if reference.startswith("sha256:"):
        return None
    parsed = parse_reference(reference)
    family = next((f for f in lookup.families_of(parsed) if f.version is not None), None)
    if family is not None:
        return lookup.version_of(family, parsed)
    found = _IN_TAG.search(parsed.tag or "")
    return found[1] if found else None


def line_of(role: Role, version: str | None) -> Line | None:
    """The line of that version, None where it is not known; see `is_vague`."""
    key = version_key(version or "")
    return key[: _parts(role, key)] or None


def _parts(role: Role, key: Line) -> int:
    return 1 if key[:1] < (_PARTED.get(role, 0),) else _PARTS.get(role, 1)


def is_vague(role: Role, line: Line) -> bool:
    """Whether it is any of several lines: that of `redis:7`, whose image may be of 7.0 or of 7.4."""
    return len(line) < _parts(role, line)


def is_same(role: Role, one: Line | None, other: Line | None) -> bool:
    """Whether it is certain that both read what either writes."""
    return one is not None and one == other and not is_vague(role, one)


def words(line: Line) -> str:
    """ "15", "1.12"."""
    return ".".join(map(str, line))


def next_of(role: Role, image: str, version: str | None) -> tuple[str, str] | None:
    """(reference of the next step, source), None where the catalog knows none."""
    found = next_step(_official(role, image, version))
    if found is None or version is None:
        return None
    return _with_version(image, found[0]), found[1].source


def support_of(role: Role, image: str, version: str | None) -> date | None:
    """The last day of its line's support."""
    found = end_of_support(_official(role, image, version))
    return found[1] if found else None


def _official(role: Role, image: str, version: str | None) -> str:
    """Images of one's own hold what the official one holds: PostgreSQL's and Redis' dates are theirs."""
    known = any(r.next or r.support for r in repositories_of(image))
    if known or role not in (Role.POSTGRES, Role.REDIS) or "valkey" in image:
        return image
    return f"{role}:{version or ''}"


def is_known(image: str) -> bool:
    """Whether the catalog speaks of that repository's versions: then the next one's name is no guess."""
    return any(r.next for r in repositories_of(image))


def _with_version(image: str, version: str) -> str:
    """The same image of another version; the variant stays, without the release that it was built on."""
    name, _, tag = image.partition("@")[0].rpartition(":")
    wanted = _OF_SERVER.sub(version, tag, count=1)
    if wanted == tag:
        head = re.match("v?", tag)
        wanted = f"{head[0] if head else ''}{version}{_IN_TAG.sub('', tag, count=1)}"
    return f"{name}:{re.sub(r'alpine[0-9.]+', 'alpine', _RELEASES.sub('', wanted))}"


def distribution(reference: str) -> str | None:
    """What the tag says of what it was built on: collations and user ids hang on it."""
    found = _DISTRIBUTION.search(parse_reference(reference).tag or "")
    return found[0] if found else None
