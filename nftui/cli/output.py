"""stdout holds the result, stderr the talk. Everything passes redaction, and no control character gets through."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import TextIO, cast

from nftui.cli.i18n import _
from nftui.model.patterns import regex
from nftui.system.durable import write_bytes

Redact = Callable[[object], object]
Line = str | tuple[str, str]
"""A line, or a line and its style."""

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_CONTROL = {c: "?" for c in [*range(32), *range(127, 160)] if chr(c) not in "\n\t"}
_CREDENTIALS = regex(r"(?<=://)[^/\s@'\"]*:[^/\s'\"]*@")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A file that is cut short does not tell by itself; a reader that went away knows."""
MASK = "••••••"


def mask_urls(data: object) -> object:
    """What is hidden before a session knows the project's secrets: credentials in URLs."""
    if isinstance(data, str):
        return _CREDENTIALS.sub(f"{MASK}@", data)
    if isinstance(data, dict):
        return {k: mask_urls(v) for k, v in data.items()}
    return [mask_urls(v) for v in data] if isinstance(data, list) else data


def plain(data: object) -> object:
    """Model objects as what JSON knows: dicts, lists, strings, numbers."""
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        return {f.name: plain(getattr(data, f.name)) for f in dataclasses.fields(data)}
    if isinstance(data, Enum):
        return data.value
    if isinstance(data, Mapping):
        return {str(k): plain(v) for k, v in data.items()}
    if isinstance(data, (list, tuple, set, frozenset)):
        return [plain(v) for v in data]
    return data if isinstance(data, (str, int, float, bool, type(None))) else str(data)


class Output:
    """The two streams of one call."""

    def __init__(self, verb: str, *, as_json: bool, colour: bool, live: bool, verbose: bool) -> None:
        self.verb, self.as_json, self.verbose = verb, as_json, verbose
        self.colour, self.live = colour, live
        self.redact: Redact = mask_urls
        self._told = False
        self._pending = False

    def document(self, data: Mapping[str, object]) -> None:
        """The one JSON document on stdout (with --json only)."""
        if self.as_json:
            self.raw_json({"schema": f"nftui/{self.verb}/1", **data})

    def raw_json(self, data: object) -> None:
        """A JSON document as it is, after redaction."""
        self._told = True
        text = json.dumps(self.redact(plain(data)), indent=2, ensure_ascii=not _is_utf8(sys.stdout))
        self._write(sys.stdout, text + "\n")

    def text(self, lines: Iterable[Line]) -> None:
        """The result in words, on stdout (without --json only)."""
        if not self.as_json:
            for line in lines:
                self._line(sys.stdout, line)

    def tell(self, *lines: Line) -> None:
        """Talk, on stderr."""
        self.wipe()
        for line in lines:
            self._line(sys.stderr, line)

    def passing(self, text: str) -> None:
        """What is awaited now: one line that the next one replaces; on a terminal only."""
        if self.live:
            width = _width()
            self._pending = True
            self._write(sys.stderr, "\r\x1b[K" + self.clean(text).replace("\n", " ")[: width - 1])

    def wipe(self) -> None:
        """Take the passing line away."""
        if self._pending:
            self._pending = False
            self._write(sys.stderr, "\r\x1b[K")

    def error(self, text: str, code: int) -> None:
        """One line on stderr; with --json also the document, unless it was already given."""
        if self.as_json and not self._told:
            self.document({"error": {"message": self.clean(text), "code": int(code)}})
        self.tell((f"nftui: {text}", "red") if self.colour else f"nftui: {text}")

    def clean(self, text: str) -> str:
        """Without secrets, and without anything that a terminal would obey."""
        return cast("str", self.redact(text)).translate(_CONTROL)

    def _line(self, stream: TextIO, line: Line) -> None:
        text, style = (line, "") if isinstance(line, str) else line
        text = self.clean(text)
        if style and self.colour and is_terminal(stream):
            text = f"\x1b[{_STYLES[style]}m{text}\x1b[0m"
        self._write(stream, text + "\n")

    def _write(self, stream: TextIO | None, text: str) -> None:
        """A reader that went away (a closed pipe, a lost terminal) must not change what the verb does."""
        if stream is None:
            return
        encoding = stream.encoding or "utf-8"
        try:
            stream.write(text.encode(encoding, "replace").decode(encoding))
            stream.flush()
        except (OSError, ValueError) as error:
            _silence(stream)
            if isinstance(error, OSError) and error.errno in _NO_ROOM and stream is sys.stdout:
                self.tell(_("nftui: the result could not be written whole: {why}.").format(why=error.strerror))


def is_terminal(stream: object) -> bool:
    """False also for a stream that is closed or missing (started by a service manager)."""
    try:
        return bool(stream.isatty())  # type: ignore[attr-defined]
    except (AttributeError, ValueError):
        return False


def _is_utf8(stream: TextIO | None) -> bool:
    return stream is not None and "utf" in (stream.encoding or "").lower()


def _silence(stream: TextIO) -> None:
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    except (OSError, ValueError):
        pass


def _width() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def wants_colour(environ: Mapping[str, str], *, refused: bool) -> bool:
    """A terminal, and nobody said no: --no-color, NO_COLOR, TERM=dumb."""
    if refused or environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return False
    return is_terminal(sys.stdout) or is_terminal(sys.stderr)


def table(rows: Iterable[tuple[str, ...]], indent: str = "  ") -> list[str]:
    """Columns padded to the widest cell; the last one is left as it is."""
    cells = [tuple(row) for row in rows]
    if not cells:
        return []
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return [(indent + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True))).rstrip() for row in cells]


def write_private(path: Path, text: str, own: re.Pattern[str]) -> None:
    """Write `text` to a file, whole or not at all, mode 0600; through a link, and into a device or pipe as it is.

    Raises OSError, also where something else than a file with `own` in it would be replaced.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    target = Path(os.path.realpath(path))
    if target.exists() and not _may_go(target, own):
        raise FileExistsError(errno.EEXIST, _("it holds something else, which is not overwritten"), str(path))
    write_bytes(target, text.encode())


def _may_go(path: Path, own: re.Pattern[str]) -> bool:
    """Empty, or of nftui's own writing: a slip of the hand must not cost a Compose file."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return not text.strip() or own.search(text) is not None
