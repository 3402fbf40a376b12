"""Reasons why now is no moment to stop a PostgreSQL (engine.md 7), and who is connected to it.

Asked again just before each stop. What cannot be seen is a reason too: unknown is not quiet.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from nftui.clients.postgres import PostgresClient, Query, QueryError
from nftui.model.dataclass import dataclass
from nftui.model.message import Message, msg
from nftui.model.units import human_seconds

LONG_TRANSACTION_S = 30.0
# Names that backup tools give their sessions; whatever follows (a version, a slot) does not matter.
BACKUP_TOOLS = ("pg_dump", "pg_restore", "pg_basebackup", "pgbackrest", "barman", "wal-g", "wal_g", "pg_probackup")

_OVERVIEW = """
SELECT current_setting('server_version_num')::int, current_user, pg_is_in_recovery()::int,
  pg_has_role('pg_read_all_stats', 'USAGE')::int"""
_SESSIONS = r"""
SELECT json_agg(json_build_array(pid, usename, datname, application_name, backend_type, state, backend_xid IS NOT NULL,
  extract(epoch FROM coalesce(xact_start, query_start, backend_start)), xact_start IS NOT NULL,
  query ~* '^\s*copy\M', host(client_addr)) ORDER BY pid)
FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND application_name <> 'nftui'
  AND coalesce(backend_type, 'client backend') IN ('client backend', 'walsender')"""
_SLOTS = """
SELECT json_agg(json_build_array(slot_name, slot_type, active_pid) ORDER BY slot_name)
FROM pg_replication_slots WHERE active"""
_PREPARED = """
SELECT json_agg(json_build_array(gid, owner, database, extract(epoch FROM prepared)) ORDER BY gid)
FROM pg_prepared_xacts"""
_CLUSTER = "SELECT json_agg(json_build_array(pid, command) ORDER BY pid) FROM pg_stat_progress_cluster"
_INDEX = "SELECT json_agg(json_build_array(pid, command) ORDER BY pid) FROM pg_stat_progress_create_index"
_BASE_BACKUP = "SELECT json_agg(json_build_array(pid, 'base backup')) FROM pg_stat_progress_basebackup"
_SENDERS_BACKUP = (
    "SELECT json_agg(json_build_array(pid, 'base backup')) FROM pg_stat_replication WHERE state = 'backup'"
)
_EXCLUSIVE_BACKUP = "SELECT json_agg(json_build_array(0, 'exclusive backup')) WHERE pg_is_in_backup()"


class ConnectedClient(NamedTuple):
    """Sessions of one kind from one address; `address` is None over the local socket."""

    address: str | None
    application: str
    user: str
    database: str
    sessions: int


@dataclass(frozen=True, slots=True)
class _Session:
    """A row of pg_stat_activity that is not nftui's own; `since` in seconds of the epoch, None where hidden."""

    pid: int
    user: str | None
    database: str | None
    application: str | None
    kind: str | None
    state: str | None
    writes: bool
    since: float | None
    in_transaction: bool
    copies: bool | None
    address: str | None

    @property
    def is_backup_tool(self) -> bool:
        name = (self.application or "").lower()
        # The tools of the last names keep idle sessions between backups; pg_dump and its kin never do.
        return name.startswith(BACKUP_TOOLS) and (name.startswith("pg_") or self.state != "idle")


def postgres_quiet(client: PostgresClient, now: float) -> tuple[Message, ...]:
    """Why the server should not be stopped at `now` (seconds of the epoch); empty when it is quiet.

    Idle sessions, plain readers and autovacuum are no reason. Never raises: an unreadable server is one reason.
    """
    try:
        row = client.query(_OVERVIEW)[0]
    except QueryError as error:
        return (msg("cannot tell what runs: {reason}", reason=str(error)),)
    version, user, in_recovery, sees_all = int(row[0] or 0), row[1], row[2] == "1", row[3] == "1"
    reasons: list[Message] = []
    if in_recovery:
        reasons.append(msg("recovery is in progress: a standby, or a start-up that still replays"))
    if not sees_all:
        text = "user {user} may not see what other sessions do (it needs pg_read_all_stats): quiet is unknown"
        reasons.append(msg(text, user=user))
    queries = _queries(version)
    found = dict(zip(queries, client.batch(Query(sql) for sql in queries.values()), strict=True))
    for name, outcome in found.items():
        if isinstance(outcome, QueryError):
            reasons.append(msg("cannot tell about {what}: {reason}", what=name, reason=str(outcome)))
    rows = {name: _rows(outcome) for name, outcome in found.items()}
    return (*reasons, *_reasons(rows, now))


def _queries(version_num: int) -> dict[str, str]:
    """What is asked of this version: pg_stat_progress_basebackup came with 13, pg_is_in_backup() left with 15."""
    queries = {
        "sessions": _SESSIONS,
        "replication slots": _SLOTS,
        "prepared transactions": _PREPARED,
        "table rewrites": _CLUSTER,
        "index builds": _INDEX,
        "base backups": _BASE_BACKUP if version_num >= 130000 else _SENDERS_BACKUP,
    }
    if version_num < 150000:
        queries["exclusive backups"] = _EXCLUSIVE_BACKUP
    return queries


def _rows(outcome: object) -> list[list[Any]]:
    """The JSON rows of a statement that went well."""
    return (json.loads(outcome[0][0]) or []) if isinstance(outcome, list) and outcome and outcome[0][0] else []


def _reasons(rows: Mapping[str, list[list[Any]]], now: float) -> list[Message]:
    """One reason per session, slot or prepared transaction: the first that says most about it."""
    sessions = [_Session(*row) for row in rows["sessions"]]
    by_pid = {s.pid: s for s in sessions}
    commands = {int(pid): str(command) for name in ("base backups", "table rewrites", "index builds")
                for pid, command in rows[name]}  # fmt: skip
    slots = {pid: (name, kind) for name, kind, pid in rows["replication slots"] if pid}
    reasons = [_slot(name, kind) for name, kind, pid in rows["replication slots"] if pid not in by_pid]
    reasons += [_running(command, by_pid.get(pid), pid, now) for pid, command in commands.items()]
    for session in sessions:
        reason = None if session.pid in commands else _session(session, slots.get(session.pid), now)
        reasons += [reason] if reason else []
    reasons += [msg("an exclusive backup is open (pg_start_backup)") for _ in rows.get("exclusive backups", ())]
    return reasons + _prepared(rows["prepared transactions"], now)


def _session(session: _Session, slot: tuple[str, str] | None, now: float) -> Message | None:
    """Why this session should not be cut; None where it may be."""
    place = _place(session, now)
    if session.is_backup_tool:
        return msg("{tool} is running ({place})", tool=session.application, place=place)
    if slot:
        text = "{application} streams by {kind} replication slot {slot} ({place})"
        return msg(text, application=_named(session), slot=slot[0], kind=slot[1], place=place)
    if session.kind == "walsender":
        return msg("{application} receives WAL ({place})", application=_named(session), place=place)
    age = _age(session.since, now)
    if not session.in_transaction or age is None or age <= LONG_TRANSACTION_S:
        return None
    if session.writes:
        return msg("a transaction that writes is open, state {state} ({place})", state=session.state, place=place)
    if session.copies and session.state == "active":
        return msg("a COPY is running ({place})", place=place)
    return None


def _running(command: str, session: _Session | None, pid: int, now: float) -> Message:
    place = _place(session, now) if session else f"pid {pid}"
    return msg("{command} is running ({place})", command=command, place=place)


def _slot(name: str, kind: str) -> Message:
    return msg("{kind} replication slot {slot} is in use", kind=kind, slot=name)


def _prepared(rows: Iterable[list[Any]], now: float) -> list[Message]:
    text = "prepared transaction {gid} of user {user} in database {database} waits for its end since {age}"
    return [
        msg(text, gid=gid, user=owner, database=database, age=human_seconds(_age(since, now) or 0.0))
        for gid, owner, database, since in rows
    ]


def _place(session: _Session, now: float) -> str:
    """Pid, user, database and age, as every reason carries them."""
    age = _age(session.since, now)
    parts = [f"pid {session.pid}", f"user {session.user or '?'}", f"database {session.database or '-'}"]
    return ", ".join([*parts, human_seconds(age)] if age is not None else parts)


def _named(session: _Session) -> str:
    return session.application or session.address or "a client"


def _age(since: float | None, now: float) -> float | None:
    return None if since is None else max(now - float(since), 0.0)


_CONNECTED = """
SELECT host(client_addr), application_name, usename, datname, count(*)
FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND application_name <> 'nftui'
  AND coalesce(backend_type, 'client backend') IN ('client backend', 'walsender')
GROUP BY 1, 2, 3, 4 ORDER BY 1 NULLS FIRST, 2, 3, 4"""


def connected_clients(client: PostgresClient) -> tuple[ConnectedClient, ...]:
    """Who is connected now, nftui itself left out: after a recreate these must be back. Raises QueryError.

    Addresses of other users' sessions are hidden (None) from a login without pg_read_all_stats.
    """
    return tuple(
        ConnectedClient(address, application or "", user or "", database or "", int(count or 0))
        for address, application, user, database, count in client.query(_CONNECTED)
    )
