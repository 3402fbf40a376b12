"""GPUs: a fake nvidia-smi, the NVIDIA driver's files, AMD's sysfs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from nftui.model.host import Gpu
from nftui.model.units import MIB
from nftui.probes import gpus
from nftui.probes.tree import Tree

Machine = Callable[[Mapping[str, str]], Path]

PROC = {
    "/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 2024\n",
    "/proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA L4\nIRQ:   \t\t 16\n",
}


def read(root: Path) -> tuple[tuple[Gpu, ...], dict[str, str]]:
    """The GPUs, and the reasons for what is unknown."""
    tree = Tree(root)
    return gpus.read_gpus(tree), {each.what: each.reason for each in tree.unknowns}


def nvidia_smi(script: str) -> None:
    """Put a program of that name on PATH (see the fixture `machine`)."""
    program = Path(os.environ["PATH"], "nvidia-smi")
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_no_gpu_is_no_news(machine: Machine) -> None:
    assert read(machine({})) == ((), {})


def test_nvidia_smi_with_two_cards(machine: Machine) -> None:
    nvidia_smi('echo "NVIDIA L4, 23034, 550.54.15"; echo "NVIDIA A100-SXM4-80GB, 81920, 550.54.15"')
    found, unknown = read(machine(PROC))
    assert found == (
        Gpu("NVIDIA L4", "nvidia", 23034 * MIB, "550.54.15"),
        Gpu("NVIDIA A100-SXM4-80GB", "nvidia", 81920 * MIB, "550.54.15"),
    )
    assert unknown == {}


def test_memory_shared_with_the_host_is_unknown(machine: Machine) -> None:
    nvidia_smi('echo "NVIDIA GB10, [N/A], 580.95.05"')
    found, unknown = read(machine({}))
    assert found == (Gpu("NVIDIA GB10", "nvidia", None, "580.95.05"),)
    assert unknown == {"gpus.NVIDIA GB10.memory_bytes": "nvidia-smi: [N/A]"}


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18", "exit 18: Failed to initialize"),
        ("exit 9", "exit 9: no message"),
        ("exec /bin/sleep 60", "timed out"),
    ],
)
def test_a_broken_nvidia_smi_leaves_the_drivers_files(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    monkeypatch.setattr(gpus, "_TIMEOUT", 0.3)
    nvidia_smi(script)
    found, unknown = read(machine(PROC))
    assert found == (Gpu("NVIDIA L4", "nvidia", None, "550.54.15"),)
    assert reason in unknown["gpus"]
    assert "gpus.NVIDIA L4.memory_bytes" in unknown


def test_a_card_without_its_driver_is_noted(machine: Machine) -> None:
    slot = "/sys/bus/pci/devices/0000:01:00.0"
    found, unknown = read(machine({f"{slot}/class": "0x030200\n", f"{slot}/vendor": "0x10de\n"}))
    assert found == ()
    assert "0000:01:00.0" in unknown["gpus"]


def test_amd_by_sysfs(machine: Machine) -> None:
    device = "/sys/class/drm/card1/device"
    root = machine({
        f"{device}/vendor": "0x1002\n",
        f"{device}/device": "0x744c\n",
        f"{device}/mem_info_vram_total": "25753026560\n",
        f"{device}/driver": "-> ../../../../bus/pci/drivers/amdgpu",
        "/sys/bus/pci/drivers/amdgpu/": "",
        "/sys/class/drm/card1-DP-1/status": "connected",
        "/sys/class/drm/card0/device/vendor": "0x8086",
    })  # fmt: skip
    assert read(root) == ((Gpu("AMD 0x744c", "amd", 25753026560, "amdgpu"),), {})


def test_amd_without_vram_figure(machine: Machine) -> None:
    device = "/sys/class/drm/card0/device"
    found, unknown = read(machine({f"{device}/vendor": "0x1002", f"{device}/product_name": "Instinct MI210"}))
    assert found == (Gpu("Instinct MI210", "amd", None, None),)
    assert "gpus.Instinct MI210.memory_bytes" in unknown
