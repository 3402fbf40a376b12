"""A service that is built here, read as the image that its Dockerfile makes of another one: for checks only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from nftui.catalog.lookup import families_of, version_of
from nftui.catalog.mounted import read
from nftui.catalog.programs import split_words
from nftui.catalog.references import parse_reference
from nftui.model.patterns import regex
from nftui.model.stack import MountSpec

if TYPE_CHECKING:
    from nftui.model.stack import Service, Stack

_CONTINUED = regex(r"\\[ \t]*\n(?:[ \t]*#[^\n]*\n)*")
_FROM = regex(r"(?i)(?:--\S+\s+)*(\S+)(?:\s+as\s+(\S+))?")
_VARIABLE = regex(r"\$\{(\w+)(?::-([^}]*))?\}|\$(\w+)")
_CONFIGURES = regex(r"(?i)\.conf\b|PGDATA|initdb|alter\s+system|pg_ctl")
"""What in a RUN may change the server's own files; installing packages does not."""
_READ = regex(r"^/docker-entrypoint-initdb\.d(?:/|$)|\.conf$|/conf\.d(?:/|$)|^/etc/postgresql(?:/|$)")
"""Targets of a COPY that checks ask for."""
_PATTERN = regex(r"[*?\[]")

_Instruction = tuple[str, str]


def as_image(stack: Stack, service: Service) -> Service | None:
    """The service with its base image, and with what the Dockerfile adds: variables, command, files that are copied.

    Where the Dockerfile does more than that, only the base and its version are given, and it stays one that is built.
    None where it is not built, or where its Dockerfile is not here or cannot be read with certainty.
    """
    if service.config.get("build") is None or service.running is not None:
        return None
    text, context = dockerfile(stack, service)
    if text is None or "<<" in text:
        return None
    found = _stage(text, _options(service))
    if found is None:
        return None
    image, steps = found
    reference = parse_reference(image)
    family = next((f for f in families_of(reference) if not f.hint_needed), None)
    if family is None or family.role is not service.role:
        return None
    based = replace(service, image=image, version=version_of(family, reference))
    return _with_steps(based, steps, context) or based


def dockerfile(stack: Stack, service: Service) -> tuple[str | None, Path]:
    """The text of the Dockerfile of a service that is built, None where it is not here; and its context."""
    options = _options(service)
    context = Path(stack.invocation.directory, str(options.get("context") or "."))
    text = options.get("dockerfile_inline") or read(context / str(options.get("dockerfile") or "Dockerfile"))
    return (text if isinstance(text, str) else None), context


def _options(service: Service) -> Mapping[str, object]:
    build = service.config.get("build")
    return build if isinstance(build, Mapping) else {"context": build}


def _stage(text: str, options: Mapping[str, object]) -> tuple[str, list[_Instruction]] | None:
    """The image below the stage that is built, and the stage's instructions from the base upwards."""
    given = options.get("args")
    arguments = {str(k): str(v) for k, v in given.items() if v is not None} if isinstance(given, Mapping) else {}
    stages: dict[str, tuple[str, list[_Instruction]]] = {}
    name = ""
    for word, rest in _instructions(text):
        match = _FROM.match(rest) if word == "FROM" else None
        if match is not None:
            base = _filled(match[1], arguments)
            below = stages.get(base.lower(), (base, []))
            name = (match[2] or f"{len(stages)}").lower()
            stages[name] = (below[0], [*below[1]])
        elif word == "ARG":
            key, equals, value = rest.partition("=")
            arguments = {**({key.strip(): value.strip().strip("\"'")} if equals else {}), **arguments}
        elif name:
            stages[name][1].append((word, rest))
    return stages.get(str(options.get("target") or name).lower())


def _filled(text: str, arguments: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: arguments.get(match[1] or match[3]) or match[2] or "", text)


def _instructions(text: str) -> Iterator[_Instruction]:
    for line in _CONTINUED.sub(" ", text).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word and not word.startswith("#"):
            yield word.upper(), rest.strip()


def _with_steps(service: Service, steps: list[_Instruction], context: Path) -> Service | None:
    """None where a step does what cannot be seen from here."""
    environment, command, mounts, folder = dict[str, str](), service.command, list[MountSpec](), "/"
    for word, rest in steps:
        if word in ("ENTRYPOINT", "ONBUILD", "SHELL") or (word == "RUN" and _CONFIGURES.search(rest)):
            return None
        if word == "ENV":
            environment |= _variables(rest)
        elif word == "CMD" and not service.command:
            command = _words(rest)
        elif word == "WORKDIR":
            folder = str(PurePosixPath(folder, rest))
        elif word in ("COPY", "ADD"):
            copied = _copied(rest, folder, context)
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


def _words(rest: str) -> tuple[str, ...]:
    if rest.startswith("["):
        try:
            return tuple(str(word) for word in json.loads(rest))
        except ValueError:
            return ()
    return ("/bin/sh", "-c", rest)


def _copied(rest: str, folder: str, context: Path) -> list[MountSpec] | None:
    """Files that come from the context, as mounts; None where one that matters comes from elsewhere."""
    words = list(_words(rest)) if rest.startswith("[") else split_words(rest)
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
