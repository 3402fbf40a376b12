"""What a finding shows: the exact key, its value, and the line where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.engine.evidence import at_option
from nftui.model.findings import Evidence, Finding, Level
from nftui.optimizations.postgres.gucs import number, stock
from nftui.optimizations.postgres.knobs import ID

if TYPE_CHECKING:
    from nftui.model.message import Message
    from nftui.optimizations.postgres.server import Server


def finding(
    server: Server, name: str, level: Level, title: Message, detail: Message, source: str,
    *evidence: Evidence, repaired: bool = True,
) -> Finding:  # fmt: skip
    """A finding about that server; `repaired`: this optimization takes it away."""
    return Finding(
        name, level, server.name, title, detail, tuple(evidence), source, optimization=ID if repaired else None
    )


def in_force(server: Server, name: str) -> str:
    """The value in force, as far as it is known: live, the command's flag, a mounted file's, else the image's."""
    written = server.files.get(name)
    return server.current(name) or (written.value if written else None) or stock(name, server.major)


def fact(server: Server, name: str, default: str) -> str:
    """The same of a setting that is never advised."""
    written = server.files.get(name)
    return server.fact(name, (written.value if written else None) or default)


def amount(server: Server, name: str) -> float:
    """The same as a number; bytes for sizes."""
    return number(name, in_force(server, name)) or 0.0


def setting_evidence(server: Server, name: str) -> Evidence:
    """A setting with its value in force, at the command's line where the command sets it."""
    flag = name in server.raw_flags
    setting = server.setting(name)
    value = setting.shown if setting is not None else server.flags.get(name, server.raw_flags.get(name))
    if flag:
        written = server.flags.get(name, server.raw_flags.get(name))
        if setting is not None and setting.source != "command line" and written != server.current(name):
            # A role, a database or a session has the last word.
            value = f"{written} (in force: {value})"
        return at_option(server.service, f"-c {name}", "command", name, value)
    if name in server.files:
        return server.files[name]
    file, line = (setting.sourcefile, setting.sourceline) if setting is not None else (None, None)
    return Evidence(name, value, file, line)
