"""The command that starts a Redis, rebuilt whole with our settings among its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.catalog.lookup import families_of
from nftui.catalog.references import parse_reference
from nftui.model.patterns import regex
from nftui.optimizations._command import command
from nftui.optimizations._command.flags import Flag, Syntax, last_values
from nftui.optimizations.redis.knobs import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nftui.model.stack import Service

_OPTION = regex(r"--[A-Za-z]")
_PROGRAMS = {"redis-official": "redis-server", "valkey-official": "valkey-server", "keydb": "keydb-server"}
"""Families whose CMD is their program alone."""


def read_flags(arguments: Sequence[str]) -> list[Flag]:
    """`--name value value …`, as the server joins them; what stands before the first option is its configuration.

    Also "--name value" in one word. Several `--save` add up.
    """
    starts = [i for i, word in enumerate(arguments) if _OPTION.match(word)]
    found: list[Flag] = []
    for number, start in enumerate(starts, start=1):
        end = starts[number] if number < len(starts) else len(arguments)
        name, _, rest = arguments[start][2:].partition(" ")
        values = [*([rest] if rest else []), *arguments[start + 1 : end]]
        found.append(Flag(name.lower(), " ".join(values), start, end))
    return found


def written(name: str, value: str) -> list[str]:
    """The words that set it; of the settings here two have values of several words.

    Each pair of save points stands apart, as its three words: before 6.2 all else is passed over without a word.
    """
    if name == "save":
        words = value.split() or ['""']
        return [word for i in range(0, len(words), 2) for word in ("--save", *words[i : i + 2])]
    return [f"--{name}", *(value.split() if name == "replicaof" else [value])]


def _stock(service: Service) -> tuple[str, ...]:
    if service.config.get("build") is not None:
        return ()
    families = families_of(parse_reference(service.image or ""))
    program = next((_PROGRAMS[f.id] for f in families if f.id in _PROGRAMS), None)
    return (program,) if program else ()


_SYNTAX = Syntax(("redis-server", "valkey-server", "keydb-server"), read_flags, written, SETTINGS, _stock, ".conf")


def declared_flags(service: Service) -> dict[str, str]:
    """Settings that the operator's command gives the server; {} where it cannot be read."""
    return command.declared_flags(_SYNTAX, service)


def running_flags(service: Service) -> dict[str, str]:
    """Settings that the running container's command gives it, the operator's and nftui's."""
    container = service.running
    return last_values(_SYNTAX, container.command) if container else {}


def source_of(service: Service, name: str) -> str | None:
    """What the operator wrote as the value of that setting, variables not filled in."""
    return command.source_of(_SYNTAX, service, name)


def program(service: Service) -> str | None:
    """The server's program, where it is started by its name and options alone; None where more stands around them."""
    if service.entrypoint:
        return None
    try:
        found = command.read_command(_SYNTAX, service)
    except command.CannotMerge:
        return None
    before = found.source[: found.index] or _stock(service) or _SYNTAX.programs[:1]
    plain = found.place is command.Place.ARGUMENTS and found.text is None and not found.named
    if not plain or len(before) > 1:
        return None
    return before[0]


def started_words(service: Service, command: object) -> list[str]:
    """The program and its options, where `program` names it; the image's entrypoint may have been left to do so."""
    assert isinstance(command, list)  # `program` looked.
    words, name = [str(word) for word in command], str(program(service))
    return words if words[:1] == [name] else [name, *words]


def starts(image: str, name: str) -> bool:
    """Whether that is an official image, whose own script starts that program as the user whose the data is."""
    return any(_PROGRAMS.get(family.id) == name for family in families_of(parse_reference(image)))


def merge(service: Service, settings: Mapping[str, str]) -> str | list[str]:
    """The whole `command` with those settings. Raises CannotMerge."""
    return command.merge(_SYNTAX, service, settings)
