"""What every PostgreSQL transport shares: the client protocol, errors, and the one place that quotes values.

Rows come as the server prints them (text; None is NULL), so that both transports give the same rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from nftui.model.errors import NftuiError
from nftui.model.message import Message, msg
from nftui.model.patterns import regex

Row = tuple[str | None, ...]
Param = str | int | float | bool | None

STATEMENT_TIMEOUT_S = 5.0
APPLICATION_NAME = "nftui"


class Query(NamedTuple):
    """One statement. `$1`, `$2`… take `params`; free text in a column should be JSON-encoded by the statement."""

    sql: str
    params: Sequence[Param] = ()
    guard: bool = True
    """Run read-only under a statement timeout. Off where pg_settings is read (the guard itself would show up in
    it as source "session") and where the statement is meant to change something."""
    timeout_s: float = STATEMENT_TIMEOUT_S


class Failure(StrEnum):
    """Why a connection was not made."""

    PASSWORD = "password"  # noqa: S105 (a kind of failure)
    REFUSED = "refused"
    STARTING = "starting"
    STOPPING = "stopping"
    NO_ROLE = "no-role"
    NO_DATABASE = "no-database"
    NOT_ALLOWED = "not-allowed"
    FULL = "full"
    TIMEOUT = "timeout"
    NO_TOOL = "no-tool"
    OTHER = "other"


class ConnectError(NftuiError):
    """One way to the server did not work: `kind`, and `text` in the server's or the tool's own words."""

    def __init__(self, kind: Failure, text: str, via: str = "") -> None:
        super().__init__(msg("{via}: {reason}", via=via, reason=text))
        self.kind, self.text, self.via = kind, text, via


class QueryError(NftuiError):
    """The server refused a statement; `sqlstate` is its five-character code, "" where the connection broke."""

    def __init__(self, sqlstate: str, text: str) -> None:
        super().__init__(msg("PostgreSQL refuses a statement: {reason} ({sqlstate})", reason=text, sqlstate=sqlstate))
        self.sqlstate, self.text = sqlstate, text


Outcome = list[Row] | QueryError


class PostgresClient(Protocol):
    """A session (or, through exec, a session per call) on one server."""

    @property
    def via(self) -> str:
        """How the server is reached: "address 172.18.0.2:5432", "published 127.0.0.1:5432", "exec psql"."""
        ...

    @property
    def user(self) -> str:
        """The role that is logged in."""
        ...

    def query(self, sql: str, params: Sequence[Param] = ()) -> list[Row]:
        """Run one guarded statement. Raises QueryError."""
        ...

    def batch(self, queries: Iterable[Query]) -> list[Outcome]:
        """Run statements in turn; one that fails is a QueryError in its place and does not stop the others."""
        ...

    def close(self) -> None:
        """End the session; harmless when it is gone already."""
        ...


def only(client: PostgresClient, query: Query) -> list[Row]:
    """The rows of one statement with its own guard and timeout. Raises QueryError."""
    outcome = client.batch([query])[0]
    if isinstance(outcome, QueryError):
        raise outcome
    return outcome


def literal(value: Param) -> str:
    """`value` as an SQL literal, safe whatever standard_conforming_strings says (the rule of PQescapeLiteral).

    Raises ValueError for a NUL character, which PostgreSQL text cannot hold.
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if "\0" in value:
        raise ValueError("a NUL character cannot be part of a value")
    quoted = value.replace("'", "''")
    return " E'" + quoted.replace("\\", "\\\\") + "'" if "\\" in value else f"'{quoted}'"


def bind(sql: str, params: Sequence[Param]) -> str:
    """`sql` with `$1`… replaced by literals. Raises IndexError for a place without a value."""
    return re.sub(r"\$(\d+)", lambda m: literal(params[int(m[1]) - 1]), sql) if params else sql


_SIGNS: tuple[tuple[Failure, re.Pattern[str]], ...] = (
    (Failure.STARTING, regex(r"starting up|not yet accepting connections|consistent recovery state", re.I)),
    (Failure.STOPPING, regex(r"is shutting down", re.I)),
    (Failure.FULL, regex(r"too many (clients|connections)|remaining connection slots", re.I)),
    (Failure.PASSWORD, regex(r"password authentication failed|no password supplied|SASL authentication", re.I)),
    (Failure.NO_ROLE, regex(r'role ".*" does not exist|Peer authentication failed', re.I)),
    (Failure.NO_DATABASE, regex(r'database ".*" does not exist', re.I)),
    (Failure.NOT_ALLOWED, regex(r"pg_hba\.conf|is not permitted to log in", re.I)),
    (Failure.TIMEOUT, regex(r"timeout|timed out", re.I)),
    (Failure.REFUSED, regex(r"refused|unreachable|No such file or directory|no route", re.I)),
)  # fmt: skip


def classify(text: str) -> Failure:
    """The kind of a connection failure by its English text; OTHER where the server speaks another language."""
    return next((kind for kind, sign in _SIGNS if sign.search(text)), Failure.OTHER)


def one_line(text: str, secret: str | None) -> str:
    """The telling line of a libpq or psql error, without its prefix; `secret` never survives."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = next((x for x in lines if "FATAL" in x or "failed" in x), lines[0] if lines else "no answer")
    line = re.sub(r"^.*?(?:FATAL|ERROR|error):\s*(?:.*FATAL:\s*)?", "", line)
    return line.replace(secret, "••••••") if secret else line


def summary(service: str, user: str, origin: str, failures: Sequence[ConnectError]) -> Message:
    """One clear line over all attempts; a refused password explains more than the routes that failed beside it."""
    kinds = {f.kind for f in failures}
    if Failure.STARTING in kinds:
        return msg("{service} is still starting up", service=service)
    if Failure.PASSWORD in kinds and origin:
        text = (
            "{service} refuses the password of user {user} ({origin}); "
            "put there the password that the server has (a rotation was not written there)"
        )
        return msg(text, service=service, user=user, origin=origin)
    if Failure.PASSWORD in kinds:
        return msg("{service} asks for a password of user {user}, and none is known", service=service, user=user)
    tried = "; ".join(str(f) for f in failures) or "no way to it"
    return msg("{service} cannot be reached as user {user} ({tried})", service=service, user=user, tried=tried)


class PostgresUnreachable(NftuiError):
    """No way to the server worked; `kind` is the most telling failure, `failures` all of them in order."""

    def __init__(self, message: Message, kind: Failure, failures: Sequence[ConnectError] = ()) -> None:
        super().__init__(message)
        self.kind, self.failures = kind, tuple(failures)
