"""Small file systems of the tests' own: to be filled, to turn read-only, to fail."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.stack.running import wait_until

_SHUT_DOWN = """
import fcntl, os, struct, sys
handle = os.open(sys.argv[1], os.O_RDONLY)
# EXT4_IOC_SHUTDOWN with NOLOGFLUSH: what is in memory only is lost, and every access fails from now on.
fcntl.ioctl(handle, 0x8004587D, struct.pack("I", 2))
"""


@dataclass(frozen=True)
class Small:
    """An ext4 file system in a file."""

    image: Path
    place: Path

    @property
    def ballast(self) -> Path:
        """What fills it."""
        return self.place / "ballast"

    @property
    def fill(self) -> list[str]:
        """The command that leaves no byte free."""
        return ["dd", "if=/dev/zero", f"of={self.ballast}", "bs=1k", "status=none", "conv=fsync"]

    @property
    def freeze(self) -> list[str]:
        """The command that turns it read-only."""
        return ["mount", "-o", "remount,ro", str(self.place)]

    @property
    def fail(self) -> list[str]:
        """The command after which the disk is gone."""
        return [sys.executable, "-c", _SHUT_DOWN, str(self.place)]

    def empty(self) -> None:
        """Room again."""
        self.ballast.unlink(missing_ok=True)

    def thaw(self) -> None:
        """Writable again."""
        _run("mount", "-o", "remount,rw", str(self.place))

    def plug_in_again(self) -> None:
        """The disk is back, with what its journal holds."""
        _unmount(self.place)
        # A container that is being made holds a copy of every mount for a moment: mounted before that is let go, the
        # same dead file system would be there again.
        while subprocess.run(["losetup", "-j", str(self.image)], check=True, capture_output=True).stdout.strip():
            time.sleep(0.05)
        _run("mount", "-o", "loop", str(self.image), str(self.place))


@contextmanager
def small_disk(image: Path, place: Path, megabytes: int = 8) -> Iterator[Small]:
    """Mounted at `place`, unmounted afterwards."""
    place.mkdir(parents=True, exist_ok=True)
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    _run("mkfs.ext4", "-q", "-F", str(image))
    _run("mount", "-o", "loop", str(image), str(place))
    try:
        (place / "lost+found").rmdir()
        yield Small(image, place)
    finally:
        _unmount(place)


def _unmount(place: Path) -> None:
    """A process that is gone from /proc lets its files go a moment later; one that lives on is an error."""
    command = ["umount", str(place)]
    wait_until(lambda: subprocess.run(command, capture_output=True).returncode == 0, what=f"{place} is let go")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
