"""The probe `postgres-cluster`: what decides whether a server can be dumped and restored into another one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nftui.clients.pgscripts import FILE_SETTINGS, ICU, LIBRARY
from nftui.clients.postgres import Login, PostgresClient, Query, QueryError, connect, read_login
from nftui.model.errors import NftuiError
from nftui.model.facts import Live
from nftui.model.postgres import CLUSTER_PROBE, ClusterFacts, DatabaseFacts
from nftui.model.stack import Service
from nftui.system.exec import Exec

_CLUSTER = f"""
SELECT json_build_object(
  'version_num', current_setting('server_version_num')::int,
  'superuser', current_setting('is_superuser') = 'on',
  'bootstrap', (SELECT rolname FROM pg_roles WHERE oid = 10),
  'databases', (SELECT json_agg(json_build_array(datname, pg_database_size(oid), pg_encoding_to_char(encoding),
      datcollate, datctype) ORDER BY datname) FROM pg_database WHERE datallowconn),
  'closed', (SELECT json_agg(datname ORDER BY datname) FROM pg_database
      WHERE NOT datallowconn AND datname <> 'template0'),
  'tablespaces', (SELECT json_agg(spcname ORDER BY spcname) FROM pg_tablespace WHERE oid NOT IN (1663, 1664)),
  'prepared', (SELECT count(*) FROM pg_prepared_xacts),
  'slots', (SELECT json_agg(slot_name ORDER BY slot_name) FROM pg_replication_slots WHERE NOT temporary),
  'subscriptions', (SELECT json_agg(subname ORDER BY subname) FROM pg_subscription),
  'in_recovery', pg_is_in_recovery(),
  'checksums', current_setting('data_checksums') = 'on',
  'preload', current_setting('shared_preload_libraries'),
  'archives', current_setting('archive_mode') <> 'off',
  'library', ({LIBRARY}),
  'icu', ({ICU}))"""  # noqa: S608 (constants)
_FILES = f"""
SELECT json_build_object(
  'included', (SELECT json_agg(DISTINCT sourcefile) FROM pg_file_settings
      WHERE sourcefile NOT IN (current_setting('config_file'), current_setting('data_directory')
                               || '/postgresql.auto.conf')
        AND position(current_setting('data_directory') || '/' in current_setting('config_file')) = 1),
  'named', (SELECT json_agg(DISTINCT setting) FROM pg_file_settings WHERE name IN ({FILE_SETTINGS})),
  'directory', current_setting('data_directory'))"""  # noqa: S608 (constants)
"""For superusers only. A server whose main file lies elsewhere is told so by its command, which stays."""
_DATABASE = """
SELECT (SELECT json_agg(extname ORDER BY extname) FROM pg_extension),
  EXISTS (SELECT FROM pg_database d WHERE datname = current_database() AND to_jsonb(d) ->> 'datlocprovider' = 'i')
  OR EXISTS (SELECT FROM (SELECT unnest(indcollation) AS id FROM pg_index) used JOIN pg_collation c ON c.oid = used.id
             WHERE c.collprovider = 'i'),
  current_database(),
  (SELECT json_agg(DISTINCT split_part(option, '=', 1)) FROM pg_attribute, unnest(attoptions) AS option)"""
"""Extensions; whether an index, or the database itself, sorts by ICU (a database can since PostgreSQL 15); options."""


def probe_cluster(service: Service, exec_port: Exec | None, environ: Mapping[str, str] | None = None) -> Live:
    """Read ClusterFacts from the service's first running container. Never raises for a server that will not answer."""
    try:
        login = read_login(service, exec_port, environ)
        client = connect(service, exec_port, environ, login)
    except NftuiError as error:
        return Live(CLUSTER_PROBE, service.name, None, str(error))
    try:
        found = _read(client)
        return Live(CLUSTER_PROBE, service.name, _with_own(found, service, exec_port, login), via=client.via)
    except NftuiError as error:
        return Live(CLUSTER_PROBE, service.name, None, str(error), client.via)
    finally:
        client.close()


def _read(client: PostgresClient) -> ClusterFacts:
    core: dict[str, Any] = json.loads(client.query(_CLUSTER)[0][0] or "{}")
    files = json.loads(client.query(_FILES)[0][0] or "{}") if core["superuser"] else {}
    return ClusterFacts(
        version_num=core["version_num"],
        superuser=core["superuser"],
        bootstrap=core["bootstrap"],
        databases=tuple(DatabaseFacts(*row) for row in core["databases"] or ()),
        closed=tuple(core["closed"] or ()),
        tablespaces=tuple(core["tablespaces"] or ()),
        prepared=core["prepared"],
        slots=tuple(core["slots"] or ()),
        subscriptions=tuple(core["subscriptions"] or ()),
        in_recovery=core["in_recovery"],
        checksums=core["checksums"],
        preload=core["preload"],
        library=core["library"] or "",
        icu=core["icu"] or "",
        archives=core["archives"],
        directory=files.get("directory") or "",
        included=tuple(files.get("included") or ()),
        named=tuple(files.get("named") or ()),
    )


def _with_own(found: ClusterFacts, service: Service, exec_port: Exec | None, login: Login) -> ClusterFacts:
    """Extensions, collations and columns are a database's own: each is asked in a session of its own."""
    databases, unread = [], []
    for database in found.databases:
        own = _own(database, service, exec_port, login.other(database=database.name))
        databases.append(own or database)
        unread += [] if own is not None else [database.name]
    return replace(found, databases=tuple(databases), unread=tuple(unread))


def _own(database: DatabaseFacts, service: Service, exec_port: Exec | None, login: Login) -> DatabaseFacts | None:
    try:
        client = connect(service, exec_port, login=login)
    except NftuiError:
        return None
    try:
        (found,) = client.batch([Query(_DATABASE)])
    finally:
        client.close()
    if isinstance(found, QueryError) or found[0][2] != login.database:
        return None
    extensions, options = (tuple(json.loads(found[0][n] or "[]")) for n in (0, 3))
    return replace(database, extensions=extensions, by_icu=found[0][1] == "t", column_options=options)
