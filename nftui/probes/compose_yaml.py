"""YAML text to nodes, as Compose's own YAML library (go-yaml 3) reads it, within a budget.

PyYAML's parser gives the events and the lines; composing is done here without recursion, because PyYAML's C composer
crashes the process on deep nesting, and with a count of what aliases expand to, because a few lines of anchors can
mean billions of nodes. Scalars follow YAML 1.2 as go-yaml does: `yes`, `on` and `22:22` are text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path
from typing import Any

import yaml

from nftui.model.dataclass import dataclass
from nftui.model.errors import UsageError
from nftui.model.message import msg
from nftui.probes.compose_nodes import At, Map, Node, Scalar, Seq

MAX_BYTES = 16 * 1024 * 1024
"""Larger files are not Compose files."""
MAX_NODES = 1_000_000
"""Nodes of one file with every alias expanded; 1000 services of real size need about 60,000."""
MAX_DEPTH = 100

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_INT = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]*|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_DATE = re.compile(r"(\d{4})-(\d\d?)-(\d\d?)(?:(?:[Tt]|\s+)(\d\d?):(\d\d?):(\d\d?)(?:\.\d+)?\s*Z?)?\Z")


@dataclass(slots=True)
class Document:
    """One YAML document: its tree and the keys marked `!reset` or `!override`."""

    root: Node | None
    resets: list[tuple[str, ...]] = field(default_factory=list)


@dataclass(slots=True)
class _Frame:
    """A mapping or list under construction."""

    at: At
    anchor: str | None
    tag: str | None
    mapping: bool
    items: dict[str, Node] = field(default_factory=dict)
    entries: list[Node] = field(default_factory=list)
    merges: list[Map] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)
    key: str | None = None
    key_line: int = 0
    size: int = 1


def unreadable(file: str, line: int | None, what: str) -> UsageError:
    """The one-line error for a file that cannot be parsed at all."""
    if line is None:
        return UsageError(msg("{file}: {what}", file=file, what=what))
    return UsageError(msg("{file}, line {line}: {what}", file=file, line=line, what=what))


def read_text(file: str, limit: int = MAX_BYTES) -> str:
    """The text of a YAML file; raises UsageError for what is no readable UTF-8 text file of fair size."""
    path = Path(file)
    try:
        if path.is_dir():
            raise unreadable(file, None, "is a directory")
        if path.exists() and not path.is_file():
            raise unreadable(file, None, "is not a regular file")
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise unreadable(file, None, f"cannot be read: {what}") from error
    if len(data) > limit:
        raise unreadable(file, None, f"is larger than {limit // (1024 * 1024)} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise unreadable(file, data.count(b"\n", 0, error.start) + 1, "is not valid UTF-8 text") from error


def parse(text: str, file: str) -> list[Document]:
    """The documents of a YAML text; raises UsageError with file, line and reason."""
    try:
        return list(_Builder(file).documents(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise unreadable(file, mark.line + 1 if mark else None, _reason(error)) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else None
        raise unreadable(file, line, "holds a character that YAML forbids (a binary file?)") from error
    except yaml.YAMLError as error:
        raise unreadable(file, None, " ".join(str(error).split())) from error


def _reason(error: yaml.MarkedYAMLError) -> str:
    parts = [part for part in (error.context, error.problem) if part]
    return "not valid YAML: " + ", ".join(parts)


def resolve_plain(text: str) -> object:
    """The value of an unquoted scalar by go-yaml's rules."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    number = text.replace("_", "")
    if _INT.match(number):
        return _whole(number)
    if _FLOAT.match(number):
        value = float(number)
        return text if math.isinf(value) else value
    return _date(text)


def _whole(number: str) -> int | float:
    """Base as Go's strconv sees it: a leading 0 is octal. Beyond 64 bits it becomes a float."""
    digits = number.lstrip("+-")
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        digits = "0o" + digits[1:]
    value = int(digits, 0)
    if value >= 1 << 64:
        return float(number)
    return -value if number[0] == "-" else value


def _date(text: str) -> str:
    """An unquoted date is a timestamp to go-yaml, and is printed as Go prints one."""
    found = _DATE.match(text)
    if not found:
        return text
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60):
        return text
    return f"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} +0000 UTC"


def _value(event: Any) -> object:
    """The typed value of a scalar event."""
    tag = event.tag
    if tag is None or tag == "!":
        return resolve_plain(event.value) if not event.style and tag is None else event.value
    if tag == "tag:yaml.org,2002:str" or not tag.startswith("tag:yaml.org,2002:"):
        return event.value
    return resolve_plain(event.value)


class _Builder:
    """Turns the events of one file into documents."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.stack: list[_Frame] = []
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.document = Document(None)
        self.total = 0

    def documents(self, text: str) -> Iterator[Document]:
        for event in yaml.parse(text, Loader=_LOADER):
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self.scalar(event)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self.open(event, kind is yaml.MappingStartEvent)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self.close()
            elif kind is yaml.AliasEvent:
                self.alias(event)
            elif kind is yaml.DocumentStartEvent:
                self.document, self.anchors = Document(None), {}
            elif kind is yaml.DocumentEndEvent:
                yield self.document

    def fail(self, line: int, what: str) -> UsageError:
        return unreadable(self.file, line, what)

    def scalar(self, event: Any) -> None:
        frame = self.stack[-1] if self.stack else None
        value = _value(event)
        line = event.start_mark.line + 1
        if frame is not None and frame.mapping and frame.key is None:
            if event.anchor:
                self.anchors[event.anchor] = (Scalar(value, value, (self.file, line)), 1)
            self.take_key(frame, value, line, event.value)
            return
        if frame is not None and frame.key is not None:
            line = frame.key_line
        node = Scalar(value, value, (self.file, line))
        if event.anchor:
            self.anchors[event.anchor] = (node, 1)
        self.add(node, 1, event.tag)

    def take_key(self, frame: _Frame, value: object, line: int, text: str) -> None:
        if not isinstance(value, str):
            raise self.fail(line, f"the key {text!r} is not text: put it in quotes")
        if value in frame.lines:
            raise self.fail(line, f"the key {value!r} is already defined at line {frame.lines[value]}")
        frame.lines[value] = line
        frame.key, frame.key_line = value, line

    def open(self, event: Any, mapping: bool) -> None:
        line = event.start_mark.line + 1
        parent = self.stack[-1] if self.stack else None
        if parent is not None and parent.mapping and parent.key is None:
            raise self.fail(line, "a key is a list or a mapping, not text")
        if len(self.stack) >= MAX_DEPTH:
            raise self.fail(line, f"is nested deeper than {MAX_DEPTH} levels")
        if parent is not None and parent.key is not None:
            line = parent.key_line
        self.anchors.pop(event.anchor or "", None)
        self.stack.append(_Frame((self.file, line), event.anchor, event.tag, mapping))

    def close(self) -> None:
        frame = self.stack.pop()
        node: Node = Map(_merged(frame), frame.at) if frame.mapping else Seq(frame.entries, frame.at)
        if frame.anchor:
            self.anchors[frame.anchor] = (node, frame.size)
        self.add(node, frame.size, frame.tag)

    def alias(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if event.anchor not in self.anchors:
            inside = any(frame.anchor == event.anchor for frame in self.stack)
            what = "contains itself" if inside else "is not defined before it is used"
            raise self.fail(line, f"the anchor {event.anchor!r} {what}")
        node, size = self.anchors[event.anchor]
        frame = self.stack[-1]
        if frame.mapping and frame.key is None:
            self.take_key(frame, node.value if isinstance(node, Scalar) else None, line, "*" + event.anchor)
            return
        if frame.key is not None and frame.key != "<<":
            node = node.moved((self.file, frame.key_line))
        self.add(node, size, None)

    def add(self, node: Node, size: int, tag: str | None) -> None:
        """Put a finished node where it belongs; refuse what expands beyond the budget."""
        frame = self.stack[-1] if self.stack else None
        if tag in ("!reset", "!override"):
            self.document.resets.append(self.path())
            if tag == "!reset":
                if frame is not None:
                    frame.key = None
                return
        if frame is None:
            self.document.root = node
            return
        frame.size += size
        if frame.size > MAX_NODES:
            raise self.fail(frame.at[1], f"expands to more than {MAX_NODES:,} values (too large, or anchors gone wild)")
        if not frame.mapping:
            frame.entries.append(node)
        elif frame.key == "<<":
            self.take_merge(frame, node)
        elif frame.key is not None:
            frame.items[frame.key] = node
        frame.key = None

    def take_merge(self, frame: _Frame, node: Node) -> None:
        maps = node.items if isinstance(node, Seq) else [node]
        for item in maps:
            if not isinstance(item, Map):
                raise self.fail(frame.key_line, "'<<' needs a mapping or a list of mappings")
            frame.merges.append(item)

    def path(self) -> tuple[str, ...]:
        return tuple(f.key if f.key is not None else f"[{len(f.entries)}]" for f in self.stack)


def _merged(frame: _Frame) -> dict[str, Node]:
    """Own keys win over merged ones; of several merged mappings the earlier wins (YAML 1.1 merge type)."""
    if not frame.merges:
        return frame.items
    items = dict(frame.items)
    for source in frame.merges:
        for key, node in source.items.items():
            items.setdefault(key, node)
    return items
