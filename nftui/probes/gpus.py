"""Graphics processors that models can use: NVIDIA by nvidia-smi or /proc, AMD by sysfs."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

from nftui.model.host import Gpu
from nftui.model.units import MIB
from nftui.probes.tree import Tree, base

_TIMEOUT = 5.0
"""Seconds; without the persistence daemon nvidia-smi takes two, with a card that fell off the bus for ever."""
_QUERY = ("--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits")
_NVIDIA, _AMD = "0x10de", "0x1002"
_PCI = "/sys/bus/pci/devices"


def read_gpus(tree: Tree) -> tuple[Gpu, ...]:
    """All cards with a driver that computes; NVIDIA cards without one are noted, for their owner will wonder."""
    nvidia = _by_smi(tree) or tuple(_by_proc(tree))
    if not nvidia:
        _note_idle_cards(tree)
    return (*nvidia, *_amd(tree))


def _by_smi(tree: Tree) -> tuple[Gpu, ...]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        done = subprocess.run(
            [program, *_QUERY], capture_output=True, text=True, errors="replace",
            timeout=_TIMEOUT, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        tree.note("gpus", f"nvidia-smi: {error}")
        return ()
    if done.returncode != 0:
        said = (done.stdout or done.stderr).strip().splitlines()
        tree.note("gpus", f"nvidia-smi: exit {done.returncode}: {said[0] if said else 'no message'}")
        return ()
    return tuple(filter(None, (_gpu(tree, line) for line in done.stdout.splitlines())))


def _gpu(tree: Tree, line: str) -> Gpu | None:
    """`NVIDIA L4, 23034, 550.54.15`: MiB; boards that share the host's memory say [N/A]."""
    name, _, rest = line.partition(", ")
    memory, _, driver = rest.partition(", ")
    if not rest:
        return None
    if not memory.strip().isdecimal():
        tree.note(f"gpus.{name}.memory_bytes", f"nvidia-smi: {memory.strip()}")
    size = int(memory) * MIB if memory.strip().isdecimal() else None
    return Gpu(name=name.strip(), vendor="nvidia", memory_bytes=size, driver=driver.strip() or None)


def _by_proc(tree: Tree) -> Iterator[Gpu]:
    """The driver's own files name the card but not its memory."""
    version = re.search(r"Kernel Module[^\d]*([\d.]+)", tree.read("/proc/driver/nvidia/version") or "")
    for slot in tree.names("/proc/driver/nvidia/gpus"):
        text = tree.read(f"/proc/driver/nvidia/gpus/{slot}/information") or ""
        model = re.search(r"^Model:\s*(.+)$", text, re.M)
        name = model[1].strip() if model else f"NVIDIA {slot}"
        tree.note(f"gpus.{name}.memory_bytes", "nvidia-smi did not answer, and /proc does not tell the memory")
        yield Gpu(name=name, vendor="nvidia", driver=version[1] if version else None)


def _note_idle_cards(tree: Tree) -> None:
    for slot in tree.names(_PCI):
        is_display = (tree.read(f"{_PCI}/{slot}/class") or "").startswith("0x03")
        if is_display and tree.read(f"{_PCI}/{slot}/vendor") == _NVIDIA:
            tree.note("gpus", f"an NVIDIA card at PCI {slot}, but its driver is not loaded")


def _amd(tree: Tree) -> Iterator[Gpu]:
    """amdgpu tells the memory in bytes; cards of the older radeon driver cannot compute and have no such file."""
    for card in tree.names("/sys/class/drm"):
        device = f"/sys/class/drm/{card}/device"
        if not re.fullmatch(r"card\d+", card) or tree.read(f"{device}/vendor") != _AMD:
            continue
        memory = tree.number(f"{device}/mem_info_vram_total")
        name = tree.read(f"{device}/product_name") or f"AMD {tree.read(f'{device}/device') or card}"
        if memory is None:
            tree.note(f"gpus.{name}.memory_bytes", f"{device}/mem_info_vram_total: cannot be read")
        driver = base(tree.real(f"{device}/driver")) if tree.exists(f"{device}/driver") else None
        yield Gpu(name=name, vendor="amd", memory_bytes=memory, driver=driver)
