"""Mounts and the layers under them that umockdev cannot play: btrfs, overlay, loop, ZFS, networks, memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from nftui.model.host import Host, Medium, Mount
from nftui.probes.host import detect_host
from nftui.probes.mountinfo import parse

Machine = Callable[[Mapping[str, str]], Path]


def disk(path: str, number: str, rotational: int | None, **attributes: str) -> dict[str, str]:
    """A block device at `path` below /sys/devices."""
    place, name = f"/sys/devices/{path}", path.rpartition("/")[2]
    found = {f"{place}/dev": number, f"{place}/size": "2000000", f"/sys/class/block/{name}": f"-> ../../devices/{path}"}
    if rotational is not None:
        found[f"{place}/queue/rotational"] = str(rotational)
    return found | {f"{place}/{key.replace('__', '/')}": text for key, text in attributes.items()}


NVME = disk(
    "pci0000:00/0000:3d:00.0/nvme/nvme0/nvme0n1", "259:0", 0, device__model="Samsung SSD 980", device__transport="pcie"
)
HDD = disk("pci0000:00/0000:17.0/ata1/host0/target0/0:0:0:0/block/sda", "8:0", 1, device__model="ST4000NM")
SSD = disk("pci0000:00/0000:17.0/ata2/host1/target1/1:0:0:0/block/sdb", "8:16", 0, device__model="Samsung SSD 870")


def mounts(*lines: str) -> dict[str, str]:
    """The mount table."""
    return {"/proc/self/mountinfo": "".join(f"{20 + n} 1 {line}\n" for n, line in enumerate(lines))}


def at(host: Host, path: str) -> Mount:
    """The mount with exactly that mount point."""
    return next(mount for mount in host.mounts if mount.path == path)


def reasons(host: Host) -> dict[str, str]:
    """Fact to the reason why it is unknown."""
    return {each.what: each.reason for each in host.unknowns}


def test_btrfs_stands_on_all_its_devices(machine: Machine) -> None:
    root = machine({
        **NVME, **HDD, **mounts("0:30 /@data /data rw - btrfs /dev/nvme0n1 rw,subvol=/@data"),
        "/dev/nvme0n1": "", "/data/": "",
        "/sys/fs/btrfs/features/": "",
        "/sys/fs/btrfs/0f1e/devices/nvme0n1/": "", "/sys/fs/btrfs/0f1e/devices/sda/": "",
    })  # fmt: skip
    host = detect_host(root)
    assert (at(host, "/data").disk, at(host, "/data").medium) == ("sda", Medium.HDD)
    assert [each.mounts for each in host.disks] == [("/data",), ("/data",)]


def test_btrfs_by_its_source_where_sysfs_hides_the_filesystem(machine: Machine) -> None:
    root = machine({**NVME, **mounts("0:30 / /data rw - btrfs /dev/nvme0n1 rw"), "/dev/nvme0n1": ""})
    assert at(detect_host(root), "/data").disk == "nvme0n1"


def test_bcachefs_names_its_devices(machine: Machine) -> None:
    lines = mounts("0:30 / /data rw - bcachefs /dev/nvme0n1:/dev/sdb rw")
    root = machine({**NVME, **SSD, **lines, "/dev/nvme0n1": "", "/dev/sdb": ""})
    assert (at(detect_host(root), "/data").disk, at(detect_host(root), "/data").medium) == ("sdb", Medium.SSD)


def test_overlay_root_is_where_its_upper_directory_is(machine: Machine) -> None:
    root = machine({
        **NVME, "/media/rw/upper/": "",
        **mounts("0:40 / / rw - overlay overlay rw,lowerdir=/ro,upperdir=/media/rw/upper,workdir=/media/rw/work",
                 "259:0 / /media/rw rw - ext4 /dev/nvme0n1 rw"),
    })  # fmt: skip
    assert at(detect_host(root), "/").disk == "nvme0n1"


def test_overlay_root_of_a_container_is_unknown(machine: Machine) -> None:
    """The upper directory is a path of the host; a mount inside that happens to have its name is another one."""
    root = machine({
        **NVME,
        **mounts("0:40 / / rw - overlay overlay rw,upperdir=/var/lib/docker/overlay2/a/diff",
                 "259:0 / /var/lib/docker rw - ext4 /dev/nvme0n1 rw"),
    })  # fmt: skip
    host = detect_host(root)
    assert (at(host, "/").disk, at(host, "/").medium) == (None, Medium.UNKNOWN)
    assert "upper directory" in reasons(host)["mounts./.disk"]


def test_loop_is_followed_to_the_disk_that_holds_its_file(machine: Machine) -> None:
    loop = disk("virtual/block/loop3", "7:3", 0, loop__backing_file="/srv/images/data.img (deleted)")
    lines = mounts("8:0 / / rw - ext4 /dev/sda rw", "7:3 / /data rw - xfs /dev/loop3 rw")
    host = detect_host(machine({**HDD, **loop, **lines}))
    assert (at(host, "/data").disk, at(host, "/data").medium) == ("sda", Medium.HDD)
    assert [each.name for each in host.disks] == ["sda"]


def test_a_loop_whose_file_lies_on_itself_ends(machine: Machine) -> None:
    loop = disk("virtual/block/loop3", "7:3", 0, loop__backing_file="/data/data.img")
    host = detect_host(machine({**loop, **mounts("7:3 / /data rw - xfs /dev/loop3 rw")}))
    assert at(host, "/data").disk is None
    assert "circle" in reasons(host)["mounts./data.disk"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0:50 / /tank rw - zfs tank/data rw", "ZFS"),
        ("8:99 / /tank rw - ext4 /dev/sdx1 rw", "no such device"),
        ("254:9 / /tank rw - ext4 /dev/mapper/gone rw", "no such device"),
    ],
)
def test_what_cannot_be_followed_is_unknown(machine: Machine, line: str, reason: str) -> None:
    host = detect_host(machine({**NVME, **mounts(line)}))
    assert (at(host, "/tank").disk, at(host, "/tank").medium) == (None, Medium.UNKNOWN)
    assert reason in reasons(host)["mounts./tank.disk"]


def test_a_stack_with_a_layer_in_the_dark_is_not_called_fast(machine: Machine) -> None:
    md = disk("virtual/block/md0", "9:0", 0, slaves__nvme0n1="", slaves__sdz="")
    host = detect_host(machine({**NVME, **md, **mounts("9:0 / /data rw - ext4 /dev/md0 rw")}))
    assert (at(host, "/data").disk, at(host, "/data").medium) == ("nvme0n1", Medium.UNKNOWN)


def test_mapper_names_without_a_dev_directory(machine: Machine) -> None:
    dm = disk("virtual/block/dm-4", "254:4", 0, slaves__sdb="", dm__name="vg-data")
    host = detect_host(machine({**SSD, **dm, **mounts("0:31 / /data rw - bcachefs /dev/mapper/vg-data rw")}))
    assert at(host, "/data").disk == "sdb"


def test_network_filesystems_are_listed_but_never_asked(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = os.statvfs
    root = machine({
        **NVME, "/srv/": "",
        **mounts("259:0 / / rw - ext4 /dev/nvme0n1 rw",
                 "0:60 / /nfs rw - nfs4 192.0.2.1:/x rw", "0:61 / /smb rw - cifs //h/x rw",
                 "0:62 / /ssh rw - fuse.sshfs me@h: rw", "259:0 /a /nfs/local rw - ext4 /dev/nvme0n1 rw",
                 "259:0 /b /srv rw - ext4 /dev/nvme0n1 rw"),
    })  # fmt: skip

    def statvfs(path: Path) -> os.statvfs_result:
        asked.append(str(path).removeprefix(str(root)))
        return real(path)

    monkeypatch.setattr(os, "statvfs", statvfs)
    host = detect_host(root)
    assert asked == ["", "/srv"]
    for path in ("/nfs", "/smb", "/ssh"):
        assert (at(host, path).disk, at(host, path).size_bytes, at(host, path).medium) == (None, None, Medium.UNKNOWN)
    assert at(host, "/nfs/local").disk == "nvme0n1"
    assert "dead server" in reasons(host)["mounts./nfs/local.size_bytes"]
    assert at(host, "/srv").size_bytes is not None


def test_memory_is_no_disk_and_does_not_survive(machine: Machine) -> None:
    host = detect_host(machine({**mounts("0:5 / /run/fast rw - tmpfs tmpfs rw"), "/run/fast/": ""}))
    assert (at(host, "/run/fast").disk, at(host, "/run/fast").ephemeral) == (None, True)
    assert "mounts./run/fast.disk" not in reasons(host)


def test_only_places_for_data_are_listed(machine: Machine) -> None:
    lines = mounts(
        "259:0 / / rw - ext4 /dev/nvme0n1 rw",
        "0:21 / /proc rw - proc proc rw",
        "0:22 / /sys rw - sysfs sysfs rw",
        "0:23 / /dev rw - devtmpfs udev rw",
        "0:24 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
        "0:25 / /run/user/1000/gvfs rw - fuse.gvfsd-fuse gvfsd-fuse rw",
        "0:26 / /var/lib/docker/overlay2/a1/merged rw - overlay overlay rw,upperdir=/x",
        "0:27 net:[1] /run/docker/netns/a rw - nsfs nsfs rw",
        "7:1 / /snap/core22/1 ro - squashfs /dev/loop1 ro",
        "0:28 / /proc/acpi ro - tmpfs tmpfs ro",
    )
    assert [mount.path for mount in detect_host(machine({**NVME, **lines})).mounts] == ["/"]


def test_of_two_mounts_on_one_path_the_later_counts(machine: Machine) -> None:
    lines = mounts("8:0 / /data rw - ext4 /dev/sda rw", "259:0 / /data rw - ext4 /dev/nvme0n1 rw")
    host = detect_host(machine({**NVME, **HDD, **lines}))
    assert [(mount.path, mount.disk) for mount in host.mounts] == [("/data", "nvme0n1")]


def test_things_that_are_no_disks(machine: Machine) -> None:
    others = ("virtual/block/zram0", "virtual/block/ram0", "virtual/block/loop0", "x/ata3/block/sr0", "x/mmcblk0boot0")
    files = [disk(path, f"1:{n}", 0) for n, path in enumerate(others)]
    empty_reader = {**disk("usb1/host9/block/sdr", "8:80", 1), "/sys/devices/usb1/host9/block/sdr/size": "0"}
    host = detect_host(machine({key: text for each in (NVME, empty_reader, *files) for key, text in each.items()}))
    assert [each.name for each in host.disks] == ["nvme0n1"]


@pytest.mark.parametrize(
    ("path", "attributes", "transport"),
    [
        ("pci0/usb2/2-1/2-1:1.0/host4/target/4:0:0:0/block/sdc", {}, "usb"),
        ("platform/host3/session1/target3/3:0:0:0/block/sdc", {}, "iscsi"),
        ("pci0/host3/rport-3:0-1/target3/3:0:0:0/block/sdc", {}, "fc"),
        ("pci0/host3/port-0:0/end_device-0:0/target3/3:0:0:0/block/sdc", {}, "sas"),
        ("pci0/virtio3/host2/target/2:0:0:0/block/sdc", {}, "virtio"),
        ("vbd-51712/block/xvda", {}, "xen"),
        ("LNXSYSTM:00/VMBUS:01/0/host0/target/0:0:0:0/block/sdc", {}, "vmbus"),
        ("platform/mmc_host/mmc0/mmc0:0001/block/mmcblk0", {}, "mmc"),
        ("LNXSYSTM:00/ndbus0/region0/namespace0.0/block/pmem0", {}, "nvdimm"),
        ("pci0/0000:01:00.0/nvme/nvme3/nvme3n1", {}, "nvme"),  # kernels that name no transport
        ("virtual/nvme-fabrics/ctl/nvme3/nvme3n1", {}, None),
        ("virtual/nvme-fabrics/ctl/nvme3/nvme3n1", {"device__transport": "fc"}, "nvme-fc"),
        ("platform/strange/block/sdc", {}, None),
    ],
)
def test_transport_by_place(machine: Machine, path: str, attributes: dict[str, str], transport: str | None) -> None:
    assert detect_host(machine(disk(path, "8:32", 1, **attributes))).disks[0].transport == transport


def test_udevs_database_is_plain_text(machine: Machine) -> None:
    data = (
        r"E:ID_BUS=ata" + "\n" + r"E:ID_MODEL_ENC=ST4000NM0035\x201V4107\x20\x20" + "\nE:ID_ATA_ROTATION_RATE_RPM=0\n"
    )
    found = detect_host(machine({**HDD, "/run/udev/data/b8:0": data})).disks[0]
    assert (found.model, found.medium) == ("ST4000NM0035 1V4107", Medium.SSD)  # the identity page beats rotational


def test_mountinfo_with_odd_lines() -> None:
    text = (
        "36 35 98:0 /a\\134b /mnt/two\\040words rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\n"
        "rubbish\n36 35 98:0 / /x rw - ext4\n\n"
        "37 35 0:9 / /o rw - overlay overlay rw,upperdir=/a\\054b\n"
        "38 35 98:1 / /short rw - ext4 /dev/sdb\n"
    )
    first, second, third = parse(text)
    assert (first.root, first.path, first.filesystem) == ("/a\\b", "/mnt/two words", "ext3")
    assert first.options == ("rw", "noatime")
    assert second.option("upperdir") == "/a,b"
    assert third.path == "/short"
