"""Everything about the machine in one call. Never raises: what cannot be read is unknown, with the reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nftui.model.host import Disk, Gpu, Host, Mount
from nftui.probes.gpus import read_gpus
from nftui.probes.limits import Limits, read_limits
from nftui.probes.machine import (
    Memory,
    note_container,
    read_cpu,
    read_kernel,
    read_load,
    read_memory,
    read_operating_system,
    read_pressure,
    read_selinux,
    read_sysctl,
    read_virtualization,
)
from nftui.probes.mounts import read_storage
from nftui.probes.tree import Tree

_NO_STORAGE: tuple[tuple[Disk, ...], tuple[Mount, ...]] = ((), ())
_NO_GPUS: tuple[Gpu, ...] = ()
_NO_SETTINGS: tuple[tuple[str, str], ...] = ()


def detect_host(root: Path = Path("/")) -> Host:
    """The machine whose /proc, /sys, /dev and /etc lie below `root` (tests give a tree of their own)."""
    tree = Tree(root)
    tree.attempt("mounts", lambda: note_container(tree), None)
    memory = tree.attempt("memory_bytes", lambda: read_memory(tree), Memory())
    disks, mounts = tree.attempt("disks", lambda: read_storage(tree), _NO_STORAGE)
    host = Host(
        memory_bytes=memory.total,
        memory_available_bytes=memory.available,
        swap_bytes=memory.swap,
        swap_free_bytes=memory.swap_free,
        huge_pages_bytes=memory.huge_pages,
        memory_pressure=tree.attempt("memory_pressure", lambda: read_pressure(tree), None),
        load=tree.attempt("load", lambda: read_load(tree), None),
        disks=disks,
        mounts=mounts,
        gpus=tree.attempt("gpus", lambda: read_gpus(tree), _NO_GPUS),
        kernel=tree.attempt("kernel", lambda: read_kernel(tree), None),
        operating_system=tree.attempt("operating_system", lambda: read_operating_system(tree), None),
        virtualization=tree.attempt("virtualization", lambda: read_virtualization(tree), None),
        selinux=tree.attempt("selinux", lambda: read_selinux(tree), None),
        sysctl=tree.attempt("sysctl", lambda: read_sysctl(tree), _NO_SETTINGS),
    )
    return replace(_with_limits(tree, host), unknowns=tree.unknowns)


def _with_limits(tree: Tree, host: Host) -> Host:
    limits = tree.attempt("cgroup_version", lambda: read_limits(tree), Limits())
    cpu = tree.attempt("cpu", lambda: read_cpu(tree), host.cpu)
    return replace(
        host,
        cpu=replace(cpu, quota=limits.quota, cpuset=limits.cpuset),
        cgroup_memory_bytes=limits.memory_bytes,
        cgroup_version=limits.version,
    )
