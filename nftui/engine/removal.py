"""Deleting an artefact for good, in an order that a crash cannot turn into a lie."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from nftui.engine.artefacts import Artefacts
from nftui.engine.state import ProjectState
from nftui.model.artefact import Artefact, ArtefactState
from nftui.model.errors import NftuiError, UsageError
from nftui.model.message import msg
from nftui.probes.mountinfo import parse
from nftui.probes.tree import is_below
from nftui.steps import kept
from nftui.steps.calls import ApiCalls
from nftui.system.docker import EngineError

MOUNTS = Path("/proc/self/mountinfo")


class Remover(Protocol):
    """The engine, as far as artefacts live in it."""

    def remove_volume(self, name: str) -> None: ...
    def remove_image(self, tag: str) -> None: ...
    def remove_network(self, name: str) -> None: ...
    def containers(self, label: str | None = None) -> Sequence[dict[str, object]]: ...


def with_needs(state: ProjectState, artefacts: Sequence[Artefact]) -> list[Artefact]:
    """Each with the standing runs whose rollback needs it: that of its own run, and of all before it.

    Taking an earlier run back takes the artefact's own back on the way (engine.md 2).
    """
    chain = [name for _, name in state.standing()]
    return [replace(a, needed_by=tuple(chain[: chain.index(a.run) + 1]) if a.run in chain else ()) for a in artefacts]


def _nobody(service: str) -> ApiCalls:
    raise NftuiError(msg("{service} cannot be asked here.", service=service))


def delete(
    registry: Artefacts,
    artefact: Artefact,
    engine: Remover | None,
    api: kept.Api = _nobody,
) -> None:
    """Mark it, remove it, remember that it is gone. Raises NftuiError where it is in use or cannot be removed.

    Cut off in the middle, it stays listed as being deleted, and deleting it again goes on.
    """
    if artefact.kind in ("directory", "file"):
        _must_be_idle(artefact.name, engine)
    elif artefact.kind == kept.KIND:
        kept.must_be_unused(artefact, api)
    elif engine is None:
        raise NftuiError(msg("The Docker engine does not answer; {name} was not deleted.", name=artefact.name))
    before = artefact.state
    registry.mark(artefact.name, ArtefactState.DELETING)
    try:
        _remove(artefact, engine, api)
    except NftuiError:
        registry.mark(artefact.name, before)
        raise
    registry.mark(artefact.name, ArtefactState.DELETED)


def _remove(artefact: Artefact, engine: Remover | None, api: kept.Api) -> None:
    if artefact.kind == "volume" and engine:
        _unless_gone(engine.remove_volume, artefact.name)
    elif artefact.kind == "image" and engine:
        _unless_gone(engine.remove_image, artefact.name)
    elif artefact.kind == "network" and engine:
        _unless_gone(engine.remove_network, artefact.name)
    elif artefact.kind in ("directory", "file"):
        _remove_path(Path(artefact.name))
    elif artefact.kind == kept.KIND:
        kept.remove(artefact, api)
    else:
        raise UsageError(
            msg(
                "This nftui does not know artefacts of kind {kind}; use the one that made {name}. Nothing was touched.",
                kind=artefact.kind,
                name=artefact.name,
            )
        )


def _unless_gone(remove: Callable[[str], None], name: str) -> None:
    try:
        remove(name)
    except EngineError as error:
        if error.status != 404:
            raise


def _must_be_idle(path: str, engine: Remover | None) -> None:
    """A directory that a container, also a stopped one, has mounted is somebody's data."""
    if engine is None:
        raise NftuiError(msg("The Docker engine does not answer, so {name} may be in use; it stays.", name=path))
    real = os.path.realpath(path)
    for container in engine.containers():
        mounts = container.get("Mounts")
        for mount in mounts if isinstance(mounts, list) else []:
            source = os.path.realpath(str(mount.get("Source") or "/dev/null"))
            if os.path.commonpath((source, real)) in (source, real):
                names = container.get("Names")
                raise NftuiError(
                    msg(
                        "{name} is mounted by the container {container}; it stays.",
                        name=path,
                        container=str(names[0]).lstrip("/") if isinstance(names, list) and names else "?",
                    )
                )


def _mounted(path: Path) -> str | None:
    """Where something is mounted at `path` or below it, by the kernel's own list: a bind mount of a directory of the
    same filesystem has the device number of what is around it, and no look at the path tells it. Raises NftuiError.
    """
    real = os.path.realpath(path)
    try:
        lines = parse(os.fsdecode(MOUNTS.read_bytes()))
    except OSError as error:
        why = error.strerror or str(error)
        raise NftuiError(
            msg("{path} stays: what is mounted cannot be read: {why}.", path=str(path), why=why)
        ) from error
    return next((line.path for line in lines if is_below(line.path, real)), None)


def _remove_path(path: Path) -> None:
    """Only what is there itself: never through a link, never a mount point or what is mounted below."""
    if not path.is_absolute() or path.is_symlink():
        raise NftuiError(msg("{path} is a link by now; it stays.", path=str(path)))
    if mounted := _mounted(path):
        raise NftuiError(msg("{mounted} is a mount point by now; {path} stays.", mounted=mounted, path=str(path)))
    if not path.exists():
        return
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        raise NftuiError(
            msg("{path} could not be deleted: {why}.", path=str(path), why=error.strerror or str(error))
        ) from error
