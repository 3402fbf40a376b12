"""Files: bounded reads, writes that are whole or absent, deletes; each is on disk when the call returns.

nftui runs as root in directories that others may write to. So a write holds the directory open and
works relative to it, its temp file is created exclusively, and a symlink is followed only where the
one who made it could have written the target anyway (the rule of fs.protected_symlinks, for links).
A symlinked `.env` is written through to its target: the link stays a link.
"""
# Works relative to open directories, which pathlib cannot.

from __future__ import annotations

import base64
import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import field, replace
from typing import Protocol, cast

from nftui.model.dataclass import dataclass
from nftui.model.errors import NftuiError
from nftui.model.facts import FileFact
from nftui.model.message import Message, msg

READ_LIMIT = 16 * 1024 * 1024
"""Bytes; no Compose file, `.env` or configuration that a person wrote is larger."""
TEMP_PREFIX = ".nftui-"
"""Temp files are TEMP_PREFIX + name + "." + random + ".tmp": a crash leaves at most one, recognisable."""


class FileError(NftuiError):
    """A file could not be read, written or deleted; nothing is half-written."""


_ACL = "system.posix_acl_access"
_KERNELS_OWN = ("security.ima", "security.evm")
"""Extended attributes that the kernel derives from the inode: they cannot be carried to another one."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """Who may do what with a file: mode bits (0o644), owner and group, extended attributes."""

    mode: int
    uid: int
    gid: int
    xattrs: Mapping[str, bytes] | None = None
    """Name to value of what is readable, POSIX ACL (`system.posix_acl_access`) and SELinux label
    (`security.selinux`) among them. None in a write: those of the file that is replaced; what a new one inherits."""

    def as_json(self) -> dict[str, object]:
        """Plain form."""
        values = {k: base64.b64encode(v).decode() for k, v in sorted((self.xattrs or {}).items())}
        return {"mode": self.mode, "uid": self.uid, "gid": self.gid, "xattrs": values}

    @staticmethod
    def from_json(data: Mapping[str, object]) -> Attributes:
        """Inverse of `as_json`."""
        values = cast("Mapping[str, str]", data["xattrs"])
        mode, uid, gid = (int(str(data[key])) for key in ("mode", "uid", "gid"))
        return Attributes(mode, uid, gid, {k: base64.b64decode(v) for k, v in values.items()})


class Files(Protocol):
    """Port for files."""

    def read(self, path: str, limit: int = READ_LIMIT) -> bytes | None:
        """The bytes of `path`, None where there is no such file. Raises FileError, also above `limit` bytes."""
        ...

    def fact(self, path: str, limit: int = READ_LIMIT) -> FileFact:
        """Bytes and attributes of `path` in one reading (content None where absent). Raises FileError."""
        ...

    def write(self, path: str, content: bytes, attributes: Attributes | None = None) -> None:
        """Replace `path` by `content`, whole or not at all, synced. Raises FileError.

        Without `attributes` an existing file keeps mode, owner and extended attributes; a new one is 0644.
        """
        ...

    def delete(self, path: str) -> bool:
        """Remove the name `path` (a link, not its target); False where there was none. Raises FileError."""
        ...

    def tidy(self, path: str) -> None:
        """Remove what a write of `path` that was cut off left beside it. Raises FileError.

        Nothing is beside a link that may not be followed: no write of it ever begins.
        """
        ...


def attributes_of(path: str) -> Attributes | None:
    """Those of the file at `path` (links followed); None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return Attributes(stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, _xattrs(path))


def _xattrs(path: str) -> dict[str, bytes]:
    """What can be read; file systems without extended attributes have none."""
    found: dict[str, bytes] = {}
    with suppress(OSError):
        for key in os.listxattr(path):
            with suppress(OSError):
                found[key] = os.getxattr(path, key)
    return {key: value for key, value in found.items() if key not in _KERNELS_OWN}


class LocalFiles:
    """The file system of this machine."""

    def read(self, path: str, limit: int = READ_LIMIT) -> bytes | None:
        """See Files.read."""
        return self.fact(path, limit).content

    def fact(self, path: str, limit: int = READ_LIMIT) -> FileFact:
        """See Files.fact."""
        with _explained(path):
            try:
                # O_NONBLOCK: a FIFO in the place of a file must not hang nftui.
                handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except (FileNotFoundError, NotADirectoryError):
                return FileFact(path, None)
            with os.fdopen(handle, "rb") as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    raise FileError(msg("{path} is not a regular file", path=path))
                content = file.read(limit + 1)
        if len(content) > limit:
            raise FileError(msg("{path} is larger than {limit} bytes", path=path, limit=limit))
        return FileFact(path, content, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)

    def write(self, path: str, content: bytes, attributes: Attributes | None = None) -> None:
        """See Files.write."""
        target = resolve_target(path)
        with _explained(target), _directory(target) as folder:
            name = os.path.basename(target)
            _sweep(folder, name)
            temp = f"{TEMP_PREFIX}{name.lstrip('.')}.{os.urandom(4).hex()}.tmp"
            try:
                _write_temp(folder, temp, content, _wanted(folder, name, attributes))
                os.replace(temp, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temp, dir_fd=folder)
                raise
            os.fsync(folder)

    def delete(self, path: str) -> bool:
        """See Files.delete."""
        if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
            return False
        with _explained(path), _directory(path) as folder:
            _sweep(folder, os.path.basename(path))
            try:
                os.unlink(os.path.basename(path), dir_fd=folder)
            except FileNotFoundError:
                return False
            os.fsync(folder)
        return True

    def tidy(self, path: str) -> None:
        """See Files.tidy."""
        try:
            target = resolve_target(path)
        except FileError:
            return
        if os.path.isdir(os.path.dirname(target)):
            with _explained(target), _directory(target) as folder:
                _sweep(folder, os.path.basename(target))


def resolve_target(path: str) -> str:
    """Where a write to `path` ends up: itself, or the target of a link that may be followed.

    Raises FileError where a link dangles, or belongs to someone who does not own its target.
    """
    if not os.path.islink(path):
        return os.path.abspath(path)
    target = os.path.realpath(path)
    link = os.lstat(path)
    try:
        aim = os.stat(target)
    except OSError:
        raise FileError(msg("{path} is a link to {target}, which is not there", path=path, target=target)) from None
    if link.st_uid not in (0, os.geteuid(), aim.st_uid):
        raise FileError(
            msg("{path} is a link to {target}, made by someone who does not own it", path=path, target=target)
        )
    return target


@contextmanager
def _directory(path: str) -> Iterator[int]:
    """The open directory that holds `path`: what is done relative to it cannot be redirected any more."""
    handle = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def _wanted(folder: int, name: str, attributes: Attributes | None) -> Attributes:
    """As asked; what is not said is as the file of that name has it."""
    if attributes is not None and attributes.xattrs is not None:
        return attributes
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return attributes or Attributes(0o644, os.geteuid(), os.getegid())
    if not stat.S_ISREG(found.st_mode):
        raise FileError(msg("{path} is not a regular file", path=name))
    kept = _xattrs(f"/proc/self/fd/{folder}/{name}")
    asked = attributes or Attributes(stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)
    return replace(asked, xattrs=kept)


def _sweep(folder: int, name: str) -> None:
    """Remove what a write of `name` left that was cut off: its random part has eight digits."""
    begin = f"{TEMP_PREFIX}{name.lstrip('.')}."
    for left in os.listdir(folder):
        if left.startswith(begin) and left.endswith(".tmp") and len(left) == len(begin) + 12:
            with suppress(OSError):
                os.unlink(left, dir_fd=folder)


def _write_temp(folder: int, temp: str, content: bytes, wanted: Attributes) -> None:
    """Nobody else can read it before it is as `wanted`: the mode comes last, the ACL just before it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(temp, flags, 0o600, dir_fd=folder)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        if (wanted.uid, wanted.gid) != (os.geteuid(), os.getegid()):
            os.fchown(file.fileno(), wanted.uid, wanted.gid)
        if wanted.xattrs is not None:
            _set_xattrs(file.fileno(), wanted.xattrs)
        os.fchmod(file.fileno(), wanted.mode)
        os.fsync(file.fileno())


def _set_xattrs(handle: int, wanted: Mapping[str, bytes]) -> None:
    """SELinux labels and ACLs exactly as wanted: others go (a directory's default ACL is inherited).

    What the file system or the kernel refuses is left: the caller that needs it compares.
    """
    own = f"/proc/self/fd/{handle}"
    for key in set(_xattrs(own)) - set(wanted):
        with suppress(OSError):
            os.removexattr(own, key)
    for key in sorted(wanted, key=lambda key: key == _ACL):
        with suppress(OSError):
            os.setxattr(own, key, wanted[key])


_REASONS = {
    errno.EACCES: msg("no permission"),
    errno.EPERM: msg("not permitted (is it immutable? see lsattr)"),
    errno.ENOSPC: msg("the disk is full"),
    errno.EDQUOT: msg("the quota is used up"),
    errno.EROFS: msg("the file system is read-only"),
    errno.EBUSY: msg("it is mounted by itself, so it cannot be replaced"),
    errno.EISDIR: msg("it is a directory"),
    errno.ENOENT: msg("its directory is not there"),
}


def _reason(error: OSError) -> Message:
    return _REASONS.get(error.errno or 0, msg("{reason}", reason=error.strerror or type(error).__name__))


@contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileError(msg("{path}: {reason}", path=path, reason=_reason(error))) from error


@dataclass
class FakeFiles:
    """For tests: files in memory; `log` holds ("write" | "delete", path) in order."""

    contents: dict[str, bytes] = field(default_factory=dict)
    attributes: dict[str, Attributes] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)

    def read(self, path: str, limit: int = READ_LIMIT) -> bytes | None:
        """See Files.read."""
        return self.fact(path, limit).content

    def fact(self, path: str, limit: int = READ_LIMIT) -> FileFact:
        """See Files.fact."""
        content = self.contents.get(path)
        if content is None:
            return FileFact(path, None)
        if len(content) > limit:
            raise FileError(msg("{path} is larger than {limit} bytes", path=path, limit=limit))
        has = self.attributes.get(path, Attributes(0o644, 0, 0))
        return FileFact(path, content, has.mode, has.uid, has.gid)

    def write(self, path: str, content: bytes, attributes: Attributes | None = None) -> None:
        """See Files.write."""
        self.log.append(("write", path))
        self.contents[path] = content
        if attributes is not None:
            self.attributes[path] = attributes

    def delete(self, path: str) -> bool:
        """See Files.delete."""
        self.log.append(("delete", path))
        return self.contents.pop(path, None) is not None

    def tidy(self, path: str) -> None:
        """Nothing is cut off in memory."""
