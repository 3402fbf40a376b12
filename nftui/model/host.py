"""The machine: memory, CPUs, disks, mounts, GPUs, and the limits that nftui itself sees.

None always means "unknown"; the reason stands in `Host.unknowns`.
"""

from __future__ import annotations

from enum import StrEnum

from nftui.model.dataclass import dataclass


class Medium(StrEnum):
    """What a disk is made of, as far as it can be told."""

    NVME = "nvme"
    SSD = "ssd"
    HDD = "hdd"
    VIRTUAL = "virtual"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU counts; `quota` is the cgroup limit on nftui itself in CPUs (1.5), `cpuset` likewise."""

    logical: int | None = None
    physical: int | None = None
    quota: float | None = None
    cpuset: str | None = None
    model: str | None = None
    architecture: str | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """A leaf block device (never a partition, LVM, LUKS or md device); sizes in bytes."""

    name: str
    model: str | None
    size_bytes: int | None
    medium: Medium
    ephemeral: bool
    mounts: tuple[str, ...] = ()
    reason: str = ""
    """Why the medium is what it is, e.g. "virtio device without a model: rotational is not to be trusted"."""
    transport: str | None = None


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted filesystem; `disk` names its leaf disk (the slowest one where there are several)."""

    path: str
    filesystem: str
    size_bytes: int | None
    free_bytes: int | None
    disk: str | None
    medium: Medium = Medium.UNKNOWN
    ephemeral: bool = False
    source: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics processor that models can use; `memory_bytes` is its VRAM."""

    name: str
    vendor: str
    memory_bytes: int | None = None
    driver: str | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something that could not be read: `what` is the fact's name, `reason` says why."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Host:
    """Facts about the machine; detection never raises."""

    memory_bytes: int | None = None
    memory_available_bytes: int | None = None
    swap_bytes: int | None = None
    swap_free_bytes: int | None = None
    huge_pages_bytes: int | None = None
    """Reserved for huge pages: nobody else can have it."""
    memory_pressure: float | None = None
    """Percent of the last five minutes in which a task waited for memory (PSI, some avg300)."""
    load: float | None = None
    """Tasks that ran or waited, on average of five minutes: only to predict how long work takes."""
    cgroup_memory_bytes: int | None = None
    """Memory limit on nftui itself (cgroup v1 or v2), None where there is none."""
    cgroup_version: int | None = None
    cpu: Cpu = Cpu()
    disks: tuple[Disk, ...] = ()
    mounts: tuple[Mount, ...] = ()
    gpus: tuple[Gpu, ...] = ()
    kernel: str | None = None
    operating_system: str | None = None
    virtualization: str | None = None
    selinux: str | None = None
    sysctl: tuple[tuple[str, str], ...] = ()
    """Kernel settings that findings need: vm.overcommit_memory, vm.swappiness, vm.nr_hugepages,
    transparent_hugepage, kernel.io_uring_disabled."""
    unknowns: tuple[Unknown, ...] = ()

    def mount_for(self, path: str) -> Mount | None:
        """The mount that holds the absolute `path`: longest matching mount point, the last one mounted."""
        best: Mount | None = None
        for mount in self.mounts:
            prefix = mount.path.rstrip("/") + "/"
            if (path.rstrip("/") + "/").startswith(prefix) and (
                best is None or len(prefix) >= len(best.path.rstrip("/") + "/")
            ):
                best = mount
        return best
