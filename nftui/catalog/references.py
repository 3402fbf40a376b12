"""Image references taken apart, and versions compared."""

from __future__ import annotations

import re

from nftui.model.dataclass import dataclass

_VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^{}]*))?[^{}]*\}|\$(\w+)")
_LEADING = re.compile(r"^v?(\d+(?:\.\d+)*)")
_OFFICIAL = re.compile(r"(?:^|.*/)library/([^/]+)")
"""Docker Official Images by their full name, also behind a registry that mirrors Docker Hub."""
_LONGEST = 2048
"""Characters: no registry takes a name that comes near, and what does is not worth an hour of matching."""
_DOCKER_HUB = ("", "docker.io", "index.docker.io", "registry-1.docker.io")


@dataclass(frozen=True, slots=True)
class Reference:
    """`registry/repository:tag@digest`; `official` where it is the Docker Official Image of that name."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None
    official: bool

    @property
    def name(self) -> str:
        """The last part of the repository."""
        return self.repository.rpartition("/")[2]


def without_variables(text: str) -> str:
    """The text with `${A:-b}` as b and other variables taken out: what can be known before interpolation."""
    for _ in range(5):
        replaced = _VARIABLE.sub(lambda found: found.group(2) or "", text)
        if replaced == text:
            break
        text = replaced
    return text


def parse_reference(image: str) -> Reference:
    """Take an image reference apart; a part that is missing or unknown is empty or None."""
    text = without_variables(image.strip()[:_LONGEST]).lower()
    text, _, digest = text.partition("@")
    head, slash, rest = text.partition("/")
    registry = ""
    if slash and ("." in head or ":" in head or head in ("localhost", "")):
        registry, text = head, rest
    name, colon, tag = text.rpartition(":")
    repository = name if colon else text
    plain = _OFFICIAL.sub(r"\1", repository.strip("/"))
    official = "/" not in plain and (registry in _DOCKER_HUB or plain != repository.strip("/"))
    return Reference(registry, plain, (tag or None) if colon else None, digest or None, official)


def leading_version(tag: str | None) -> str | None:
    """The number at the head of a tag: "16.2" of "16.2-alpine", None of "latest"."""
    found = _LEADING.match(tag or "")
    return found.group(1) if found else None


def version_key(version: str) -> tuple[int, ...]:
    """Numbers of a version, to compare."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:4])


def within(version: str | None, since: str | None, until: str | None) -> bool:
    """Whether a version lies from `since` to `until`, at the precision in which they are given."""
    if version is None:
        return until is None
    key = version_key(version)
    if since is not None and key < version_key(since):
        return False
    bound = version_key(until) if until is not None else None
    return bound is None or key[: len(bound)] <= bound
