"""Who a client logs in as: user, database and where its password stands, by the variables of a connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from nftui.model.dataclass import dataclass

if TYPE_CHECKING:
    from nftui.catalog.connections import Connection

_ENDS = {
    "user": ("USER", "USERNAME"),
    "password": ("PASSWORD", "PASS", "PWD"),
    "database": ("NAME", "DATABASE", "DB", "DBNAME", "DATABASE_NAME"),
}
_HOST_ENDS = ("HOSTNAME", "HOST", "SERVER", "ADDRESS", "ADDR", "ENDPOINT")
_SESSION = ("search_path", "currentschema", "role")
"""Query parameters of a URL by which drivers set whose tables a session sees, and as whom (JDBC, pgx, lib/pq)."""
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
    """Parameters of its URL that say whose tables it sees, or as whom."""


def login_of(keys: Mapping[str, str], environment: Mapping[str, str | None]) -> ClientLogin:
    """The login by `keys` (as `login_keys` gives them) in that environment."""
    url = environment.get(keys.get("url", ""))
    options = environment.get("PGOPTIONS") or ""
    if url:
        return _of_url(url, options)
    found = {part: environment.get(key) for part, key in keys.items()}
    user = found.get("user")
    mode = next((v for k, v in environment.items() if v and k.upper().endswith(("SSLMODE", "SSL_MODE"))), "")
    # Only libpq goes by the user's name where none is said; others have a default of their own (Odoo: "postgres").
    usual = user if keys.get("user") == "PGUSER" else None
    return ClientLogin(user, found.get("database") or usual, found.get("password"), mode, options)


def login_keys(connection: Connection) -> dict[str, str]:
    """ "url", or "user", "password" and "database", to the variable that holds it."""
    environment, use = connection.client.environment, connection.use
    text = environment.get(connection.key) or ""
    if "://" in text:
        return {"url": connection.key}
    if use is not None and use.keys:
        return {part: use.keys[part] for part in _ENDS if use.keys.get(part) in environment}
    return _beside(connection.key, environment)


def _beside(key: str, environment: Mapping[str, str | None]) -> dict[str, str]:
    """Of `DB_HOST`: `DB_USER`, `DB_PASSWORD`, `DB_NAME`."""
    end = next((e for e in _HOST_ENDS if key.upper().endswith(e)), "")
    stem = key[: len(key) - len(end)] if end else f"{key}_"
    found = {}
    for part, ends in _ENDS.items():
        name = next((stem + e for e in ends if environment.get(stem + e)), None)
        if name is not None:
            found[part] = name
    return found


def _of_url(url: str, options: str) -> ClientLogin:
    """`options` where the URL has none."""
    try:
        parts = urlsplit(url.removeprefix("jdbc:"))
    except ValueError:
        return ClientLogin(None, None)
    query = parse_qs(parts.query)
    user = unquote(parts.username or "") or query.get("user", [""])[0] or None
    password = unquote(parts.password or "") or query.get("password", [""])[0] or None
    database = unquote(parts.path.lstrip("/")) or user
    mode = (query.get("sslmode") or query.get("ssl") or [""])[0]
    session = tuple(sorted(name for name in query if name.lower() in _SESSION))
    return ClientLogin(user, database, password, mode, (query.get("options") or [options])[0], session)
