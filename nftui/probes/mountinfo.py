"""/proc/self/mountinfo as data: what is mounted where, and what kind of filesystem it is (proc(5))."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from nftui.model.dataclass import dataclass
from nftui.probes.tree import is_below

_CLUSTER = ("ocfs2", "gfs2", "ceph", "glusterfs", "lustre", "beegfs", "orangefs")
_REMOTE = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "davfs", "9p", "virtiofs", "fuse", "fuseblk")
_NETWORK = frozenset((*_CLUSTER, *_REMOTE))
_MEMORY = frozenset(("tmpfs", "ramfs"))
_ANONYMOUS = frozenset(("btrfs", "zfs", "bcachefs", "overlay", "tmpfs", "bindfs"))
"""Filesystems with a device number of the kernel's own making that hold data all the same."""
_IMAGES = frozenset(("squashfs", "erofs", "cramfs", "iso9660", "romfs"))
"""Read-only images (snap packages, live systems): no data can be put there."""
_DESKTOP = frozenset(("fuse.lxcfs", "fuse.gvfsd-fuse", "fuse.portal", "fuse.snapfuse"))
"""FUSE filesystems that are windows on something, not places for data."""
_CONTAINER_ROOT = re.compile(r"/(merged|rootfs)$")
"""Where Docker, Podman and containerd mount the roots of containers."""
_INNER = re.compile(
    r"^/(proc|sys)(/|$)|^/dev/(?!shm)|^/dev$|^/run/credentials/|/containers/[0-9a-f]{64}/mounts/|/kubelet/pods/"
)


@dataclass(frozen=True, slots=True)
class MountLine:
    """One line: `root` is the directory of the filesystem that is seen at `path` (a bind mount, a subvolume)."""

    number: str
    root: str
    path: str
    options: tuple[str, ...]
    filesystem: str
    source: str
    super_options: tuple[str, ...]

    @property
    def is_network(self) -> bool:
        """On another machine or behind a program: asking for its size can hang for ever."""
        return self.filesystem in _NETWORK or self.filesystem.startswith("fuse.")

    @property
    def is_memory(self) -> bool:
        """Its data is gone after a restart."""
        return self.filesystem in _MEMORY

    @property
    def is_real(self) -> bool:
        """Whether data can lie there: no kernel interface, no container's root, no read-only image."""
        if self.filesystem in _IMAGES | _DESKTOP or _INNER.search(self.path):
            return False
        if self.filesystem == "overlay" and _CONTAINER_ROOT.search(self.path):
            return False
        on_device = not self.number.startswith("0:") or self.source.startswith("/dev/")
        return (on_device and self.filesystem != "devtmpfs") or self.filesystem in _ANONYMOUS or self.is_network

    def option(self, name: str) -> str | None:
        """The value of a filesystem option (`upperdir=...`)."""
        return next((o.partition("=")[2] for o in self.super_options if o.startswith(f"{name}=")), None)


@lru_cache(maxsize=1)
def parse(text: str) -> tuple[MountLine, ...]:
    """Every line that can be understood, in the order of mounting; detection asks five times for the same text."""
    return tuple(line for line in map(_line, text.splitlines()) if line is not None)


def visible(lines: Iterable[MountLine]) -> tuple[MountLine, ...]:
    """Without those that a later mount on the same path hides."""
    return tuple({line.path: line for line in lines}.values())


def holder(lines: Iterable[MountLine], path: str) -> MountLine | None:
    """The mount that holds the absolute `path`: the longest mount point, the last one mounted."""
    best: MountLine | None = None
    for line in lines:
        if is_below(path, line.path) and (best is None or len(line.path) >= len(best.path)):
            best = line
    return best


def _line(text: str) -> MountLine | None:
    """`36 35 98:0 /root /path rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=continue`."""
    left, separator, right = text.partition(" - ")
    head, tail = left.split(" "), right.split(" ")
    if not separator or len(head) < 6 or len(tail) < 2:
        return None
    last = tail[2] if len(tail) > 2 else ""
    return MountLine(
        number=head[2],
        root=_unescaped(head[3]),
        path=_unescaped(head[4]),
        options=tuple(head[5].split(",")),
        filesystem=tail[0],
        source=_unescaped(tail[1]),
        super_options=tuple(_unescaped(option) for option in last.split(",")),
    )


def _unescaped(text: str) -> str:
    """The kernel writes space, tab, newline, backslash (and in options a comma) as octal."""
    if "\\" not in text:  # nearly all
        return text
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
