"""What is known of PostgreSQL images: which keep docker-library's entrypoint and CMD, and which are managed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nftui.model.stack import Service

_OFFICIAL = {"postgres", "library/postgres"}
_DERIVED = {
    "pgvector/pgvector", "postgis/postgis", "imresamu/postgis", "timescale/timescaledb", "ankane/pgvector",
    "apache/age", "citusdata/citus", "paradedb/paradedb", "tensorchord/pgvecto-rs", "tensorchord/vchord-postgres",
    "tensorchord/vchord-suite", "pgrouting/pgrouting", "groonga/pgroonga",
}  # fmt: skip
"""Built on the official image, with its entrypoint and variables."""

_OWN_CMD = {
    "citusdata/citus", "paradedb/paradedb", "apache/age", "imresamu/postgis", "tensorchord/pgvecto-rs",
    "tensorchord/vchord-postgres", "tensorchord/vchord-suite", "pgrouting/pgrouting", "groonga/pgroonga",
}  # fmt: skip
"""Derived images whose CMD is not known to be plain `postgres`."""

_SHIPPED = {"supabase/postgres": ("/etc/postgresql/postgresql.conf", {"effective_cache_size": "128MB"})}
"""Images that start with a configuration of their own: its path, and where it differs from PostgreSQL's defaults.

supabase/postgres ansible/files/postgresql_config/postgresql.conf.j2: shared_buffers 128MB, the rest commented out.
"""

ENTRYPOINT = "docker-entrypoint.sh"
"""docker-library's: it fills an empty data directory where it is given options or `postgres`, else runs what it is
given."""

_MANAGED = ("patroni", "spilo", "repmgr", "postgresql-ha", "stolon", "pg_auto_failover", "cloudnative-pg")
_MANAGED_ENVIRONMENT = ("PATRONI_", "REPMGR_", "SPILO_", "STKEEPER_")
_BITNAMI = ("bitnami/postgresql", "bitnamilegacy/postgresql", "bitnamisecure/postgresql")
_ELSEWHERE = {
    **dict.fromkeys(_BITNAMI, "/bitnami/postgresql/data"),
    "timescale/timescaledb-ha": "/home/postgres/pgdata/data",
}
"""Images that keep their data where docker-library's never do (bitnami/containers, postgresql-env.sh;
timescale/timescaledb-docker-ha, Dockerfile)."""
_SPILO = ("spilo-", "/home/postgres/pgdata/pgroot/data", ("PGROOT", "PGHOME"))
"""Its repositories are named after the major version: how they begin, PGDATA as the image sets it, and the variables
by which its scripts put things elsewhere (zalando/spilo, postgres-appliance/Dockerfile)."""


def repository(image: str | None) -> str:
    """The image's name without registry, tag and digest: "pgvector/pgvector"."""
    name = (image or "").partition("@")[0]
    head, slash, last = name.rpartition("/")
    name = head + slash + last.partition(":")[0]
    first, _, rest = name.partition("/")
    return rest if rest and ("." in first or ":" in first or first == "localhost") else name


def is_official_like(service: Service) -> bool:
    """True where docker-library's entrypoint runs: then exactly its variables are read, and no others."""
    if service.config.get("build") is not None:
        return False
    name = repository(service.image)
    if name in _OFFICIAL or name in _DERIVED or name.endswith("library/postgres"):
        return True
    container = service.running
    return container is not None and "PG_MAJOR" in container.environment and _has_stock_entrypoint(service)


def _has_stock_entrypoint(service: Service) -> bool:
    container = service.running
    return container is not None and [w.rpartition("/")[2] for w in container.entrypoint] == [ENTRYPOINT]


def has_stock_command(service: Service) -> bool:
    """True where the image's CMD is plain `postgres`."""
    name = repository(service.image)
    known = name in _OFFICIAL or name.endswith("library/postgres") or name in _DERIVED - _OWN_CMD
    return known and service.config.get("build") is None


def has_own_entrypoint(service: Service) -> bool:
    """True where the operator replaced the entrypoint by one that is not docker-library's."""
    words = service.entrypoint or ()
    return bool(words) and words[0].rpartition("/")[2] != ENTRYPOINT


def manager(service: Service) -> str | None:
    """The cluster manager that owns this server's settings, None where there is none."""
    name = repository(service.image).lower()
    found = next((word for word in _MANAGED if word in name), None)
    if found is None:
        found = next((p for p in _MANAGED_ENVIRONMENT if any(k.startswith(p) for k in service.environment)), None)
    return found.rstrip("_").lower() if found else None


def shipped_settings(service: Service, config_file: str | None) -> dict[str, str] | None:
    """What the image's own configuration sets, where it is the one in force; None where the image brings none."""
    path, settings = _SHIPPED.get(repository(service.image), ("", {}))
    directory = path.rpartition("/")[0]
    hidden = any(m.target.rstrip("/") in (path, directory) for m in service.mounts)
    if not path or hidden or config_file not in (None, path) or service.config.get("build") is not None:
        return None
    return dict(settings)


def tunes_itself(service: Service) -> bool:
    """True where the image sets memory and planner settings for the machine at its first start (timescaledb-tune)."""
    timescale = repository(service.image).startswith("timescale/timescaledb")
    return timescale and (service.environment.get("NO_TS_TUNE") or "").lower() not in ("true", "1", "yes", "on")


def elsewhere(service: Service) -> str | None:
    """The data directory of an image that keeps it in a place of its own, None where it is the usual one or unknown."""
    name = repository(service.image)
    if service.config.get("build") is not None:
        return None
    prefix, directory, moves = _SPILO
    if name.rpartition("/")[2].startswith(prefix):
        return None if any(service.environment.get(key) for key in moves) else directory
    return _ELSEWHERE.get(name)


def is_bitnami(service: Service) -> bool:
    """Bitnami's images start the server through scripts of their own."""
    return repository(service.image) in _BITNAMI
