"""PostgreSQL through `psql` inside its own container, over the local socket.

Nothing secret is on a command line or in an exec environment: the password is the first line of standard input, the
statements follow it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence

from nftui.clients.libpq import guard_sql
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
from nftui.model.errors import NftuiError
from nftui.model.patterns import regex
from nftui.system.exec import Exec

VIA = "exec psql"
_FIELD, _RECORD, _NULL = "\x1f", "\x1e", "\x16"
# The container's own PG* variables may name another host or change what a session shows.
_SCRIPT = (
    "unset PGHOST PGHOSTADDR PGSERVICE PGOPTIONS PGTZ PGDATESTYLE PGPASSFILE PGPASSWORD PSQLRC; "
    'IFS= read -r NFTUI_P; [ -z "$NFTUI_P" ] || export PGPASSWORD="$NFTUI_P"; unset NFTUI_P; exec psql "$@"'
)
_PSQL = (
    "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=0", "-F", _FIELD, "-R", _RECORD, "-P", f"null={_NULL}",
    "-P", "pager=off", "-f", "-",
)  # fmt: skip
_EXEC_FAILED = regex(r"unable to find user|no matching entries in passwd|executable file not found|not found")
_MARGIN_S = 10.0


class PsqlClient:
    """A psql process, and with it a session, per call."""

    via = VIA

    def __init__(self, exec_port: Exec, container_id: str, login: Login, os_user: str | None) -> None:
        self._exec, self._container, self._login, self._os_user = exec_port, container_id, login, os_user
        self.user = login.user

    def __repr__(self) -> str:
        return f"PsqlClient(container={self._container!r}, user={self.user!r})"

    def query(self, sql: str, params: Sequence[Param] = ()) -> list[Row]:
        """Run one guarded statement. Raises QueryError."""
        return only(self, Query(sql, params))

    def batch(self, queries: Iterable[Query]) -> list[Outcome]:
        """Run all statements in one session; a failure is a QueryError in its place."""
        wanted = list(queries)
        mark = secrets.token_hex(12)
        timeout = sum(q.timeout_s for q in wanted) + _MARGIN_S
        try:
            code, out, err = self._call(_script(wanted, mark), timeout)
        except (OSError, NftuiError) as error:
            return [QueryError("", one_line(str(error), self._login.password))] * len(wanted)
        outcomes = _outcomes(out, mark)
        lost = QueryError("", one_line(err or f"psql ended with {code}", self._login.password))
        return outcomes + [lost] * (len(wanted) - len(outcomes))

    def close(self) -> None:
        """Nothing stays open between calls."""

    def _call(self, script: str, timeout: float) -> tuple[int, str, str]:
        login = self._login
        # As variables: `-d` would read a database name with "=" in it as a connection string.
        env = {
            "PGUSER": login.user, "PGDATABASE": login.database, "PGPORT": str(login.port), "LC_MESSAGES": "C",
            "PGAPPNAME": APPLICATION_NAME, "PGCLIENTENCODING": "UTF8", "PGCONNECT_TIMEOUT": "3",
        }  # fmt: skip
        given = f"{login.password or ''}\n{script}".encode()
        argv = ["sh", "-c", _SCRIPT, "psql", *_PSQL]
        code, out, err = self._exec.exec(
            self._container, argv, env=env, input=given, timeout=timeout, user=self._os_user
        )
        return code, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")

    def open(self) -> PsqlClient:
        """Prove that a session can be had. Raises ConnectError."""
        try:
            code, out, err = self._call("SELECT 1;\n", _MARGIN_S)
        except (OSError, NftuiError) as error:
            raise ConnectError(Failure.OTHER, one_line(str(error), self._login.password), VIA) from None
        if code == 0 and out.strip() == "1":
            return self
        text = err or out or f"psql ended with {code}"
        # 126 and 127 are the engine's and the shell's: no such OS user, no psql in the image.
        kind = Failure.NO_TOOL if code in (126, 127) or _EXEC_FAILED.search(text) else classify(text)
        raise ConnectError(kind, one_line(text, self._login.password), VIA)


def connect_exec(exec_port: Exec, container_id: str, login: Login) -> PsqlClient:
    """Open a session as the OS user postgres (peer authentication), else as the container's own user.

    Raises ConnectError.
    """
    try:
        return PsqlClient(exec_port, container_id, login, "postgres").open()
    except ConnectError as error:
        if error.kind is not Failure.NO_TOOL:
            raise
    return PsqlClient(exec_port, container_id, login, None).open()


def _script(queries: Sequence[Query], mark: str) -> str:
    parts: list[str] = []
    for query in queries:
        parts.append(guard_sql(query.timeout_s if query.guard else None) + ";")
        parts.append(bind(query.sql, query.params).strip().rstrip(";") + ";")
        parts.append(f"\\echo '{mark}' :SQLSTATE :LAST_ERROR_MESSAGE '{mark}'")
    return "\n".join(parts) + "\n"


def _outcomes(out: str, mark: str) -> list[Outcome]:
    """Cut psql's output at the marks: before each the rows, within it SQLSTATE and the last error's text."""
    outcomes: list[Outcome] = []
    begin = 0
    for found in re.finditer(rf"{mark} (\S+) (.*?) ?{mark}\n", out, re.DOTALL):
        state, text = found[1], found[2]
        rows = out[begin : found.start()]
        outcomes.append(_rows(rows) if state == "00000" else QueryError(state, one_line(text, None)))
        begin = found.end()
    return outcomes


def _rows(text: str) -> list[Row]:
    """psql -A -t: no row prints nothing, the last row ends with a newline whatever the record separator is."""
    if not text:
        return []
    records = text.removesuffix("\n").split(_RECORD)
    return [tuple(None if x == _NULL else x for x in record.split(_FIELD)) for record in records]
