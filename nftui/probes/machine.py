"""Memory, processors, kernel settings, operating system and hypervisor, all from /proc and /sys."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from nftui.model.dataclass import dataclass
from nftui.model.host import Cpu
from nftui.model.message import N_
from nftui.probes.mountinfo import parse
from nftui.probes.tree import Tree, cpu_list

_CPUS = "/sys/devices/system/cpu"
_CPUINFO_HEAD = 4096
"""Bytes; enough for the first processor. Reading all of it on a large machine takes tens of milliseconds."""

_SYSCTLS = {
    "vm.overcommit_memory": "/proc/sys/vm/overcommit_memory",
    "vm.swappiness": "/proc/sys/vm/swappiness",
    "vm.nr_hugepages": "/proc/sys/vm/nr_hugepages",
    "transparent_hugepage": "/sys/kernel/mm/transparent_hugepage/enabled",
    "kernel.io_uring_disabled": "/proc/sys/kernel/io_uring_disabled",
}


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes; `available` is the kernel's own estimate of what can be had without swapping."""

    total: int | None = None
    available: int | None = None
    swap: int | None = None
    swap_free: int | None = None
    huge_pages: int | None = None
    """Reserved for huge pages of every size, of the default size before Linux 4.16."""


def read_memory(tree: Tree) -> Memory:
    """From /proc/meminfo; psutil answers where there is none (a development machine that is no Linux)."""
    text = tree.ask("memory_bytes", "/proc/meminfo")
    if text is None and tree.is_machine:
        memory = tree.attempt("memory_bytes", _memory_by_psutil, None)
        if memory is not None:
            tree.forget("memory_bytes")
            return memory
    pairs = (line.partition(":") for line in (text or "").splitlines())
    values = {key: value.removesuffix("kB").strip() for key, _, value in pairs}
    names = {"memory_bytes": "MemTotal", "memory_available_bytes": "MemAvailable", "swap_bytes": "SwapTotal"}
    found = {what: size for what, name in names.items() if (size := _number(values, name)) is not None}
    for what in names.keys() - found.keys():
        tree.note(what, f"/proc/meminfo: {names[what]} cannot be read")
    return Memory(
        total=found.get("memory_bytes"),
        available=found.get("memory_available_bytes"),
        swap=found.get("swap_bytes"),
        swap_free=_number(values, "SwapFree"),
        huge_pages=_huge_pages(values),
    )


def free_memory() -> int | None:
    """Bytes that can be had now without swapping; None where that cannot be read."""
    return read_memory(Tree(Path("/"))).available


def _number(values: Mapping[str, str], name: str) -> int | None:
    """A line of /proc/meminfo in bytes."""
    return int(values[name]) * 1024 if values.get(name, "").isdecimal() else None


def _huge_pages(values: Mapping[str, str]) -> int | None:
    """Source: Documentation/admin-guide/mm/hugetlbpage.rst."""
    size, count = _number(values, "Hugepagesize"), values.get("HugePages_Total", "")
    default = size * int(count) if size is not None and count.isdecimal() else None
    every = _number(values, "Hugetlb")
    return default if every is None else every


def read_pressure(tree: Tree) -> float | None:
    """Percent of the last five minutes in which a task waited for memory; None without PSI (Linux 4.20, or off)."""
    match = re.search(r"^some .*avg300=([\d.]+)", tree.read("/proc/pressure/memory") or "", re.M)
    return float(match[1]) if match else None


def read_load(tree: Tree) -> float | None:
    """Average of five minutes."""
    match = re.match(r"[\d.]+ ([\d.]+) ", tree.read("/proc/loadavg") or "")
    return float(match[1]) if match else None


def _memory_by_psutil() -> Memory | None:
    import psutil

    memory = psutil.virtual_memory()
    return Memory(memory.total, memory.available, psutil.swap_memory().total)


def read_cpu(tree: Tree) -> Cpu:
    """Counts of online processors; a physical core is a set of processors that share one core."""
    online = tree.attempt("cpu.logical", lambda: _online(tree), frozenset[int]())
    cores = {
        tree.read(f"{_CPUS}/cpu{n}/topology/core_cpus_list")
        or tree.read(f"{_CPUS}/cpu{n}/topology/thread_siblings_list")  # kernels before 5.3
        for n in online
    }
    known = bool(cores) and None not in cores
    if not online:
        tree.note("cpu.logical", f"{_CPUS}/online: cannot be read")
    if not known:
        tree.note("cpu.physical", f"{_CPUS}/cpu*/topology: cannot be read")
    cpu = Cpu(
        logical=len(online) or None,
        physical=len(cores) if known else None,
        model=_cpu_model(tree),
        architecture=tree.read("/proc/sys/kernel/arch") or os.uname().machine,
    )
    return cpu if cpu.logical or not tree.is_machine else tree.attempt("cpu", lambda: _by_psutil(tree, cpu), cpu)


def _online(tree: Tree) -> frozenset[int]:
    text = tree.read(f"{_CPUS}/online")
    if text:
        return cpu_list(text)
    entries = re.findall(r"^processor\s*:\s*(\d+)", tree.read("/proc/cpuinfo") or "", re.M)
    return frozenset(int(number) for number in entries)


def _cpu_model(tree: Tree) -> str | None:
    """The name in /proc/cpuinfo; most ARM kernels give none."""
    match = re.search(r"^(?:model name|Model|cpu model)\s*:\s*(.+)$", _cpuinfo(tree), re.M)
    if match is None:
        tree.note("cpu.model", "/proc/cpuinfo: no model name")
    return match[1].strip() if match else None


def _cpuinfo(tree: Tree) -> str:
    return tree.read("/proc/cpuinfo", _CPUINFO_HEAD) or ""


def _by_psutil(tree: Tree, cpu: Cpu) -> Cpu:
    import psutil

    logical, physical = psutil.cpu_count(), psutil.cpu_count(logical=False)
    for what, value in (("cpu.logical", logical), ("cpu.physical", physical)):
        if value:
            tree.forget(what)
    return replace(cpu, logical=logical, physical=physical)


def read_sysctl(tree: Tree) -> tuple[tuple[str, str], ...]:
    """Kernel settings as the kernel prints them; of transparent huge pages the chosen one ("madvise")."""
    found = {name: tree.ask(f"sysctl.{name}", path) for name, path in _SYSCTLS.items()}
    return tuple((name, _chosen(text)) for name, text in found.items() if text)


def _chosen(text: str) -> str:
    """ "always [madvise] never" is "madvise"; a value without brackets is itself."""
    match = re.search(r"\[(\w+)\]", text)
    return match[1] if match else text


def read_kernel(tree: Tree) -> str | None:
    """The release of the running kernel ("6.1.0-13-amd64")."""
    return tree.ask("kernel", "/proc/sys/kernel/osrelease")


def read_operating_system(tree: Tree) -> str | None:
    """PRETTY_NAME of os-release(5)."""
    text = tree.read("/etc/os-release") or tree.ask("operating_system", "/usr/lib/os-release")
    match = re.search(r"^PRETTY_NAME=(.*)$", text or "", re.M)
    if text is not None and match is None:
        tree.note("operating_system", "os-release: no PRETTY_NAME")
    return match[1].strip("\"'") if match else None


def read_selinux(tree: Tree) -> str | None:
    """ "enforcing" or "permissive"; None where SELinux is off (then its filesystem is not there)."""
    flag = tree.ask("selinux", "/sys/fs/selinux/enforce", absent_ok=True)
    return {"1": "enforcing", "0": "permissive"}.get(flag or "")


_VENDORS = (
    # The names and their order are those of systemd-detect-virt (src/basic/virt.c).
    ("KVM", "kvm"), ("OpenStack", "kvm"), ("KubeVirt", "kvm"), ("Amazon EC2", "amazon"), ("QEMU", "qemu"),
    ("VMware", "vmware"), ("VMW", "vmware"), ("innotek GmbH", "oracle"), ("VirtualBox", "oracle"), ("Xen", "xen"),
    ("Bochs", "bochs"), ("Parallels", "parallels"), ("BHYVE", "bhyve"), ("Hyper-V", "microsoft"),
    ("Apple Virtualization", "apple"), ("Google Compute Engine", "google"), ("DigitalOcean", "kvm"),
    ("Hetzner", "kvm"), ("Alibaba Cloud", "kvm"), ("Scaleway", "kvm"),
)  # fmt: skip
_DMI = ("product_name", "sys_vendor", "board_vendor", "bios_vendor", "product_version")
_CLOCKS = (("kvm-clock", "kvm"), ("hyperv_clocksource", "microsoft"), ("xen", "xen"))


def read_virtualization(tree: Tree) -> str | None:
    """The hypervisor in systemd-detect-virt's words, "none" on bare metal, None where nothing tells."""
    dmi = {name: tree.read(f"/sys/class/dmi/id/{name}") or "" for name in _DMI}
    if dmi["sys_vendor"] == "Amazon EC2" and dmi["product_name"].endswith(".metal"):
        return "none"
    if dmi["sys_vendor"] == "Microsoft Corporation" and dmi["product_name"] == "Virtual Machine":
        return "microsoft"
    by_dmi = next((kind for prefix, kind in _VENDORS for text in dmi.values() if text.startswith(prefix)), None)
    by_kernel = tree.read("/sys/hypervisor/type") or None
    if by_dmi or by_kernel:
        return by_dmi or by_kernel
    if re.search(r"^flags\s*:.*\bhypervisor\b", _cpuinfo(tree), re.M):
        clocks = tree.read("/sys/devices/system/clocksource/clocksource0/available_clocksource") or ""
        return next((kind for clock, kind in _CLOCKS if clock in clocks), "vm-other")
    if any(dmi.values()) or re.search(r"^flags\s*:", _cpuinfo(tree), re.M):
        return "none"
    tree.note("virtualization", N_("neither DMI nor the processor tells"))
    return None


def note_container(tree: Tree) -> None:
    """In a container the mounts are the container's: say so, because every path of a stack is meant on the host.

    The marker file alone is no proof (virtual machines made from an image carry it); every engine also mounts
    its own name resolution over the image's.
    """
    marked = tree.exists("/.dockerenv") or tree.exists("/run/.containerenv")
    paths = {line.path for line in parse(tree.read("/proc/self/mountinfo") or "")}
    if marked and paths & {"/etc/hosts", "/etc/resolv.conf"}:
        tree.note("mounts", N_("nftui runs in a container: it sees the container's mounts, not the host's"))
