"""Files in a container's layer that its start script writes anew, and that hold what it would write: no losses.

What somebody changed in them does not come back with a new container, so they are compared whole. What the script does
is read from itself: each version of an image writes other lines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from nftui.catalog.poolers import DIRECTORY, after_urls, scripted
from nftui.clients.pglogin import file_content
from nftui.model.patterns import regex

if TYPE_CHECKING:
    from nftui.model.stack import Container
    from nftui.system.exec import Exec

_WRITTEN = regex(r'(?s)printf "(.*?)" >>? "?\$\{PG_CONFIG_(?:FILE\}|DIR\}/pgbouncer\.ini)')
"""A part of the file, in the order of the script: a database, the head, the rest; one whole before edoburu's 1.24.1."""
_WHERE_SET = regex(r"\$\{(\w+):\+((?:[^{}]|\$\{\w+\})*)\}")
_VALUE = regex(r"\$\{(\w+)(?::-([^{}]*)|:\?[^{}]*)?\}")
_CLEAR = ("plain", "scram-sha-256")
"""Values of AUTH_TYPE for which it writes a password as it is."""


def remade(paths: Collection[str], container: Container, exec_port: Exec | None) -> frozenset[str]:
    """Of `paths` those that a new container would have again, as far as it can be read."""
    kind = scripted(container.entrypoint, [mount.target for mount in container.mounts])
    if kind is None or exec_port is None or not kind.mark:
        return frozenset()
    users = container.environment.get("AUTH_FILE") or f"{DIRECTORY}/userlist.txt"
    found = set()
    if kind.ini in paths:
        script = file_content(container, exec_port, kind.script) or ""
        found |= _same(container, exec_port, kind.ini, ini_of(script, {**container.environment, "_AUTH_FILE": users}))
    if users in paths:
        found |= _same(container, exec_port, users, userlist_of(container.environment))
    return frozenset(found)


def _same(container: Container, exec_port: Exec, path: str, text: str | None) -> set[str]:
    there = file_content(container, exec_port, path)
    return {path} if text is not None and there is not None and there.rstrip("\n") == text.rstrip("\n") else set()


def ini_of(script: str, environment: Mapping[str, str]) -> str | None:
    """What the script writes with these variables; None where it is none that is known."""
    parts = _WRITTEN.findall(script)
    known = after_urls(environment)
    if len(parts) == 1 and known:
        return _filled(parts[0], known[-1])
    if len(parts) != 3 or not known:
        return None
    database, head, rest = parts
    return "".join((_filled(head, environment), *(_filled(database, one) for one in known), _filled(rest, known[-1])))


def _filled(text: str, environment: Mapping[str, str]) -> str:
    """As the shell and printf make it, but for a value with a `%` or a backslash: such a file counts as another one."""
    text = text.replace("\\\n", "").replace("\\n", "\n").replace("$PG_CONFIG_DIR", DIRECTORY)
    text = _WHERE_SET.sub(lambda found: found[2] if environment.get(found[1]) else "", text)
    return _VALUE.sub(lambda found: environment.get(found[1]) or found[2] or "", text)


def userlist_of(environment: Mapping[str, str]) -> str:
    """What the script adds to an empty list: each user once."""
    found: dict[str, str] = {}
    for known in after_urls(environment):
        user, password = known.get("DB_USER"), known.get("DB_PASSWORD")
        if user and password:
            clear = environment.get("AUTH_TYPE") in _CLEAR
            found.setdefault(user, password if clear else _hashed(user, password))
    return "".join(f'"{user}" "{secret}"\n' for user, secret in found.items())


def _hashed(user: str, password: str) -> str:
    return "md5" + hashlib.md5(f"{password}{user}".encode(), usedforsecurity=False).hexdigest()
