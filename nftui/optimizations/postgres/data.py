"""Where a server keeps its data: PGDATA, the mount that holds it, and the disk below."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nftui.catalog.initdb import told_wal
from nftui.model.postgres import PostgresFacts
from nftui.optimizations.postgres.images import elsewhere, is_official_like

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.model.facts import Facts
    from nftui.model.host import Mount
    from nftui.model.stack import MountSpec, Service

HOME = "/var/lib/postgresql"
INIT_SCRIPTS = "/docker-entrypoint-initdb.d"
"""What docker-library's entrypoint runs on an empty data directory."""
INIT_SUFFIXES = (".sh", ".sql", ".sql.gz", ".sql.xz", ".sql.zst")
"""What it runs of that: it passes over a README, a `.gitkeep` and a `.sql.example`."""


def live_facts(facts: Facts, service: Service) -> PostgresFacts | None:
    """What the running server said, None where it could not be asked."""
    value = facts.live_value(service.name, "postgres")
    return value if isinstance(value, PostgresFacts) else None


def major_version(facts: Facts, service: Service) -> int | None:
    """The server's major version: its own word, else the image's."""
    live = live_facts(facts, service)
    if live is not None:
        return live.major
    match = re.match(r"(\d+)", service.version or "")
    return int(match[1]) if match else None


def data_directory(facts: Facts, service: Service) -> str | None:
    """PGDATA inside the container: asked, declared, the image's, or of what does not run the usual one with a mount.

    None where it is not known.
    """
    live = live_facts(facts, service)
    if live is not None and live.data_directory:
        return live.data_directory.rstrip("/")
    declared = service.environment.get("PGDATA")
    known = [service.running] if service.running else service.containers
    container = next((c.environment["PGDATA"] for c in known if c.environment.get("PGDATA")), None)
    if declared or container:
        return str(declared or container).rstrip("/")
    major = major_version(facts, service)
    if major is None:
        return None
    if not is_official_like(service):
        usual = f"{HOME}/data"
        mounted = service.running is None and any(m.target.rstrip("/") == usual for m in service.mounts)
        # Some keep their data elsewhere, whatever is mounted there.
        return usual if mounted and elsewhere(service) is None else None
    return f"{HOME}/data" if major <= 17 else f"{HOME}/{major}/docker"


def covers(target: str, path: str) -> bool:
    """True where a mount on `target` holds `path`."""
    return path == target.rstrip("/") or path.startswith(target.rstrip("/") + "/")


def deepest(mounts: Iterable[MountSpec], path: str) -> MountSpec | None:
    """The mount that holds `path`, the deepest of several."""
    return max((m for m in mounts if covers(m.target, path)), key=lambda m: len(m.target.rstrip("/")), default=None)


def in_memory(service: Service, directory: str) -> bool:
    """True where the data was put into memory on purpose: on a tmpfs, or in the container's shared memory."""
    mount = deepest(service.mounts, directory)
    return covers("/dev/shm", directory) if mount is None else mount.type == "tmpfs"  # noqa: S108


def hidden_volume(facts: Facts, service: Service, directory: str) -> bool:
    """True where the image's own VOLUME lies between the declared mount and the data: an anonymous volume has them.

    docker-library's images up to 17 declare VOLUME /var/lib/postgresql/data, from 18 on /var/lib/postgresql.
    """
    mount = deepest(service.mounts, directory)
    major = major_version(facts, service)
    if mount is None or major is None or not is_official_like(service):
        return False
    volume = f"{HOME}/data" if major <= 17 else HOME
    return covers(volume, directory) and len(volume) > len(mount.target.rstrip("/"))


def running_mount(service: Service, directory: str) -> MountSpec | None:
    """The mount that holds the data of the running container."""
    return deepest(service.running.mounts, directory) if service.running else None


def disk_of(facts: Facts, service: Service) -> Mount | None:
    """The host's mount below the data, None where it is not known (a volume driver, another machine)."""
    directory = data_directory(facts, service)
    return None if directory is None else _disk_below(facts, service, directory)


def wal_free_bytes(facts: Facts, service: Service) -> int | None:
    """Bytes free where its WAL lies: the least of the places where it may be, None where one of them is not known.

    Only initdb reads where it shall be, so what the service says today may have come too late for its data; and by
    hand pg_wal is moved to a mount that is named after it.
    """
    directory = data_directory(facts, service)
    if directory is None:
        return None
    named = [m.target for m in service.mounts if _NAMED_WAL.search(m.target.rstrip("/"))]
    places = {f"{directory}/pg_wal", *told_wal(service), *(target.rstrip("/") for target in named)}
    free = [disk.free_bytes if disk else None for disk in (_disk_below(facts, service, path) for path in places)]
    known = [count for count in free if count is not None]
    return min(known) if len(known) == len(free) else None


_NAMED_WAL = re.compile(r"(?:^|[/_.-])(?:pg|postgres)?[_.-]?(?:wal|xlog)(?:[_.-]?dir)?$", re.IGNORECASE)


def _disk_below(facts: Facts, service: Service, path: str) -> Mount | None:
    """The host's mount below a path of the container, None where it is not known."""
    mount = None if hidden_volume(facts, service, path) else deepest(service.mounts, path)
    if mount is None or (facts.engine is not None and not facts.engine.local):
        return None
    below = path[len(mount.target.rstrip("/")) :]
    if mount.type == "bind" and mount.source and mount.source.startswith("/"):
        return facts.host.mount_for(mount.source.rstrip("/") + below)
    if mount.type != "volume" or facts.engine is None or not facts.engine.data_root:
        return None
    return _volume_disk(facts, mount, facts.engine.data_root.rstrip("/"), below)


def _volume_disk(facts: Facts, mount: MountSpec, root: str, below: str) -> Mount | None:
    """Named volumes lie below the engine's data root, unless driver options bind another directory."""
    definition = facts.stack.volumes.get(mount.source or "", {}) or {}
    options = definition.get("driver_opts")
    if definition.get("driver") not in (None, "", "local"):
        return None
    if isinstance(options, dict) and options:
        device = str(options.get("device", ""))
        how = str(options.get("o", ""))
        # Without "r" what is mounted below the directory is not seen in the container.
        inner = device.rstrip("/") + below if "rbind" in how else device
        return facts.host.mount_for(inner) if device.startswith("/") and "bind" in how else None
    return facts.host.mount_for(f"{root}/volumes/{definition.get('name') or mount.source}/_data{below}")
