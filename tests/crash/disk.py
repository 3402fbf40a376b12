"""What a disk holds after the power failed: only what was fsynced, names by their directory, bytes by their file.

Stricter than any file system in use: a new name is lost unless its directory was synced after it, and the bytes of a
file are those of its last fsync (none where there was none).
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Key = tuple[int, int]
"""Device and inode: a file, whatever it is called."""


@dataclass(frozen=True)
class Saved:
    """A file as the disk has it. The open handle keeps its inode number from being used again."""

    content: bytes
    mode: int
    uid: int
    gid: int
    handle: int


class Disk:
    """Watches directories from now on: what lies there now counts as synced."""

    def __init__(self, roots: Iterable[Path]) -> None:
        self.roots = [root.resolve() for root in roots]
        self.files: dict[Key, Saved] = {}
        self.names: dict[Path, dict[str, Key]] = {}
        self._fsync: Callable[[Any], None] = os.fsync
        for root in self.roots:
            for folder in [root, *(p for p in root.rglob("*") if p.is_dir() and not p.is_symlink())]:
                self._folder(folder)

    def _folder(self, folder: Path, *, deep: bool = True) -> None:
        self.names[folder] = {}
        for entry in os.scandir(folder):
            found = entry.stat(follow_symlinks=False)
            self.names[folder][entry.name] = (found.st_dev, found.st_ino)
            if deep and stat.S_ISREG(found.st_mode):
                self._file(os.open(entry.path, os.O_RDONLY))

    def _file(self, handle: int) -> None:
        found = os.fstat(handle)
        content = Path(f"/proc/self/fd/{handle}").read_bytes()
        old = self.files.get((found.st_dev, found.st_ino))
        saved = Saved(content, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, old.handle if old else handle)
        self.files[found.st_dev, found.st_ino] = saved

    def install(self) -> None:
        """From here on `os.fsync` tells this disk as well."""
        os.fsync = self.fsync  # type: ignore[assignment]

    def remove(self) -> None:
        """Undo `install`."""
        os.fsync = self._fsync  # type: ignore[assignment]

    def fsync(self, handle: Any) -> None:
        """As `os.fsync`, and remembered."""
        self._fsync(handle)
        path = Path(f"/proc/self/fd/{handle}").readlink()
        if not any(path.is_relative_to(root) for root in self.roots):
            return
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            self._folder(path, deep=False)
        else:
            self._file(os.open(f"/proc/self/fd/{handle}", os.O_RDONLY))

    def lose_power(self, *, keep_names: bool = False) -> list[str]:
        """Put the directories into the state of the disk; what was lost or came back, by path.

        `keep_names`: all renames and new names reached the disk, the bytes that were not synced did not.
        """
        self.remove()
        changed: list[str] = []
        for root in self.roots:
            self._restore(root, changed, keep_names)
        return changed

    def _restore(self, folder: Path, changed: list[str], keep_names: bool) -> None:
        wanted = self._wanted(folder, keep_names)
        for entry in list(os.scandir(folder)):
            if entry.name not in wanted:
                changed.append(f"gone: {entry.path}")
                shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else Path(entry.path).unlink()
        for name, key in wanted.items():
            self._restore_entry(folder / name, key, changed, keep_names)

    def _wanted(self, folder: Path, keep_names: bool) -> dict[str, Key]:
        if not keep_names:
            return self.names.get(folder, {})
        found = {entry.name: entry.stat(follow_symlinks=False) for entry in os.scandir(folder)}
        return {name: (s.st_dev, s.st_ino) for name, s in found.items()}

    def _restore_entry(self, path: Path, key: Key, changed: list[str], keep_names: bool) -> None:
        if path.is_dir() and not path.is_symlink():
            self._restore(path, changed, keep_names)
        elif not path.is_symlink():
            saved = self.files.get(key)
            content = saved.content if saved else b""
            if not path.exists() or path.read_bytes() != content:
                changed.append(f"back: {path}")
                path.write_bytes(content)
            if saved:
                path.chmod(saved.mode)
                os.chown(path, saved.uid, saved.gid)
