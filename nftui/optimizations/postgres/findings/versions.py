"""Findings about the server's age, and about init scripts that ask for a port that is not open yet."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from nftui.catalog import end_of_support
from nftui.catalog.names import names_of
from nftui.engine.evidence import at
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import msg
from nftui.optimizations.postgres.findings.configured import initialises, scripts
from nftui.optimizations.postgres.findings.evidence import finding
from nftui.optimizations.postgres.images import is_official_like
from nftui.system.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nftui.catalog.mounted import Mounted
    from nftui.model.facts import Facts
    from nftui.optimizations.postgres.server import Server

_OLD_DAYS = 365
"""A major that has less support left than this is old: an upgrade needs to be planned."""
_PROGRAMS = r"\b(?:psql|pg_isready|createdb|createuser|dropdb|pg_restore|pg_dump|vacuumdb)\b"
_HERE = r"(?:localhost|127\.0\.0\.1|::1|\[::1\])"


def level_of(day: date, today: date) -> Level | None:
    """Medium once support has ended, low in its last year, None before."""
    if day < today:
        return Level.MEDIUM
    return Level.LOW if (day - today).days < _OLD_DAYS else None


def major_upgrade(facts: Facts, server: Server) -> Finding | None:
    """postgres-major-upgrade: this major is old or out of support; a tag change alone would not start."""
    known = end_of_support(f"postgres:{server.major}")
    level = level_of(known[1], SystemClock().now().date()) if known else None
    if known is None or level is None:
        return None
    _, day, source = known
    title = (
        msg("PostgreSQL {major} is out of support", major=server.major) if level is Level.MEDIUM
        else msg("PostgreSQL {major} is in its last year of support", major=server.major)
    )  # fmt: skip
    detail = msg(
        "The last fixes are of {day}. Another tag alone does not start: a newer server refuses the data directory of "
        "{major}, which has to be dumped and restored, or upgraded by pg_upgrade.",
        day=day.isoformat(), major=server.major,
    )  # fmt: skip
    image = at(server.service, "image", "image", server.service.image)
    found = finding(server, "postgres-major-upgrade", level, title, detail, source.source, image)
    return replace(found, optimization="images")


def init_script_tcp(facts: Facts, server: Server) -> Finding | None:
    """postgres-init-script-needs-tcp: the image's temporary server has no port while init scripts run."""
    service = server.service
    if not is_official_like(service) or not initialises(facts, service):
        return None
    here = {service.name, str(service.config.get("hostname") or ""), *names_of(service)}
    names = "|".join([_HERE, *(re.escape(name) for name in sorted(here - {""}))])
    evidence = [e for file in scripts(facts, service) for e in _lines(file, names, service.environment)]
    if not evidence:
        return None
    detail = msg(
        "Init scripts run against a temporary server that listens on the socket only: what asks for a port waits in "
        "vain, and the next start skips all init scripts. Without -h (or PGHOST) it uses the socket.",
    )
    return finding(
        server, "postgres-init-script-needs-tcp", Level.HIGH, msg("An init script waits for a port that is not open"),
        detail, "docker-library/postgres, docker-entrypoint.sh docker_temp_server_start", *evidence, repaired=False,
    )  # fmt: skip


def _lines(file: Mounted, here: str, environment: Mapping[str, str | None]) -> Iterator[Evidence]:
    """Lines that connect to this server over TCP, in a script that the entrypoint runs; `here` matches its names."""
    if PurePosixPath(file.target).suffix != ".sh":
        return
    names = f"(?:{here}|{_variables(file.text or '', here, environment)})"
    patterns = [
        rf"{_PROGRAMS}[^|;&#]*?\s(?:-h\s*|--host[= ])[\"']?{names}(?![\w.-])",
        rf"{_PROGRAMS}[^|;&#]*\bpostgres(?:ql)?://(?:[^@/\s]*@)?{names}(?![\w.-])",
        rf"{_PROGRAMS}[^|;&#]*(?<![\w-])host=[\"']?{names}(?![\w.-])",
        rf"\bPGHOST=[\"']?{names}(?![\w.-])",
        rf"\bnc\s[^|;&#]*{names}[\"']?\s+5432\b",
        rf"/dev/tcp/{names}/5432\b",
    ]
    if re.fullmatch(here, environment.get("PGHOST") or "") and "PGHOST" not in (file.text or ""):
        # The entrypoint takes it away for itself, not for scripts.
        patterns.append(rf"{_PROGRAMS}(?![^|;&#]*(?:\s-h|--host|://|host=))[^|;&#]*\s-")
    connects = re.compile("|".join(patterns))
    for number, line in _commands(file.text or ""):
        match = None if line.lstrip().startswith("#") else connects.search(line)
        if match is not None:
            shown = " ".join(match[0].replace("\\\n", " ").split())
            number += line.count("\n", 0, match.end())
            yield Evidence(PurePosixPath(file.target).name, shown, file.path, number)


def _commands(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers; what a backslash continues is one."""
    number = 1
    for line in re.split(r"(?<!\\)\n", text):
        yield number, line
        number += line.count("\n") + 1


def _variables(text: str, here: str, environment: Mapping[str, str | None]) -> str:
    """A pattern of the variables that hold one of the server's own names: the service's, or those of the script."""
    default = rf"\$\{{(?!(?:{'|'.join(map(re.escape, environment)) or 'PATH'})\b)\w+:?-(?:{here})\}}"
    given = rf"(?m)^\s*(?:export\s+)?(\w+)=[\"']?(?:{here}|{default})[\"']?\s*(?:[;#].*)?$"
    held = [name for name, value in environment.items() if re.fullmatch(here, value or "")]
    held += re.findall(given, text)
    return rf"{default}|\$\{{?(?:{'|'.join(map(re.escape, held))})\b(?::?-[^}}]*)?\}}?" if held else default


CHECKS = (major_upgrade, init_script_tcp)
