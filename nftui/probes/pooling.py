"""The probes `postgres-roles` and `pgbouncer`: what a pooler in front of a server must know, and its own console.

The console is asked inside its container, over the local socket: there PgBouncer lets in whoever runs as the same
user as it does, without a password (its documentation, "Admin console").
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from nftui.clients.pglogin import Login, file_content
from nftui.clients.postgres import PostgresClient, Query, QueryError, connect, read_login
from nftui.clients.sql import APPLICATION_NAME
from nftui.model.errors import NftuiError
from nftui.model.facts import Live
from nftui.model.pooling import POOLER_PROBE, ROLES_PROBE, PoolerFacts, RoleSecret, ServerFacts, Session
from nftui.model.stack import Container, Service
from nftui.system.exec import Exec

_SERVER = """
SELECT json_build_object(
  'max', current_setting('max_connections')::int,
  'reserved', current_setting('superuser_reserved_connections')::int
    + coalesce(current_setting('reserved_connections', true)::int, 0),
  'tls', current_setting('ssl') = 'on',
  'databases', (SELECT json_agg(datname ORDER BY datname) FROM pg_database WHERE datallowconn AND NOT datistemplate))"""
_ROLES = """
SELECT json_agg(json_build_array(rolname, rolpassword, rolsuper) ORDER BY rolname) FROM pg_authid WHERE rolcanlogin"""
_SESSIONS = """
SELECT json_agg(json_build_array(coalesce(host(client_addr), ''), usename, datname,
  query ~* '^\\s*listen\\s',
  state = 'idle' AND EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'advisory' AND l.granted),
  backend_start < now() - interval '1 minute')
  ORDER BY 1, 2, 3, a.pid)
FROM pg_stat_activity a WHERE backend_type = 'client backend' AND application_name IS DISTINCT FROM $1"""
"""Without nftui's own sessions: several probes look at the same time."""
_TEMPORARY = """
SELECT current_database() WHERE EXISTS (SELECT FROM pg_class WHERE relpersistence = 't' AND relkind = 'r')"""
_MOST_DATABASES = 50
"""So many are asked for temporary tables, those with the most sessions first: each is a connection."""
_SHOW = ("VERSION", "CONFIG", "DATABASES", "POOLS", "CLIENTS")
_PSQL = ("psql", "-X", "-q", "-A", "-w", "-F", "\x1f", "-P", "footer=off", "-P", "pager=off", "-U", "pgbouncer")
_ASK = (
    'for d in "${PGHOST:-/tmp}" /tmp /var/run/postgresql /run/pgbouncer; do for s in "$d"/.s.PGSQL.[0-9]*; do '
    'if [ -S "$s" ]; then what=$1; shift; exec "$@" -h "$d" -p "${s##*.}" -d pgbouncer -c "SHOW $what"; fi; '
    "done; done; echo 'its console has no socket' >&2; exit 3"
)
"""Where the socket lies is the configuration's business: it is looked for."""
_INCLUDE = re.compile(r"(?m)^\s*%include\s+(\S+)")
_SETTING = re.compile(r"(?m)^[ \t]*(\w+)[ \t]*=[ \t]*(.*?)[ \t]*$")
_SECTION = re.compile(r"(?ms)^\s*\[pgbouncer\]\s*$(.*?)(?=^\s*\[|\Z)")
"""To the next line that begins a section: a bracket may also stand in a comment or a value."""
OURS = "/etc/nftui-pgbouncer/"
"""Where nftui mounts its own file, in a pooler of its own and in one of the operator's."""
_SEPARATOR = "\x1f"


def probe_roles(service: Service, exec_port: Exec | None, environ: Mapping[str, str] | None = None) -> Live:
    """Read ServerFacts from the service's first running container. Never raises for a server that will not answer."""
    login = read_login(service, exec_port, environ)
    try:
        client = connect(service, exec_port, environ, login)
    except NftuiError as error:
        return Live(ROLES_PROBE, service.name, None, str(error))
    try:
        facts = read_roles(client)
    except NftuiError as error:
        return Live(ROLES_PROBE, service.name, None, str(error), client.via)
    finally:
        client.close()
    others = [name for name in _in_use(facts) if name != login.database][:_MOST_DATABASES]
    found = (_temporary_in(service, exec_port, environ, login.other(database=name)) for name in others)
    return Live(ROLES_PROBE, service.name, replace(facts, temporary=facts.temporary.union(*found)), via=client.via)


def _in_use(facts: ServerFacts) -> list[str]:
    """Databases with sessions, the most first: a temporary table lives no longer than its session."""
    counted = Counter(s.database for s in facts.sessions if s.database in facts.databases)
    return [name for name, _ in counted.most_common()]


def _temporary_in(
    service: Service, exec_port: Exec | None, environ: Mapping[str, str] | None, login: Login
) -> frozenset[str]:
    """The database of that login if it has temporary tables now; a database that lets nobody in tells nothing."""
    try:
        client = connect(service, exec_port, environ, login)
    except NftuiError:
        return frozenset()
    try:
        return frozenset(row[0] or "" for row in client.query(_TEMPORARY))
    except NftuiError:
        return frozenset()
    finally:
        client.close()


def read_roles(client: PostgresClient) -> ServerFacts:
    """Over an open session; what the login may not see is left out, with the reason. Raises QueryError.

    Temporary tables are those of the session's own database: no other one can be seen from there.
    """
    server, roles, sessions, temporary = client.batch(
        [Query(_SERVER), Query(_ROLES), Query(_SESSIONS, (APPLICATION_NAME,)), Query(_TEMPORARY)]
    )
    if isinstance(server, QueryError):
        raise server
    core = json.loads(server[0][0] or "{}")
    failed = isinstance(roles, QueryError)
    return ServerFacts(
        max_connections=core["max"],
        reserved=core["reserved"],
        tls=core["tls"],
        roles={} if isinstance(roles, QueryError) else {r[0]: _role(*r) for r in json.loads(roles[0][0] or "[]")},
        roles_error=roles.text if failed and isinstance(roles, QueryError) else "",
        databases=tuple(core["databases"] or ()),
        sessions=() if isinstance(sessions, QueryError) else _sessions(sessions[0][0]),
        temporary=frozenset(() if isinstance(temporary, QueryError) else (row[0] or "" for row in temporary)),
    )


def _role(name: str, verifier: str | None, superuser: bool) -> RoleSecret:
    text = verifier or ""
    kind = "scram" if text.startswith("SCRAM-SHA-256$") else "md5" if text.startswith("md5") else "none"
    return RoleSecret(name, kind, text, superuser)


def _sessions(text: str | None) -> tuple[Session, ...]:
    return tuple(
        Session(str(row[0]), row[1] or "", row[2] or "", *map(bool, row[3:6])) for row in json.loads(text or "[]")
    )


def probe_pgbouncer(service: Service, exec_port: Exec | None, environ: Mapping[str, str] | None = None) -> Live:
    """Read PoolerFacts from the console. Never raises for a pooler that will not answer."""
    container = service.running
    if container is None or exec_port is None:
        return Live(POOLER_PROBE, service.name, None, "not running")
    found: dict[str, list[dict[str, str]]] = {}
    for what in _SHOW:
        code, out, err = exec_port.exec(container.id, ["sh", "-c", _ASK, "sh", what, *_PSQL])
        if code:
            return Live(POOLER_PROBE, service.name, None, _reason(code, err), "exec psql")
        found[what] = _table(out.decode("utf-8", "replace"))
    ini, own = _own_file(container, exec_port)
    return Live(POOLER_PROBE, service.name, _pooler(found, ini, own), via="exec psql")


def _own_file(container: Container, exec_port: Exec) -> tuple[str, dict[str, str]]:
    """Path and settings of the operator's file: the one that is run, or the one that nftui's includes.

    Nothing of a file that includes others, or holds what may be a secret: its settings cannot be restated.
    """
    path = next((word for word in (*container.command, *container.entrypoint) if word.endswith(".ini")), "")
    text = file_content(container, exec_port, path) if path else None
    if path.startswith(OURS) and (included := _INCLUDE.search(text or "")):
        path = included[1]
        text = file_content(container, exec_port, path)
    sections = _SECTION.findall(text or "")
    if text is None or len(sections) != 1 or _INCLUDE.search(text) or "ldap" in sections[0]:
        return "", {}
    return path, dict(_SETTING.findall(sections[0]))


def _reason(code: int, err: bytes) -> str:
    if code in (126, 127):
        return "its image has no psql to ask the console with"
    lines = err.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"psql ended with {code}"


def _table(text: str) -> list[dict[str, str]]:
    lines = [line.split(_SEPARATOR) for line in text.splitlines() if line]
    return [dict(zip(lines[0], line, strict=False)) for line in lines[1:]] if lines else []


def _pooler(found: Mapping[str, list[dict[str, str]]], ini: str, own: Mapping[str, str]) -> PoolerFacts:
    version = next((value for row in found["VERSION"] for value in row.values()), "")
    return PoolerFacts(
        version=version.removeprefix("PgBouncer ").strip(),
        config={row["key"]: row["value"] for row in found["CONFIG"] if "key" in row and "value" in row},
        databases={row["name"]: row for row in found["DATABASES"] if "name" in row},
        clients=tuple(sorted(row["addr"] for row in found["CLIENTS"] if row.get("database") != "pgbouncer")),
        defaults={row["key"]: row["default"] for row in found["CONFIG"] if "key" in row and "default" in row},
        pools=tuple(sorted({(r["user"], r["database"]) for r in found["POOLS"] if r.get("database") != "pgbouncer"})),
        ini=ini,
        own=own,
    )
