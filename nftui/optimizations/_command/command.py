"""A service's `command`, rebuilt whole: the operator's own arguments in order, our settings among them.

Compose replaces the image's CMD by `command`, so whatever is not written again is lost (databases reference 1.4, 7).
Everything here is Compose source text: what the operator interpolates stays `${…}`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from nftui.model.dataclass import dataclass
from nftui.model.message import Message, msg
from nftui.optimizations._command.flags import Syntax, appended, last_values, merge_words
from nftui.optimizations._command.shell import merge_script, script_flags
from nftui.optimizations._command.words import UnsafeText, agrees, escape, split_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nftui.model.stack import Container, Service

_SHELLS = {"sh", "bash", "ash", "dash"}
_RUN_AS = {"gosu", "su-exec"}
_INITS = {"tini", "dumb-init"}
_WRAPPER = "docker-entrypoint.sh"


class CannotMerge(Exception):
    """This command cannot be rebuilt with certainty; `message` says why."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


class Place(StrEnum):
    """Where the server's arguments stand."""

    ARGUMENTS = "arguments"
    SCRIPT = "script"


@dataclass(frozen=True, slots=True)
class Command:
    """What starts the server: source and actual words, and the index of its first argument or of the script."""

    source: tuple[str, ...]
    actual: tuple[str, ...]
    place: Place
    index: int
    text: str | None = None
    """The source string where it cannot be split as Compose does after interpolation: settings go to its end."""
    fixed: tuple[str, ...] = ()
    """Arguments that the entrypoint gives before these."""
    named: bool = False
    """The entrypoint names the server: its program must not stand before these again."""


def read_command(syntax: Syntax, service: Service) -> Command:
    """How the declared service starts its server. Raises CannotMerge."""
    source, actual, text = _words(service)
    if service.entrypoint:
        return _behind_entrypoint(syntax, source, actual, text, service.entrypoint)
    if not actual:
        source, actual = _image_command(syntax, service)
    entrypoint = _image_entrypoint(service)
    if entrypoint and (not actual or _is_shell(entrypoint) or _first_argument(syntax, entrypoint) is not None):
        return _behind_entrypoint(syntax, source, actual, text, entrypoint)
    return _located(syntax, source, actual, text)


def declared_flags(syntax: Syntax, service: Service) -> dict[str, str]:
    """Settings that the operator's command, else the image's own, gives the server (name to the text); {} where it
    cannot be read."""
    try:
        command = read_command(syntax, service) if _is_told(service) else None
        if command is None:
            return {}
        if command.place is Place.SCRIPT:
            return script_flags(syntax, command.actual[command.index])
    except (CannotMerge, UnsafeText):
        return last_values(syntax, service.command or ())
    return last_values(syntax, [*command.fixed, *command.actual[command.index :]])


def shows_flags(syntax: Syntax, service: Service) -> bool:
    """Whether the operator's command shows everything that it gives the server; not a script that counts first."""
    try:
        command = read_command(syntax, service) if _is_told(service) else None
        if command is not None and command.place is Place.SCRIPT:
            script_flags(syntax, command.actual[command.index])
    except (CannotMerge, UnsafeText):
        return False
    return True


def running_flags(syntax: Syntax, service: Service) -> dict[str, str]:
    """Settings among the running container's own words, nftui's too; what its entrypoint or a variable adds is not
    there."""
    container = service.running
    words = container.command if container else ()
    script = words[2] if len(words) > 2 and _is_shell(words) else None
    if container and len(container.entrypoint) == 2 and _is_shell(container.entrypoint) and words:
        script = words[0]
    if script is None:
        return last_values(syntax, words)
    try:
        return script_flags(syntax, script)
    except UnsafeText:
        return {}


def source_of(syntax: Syntax, service: Service, name: str) -> str | None:
    """What the operator wrote as the value of that setting, before any variable is filled in; None where none is
    to be seen."""
    try:
        command = read_command(syntax, service)
        if command.text is not None:
            return None
        if command.place is Place.SCRIPT:
            return script_flags(syntax, command.source[command.index]).get(name)
    except (CannotMerge, UnsafeText):
        return None
    return last_values(syntax, [*command.fixed, *command.source[command.index :]]).get(name)


def merge(syntax: Syntax, service: Service, settings: Mapping[str, str]) -> str | list[str]:
    """The whole `command` with those settings. Raises CannotMerge."""
    command = read_command(syntax, service)
    i = command.index
    if command.text is not None:
        return f"{command.text.rstrip()} {' '.join(appended(syntax, settings, set()))}"
    if command.place is Place.ARGUMENTS:
        return [*command.source[:i], *merge_words(syntax, command.source[i:], command.actual[i:], settings)]
    try:
        script = merge_script(syntax, command.source[i], command.actual[i], settings)
    except UnsafeText as error:
        raise _unsafe(error) from error
    return [*command.source[:i], script, *command.source[i + 1 :]]


def _unsafe(error: UnsafeText) -> CannotMerge:
    return CannotMerge(
        msg("its command holds {what}, so nothing can be added to it safely; add the flags there.", what=error)
    )


def _words(service: Service) -> tuple[tuple[str, ...], tuple[str, ...], str | None]:
    """Source words, actual words, and the source string where the two cannot be matched word by word."""
    actual = service.command or ()
    raw = service.raw.get("command")
    if raw is None or raw == [] or raw == "":
        return tuple(escape(word) for word in actual), actual, None
    if isinstance(raw, str):
        return _string_words(raw, actual)
    source = tuple(str(word) for word in raw) if isinstance(raw, (list, tuple)) else ()
    actual = actual or tuple(word.replace("$$", "$") for word in source)
    if len(source) != len(actual) or not all(agrees(s, a) for s, a in zip(source, actual, strict=True)):
        raise CannotMerge(msg("its command in the file differs from what Compose resolves."))
    return source, actual, None


def _string_words(raw: str, actual: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...], str | None]:
    try:
        source = tuple(split_source(raw))
    except UnsafeText as error:
        raise _unsafe(error) from error
    actual = actual or tuple(word.replace("$$", "$") for word in source)
    if len(source) == len(actual) and all(agrees(s, a) for s, a in zip(source, actual, strict=True)):
        return source, actual, None
    return source, actual, raw


def _container(service: Service) -> Container | None:
    return service.running or (service.containers[0] if service.containers else None)


def _is_told(service: Service) -> bool:
    """Whether it is known what starts the server: it is declared, or the image's own words were read."""
    container = _container(service)
    return bool(service.command or service.entrypoint) or bool(container and container.image_command is not None)


def _image_entrypoint(service: Service) -> tuple[str, ...]:
    """The image's own, of a service that declares none; () where it was not read."""
    container = _container(service)
    return container.entrypoint if container is not None else ()


def _image_command(syntax: Syntax, service: Service) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the image gives its entrypoint, as source and as it is. Raises CannotMerge where it is not known."""
    container = _container(service)
    words = container.image_command if container is not None else None
    if words is None and container is not None and container.command:
        words = tuple(_without_ours(syntax, container.command))
    if words is None or not (words or _image_entrypoint(service)):
        words = syntax.stock(service)
        if not words:
            raise CannotMerge(msg("what its image starts by itself is not known; write it as the service's command."))
    return tuple(escape(word) for word in words), words


def _without_ours(syntax: Syntax, command: Sequence[str]) -> Sequence[str]:
    """A running command without the settings at its end that nftui may have put there."""
    end = len(command)
    for flag in reversed(syntax.read(command)):
        if flag.end != end or flag.name not in syntax.ours:
            break
        end = flag.start
    return command[:end]


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _is_shell(words: Sequence[str]) -> bool:
    return len(words) >= 2 and _base(words[0]) in _SHELLS and words[1].startswith("-") and words[1].endswith("c")


def _located(syntax: Syntax, source: tuple[str, ...], actual: tuple[str, ...], text: str | None) -> Command:
    """The command behind the image's own entrypoint. Raises CannotMerge."""
    if syntax.is_argument(actual[0]):
        return Command(source, actual, Place.ARGUMENTS, 0, text)
    if _is_shell(actual) and len(actual) >= 3:
        return _script(syntax, source, actual, text, 2)
    i = 0
    if _base(actual[0]) in _RUN_AS and len(actual) > 2:
        i = 2
    if _base(actual[i]) == _WRAPPER:
        i += 1
    if i < len(actual) and i and syntax.is_argument(actual[i]):
        return Command(source, actual, Place.ARGUMENTS, i, text)
    if i < len(actual) and _base(actual[i]) in syntax.programs:
        return Command(source, actual, Place.ARGUMENTS, i + 1, text)
    raise CannotMerge(
        msg("its command starts {program}, not {server}; add the flags there.",
            program=actual[0], server=syntax.programs[0])
    )  # fmt: skip


def _script(syntax: Syntax, source: tuple[str, ...], actual: tuple[str, ...], text: str | None, index: int) -> Command:
    if text is not None:
        raise CannotMerge(msg("its command holds a variable that Compose turns into several words."))
    try:
        script_flags(syntax, actual[index])
        merge_script(syntax, source[index], actual[index], {})
    except UnsafeText as error:
        raise _unsafe(error) from error
    return Command(source, actual, Place.SCRIPT, index)


def _first_argument(syntax: Syntax, entrypoint: Sequence[str]) -> int | None:
    """Index behind the program that an entrypoint names, or leaves to docker-library's script; None where it starts
    what it is given."""
    names, i = [_base(word) for word in entrypoint], 0
    if names[0] in _INITS:
        i = next((n for n, name in enumerate(names) if n and not name.startswith("-")), len(names))
    if i < len(names) and names[i] in _RUN_AS:
        i += 2
    if _WRAPPER in names[i : i + 2]:
        i = names.index(_WRAPPER, i) + 1
        if i < len(names) and syntax.is_argument(entrypoint[i]):
            return i
    return i + 1 if i < len(names) and names[i] in syntax.programs else None


def _behind_entrypoint(
    syntax: Syntax, source: tuple[str, ...], actual: tuple[str, ...], text: str | None, entrypoint: tuple[str, ...]
) -> Command:
    """The command behind an entrypoint that the operator or the image's author wrote. Raises CannotMerge."""
    if _is_shell(entrypoint):
        if len(entrypoint) == 2 and actual:
            return _script(syntax, source, actual, text, 0)
        raise CannotMerge(msg("its entrypoint starts the server through a shell; add the flags there."))
    first = _first_argument(syntax, entrypoint)
    if first is not None:
        return Command(source, actual, Place.ARGUMENTS, 0, text, fixed=entrypoint[first:], named=True)
    if not actual:
        raise CannotMerge(
            msg("its own entrypoint {program} starts the server; add the flags there.", program=entrypoint[0])
        )
    if _base(entrypoint[-1]) == _WRAPPER or _base(actual[0]) in {*syntax.programs, _WRAPPER}:
        return _located(syntax, source, actual, text)
    raise CannotMerge(msg("its own entrypoint {program} hides how the server starts.", program=entrypoint[0]))
