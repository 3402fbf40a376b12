"""Block devices: found by pyudev, or by sysfs alone with the same answers, and described as disks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from importlib import import_module

from nftui.model.dataclass import dataclass
from nftui.model.host import Disk
from nftui.model.patterns import regex
from nftui.probes.media import Traits, Verdict, classify
from nftui.probes.tree import Tree, base, parent

_PROPERTIES = ("ID_BUS", "ID_MODEL_ENC", "ID_ATA_ROTATION_RATE_RPM")
"""What udev knows beyond sysfs: an ATA disk's whole model name (SCSI cuts it at 16 characters) and its rotation."""

_SECTOR = 512
"""Bytes; the unit of /sys/block/*/size whatever the disk's own sector is."""

_NO_DISK = regex(r"(loop|ram|zram|dm-|md|sr|fd|bcache|mtdblock)\d|mmcblk\d+(boot|rpmb)")

_BUSES = (
    # The order matters: a USB bridge also has a SCSI host, virtio-scsi too.
    (regex(r"/usb\d"), "usb"),
    (regex(r"/virtio\d+/"), "virtio"),
    (regex(r"/vbd-\d"), "xen"),
    (regex(r"/(VMBUS:|vmbus)", re.I), "vmbus"),
    (regex(r"/session\d"), "iscsi"),
    (regex(r"/rport-"), "fc"),
    (regex(r"/mmc_host/"), "mmc"),
    (regex(r"/ndbus\d"), "nvdimm"),
    (regex(r"/end_device-"), "sas"),
    (regex(r"/ata\d+/"), "sata"),
)


@dataclass(frozen=True, slots=True)
class Block:
    """One block device of any kind; `path` is its directory in /sys/devices, `number` is "MAJOR:MINOR"."""

    name: str
    path: str
    number: str
    is_partition: bool
    properties: Mapping[str, str] = field(default_factory=dict)


class Blocks:
    """All block devices, by name and by number.

    The number is looked up here and not in /sys/dev/block, which some containers lack.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.by_name = {block.name: block for block in _list(tree)}
        self.by_number = {block.number: block for block in self.by_name.values() if block.number}
        self._temporary = frozenset(_temporary_names(tree))

    def attribute(self, block: Block, name: str) -> str | None:
        """A sysfs attribute of the device, None where it has none or it is empty."""
        return self.tree.read(f"{block.path}/{name}") or None

    def named(self, path: str) -> Block | None:
        """The device behind a /dev path: also /dev/mapper/NAME where /dev holds no link (in containers)."""
        found = self.by_name.get(base(self.tree.real(path)))
        if found is None and path.startswith("/dev/mapper/"):
            wanted = base(path)
            found = next((b for b in self.by_name.values() if self.attribute(b, "dm/name") == wanted), None)
        return found

    def disks(self) -> Iterator[Block]:
        """The leaf disks: whole devices with a size that stand on no other device."""
        for block in self.by_name.values():
            whole = not block.is_partition and not _NO_DISK.match(block.name)
            if whole and self.attribute(block, "hidden") != "1" and self.size(block) and not self.slaves(block):
                yield block

    def slaves(self, block: Block) -> list[str]:
        """Names of the devices that a dm, md or bcache device stands on."""
        return self.tree.names(f"{block.path}/slaves")

    def size(self, block: Block) -> int | None:
        """Bytes; None where unknown, 0 for a drive without a medium."""
        sectors = self.tree.number(f"{block.path}/size")
        return None if sectors is None else sectors * _SECTOR

    def traits(self, block: Block) -> Traits:
        """What the disk says about itself."""
        flag, rpm = self.attribute(block, "queue/rotational"), block.properties.get("ID_ATA_ROTATION_RATE_RPM", "")
        return Traits(
            name=block.name,
            vendor=self.attribute(block, "device/vendor"),
            model=self.model(block),
            transport=self.transport(block),
            rotational={"0": False, "1": True}.get(flag or ""),
            rpm=int(rpm) if rpm.isdecimal() else None,
            temporary=block.name in self._temporary,
        )

    def model(self, block: Block) -> str | None:
        """The model name, trimmed; of an ATA disk udev's, because SCSI cuts it at 16 characters."""
        whole = block.properties.get("ID_MODEL_ENC") if block.properties.get("ID_BUS") == "ata" else None
        return _decoded(whole) if whole else self.attribute(block, "device/model")

    def transport(self, block: Block) -> str | None:
        """The bus by which the disk is reached, read off its place in /sys/devices; None where it is a stranger."""
        if block.name.startswith("nvme"):
            return self._nvme_transport(block)
        return next((bus for pattern, bus in _BUSES if pattern.search(block.path)), None)

    def _nvme_transport(self, block: Block) -> str | None:
        """ "nvme" on PCIe, else nvme-tcp and the like.

        With native multipath the device hangs below its subsystem, which has no transport: its controllers have.
        """
        holder = f"{block.path}/device"
        controllers = [f"{holder}/{name}" for name in self.tree.names(holder) if re.fullmatch(r"nvme\d+", name)]
        found = {self.tree.read(f"{place}/transport") or "" for place in (holder, *controllers)} - {""}
        remote = sorted(found - {"pcie", "apple-nvme"})
        if remote:
            return f"nvme-{remote[0]}"
        # Kernels before 4.15 name no transport.
        places = [block.path, *(self.tree.real(place) for place in controllers)]
        on_bus = any("/pci" in place and "/nvme-fabrics/" not in place for place in places)
        return "nvme" if found or on_bus else None


def describe(blocks: Blocks, block: Block, mounts: Iterable[str] = ()) -> Disk:
    """The disk as the host's facts hold it."""
    traits = blocks.traits(block)
    verdict: Verdict = classify(traits)
    return Disk(
        name=block.name,
        model=traits.model,
        size_bytes=blocks.size(block),
        medium=verdict.medium,
        ephemeral=verdict.ephemeral,
        mounts=tuple(mounts),
        reason=verdict.reason,
        transport=traits.transport,
    )


def _list(tree: Tree) -> list[Block]:
    """By pyudev on the machine itself; by sysfs in a test's tree, or where pyudev or libudev is missing or fails."""
    if tree.is_machine:
        try:
            return sorted(_by_udev(tree), key=lambda block: block.name)
        except Exception:  # noqa: S110  a missing library, or a libudev of another age: sysfs has the same facts
            pass
    return sorted(_by_sysfs(tree), key=lambda block: block.name)


def _by_udev(tree: Tree) -> Iterator[Block]:
    pyudev = import_module("pyudev")  # 20 ms: only here; it has no types
    for device in pyudev.Context().list_devices(subsystem="block"):
        known = {key: str(device.properties[key]) for key in _PROPERTIES if key in device.properties}
        yield _block(tree, device.sys_path, known)


def _by_sysfs(tree: Tree) -> Iterator[Block]:
    """udev's database is plain text in /run/udev/data; without it (containers) the model of an ATA disk is short."""
    for name in tree.names("/sys/class/block"):
        path = tree.real(f"/sys/class/block/{name}")
        number = tree.read(f"{path}/dev") or ""
        lines = f"{tree.read(f'{path}/uevent') or ''}\n{tree.read(f'/run/udev/data/b{number}') or ''}".splitlines()
        pairs = (line.removeprefix("E:").partition("=") for line in lines)
        yield _block(tree, path, {key: value for key, _, value in pairs if key in _PROPERTIES})


def _block(tree: Tree, path: str, properties: Mapping[str, str]) -> Block:
    number = tree.read(f"{path}/dev") or ""
    return Block(base(path), path, number, tree.exists(f"{path}/partition"), properties)


def _temporary_names(tree: Tree) -> Iterator[str]:
    """Disks that Azure's agent or udev rules link as temporary (partitions count for their disk by `by_name`)."""
    places = ["/dev/disk/azure/resource"]
    for folder in ("/dev/disk/azure/local", "/dev/disk/azure/temp"):
        for kind in tree.names(folder):
            places += [f"{folder}/{kind}/{name}" for name in tree.names(f"{folder}/{kind}")]
    return (base(tree.real(place)) for place in places if tree.exists(place))


def _decoded(text: str) -> str | None:
    """udev's encoding: "\\x20" is a space; runs of spaces are padding."""
    plain = re.sub(r"\\x([0-9a-fA-F]{2})", lambda match: chr(int(match[1], 16)), text)
    return " ".join(plain.split()) or None


def parent_name(block: Block) -> str:
    """Name of the disk that a partition lies on."""
    return base(parent(block.path))
