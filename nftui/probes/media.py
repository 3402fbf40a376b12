"""From what a disk says about itself to what it is made of: rules as data, no I/O.

Rules and their order: reference "From path to medium" (design notes, storage 3.1). Where the hardware cannot be
seen (hypervisors, networks, RAID controllers, USB bridges) the flag `rotational` is somebody's choice, not a fact.
"""

from __future__ import annotations

import re

from nftui.model.dataclass import dataclass
from nftui.model.host import Medium
from nftui.model.message import N_
from nftui.model.patterns import regex


@dataclass(frozen=True, slots=True)
class Traits:
    """What was read about one leaf disk; None is unknown."""

    name: str
    vendor: str | None = None
    model: str | None = None
    transport: str | None = None
    """The bus: nvme, nvme-tcp, sata, sas, usb, iscsi, fc, virtio, xen, vmbus, mmc, nvdimm."""
    rotational: bool | None = None
    rpm: int | None = None
    """Rotation rate that the ATA identity page gave (0: none), which USB bridges pass on unchanged."""
    temporary: bool = False
    """A link of the cloud's agent calls it the temporary disk (/dev/disk/azure/resource)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The medium, whether the data is lost when the machine is stopped, and why."""

    medium: Medium
    ephemeral: bool
    reason: str


_CLOUD: tuple[tuple[str, Verdict], ...] = (
    # AWS: the same NVMe driver shows network volumes and local disks; only the model tells them apart.
    (
        r"Amazon EC2 NVMe Instance Storage",
        Verdict(Medium.NVME, True, N_("EC2 instance store: local, lost when the instance stops")),
    ),
    (r"Amazon Elastic Block Store", Verdict(Medium.VIRTUAL, False, N_("EBS: a network volume that looks like NVMe"))),
    # Google: "nvme_card" and "nvme_card0" are local SSD, "nvme_card-pd" is a persistent disk.
    (r"nvme_card-pd", Verdict(Medium.VIRTUAL, False, N_("Google persistent disk: a network volume"))),
    (r"(^|\s)nvme_card\d*$", Verdict(Medium.NVME, True, N_("Google local SSD: lost when the instance stops"))),
    (r"EphemeralDisk", Verdict(Medium.SSD, True, N_("Google local SSD: lost when the instance stops"))),
    # Azure: "Direct Disk" is the local disk of the node, "Accelerator" a managed disk.
    (r"Microsoft NVMe Direct Disk", Verdict(Medium.NVME, True, N_("Azure local disk: lost when the machine moves"))),
    (r"MSFT NVMe Accelerator", Verdict(Medium.VIRTUAL, False, N_("Azure managed disk: a network volume"))),
    (r"Alibaba Cloud Elastic Block", Verdict(Medium.VIRTUAL, False, N_("Alibaba cloud disk: a network volume"))),
)
_AZURE_TEMPORARY = Verdict(Medium.VIRTUAL, True, N_("Azure temporary disk: lost when the machine moves"))

_HYPERVISOR = regex(
    r"QEMU|VMware|VBOX|Msft|\bVirtual\b|PersistentDisk|ORACLE\s+BlockVolume|DO Volume|\bXen\b|VDISK|Parallels", re.I
)
_RAID_VOLUME = regex(r"PERC|LOGICAL VOLUME|MegaRAID|\bMR9\d|\bRAID\b|ServeRAID|Smart Array|LogicalDrv", re.I)
_VIRTUAL_NAME = regex(r"(vd|xvd)[a-z]+$")
_NETWORK_NAME = regex(r"(nbd|rbd|drbd)\d+$")

_VIRTUAL_TRANSPORTS = {
    "virtio": N_("virtio device: rotational is what the hypervisor chose"),
    "xen": N_("Xen device: rotational is what the hypervisor chose"),
    "vmbus": N_("Hyper-V device: rotational is what the hypervisor chose"),
    "iscsi": N_("iSCSI: the disk is on another machine"),
    "fc": N_("Fibre Channel: the disk is in a storage array"),
    "nvme-tcp": N_("NVMe over tcp: the disk is on another machine"),
    "nvme-rdma": N_("NVMe over rdma: the disk is on another machine"),
    "nvme-fc": N_("NVMe over fc: the disk is in a storage array"),
    "nvme-loop": N_("NVMe over loop: not a device of its own"),
}


def classify(traits: Traits) -> Verdict:
    """What the disk is made of; the first rule that knows it wins."""
    return _cloud(traits) or _remote_or_virtual(traits) or _special(traits) or _physical(traits)


def _cloud(traits: Traits) -> Verdict | None:
    if traits.temporary and not (traits.transport or "").startswith("nvme"):
        return _AZURE_TEMPORARY
    name = f"{traits.vendor or ''} {traits.model or ''}"
    for pattern, verdict in _CLOUD:
        if re.search(pattern, name):
            return verdict
    return None


def _remote_or_virtual(traits: Traits) -> Verdict | None:
    """Hypervisors first by bus, then by the name they give their disks (a QEMU disk on an emulated SATA bus)."""
    reason = _VIRTUAL_TRANSPORTS.get(traits.transport or "")
    if reason:
        return Verdict(Medium.VIRTUAL, traits.temporary, reason)
    if _HYPERVISOR.search(f"{traits.vendor or ''} {traits.model or ''}") or _VIRTUAL_NAME.match(traits.name):
        return Verdict(Medium.VIRTUAL, traits.temporary, N_("a hypervisor's disk: what is behind it cannot be seen"))
    if _NETWORK_NAME.match(traits.name):
        return Verdict(Medium.VIRTUAL, False, N_("network block device: the disk is on another machine"))
    return None


def _special(traits: Traits) -> Verdict | None:
    if traits.transport == "nvme":
        return Verdict(Medium.NVME, traits.temporary, N_("NVMe on the PCIe bus"))
    if traits.name.startswith("nvme"):
        return Verdict(Medium.UNKNOWN, False, N_("NVMe device whose transport cannot be read"))
    if traits.transport == "nvdimm":
        return Verdict(Medium.SSD, False, N_("persistent memory"))
    if traits.transport == "mmc":
        return Verdict(Medium.UNKNOWN, False, N_("SD card or eMMC: flash of unknown speed"))
    if traits.name.startswith("zd"):
        return Verdict(Medium.UNKNOWN, False, N_("ZFS volume: the pool's devices are not followed"))
    return None


def _physical(traits: Traits) -> Verdict:
    """SATA, SAS, SCSI and USB disks: what they say of their rotation, where it can be believed."""
    if traits.rpm is not None:
        return _by_rotation(traits.rpm > 0, N_("ATA identity: rotates"), N_("ATA identity: does not rotate"))
    if traits.rotational is None:
        return Verdict(Medium.UNKNOWN, False, N_("rotational cannot be read"))
    if not traits.rotational and (traits.model or traits.transport):
        return Verdict(Medium.SSD, False, N_("not rotational"))
    if traits.transport == "usb":
        return Verdict(Medium.UNKNOWN, False, N_("USB enclosure: rotational is not to be trusted"))
    if _RAID_VOLUME.search(f"{traits.vendor or ''} {traits.model or ''}"):
        return Verdict(Medium.UNKNOWN, False, N_("a RAID controller's volume: rotational is not to be trusted"))
    if traits.model or traits.transport:
        return Verdict(Medium.HDD, False, N_("rotational"))
    return Verdict(Medium.UNKNOWN, False, N_("no model and no known bus: rotational is not to be trusted"))


def _by_rotation(rotates: bool, yes: str, no: str) -> Verdict:
    return Verdict(Medium.HDD, False, yes) if rotates else Verdict(Medium.SSD, False, no)
