"""The shipped catalog, parsed already: YAML of its size takes 20 ms to read, JSON one.

`parsed.json` stands beside the YAML files and names each one's digest, so that it is never older than they are: a file
that was edited since is parsed as ever. Made anew by `python -m nftui.catalog`; a test tells when that is due.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from hashlib import sha256
from pathlib import Path

NAME = "parsed.json"
_DATE, _PAIRS = "!date", "!pairs"
"""What JSON has not: dates, and keys that are numbers. No key of YAML begins like that: it would be a tag."""


def read_parsed(directory: Path) -> dict[str, tuple[str, object]]:
    """File name to its digest and its document; {} where they cannot be read."""
    try:
        found = json.loads((directory / NAME).read_bytes(), object_hook=_plain)
        return {str(name): (str(digest), document) for name, (digest, document) in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_parsed(directory: Path, parse: Callable[[Path], object]) -> None:
    """Parse every file of the directory."""
    found = {p.name: (digest(p.read_bytes()), _tagged(parse(p))) for p in sorted(directory.glob("*.yaml"))}
    lines = (f"{json.dumps(name)}: {json.dumps(entry, separators=(',', ':'))}" for name, entry in found.items())
    (directory / NAME).write_text("{\n" + ",\n".join(lines) + "\n}\n")


def digest(content: bytes) -> str:
    """What tells one state of a file from another."""
    return sha256(content).hexdigest()


def _tagged(value: object) -> object:
    if isinstance(value, date):
        return {_DATE: value.isoformat()}
    if isinstance(value, list):
        return [_tagged(item) for item in value]
    if not isinstance(value, dict):
        return value
    if all(isinstance(key, str) for key in value):
        return {key: _tagged(item) for key, item in value.items()}
    return {_PAIRS: [[key, _tagged(item)] for key, item in value.items()]}


def _plain(found: dict[str, object]) -> object:
    if len(found) != 1:
        return found
    (key, value), *_ = found.items()
    if key == _DATE:
        return date.fromisoformat(str(value))
    return dict(value) if key == _PAIRS and isinstance(value, list) else found
