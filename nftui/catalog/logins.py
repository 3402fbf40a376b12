"""Who a client logs in as: user, database and where its password stands, by the variables of a connection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from nftui.catalog.addresses import shape
from nftui.model.dataclass import dataclass
from nftui.model.patterns import regex

if TYPE_CHECKING:
    from nftui.catalog.connections import Connection

_ENDS = {
    "user": ("USER", "USERNAME"),
    "password": ("PASSWORD", "PASS", "PWD"),
    "database": ("NAME", "DATABASE", "DB", "DBNAME", "DATABASE_NAME"),
    "sslmode": ("SSLMODE", "SSL_MODE"),
}
_URL_ENDS = ("JDBC_URL", "URL", "URI", "DSN")
_HOST_ENDS = ("HOSTNAME", "HOST", "SERVER", "ADDRESS", "ADDR", "ENDPOINT")
TIMEOUTS = ("idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout")
"""What an app may ask for when it connects and lose without another answer to any query."""
_SESSION = regex(
    r"search_?path|currentschema|role|session_authorization|work_mem|maintenance_work_mem|temp_buffers|jit|"
    r"row_security|synchronous_commit|plan_cache_mode|transaction_timeout|idle_session_timeout|bytea_output|random_page_cost|"
    r"max_parallel_workers_per_gather|(?:default_(?:transaction|table|toast)|enable|lc)_\w+|\w+\.\w+"
)
"""Parameters by which drivers set what a session sees, as whom and how (JDBC, Npgsql; pgx, lib/pq and asyncpg send
every name that is none of their own when they connect, node-postgres those that it knows)."""
_BOUND = regex(r"schema_search_path|variables\[\w+\]")
"""Parameters by which Rails sets its session once it is connected (activerecord, PostgreSQLAdapter)."""
_NAMES = {
    "user": ("user", "username", "user_id", "userid", "user_name", "uid"),
    "password": ("password", "pwd", "psw"),
    "database": ("dbname", "database", "db"),
    "sslmode": ("sslmode", "ssl_mode", "ssl"),
}
"""Words of a connection string (libpq, Npgsql), a space as "_"; of a URL the same, in its query."""
_LIBPQ = regex(r"([\w.]+)\s*=\s*('(?:[^'\\]|\\.)*'|\S*)")
_DOTNET = regex(r"""\s*([^=;]+?)\s*=\s*("(?:[^"]|"")*"|'(?:[^']|'')*'|[^;]*?)\s*(?:;|$)""")
_FILES = regex(r"PASS(?:WORD|WD)?_{0,2}FILE$")
"""Variables that say where a password lies (Grafana's end in __FILE)."""
TLS = ("require", "verify-ca", "verify-full")
"""Values of sslmode with which a client refuses a connection in clear."""


@dataclass(frozen=True, slots=True)
class ClientLogin:
    """One client's login; None: not to be learnt from its variables."""

    user: str | None
    database: str | None
    password: str | None = field(default=None, repr=False)
    sslmode: str = ""
    options: str = ""
    """What it sends as `options` when it connects."""
    session: tuple[str, ...] = ()
    """Parameters of its URL or connection string that it sends when it connects, and that it may rely on."""
    timeouts: tuple[str, ...] = ()
    """Those of TIMEOUTS that it sends by themselves."""
    bound: tuple[str, ...] = ()
    """Parameters by which it sets its session once it is connected."""


def login_of(keys: Mapping[str, str], environment: Mapping[str, str | None]) -> ClientLogin:
    """The login by `keys` (as `login_keys` gives them) in that environment."""
    text = environment.get(keys.get("url", ""))
    options = environment.get("PGOPTIONS") or ""
    if text:
        found = _of_url(text, options) if "://" in text else _of_pairs(text, options)
        user = found.user or environment.get(keys.get("user", ""))
        password = found.password or environment.get(keys.get("password", "PGPASSWORD"))
        return replace(found, user=user, password=password, database=found.database or user)
    parts = {part: environment.get(key) for part, key in keys.items()}
    user = parts.get("user")
    mode = parts.get("sslmode") or environment.get("PGSSLMODE") or ""
    # Only libpq goes by the user's name where none is said; others have a default of their own (Odoo: "postgres").
    usual = user if keys.get("user") == "PGUSER" else None
    return ClientLogin(user, parts.get("database") or usual, parts.get("password"), mode, options)


def login_keys(connection: Connection) -> dict[str, str]:
    """ "user", "password", "database" and "sslmode" to the variable that holds it; with "url" (or a connection string)
    only what that one may lack, user and password.
    """
    environment, use = connection.client.environment, connection.use
    text = environment.get(connection.key) or ""
    whole = "://" in text or (shape(text) == "pairs" and not (use and use.text))
    found = _beside(connection.key, _URL_ENDS if whole else _HOST_ENDS, environment)
    if use is not None and use.keys:
        known = {part: use.keys[part] for part in _ENDS if use.keys.get(part) in environment}
        found = known | {part: key for part, key in found.items() if part == "sslmode"}
    if not whole:
        return found
    return {"url": connection.key, **{part: key for part, key in found.items() if part in ("user", "password")}}


def password_files(environment: Mapping[str, str | None]) -> tuple[str, ...]:
    """Names of the variables that say in which file a password lies: of this login, or of another."""
    return tuple(sorted(name for name, value in environment.items() if value and _FILES.search(name.upper())))


def _beside(key: str, ends: tuple[str, ...], environment: Mapping[str, str | None]) -> dict[str, str]:
    """Of `DB_HOST`: `DB_USER`, `DB_PASSWORD`, `DB_NAME`, `DB_SSLMODE`."""
    end = next((e for e in ends if key.upper().endswith(e)), "")
    stem = key[: len(key) - len(end)] if end else f"{key}_"
    found = {}
    for part, names in _ENDS.items():
        name = next((stem + n for n in names if environment.get(stem + n)), None)
        if name is not None:
            found[part] = name
    return found


def _of_url(url: str, options: str) -> ClientLogin:
    """`options` where the URL has none."""
    try:
        parts = urlsplit(url.removeprefix("jdbc:"))
    except ValueError:
        return ClientLogin(None, None)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    said = {"user": unquote(parts.username or ""), "password": unquote(parts.password or "")}
    return _of_words(query, options, {**said, "database": unquote(parts.path.lstrip("/"))})


def _of_pairs(text: str, options: str) -> ClientLogin:
    """`host=db user=shop …` of libpq, `Host=db;Username=shop;…` of Npgsql."""
    words = {}
    for match in (_DOTNET if ";" in text else _LIBPQ).finditer(text):
        name, value = match[1].replace(" ", "_"), match[2]
        if value[:1] in ("'", '"'):
            quote, value = value[0], value[1:-1]
            value = value.replace(quote * 2, quote) if ";" in text else re.sub(r"\\(.)", r"\1", value)
        words[name] = value
    return _of_words(words, options, {})


def _of_words(words: Mapping[str, str], options: str, said: Mapping[str, str]) -> ClientLogin:
    """`said` counts before what the words have of it."""
    lower = {name.lower(): value for name, value in words.items()}
    parts = {
        part: said.get(part) or next((lower[n] for n in names if lower.get(n)), None) for part, names in _NAMES.items()
    }
    sends = [name for name in words if _SESSION.fullmatch(name.lower())]
    sets = [name for name in words if _BOUND.fullmatch(name.lower())]
    # Prisma sends its schema as search_path when it connects; with pgbouncer=true it sets it once it is connected
    # (prisma-engines, quaint/src/connector/postgres/native/mod.rs), where public changes nothing for others.
    if "schema" in lower and lower.get("pgbouncer") != "true":
        sends.append("schema")
    elif lower.get("schema") not in (None, "public"):
        sets.append("schema")
    return ClientLogin(
        parts["user"], parts["database"] or parts["user"], parts["password"], parts["sslmode"] or "",
        lower.get("options") or options,
        session=tuple(sorted(sends)),
        timeouts=tuple(n for n in TIMEOUTS if n in lower),
        bound=tuple(sorted(sets)),
    )  # fmt: skip
