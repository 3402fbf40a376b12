"""The one operator's file that is edited: a key merged into `.env`, every other byte left as it is."""

from __future__ import annotations

import re

_KEY = re.compile(rb"^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.\-]*)[ \t]*=(.*)$")


def _lines(content: bytes) -> list[bytes]:
    return content.splitlines(keepends=True)


def _find(content: bytes, key: str) -> tuple[int, bytes] | None:
    """Index of the last line that sets `key` (the last one counts to Compose) and its raw value."""
    found = None
    for index, line in enumerate(_lines(content)):
        match = _KEY.match(line.rstrip(b"\r\n"))
        if match and match[1].decode() == key:
            found = (index, match[2])
    return found


def get_key(content: bytes | None, key: str) -> str | None:
    """The value of `key`, quotes and a trailing comment taken off; None where it is not set."""
    found = _find(content or b"", key)
    if found is None:
        return None
    value = found[1].decode("utf-8", "replace").strip()
    if value[:1] in ("'", '"') and value.find(value[0], 1) > 0:
        return value[1 : value.find(value[0], 1)]
    return re.split(r"\s+#", value, maxsplit=1)[0].strip()


def set_key(content: bytes | None, key: str, value: str) -> bytes:
    """`content` with `key` set to `value`: the last line that sets it is replaced, else one is appended."""
    content = content or b""
    found = _find(content, key)
    newline = b"\r\n" if b"\r\n" in content else b"\n"
    line = f"{key}={value}".encode()
    if found is None:
        joint = b"" if not content or content.endswith((b"\n", b"\r")) else newline
        return content + joint + line + newline
    lines = _lines(content)
    ending = lines[found[0]][len(lines[found[0]].rstrip(b"\r\n")) :]
    lines[found[0]] = line + ending
    return b"".join(lines)


def drop_key(content: bytes, key: str) -> bytes:
    """`content` without the last line that sets `key`."""
    found = _find(content, key)
    if found is None:
        return content
    lines = _lines(content)
    del lines[found[0]]
    return b"".join(lines)
