"""Findings about where data lies, and whether there is a copy of it."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from nftui.catalog import data_paths
from nftui.catalog.mounted import files_in, read
from nftui.checks._common import KEEPERS, mapping, named_files
from nftui.engine.evidence import at
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.host import Medium
from nftui.model.message import msg
from nftui.model.patterns import regex
from nftui.model.stack import Role
from nftui.model.units import GIB, human_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nftui.model.facts import Facts
    from nftui.model.host import Mount
    from nftui.model.stack import MountSpec, Service

_VOLATILE = ("/dev/shm", "/run", "/var/run", "/tmp")  # noqa: S108
"""Directories of the host that do not survive a reboot."""
_ROOM = 20 * GIB
"""Bytes free on the faster disk before it is worth a word."""
_BACKUP = regex(
    r"(?<!max)(?<!max[-_])(?<!no[-_])backup|pg_?dump|pg_basebackup|mysqldump|mariadb-dump|mariabackup|xtrabackup|"
    r"mongodump|restic|rustic|borg|duplicati|kopia|duplicacy|volumerize|wal-?g|backrest|barman|bareos|bacula|velero|"
    r"rsnapshot|\brsync\b|\brclone\b.*\b(?:sync|copy)\b|pg_?back_?web|postgresus|databasus|stack-back",
    re.IGNORECASE,
)
"""Programs that make copies; a log's `--log.maxbackups=5` are none."""
_TOOLS_OF = {
    Role.POSTGRES: regex(r"\bpg_?dump|pg_basebackup|wal-?g|pgbackrest|barman|(?:postgres|pg)\w*-backup", re.IGNORECASE),
    Role.MYSQL: regex(
        r"mysqldump|mariadb-dump|mariabackup|xtrabackup|(?:mysql|mariadb)\w*-(?:\w+-)?backup", re.IGNORECASE
    ),
}
_OF_OTHERS = regex(r"(?:redis|valkey|mongo|qdrant|elastic|influx|etcd|neo4j)\w*-backup|mongodump", re.IGNORECASE)
"""Backup programs of stores of other kinds."""
_FILES = regex(
    r"\brsync\s+-|\bcp\s+-\w*[ra]|\btar\s+-?\w*c|\brclone\b.*\b(?:sync|copy)\b|"
    r"^\S*(?:volume-backup|restic|rustic|duplicati|kopia|duplicacy|volumerize|(?<!pg)backrest)",
    re.IGNORECASE,
)
"""Programs and images that copy files: what is in a database only where they are given its directory."""
_TYPE = regex(r"DB\d*_TYPE")
"""The variable that tells a program for databases of several kinds which one it copies."""
_ARCHIVES = regex(r"(?m)^\s*archive_command\s*=\s*['\"]?(?![\s'\"]|/bin/true)")
_VOLUMES = "/var/lib/docker/volumes"
"""Where the engine keeps named volumes, unless it is told otherwise."""
_REMOTE = regex(
    r"S3_|AWS_|RCLONE|RESTIC_REPOSITORY|B2_|AZURE|GCS_|GOOGLE_|WEBDAV|SSH_|SFTP|DROPBOX|BORG_REPO|NEXTCLOUD|MINIO",
    re.IGNORECASE,
)
_OF_DATABASE = regex(r"postgres|mysql|maria|pg|database|(?<![a-z])db(?![a-z])|sql", re.IGNORECASE)
_SCHEDULE = regex(r"/cron|/etc/periodic/|crontab|ofelia", re.IGNORECASE)
_FOR_TESTS = regex(r"(?:^|[-_.])tests?(?:$|[-_.])", re.IGNORECASE)
"""Names of databases whose content nobody wants back."""
_COPIES = regex(r"/(?![\w.-]*restore)[\w.-]*(?:backup|dump)[\w.-]*\.(?:sh|py|pl)$", re.IGNORECASE)
"""A script that the operator puts into a container to copy a database: somebody starts it."""
_TARGET = regex(r"backup|dump|archive|borg|restic|snapshots?$", re.IGNORECASE)


def _data(service: Service) -> Iterator[tuple[int, MountSpec]]:
    """Mounts that hold the service's data."""
    moved = service.environment.get("PGDATA") if service.role is Role.POSTGRES else None
    roots = (*data_paths(service.role, service.image, service.version), *([moved] if moved else ()))
    for number, mount in enumerate(service.mounts):
        target = PurePosixPath(mount.target)
        if mount.type in ("bind", "volume") and any(
            target == PurePosixPath(r) or PurePosixPath(r) in target.parents or target in PurePosixPath(r).parents
            for r in roots
        ):
            yield number, mount


def _host_path(facts: Facts, service: Service, mount: MountSpec) -> str | None:
    """Where the data lies on this machine; None where that is not known, or it is another machine."""
    if facts.engine is not None and not facts.engine.local:
        return None
    live = service.running
    for actual in live.mounts if live else ():
        if actual.target == mount.target and actual.host_path:
            return actual.host_path
    if mount.type == "bind":
        return mount.source
    root = facts.engine.data_root if facts.engine else ""
    volume = mapping(facts.stack.volumes.get(mount.source or ""))
    device = mapping(volume.get("driver_opts")).get("device")
    if volume.get("driver") not in (None, "local") or device:
        return str(device) if device and str(device).startswith("/") else None
    return f"{root.rstrip('/')}/volumes/{volume.get('name') or mount.source}/_data" if root and mount.source else None


def slow_medium(facts: Facts) -> Iterable[Finding]:
    """storage-slow-medium: a database on a rotating disk while a faster one has room."""
    fast = [m for m in facts.host.mounts if m.medium in (Medium.NVME, Medium.SSD) and not m.ephemeral
            and (m.free_bytes or 0) > _ROOM and m.filesystem not in ("vfat", "tmpfs", "squashfs")]  # fmt: skip
    for service in facts.stack.services if fast else ():
        for number, mount, place in _placed(facts, service):
            if place.medium is Medium.HDD:
                best = max(fast, key=lambda m: (m.medium is Medium.NVME, m.free_bytes or 0))
                yield Finding(
                    "storage-slow-medium", Level.MEDIUM, service.name, msg("Hot data on a slow disk"),
                    msg("{path} is on a rotating disk; {fast} ({medium}) has {free} free.", path=place.path,
                        fast=best.path, medium=str(best.medium), free=human_size(best.free_bytes)),
                    (at(service, mount.target, f"volumes.{number}", mount.source),
                     Evidence(place.path, f"{place.disk or '?'}: {place.medium}")), "storage reference 3.1", "storage",
                )  # fmt: skip
                break


def _placed(facts: Facts, service: Service) -> Iterator[tuple[int, MountSpec, Mount]]:
    for number, mount in _data(service) if service.role in KEEPERS else ():
        path = _host_path(facts, service, mount)
        place = facts.host.mount_for(path) if path else None
        if place is not None:
            yield number, mount, place


def ephemeral(facts: Facts) -> Iterable[Finding]:
    """storage-ephemeral: a database on a disk, or in a directory, that does not survive."""
    for service in facts.stack.services:
        for number, mount, why in _lost(facts, service):
            yield Finding(
                "storage-ephemeral", Level.HIGH, service.name, msg("A database on storage that does not survive"),
                msg("{why}: the data is gone after a reboot or a stop of the machine.", why=why),
                (at(service, mount.target, f"volumes.{number}", mount.source),), "storage reference 3.1", "storage",
            )  # fmt: skip
            break


def _volatile(path: str) -> str | None:
    """The directory above that is emptied at a reboot."""
    return next((d for d in _VOLATILE if path == d or path.startswith(d + "/")), None)


def _lost(facts: Facts, service: Service) -> Iterator[tuple[int, MountSpec, str]]:
    # A whole project on such storage is a trial, and known to be one, with what lies beside it.
    here = facts.stack.invocation.directory
    root = PurePosixPath(_volatile(here) or here)
    trial = PurePosixPath(root, *PurePosixPath(here).relative_to(root).parts[:1])
    for number, mount in _data(service) if service.role in KEEPERS - {Role.OLLAMA} else ():
        source = mount.source or ""
        if mount.type == "bind" and _volatile(source) and not PurePosixPath(source).is_relative_to(trial):
            yield number, mount, source
        options = mapping(mapping(facts.stack.volumes.get(source)).get("driver_opts"))
        if mount.type == "volume" and options.get("type") in ("tmpfs", "ramfs"):
            yield number, mount, f"{source} ({options['type']})"
    home = facts.host.mount_for(here)
    for number, mount, place in _placed(facts, service):
        if place.ephemeral and place != home and service.role is not Role.OLLAMA:
            yield number, mount, f"{place.path} ({place.disk or place.filesystem})"


# -- backups -------------------------------------------------------------------------------------------------
def backup_missing(facts: Facts) -> Iterable[Finding]:
    """backup-missing: nothing in the stack, its labels or the host's schedules makes copies of a database."""
    scheduled = any(_BACKUP.search(line) for line in facts.beside.schedules)
    makers = [s for s in facts.stack.services if _makes_backups(facts, s) and not _copies_other_files(facts, s)]
    covered = {role for s in makers for role in _backed_up(facts, s)}
    for service in facts.stack.services if not scheduled else ():
        kept = [(n, m) for n, m in _data(service)] if service.role in (Role.POSTGRES, Role.MYSQL) else []
        if (
            service.role in covered
            or not kept
            or service.scale == 0
            or "archive_command" in " ".join(service.command or ())
            or any(_ARCHIVES.search(file.text or "") for file in named_files(facts, service))
            or _FOR_TESTS.search(service.name)
        ):
            continue
        number, mount = kept[0]
        yield Finding(
            "backup-missing", Level.MEDIUM, service.name, msg("No backup of this database can be found"),
            msg("No service of the stack, no label, no crontab and no timer of this host makes one. If another machine "
                "does, put this finding on the ignore list with that reason."),
            (at(service, mount.target, f"volumes.{number}", mount.source),), "issue 4; engine.md 7",
        )  # fmt: skip


def _backed_up(facts: Facts, service: Service) -> tuple[Role, ...]:
    """Kinds of databases that this service copies: those whose programs it names, any where it names none."""
    types = (v or "" for k, v in service.environment.items() if _TYPE.fullmatch(k))
    words = " ".join((service.image or "", *(service.command or ()), *(service.entrypoint or ()), *map(_dumped, types)))
    named = tuple(r for r, pattern in _TOOLS_OF.items() if pattern.search(words)) or _scripted(facts, service)
    return named or (() if _OF_OTHERS.search(words) else tuple(_TOOLS_OF))


def _scripted(facts: Facts, service: Service) -> tuple[Role, ...]:
    """Kinds of databases that the mounted script copies which it runs."""
    texts = [] if service.role in _TOOLS_OF else [file.text or "" for file in named_files(facts, service)]
    return tuple(role for role, pattern in _TOOLS_OF.items() if any(map(pattern.search, texts)))


def _dumped(kind: str) -> str:
    """The program that copies a database of that kind."""
    return {"pgsql": "pg_dump", "postgres": "pg_dump", "postgresql": "pg_dump", "mysql": "mysqldump",
            "mariadb": "mysqldump", "mongo": "mongodump"}.get(kind.lower(), "")  # fmt: skip


def _makes_backups(facts: Facts, service: Service) -> bool:
    """A backup program, a dump in its command, labels and variables of a backup tool, or a schedule that is mounted."""
    words = " ".join((service.name, service.image or "", *(service.command or ()), *(service.entrypoint or ())))
    labels = mapping(service.config.get("labels"))
    # A scheduler is told in a label's value what to run: `ofelia.job-exec.nightly.command`.
    told = any(pattern.search(str(value)) for value in labels.values() for pattern in _TOOLS_OF.values())
    named = re.search(r"backup|borg|restic|stack-back|archive-pre", " ".join(labels), re.IGNORECASE)
    written = _scripted(facts, service) or any(_is_schedule(facts, m) for m in service.mounts)
    return bool(_BACKUP.search(words) or named or told or written)


def _is_schedule(facts: Facts, mount: MountSpec) -> bool:
    """A crontab with a backup program in it, or a script that is called one; what runs at the first start is none."""
    if mount.type != "bind" or mount.target.startswith("/docker-entrypoint"):
        return False
    if not _SCHEDULE.search(mount.target):
        return bool(_COPIES.search(mount.target))
    text = read(Path(facts.stack.invocation.directory, mount.source or ""))
    return bool(_BACKUP.search(f"{PurePosixPath(mount.target).name}\n{text or ''}"))


def _protected(facts: Facts) -> list[tuple[Service, MountSpec]]:
    """Databases, each with the mounts of its data."""
    return [(s, m) for s in facts.stack.services if s.role in (Role.POSTGRES, Role.MYSQL) for _, m in _data(s)]


def _copies_other_files(facts: Facts, service: Service) -> bool:
    """Files are copied, by no database's program, and nothing that a database mounts is among them."""
    words = " ".join((service.image or "", *(service.entrypoint or ()), *(service.command or ())))
    told = " ".join((words, *(value or "" for value in service.environment.values())))
    if not _FILES.search(words) or any(pattern.search(told) for pattern in _TOOLS_OF.values()):
        return False
    held = [_place(m) for m in service.mounts if m.type in ("bind", "volume")]
    # Through the socket it may run a program in the database's container: one such tool does so by labels only.
    runs = any((h or "").endswith("/docker.sock") for h in held) and "docker-volume-backup" not in words
    if None in held or runs or service.config.get("volumes_from"):
        return False
    databases = {s.name: s for s, _ in _protected(facts)}.values()
    theirs = [place for s in databases for m in s.mounts if (place := _place(m))]
    if any(p == h or p.startswith(f"{(h or '').rstrip('/')}/") for p in theirs for h in held):
        return False
    if any(re.search(r"/docker(?:/volumes)?/?$", h or "") for h in held):
        # The engine's directory, wherever it is.
        return False
    folders = {f for m in service.mounts for f in (m.target.rstrip("/"), str(PurePosixPath(m.target).parent))}
    # A script or a configuration has a database's program run first.
    scripts = [file.text or "" for folder in folders for file in files_in(facts.stack, service, folder)]
    return not any(pattern.search(text) for text in scripts for pattern in _TOOLS_OF.values())


def _place(mount: MountSpec) -> str | None:
    source = mount.source
    return source if not source or source.startswith("/") else f"{_VOLUMES}/{source}"


def backup_same_disk(facts: Facts) -> Iterable[Finding]:
    """backup-same-disk: the copies lie on the disk that they protect."""
    every = _protected(facts)
    sources = {m.source for _, m in every}
    for service in facts.stack.services if every else ():
        program = (*(service.entrypoint or ()), *(service.command or ()))
        words = " ".join((service.name, service.image or "", *program))
        if service.role in _TOOLS_OF or not (_BACKUP.search(words) or _scripted(facts, service)):
            continue
        if _is_sent_away(service, words):
            continue
        if _copies_other_files(facts, service):
            continue
        kinds = _backed_up(facts, service)
        protected = [(s, m) for s, m in every if s.role in kinds]
        for number, mount in sorted(enumerate(service.mounts), key=lambda m: _is_aside(m[1])):
            is_target = (
                _TARGET.search(f"{mount.source} {mount.target}") and not mount.read_only and mount.source not in sources
            )
            same = is_target and next((m for s, m in protected if _same_disk(facts, service, mount, s, m)), None)
            if same:
                yield Finding(
                    "backup-same-disk", Level.MEDIUM, service.name, msg("The backup lies on the disk that it protects"),
                    msg("{backup} and {data} are on one disk: when it fails, both are gone.",
                        backup=mount.source or "?", data=same.source or "?"),
                    (at(service, mount.target, f"volumes.{number}", mount.source),), "storage reference 3",
                )  # fmt: skip
                break


def _is_aside(mount: MountSpec) -> tuple[bool, bool]:
    """Sorts the directory of a database's copies before one of other copies, and both before any other volume."""
    return not _TARGET.search(mount.target), not _OF_DATABASE.search(f"{mount.source} {mount.target}")


def _is_sent_away(service: Service, words: str) -> bool:
    return bool(_REMOTE.search(words)) or any(
        value and _REMOTE.search(name) for name, value in service.environment.items()
    )


def _same_disk(facts: Facts, one: Service, mount: MountSpec, other: Service, data: MountSpec) -> bool:
    if mount.type == data.type == "volume" and _is_local(facts, mount) and _is_local(facts, data):
        return True
    paths = [_host_path(facts, one, mount), _host_path(facts, other, data)]
    places = [facts.host.mount_for(p) if p else None for p in paths]
    first, second = places
    if first is None or second is None:
        return False
    return first.path == second.path or (first.disk is not None and first.disk == second.disk)


def _is_local(facts: Facts, mount: MountSpec) -> bool:
    volume = mapping(facts.stack.volumes.get(mount.source or ""))
    plain = volume.get("driver") in (None, "local") and not volume.get("driver_opts") and not volume.get("external")
    return bool(mount.source) and plain


CHECKS = (slow_medium, ephemeral, backup_missing, backup_same_disk)
