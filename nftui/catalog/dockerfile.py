"""What a service that is built here begins with, and what its Dockerfile adds to that: the stage that is built only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from nftui.catalog.mounted import read
from nftui.model.dataclass import dataclass
from nftui.model.patterns import regex

_CONTINUED = regex(r"\\[ \t]*\n(?:[ \t]*#[^\n]*\n)*")
_FROM = regex(r"(?i)(?:--\S+\s+)*(\S+)(?:\s+as\s+(\S+))?")
_VARIABLE = regex(r"\$\{(\w+)(?::-([^}]*))?\}|\$(\w+)")

Instruction = tuple[str, str]
"""Its word in capitals, and the rest of its line."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The stage that a service is built from."""

    image: str
    """What lies below it, and below the stages that it begins with."""
    steps: tuple[Instruction, ...]
    """Its own instructions from that image upwards."""
    context: Path

    def words(self, instruction: str) -> tuple[str, ...]:
        """What its last ENTRYPOINT or CMD runs; () where it has none."""
        return command_words(next((rest for word, rest in reversed(self.steps) if word == instruction), "[]"))


def dockerfile(config: Mapping[str, object], directory: str = "/") -> tuple[str | None, Path]:
    """The text of the Dockerfile of a service that is built, None where it is not here; and its context.

    A context that is relative is so to `directory`.
    """
    options = _options(config)
    context = Path(directory, str(options.get("context") or "."))
    text = options.get("dockerfile_inline") or read(context / str(options.get("dockerfile") or "Dockerfile"))
    return (text if isinstance(text, str) else None), context


def stage_of(config: Mapping[str, object], directory: str = "/") -> Stage | None:
    """The stage that `build` names, else the last; None where it is not built, or that cannot be told."""
    if config.get("build") is None:
        return None
    text, context = dockerfile(config, directory)
    found = None if text is None or "<<" in text else _stages(text, _options(config))
    return Stage(found[0], tuple(found[1]), context) if found else None


def command_words(rest: str) -> tuple[str, ...]:
    """The words of a CMD or ENTRYPOINT, in either of its forms."""
    if rest.startswith("["):
        try:
            return tuple(str(word) for word in json.loads(rest))
        except ValueError:
            return ()
    return ("/bin/sh", "-c", rest)


def _options(config: Mapping[str, object]) -> Mapping[str, object]:
    build = config.get("build")
    return build if isinstance(build, Mapping) else {"context": build}


def _stages(text: str, options: Mapping[str, object]) -> tuple[str, list[Instruction]] | None:
    """The image below the stage that is built, and the stage's instructions from the base upwards."""
    given = options.get("args")
    arguments = {str(k): str(v) for k, v in given.items() if v is not None} if isinstance(given, Mapping) else {}
    stages: dict[str, tuple[str, list[Instruction]]] = {}
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


def _instructions(text: str) -> Iterator[Instruction]:
    for line in _CONTINUED.sub(" ", text).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word and not word.startswith("#"):
            yield word.upper(), rest.strip()
