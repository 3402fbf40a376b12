"""Settings among the arguments of a server: read, replaced in place, appended; how they are written is its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from nftui.model.dataclass import dataclass
from nftui.model.stack import Service


@dataclass(frozen=True, slots=True)
class Flag:
    """One setting among the arguments: words `start` to `end` (exclusive) hold it."""

    name: str
    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Syntax:
    """How one kind of server is started."""

    programs: tuple[str, ...]
    """Names of its program, the usual one first."""
    read: Callable[[Sequence[str]], list[Flag]]
    """Every setting among its arguments, in order, under the name that `write` takes."""
    write: Callable[[str, str], list[str]]
    """The words that set one."""
    ours: Collection[str]
    """Settings that nftui may have put to the end of a running command."""
    stock: Callable[[Service], tuple[str, ...]]
    """The CMD of the service's image, () where it is not known."""
    config_suffix: str | None = None
    """A first argument that ends so is a configuration, and the image's entrypoint takes it without the program."""

    def is_argument(self, word: str) -> bool:
        """Whether the image's entrypoint puts the program before `word`."""
        return word.startswith("-") or (self.config_suffix is not None and word.endswith(self.config_suffix))


def last_values(syntax: Syntax, arguments: Sequence[str]) -> dict[str, str]:
    """Name to the text that wins: the server takes the last one."""
    return {flag.name: flag.value for flag in syntax.read(arguments)}


def merge_words(syntax: Syntax, source: Sequence[str], actual: Sequence[str], settings: Mapping[str, str]) -> list[str]:
    """Source words with our settings: replaced where the operator has the same one, the rest appended sorted."""
    merged: list[str] = []
    done, i = set(), 0
    flags = {flag.start: flag for flag in syntax.read(actual)}
    while i < len(source):
        flag = flags.get(i)
        if flag is not None and flag.name in settings:
            merged += syntax.write(flag.name, settings[flag.name]) if flag.name not in done else []
            done.add(flag.name)
        else:
            merged += source[i : flag.end if flag else i + 1]
        i = flag.end if flag else i + 1
    return merged + appended(syntax, settings, done)


def appended(syntax: Syntax, settings: Mapping[str, str], done: set[str]) -> list[str]:
    """Words for those that nothing has set yet."""
    return [word for name in sorted(settings) if name not in done for word in syntax.write(name, settings[name])]


def edits(
    syntax: Syntax, arguments: Sequence[str], settings: Mapping[str, str], put: Callable[[int, int, str], None]
) -> set[str]:
    """Call `put(start, end, words)` for each flag to replace in a text; returns the names that were there."""
    done: set[str] = set()
    for flag in syntax.read(arguments):
        if flag.name in settings:
            put(flag.start, flag.end, " ".join(syntax.write(flag.name, settings[flag.name])))
            done.add(flag.name)
    return done
