"""PostgreSQL over a network address, by psycopg 3; psycopg is imported at the first connection only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

from nftui.clients.pglogin import Login
from nftui.clients.sql import (
    APPLICATION_NAME,
    ConnectError,
    Failure,
    Outcome,
    Param,
    Query,
    QueryError,
    Row,
    bind,
    classify,
    one_line,
    only,
)

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGresult

CONNECT_TIMEOUT_S = 3
_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
"""Values of sslmode that libpq has; other drivers have others, by which they mean encryption."""
_NO_DEFAULT = ("service", "sslcertmode", "min_protocol_version", "max_protocol_version")
"""Options that libpq refuses without a value. None of them leads elsewhere while all others are given."""
_NO_WINDOWS = "sspi"
"""A way to log in that is nowhere asked for here."""


class LibpqClient:
    """One autocommit session."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]], via: str, user: str) -> None:
        self._connection = connection
        self.via = via
        self.user = user
        self._guard: float | None = None

    def __repr__(self) -> str:
        return f"LibpqClient(via={self.via!r}, user={self.user!r})"

    def query(self, sql: str, params: Sequence[Param] = ()) -> list[Row]:
        """Run one guarded statement. Raises QueryError."""
        return only(self, Query(sql, params))

    def batch(self, queries: Iterable[Query]) -> list[Outcome]:
        """Run statements in turn; a failure is a QueryError in its place."""
        return [self._run(query) for query in queries]

    def named(self, sql: str) -> list[dict[str, str]]:
        """Rows by the names of their columns, of a statement that no guard may precede. Raises QueryError."""
        import psycopg

        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql.encode())
                names = [str(column.name) for column in cursor.description or ()]
                return [dict(zip(names, (text or "" for text in row), strict=True)) for row in _rows(cursor.pgresult)]
        except psycopg.Error as error:
            raise QueryError(error.sqlstate or "", one_line(str(error), None)) from None

    def close(self) -> None:
        """End the session."""
        self._connection.close()

    def _run(self, query: Query) -> Outcome:
        import psycopg

        try:
            self._set_guard(query.timeout_s if query.guard else 0.0, read_only=query.guard)
            with self._connection.cursor() as cursor:
                # Bytes and no parameters: the simple protocol, with no place syntax of psycopg's own.
                cursor.execute(bind(query.sql, query.params).encode())
                return _rows(cursor.pgresult)
        except psycopg.Error as error:
            return QueryError(error.sqlstate or "", one_line(str(error), None))

    def _set_guard(self, timeout_s: float, *, read_only: bool) -> None:
        """Set or lift the guard where it differs from what the session has (SET, so that RESET can lift it)."""
        wanted = timeout_s if read_only else None
        if wanted != self._guard:
            self._connection.execute(guard_sql(wanted).encode())
            self._guard = wanted


def guard_sql(timeout_s: float | None) -> str:
    """Statements that make a session read-only with a statement timeout; None lifts both."""
    if timeout_s is None:
        return "RESET default_transaction_read_only; RESET statement_timeout"
    return f"SET default_transaction_read_only = on; SET statement_timeout = {int(timeout_s * 1000)}"


def _rows(result: PGresult | None) -> list[Row]:
    if result is None:
        return []
    columns = range(result.nfields)
    return [tuple(_text(result.get_value(row, column)) for column in columns) for row in range(result.ntuples)]


def _text(value: bytes | None) -> str | None:
    # A database in SQL_ASCII can hold bytes that are no UTF-8.
    return None if value is None else bytes(value).decode("utf-8", "replace")


def connect_network(login: Login, address: str, port: int, via: str) -> LibpqClient:
    """Open a session to `address`. Raises ConnectError."""
    return _connect(login, address, port, via, address)


def connect_host(login: Login, host: str, sslmode: str) -> LibpqClient:
    """Open a session to a name that this machine resolves, in clear only where `sslmode` allows it.

    What this machine calls so may be another server than the one that the app reaches: the password itself is told to
    none whose certificate does not prove the name. An IPv6 address may stand in brackets, as URLs have it. Raises
    ConnectError.
    """
    mode = sslmode.lower() or "prefer"
    via = f"host {host}:{login.port}"
    mode = mode if mode in _MODES else "require"
    never = _NO_WINDOWS if mode == "verify-full" else "password"
    return _connect(login, host.strip("[]"), login.port, via, mode=mode, never=never)


def _connect(
    login: Login, host: str, port: int, via: str, address: str = "", mode: str = "prefer", never: str = _NO_WINDOWS
) -> LibpqClient:
    try:
        import psycopg
    except ImportError:
        raise ConnectError(Failure.NO_TOOL, "psycopg is not installed", via) from None
    try:
        connection = psycopg.connect(autocommit=True, **_defaults() | {
            "host": host, "hostaddr": address, "port": port, "user": login.user, "dbname": login.database,
            "password": login.password or "", "passfile": "/dev/null", "sslmode": mode, "gssencmode": "disable",
            "connect_timeout": CONNECT_TIMEOUT_S, "application_name": APPLICATION_NAME, "client_encoding": "UTF8",
            "target_session_attrs": "any", "options": "", **_auth(never),
        })  # fmt: skip
    except psycopg.Error as error:
        # "from None": the driver's own error carries the connection string in some versions.
        raise _connect_error(error, login, via) from None
    return LibpqClient(connection, via, login.user)


def _auth(never: str) -> dict[str, Any]:
    """Any way to log in but `never`; an empty text would mean none at all. libpq before 16 knows no such rule."""
    return {"require_auth": f"!{never}"} if "require_auth" in _defaults() else {}


def _defaults() -> dict[str, Any]:
    """libpq's own value of each option that a variable can set: the operator's shell (PGHOSTADDR…) redirects nothing.

    An empty text counts as given, None does not; what is given counts before a PGSERVICE too.
    """
    from psycopg.pq import Conninfo

    known = {o.keyword.decode(): (o.compiled or b"").decode() for o in Conninfo.get_defaults() if o.envvar}
    return {name: value for name, value in known.items() if name not in _NO_DEFAULT}


def warm_up() -> None:
    """Import the driver in the background, while the caller waits for Compose: it costs more than a whole probe."""

    def load() -> None:
        with suppress(ImportError):
            import psycopg  # noqa: F401

    Thread(target=load, daemon=True, name="nftui-psycopg").start()


def _connect_error(error: psycopg.Error, login: Login, via: str) -> ConnectError:
    text = str(error)
    kind = classify(text)
    asked = error.pgconn is not None and getattr(error.pgconn, "needs_password", False)
    # Servers may speak another language; libpq knows by itself that a password was asked for and not given.
    return ConnectError(Failure.PASSWORD if asked else kind, one_line(text, login.password), via)
