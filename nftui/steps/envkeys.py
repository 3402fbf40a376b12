"""The one operator's file that is edited: a key merged into `.env`, every other byte left as it is."""

from __future__ import annotations

import re

_BOM = b"\xef\xbb\xbf"
"""Editors on Windows put it first; Compose skips it."""
# `KEY: value` is a definition for Compose too. Source: compose-go dotenv/parser.go.
_KEY = re.compile(rb"^([ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.\-]*)[ \t]*[=:][ \t]*)(.*)$")


def _lines(content: bytes) -> list[bytes]:
    return content.splitlines(keepends=True)


def _mark(content: bytes, index: int = 0) -> bytes:
    """The byte order mark before the line `index`."""
    return _BOM if index == 0 and content.startswith(_BOM) else b""


def _find(content: bytes, key: str) -> tuple[int, bytes, bytes] | None:
    """Of the last line that sets `key` (it counts to Compose): index, what stands before the value, raw value."""
    found = None
    for index, line in enumerate(_lines(content)):
        match = _KEY.match(line.removeprefix(_mark(content, index)).rstrip(b"\r\n"))
        if match and match[2].decode() == key:
            found = (index, match[1], match[3])
    return found


def get_key(content: bytes | None, key: str) -> str | None:
    """The value of `key`, quotes and a trailing comment taken off; None where it is not set."""
    found = _find(content or b"", key)
    if found is None:
        return None
    value = found[2].decode("utf-8", "replace").strip()
    if value[:1] in ("'", '"') and value.find(value[0], 1) > 0:
        return value[1 : value.find(value[0], 1)]
    return re.split(r"\s+#", value, maxsplit=1)[0].strip()


def set_key(content: bytes | None, key: str, value: str) -> bytes:
    """`content` with `key` set to `value`: the last line that sets it gets it in its own form, else one is appended."""
    content = content or b""
    found = _find(content, key)
    newline = b"\r\n" if b"\r\n" in content else b"\n"
    if found is None:
        joint = b"" if content in (b"", _BOM) or content.endswith((b"\n", b"\r")) else newline
        return content + joint + f"{key}={value}".encode() + newline
    index, start, _ = found
    lines = _lines(content)
    ending = lines[index][len(lines[index].rstrip(b"\r\n")) :]
    lines[index] = _mark(content, index) + start + value.encode() + ending
    return b"".join(lines)


def drop_key(content: bytes, key: str) -> bytes:
    """`content` without the last line that sets `key`."""
    found = _find(content, key)
    if found is None:
        return content
    lines = _lines(content)
    lines[found[0]] = _mark(content, found[0])
    return b"".join(lines)
