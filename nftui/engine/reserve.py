"""Disk space set aside for the way back: files of zeros, given up when it is needed (engine.md, "Nothing is lost").

A disk that fills in the middle of a run must not stop its undo: that writes journal lines into the state directory and
puts files back into the project directory.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.model.units import KIB, human_size
from nftui.system.files import TEMP_PREFIX

FULL = (errno.ENOSPC, errno.EDQUOT)
JOURNAL_BYTES = 256 * KIB
"""Some 100 steps: two lines each for their undo, what is in force, the audit line."""
PROJECT_BYTES = 64 * KIB
"""At least; more where the files to be put back are larger."""
_NAME = f"{TEMP_PREFIX}reserve.tmp"


class Reserve:
    """Two files: `journal` in the run's directory; `project` there too where both lie on one file system."""

    def __init__(self, run: Path, project: Path, project_bytes: int) -> None:
        self.journal = run / "reserve.journal"
        same = os.stat(run).st_dev == os.stat(project).st_dev
        self.project = run / "reserve.project" if same else project / _NAME
        self.project_bytes = max(PROJECT_BYTES, project_bytes)

    def take(self) -> None:
        """Set both aside; what stands already is kept. Raises NftuiError, with nothing left, where there is no room."""
        for path, size in ((self.journal, JOURNAL_BYTES), (self.project, self.project_bytes)):
            try:
                _allocate(path, size)
            except OSError as error:
                self.drop()
                raise NftuiError(
                    msg(
                        "{path}: {size} could not be set aside for the way back ({why}). Nothing was touched.",
                        path=str(path.parent),
                        size=human_size(size),
                        why=error.strerror or str(error),
                    )
                ) from error

    def give_journal(self) -> bool:
        """Give up what was set aside for the journal; False where nothing was left of it."""
        return _remove(self.journal)

    def give_project(self) -> None:
        """Give up what was set aside for files to be put back."""
        _remove(self.project)

    def drop(self) -> None:
        """Both."""
        self.give_project()
        self.give_journal()


@contextmanager
def reserved(run: Path, project: Path, project_bytes: int, *, needed: bool) -> Iterator[Reserve]:
    """A reserve for one life of a worker; with `needed` False (a run to be recovered) none is as good as one."""
    reserve = Reserve(run, project, project_bytes)
    try:
        reserve.take()
    except NftuiError:
        if needed:
            raise
    try:
        yield reserve
    finally:
        reserve.drop()


def _allocate(path: Path, size: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(handle, 0, size)
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> bool:
    """False where there was none, or where it has to stay: on a disk that turned read-only the way back still says
    itself what it cannot do, and the next life removes the file."""
    if not os.path.lexists(path):
        return False
    try:
        path.unlink()
    except OSError:
        return False
    return True
