"""A Grafana for tests: its database in SQLite with real names of tables, migrated at its start, and its health.

As in the real one a migration is one transaction, is logged in migration_log and ends the server where it fails; the
server listens once all are done (pkg/services/sqlstore/migrator, pkg/api/http_server.go). It asks for no login.
STANDIN_LOSES names a table of which a migration of the newer version loses a row.
"""

from __future__ import annotations

import configparser
import json
import os
import signal
import sqlite3
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MAJOR = int(os.environ["STANDIN_MAJOR"])
PLAIN = "CREATE TABLE {} (id INTEGER PRIMARY KEY, org_id INTEGER DEFAULT 1, {} TEXT, {})"
MIGRATIONS = [
    (9, "create org table v1", "CREATE TABLE org (id INTEGER PRIMARY KEY, name TEXT)"),
    (9, "create user table v2", "CREATE TABLE user (id INTEGER PRIMARY KEY, login TEXT, org_id INTEGER)"),
    (9, "create dashboard v2", PLAIN.format("dashboard", "title", "data TEXT, folder_id INTEGER DEFAULT 0")),
    (9, "create data_source table v2", PLAIN.format("data_source", "name", "url TEXT")),
    (9, "create alert_rule table", PLAIN.format("alert_rule", "title", "data TEXT")),
    (9, "create legacy alert table", PLAIN.format("alert", "name", "state TEXT")),
    (10, "create folder table", PLAIN.format("folder", "title", "uid TEXT")),
    (10, "add unique index dashboard_title", "CREATE UNIQUE INDEX dashboard_title ON dashboard (org_id, title)"),
    (10, "drop legacy alert table", "DROP TABLE alert"),
]
if os.environ.get("STANDIN_LOSES"):
    lost = os.environ["STANDIN_LOSES"]
    MIGRATIONS.append((10, "lose a row", f"DELETE FROM {lost} WHERE id = (SELECT max(id) FROM {lost})"))  # noqa: S608
LOG = """CREATE TABLE IF NOT EXISTS migration_log (id INTEGER PRIMARY KEY, migration_id TEXT, sql TEXT, success INTEGER,
error TEXT, timestamp TEXT)"""


def say(line: str) -> None:
    """A line of the log."""
    sys.stderr.write(f"{line}\n")


def setting(section: str, key: str, default: str) -> str:
    """The environment goes before the file."""
    found = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    found.read_string("[DEFAULT]\n" + Path(os.environ["GF_PATHS_CONFIG"]).read_text())
    told = found.get(section, key, fallback=default) if found.has_section(section) else default
    return os.environ.get(f"GF_{section}_{key}".upper()) or told or default


def open_database() -> sqlite3.Connection:
    """By absolute path, or below the data directory; transactions are begun here."""
    path = Path(os.environ["GF_PATHS_DATA"], setting("database", "path", "grafana.db"))
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    if setting("database", "wal", "false") == "true":
        database.execute("PRAGMA journal_mode = WAL")
    return database


def migrate(database: sqlite3.Connection) -> None:
    """What was not done yet, each in a transaction of its own."""
    database.execute(LOG)
    done = {row[0] for row in database.execute("SELECT migration_id FROM migration_log WHERE success")}
    for major, name, sql in MIGRATIONS:
        if major > MAJOR or name in done:
            continue
        say(f'logger=migrator level=info msg="Executing migration" id="{name}"')
        database.execute("BEGIN IMMEDIATE")
        try:
            database.execute(sql)
        except sqlite3.Error as error:
            database.execute("ROLLBACK")
            say(f"Error: ✗ migration failed (id = {name}): {error}")
            raise SystemExit(1) from None
        database.execute("INSERT INTO migration_log (migration_id, sql, success) VALUES (?, ?, 1)", (name, sql))
        database.execute("COMMIT")
    if not database.execute("SELECT count(*) FROM org").fetchone()[0]:
        database.execute("INSERT INTO org (name) VALUES ('Main Org.')")
        database.execute("INSERT INTO user (login, org_id) VALUES ('admin', 1)")


class Handler(BaseHTTPRequestHandler):
    """GET /api/health and /api/search, POST /api/dashboards/db."""

    database: sqlite3.Connection
    lock = threading.Lock()
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/api/health":
            self._asked("SELECT 1")
            self._answer(200, {"commit": "test", "database": "ok", "version": f"{MAJOR}.0.0"})
        elif self.path == "/api/search":
            self._answer(200, [{"title": row[0]} for row in self._asked("SELECT title FROM dashboard ORDER BY id")])
        else:
            self._answer(404, {"message": "Not found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        data = body["dashboard"]
        self._asked("INSERT INTO dashboard (title, data) VALUES (?, ?)", data["title"], json.dumps(data))
        self._answer(200, {"status": "success"})

    def _asked(self, sql: str, *values: str) -> list[Any]:
        with self.lock:
            return self.database.execute(sql, values).fetchall()

    def _answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


def main() -> None:
    """Migrate, then listen."""
    Handler.database = open_database()
    migrate(Handler.database)
    address = setting("server", "http_addr", ""), int(setting("server", "http_port", "3000"))
    server = ThreadingHTTPServer(address, Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    say(f'logger=http.server level=info msg="HTTP Server Listen" address={address[0]}:{address[1]}')
    server.serve_forever()
    Handler.database.close()


main()
