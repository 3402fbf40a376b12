"""Free space, asked before anything starts: bytes and inodes per file system, with the figures."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from nftui.engine.reserve import JOURNAL_BYTES, PROJECT_BYTES
from nftui.model.dataclass import dataclass
from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.model.plan import FileChange
from nftui.model.units import KIB, human_size

BLOCK = 4 * KIB
"""What a small file takes."""
RECORD_BYTES, RECORD_FILES = 256 * KIB, 16
"""Request, plan record, note files, generation and audit line of one run."""
STEP_BYTES = 16 * KIB
"""A step's share of plan record and journal: its parameters twice, its intent, its read-back."""


@dataclass(frozen=True, slots=True)
class Need:
    """What one place must have room for."""

    path: str
    bytes: int
    files: int


def of_state(root: Path, contents: Iterable[bytes | None], steps: int) -> Need:
    """The state directory's: a blob for each content, the record, the journal and its reserve."""
    blobs = [len(content) for content in contents if content is not None]
    return Need(
        str(root),
        sum(map(_rounded, blobs)) + RECORD_BYTES + JOURNAL_BYTES + steps * STEP_BYTES,
        2 * len(blobs) + RECORD_FILES,
    )


def of_files(changes: Iterable[FileChange]) -> list[Need]:
    """The directories' in which files are switched in: the new file beside the old one, and the reserve."""
    return [
        Need(os.path.dirname(c.path), _rounded(len(c.content or b"")) + max(PROJECT_BYTES, len(c.before or b"")), 2)
        for c in changes
    ]


def of_restored(path: str, size: int) -> Need:
    """The directory's into which a file of `size` bytes is put back."""
    return Need(os.path.dirname(path), _rounded(size), 1)


def must_fit(needs: Iterable[Need]) -> None:
    """NftuiError naming the place, what is needed and what is free; nothing is touched.

    What root may use beyond others (`f_bfree`) is not counted: it is what keeps the machine alive.
    """
    for need in _by_file_system(needs):
        status = os.statvfs(need.path)
        free = status.f_bavail * status.f_frsize
        # What holds no data at all (/proc) says 0 of 0: that nothing can be made there is told by making it.
        if status.f_blocks and free < need.bytes:
            _refuse(need, f"{human_size(need.bytes)} ({need.bytes} B)", f"{human_size(free)} ({free} B)")
        # File systems that make inodes as they need them (btrfs) say 0 of 0.
        if status.f_files and status.f_favail < need.files:
            _refuse(need, f"{need.files} inodes", f"{status.f_favail}")


def _refuse(need: Need, needed: str, free: str) -> None:
    raise NftuiError(
        msg(
            "{path} has not enough room: needed {needed}, free {free}. Nothing was touched; free some there and try "
            "again.",
            path=need.path,
            needed=needed,
            free=free,
        )
    )


def _by_file_system(needs: Iterable[Need]) -> list[Need]:
    """Summed per file system; each is named by the first of its places that is there."""
    found: dict[int, Need] = {}
    for need in needs:
        path = _present(need.path)
        device = os.stat(path).st_dev
        before = found.get(device, Need(path, 0, 0))
        found[device] = Need(before.path, before.bytes + need.bytes, before.files + need.files)
    return list(found.values())


def _present(path: str) -> str:
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def _rounded(size: int) -> int:
    return (size // BLOCK + 1) * BLOCK
