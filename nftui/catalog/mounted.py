"""Files of the operator that services mount: read within bounds, for what a service is and for checks only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from nftui.model.dataclass import dataclass

if TYPE_CHECKING:
    from nftui.model.stack import MountSpec, Service, Stack

MAX_BYTES = 512 * 1024
_MAX_FILES = 100


@dataclass(frozen=True, slots=True)
class Mounted:
    """A file in a container: its text, and where it lies; `text` None where it is there but cannot be read."""

    target: str
    text: str | None
    path: str | None = None


def mounted(stack: Stack, service: Service, target: str) -> Mounted | None:
    """What lies at `target` in the container; None where no mount covers it."""
    for config_target, found in _configs(stack, service):
        if config_target == target:
            return found
    return in_mounts(service.mounts, target, stack.invocation.directory)


def in_mounts(mounts: Iterable[MountSpec], target: str, directory: str) -> Mounted | None:
    """The same of mounts alone, whose sources may be relative to `directory`."""
    covering = [m for m in mounts if PurePosixPath(target).is_relative_to(m.target) and m.type != "tmpfs"]
    if not covering:
        return None
    mount = max(covering, key=lambda m: len(m.target))
    if mount.type != "bind" or not mount.source:
        return Mounted(target, None)
    rest = PurePosixPath(target).relative_to(mount.target)
    path = Path(directory, mount.source, rest)
    return Mounted(target, read(path), str(path))


def files_in(stack: Stack, service: Service, folder: str) -> Iterator[Mounted]:
    """Files that lie directly in `folder` of the container: of its bind mounts and configs, by name."""
    found: dict[str, Mounted] = {}
    whole = in_mounts(service.mounts, folder, stack.invocation.directory)
    for path in _entries(Path(whole.path)) if whole and whole.path else ():
        found[f"{folder}/{path.name}"] = Mounted(f"{folder}/{path.name}", read(path), str(path))
    for mount in service.mounts:
        if mount.type == "bind" and mount.source and str(PurePosixPath(mount.target).parent) == folder:
            path = Path(stack.invocation.directory, mount.source)
            found[mount.target] = Mounted(mount.target, read(path), str(path))
    found |= {target: file for target, file in _configs(stack, service) if str(PurePosixPath(target).parent) == folder}
    yield from (found[target] for target in sorted(found))


def _entries(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())[:_MAX_FILES]
    except OSError:
        return []


def read(path: Path) -> str | None:
    """Text of a regular file of reasonable size, None where it is none."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return None
        return path.read_text(errors="replace")
    except OSError:
        return None


def _configs(stack: Stack, service: Service) -> Iterator[tuple[str, Mounted]]:
    """Compose `configs`: by file, or with their content inline."""
    entries = service.config.get("configs")
    declared = stack.document.get("configs")
    known = declared if isinstance(declared, Mapping) else {}
    for entry in entries if isinstance(entries, (list, tuple)) else ():
        name = str(entry.get("source")) if isinstance(entry, Mapping) else str(entry)
        target = str(entry.get("target") or f"/{name}") if isinstance(entry, Mapping) else f"/{name}"
        yield target, _config(stack, target, known.get(name))


def _config(stack: Stack, target: str, declared: object) -> Mounted:
    if not isinstance(declared, Mapping):
        return Mounted(target, None)
    if declared.get("file"):
        path = Path(stack.invocation.directory, str(declared["file"]))
        return Mounted(target, read(path), str(path))
    content = declared.get("content")
    return Mounted(target, content if isinstance(content, str) else None)
