"""The rules that turn what a disk says about itself into a medium."""

from __future__ import annotations

import pytest

from nftui.model.host import Medium
from nftui.probes.media import Traits, classify

NVME, SSD, HDD, VIRTUAL, UNKNOWN = Medium.NVME, Medium.SSD, Medium.HDD, Medium.VIRTUAL, Medium.UNKNOWN


def sd(vendor: str, model: str, transport: str | None = None, rotational: bool | None = True) -> Traits:
    """A SCSI disk."""
    return Traits("sda", vendor, model, transport, rotational)


def nvme(model: str, transport: str | None = "nvme") -> Traits:
    """An NVMe disk."""
    return Traits("nvme0n1", None, model, transport, False)


@pytest.mark.parametrize(
    ("traits", "medium", "ephemeral"),
    [
        (nvme("Samsung SSD 980"), NVME, False),
        (nvme("Samsung SSD 980", None), UNKNOWN, False),
        (nvme("Samsung SSD 980", "nvme-tcp"), VIRTUAL, False),
        (nvme("Samsung SSD 980", "nvme-fc"), VIRTUAL, False),
        (nvme("Amazon EC2 NVMe Instance Storage"), NVME, True),
        (nvme("Amazon Elastic Block Store"), VIRTUAL, False),
        (nvme("nvme_card"), NVME, True),
        (nvme("nvme_card0"), NVME, True),
        (nvme("nvme_card-pd"), VIRTUAL, False),
        (nvme("Microsoft NVMe Direct Disk v2"), NVME, True),
        (nvme("MSFT NVMe Accelerator v1.0"), VIRTUAL, False),
        (nvme("QEMU NVMe Ctrl"), VIRTUAL, False),
        (nvme("VMware Virtual NVMe Disk"), VIRTUAL, False),
        (sd("Google", "EphemeralDisk", "virtio"), SSD, True),
        (sd("Google", "PersistentDisk", "virtio", False), VIRTUAL, False),
        (sd("ATA", "QEMU HARDDISK", "sata"), VIRTUAL, False),
        (sd("VMware", "Virtual disk", None, False), VIRTUAL, False),
        (sd("ATA", "VBOX HARDDISK", "sata"), VIRTUAL, False),
        (sd("Msft", "Virtual Disk", "vmbus", False), VIRTUAL, False),
        (sd("NETAPP", "LUN C-Mode", "iscsi", False), VIRTUAL, False),
        (sd("PURE", "FlashArray", "fc", False), VIRTUAL, False),
        (Traits("vda", None, None, None, True), VIRTUAL, False),
        (Traits("xvdf", None, None, None, False), VIRTUAL, False),
        (Traits("rbd0", None, None, None, False), VIRTUAL, False),
        (Traits("sda", "Msft", "Virtual Disk", "vmbus", True, temporary=True), VIRTUAL, True),
        (Traits("nvme0n1", None, "Future Azure Disk", "nvme", False, temporary=True), NVME, True),
        (sd("ATA", "Samsung SSD 870", "sata", False), SSD, False),
        (sd("ATA", "WDC WD40EFRX", "sata", True), HDD, False),
        (sd("SEAGATE", "ST4000NM", "sas", True), HDD, False),
        (sd("JMicron", "Generic", "usb", True), UNKNOWN, False),
        (sd("Samsung", "Portable SSD T7", "usb", False), SSD, False),
        (Traits("sda", "JMicron", "Generic", "usb", True, rpm=7200), HDD, False),
        (Traits("sda", "JMicron", "Generic", "usb", True, rpm=0), SSD, False),
        (sd("DELL", "PERC H730P Mini", None, True), UNKNOWN, False),
        (sd("DELL", "PERC H730P Mini", None, False), SSD, False),
        (sd("HP", "LOGICAL VOLUME", None, True), UNKNOWN, False),
        (Traits("mmcblk0", None, None, "mmc", False), UNKNOWN, False),
        (Traits("pmem0", None, None, "nvdimm", False), SSD, False),
        (Traits("zd16", None, None, None, False), UNKNOWN, False),
        (Traits("sda", None, None, None, False), UNKNOWN, False),
        (Traits("sda", None, None, None, True), UNKNOWN, False),
        (sd("ATA", "WDC WD40EFRX", "sata", None), UNKNOWN, False),
    ],
    ids=lambda value: f"{value.name}:{value.model}:{value.transport}" if isinstance(value, Traits) else str(value),
)
def test_medium(traits: Traits, medium: Medium, ephemeral: bool) -> None:
    verdict = classify(traits)
    assert (verdict.medium, verdict.ephemeral) == (medium, ephemeral)
    assert verdict.reason
