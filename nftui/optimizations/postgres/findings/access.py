"""Findings about who gets in: trust authentication, no password at the first start."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nftui.engine.evidence import at
from nftui.model.findings import Finding, Level
from nftui.model.message import msg
from nftui.optimizations.postgres.findings.evidence import finding
from nftui.optimizations.postgres.images import has_own_entrypoint, is_official_like

if TYPE_CHECKING:
    from nftui.model.facts import Facts
    from nftui.model.stack import Port, Service
    from nftui.optimizations.postgres.server import Server

_LOOPBACK = ("127.", "::1", "[::1]", "localhost")
_TRUST_ARGS = re.compile(r"(?:--auth(?:-host)?[= ]|-A ?)trust\b")
_VARIABLE = re.compile(r"\$\{?(\w+)")


def trust(facts: Facts, server: Server) -> Finding | None:
    """postgres-trust-auth: POSTGRES_HOST_AUTH_METHOD or initdb's arguments let everyone in without a password."""
    service = server.service
    if not is_official_like(service) or "hba_file" in server.raw_flags:
        return None
    method = service.environment.get("POSTGRES_HOST_AUTH_METHOD")
    key = "POSTGRES_HOST_AUTH_METHOD"
    if method is None and _TRUST_ARGS.search(service.environment.get("POSTGRES_INITDB_ARGS") or ""):
        # Without that variable the entrypoint writes its own host line, with the password method: initdb's trust
        # then holds for the image's socket and loopback only.
        return None
    if (method or "").strip() != "trust":
        return None
    open_ports = [p for p in service.ports if _is_open(p)]
    level = Level.HIGH if open_ports else Level.MEDIUM
    detail = msg(
        "Whoever reaches the port is in as any user, superuser included; {reach} reach it.",
        reach="the host's networks" if open_ports else "the containers of its networks",
    )
    evidence = [at(service, key, f"environment.{key}", method)]
    evidence += [at(service, f"{p.host_ip or '0.0.0.0'}:{p.published}", "ports") for p in open_ports]  # noqa: S104
    return finding(
        server, "postgres-trust-auth", level, msg("Connections need no password"), detail,
        "databases reference 1.5", *evidence, repaired=False,
    )  # fmt: skip


def _is_open(port: Port) -> bool:
    return bool(port.published) and not (port.host_ip or "").startswith(_LOOPBACK)


def empty_password(facts: Facts, server: Server) -> Finding | None:
    """postgres-empty-password: the entrypoint ends with an error on an empty data directory."""
    service = server.service
    if not is_official_like(service) or has_own_entrypoint(service) or _has_started(server):
        return None
    environment = service.environment
    given = any(environment.get(k) for k in ("POSTGRES_PASSWORD_FILE", "POSTGRES_HOST_AUTH_METHOD"))
    if given or environment.get("POSTGRES_PASSWORD") or _may_come_from_elsewhere(facts, service):
        return None
    key = "POSTGRES_PASSWORD"
    detail = msg("No {key}: on an empty volume the image refuses to initialise and the container exits.", key=key)
    place = f"environment.{key}" if key in environment else "environment"
    value = "" if key in environment else None
    return finding(
        server, "postgres-empty-password", Level.HIGH, msg("The first start will fail: no password is set"), detail,
        "docker-library entrypoint", at(service, key, place, value), repaired=False,
    )  # fmt: skip


def _has_started(server: Server) -> bool:
    return server.live is not None or server.service.running is not None


def _may_come_from_elsewhere(facts: Facts, service: Service) -> bool:
    """Passed through from the shell, an env_file that was not read, or a variable that is set where it is deployed."""
    key = "POSTGRES_PASSWORD"
    if key in service.environment and service.environment[key] is None:
        return True
    if service.config.get("env_file") and key not in service.environment:
        return facts.stack.resolved_by != "compose"
    raw = service.raw.get("environment")
    text = _raw_value(raw, key)
    names = _VARIABLE.findall(text.replace("$$", "")) if text else []
    return any(facts.stack.environment.get(name) != "" for name in names)


def _raw_value(raw: object, key: str) -> str:
    if isinstance(raw, dict):
        return str(raw.get(key) or "")
    lines = raw if isinstance(raw, (list, tuple)) else ()
    return next((str(line).partition("=")[2] for line in lines if str(line).startswith(f"{key}=")), "")


CHECKS = (trust, empty_password)
