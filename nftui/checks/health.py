"""Findings about healthchecks: one that is missing, one that can never be green."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nftui.catalog import lacking, repositories_of
from nftui.catalog.programs import SHELLS, base_name, script_programs, started
from nftui.checks._common import COMPOSE, dependents, has_healthcheck, health_test, is_broker, is_store, is_task
from nftui.engine.evidence import at
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import msg
from nftui.model.patterns import regex
from nftui.model.stack import Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nftui.model.facts import Facts
    from nftui.model.message import Message
    from nftui.model.stack import Service

_READY_LATE = frozenset({Role.POSTGRES, Role.MYSQL, Role.CLICKHOUSE, Role.REDIS, Role.KEYDB, Role.QDRANT, Role.OLLAMA})
"""Servers that are started some time before they answer."""
_FETCHERS = ("curl", "wget", "nc", "python", "python3", "node", "bash")
_GIVES_UP = {"exit", "false", "kill", "return", "sleep"}
"""Programs after a `||` that ask nothing, and do not say that all is well."""
_PATH = regex(
    r"(?:https?://[\w.\[\]:-]+?|(?<![\w./])(?:localhost|127\.0\.0\.1):\d+)(/[\w./-]*)?(?=[\s\"'?|;&)]|$)"
    r"|\bGET (/[\w./-]*) HTTP"
)


def missing(facts: Facts) -> Iterable[Finding]:
    """healthcheck-missing: others wait for a service that cannot say that it is ready."""
    waiting = dependents(facts)
    for service in facts.stack.services:
        others = [(o, c) for o, c in waiting.get(service.name, ()) if c != "service_completed_successfully"]
        strict = [o for o, c in others if c == "service_healthy"]
        if not others or not (strict or _is_late(service)) or has_healthcheck(facts.stack, service):
            continue
        names = ", ".join(o.name for o, _ in others)
        detail = msg("{others} start as soon as its process exists, before it answers.", others=names)
        if strict:
            detail = msg("{others} wait until it is healthy, which it never says: they do not start.", others=names)
        yield Finding(
            "healthcheck-missing", Level.HIGH if strict else Level.MEDIUM, service.name,
            msg("Others wait for it, and it cannot say that it is ready"), detail,
            tuple(_waits(service, others)), f"{COMPOSE}, depends_on",
        )  # fmt: skip


def _is_late(service: Service) -> bool:
    """A server that is started some time before it answers; a task made from such an image serves nothing."""
    known = is_broker(service) or (is_store(service) and service.role is Role.APP)
    return service.role in _READY_LATE or (known and not is_task(service))


def _waits(service: Service, others: Iterable[tuple[Service, str]]) -> Iterator[Evidence]:
    yield at(service, "healthcheck", "healthcheck")
    for other, condition in others:
        yield at(other, f"{other.name}.depends_on.{service.name}", f"depends_on.{service.name}", condition)


def tool_missing(facts: Facts) -> Iterable[Finding]:
    """healthcheck-tool-missing: the check calls what the image has not, or asks for a path that the server has not."""
    waiting = dependents(facts)
    for service in facts.stack.services:
        test = health_test(service)
        if not test or not service.image or _is_adapted(service):
            continue
        detail = _absent(service, test) or _no_path(service, test)
        if detail is None:
            continue
        strict = any(c == "service_healthy" for _, c in waiting.get(service.name, ()))
        yield Finding(
            "healthcheck-tool-missing", Level.HIGH if strict else Level.MEDIUM, service.name,
            msg("The healthcheck can never be green"), detail,
            (at(service, "healthcheck.test", "healthcheck.test", " ".join(test)),),
            repositories_of(service.image)[0].source,
        )  # fmt: skip


def _is_adapted(service: Service) -> bool:
    """Built here, or something is installed or mounted that may bring the tool."""
    words = " ".join((*(service.command or ()), *(service.entrypoint or ())))
    mounted = any(m.target.startswith(("/usr/bin/", "/usr/local/bin", "/bin/")) for m in service.mounts)
    return (
        bool(service.config.get("build")) or mounted or bool(re.search(r"apt(-get)?\s|apk\s|microdnf|install", words))
    )


def _script(test: tuple[str, ...]) -> tuple[str, str]:
    """The shell that runs the check and what it is given, in both spellings: `CMD-SHELL …`, `CMD sh -c …`."""
    if test[0] == "CMD-SHELL":
        return "sh", "".join(test[1:2])
    shell = base_name(test[1]) if len(test) > 3 and test[2] == "-c" else ""
    return (shell, test[3]) if shell in SHELLS else ("", "")


def _programs(test: tuple[str, ...]) -> list[str]:
    shell, script = _script(test)
    return [program[0] for program in (script_programs(script) if shell else started(test[1:]))]


def _absent(service: Service, test: tuple[str, ...]) -> Message | None:
    """A program that the image lacks, where the check has no other one to fall back to."""
    absent = {name for name, _ in lacking(service.image or "")}
    shell, _ = _script(test)
    if shell in absent:
        no_shell = msg("The image has no shell, and the check needs one.")
        return no_shell if shell == "sh" else msg("{tool} is not in the image.", tool=shell)
    programs = _programs(test)
    gone = [p for p in programs if p in absent]
    if not gone or any(p in _FETCHERS and p not in absent for p in programs) or _falls_back(test, absent):
        return None
    return msg("{tool} is not in the image.", tool=gone[0])


def _falls_back(test: tuple[str, ...], absent: set[str]) -> bool:
    """After a `||` something else is asked, by a program that may be there, or all is called well."""
    _, either, tail = _script(test)[1].partition("||")
    return bool(either) and any(p[0] not in absent | _GIVES_UP or p[:2] == ("exit", "0") for p in script_programs(tail))


def _no_path(service: Service, test: tuple[str, ...]) -> Message | None:
    unknown = {path for r in repositories_of(service.image or "") for path in r.no_paths}
    asked = [found.group(1) or found.group(2) or "/" for found in _PATH.finditer(" ".join(test))]
    wrong = [path for path in asked if path.rstrip("/") in unknown]
    return msg("The server has no {path}: it answers 404.", path=wrong[0]) if wrong else None


CHECKS = (missing, tool_missing)
