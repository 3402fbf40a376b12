"""Mounted filesystems and the disks under them, as the host's facts hold them."""

from __future__ import annotations

import os
from collections.abc import Iterable

from nftui.model.host import Disk, Medium, Mount
from nftui.probes.disks import Blocks, describe
from nftui.probes.leaves import Leaves, Walk
from nftui.probes.mountinfo import MountLine, parse, visible
from nftui.probes.tree import Tree, is_below

_SLOWEST_FIRST = (Medium.HDD, Medium.UNKNOWN, Medium.VIRTUAL, Medium.SSD, Medium.NVME)
"""Of what is not known the worse is assumed, but a disk that surely rotates is worse still."""


def read_storage(tree: Tree) -> tuple[tuple[Disk, ...], tuple[Mount, ...]]:
    """Disks and mounts; each disk knows its mounts, each mount its slowest disk."""
    lines = visible(parse(tree.ask("mounts", "/proc/self/mountinfo") or ""))
    blocks = Blocks(tree)
    if not blocks.by_name:
        tree.note("disks", "/sys/class/block: no block device can be seen")
    walk = Walk(tree, blocks, lines)
    found = {line.path: (line, walk.of_mount(line)) for line in lines if line.is_real}
    disks = {block.name: describe(blocks, block, _mounted_on(block.name, found.values())) for block in blocks.disks()}
    mounts = tuple(_mount(tree, lines, line, leaves, disks) for line, leaves in found.values())
    return tuple(disks.values()), mounts


def _mounted_on(name: str, found: Iterable[tuple[MountLine, Leaves]]) -> list[str]:
    return [line.path for line, leaves in found if any(block.name == name for block in leaves.blocks)]


def _mount(tree: Tree, lines: tuple[MountLine, ...], line: MountLine, leaves: Leaves, disks: dict[str, Disk]) -> Mount:
    size, free = _sizes(tree, lines, line)
    under = [disks[block.name] for block in leaves.blocks if block.name in disks]
    slowest = min(under, key=lambda disk: _SLOWEST_FIRST.index(disk.medium), default=None)
    if leaves.reason and not line.is_memory:
        tree.note(f"mounts.{line.path}.disk", leaves.reason)
    return Mount(
        path=line.path,
        filesystem=line.filesystem,
        size_bytes=size,
        free_bytes=free,
        disk=slowest.name if slowest else None,
        medium=_medium(slowest, leaves),
        # A filesystem over several disks is lost with any of them: RAID 0 over instance stores is the common case.
        ephemeral=line.is_memory or any(disk.ephemeral for disk in under),
        source=line.source,
        options=line.options,
    )


def _medium(slowest: Disk | None, leaves: Leaves) -> Medium:
    """Unknown as soon as a layer could not be seen, unless a rotating disk is surely among what was seen."""
    if slowest is None or (leaves.reason and slowest.medium is not Medium.HDD):
        return Medium.UNKNOWN
    return slowest.medium


def _sizes(tree: Tree, lines: tuple[MountLine, ...], line: MountLine) -> tuple[int | None, int | None]:
    """Size, and what a user other than root may still write.

    statvfs on a filesystem whose server is dead never comes back, and no timeout can end it: such filesystems are
    not asked, nor what is mounted below one, because the path leads through it (through "/" this program came).
    """
    what = f"mounts.{line.path}.size_bytes"
    above = (other for other in lines if other.is_network and is_below(line.path, other.path))
    through = next((other for other in above if other.path != "/"), None)
    if through is not None:
        tree.note(what, f"{through.filesystem} on {through.path} is not asked: a dead server would never answer")
        return None, None
    try:
        answer = os.statvfs(tree.at(line.path))
    except OSError as error:
        tree.note(what, f"{line.path}: {error.strerror}")
        return None, None
    return answer.f_blocks * answer.f_frsize, answer.f_bavail * answer.f_frsize
