"""Findings about where the data lies: on no volume, or beside the one that was meant for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.engine.evidence import at
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import Message, msg
from nftui.model.patterns import regex
from nftui.optimizations.postgres.data import HOME, covers, data_directory, deepest, hidden_volume, in_memory
from nftui.optimizations.postgres.findings.evidence import finding
from nftui.optimizations.postgres.images import elsewhere, is_bitnami, is_official_like

if TYPE_CHECKING:
    from nftui.model.facts import Facts
    from nftui.model.stack import MountSpec
    from nftui.optimizations.postgres.server import Server


_DIRECTORY = regex(r"(?:^|\s)-D\s*[\"']?(/[^\s\"';]+)")
_BITNAMI_DIRECTORY = ("POSTGRESQL_DATA_DIR", "POSTGRES_DATA_DIR")
"""By what Bitnami's scripts are told where the data is (bitnami/containers, postgresql-env.sh)."""


def no_volume(facts: Facts, server: Server) -> Finding | None:
    """postgres-no-volume: `down` and `up` start with an empty database."""
    if not _is_known(server) or server.service.config.get("volumes_from"):
        return None
    # Where the tag tells no version, every version keeps its data below its home.
    known = _directory(facts, server)
    directory = known or f"{HOME}/data"
    if in_memory(server.service, directory):
        return None
    mount = deepest(server.service.mounts, directory)
    if mount is None and _meant_for_data(server) is None:
        detail = msg("Nothing is mounted on {path}: the data goes with the container.", path=known or HOME)
        return _no_volume(server, detail, at(server.service, known or HOME, "volumes"))
    if mount is not None and mount.anonymous:
        detail = msg("{path} is a volume without a name: `down` and `up` start with a new one.", path=mount.target)
        return _no_volume(server, detail, at(server.service, mount.target, "volumes"))
    return None


_MEANT = regex(
    r"/(?:var/lib/(?:postgres|pgsql)|postgres(?:ql)?/data|pgdata|bitnami/postgresql|home/postgres/pgdata)(?=/|$)"
)
"""Paths that hold the data of some PostgreSQL, if not of this one."""
_NAMED = regex(r"(?:.*[-_./])?(?:pg|postgres(?:ql)?|db|database)[-_]?data")
"""A volume or a directory whose name says the same: pgdata, app_postgres-data."""
_BESIDE = regex(
    r"/(?:conf(?:ig)?(?:\.d)?|logs?|backups?|dumps?|(?:docker-entrypoint-)?initdb(?:\.d)?|scripts?|sql|seeds?|imports?|csv"
    r"|fixtures|certs?|ssl|tls|run|tmp|(?:wal_?)?archive|\.[^/]+)(?:/|$)"
)
"""What lies beside the data."""


def _is_known(server: Server) -> bool:
    """Whether the image's data directory is known."""
    return is_official_like(server.service) or elsewhere(server.service) is not None


def _directory(facts: Facts, server: Server) -> str | None:
    service = server.service
    known = (None if server.live else _moved(server)) or data_directory(facts, service)
    told = [service.environment.get(key) for key in _BITNAMI_DIRECTORY] if is_bitnami(service) else []
    return known or next((path.rstrip("/") for path in told if path), None) or elsewhere(service)


def _moved(server: Server) -> str | None:
    """Where the server's arguments put the data."""
    given = _DIRECTORY.search(" ".join(server.service.command or ()))
    told = given[1] if given else server.raw_flags.get("data_directory")
    return told.rstrip("/") if told else None


def _no_volume(server: Server, detail: Message, evidence: Evidence) -> Finding:
    return finding(
        server, "postgres-no-volume", Level.HIGH, msg("The data is not on a volume of its own"), detail,
        "databases reference 7", evidence, repaired=False,
    )  # fmt: skip


def _meant_for_data(server: Server) -> tuple[int, MountSpec] | None:
    """A mount at a place of some PostgreSQL's data, or named after it, without PGDATA in it: it was meant for data."""
    for i, mount in enumerate(server.service.mounts):
        meant = covers(HOME, mount.target) or _MEANT.match(mount.target) or _NAMED.fullmatch(mount.source or "")
        beside = mount.target.endswith(".conf") or _BESIDE.search(mount.target)
        if mount.type in ("volume", "bind") and meant and not beside:
            return i, mount
    return None


def volume_path(facts: Facts, server: Server) -> Finding | None:
    """postgres-volume-path: a mount that does not cover the data directory of this version."""
    known = _directory(facts, server)
    meant = _meant_for_data(server)
    if meant is None or not _is_known(server) or server.service.config.get("volumes_from"):
        return None
    number, mount = meant
    # Where the tag tells no version, either place below its home may be right.
    if known is None and any(covers(HOME, m.target) or covers(m.target, HOME) for m in server.service.mounts):
        return None
    directory = known or f"{HOME}/data"
    if deepest(server.service.mounts, directory) is not None and not hidden_volume(facts, server.service, directory):
        return None
    detail = msg(
        "{server} keeps its data in {path}; the mount on {target} does not hold it, so the data lies "
        "elsewhere and does not survive.",
        server=f"PostgreSQL {server.major}" if known else "PostgreSQL", path=known or HOME, target=mount.target,
    )  # fmt: skip
    return finding(
        server, "postgres-volume-path", Level.HIGH, msg("The mount does not cover the data directory"), detail,
        "databases reference 7: image VOLUME per version",
        at(server.service, mount.target, f"volumes.{number}", mount.source), repaired=False,
    )  # fmt: skip


CHECKS = (no_volume, volume_path)
