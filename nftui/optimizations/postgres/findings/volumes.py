"""Findings about where the data lies: on no volume, or beside the one that was meant for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.engine.evidence import at
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import Message, msg
from nftui.optimizations.postgres.data import HOME, covers, data_directory, deepest, hidden_volume, in_memory
from nftui.optimizations.postgres.findings.evidence import finding
from nftui.optimizations.postgres.images import is_bitnami, is_official_like

if TYPE_CHECKING:
    from nftui.model.facts import Facts
    from nftui.model.stack import MountSpec
    from nftui.optimizations.postgres.server import Server


_BITNAMI_DATA = "/bitnami/postgresql/data"
"""POSTGRESQL_DATA_DIR of Bitnami's scripts (bitnami/containers, postgresql README)."""


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


def _is_known(server: Server) -> bool:
    """Whether the image's data directory is known."""
    return is_official_like(server.service) or is_bitnami(server.service)


def _directory(facts: Facts, server: Server) -> str | None:
    known = (None if server.live else _moved(server)) or data_directory(facts, server.service)
    return _BITNAMI_DATA if known is None and is_bitnami(server.service) else known


def _moved(server: Server) -> str | None:
    """Where the server's arguments put the data."""
    words = server.service.command or ()
    after = next((words[i + 1] for i, word in enumerate(words[:-1]) if word == "-D"), None)
    told = after or next((w[2:] for w in words if w.startswith("-D/")), None) or server.raw_flags.get("data_directory")
    return told.rstrip("/") if told else None


def _no_volume(server: Server, detail: Message, evidence: Evidence) -> Finding:
    return finding(
        server, "postgres-no-volume", Level.HIGH, msg("The data is not on a volume of its own"), detail,
        "databases reference 7", evidence, repaired=False,
    )  # fmt: skip


def _meant_for_data(server: Server) -> tuple[int, MountSpec] | None:
    """A mount at the image's home directory that holds no PGDATA: someone meant it for the data."""
    for i, mount in enumerate(server.service.mounts):
        if mount.type in ("volume", "bind") and covers(HOME, mount.target) and not mount.target.endswith(".conf"):
            return i, mount
    return None


def volume_path(facts: Facts, server: Server) -> Finding | None:
    """postgres-volume-path: a mount that does not cover the data directory of this version."""
    directory = _directory(facts, server)
    if directory is None or not _is_known(server) or server.service.config.get("volumes_from"):
        return None
    meant = _meant_for_data(server)
    hidden = hidden_volume(facts, server.service, directory)
    covered = deepest(server.service.mounts, directory) is not None and not hidden
    if meant is None or covered:
        return None
    number, mount = meant
    detail = msg(
        "PostgreSQL {major} keeps its data in {path}; the mount on {target} does not hold it, so the data lies "
        "elsewhere and does not survive.",
        major=server.major, path=directory, target=mount.target,
    )  # fmt: skip
    return finding(
        server, "postgres-volume-path", Level.HIGH, msg("The mount does not cover the data directory"), detail,
        "databases reference 7: image VOLUME per version",
        at(server.service, mount.target, f"volumes.{number}", mount.source), repaired=False,
    )  # fmt: skip


CHECKS = (no_volume, volume_path)
