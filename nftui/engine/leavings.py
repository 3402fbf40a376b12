"""Files that services mounted and no generation needs any more: removed when a run has ended (engine.md 10).

Only what the run's own steps name is looked at, and of that only files that are as nftui wrote them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from nftui.engine.state import ProjectState
from nftui.model.mounted import IGNORE, IGNORED
from nftui.model.plan import StepSpec, digest
from nftui.probes.tree import is_below
from nftui.steps.mounted import MountedKind


class Files(Protocol):
    """What removing needs."""

    def read(self, path: str) -> bytes | None: ...
    def delete(self, path: str) -> None: ...
    def remove_directory(self, path: str) -> bool: ...


def needed(state: ProjectState) -> set[tuple[str, str]]:
    """(name, digest) of every directory that a generation of the chain mounts: a rollback could need it."""
    standing = state.in_force()
    former = [state.generation(number) for number in range(1, standing.generation)]
    return {(s.name, s.digest) for found in (*former, standing) for f in found.fragments for s in f.files}


def sweep(
    steps: Iterable[StepSpec],
    keep: set[tuple[str, str]],
    files: Files,
    mounted: Callable[[], Collection[str]] = tuple,
) -> list[str]:
    """Remove the directories that `steps` wrote or mounted and that are not to be kept. Raises NftuiError, OSError.

    `mounted` tells what containers of the project, also stopped ones, have mounted: of that nothing is removed. Asked
    only where something would be. Returns the directories that stay because of it.
    """
    going = [s for s in steps if s.kind == MountedKind.name and _name(s) not in keep]
    sources = [os.path.realpath(path) for path in mounted()] if going else []
    stay = {s.target for s in going if any(is_below(path, os.path.realpath(s.target)) for path in sources)}
    for step in going:
        if step.target not in stay:
            _remove(step, files)
    return sorted(stay)


def _name(step: StepSpec) -> tuple[str, str]:
    return Path(step.target).parent.name, Path(step.target).name


def _remove(step: StepSpec, files: Files) -> None:
    wanted = step.params["files"]
    assert isinstance(wanted, Mapping)
    inside = [path for path in wanted if Path(path).is_relative_to(step.target)]
    for path in inside:
        # Where there is none, what a write that was cut off left of it goes.
        if digest(files.read(path)) in (None, wanted[path]["digest"]):
            files.delete(path)
    folder = Path(step.target).parents[1]
    for directory in [*_between(inside, step.target), step.target, str(Path(step.target).parent)]:
        if not files.remove_directory(directory):
            return
    _remove_folder(folder, files)


def _between(paths: Iterable[str], top: str) -> Iterator[str]:
    """Directories below `top`, deepest first."""
    below = {str(p) for path in paths for p in Path(path).parents if p != Path(top) and p.is_relative_to(top)}
    return iter(sorted(below, key=lambda p: -p.count(os.sep)))


def _remove_folder(folder: Path, files: Files) -> None:
    """nftui's folder goes with the last directory in it."""
    ignore = str(folder / IGNORE)
    if files.read(ignore) == IGNORED and set(os.listdir(folder)) == {IGNORE}:
        files.delete(ignore)
    files.remove_directory(str(folder))
