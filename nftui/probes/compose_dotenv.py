"""`.env` and `env_file` files, as Compose reads them, with the line of every key.

Source: compose-go dotenv/parser.go. A line that Compose refuses is noted and skipped; the rest is still read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from nftui.model.dataclass import dataclass
from nftui.model.patterns import regex
from nftui.model.stack import Place
from nftui.probes.compose_nodes import At
from nftui.probes.compose_template import Interpolator, Invalid, Ledger

MAX_BYTES = 4 * 1024 * 1024
"""Linux refuses to start a process with more environment than about 2 MiB (execve, E2BIG)."""

# Go's isSpace: blanks that do not end a line.
_BLANK = " \t\v\f\r\x85\xa0"
_SKIP = regex(r"(?:\s|#[^\n]*)*")
_BROKEN = "\N{REPLACEMENT CHARACTER}"
_COMMENT = regex(r"(?:^|\s)#.*")
_EXPORT = regex(r"export\s+")
_KEY = regex(r"[^=:\n]*")
_BAD_KEY = regex(rf"[^\w.\-\[\]{_BLANK}]")
_QUOTED = {
    '"': regex(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL),
    "'": regex(r"'([^'\\]*(?:\\.[^'\\]*)*)'", re.DOTALL),
}
_ESCAPE = regex(r'\\(?:[abcfnrtv$"\\]|0\d{0,3})')
_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    '"': '"',
    "\\": "\\",
    "$": "$$",
}


@dataclass(slots=True)
class EnvFile:
    """What one file defines."""

    values: dict[str, str] = field(default_factory=dict)
    raw: dict[str, str | None] = field(default_factory=dict)
    """The text before interpolation; None for a bare KEY, which takes the caller's value."""
    places: dict[str, Place] = field(default_factory=dict)


class _Lookup(dict[str, str]):
    """The caller's environment first, then what the file has defined so far."""

    def __init__(self, outer: Mapping[str, str], own: Mapping[str, str]) -> None:
        super().__init__()
        self.outer, self.own = outer, own

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        return self.outer.get(key, self.own.get(key, default))


def read_env_file(file: str, outer: Mapping[str, str], ledger: Ledger) -> EnvFile | None:
    """Read one file; None, and a problem in `ledger`, where it cannot be read."""
    try:
        with Path(file).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        ledger.problem("env-file-missing", f"the environment file {file} cannot be read: {what}", (file, 0))
        return None
    if len(data) > MAX_BYTES:
        what = f"the environment file {file} is larger than {MAX_BYTES // 1048576} MiB and is not read"
        ledger.problem("env-file-too-large", what, (file, 0))
        return None
    return parse_env(_decode(data, file, ledger), file, outer, ledger)


def _decode(data: bytes, file: str, ledger: Ledger) -> str:
    """Compose takes the bytes as they are: a comment in another encoding harms nobody."""
    text = data.decode("utf-8-sig", errors="replace")
    for line, words in enumerate(text.split("\n"), 1):
        if _BROKEN in words and _BROKEN in _COMMENT.sub("", words):
            what = f"the environment file {file} is not valid UTF-8 at line {line}"
            ledger.problem("env-file-invalid", what, (file, line))
            break
    return text


def parse_env(text: str, file: str, outer: Mapping[str, str], ledger: Ledger) -> EnvFile:
    """The values that `text` defines; `outer` is the environment it may refer to."""
    return _Parser(text, file, outer, ledger).parse()


class _Parser:
    """One pass over the text."""

    def __init__(self, text: str, file: str, outer: Mapping[str, str], ledger: Ledger) -> None:
        self.text, self.file, self.ledger = text, file, ledger
        self.outer = outer
        self.result = EnvFile()
        self.interpolator = Interpolator(_Lookup(outer, self.result.values), ledger)
        self.counted, self.line = 0, 1

    def parse(self) -> EnvFile:
        index = 0
        while True:
            index = self._end(_SKIP, index)
            if index >= len(self.text):
                return self.result
            index = self._statement(index)

    def _end(self, pattern: re.Pattern[str], index: int) -> int:
        found = pattern.match(self.text, index)
        return found.end() if found else index

    def _at(self, index: int) -> At:
        self.line += self.text.count("\n", self.counted, index)
        self.counted = index
        return self.file, self.line

    def _statement(self, index: int) -> int:
        """Read the definition at `index`; returns where the next one may begin."""
        at = self._at(index)
        index = self._end(_EXPORT, index)
        end = self._end(_KEY, index)
        key = self.text[index:end].rstrip()
        if not key or _BAD_KEY.search(key) or " " in key:
            return self._refuse(index, at, "this is not a KEY=value definition")
        if end >= len(self.text) or self.text[end] == "\n":
            self._inherit(key, at)
            return end
        start = end + 1
        while start < len(self.text) and self.text[start] in _BLANK:
            start += 1
        quote = self.text[start : start + 1]
        if quote in _QUOTED:
            return self._quoted(key, at, quote, start)
        return self._unquoted(key, at, start)

    def _refuse(self, index: int, at: At, what: str) -> int:
        # One line is enough to say that the file is not what Compose expects.
        if not any(p.id == "env-file-invalid" and p.place and p.place.file == at[0] for p in self.ledger.problems):
            self.ledger.problem("env-file-invalid", f"line {at[1]} of {self.file}: {what}", at)
        end = self.text.find("\n", index)
        return len(self.text) if end < 0 else end

    def _inherit(self, key: str, at: At) -> None:
        self.ledger.refer(key, at)
        self.result.raw[key] = None
        self.result.places[key] = Place(*at)
        value = self.outer.get(key)
        if value is not None:
            self.result.values[key] = value

    def _unquoted(self, key: str, at: At, start: int) -> int:
        end = self.text.find("\n", start)
        end = len(self.text) if end < 0 else end
        # Compose cuts a comment only after a blank: `A=x#y` keeps all of it.
        value = self.text[start:end].split(" #", 1)[0].rstrip()
        self._define(key, at, value, value)
        return end

    def _quoted(self, key: str, at: At, quote: str, start: int) -> int:
        found = _QUOTED[quote].match(self.text, start)
        if not found:
            return self._refuse(start, at, f"the quoted value of {key} is not closed")
        raw = found.group(1).replace("\\" + quote, quote)
        if quote == '"':
            self._define(key, at, raw, _ESCAPE.sub(_unescaped, raw))
        else:
            self._set(key, at, raw, raw)
        return found.end()

    def _define(self, key: str, at: At, raw: str, template: str) -> None:
        try:
            value = self.interpolator.text(template, at)
        except Invalid as error:
            self.ledger.problem("env-file-invalid", f"line {at[1]} of {self.file}: {error}", at)
            value = template
        self._set(key, at, raw, value)

    def _set(self, key: str, at: At, raw: str, value: str) -> None:
        self.result.values[key] = value
        self.result.raw[key] = raw
        self.result.places[key] = Place(*at)


def _unescaped(found: re.Match[str]) -> str:
    sequence = found.group()[1:]
    if sequence[0] == "0":
        octal = re.fullmatch(r"[0-3][0-7]{2}", sequence[1:])
        return chr(int(octal.group(), 8)) if octal else found.group()
    return _ESCAPES.get(sequence, found.group())
