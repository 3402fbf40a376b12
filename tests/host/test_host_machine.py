"""Memory, processors, kernel settings, hypervisor; and that nothing is ever raised."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from nftui.model.host import Host
from nftui.probes import host as host_module
from nftui.probes.host import detect_host
from nftui.probes.machine import read_cpu, read_memory
from nftui.probes.tree import Tree

Machine = Callable[[Mapping[str, str]], Path]

MEMINFO = "MemTotal:       32614320 kB\nMemFree:  1 kB\nMemAvailable:   28000000 kB\nSwapTotal:       2097148 kB\n"
CPUS = "/sys/devices/system/cpu"
DMI = "/sys/class/dmi/id"


def reasons(host: Host) -> dict[str, str]:
    """Fact to the reason why it is unknown."""
    return {each.what: each.reason for each in host.unknowns}


def test_memory(machine: Machine) -> None:
    host = detect_host(machine({"/proc/meminfo": MEMINFO}))
    assert (host.memory_bytes, host.memory_available_bytes) == (32614320 * 1024, 28000000 * 1024)
    assert host.swap_bytes == 2097148 * 1024
    assert "memory_bytes" not in reasons(host)


def test_no_meminfo_is_unknown_and_no_answer_of_another_machine(machine: Machine) -> None:
    host = detect_host(machine({}))
    assert (host.memory_bytes, host.memory_available_bytes, host.swap_bytes) == (None, None, None)
    assert reasons(host)["memory_bytes"] == "/proc/meminfo: No such file or directory"


def test_old_kernels_have_no_estimate_of_available_memory(machine: Machine) -> None:
    host = detect_host(machine({"/proc/meminfo": "MemTotal: 1024 kB\nSwapTotal: 0 kB\n"}))
    assert (host.memory_bytes, host.memory_available_bytes, host.swap_bytes) == (1024 * 1024, None, 0)
    assert "MemAvailable" in reasons(host)["memory_available_bytes"]


def test_reserved_huge_pages_free_swap_and_pressure(machine: Machine) -> None:
    pages = "HugePages_Total:    512\nHugePages_Free: 512\nHugepagesize:       2048 kB\n"
    old = detect_host(machine({"/proc/meminfo": MEMINFO + "SwapFree: 1024 kB\n" + pages}))
    assert (old.huge_pages_bytes, old.swap_free_bytes, old.memory_pressure) == (2**30, 2**20, None)
    psi = "some avg10=0.00 avg60=1.00 avg300=12.34 total=1\nfull avg10=0.00 avg60=0.00 avg300=9.00 total=1\n"
    new = detect_host(machine({
        "/proc/meminfo": MEMINFO + pages + "Hugetlb:         3145728 kB\n", "/proc/pressure/memory": psi,
    }))  # fmt: skip
    assert (new.huge_pages_bytes, new.swap_free_bytes, new.memory_pressure) == (3 * 2**30, None, 12.34)


def test_the_load_is_that_of_five_minutes(machine: Machine) -> None:
    assert detect_host(machine({"/proc/loadavg": "0.50 2.25 9.00 3/400 1234\n"})).load == 2.25
    assert detect_host(machine({"/proc/loadavg": "nothing\n"})).load is None


def test_a_physical_core_is_counted_once(machine: Machine) -> None:
    siblings = {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}
    root = machine({
        f"{CPUS}/online": "0-3\n",
        **{f"{CPUS}/cpu{n}/topology/core_cpus_list": text for n, text in siblings.items()},
        "/proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD EPYC 7B13\nflags\t\t: fpu hypervisor\n",
        "/proc/sys/kernel/arch": "x86_64\n",
    })  # fmt: skip
    cpu = detect_host(root).cpu
    assert (cpu.logical, cpu.physical, cpu.model, cpu.architecture) == (4, 2, "AMD EPYC 7B13", "x86_64")


def test_without_topology_the_cores_are_unknown(machine: Machine) -> None:
    host = detect_host(machine({"/proc/cpuinfo": "processor\t: 0\n\nprocessor\t: 1\n"}))
    assert (host.cpu.logical, host.cpu.physical) == (2, None)
    assert "cpu.physical" in reasons(host)


def test_kernel_settings_as_the_kernel_prints_them(machine: Machine) -> None:
    root = machine({
        "/proc/sys/vm/overcommit_memory": "1\n",
        "/proc/sys/vm/swappiness": "60\n",
        "/proc/sys/vm/nr_hugepages": "0\n",
        "/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
        "/proc/sys/kernel/osrelease": "5.15.0-91-generic\n",
        "/etc/os-release": 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.3 LTS"\n',
    })  # fmt: skip
    host = detect_host(root)
    assert dict(host.sysctl) == {
        "vm.overcommit_memory": "1",
        "vm.swappiness": "60",
        "vm.nr_hugepages": "0",
        "transparent_hugepage": "madvise",
    }
    assert "sysctl.kernel.io_uring_disabled" in reasons(host)
    assert (host.kernel, host.operating_system) == ("5.15.0-91-generic", "Ubuntu 22.04.3 LTS")


@pytest.mark.parametrize(("flag", "expected"), [("1", "enforcing"), ("0", "permissive"), (None, None)])
def test_selinux(machine: Machine, flag: str | None, expected: str | None) -> None:
    host = detect_host(machine({"/sys/fs/selinux/enforce": flag} if flag else {}))
    assert host.selinux == expected
    assert "selinux" not in reasons(host)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({f"{DMI}/sys_vendor": "QEMU"}, "qemu"),
        ({f"{DMI}/sys_vendor": "QEMU", f"{DMI}/product_name": "KVM"}, "kvm"),
        ({f"{DMI}/sys_vendor": "Amazon EC2", f"{DMI}/product_name": "m6id.large"}, "amazon"),
        ({f"{DMI}/sys_vendor": "Amazon EC2", f"{DMI}/product_name": "m6id.metal"}, "none"),
        ({f"{DMI}/sys_vendor": "Microsoft Corporation", f"{DMI}/product_name": "Virtual Machine"}, "microsoft"),
        ({f"{DMI}/sys_vendor": "Microsoft Corporation", f"{DMI}/product_name": "Surface"}, "none"),
        ({f"{DMI}/product_name": "VMware7,1"}, "vmware"),
        ({f"{DMI}/sys_vendor": "Dell Inc."}, "none"),
        ({"/sys/hypervisor/type": "xen"}, "xen"),
        ({"/proc/cpuinfo": "flags\t: fpu hypervisor lahf\n"}, "vm-other"),
        (
            {
                "/proc/cpuinfo": "flags : fpu hypervisor lahf\n",
                "/sys/devices/system/clocksource/clocksource0/available_clocksource": "kvm-clock tsc",
            },
            "kvm",
        ),
        ({"/proc/cpuinfo": "flags : fpu lahf\n"}, "none"),
        ({}, None),
    ],
)
def test_virtualization(machine: Machine, files: dict[str, str], expected: str | None) -> None:
    assert detect_host(machine(files)).virtualization == expected


def test_files_that_cannot_be_read_have_reasons(machine: Machine) -> None:
    root = machine({
        "/proc/meminfo/": "",
        "/proc/self/mountinfo/": "",
        "/proc/self/cgroup/": "",
        "/proc/sys/vm/swappiness/": "",
        "/proc/sys/kernel/osrelease": "-> osrelease",
        f"{CPUS}/online": "from 0 to 3",
        "/sys/fs/selinux/enforce/": "",
    })  # fmt: skip
    found = reasons(detect_host(root))
    for what in ("memory_bytes", "mounts", "cgroup_version", "sysctl.vm.swappiness", "selinux"):
        assert "Is a directory" in found[what]
    assert "symbolic links" in found["kernel"]
    assert "invalid literal" in found["cpu.logical"]
    assert all(found.values())


def test_an_error_that_nobody_foresaw_becomes_a_reason(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("read_memory", "read_storage", "read_gpus", "read_kernel", "read_operating_system", "read_virtualization")
    for name in (*names, "read_selinux", "read_sysctl", "read_limits", "read_cpu", "note_container"):
        monkeypatch.setattr(host_module, name, lambda _tree: 1 // 0)
    host = detect_host(machine({}))
    assert host.disks == ()
    assert set(reasons(host).values()) == {"ZeroDivisionError: integer division or modulo by zero"}


def test_binary_rubbish_everywhere(machine: Machine) -> None:
    rubbish = "\x00\ufffd9:9 - - \n" * 50
    places = ("meminfo", "cpuinfo", "self/mountinfo", "self/cgroup", "sys/kernel/osrelease", "driver/nvidia/version")
    host = detect_host(machine({f"/proc/{place}": rubbish for place in places} | {f"{CPUS}/online": rubbish}))
    assert host.memory_bytes is None
    assert host.mounts == ()


def test_a_container_says_that_its_mounts_are_not_the_hosts(machine: Machine) -> None:
    hosts = "1 0 8:1 /docker/containers/a/hosts /etc/hosts rw - ext4 /dev/sda1 rw\n"
    assert "container" in reasons(detect_host(machine({"/.dockerenv": "", "/proc/self/mountinfo": hosts})))["mounts"]


def test_the_marker_of_a_container_alone_proves_nothing(machine: Machine) -> None:
    root = machine({"/.dockerenv": "", "/proc/self/mountinfo": "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"})
    assert "mounts" not in reasons(detect_host(root))


def test_libraries_are_paid_for_where_they_are_used() -> None:
    code = "import sys, nftui.probes.host; assert not {'psutil', 'pyudev', 'ctypes'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_real_machine_answers_the_same_twice() -> None:
    first = detect_host()
    second = detect_host()
    assert first.disks == second.disks
    assert first.cpu == second.cpu


def test_psutil_answers_on_a_machine_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(tree: Tree, what: str, path: str, absent_ok: bool = False) -> str | None:
        tree.note(what, f"{path}: No such file or directory")
        return None

    monkeypatch.setattr(Tree, "ask", absent)
    monkeypatch.setattr(Tree, "read", lambda *_args: None)
    tree = Tree(Path("/"))
    memory, cpu = read_memory(tree), read_cpu(tree)
    assert memory.total
    assert cpu.logical
    assert not {"memory_bytes", "cpu.logical"} & {each.what for each in tree.unknowns}
