"""Findings about who gets in: trust authentication, no password at the first start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.engine.evidence import at
from nftui.engine.given import example_gives, lacks_env_file, may_be_set, raw_value, variables
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import msg
from nftui.optimizations.postgres.findings.configured import access_rules, initialises, named_access_file
from nftui.optimizations.postgres.findings.evidence import finding
from nftui.optimizations.postgres.images import is_bitnami, is_official_like

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.model.facts import Facts
    from nftui.model.stack import Port, Service
    from nftui.optimizations.postgres.server import Server

_LOOPBACK = ("127.", "::1", "[::1]", "localhost")
_EVERYWHERE = ("all", "0.0.0.0/0")
_YES = ("yes", "true", "1")
"""What Bitnami's scripts take for yes, in any case (liblog's is_boolean_yes)."""
_PASSWORDS = ("POSTGRES_PASSWORD", "POSTGRES_PASSWORD_FILE")
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
    file = named_access_file(facts, service, server.raw_flags)
    rules = list(access_rules(facts, service, file))
    if rules or file:
        return _first_trust(rules)
    if is_bitnami(service):
        if any(service.environment.get(k) for k in _BITNAMI_PASSWORDS) or lacks_env_file(facts.stack, service):
            return None
    elif not is_official_like(service):
        return None
    # initdb's --auth=trust alone holds for the socket and loopback: the entrypoint writes the host line itself.
    key, _ = _without_password(service)
    value = (service.environment.get(key) or "").strip()
    return at(service, key, f"environment.{key}", value) if _lets_in(service) else None


def _without_password(service: Service) -> tuple[str, tuple[str, ...]]:
    """The variable by which the image starts without a password, and its values in lower case that say so."""
    return ("ALLOW_EMPTY_PASSWORD", _YES) if is_bitnami(service) else ("POSTGRES_HOST_AUTH_METHOD", ("trust",))


def _lets_in(service: Service) -> bool:
    key, values = _without_password(service)
    # Lines behind the first are rules of their own, which some write into the variable as well.
    return (service.environment.get(key) or "").partition("\n")[0].strip().lower() in values


def _first_trust(rules: Iterable[tuple[list[str], Evidence]]) -> Evidence | None:
    """The first rule that lets in: a rule for everybody before it takes every connection that it could take."""
    for words, evidence in rules:
        if _is_trust(words):
            return evidence
        if words[0] == "host" and words[1:3] == ["all", "all"] and len(words) > 4 and words[3] in _EVERYWHERE:
            return None
    return None


def _is_trust(words: list[str]) -> bool:
    """`host DATABASE USER ADDRESS trust` of more than one machine, without regard to a mask of its own."""
    if not words[0].startswith("host") or len(words) < 5 or "trust" not in words[4:6]:
        return False
    if words[3].endswith(("/32", "/128")) or words[4] == "255.255.255.255":
        return False
    return not words[3].startswith(_LOOPBACK) and words[3] != "samehost" and words[1] != "replication"


def _is_open(port: Port) -> bool:
    return bool(port.published) and not (port.host_ip or "").startswith(_LOOPBACK)


def empty_password(facts: Facts, server: Server) -> Finding | None:
    """postgres-empty-password: the entrypoint ends with an error on an empty data directory."""
    service = server.service
    own = is_bitnami(service) and not service.command and not service.entrypoint
    known = own or (is_official_like(service) and initialises(facts, service))
    if not known or _has_started(server):
        return None
    environment, names = service.environment, _BITNAMI_PASSWORDS if is_bitnami(service) else _PASSWORDS
    key, (without, _) = names[0], _without_password(service)
    given = any(environment.get(name) or _may_be_given(facts, service, name) for name in names)
    # Any other method needs a password all the same.
    allowed = _lets_in(service) if environment.get(without) else _may_be_given(facts, service, without)
    if given or allowed:
        return None
    detail = msg(
        "On an empty volume the image refuses to initialise and the container exits: {key} is not set.", key=key
    )
    place = f"environment.{key}" if key in environment else "environment"
    value = "" if key in environment else None
    return finding(
        server, "postgres-empty-password", Level.HIGH, msg("The first start will fail: no password is set"), detail,
        "docker-library entrypoint", at(service, key, place, value), repaired=False,
    )  # fmt: skip


def _may_be_given(facts: Facts, service: Service, name: str) -> bool:
    """Where the stack is deployed; not one that the file leaves blank on purpose, and no template of an .env names."""
    raw = raw_value(service, name)
    if raw.strip().endswith(":-}") and not example_gives(facts.stack, variables(raw)):
        return False
    return may_be_set(facts.stack, service, name)


def _has_started(server: Server) -> bool:
    return server.live is not None or server.service.running is not None


CHECKS = (trust, empty_password)
