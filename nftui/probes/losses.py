"""What a recreate of a service would take away for good, whatever the files say (engine.md 7).

A new container begins with its image: what was written into the old one's own layer is gone. An anonymous volume is
handed on by Compose [X, 2.26], but has no name by which anyone would find it after the next `docker compose down`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable

from nftui.model.message import Message, msg
from nftui.model.patterns import regex
from nftui.model.stack import Container, MountSpec, Service
from nftui.probes.layer import holds_nothing
from nftui.probes.remade import remade
from nftui.system.docker import EngineError, EnginePort
from nftui.system.exec import Exec

TIMEOUT_S = 30.0
"""The engine walks the whole layer of a container to tell what changed in it."""
SHOWN = 5
"""Paths that are named; of more only the number is told."""
PASSING = ("/tmp", "/run", "/var/run", "/var/tmp", "/var/lock", "/dev", "/proc", "/sys", "/var/cache")  # noqa: S108
"""What lies there is made anew by every start (FHS 3.0, 3.15, 3.18, 5.5, 5.15)."""
_PASSING_NAMES = regex(
    r"/(__pycache__|\.cache|\.npm|\.[a-z_]*_history|\.lesshst)(/|$)|\.pyc$|\.pid$|/sbin/docker-init$"
    r"|/\.qdrant-initialized$"
)
"""Caches and histories; the place that the engine makes in a container with `init: true` [X]; the empty file by which
Qdrant tells at each start that it has loaded its collections (its startup.rs)."""
_MODIFIED, _ADDED = 0, 1
"""Kinds of a change in the engine's answer: 0 modified, 1 added, 2 deleted (Engine API, ContainerChanges)."""
ASKED = 50
"""Of so many added paths it is asked whether they are directories; more are named as they are."""


def losses(service: Service, engine: EnginePort, exec_port: Exec | None = None) -> tuple[Message, ...]:
    """One sentence per thing that would be lost or stay nameless; empty where a recreate takes nothing away."""
    text = "{service}: its data at {target} lies in a volume without a name; give it one in your files"
    mounts = [m for c in service.containers if c.running for m in c.mounts]
    targets = dict.fromkeys(m.target for m in mounts if m.anonymous and not _only_holds(m, mounts))
    nameless = (msg(text, service=service.name, target=target) for target in targets)
    return (*layer_losses(service, engine, exec_port=exec_port), *nameless)


def _only_holds(mount: MountSpec, mounts: Iterable[MountSpec]) -> bool:
    """Whether the volume has nothing but the places of other mounts: an image of PostgreSQL 18 makes one above the
    former data directory. Where it cannot be looked into, what it holds is not known."""
    inner = [m for m in mounts if m is not mount and _beneath(m.target, (mount.target.rstrip("/"),))]
    if not inner or not mount.host_path or not os.path.isdir(mount.host_path):
        return False
    failed: list[OSError] = []
    files = any(names for _, _, names in os.walk(mount.host_path, onerror=failed.append))
    return not files and not failed


def layer_losses(
    service: Service, engine: EnginePort, own: Collection[str] = (), exec_port: Exec | None = None
) -> tuple[Message, ...]:
    """What was written into the layers of its running containers; what cannot be read is told: unknown is not none.

    `own`: names of files that are nftui's and no loss. With `exec_port`, what a start writes again is none either.
    """
    found = [_layer(service.name, c, engine, own, exec_port) for c in service.containers if c.running]
    return tuple({str(message): message for message in found if message}.values())


def _layer(
    name: str, container: Container, engine: EnginePort, own: Collection[str], exec_port: Exec | None
) -> Message | None:
    try:
        paths = [p for p in changed_paths(container, engine) if not _is_own(p, own)]
    except EngineError as error:
        text = "{service}: nobody can tell what was written into its container: {why}"
        return msg(text, service=name, why=str(error.message))
    again = remade(paths, container, exec_port) if paths else frozenset[str]()
    paths = [path for path in paths if path not in again]
    text = "{service}: what was changed in its container would be lost: {paths}"
    return msg(text, service=name, paths=_listed(paths)) if paths else None


def changed_paths(container: Container, engine: EnginePort) -> list[str]:
    """Paths that differ from the image, sorted, without what every start makes anew. Raises EngineError."""
    mounted = [m.target.rstrip("/") for m in container.mounts]
    # The engine makes the places of mounts.
    parents = {parent for place in mounted for parent in _parents(place)}
    places = (*PASSING, *mounted)

    def passing(path: str) -> bool:
        return _beneath(path, places) or bool(_PASSING_NAMES.search(path))

    if holds_nothing(container.id, engine, parents, passing):
        return []
    answer = engine.get(f"/containers/{container.id}/changes", timeout=TIMEOUT_S)
    changes = {str(c["Path"]): int(c["Kind"]) for c in answer} if isinstance(answer, list) else {}
    # A directory is modified when anything in it was.
    parents |= {parent for path in changes for parent in _parents(path) if changes.get(parent) == _MODIFIED}
    kept = [p for p in changes if p not in parents and not passing(p)]
    empty = _directories([p for p in kept if changes[p] == _ADDED], container, engine)
    return sorted(p for p in kept if p not in empty)


def _directories(added: list[str], container: Container, engine: EnginePort) -> set[str]:
    """Of what was added, the directories: what lies in them is named by itself, and an empty one is no loss."""
    full = {parent for path in added for parent in _parents(path)} & set(added)
    leaves = [path for path in added if path not in full]
    if len(leaves) > ASKED:
        return full
    return full | {path for path in leaves if engine.is_directory(container.id, path)}


def _is_own(path: str, own: Collection[str]) -> bool:
    """The file, or a note of its checksum beside it (Qdrant writes `NAME.checksum`)."""
    return path.rpartition("/")[2].removesuffix(".checksum") in own


def _parents(path: str) -> Iterable[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _beneath(path: str, places: Iterable[str]) -> bool:
    return any(path == place or path.startswith(place + "/") for place in places)


def _listed(paths: list[str]) -> str:
    more = len(paths) - SHOWN
    return ", ".join(paths[:SHOWN]) + (f" (+{more})" if more > 0 else "")
