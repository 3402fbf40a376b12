"""Machines as umockdev plays them, seen by pyudev and by plain sysfs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
RECORDINGS = HERE / "recordings"
NAMES = sorted(path.stem for path in RECORDINGS.glob("*.umockdev"))
WAYS = ("udev", "sysfs")


@pytest.fixture(scope="module", autouse=True)
def _umockdev() -> None:
    if shutil.which("umockdev-run") is None:
        if os.environ.get("NFTUI_REQUIRE_ENGINE") == "1":
            pytest.fail("umockdev-run is not installed")
        pytest.skip("umockdev-run is not installed")


@cache
def detect(name: str, way: str) -> dict[str, Any]:
    """The host's facts on the recorded machine."""
    recording, mountinfo = RECORDINGS / f"{name}.umockdev", RECORDINGS / f"{name}.mountinfo"
    done = subprocess.run(
        ["umockdev-run", "-d", recording, "--", sys.executable, HERE / "in_testbed.py", way, mountinfo],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def disk(host: dict[str, Any], name: str) -> tuple[str, str | None, bool]:
    """(medium, model, ephemeral) of one disk."""
    found = next(each for each in host["disks"] if each["name"] == name)
    return found["medium"], found["model"], found["ephemeral"]


def mount(host: dict[str, Any], path: str) -> tuple[str | None, str, bool]:
    """(leaf disk, medium, ephemeral) of one mount."""
    found = next(each for each in host["mounts"] if each["path"] == path)
    return found["disk"], found["medium"], found["ephemeral"]


@pytest.mark.parametrize("name", NAMES)
def test_both_ways_see_the_same_machine(name: str) -> None:
    by_udev, by_sysfs = detect(name, "udev"), detect(name, "sysfs")
    assert by_udev["disks"], "nothing was found: two empty answers are equal too"
    for each in by_udev["mounts"] + by_sysfs["mounts"]:
        del each["free_bytes"]  # of the machine that runs the test: it moves between two calls
    assert (by_udev["disks"], by_udev["mounts"]) == (by_sysfs["disks"], by_sysfs["mounts"])


@pytest.mark.parametrize("name", NAMES)
def test_only_leaf_disks_are_listed(name: str) -> None:
    host = detect(name, "udev")
    assert not [d["name"] for d in host["disks"] if d["name"].startswith(("dm-", "md")) or "p" in d["name"][4:]]
    assert {m["disk"] for m in host["mounts"]} <= {d["name"] for d in host["disks"]}


@pytest.mark.parametrize("way", WAYS)
def test_one_nvme(way: str) -> None:
    host = detect("nvme", way)
    assert disk(host, "nvme0n1") == ("nvme", "Samsung SSD 980 PRO 1TB", False)
    assert mount(host, "/") == ("nvme0n1", "nvme", False)
    assert host["disks"][0]["size_bytes"] == 1953525168 * 512
    assert host["disks"][0]["mounts"] == ["/", "/boot/efi"]
    assert host["disks"][0]["transport"] == "nvme"


@pytest.mark.parametrize("way", WAYS)
def test_nvme_behind_lvm_on_luks(way: str) -> None:
    host = detect("nvme-luks-lvm", way)
    assert [d["name"] for d in host["disks"]] == ["nvme0n1"]
    assert disk(host, "nvme0n1") == ("nvme", "WDC PC SN730 SDBQNTY-512G-1001", False)
    assert mount(host, "/") == ("nvme0n1", "nvme", False)
    assert host["disks"][0]["mounts"] == ["/", "/boot"]


@pytest.mark.parametrize("way", WAYS)
def test_sata_ssd_and_hdd(way: str) -> None:
    host = detect("sata-ssd-hdd", way)
    assert disk(host, "sda") == ("ssd", "Samsung SSD 870 EVO 1TB", False)
    assert disk(host, "sdb") == ("hdd", "WDC WD40EFRX-68N32N0", False)
    assert mount(host, "/") == ("sda", "ssd", False)
    assert mount(host, "/srv/backup disk") == ("sdb", "hdd", False)
    assert {d["transport"] for d in host["disks"]} == {"sata"}


@pytest.mark.parametrize("way", WAYS)
def test_virtio_without_a_model_is_virtual_whatever_rotational_says(way: str) -> None:
    host = detect("virtio", way)
    assert disk(host, "vda") == ("virtual", None, False)
    assert "virtio" in host["disks"][0]["reason"]
    assert mount(host, "/") == ("vda", "virtual", False)


@pytest.mark.parametrize("way", WAYS)
def test_ec2_instance_store_is_lost_at_stop(way: str) -> None:
    host = detect("ec2-instance-store", way)
    assert disk(host, "nvme1n1") == ("nvme", "Amazon EC2 NVMe Instance Storage", True)
    assert mount(host, "/mnt/fast") == ("nvme1n1", "nvme", True)
    assert mount(host, "/") == ("nvme0n1", "virtual", False)


@pytest.mark.parametrize("way", WAYS)
def test_ebs_is_a_network_volume(way: str) -> None:
    host = detect("ebs", way)
    assert disk(host, "nvme0n1") == ("virtual", "Amazon Elastic Block Store", False)
    assert mount(host, "/") == ("nvme0n1", "virtual", False)


@pytest.mark.parametrize("way", WAYS)
def test_nvme_over_fabrics_is_no_local_nvme(way: str) -> None:
    host = detect("nvme-of", way)
    assert disk(host, "nvme0n1") == ("virtual", "Linux", False)
    assert disk(host, "nvme1n1") == ("virtual", "NetApp ONTAP Controller", False)
    assert [d["transport"] for d in host["disks"]] == ["nvme-tcp", "nvme-rdma"]  # and no hidden path device
    assert host["disks"][0]["reason"].startswith("NVMe over tcp")
    assert mount(host, "/data") == ("nvme0n1", "virtual", False)


@pytest.mark.parametrize("way", WAYS)
def test_md_raid_is_as_slow_as_its_slowest_disk(way: str) -> None:
    host = detect("md-raid", way)
    assert disk(host, "sda") == ("hdd", "ST4000NM0035-1V4107", False)
    assert disk(host, "nvme0n1") == ("nvme", "INTEL SSDPE2KX010T8", False)
    assert mount(host, "/")[0] in ("sda", "sdb")
    assert mount(host, "/")[1:] == ("hdd", False)
    assert mount(host, "/mixed") == ("sda", "hdd", False)
    assert {d["name"]: d["mounts"] for d in host["disks"]} == {
        "nvme0n1": ["/mixed"],
        "sda": ["/", "/mixed"],
        "sdb": ["/"],
    }


@pytest.mark.parametrize("way", WAYS)
def test_azure_temporary_disk(way: str) -> None:
    host = detect("azure-temporary", way)
    assert disk(host, "sda") == ("virtual", "Virtual Disk", False)
    assert disk(host, "sdb") == ("virtual", "Virtual Disk", True)
    assert mount(host, "/mnt") == ("sdb", "virtual", True)
