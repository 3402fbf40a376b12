"""Trees of data: copied whole, compared whole, fenced and marked. Works on host paths, so it needs root.

The copy runs in the caller's own process: nothing of it lives on when that one is killed. Nothing here ever writes
into the source, and nothing follows a link out of a tree.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import field, replace
from pathlib import Path

from nftui.model.dataclass import dataclass
from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.system.durable import sync_directory

MARK = ".nftui-filling"
"""Stands in a place while it is being filled: no server initialises a directory that is not empty."""
_CHUNK = 1024 * 1024


class TreeError(NftuiError):
    """A tree cannot be copied as it is; the message names the entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, directory or link of a tree, as far as a copy must have it; `digest` only where it was asked for."""

    kind: str
    """file, directory, link, fifo."""
    mode: int
    uid: int
    gid: int
    size: int = 0
    mtime_ns: int = 0
    """Of files only: a directory's moves with every fence."""
    link: str = ""
    """Where a link points to; of a hard link the first path of its group."""
    xattrs: tuple[tuple[str, bytes], ...] = ()
    sparse: bool = False
    digest: str = ""


@dataclass(frozen=True, slots=True)
class TreeFacts:
    """What a tree holds: entries, bytes in use on the disk, and a fingerprint that any write to a file changes."""

    entries: int
    bytes: int
    fingerprint: str
    problems: tuple[str, ...] = field(default=())
    """Why it cannot be copied as it is: links that leave it, devices, other file systems inside it."""


Progress = Callable[[str, float | None], None]


class LocalTrees:
    """The trees of this machine."""

    def exists(self, path: str) -> bool:
        """Whether a directory is there."""
        return os.path.isdir(path)

    def vacant(self, path: str) -> bool:
        """True where nothing is there, or an empty directory."""
        return not os.path.lexists(path) or (os.path.isdir(path) and not os.listdir(path))

    def room(self, path: str) -> tuple[int, int]:
        """Free bytes and free inodes for a new tree at `path`, as far as this user may use them."""
        place = Path(path)
        while not place.exists():
            place = place.parent
        found = os.statvfs(place)
        # A file system without a fixed number of inodes (btrfs) says 0 of 0.
        return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else 2**62

    def facts(self, path: str) -> TreeFacts:
        """One walk, contents unread; a server may be at work in it: what goes away meanwhile is not counted.

        Raises OSError.
        """
        total, count, sums = 0, 0, hashlib.sha256()
        seen: set[tuple[int, int]] = set()
        problems: list[str] = []
        device = os.lstat(path).st_dev
        for name, full in _walk(path, alive=True):
            try:
                found = os.lstat(full)
                problems += _problems(path, name, full, found, device)
            except FileNotFoundError:
                continue
            count += 1
            if (found.st_dev, found.st_ino) not in seen:
                total += found.st_blocks * 512
                seen.add((found.st_dev, found.st_ino))
            own = (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else ()
            sums.update(repr((name, found.st_mode, found.st_uid, found.st_gid, *own)).encode("utf-8", "replace"))
        return TreeFacts(count, total, sums.hexdigest(), tuple(problems))

    def entries(self, path: str, progress: Progress, *, text: str) -> dict[str, Entry]:
        """Relative path to entry, contents read and digested. Raises OSError, TreeError."""
        groups: dict[tuple[int, int], str] = {}
        found: dict[str, Entry] = {}
        for name, full in _walk(path):
            if not stat.S_ISSOCK(os.lstat(full).st_mode):
                found[name] = _entry(name, full, groups, read=True)
                progress(f"{text} {name}", None)
        return found

    def mark(self, path: str, note: dict[str, str]) -> None:
        """Make the directory, and mark it as being filled."""
        Path(path).mkdir(parents=True, exist_ok=True)
        with open(os.path.join(path, MARK), "w", encoding="utf-8") as handle:
            json.dump(note, handle)
            handle.flush()
            os.fsync(handle.fileno())
        sync_directory(Path(path))
        sync_directory(Path(path).parent)

    def marked(self, path: str) -> dict[str, str] | None:
        """The note of a place that is being filled, {} where it was cut off; None where there is no mark."""
        try:
            return {str(k): str(v) for k, v in json.loads(Path(path, MARK).read_text()).items()}
        except FileNotFoundError:
            return None
        except (ValueError, AttributeError):
            return {}

    def unmark(self, path: str) -> None:
        """The place is whole."""
        Path(path, MARK).unlink(missing_ok=True)
        sync_directory(Path(path))

    def copy(
        self,
        source: str,
        target: str,
        rename: Callable[[str], str],
        progress: Progress,
        skip: Callable[[str], bool] = lambda name: False,
    ) -> None:
        """Copy everything of `source` into `target`, which is marked; goes on where a former copy was cut off.

        `rename` gives an entry another name there; `skip` leaves entries out, and is asked for those below them too. A
        file that is there with its time has been copied: the time is set when its bytes are on the disk.
        """
        total, done = max(1, self.facts(source).bytes), 0
        groups: dict[tuple[int, int], str] = {}
        directories: list[tuple[str, Entry]] = []
        for name, full in _walk(source):
            if skip(name) or stat.S_ISSOCK(os.lstat(full).st_mode):
                continue
            entry = _entry(name, full, groups, read=False)
            place = os.path.join(target, rename(name)) if name != "." else target
            _place(full, place, entry, os.path.join(target, rename(entry.link)))
            if entry.kind == "directory":
                directories.append((place, entry))
            done += os.lstat(full).st_blocks * 512
            progress(f"copying {name}", min(1.0, done / total))
        for place, entry in reversed(directories):
            _attributes(place, entry)
            sync_directory(Path(place))

    def differences(self, source: str, target: str, rename: Callable[[str], str], progress: Progress) -> list[str]:
        """Names that differ in type, owner, mode, size, time, links, attributes, holes or content; read from disk."""
        wanted = self.entries(source, progress, text="reading")
        found = self.entries(target, progress, text="comparing")
        expected = {rename(n): replace(e, link=rename(e.link) if e.kind == "file" else e.link)
                    for n, e in wanted.items()}  # fmt: skip
        # What stands in the place of something renamed is of another kind, and belongs to the fence.
        block = {n for n in wanted if rename(n) != n and found.get(n) and found[n].kind != wanted[n].kind}
        return sorted(n for n in {*expected, *found} - block if expected.get(n) != found.get(n))

    def holds(self, path: str, name: str) -> str:
        """What stands at `name` in the tree: "file", "directory" or ""."""
        try:
            mode = os.lstat(os.path.join(path, name)).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return ""
        return "directory" if stat.S_ISDIR(mode) else "file"

    def rename(self, path: str, old: str, new: str) -> None:
        """Rename inside the tree, durably."""
        os.rename(os.path.join(path, old), os.path.join(path, new))
        sync_directory(Path(path, new).parent)

    def make_directory(self, path: str, name: str) -> None:
        """An empty directory inside the tree."""
        Path(path, name).mkdir(mode=0o700, exist_ok=True)
        sync_directory(Path(path, name).parent)

    def make_file(self, path: str, name: str) -> None:
        """An empty file inside the tree."""
        Path(path, name).touch(mode=0o600)
        sync_directory(Path(path, name).parent)

    def drop_file(self, path: str, name: str) -> None:
        """Remove an empty file inside the tree; one that holds something raises TreeError."""
        if Path(path, name).stat().st_size:
            raise TreeError(msg("{path} is not empty; it was not deleted.", path=str(Path(path, name))))
        Path(path, name).unlink()
        sync_directory(Path(path, name).parent)

    def drop_directory(self, path: str, name: str) -> None:
        """Remove an empty directory inside the tree, or with "." itself; one that holds something raises OSError."""
        place = Path(path, name)
        place.rmdir()
        sync_directory(place.parent)

    def unwrap(self, path: str, work: str, data: str, relative: str) -> None:
        """Move what was made in `data` (in `work`, in the tree) to `relative` of the tree, and delete `work`.

        Idempotent; the tree stays marked. Its root takes owner and mode of `data` where that becomes the root.
        """
        made = os.path.join(path, data)
        if os.path.isdir(made):
            (self._to_root if relative == "." else self._to_folder)(path, made, relative)
        shutil.rmtree(os.path.join(path, work), ignore_errors=True)
        sync_directory(Path(path))

    def _to_root(self, path: str, made: str, relative: str) -> None:
        found = os.stat(made)
        for name in sorted(os.listdir(made)):
            os.rename(os.path.join(made, name), os.path.join(path, name))
        os.chown(path, found.st_uid, found.st_gid)
        os.chmod(path, stat.S_IMODE(found.st_mode))
        sync_directory(Path(path))
        os.rmdir(made)

    def _to_folder(self, path: str, made: str, relative: str) -> None:
        place = os.path.join(path, relative)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.rename(made, place)
        sync_directory(Path(place).parent)

    def remove(self, path: str) -> None:
        """Delete a tree that is marked as being filled; raises TreeError where it is not: nothing else is deleted."""
        if self.marked(path) is None:
            raise TreeError(msg("{path} is not marked as being filled by nftui; it was not deleted.", path=path))
        for name in sorted(os.listdir(path)):
            if name != MARK:
                full = os.path.join(path, name)
                shutil.rmtree(full) if os.path.isdir(full) and not os.path.islink(full) else os.unlink(full)
        # The mark goes last: a deletion that was cut off is still recognised.
        self.unmark(path)


def _walk(root: str, *, alive: bool = False) -> Iterator[tuple[str, str]]:
    """(relative name, full path) of the root (".") and all below, sorted, directories before what they hold.

    Of a tree that is `alive`, what goes away during the walk is passed over; of another one it is an error.
    """
    gone = FileNotFoundError if alive else ()
    yield ".", root
    stack = [""]
    while stack:
        folder = stack.pop()
        try:
            names = sorted(os.listdir(os.path.join(root, folder)))
        except gone:
            continue
        for relative in (os.path.join(folder, name) for name in names):
            if relative == MARK:
                continue
            full = os.path.join(root, relative)
            yield relative, full
            try:
                if stat.S_ISDIR(os.lstat(full).st_mode):
                    stack.append(relative)
            except gone:
                continue


def _problems(root: str, name: str, full: str, found: os.stat_result, device: int) -> Iterator[str]:
    if found.st_dev != device:
        yield f"{name} is another file system"
    if stat.S_ISBLK(found.st_mode) or stat.S_ISCHR(found.st_mode):
        yield f"{name} is a device"
    if stat.S_ISLNK(found.st_mode):
        aim = os.path.normpath(os.path.join(root, os.path.dirname(name), os.readlink(full)))
        if not aim.startswith(os.path.normpath(root) + os.sep):
            yield f"{name} is a link that leads out of it"


def _entry(name: str, full: str, groups: dict[tuple[int, int], str], *, read: bool) -> Entry:
    found = os.lstat(full)
    mode = found.st_mode
    entry = Entry(_kind(name, mode), stat.S_IMODE(mode), found.st_uid, found.st_gid, xattrs=_xattrs(full))
    if stat.S_ISLNK(mode):
        return replace(entry, link=os.readlink(full), mode=0)
    if not stat.S_ISREG(mode):
        return entry
    first = groups.setdefault((found.st_dev, found.st_ino), name) if found.st_nlink > 1 else name
    entry = replace(entry, size=found.st_size, mtime_ns=found.st_mtime_ns, link="" if first == name else first)
    return replace(entry, digest=_digest(full), sparse=_sparse(full, found.st_size)) if read else entry


def _kind(name: str, mode: int) -> str:
    tests = {"directory": stat.S_ISDIR, "file": stat.S_ISREG, "link": stat.S_ISLNK, "fifo": stat.S_ISFIFO}
    for kind, test in tests.items():
        if test(mode):
            return kind
    raise TreeError(msg("{name} is neither a file nor a directory nor a link.", name=name))


def _xattrs(full: str) -> tuple[tuple[str, bytes], ...]:
    names = sorted(os.listxattr(full, follow_symlinks=False))
    return tuple((n, os.getxattr(full, n, follow_symlinks=False)) for n in names)


def _digest(full: str) -> str:
    """sha256, read from the disk rather than from what was written a moment ago."""
    with open(full, "rb") as handle:
        os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _sparse(full: str, size: int) -> bool:
    handle = os.open(full, os.O_RDONLY)
    try:
        return size > 0 and os.lseek(handle, 0, os.SEEK_HOLE) < size
    finally:
        os.close(handle)


def _place(full: str, place: str, entry: Entry, first: str) -> None:
    if entry.kind == "directory":
        os.makedirs(place, exist_ok=True)
        return
    if entry.kind == "file" and entry.link:
        _link(place, first)
    elif entry.kind == "file":
        _copy_file(full, place, entry)
    elif not os.path.lexists(place):
        os.symlink(entry.link, place) if entry.kind == "link" else os.mkfifo(place)
        _attributes(place, entry)


def _link(place: str, first: str) -> None:
    if os.path.lexists(place):
        os.unlink(place)
    os.link(first, place)


def _copy_file(full: str, place: str, entry: Entry) -> None:
    """Bytes without holes filled; owner, mode, attributes; on the disk before its time says that it is whole."""
    there = os.lstat(place) if os.path.lexists(place) else None
    if there and (there.st_size, there.st_mtime_ns) == (entry.size, entry.mtime_ns):
        _attributes(place, entry)
        return
    source = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    target = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        for start, end in _extents(source, entry.size):
            _copy_range(source, target, start, end)
        os.ftruncate(target, entry.size)
        os.fsync(target)
    finally:
        os.close(source)
        os.close(target)
    _attributes(place, entry)
    os.utime(place, ns=(entry.mtime_ns, entry.mtime_ns))


def _extents(handle: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, end) of what is data and no hole."""
    at = 0
    while at < size:
        try:
            start = os.lseek(handle, at, os.SEEK_DATA)
        except OSError:  # ENXIO: only a hole is left
            return
        at = os.lseek(handle, start, os.SEEK_HOLE)
        yield start, at


def _copy_range(source: int, target: int, start: int, end: int) -> None:
    while start < end:
        data = os.pread(source, min(_CHUNK, end - start), start)
        if not data:
            raise OSError("a file became shorter while it was copied")
        start += os.pwrite(target, data, start)


def _attributes(place: str, entry: Entry) -> None:
    os.chown(place, entry.uid, entry.gid, follow_symlinks=False)
    for name, value in entry.xattrs:
        os.setxattr(place, name, value, follow_symlinks=False)
    if entry.kind != "link":
        os.chmod(place, entry.mode)
