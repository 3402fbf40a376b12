"""Finding the family of an image, and what the catalog says of it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from nftui.catalog.globs import matches
from nftui.catalog.loader import catalog
from nftui.catalog.references import Reference, leading_version, parse_reference, within
from nftui.catalog.schema import Family, Healthcheck
from nftui.model.stack import Role


@lru_cache(maxsize=1024)
def families_of(reference: Reference) -> tuple[Family, ...]:
    """Every family that fits, the best first: whole repositories before mere names."""
    return tuple(_fitting(reference)) if reference.repository else ()


def _fitting(reference: Reference) -> Iterator[Family]:
    for family in catalog().families:
        if _fits_repository(family, reference):
            yield family
    for family in catalog().families:
        if any(matches(reference.name, pattern) for pattern in family.names):
            yield family


def _fits_repository(family: Family, reference: Reference) -> bool:
    for pattern in family.images:
        if "/" not in pattern and "*" not in pattern:
            if pattern == reference.repository and (reference.official or not family.official):
                return True
        elif matches(reference.repository, pattern) or matches("/" + reference.repository, pattern):
            return True
    return False


def version_of(family: Family | None, reference: Reference) -> str | None:
    """The version of the server as tag or name tell it."""
    text = reference.tag if family is None or family.version_in == "tag" else reference.repository
    if family is None or family.version is None:
        return leading_version(text)
    found = family.version.search(text or "")
    return next((group for group in found.groups() if group), None) if found else None


def family_for(role: Role, image: str | None) -> Family | None:
    """The family of that role for an image; where the image tells nothing, the role's first one."""
    if image:
        reference = parse_reference(image)
        for family in families_of(reference):
            if family.role is role:
                return family
    return next((family for family in catalog().families if family.role is role), None)


def data_paths(role: Role, image: str | None = None, version: str | None = None) -> tuple[str, ...]:
    """Where such an image keeps its data, for that version (read from the tag where not given).

    Without any version it is what the newest images do.
    """
    family = family_for(role, image)
    if family is None:
        return ()
    if version is None and image:
        version = version_of(family, parse_reference(image))
    return tuple(item.path for item in family.data if within(version, item.since, item.until))


def default_ports(role: Role, image: str | None = None) -> tuple[int, ...]:
    """The ports such a server listens on unless told otherwise, the main one first."""
    family = family_for(role, image)
    return family.ports if family else ()


def healthchecks(role: Role, image: str | None = None) -> tuple[Healthcheck, ...]:
    """Checks that work with what is in the image; `$` is not doubled."""
    family = family_for(role, image)
    return family.healthchecks if family else ()
