"""Findings about starting and stopping: a stop timeout that kills, a healthcheck that is green too early."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from nftui.catalog.mounted import files_in
from nftui.catalog.programs import SHELLS
from nftui.engine.evidence import at
from nftui.model.findings import Finding, Level
from nftui.model.message import msg
from nftui.model.patterns import regex
from nftui.model.units import GIB
from nftui.optimizations.postgres.advise import GRACE_S
from nftui.optimizations.postgres.data import INIT_SCRIPTS, INIT_SUFFIXES
from nftui.optimizations.postgres.findings.configured import initialises
from nftui.optimizations.postgres.findings.evidence import amount, finding, setting_evidence
from nftui.optimizations.postgres.images import is_official_like

if TYPE_CHECKING:
    from nftui.model.facts import Facts
    from nftui.model.stack import Service
    from nftui.optimizations.postgres.server import Server

_KILLED = 137
_NOTHING_ASKED = regex(r"\s*select\s+1\s*;?\s*", re.IGNORECASE)
"""A statement that any database answers, also one that is not filled yet."""
_GIVEN = regex(r"(?!PGHOST)[A-Za-z_]\w*=")


def stop_grace(facts: Facts, server: Server) -> Finding | None:
    """postgres-stop-grace-short: only where a shutdown checkpoint can really be longer.

    A stock server writes at most its 128 MB of buffers, which 10 s carry; large buffers or a kill say otherwise.
    """
    seconds = server.grace_declared
    killed = any(c.exit_code == _KILLED and not c.oom_killed for c in server.service.containers)
    large = amount(server, "shared_buffers") >= GIB or amount(server, "max_wal_size") >= 4 * GIB
    if seconds >= GRACE_S or not (killed or (large and seconds < 60) or seconds < 10):
        return None
    detail = msg(
        "Docker kills the server {seconds} s after it asked it to stop; its last checkpoint may take longer, and the "
        "next start then begins with a recovery.",
        seconds=seconds,
    )
    evidence = [at(server.service, "stop_grace_period", "stop_grace_period", f"{seconds}s")]
    evidence += [setting_evidence(server, "shared_buffers")] if large else []
    return finding(
        server, "postgres-stop-grace-short", Level.MEDIUM if killed else Level.LOW,
        msg("The stop timeout is shorter than a shutdown checkpoint"), detail, "databases reference 1.6", *evidence,
    )  # fmt: skip


def init_race(facts: Facts, server: Server) -> Finding | None:
    """postgres-healthcheck-init-race: the socket answers while init scripts still run, and others wait for it."""
    service = server.service
    test = _test(service)
    if not test or not _has_scripts(facts, service) or not is_official_like(service):
        return None
    if not initialises(facts, service) or not _awaited(facts, service):
        return None
    if service.environment.get("PGHOST") or not _uses_socket(test):
        return None
    detail = msg(
        "While the init scripts run, the image's temporary server answers on the socket: the check is green, and what "
        "waits for it starts too early. Over TCP (-h 127.0.0.1) it answers only once it is done.",
    )
    return finding(
        server, "postgres-healthcheck-init-race", Level.LOW, msg("Healthy while it still initialises"), detail,
        "nextflow reference, experiment 10", at(service, "healthcheck.test", "healthcheck.test", test), repaired=False,
    )  # fmt: skip


def _has_scripts(facts: Facts, service: Service) -> bool:
    files = [f.target for f in files_in(facts.stack, service, INIT_SCRIPTS)]
    # What cannot be looked into, a volume or a directory that is not there yet, may hold some.
    unseen = any(
        m.target.startswith(INIT_SCRIPTS)
        and not (m.type == "bind" and Path(facts.stack.invocation.directory, m.source or "").exists())
        for m in service.mounts
    )
    return unseen or any(target.endswith(INIT_SUFFIXES) for target in files)


def _test(service: Service) -> str:
    check = service.config.get("healthcheck")
    test = check.get("test") if isinstance(check, dict) and not check.get("disable") else None
    if isinstance(test, (list, tuple)):
        words = [str(word) for word in test]
        join = {"CMD": shlex.join, "CMD-SHELL": " ".join}.get(words[0] if words else "")
        return join(words[1:]) if join else ""
    return test if isinstance(test, str) else ""


def _uses_socket(test: str) -> bool:
    """True for plain pg_isready or `psql -c "select 1"` without a TCP host; anything cleverer is left alone."""
    if any(mark in test for mark in (";", "$(", "`", "|grep", "| grep")):
        return False
    try:
        words = shlex.split(test.replace("||", " || ").replace("&&", " && "))
    except ValueError:
        return False
    words = words[: words.index("||")] if "||" in words else words
    if "&&" in words:
        first = words.index("&&")
        rest = words[first + 1 :]
        return _uses_socket(shlex.join(words[:first])) and (rest == ["exit", "0"] or _uses_socket(shlex.join(rest)))
    # A variable before the program is its own; PGHOST would be the host.
    while words and _GIVEN.match(words[0]):
        words = words[1:]
    if len(words) == 3 and words[0].rpartition("/")[2] in SHELLS and words[1] in ("-c", "-ec", "-lc"):
        return _uses_socket(words[2])
    program = words[0].rpartition("/")[2] if words else ""
    asked = _option(words, "-c", "--command") or ""
    if program != "pg_isready" and not (program == "psql" and _NOTHING_ASKED.fullmatch(asked)):
        return False
    if any("://" in word or "host=" in word for word in words):
        return False
    host = _option(words, "-h", "--host")
    return host is None or host.startswith("/")


def _option(words: list[str], short: str, long: str) -> str | None:
    for i, word in enumerate(words):
        if word in (short, long):
            return words[i + 1] if i + 1 < len(words) else ""
        if word.startswith(f"{long}="):
            return word[len(long) + 1 :]
        if word.startswith(short) and len(word) > 2:
            return word[2:]
    return None


def _awaited(facts: Facts, service: Service) -> bool:
    for other in facts.stack.services:
        depends = other.config.get("depends_on")
        condition = depends.get(service.name) if isinstance(depends, dict) else None
        if isinstance(condition, dict) and condition.get("condition") == "service_healthy":
            return True
    return False


CHECKS = (stop_grace, init_race)
