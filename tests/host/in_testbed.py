"""Runs inside umockdev-run: detect this machine that is none, and print it as JSON.

Usage: in_testbed.py (udev|sysfs) MOUNTINFO. Each way to the devices is made the only one, so that neither can hide
behind the other. umockdev passes /proc on to the testbed as soon as the file is there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from nftui.probes import disks
from nftui.probes.host import detect_host
from nftui.probes.tree import Tree


def _refuse(tree: Tree) -> Iterator[disks.Block]:
    raise AssertionError("sysfs was asked where pyudev should have answered")


def main(way: str, mountinfo: str) -> None:
    """Print the host."""
    proc = Path(os.environ["UMOCKDEV_DIR"], "proc", "self")
    proc.mkdir(parents=True, exist_ok=True)
    (proc / "mountinfo").write_text(Path(mountinfo).read_text())
    if way == "sysfs":
        sys.modules["pyudev"] = None  # type: ignore[assignment]  # import then raises ImportError
    else:
        disks._by_sysfs = _refuse
    sys.stdout.write(json.dumps(asdict(detect_host())))


if __name__ == "__main__":
    main(*sys.argv[1:])
