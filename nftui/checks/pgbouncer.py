"""Findings about connection pooling: none where it would pay, passwords in clear, an old version."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nftui.catalog.connections import POSTGRES_LIKE, connections
from nftui.catalog.mounted import mounted
from nftui.catalog.poolers import BITNAMI_DIRECTORY, DIRECTORY, configurations
from nftui.catalog.references import parse_reference, version_key
from nftui.checks._common import lasting, mapping, sequence
from nftui.engine.built import as_image
from nftui.engine.evidence import at
from nftui.engine.given import may_be_given, raw_value, written_names
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import msg
from nftui.model.patterns import regex
from nftui.model.stack import Role

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from nftui.catalog.connections import Connection
    from nftui.model.facts import Facts
    from nftui.model.stack import Service

SEVERAL = 3
"""Services with connections of their own from which a pooler pays; two small pools are no matter."""
_OLDEST = (1, 7)
_SAFE = (1, 25, 2)
_PREPARED = (1, 21)
_NO_CLIENT = regex(
    r"nginx|proxy|caddy|traefik|frontend|minio|backup|dump|migrat|(?:^|[-_/])(?:init|setup|seed|wait|cron|beat|flower)"
    r"|housekeep|bucket|adminer|pgadmin|pgweb|cloudbeaver|(?:^|[-_])mq$|rabbit"
)
"""Services that are often handed the whole environment of an application and open no connection of their own."""
_WRITES = {
    **dict.fromkeys(("bitnami/pgbouncer", "bitnamilegacy/pgbouncer", "bitnamisecure/pgbouncer"),
                    ("POSTGRESQL_PASSWORD", f"{BITNAMI_DIRECTORY}/userlist.txt")),
    "pgbouncer/pgbouncer": ("DATABASES_PASSWORD", f"{DIRECTORY}/pgbouncer.ini"),
}  # fmt: skip
"""Images that write a variable's password as it is, whatever the type, where no file of the operator's is mounted
(bitnami/containers, libpgbouncer.sh; the entrypoint.sh of pgbouncer/pgbouncer)."""
_ENTRY = regex(r'(?m)^\s*"(?P<user>(?:[^"]|"")*)"\s+"(?P<secret>(?:[^"]|"")*)"')
_HASHED = regex(r"md5[0-9a-f]{32}|SCRAM-SHA-256\$.*")
_AUTH_FILE = regex(r"(?m)^\s*auth_file\s*=\s*(/\S+)")
_PLAIN = regex(r"(?m)^[ \t]*auth_type\s*=\s*(plain)\b")
_INI_PASSWORD = regex(r"(?m)^[^;#\n]*\bpassword\s*=\s*(?!\s|$)(\S+)")


def missing(facts: Facts) -> Iterable[Finding]:
    """pgbouncer-missing: several services hold direct connections to one server, and nothing pools them."""
    stack = facts.stack
    if any(s.active and s.role in POSTGRES_LIKE[1:] for s in stack.services):
        return
    links = [c for c in connections(stack) if c.kind == "postgres"]
    stay = {s.name for s in lasting(facts)}
    for server in stack.with_role(Role.POSTGRES):
        # What the catalog knows of an app comes first: other variables may name the server for a use that is off.
        held = [c for c in links if c.server.name == server.name and _holds(c, stay)]
        if any(_waits(c) for c in held):
            # An env_file that all share tells everybody of the server: those who start before it do not use it.
            held = [c for c in held if _waits(c) or _is_written(c)]
        held.sort(key=lambda c: (c.use is not None, -len(c.key)))
        direct = {c.client.name: c for c in held}
        if len(direct) < SEVERAL:
            continue
        names = ", ".join(sorted(direct))
        yield Finding(
            "pgbouncer-missing", Level.LOW, server.name, msg("Several services hold direct connections"),
            msg("{names} each keep a pool of their own on it; every connection is a process of the server.",
                names=names),
            tuple(at(c.client, c.key, f"environment.{c.key}", name) for name, c in sorted(direct.items())),
            "databases reference 2.4", "pgbouncer",
        )  # fmt: skip


def _holds(connection: Connection, stay: Container[str]) -> bool:
    """An application that stays connected: no job, exporter or viewer, nor a proxy that is handed the environment."""
    client = connection.client
    words = [client.name, parse_reference(client.image or "").name, *(client.command or ())[:2]]
    if any(_NO_CLIENT.search(word) for word in words) or not client.active or client.scale == 0:
        return False
    if client.role is Role.UNKNOWN:
        return client.restart != "no"
    return client.role in (Role.APP, Role.GRAFANA) and client.name in stay


def _waits(connection: Connection) -> bool:
    depends = connection.client.config.get("depends_on")
    return connection.server.name in (mapping(depends) or sequence(depends))


def _is_written(connection: Connection) -> bool:
    """The service's own definition names the server, not an env_file."""
    client = connection.client
    return connection.key in written_names(client) or connection.key not in client.environment


def auth_plaintext(facts: Facts) -> Iterable[Finding]:
    """pgbouncer-auth-plaintext: a userlist or an ini with passwords that anyone who reads it can use."""
    for service in facts.stack.services:
        if service.role is not Role.PGBOUNCER:
            continue
        evidence = [*_in_userlist(facts, service), *_in_ini(facts, service), *_written_by_image(facts, service)]
        if evidence:
            yield Finding(
                "pgbouncer-auth-plaintext", Level.MEDIUM, service.name, msg("Passwords in clear in PgBouncer's files"),
                msg("Whoever reads the file can log in. SCRAM secrets of pg_authid work in their place, "
                    "without a password in any file."),
                tuple(evidence), "databases reference 2.2",
            )  # fmt: skip


def _in_userlist(facts: Facts, service: Service) -> Iterable[Evidence]:
    named = [m[1] for ini in configurations(facts.stack, service) for m in _AUTH_FILE.finditer(ini.text or "")]
    names = named or [service.environment.get("AUTH_FILE") or f"{DIRECTORY}/userlist.txt"]
    for target in dict.fromkeys((*names, f"{BITNAMI_DIRECTORY}/userlist.txt")):
        found = mounted(facts.stack, service, target)
        for match in _ENTRY.finditer(found.text if found and found.text else ""):
            if match["secret"] and not _HASHED.fullmatch(match["secret"]):
                assert found is not None and found.text is not None
                line = found.text.count("\n", 0, match.start("user")) + 1
                yield Evidence(f'"{match["user"]}"', "••••••", found.path, line)


def _in_ini(facts: Facts, service: Service) -> Iterable[Evidence]:
    # The list of users is often not in the repository: of that kind it holds the passwords themselves.
    kinds = (("auth_type", _PLAIN, "plain"), ("password", _INI_PASSWORD, "••••••"))
    for found in configurations(facts.stack, service):
        text = found.text or ""
        for name, pattern, shown in kinds:
            for match in pattern.finditer(text):
                if not match[1].startswith("$"):
                    yield Evidence(name, shown, found.path, text.count("\n", 0, match.start(1)) + 1)


def _written_by_image(facts: Facts, service: Service) -> Iterable[Evidence]:
    """A password that the image takes from a variable; edoburu's only for scram-sha-256 and plain, else its md5."""
    repository = parse_reference(service.image or "").repository
    key, file = _WRITES.get(repository, ("", ""))
    password = service.environment.get(key)
    if service.entrypoint:
        return
    # Passed through from elsewhere, or by an env_file, it is in clear inside of the container only.
    source = raw_value(service, key)
    written = password and source and "$" not in source
    if written and mounted(facts.stack, service, file) is None and not _HASHED.fullmatch(password or ""):
        yield at(service, key, f"environment.{key}", "••••••")
    if repository != "edoburu/pgbouncer":
        return
    kind = service.environment.get("AUTH_TYPE") or ""
    given = service.environment.get("DB_PASSWORD") or _password_of(service.environment.get("DATABASE_URL") or "")
    # A variable that is blank here has its value where the stack is deployed.
    later = (raw_value(service, "DB_PASSWORD"), _password_of(raw_value(service, "DATABASE_URL")))
    own = mounted(facts.stack, service, f"{DIRECTORY}/userlist.txt")
    known = given or any(may_be_given(facts.stack, text) for text in later)
    if kind in ("plain", "scram-sha-256") and known and own is None:
        yield at(service, "AUTH_TYPE", "environment.AUTH_TYPE", kind)


def _password_of(url: str) -> str:
    match = re.match(r"\w+://[^:/@]*:(.*)@", url)
    return match[1] if match else ""


def outdated(facts: Facts) -> Iterable[Finding]:
    """pgbouncer-outdated: a version with known holes, or without prepared statements in transaction mode."""
    for written in facts.stack.services:
        if written.role is not Role.PGBOUNCER:
            continue
        service = as_image(facts.stack, written) or written
        # An image of one's own has versions of its own: where its Dockerfile is not here, and those below any image's.
        own = service is written and written.config.get("build")
        version = version_key(service.version) if service.version and not own else ()
        # At the precision that the tag gives: "1.25" may be any of them.
        if len(version) < 2 or not _OLDEST <= version < _SAFE[: len(version)]:
            continue
        old = version[:2] < _PREPARED
        detail = (
            msg("Before 1.21 it cannot keep prepared statements apart in transaction mode, and it has known holes "
                "(CVE-2025-2291, CVE-2025-12819 and later); 1.25.2 has the fixes.")
            if old
            else msg("It has known holes (CVE-2025-2291 until 1.24.0, CVE-2025-12819 until 1.25.0, and crashes without "
                     "a login until 1.25.1); 1.25.2 has the fixes.")
        )  # fmt: skip
        yield Finding(
            "pgbouncer-outdated", Level.MEDIUM, service.name, msg("PgBouncer {v} is outdated", v=service.version),
            detail, (at(service, "image", "image", service.image),), "databases reference 2.2; pgbouncer NEWS",
        )  # fmt: skip


CHECKS = (missing, auth_plaintext, outdated)
