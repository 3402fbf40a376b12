"""From a mounted filesystem down to the disks that it really lies on.

Each layer is a step: partition to disk; LVM, LUKS, multipath, md and bcache to what they stand on; loop to the
filesystem that holds its file; overlay to the one that holds its upper directory; btrfs to all its devices.
"""

from __future__ import annotations

from nftui.model.dataclass import dataclass
from nftui.model.message import N_
from nftui.probes.disks import Block, Blocks, parent_name
from nftui.probes.mountinfo import MountLine, holder
from nftui.probes.tree import Tree, base

_DEPTH = 24
"""Layers before a walk is called endless; real stacks have under ten."""


@dataclass(frozen=True, slots=True)
class Leaves:
    """The leaf disks, or the reason why they are not known (both, where only a part of the layers could be seen)."""

    blocks: tuple[Block, ...] = ()
    reason: str = ""

    def __add__(self, other: Leaves) -> Leaves:
        extra = tuple(block for block in other.blocks if block not in self.blocks)
        return Leaves(self.blocks + extra, self.reason or other.reason)


class Walk:
    """Walks over one snapshot of devices and mounts; its answers are the same however often they are asked."""

    def __init__(self, tree: Tree, blocks: Blocks, lines: tuple[MountLine, ...]) -> None:
        self._tree = tree
        self._blocks = blocks
        self._lines = lines

    def of_mount(self, line: MountLine, depth: int = 0) -> Leaves:
        """The disks under one mounted filesystem."""
        if depth > _DEPTH:
            return Leaves(reason=N_("too many layers, or layers in a circle"))
        if line.is_network and line.number.startswith("0:"):
            return Leaves(reason=N_("the data is on another machine, or behind a program"))
        if line.is_memory:
            return Leaves(reason=N_("lives in memory, on no disk"))
        if line.filesystem == "zfs":
            return Leaves(reason=N_("ZFS: the pool's devices are not followed"))
        if line.filesystem == "overlay":
            return self._of_overlay(line, depth)
        if line.filesystem == "btrfs":
            return self._of_btrfs(line, depth)
        return self._of_number(line, depth)

    def of_block(self, block: Block, depth: int = 0) -> Leaves:
        """The disks under one block device; the device itself where nothing lies under it."""
        if depth > _DEPTH:
            return Leaves(reason=N_("too many layers, or layers in a circle"))
        if block.is_partition:
            return self._of_names([parent_name(block)], depth)
        slaves = self._blocks.slaves(block)
        if slaves:
            return self._of_names(slaves, depth)
        if block.name.startswith("loop"):
            return self._of_loop(block, depth)
        if block.name.startswith(("dm-", "md", "bcache")):
            return Leaves(reason=f"{block.name}: what it stands on cannot be seen")
        if block.name.startswith(("ram", "zram")):
            return Leaves(reason=N_("lives in memory, on no disk"))
        return Leaves((block,))

    def _of_names(self, names: list[str], depth: int) -> Leaves:
        found = Leaves()
        for name in names:
            block = self._blocks.by_name.get(name)
            found += self.of_block(block, depth + 1) if block else Leaves(reason=f"{name}: not in /sys/class/block")
        return found

    def _of_path(self, path: str, depth: int) -> Leaves:
        """The disks under the filesystem that holds `path`."""
        line = holder(self._lines, path)
        if line is None:
            return Leaves(reason=f"{path}: on no filesystem that is visible here")
        return self.of_mount(line, depth + 1)

    def _of_loop(self, block: Block, depth: int) -> Leaves:
        file = self._blocks.attribute(block, "loop/backing_file")
        if file is None:
            return Leaves(reason=f"{block.name}: its file cannot be read")
        return self._of_path(file.removesuffix(" (deleted)"), depth)

    def _of_overlay(self, line: MountLine, depth: int) -> Leaves:
        """Writes go to the upper directory. In a container that is a path of the host, which cannot be seen."""
        upper = line.option("upperdir")
        if upper is None:
            return Leaves(reason=N_("overlay without an upper directory: read only"))
        if not self._tree.exists(upper):
            return Leaves(reason=f"{upper}: the overlay's upper directory lies outside of what is visible here")
        return self._of_path(upper, depth)

    def _of_btrfs(self, line: MountLine, depth: int) -> Leaves:
        """btrfs has a device number of its own (major 0); all its devices stand in /sys/fs/btrfs/UUID/devices."""
        source = self._blocks.named(line.source)
        for uuid in self._tree.names("/sys/fs/btrfs"):
            members = self._tree.names(f"/sys/fs/btrfs/{uuid}/devices")
            if source is not None and source.name in members:
                return self._of_names(members, depth)
        return self._of_number(line, depth)

    def _of_number(self, line: MountLine, depth: int) -> Leaves:
        """By device number; by name where the number says nothing (bcachefs names several devices with ":")."""
        block = self._blocks.by_number.get(line.number)
        if block is not None:
            return self.of_block(block, depth + 1)
        found = Leaves()
        for source in line.source.split(":") if line.source.startswith("/dev/") else ():
            named = self._blocks.named(source)
            found += self.of_block(named, depth + 1) if named else Leaves(reason=f"{base(source)}: no such device")
        return found if found != Leaves() else Leaves(reason=f"{line.number}: no such device in /sys/class/block")
