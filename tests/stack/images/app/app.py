"""The app of the test stack: a pool of PostgreSQL connections, one of Redis, and an HTTP port.

It behaves as an ordinary app does: it holds its connections open, works all the time, and comes
back by itself when a database was away.  What it went through is at `/stats`, so that a test can
read how long a change was felt.  `APP_*` set the load; the databases are named by URLs
(DATABASE_URL, REDIS_URL) or by split keys (DB_HOST, ..., REDIS_HOST, ...): apps do both.
"""

import json
import os
import queue
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import psycopg2
import redis

POOL_SIZE = int(os.environ.get("APP_POOL_SIZE", "4"))
PAUSE = float(os.environ.get("APP_PAUSE_SECONDS", "0.2"))
PORT = int(os.environ.get("APP_PORT", "8000"))
NAME = os.environ.get("APP_NAME", "app")


def database_arguments():
    """Arguments of `psycopg2.connect`."""
    if url := os.environ.get("DATABASE_URL"):
        return {"dsn": url}
    return {
        "host": os.environ["DB_HOST"],
        "port": os.environ.get("DB_PORT", "5432"),
        "user": os.environ["DB_USER"],
        "password": os.environ["DB_PASSWORD"],
        "dbname": os.environ["DB_NAME"],
    }


def redis_client():
    """A client that connects when it is first used, and again after a loss."""
    if url := os.environ.get("REDIS_URL"):
        return redis.Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3)
    return redis.Redis(
        host=os.environ["REDIS_HOST"],
        port=int(os.environ.get("REDIS_PORT", "6379")),
        password=os.environ.get("REDIS_PASSWORD") or None,
        socket_timeout=3,
        socket_connect_timeout=3,
    )


class Pool:
    """A fixed number of PostgreSQL connections; a broken one is replaced at its next use."""

    def __init__(self, size):
        self._slots = queue.Queue()
        for _ in range(size):
            self._slots.put(None)

    def run(self, sql):
        """The first column of the first row of `sql`."""
        connection = self._slots.get(timeout=5)
        try:
            connection = connection or self._connect()
            with connection.cursor() as cursor:
                cursor.execute(sql)
                row = cursor.fetchone()
        except BaseException:
            if connection is not None:
                connection.close()
            connection = None
            raise
        finally:
            self._slots.put(connection)
        return row[0]

    @staticmethod
    def _connect():
        connection = psycopg2.connect(connect_timeout=3, **database_arguments())
        connection.autocommit = True
        return connection


class Record:
    """What one dependency did so far: counts, and the longest time without an answer."""

    def __init__(self):
        self.lock = threading.Lock()
        self.ok = self.failed = 0
        self.longest_gap = 0.0
        self.last_ok = None
        self.last_error = ""

    def success(self):
        with self.lock:
            now = time.monotonic()
            if self.last_ok is not None:
                self.longest_gap = max(self.longest_gap, now - self.last_ok)
            self.last_ok, self.ok, self.last_error = now, self.ok + 1, ""

    def failure(self, error):
        with self.lock:
            self.failed += 1
            self.last_error = f"{type(error).__name__}: {error}".strip()

    def as_dict(self):
        with self.lock:
            since = None if self.last_ok is None else time.monotonic() - self.last_ok
            return {
                "ok": self.ok,
                "failed": self.failed,
                "seconds_since_ok": since,
                "longest_gap_seconds": max(self.longest_gap, since or 0.0),
                "error": self.last_error,
            }

    def healthy(self):
        now = self.as_dict()
        return now["seconds_since_ok"] is not None and now["seconds_since_ok"] < 5


POOL = Pool(POOL_SIZE)
CACHE = redis_client()
RECORDS = {"postgres": Record(), "redis": Record()}
WORK = {
    "postgres": lambda: POOL.run("SELECT count(*) FROM pg_class"),
    "redis": lambda: CACHE.incr(f"{NAME}:beats"),
}


def work_forever(name):
    """Use one dependency again and again; failures are counted, never fatal."""
    while True:
        try:
            WORK[name]()
            RECORDS[name].success()
        except Exception as error:  # whatever went wrong, an app must come back from it
            RECORDS[name].failure(error)
        time.sleep(PAUSE)


class Handler(BaseHTTPRequestHandler):
    """/health (200 or 503), /stats, /setting?name=... (as this app's connection sees it)."""

    def do_GET(self):
        address = urlsplit(self.path)
        if address.path == "/health":
            healthy = all(record.healthy() for record in RECORDS.values())
            self.reply(200 if healthy else 503, {"healthy": healthy})
        elif address.path == "/stats":
            self.reply(200, {name: record.as_dict() for name, record in RECORDS.items()})
        elif address.path == "/setting":
            name = parse_qs(address.query).get("name", ["shared_buffers"])[0]
            self.reply(200, {"value": POOL.run(f"SELECT current_setting('{name}')")})
        else:
            self.reply(404, {"error": "no such page"})

    def reply(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Silent: the health check alone would fill the log."""


def main():
    # As many workers on PostgreSQL as connections, so that the pool really fills.
    for name in ["postgres"] * POOL_SIZE + ["redis"]:
        threading.Thread(target=work_forever, args=(name,), daemon=True).start()
    ThreadingHTTPServer(("", PORT), Handler).serve_forever()


if __name__ == "__main__":
    main()
