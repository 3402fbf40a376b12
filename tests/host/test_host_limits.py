"""The limits of cgroup v1 and v2 on nftui itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from nftui.model.units import GIB, MIB
from nftui.probes.host import detect_host
from nftui.probes.limits import Limits, read_limits
from nftui.probes.tree import Tree

Machine = Callable[[Mapping[str, str]], Path]

V2 = {
    "/proc/self/cgroup": "0::/system.slice/nftui.service\n",
    "/proc/self/mountinfo": "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
}
V1 = {
    "/proc/self/cgroup": "9:memory:/docker/abc\n8:cpu,cpuacct:/docker/abc\n7:cpuset:/docker/abc\n1:name=x:/x\n0::/x\n",
    "/proc/self/mountinfo": (
        "31 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "32 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "33 30 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
        "34 30 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    ),
}
SLICE, SERVICE = "/sys/fs/cgroup/system.slice", "/sys/fs/cgroup/system.slice/nftui.service"
NO_LIMIT_V1 = "9223372036854771712\n"


def limits(root: Path) -> tuple[Limits, dict[str, str]]:
    """The limits, and the reasons for what is unknown."""
    tree = Tree(root)
    return read_limits(tree), {each.what: each.reason for each in tree.unknowns}


@pytest.mark.parametrize(
    ("own", "above", "expected"),
    [
        ("max", "max", None),
        (str(4 * GIB), "max", 4 * GIB),
        ("max", str(2 * GIB), 2 * GIB),
        (str(4 * GIB), str(2 * GIB), 2 * GIB),
        (str(GIB), str(2 * GIB), GIB),
    ],
)
def test_v2_memory_is_the_least_of_the_chain(machine: Machine, own: str, above: str, expected: int | None) -> None:
    found, unknown = limits(machine({**V2, f"{SERVICE}/memory.max": own + "\n", f"{SLICE}/memory.max": above + "\n"}))
    assert (found.memory_bytes, found.version, unknown) == (expected, 2, {})


def test_v2_cpu_quota_and_cpuset(machine: Machine) -> None:
    root = machine({
        **V2,
        f"{SERVICE}/cpu.max": "max 100000\n",
        f"{SLICE}/cpu.max": "150000 100000\n",
        f"{SERVICE}/cpuset.cpus.effective": "\n",
        f"{SLICE}/cpuset.cpus.effective": "0-1,4\n",
        "/sys/devices/system/cpu/online": "0-7\n",
    })  # fmt: skip
    found, _ = limits(root)
    assert (found.quota, found.cpuset) == (1.5, "0-1,4")


def test_a_cpuset_of_all_cpus_is_no_limit(machine: Machine) -> None:
    root = machine({**V2, f"{SERVICE}/cpuset.cpus.effective": "0-7", "/sys/devices/system/cpu/online": "0-7"})
    assert limits(root)[0].cpuset is None


def test_v2_root_has_no_limit_files(machine: Machine) -> None:
    found, unknown = limits(machine({**V2, "/proc/self/cgroup": "0::/\n"}))
    assert (found, unknown) == (Limits(version=2), {})


@pytest.mark.parametrize("text", ["", "\n", "lots"])
@pytest.mark.parametrize("name", ["memory.max", "cpu.max"])
def test_a_file_without_a_number_is_unknown_and_says_so(machine: Machine, name: str, text: str) -> None:
    found, unknown = limits(machine({**V2, f"{SERVICE}/{name}": text}))
    assert (found.memory_bytes, found.quota) == (None, None)
    assert [f"{SERVICE}/{name}" in reason for reason in unknown.values()] == [True]


def test_a_file_that_cannot_be_read_is_unknown(machine: Machine) -> None:
    found, unknown = limits(machine({**V2, f"{SERVICE}/memory.max/": "", f"{SLICE}/memory.max": str(GIB)}))
    assert found.memory_bytes == GIB  # what can be read still binds
    assert "Is a directory" in unknown["cgroup_memory_bytes"]


@pytest.mark.parametrize(
    ("own", "above", "expected"),
    [(NO_LIMIT_V1, NO_LIMIT_V1, None), (str(512 * MIB), NO_LIMIT_V1, 512 * MIB), (NO_LIMIT_V1, str(GIB), GIB)],
)
def test_v1_memory(machine: Machine, own: str, above: str, expected: int | None) -> None:
    root = machine({
        **V1,
        "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": own,
        "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes": above,
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": NO_LIMIT_V1,
    })  # fmt: skip
    found, unknown = limits(root)
    assert (found.memory_bytes, found.version, unknown) == (expected, 1, {})


@pytest.mark.parametrize(("quota", "expected"), [("-1", None), ("50000", 0.5), ("0", None)])
def test_v1_quota_and_cpuset(machine: Machine, quota: str, expected: float | None) -> None:
    root = machine({
        **V1,
        "/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": quota,
        "/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000",
        "/sys/fs/cgroup/cpuset/docker/abc/cpuset.cpus": "2-3",
        "/sys/devices/system/cpu/online": "0-3",
    })  # fmt: skip
    found, _ = limits(root)
    assert (found.quota, found.cpuset) == (expected, "2-3")


@pytest.mark.parametrize("inner", ["", "/inner"])
def test_container_without_a_cgroup_namespace_sees_only_its_own_directory(machine: Machine, inner: str) -> None:
    root = machine({
        "/proc/self/cgroup": f"9:memory:/docker/abc{inner}\n",
        "/proc/self/mountinfo": "31 30 0:28 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
        f"/sys/fs/cgroup/memory{inner}/memory.limit_in_bytes": str(GIB),
    })  # fmt: skip
    assert limits(root)[0].memory_bytes == GIB


def test_a_path_outside_of_the_namespace_leaves_the_mount_point(machine: Machine) -> None:
    root = machine({**V2, "/proc/self/cgroup": "0::/../../other\n", "/sys/fs/cgroup/memory.max": str(GIB)})
    assert limits(root)[0].memory_bytes == GIB


@pytest.mark.parametrize("files", [
    {"/sys/fs/cgroup/cgroup.controllers": "cpu memory", "/sys/fs/cgroup/a/memory.max": str(GIB)},
    {"/sys/fs/cgroup/memory/a/memory.limit_in_bytes": str(GIB)},
])  # fmt: skip
def test_without_a_mount_table_the_usual_places_are_tried(machine: Machine, files: dict[str, str]) -> None:
    root = machine({"/proc/self/cgroup": "4:memory:/a\n0::/a\n", **files})
    assert limits(root)[0].memory_bytes == GIB


def test_no_cgroups_at_all_is_unknown(machine: Machine) -> None:
    found, unknown = limits(machine({}))
    assert found == Limits()
    assert set(unknown) == {"cgroup_version", "cgroup_memory_bytes", "cpu.quota", "cpu.cpuset"}


def test_the_host_carries_the_limits(machine: Machine) -> None:
    root = machine({**V2, f"{SERVICE}/memory.max": str(GIB), f"{SERVICE}/cpu.max": "200000 100000"})
    host = detect_host(root)
    assert (host.cgroup_memory_bytes, host.cgroup_version, host.cpu.quota) == (GIB, 2, 2.0)
