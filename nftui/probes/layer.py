"""Whether a container's writable layer holds nothing that a recreate would lose, read where it lies on this machine.

The engine compares two whole trees to answer /changes, a second of work for each container. An overlay's upper
directory holds only what was written, so that a few names prove the usual answer: nothing was. Whatever else is seen,
or cannot be read, is the engine's to tell.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from nftui.system.docker import EngineError, EnginePort

_DRIVER = "overlay2"
_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")
"""Marks a directory that hides the one of the image (kernel, overlayfs.rst, whiteouts and opaque directories)."""
_MOST = 200
"""Names that are looked at; a layer with more of them is one that was written to."""


def holds_nothing(container: str, engine: EnginePort, parents: set[str], passing: Callable[[str], bool]) -> bool:
    """True where the layer is seen to hold only what is `passing`, and the way to it or to the places of mounts.

    `parents` are the directories above those places. False says nothing: the engine must be asked.
    """
    upper = _upper(container, engine)
    if upper is None:
        return False
    try:
        for number, (path, entry) in enumerate(_written(upper, passing)):
            if number >= _MOST or not entry.is_dir(follow_symlinks=False):
                return False
            if path not in parents and not _is_a_way(entry.path):
                return False
    except OSError:
        return False
    return True


def _upper(container: str, engine: EnginePort) -> str | None:
    """The layer's directory, where this engine keeps it on this machine."""
    try:
        driver = engine.inspect(container).get("GraphDriver") or {}
    except EngineError:
        return None
    upper = (driver.get("Data") or {}).get("UpperDir")
    return str(upper) if driver.get("Name") == _DRIVER and upper and os.path.isdir(str(upper)) else None


def _written(root: str, passing: Callable[[str], bool], path: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Everything that is not passing, with its path in the container."""
    with os.scandir(root) as entries:
        for entry in entries:
            name = f"{path}/{entry.name}"
            if passing(name):
                continue
            yield name, entry
            if entry.is_dir(follow_symlinks=False):
                yield from _written(entry.path, passing, name)


def _is_a_way(directory: str) -> bool:
    """A directory that is there for what lies in it; an empty one may have got another mode or owner."""
    if any(name in os.listxattr(directory, follow_symlinks=False) for name in _OPAQUE):
        return False
    with os.scandir(directory) as entries:
        return any(True for _ in entries)
