"""What connection pooling needs to know: roles and sessions of a PostgreSQL server, and a PgBouncer's own account."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import field

from nftui.model.dataclass import dataclass

ROLES_PROBE, POOLER_PROBE, OUTSIDE_PROBE = "postgres-roles", "pgbouncer", "postgres-outside"
"""Read `ServerFacts`, `PoolerFacts` and, of servers that are none of the stack's, `OutsideFacts`."""
SESSIONS_PROBE = "postgres-sessions"
"""`ServerFacts` by one login, for who asks again and again: temporary tables of that login's own database alone."""

TRIED_MOST = 500
"""A pool is tried by no more clients than this at once: each is a descriptor of nftui's and of the pooler's."""


@dataclass(frozen=True, slots=True)
class RoleSecret:
    """How a login role proves itself. `verifier` is what pg_authid holds; it stands in no output."""

    name: str
    kind: str
    """ "scram", "md5", or "none" for a role without a password."""
    verifier: str = field(default="", repr=False)
    superuser: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """One client backend, as pg_stat_activity and pg_locks tell it."""

    address: str
    """The client's IP address, "" for the local socket."""
    user: str
    database: str
    listens: bool = False
    """Its last statement was LISTEN."""
    holds_lock: bool = False
    """An advisory lock outlives its transactions."""
    lasts: bool = False
    """Open for a minute already: not one of a client that connects for each request."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """One server: the room for connections, login roles, databases and who is connected now."""

    max_connections: int
    reserved: int
    """Slots that only superusers or members of pg_use_reserved_connections get."""
    tls: bool = False
    roles: Mapping[str, RoleSecret] = field(default_factory=dict)
    roles_error: str = ""
    """Why pg_authid could not be read, "" where it was."""
    databases: tuple[str, ...] = ()
    sessions: tuple[Session, ...] = ()
    temporary: frozenset[str] = frozenset()
    """Databases with temporary tables in this moment, as far as they can be seen."""
    set_by: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """User and database to what their statements have SET for a session, as far as pg_stat_statements tells."""


@dataclass(frozen=True, slots=True)
class OutsideFacts:
    """What a server outside of the stack says of itself to an app's login."""

    version: str
    max_connections: int


@dataclass(frozen=True, slots=True)
class PoolerFacts:
    """A PgBouncer's console (SHOW CONFIG, DATABASES, POOLS, CLIENTS), and what its operator's file says."""

    version: str
    config: Mapping[str, str] = field(default_factory=dict)
    databases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    clients: tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    pools: tuple[tuple[str, str], ...] = ()
    """(user, database) of those that exist now, the console's left out."""
    ini: str = ""
    """Path in the container of the operator's own configuration, "" where it was not found."""
    own: Mapping[str, str] = field(default_factory=dict)
    """What its section [pgbouncer] sets; passwords stand in other sections."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Setting to the variable that its start script makes it of; empty where a file of the operator's counts."""

    @property
    def own_digest(self) -> str:
        """Tells whether the operator changed that section."""
        return hashlib.sha256(repr(sorted(self.own.items())).encode()).hexdigest()
