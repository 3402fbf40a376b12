"""What a running PostgreSQL says of itself (pg_settings, pg_file_settings, pg_db_role_setting, statistics)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from nftui.model.dataclass import dataclass

CLUSTER_PROBE = "postgres-cluster"
"""Reads `ClusterFacts`."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of pg_settings; `shown` is what SHOW prints ("512MB")."""

    name: str
    setting: str
    unit: str | None
    context: str
    source: str
    shown: str
    vartype: str = ""
    sourcefile: str | None = None
    sourceline: int | None = None
    pending_restart: bool = False
    boot_val: str | None = None
    reset_val: str | None = None
    min_val: str | None = None
    max_val: str | None = None
    enumvals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RoleSetting:
    """A value set by ALTER ROLE or ALTER DATABASE; it beats the command line for that role or database."""

    database: str | None
    role: str | None
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class PostgresFacts:
    """One server's live facts; sizes in bytes, None where it could not be read."""

    version_num: int
    version: str
    settings: Mapping[str, Setting] = field(default_factory=dict)
    role_settings: tuple[RoleSetting, ...] = ()
    file_errors: tuple[str, ...] = ()
    """Errors of pg_file_settings: one of them stops every reload."""
    auto_conf: tuple[str, ...] = ()
    """Names set by ALTER SYSTEM (postgresql.auto.conf)."""
    file_settings: Mapping[str, str] = field(default_factory=dict)
    """Name to the text that the configuration files ask for (pg_file_settings, last row of a name): what stands
    beneath a command line that hides it. Names without a row are absent."""
    databases: Mapping[str, int] = field(default_factory=dict)
    connections_now: int | None = None
    connections_peak: int | None = None
    cache_hit_ratio: float | None = None
    temp_bytes: int | None = None
    checkpoints_timed: int | None = None
    checkpoints_requested: int | None = None
    superuser: bool = False
    in_recovery: bool = False
    has_standbys: bool = False
    """Whether a standby, or another receiver of WAL, follows it, or a slot waits for one that is down."""
    system_identifier: str | None = None
    data_directory: str | None = None
    preloaded: tuple[str, ...] = ()

    @property
    def major(self) -> int:
        """Major version: 15 for 150018."""
        return self.version_num // 10000


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """One database, as another server has to have it."""

    name: str
    size_bytes: int
    encoding: str
    collate: str
    ctype: str
    extensions: tuple[str, ...] = ()
    by_icu: bool = False
    """Whether an index of it, or all its text, is sorted by ICU."""
    column_options: tuple[str, ...] = ()
    """Names of the options that its columns have, the server's own too."""


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What decides whether a server can be dumped and restored into another one."""

    version_num: int
    superuser: bool
    bootstrap: str
    """The role that initdb made."""
    databases: tuple[DatabaseFacts, ...] = ()
    """All that let someone connect, templates too."""
    closed: tuple[str, ...] = ()
    """Databases that let nobody connect, without template0."""
    unread: tuple[str, ...] = ()
    """Databases whose extensions could not be read."""
    tablespaces: tuple[str, ...] = ()
    """The operator's own: they lie outside of the data directory."""
    prepared: int = 0
    """Prepared transactions: no dump has them."""
    slots: tuple[str, ...] = ()
    """Replication slots: what follows them would lose its place."""
    subscriptions: tuple[str, ...] = ()
    in_recovery: bool = False
    checksums: bool = False
    preload: str = ""
    """shared_preload_libraries, as SHOW prints it."""
    library: str = ""
    """Version of the C library by which text is sorted, as the server tells it; "" where it does not (musl)."""
    icu: str = ""
    """Version of ICU's collations; "" where the server was built without them."""
    archives: bool = False
    """Whether it archives its WAL (archive_mode)."""
    directory: str = ""
    """Its data directory."""
    included: tuple[str, ...] = ()
    """Files that its configuration includes, where its main file lies in its data directory."""
    named: tuple[str, ...] = ()
    """Files of logins and keys that its configuration names, as it names them."""

    @property
    def major(self) -> int:
        """Major version: 15 for 150018."""
        return self.version_num // 10000

    @property
    def outside(self) -> tuple[str, ...]:
        """Included files that lie outside of its data directory."""
        return tuple(path for path in self.included if not path.startswith(f"{self.directory}/"))

    @property
    def sorts_by_library(self) -> bool:
        """Whether a database sorts text by the C library's locales, and not by plain bytes."""
        return any(d.collate.partition(".")[0] not in ("C", "POSIX") for d in self.databases)

    @property
    def size_bytes(self) -> int:
        """Of all databases."""
        return sum(d.size_bytes for d in self.databases)
