"""Findings about who gets in: trust authentication, no password at the first start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.engine.evidence import at
from nftui.engine.given import example_gives, lacks_env_file, may_be_set, raw_value, variables
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import msg
from nftui.optimizations.postgres.findings.configured import access_rules
from nftui.optimizations.postgres.findings.evidence import finding
from nftui.optimizations.postgres.images import has_own_entrypoint, is_bitnami, is_official_like

if TYPE_CHECKING:
    from nftui.model.facts import Facts
    from nftui.model.stack import Port, Service
    from nftui.optimizations.postgres.server import Server

_LOOPBACK = ("127.", "::1", "[::1]", "localhost")
_BITNAMI_PASSWORDS = ("POSTGRESQL_PASSWORD", "POSTGRESQL_PASSWORD_FILE", "POSTGRES_PASSWORD", "POSTGRES_PASSWORD_FILE")


def trust(facts: Facts, server: Server) -> Finding | None:
    """postgres-trust-auth: POSTGRES_HOST_AUTH_METHOD or initdb's arguments let everyone in without a password."""
    service = server.service
    how = _let_in(facts, server)
    if how is None:
        return None
    open_ports = [p for p in service.ports if _is_open(p)]
    level = Level.HIGH if open_ports else Level.MEDIUM
    detail = msg(
        "Whoever reaches the port is in as any user, superuser included; {reach} reach it.",
        reach="the host's networks" if open_ports else "the containers of its networks",
    )
    evidence = [how, *(at(service, f"{p.host_ip or '0.0.0.0'}:{p.published}", "ports") for p in open_ports)]  # noqa: S104
    return finding(
        server, "postgres-trust-auth", level, msg("Connections need no password"), detail,
        "databases reference 1.5", *evidence, repaired=False,
    )  # fmt: skip


def _let_in(facts: Facts, server: Server) -> Evidence | None:
    """What lets everyone in: a rule of a mounted pg_hba.conf, or the variable from which the image writes its own."""
    service = server.service
    rules = list(access_rules(facts, service, server.raw_flags))
    if rules or "hba_file" in server.raw_flags:
        return next((e for words, e in rules if _is_trust(words)), None)
    key, method = "POSTGRES_HOST_AUTH_METHOD", "trust"
    if is_bitnami(service):
        given = any(service.environment.get(k) for k in _BITNAMI_PASSWORDS) or lacks_env_file(facts.stack, service)
        key = "ALLOW_EMPTY_PASSWORD"
        method = "" if given else "yes"
    elif not is_official_like(service):
        return None
    # initdb's --auth=trust alone holds for the socket and loopback: the entrypoint writes the host line itself.
    value = (service.environment.get(key) or "").strip()
    return at(service, key, f"environment.{key}", value) if method and value == method else None


def _is_trust(words: list[str]) -> bool:
    """`host DATABASE USER ADDRESS trust` of more than this machine, without regard to a mask of its own."""
    if not words[0].startswith("host") or len(words) < 5 or "trust" not in words[4:6]:
        return False
    return not words[3].startswith(_LOOPBACK) and words[3] != "samehost" and words[1] != "replication"


def _is_open(port: Port) -> bool:
    return bool(port.published) and not (port.host_ip or "").startswith(_LOOPBACK)


def empty_password(facts: Facts, server: Server) -> Finding | None:
    """postgres-empty-password: the entrypoint ends with an error on an empty data directory."""
    service = server.service
    if not is_official_like(service) or has_own_entrypoint(service) or _has_started(server):
        return None
    environment = service.environment
    given = any(environment.get(k) for k in ("POSTGRES_PASSWORD_FILE", "POSTGRES_HOST_AUTH_METHOD"))
    if given or environment.get("POSTGRES_PASSWORD") or _may_be_given(facts, service):
        return None
    key = "POSTGRES_PASSWORD"
    detail = msg(
        "On an empty volume the image refuses to initialise and the container exits: {key} is not set.", key=key
    )
    place = f"environment.{key}" if key in environment else "environment"
    value = "" if key in environment else None
    return finding(
        server, "postgres-empty-password", Level.HIGH, msg("The first start will fail: no password is set"), detail,
        "docker-library entrypoint", at(service, key, place, value), repaired=False,
    )  # fmt: skip


def _may_be_given(facts: Facts, service: Service) -> bool:
    """Where the stack is deployed; not one that the file leaves blank on purpose, and no template of an .env names."""
    raw = raw_value(service, "POSTGRES_PASSWORD")
    if raw.strip().endswith(":-}") and not example_gives(facts.stack, variables(raw)):
        return False
    return may_be_set(facts.stack, service, "POSTGRES_PASSWORD")


def _has_started(server: Server) -> bool:
    return server.live is not None or server.service.running is not None


CHECKS = (trust, empty_password)
