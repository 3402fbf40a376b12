"""The probes `postgres-roles` and `postgres-sessions`: what a pooler in front of a server must know."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

from nftui.clients.pglogin import Login
from nftui.clients.postgres import PostgresClient, Query, QueryError, connect, read_login
from nftui.clients.sql import APPLICATION_NAME
from nftui.model.errors import NftuiError
from nftui.model.facts import Live
from nftui.model.pooling import (
    ROLES_PROBE,
    SESSIONS_PROBE,
    RoleSecret,
    ServerFacts,
    Session,
)
from nftui.model.stack import Service
from nftui.probes.resolve import Background
from nftui.system.exec import Exec

_SERVER = """
SELECT json_build_object(
  'max', current_setting('max_connections')::int,
  'reserved', current_setting('superuser_reserved_connections')::int
    + coalesce(current_setting('reserved_connections', true)::int, 0),
  'tls', current_setting('ssl') = 'on',
  'counts', to_regclass('pg_stat_statements') IS NOT NULL,
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
_SETS = """
SELECT DISTINCT rolname, datname, lower(name) AS name FROM (SELECT userid, dbid, substring(query from
  '(?i)^\\s*set\\s+(?:session\\s+)?(search_path|role|authorization|work_mem|temp_buffers|[a-z_]\\w*\\.\\w+)\\M'
) AS name FROM pg_stat_statements) s JOIN pg_roles r ON r.oid = userid JOIN pg_database d ON d.oid = dbid
WHERE name IS NOT NULL ORDER BY 1, 2, 3"""
"""What one client would leave to the next. Not what pg_dump and nftui set, often by an app's own login; SET LOCAL and
what a role or a database sets by itself harm nobody."""
_MOST_DATABASES = 50
"""So many are asked for temporary tables, those with the most sessions first: each is a connection."""
TOUR_S = 3.0
"""Seconds for all of these together; what was not seen by then stays unknown."""


def probe_roles(service: Service, exec_port: Exec | None, environ: Mapping[str, str] | None = None) -> Live:
    """What `probe_sessions` reads, with the temporary tables of every database in use. Never raises either."""
    login = read_login(service, exec_port, environ)
    live = replace(_sessions_of(service, exec_port, environ, login), probe=ROLES_PROBE)
    if not isinstance(live.value, ServerFacts):
        return live
    names = [name for name in _in_use(live.value) if name != login.database][:_MOST_DATABASES]
    found = _tour([partial(_temporary_in, service, exec_port, environ, login.other(database=name)) for name in names])
    return replace(live, value=replace(live.value, temporary=live.value.temporary | found))


def probe_sessions(service: Service, exec_port: Exec | None, environ: Mapping[str, str] | None = None) -> Live:
    """Read ServerFacts from the service's first running container. Never raises for a server that will not answer."""
    return _sessions_of(service, exec_port, environ, read_login(service, exec_port, environ))


def _sessions_of(service: Service, exec_port: Exec | None, environ: Mapping[str, str] | None, login: Login) -> Live:
    try:
        client = connect(service, exec_port, environ, login)
    except NftuiError as error:
        return Live(SESSIONS_PROBE, service.name, None, str(error))
    try:
        return Live(SESSIONS_PROBE, service.name, read_roles(client), via=client.via)
    except NftuiError as error:
        return Live(SESSIONS_PROBE, service.name, None, str(error), client.via)
    finally:
        client.close()


def _tour(calls: Iterable[Callable[[], frozenset[str]]]) -> frozenset[str]:
    """What they found together in TOUR_S. One that hangs is not waited for longer, nor is a next one begun then."""
    found, end = set[str](), time.monotonic() + TOUR_S

    def go() -> None:
        for call in calls:
            if time.monotonic() >= end:
                break
            found.update(call())

    Background(go).wait(TOUR_S)
    return frozenset(found)


def _in_use(facts: ServerFacts) -> list[str]:
    """Databases with sessions, the most first, then by name: a temporary table lives no longer than its session."""
    counted = Counter(s.database for s in facts.sessions if s.database in facts.databases)
    return sorted(counted, key=lambda name: (-counted[name], name))


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
        set_by=_set_by(client) if core["counts"] else {},
    )


def _set_by(client: PostgresClient) -> dict[tuple[str, str], tuple[str, ...]]:
    """Asked only where the view is there: an error would stand in the server's log."""
    rows, found = client.batch([Query(_SETS)])[0], dict[tuple[str, str], tuple[str, ...]]()
    for user, database, name in () if isinstance(rows, QueryError) else rows:
        key = (user or "", database or "")
        found[key] = (*found.get(key, ()), name or "")
    return found


def _role(name: str, verifier: str | None, superuser: bool) -> RoleSecret:
    text = verifier or ""
    kind = "scram" if text.startswith("SCRAM-SHA-256$") else "md5" if text.startswith("md5") else "none"
    return RoleSecret(name, kind, text, superuser)


def _sessions(text: str | None) -> tuple[Session, ...]:
    return tuple(
        Session(str(row[0]), row[1] or "", row[2] or "", *map(bool, row[3:6])) for row in json.loads(text or "[]")
    )
