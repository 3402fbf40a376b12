"""PgBouncer's own console: over the socket in its container, else over TCP, from here or by psql in the container.

Over the socket it lets in whoever runs as the same user as it does, without a password (its documentation, "Admin
console"); over TCP who logs in as one of admin_users or stats_users. The password is the first line of standard input,
never on a command line.
"""

from __future__ import annotations

from collections.abc import Sequence

from nftui.clients.libpq import connect_network
from nftui.clients.pglogin import Login
from nftui.clients.routes import routes
from nftui.clients.sql import ConnectError, Failure, QueryError, classify, one_line
from nftui.model.errors import NftuiError
from nftui.model.stack import Container
from nftui.system.exec import Exec

DATABASE = "pgbouncer"
VIA = "exec psql"
Tables = dict[str, list[dict[str, str]]]
"""What was shown, by its word."""
_SHOW = ("VERSION", "CONFIG", "DATABASES", "POOLS", "CLIENTS")
_SEPARATOR = "\x1f"
_PSQL = ("psql", "-X", "-q", "-A", "-w", "-F", _SEPARATOR, "-P", "footer=off", "-P", "pager=off")
_NO_SOCKET = 3
_BY_SOCKET = (
    'for d in "${PGHOST:-/tmp}" /tmp /var/run/postgresql /run/pgbouncer; do for s in "$d"/.s.PGSQL.[0-9]*; do '
    'if [ -S "$s" ]; then what=$1; shift; exec "$@" -h "$d" -p "${s##*.}" -d pgbouncer -c "SHOW $what"; fi; '
    f"done; done; echo 'its console has no socket' >&2; exit {_NO_SOCKET}"
)
"""Where the socket lies is the configuration's business: it is looked for."""
_BY_TCP = (
    "unset PGHOST PGHOSTADDR PGSERVICE PGOPTIONS PGPASSFILE PGPASSWORD PGSSLMODE; IFS= read -r PGPASSWORD; "
    'export PGPASSWORD; what=$1 port=$2; shift 2; exec "$@" -h 127.0.0.1 -p "$port" -d pgbouncer -c "SHOW $what"'
)


def read_console(container: Container, exec_port: Exec, logins: Sequence[Login]) -> tuple[Tables, str]:
    """What it shows, and how it was reached. Raises ConnectError: of the logins where one was tried."""
    try:
        return _by_psql(container, exec_port, _BY_SOCKET, None), VIA
    except ConnectError as error:
        failures = [error]
    for login in logins:
        try:
            return _over_tcp(container, exec_port, login)
        except ConnectError as error:
            failures.append(error)
    raise next((f for f in failures if f.kind is Failure.PASSWORD), failures[-1])


def _over_tcp(container: Container, exec_port: Exec, login: Login) -> tuple[Tables, str]:
    """From here where it can be reached, else from inside. A password that was refused is not tried again."""
    for address, port, via in routes(container, login.port):
        try:
            return _from_here(login, address, port, via), via
        except ConnectError as error:
            if error.kind is Failure.PASSWORD:
                raise
    return _by_psql(container, exec_port, _BY_TCP, login), VIA


def _from_here(login: Login, address: str, port: int, via: str) -> Tables:
    client = connect_network(login, address, port, via)
    try:
        return {what: client.named(f"SHOW {what}") for what in _SHOW}
    except QueryError as error:
        raise ConnectError(Failure.OTHER, error.text, via) from None
    finally:
        client.close()


def _by_psql(container: Container, exec_port: Exec, script: str, login: Login | None) -> Tables:
    return {what: _shown(container, exec_port, script, what, login) for what in _SHOW}


def _shown(container: Container, exec_port: Exec, script: str, what: str, login: Login | None) -> list[dict[str, str]]:
    port = [str(login.port)] if login else []
    words = [what, *port, *_PSQL, "-U", login.user if login else DATABASE]
    given = f"{login.password or ''}\n".encode() if login else None
    try:
        code, out, err = exec_port.exec(container.id, ["sh", "-c", script, "sh", *words], input=given)
    except (OSError, NftuiError) as error:
        raise ConnectError(Failure.OTHER, one_line(str(error), login.password if login else None), VIA) from None
    if code:
        raise _refusal(code, err.decode("utf-8", "replace"), login)
    return _table(out.decode("utf-8", "replace"))


def _refusal(code: int, err: str, login: Login | None) -> ConnectError:
    if code in (126, 127):
        return ConnectError(Failure.NO_TOOL, "its image has no psql to ask the console with", VIA)
    lines = err.strip().splitlines()
    text = lines[-1] if lines else f"psql ended with {code}"
    return ConnectError(classify(text), text.replace(login.password, "••••••") if login and login.password else text,
                        VIA)  # fmt: skip


def _table(text: str) -> list[dict[str, str]]:
    lines = [line.split(_SEPARATOR) for line in text.splitlines() if line]
    return [dict(zip(lines[0], line, strict=False)) for line in lines[1:]] if lines else []
