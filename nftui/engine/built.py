"""A service that is built here, read as the image that its Dockerfile makes of another one: for checks only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from nftui.catalog.dockerfile import command_words, stage_of
from nftui.catalog.lookup import families_of, version_of
from nftui.catalog.programs import split_words
from nftui.catalog.references import parse_reference
from nftui.model.patterns import regex
from nftui.model.stack import MountSpec

if TYPE_CHECKING:
    from pathlib import Path

    from nftui.catalog.dockerfile import Stage
    from nftui.model.stack import Service, Stack

_CONFIGURES = regex(r"(?i)\.conf\b|PGDATA|initdb|alter\s+system|pg_ctl")
"""What in a RUN may change the server's own files; installing packages does not."""
_READ = regex(r"^/docker-entrypoint-initdb\.d(?:/|$)|\.conf$|/conf\.d(?:/|$)|^/etc/postgresql(?:/|$)")
"""Targets of a COPY that checks ask for."""
_PATTERN = regex(r"[*?\[]")


def as_image(stack: Stack, service: Service) -> Service | None:
    """The service with its base image, and with what the Dockerfile adds: variables, command, files that are copied.

    Where the Dockerfile does more than that, only the base and its version are given, and it stays one that is built.
    None where it is not built, or where its Dockerfile is not here or cannot be read with certainty.
    """
    stage = None if service.running is not None else stage_of(service.config, stack.invocation.directory)
    if stage is None:
        return None
    reference = parse_reference(stage.image)
    family = next((f for f in families_of(reference) if not f.hint_needed), None)
    if family is None or family.role is not service.role:
        return None
    based = replace(service, image=stage.image, version=version_of(family, reference))
    return _with_steps(based, stage) or based


def _with_steps(service: Service, stage: Stage) -> Service | None:
    """None where a step does what cannot be seen from here."""
    environment, command, mounts, folder = dict[str, str](), service.command, list[MountSpec](), "/"
    for word, rest in stage.steps:
        if word in ("ENTRYPOINT", "ONBUILD", "SHELL") or (word == "RUN" and _CONFIGURES.search(rest)):
            return None
        if word == "ENV":
            environment |= _variables(rest)
        elif word == "CMD" and not service.command:
            command = command_words(rest)
        elif word == "WORKDIR":
            folder = str(PurePosixPath(folder, rest))
        elif word in ("COPY", "ADD"):
            copied = _copied(rest, folder, stage.context)
            if copied is None:
                return None
            mounts += copied
    return replace(
        service,
        environment={**environment, **service.environment},
        command=command,
        mounts=(*service.mounts, *mounts),
        config={key: value for key, value in service.config.items() if key != "build"},
    )


def _variables(rest: str) -> dict[str, str]:
    words = split_words(rest)
    if words and "=" not in words[0]:
        return {words[0]: " ".join(words[1:])}
    return {key: value for key, _, value in (word.partition("=") for word in words)}


def _copied(rest: str, folder: str, context: Path) -> list[MountSpec] | None:
    """Files that come from the context, as mounts; None where one that matters comes from elsewhere."""
    words = list(command_words(rest)) if rest.startswith("[") else split_words(rest)
    options = [word for word in words if word.startswith("--")]
    *sources, target = [word for word in words if not word.startswith("--")] or [""]
    place = str(PurePosixPath(folder, target))
    if not sources or not _READ.search(place):
        return []
    sources = [path for source in sources for path in _matching(source, context)]
    if any(option.startswith("--from") for option in options) or not sources or any("://" in s for s in sources):
        return None
    into = target.endswith("/") or target == "." or len(sources) > 1 or place == "/docker-entrypoint-initdb.d"
    found = []
    for source in sources:
        path = context / source.lstrip("/")
        whole = path.is_dir() or not into
        found.append(MountSpec("bind", str(path), place if whole else f"{place}/{PurePosixPath(source).name}"))
    return found


def _matching(source: str, context: Path) -> list[str]:
    """Paths of the context that a pattern means."""
    if not _PATTERN.search(source):
        return [source]
    return sorted(str(path.relative_to(context)) for path in context.glob(source.lstrip("/")))
