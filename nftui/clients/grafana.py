"""Grafana's own database where that is a file: a copy of it while it is written to, and what a copy holds.

SQLite's locks work between all processes of one kernel, whatever container they are in (sqlite.org/lockingv3.html).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from nftui.model.dataclass import dataclass
from nftui.model.errors import NftuiError
from nftui.model.message import msg

if TYPE_CHECKING:
    from sqlite3 import Connection

_BUSY_S, _BUSY_TIMES = 5.0, 12
"""For how long somebody else's lock is waited for, and how often on end."""
_OK, _DONE = 0, 101
"""SQLITE_OK and SQLITE_DONE, which the module has no names for."""
_STEP_BYTES = 32 * 1024 * 1024
"""Copied under one lock: a slow disk gives them in less than the 5 s that Grafana's driver waits for its own (mattn's
go-sqlite3, _busy_timeout)."""
_NAMED = {
    "org": "name", "user": "login", "team": "name", "folder": "title", "dashboard": "title", "data_source": "name",
    "alert_rule": "title", "library_element": "name", "playlist": "name", "api_key": "name",
}  # fmt: skip
"""What people made: table to the column that tells them what it is (pkg/services/sqlstore/migrations)."""


class DatabaseUnread(NftuiError):
    """It cannot be read: one line."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a database holds."""

    names: Mapping[str, tuple[str, ...]]
    """Table to the names in it, sorted; only tables that are there."""
    failed: tuple[str, ...] = ()
    """Migrations that were tried and never came to an end."""


def copy_database(source: str, target: str, progress: Callable[[float | None], None]) -> None:
    """The file `source` as it is between two transactions, as the new file `target`: owner and mode are kept.

    `progress` gets the fraction; what it raises ends the copy. Begins anew where somebody writes meanwhile. A journal
    that a crash left is not played back: that would write. Raises DatabaseUnread.
    """
    import sqlite3

    busy = 0

    def told(status: int, left: int, total: int) -> None:
        nonlocal busy
        busy = 0 if status in (_OK, _DONE) else busy + 1
        if busy >= _BUSY_TIMES:
            raise sqlite3.OperationalError("database is locked")
        progress(1 - left / total if total else None)

    with _read(source) as database, closing(sqlite3.connect(target)) as copy:
        pages = max(1, _STEP_BYTES // int(database.execute("PRAGMA page_size").fetchone()[0]))
        database.backup(copy, pages=pages, progress=told)
    found = Path(source).stat()
    os.chown(target, found.st_uid, found.st_gid)
    Path(target).chmod(stat.S_IMODE(found.st_mode))


def read_holdings(path: str) -> Holdings:
    """What the database at `path` holds; a server may be at work on it. Raises DatabaseUnread."""
    with _read(path) as database:
        there = {str(row[0]) for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        names = {table: _names(database, table, column) for table, column in _NAMED.items() if table in there}
        failed = _failed(database) if "migration_log" in there else ()
    return Holdings(names, failed)


def _names(database: Connection, table: str, column: str) -> tuple[str, ...]:
    # A quoted name alone would be taken for a text where there is no such column.
    rows = database.execute(f'SELECT "{table}"."{column}" FROM "{table}"')  # noqa: S608 (both are of the list above)
    return tuple(sorted(str(row[0] or "") for row in rows))


def _failed(database: Connection) -> tuple[str, ...]:
    """A migration is tried at every start until it has succeeded (migrator.go)."""
    rows = database.execute("SELECT migration_id FROM migration_log GROUP BY migration_id HAVING NOT max(success)")
    return tuple(sorted(str(row[0]) for row in rows))


@contextmanager
def _read(path: str) -> Iterator[Connection]:
    import sqlite3

    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=_BUSY_S)) as database:
            yield database
    except sqlite3.Error as error:
        raise DatabaseUnread(msg("{path}: {reason}", path=path, reason=str(error))) from error
