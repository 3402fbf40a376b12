"""The `postgres` probe: a running server's own account of itself, in two batches of read-only statements.

What a login without privileges may not see is left None or empty. Versions 12 to 18 differ only in where checkpoints
are counted (pg_stat_checkpointer since 17). Secrets inside settings (primary_conninfo, custom tokens) are masked here,
so that facts never hold them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from nftui.clients.postgres import PostgresClient, Query, QueryError, connect
from nftui.model.errors import NftuiError
from nftui.model.facts import Live
from nftui.model.postgres import PostgresFacts, RoleSetting, Setting
from nftui.model.stack import Service
from nftui.system.exec import Exec

PROBE = "postgres"

_SETTINGS = """
SELECT json_build_object(
  'version_num', current_setting('server_version_num')::int,
  'version', current_setting('server_version'),
  'superuser', current_setting('is_superuser') = 'on',
  'in_recovery', pg_is_in_recovery(),
  'settings', (SELECT json_agg(json_build_array(
      name, setting, unit, context, source, current_setting(name, true), vartype, sourcefile, sourceline,
      pending_restart, boot_val, reset_val, min_val, max_val, enumvals) ORDER BY name) FROM pg_settings))"""

# A slot is there also while its standby is down. Who receives decoded changes is no standby; a login without rights
# sees no state, but every pid.
_STANDBYS = """
SELECT (SELECT count(*) FROM pg_stat_replication r WHERE r.state IS DISTINCT FROM 'backup' AND NOT EXISTS
    (SELECT FROM pg_replication_slots s WHERE s.slot_type = 'logical' AND s.active_pid = r.pid))
  + (SELECT count(*) FROM pg_replication_slots WHERE slot_type = 'physical' AND NOT active AND NOT temporary)"""
_ROLE_SETTINGS = """
SELECT json_agg(json_build_array(d.datname, r.rolname, c) ORDER BY d.datname, r.rolname, c)
FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole,
  unnest(s.setconfig) c"""
_STATISTICS = """
SELECT sum(numbackends), sum(blks_hit)::float8 / nullif(sum(blks_hit) + sum(blks_read), 0), sum(temp_bytes)
FROM pg_stat_database"""
_FILE_SETTINGS = """
SELECT json_agg(json_build_array(sourcefile, sourceline, name, error, setting) ORDER BY seqno) FROM pg_file_settings"""
_SIZES = """
SELECT json_object_agg(datname, CASE WHEN has_database_privilege(oid, 'CONNECT')
  OR pg_has_role('pg_read_all_stats', 'USAGE') THEN pg_database_size(oid) END)
FROM pg_database WHERE NOT datistemplate"""
_IDENTIFIER = "SELECT system_identifier FROM pg_control_system()"
_CHECKPOINTS_17 = "SELECT num_timed, num_requested FROM pg_stat_checkpointer"
_CHECKPOINTS = "SELECT checkpoints_timed, checkpoints_req FROM pg_stat_bgwriter"

# These come from the probe's own session, not from the server.
_OWN_SOURCES = ("client", "session")
_SECRET_NAME = re.compile(r"password|passwd|secret|token|passphrase|api_?key|credential", re.I)
_SECRET_PART = re.compile(r"(password\s*=\s*)('(?:[^'\\]|\\.|'')*'|[^\s']+)|(://[^:/@\s]*:)[^@/\s]+(?=@)", re.I)
MASK = "••••••"


def probe_postgres(service: Service, exec_port: Exec | None, environ: Mapping[str, str] | None = None) -> Live:
    """Read PostgresFacts from the service's first running container. Never raises for a server that will not answer."""
    if service.running is None:
        return Live(PROBE, service.name, None, "not running")
    try:
        client = connect(service, exec_port, environ)
    except NftuiError as error:
        return Live(PROBE, service.name, None, str(error))
    try:
        return Live(PROBE, service.name, read_facts(client), via=client.via)
    except NftuiError as error:
        return Live(PROBE, service.name, None, str(error), client.via)
    finally:
        client.close()


def read_facts(client: PostgresClient) -> PostgresFacts:
    """Facts over an open session. Raises QueryError when not even pg_settings can be read."""
    first = client.batch([Query(_SETTINGS, guard=False)])[0]
    if isinstance(first, QueryError):
        raise first
    core = json.loads(first[0][0] or "{}")
    settings = _settings(core["settings"] or [])
    more = _more(client, core["version_num"], superuser=core["superuser"])
    standbys, roles, statistics = more["standbys"], more["roles"], more["statistics"] or (None, None, None)
    checkpoints = more["checkpoints"] or (None, None)
    files = _json(more["files"]) or []
    return PostgresFacts(
        version_num=core["version_num"],
        version=core["version"],
        settings=settings,
        role_settings=tuple(_role_setting(*row) for row in _json(roles) or []),
        file_errors=tuple(_file_error(*row[:4]) for row in files if row[3]),
        auto_conf=_auto_conf(files),
        file_settings=_file_settings(files),
        databases={k: int(v) for k, v in sorted((_json(more["sizes"]) or {}).items()) if v is not None},
        connections_now=_less_own(_int(statistics[0])),
        cache_hit_ratio=float(statistics[1]) if statistics[1] else None,
        temp_bytes=_int(statistics[2]),
        checkpoints_timed=_int(checkpoints[0]),
        checkpoints_requested=_int(checkpoints[1]),
        superuser=core["superuser"],
        in_recovery=core["in_recovery"],
        has_standbys=bool(standbys and _int(standbys[0])),
        system_identifier=more["identifier"][0] if more["identifier"] else None,
        data_directory=settings["data_directory"].setting if "data_directory" in settings else None,
        preloaded=_names(settings.get("shared_preload_libraries")),
    )


def _more(client: PostgresClient, version_num: int, *, superuser: bool) -> dict[str, tuple[str | None, ...] | None]:
    """The first row of each further statement; None where it is not allowed or not there."""
    queries = {
        "standbys": Query(_STANDBYS),
        "roles": Query(_ROLE_SETTINGS),
        "statistics": Query(_STATISTICS),
        "sizes": Query(_SIZES),
        "identifier": Query(_IDENTIFIER),
        "checkpoints": Query(_CHECKPOINTS_17 if version_num >= 170000 else _CHECKPOINTS),
    }
    if superuser:  # others are refused, and each refusal would be an ERROR in the server's log
        queries["files"] = Query(_FILE_SETTINGS)
    rows: dict[str, tuple[str | None, ...] | None] = {"files": None}
    for name, outcome in zip(queries, client.batch(queries.values()), strict=True):
        rows[name] = None if isinstance(outcome, QueryError) or not outcome else outcome[0]
    return rows


def _settings(rows: list[list[Any]]) -> dict[str, Setting]:
    return {row[0]: _setting(*row) for row in rows if row[4] not in _OWN_SOURCES}


def _setting(
    name: str, setting: str | None, unit: str | None, context: str, source: str, shown: str | None, vartype: str,
    sourcefile: str | None, sourceline: int | None, pending: bool, boot: str | None, reset: str | None,
    low: str | None, high: str | None, enumvals: list[str] | None,
) -> Setting:  # fmt: skip
    def clean(value: str | None) -> str | None:
        return _mask(name, value) if vartype == "string" else value

    value = clean(setting) or ""
    return Setting(
        name=name, setting=value, unit=unit, context=context, source=source,
        shown=value if shown is None else clean(shown) or "", vartype=vartype, sourcefile=sourcefile,
        sourceline=sourceline, pending_restart=bool(pending), boot_val=clean(boot), reset_val=clean(reset),
        min_val=low, max_val=high, enumvals=tuple(enumvals or ()),
    )  # fmt: skip


def _mask(name: str, value: str | None) -> str | None:
    """`value` without secrets: whole where the name says so, else the passwords in connection strings."""
    if value and _SECRET_NAME.search(name) and name != "password_encryption":
        return MASK
    return _SECRET_PART.sub(lambda m: (m[1] or m[3]) + MASK, value) if value else value


def _role_setting(database: str | None, role: str | None, text: str) -> RoleSetting:
    name, _, value = text.partition("=")
    return RoleSetting(database, role, name, _mask(name, value) or "")


def _file_error(file: str | None, line: int | None, name: str | None, error: str) -> str:
    return f"{file or '?'}:{line or 0}: {name or '?'}: {error}"


def _auto_conf(rows: list[list[Any]]) -> tuple[str, ...]:
    names = (name for file, _, name, *_ in rows if name and str(file).endswith("postgresql.auto.conf"))
    return tuple(dict.fromkeys(names))


def _file_settings(rows: list[list[Any]]) -> dict[str, str]:
    """The last row of a name counts; what might be a secret is masked."""
    texts = {str(row[2]): row[4] for row in rows if len(row) > 4 and row[2] and row[4] is not None}
    return {name: str(_mask(name, str(text))) for name, text in texts.items()}


def _json(row: tuple[str | None, ...] | None) -> Any:
    return json.loads(row[0]) if row and row[0] else None


def _int(text: str | None) -> int | None:
    return int(text) if text else None


def _less_own(backends: int | None) -> int | None:
    """Connected sessions without the probe's own."""
    return None if backends is None else max(backends - 1, 0)


def _names(setting: Setting | None) -> tuple[str, ...]:
    parts = (part.strip().strip('"') for part in setting.setting.split(",")) if setting else ()
    return tuple(part for part in parts if part)
