"""`sh -c "…"`: finds the one command of the script that starts the server, and puts settings behind its arguments.

What cannot be read with certainty (substitutions, here-documents, several servers, `su -c`) is refused, never guessed.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from nftui.model.dataclass import dataclass
from nftui.optimizations._command.flags import Syntax, appended, edits, last_values
from nftui.optimizations._command.words import UnsafeText, braces_end

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNREADABLE = ("`", "$(", "<<", "<(", ">(", "((", "[[")
_SEPARATORS = ";&|()\n"
_KEYWORDS = {"exec", "then", "do", "else", "{", "!", "time", "nohup", "command"}
_RUN_AS = {"gosu", "su-exec", "setpriv"}


@dataclass(slots=True)
class Word:
    """A word of a script: `value` without quotes, and where it stands in the text."""

    value: str
    start: int
    end: int


@dataclass(slots=True)
class Simple:
    """A simple command: its words without redirections; `end` is where arguments may be added."""

    words: list[Word] = field(default_factory=list)
    redirected: bool = False
    end: int = 0

    def add(self, word: Word) -> None:
        """Take a word; those behind a redirection do not move the place for new arguments."""
        self.words.append(word)
        if not self.redirected:
            self.end = word.end


class _Scanner:
    """Reads a script into simple commands; raises UnsafeText where it meets what it does not know."""

    def __init__(self, text: str) -> None:
        if any(mark in text for mark in _UNREADABLE):
            raise UnsafeText("a substitution, an arithmetic or a here-document")
        self.text, self.i = text, 0
        self.commands: list[Simple] = [Simple()]

    def scan(self) -> list[Simple]:
        """Every simple command that has words."""
        while self.i < len(self.text):
            self._step()
        return [c for c in self.commands if c.words]

    def _step(self) -> None:
        c = self.text[self.i]
        if self.text.startswith("\\\n", self.i):
            self.i += 2
        elif c in " \t\r":
            self.i += 1
        elif c == "#":
            end = self.text.find("\n", self.i)
            self.i = len(self.text) if end < 0 else end
        elif c in "<>" or self.text.startswith("&>", self.i):
            self._redirection()
        elif c in _SEPARATORS:
            self.commands.append(Simple())
            self.i += 1
        else:
            self._word_or_descriptor()

    def _redirection(self) -> None:
        while self.i < len(self.text) and self.text[self.i] in "<>&|":
            self.i += 1
        while self.i < len(self.text) and self.text[self.i] in " \t":
            self.i += 1
        self._word()
        self.commands[-1].redirected = True

    def _word_or_descriptor(self) -> None:
        word = self._word()
        if word.value.isdigit() and self.text[self.i : self.i + 1] in ("<", ">") and self.i == word.end:
            self._redirection()
        else:
            self.commands[-1].add(word)

    def _word(self) -> Word:
        start, value, quote = self.i, "", ""
        while self.i < len(self.text):
            c = self.text[self.i]
            if not quote and (c in " \t\r<>" or c in _SEPARATORS):
                break
            value, quote = self._character(c, value, quote)
        if quote:
            raise UnsafeText("an open quote")
        return Word(value, start, self.i)

    def _character(self, c: str, value: str, quote: str) -> tuple[str, str]:
        if self.text.startswith("${", self.i) and quote != "'":
            end = braces_end(self.text, self.i)
            piece, self.i = self.text[self.i : end], end
            return value + piece, quote
        self.i += 1
        if c == "\\" and quote != "'":
            self.i += 1
            following = self.text[self.i - 1 : self.i]
            return value + ("" if following == "\n" else following), quote
        if c in "'\"" and (not quote or quote == c):
            return value, "" if quote else c
        return value + c, quote


def _arguments(syntax: Syntax, command: Simple) -> list[Word] | None:
    """The server's arguments where this command starts one, else None."""
    words = list(command.words)
    while words and (words[0].value in _KEYWORDS or _is_assignment(words[0].value)):
        words.pop(0)
    if len(words) > 2 and _base(words[0].value) in _RUN_AS and not words[1].value.startswith("-"):
        words = words[2:]
    if words and _base(words[0].value) == "docker-entrypoint.sh":
        words.pop(0)
        if words and syntax.is_argument(words[0].value):
            return words
    return words[1:] if words and _base(words[0].value) in syntax.programs else None


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _is_assignment(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and name.isidentifier()


def _server(syntax: Syntax, text: str) -> tuple[Simple, list[Word]]:
    found = [(c, a) for c in _Scanner(text).scan() if (a := _arguments(syntax, c)) is not None]
    if len(found) != 1:
        name = syntax.programs[0]
        raise UnsafeText(f"no command that starts {name}" if not found else f"several commands that start {name}")
    return found[0]


def script_flags(syntax: Syntax, script: str) -> dict[str, str]:
    """Settings that the script gives the server."""
    return last_values(syntax, [word.value for word in _server(syntax, script)[1]])


def merge_script(syntax: Syntax, source: str, actual: str, settings: Mapping[str, str]) -> str:
    """The script with our settings behind the server's arguments, before any redirection or operator."""
    command, arguments = _server(syntax, source)
    values = [word.value for word in _server(syntax, actual)[1]]
    if len(values) != len(arguments):
        raise UnsafeText("a variable that Compose turns into several words")
    changes: list[tuple[int, int, str]] = []

    def put(start: int, end: int, text: str) -> None:
        changes.append((arguments[start].start, arguments[end - 1].end, text))

    done = edits(syntax, values, settings, put)
    more = appended(syntax, settings, done)
    if more:
        changes.append((command.end, command.end, " " + " ".join(more)))
    for start, end, text in sorted(changes, reverse=True):
        source = source[:start] + text + source[end:]
    return source
