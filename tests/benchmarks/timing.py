"""Interleaved timing: A B / B A, and ratios of medians, so that a busy machine hurts both alike."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence


def seconds(command: Sequence[str], cwd: str | None = None, env: Mapping[str, str] | None = None) -> float:
    """Wall time of one run; its output is thrown away, a failure is not."""
    start = time.perf_counter()
    subprocess.run(command, cwd=cwd, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def interleave(peers: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """`rounds` measurements of each peer after one warm-up, the order turned round each time."""
    for measure in peers.values():
        measure()
    found: dict[str, list[float]] = {name: [] for name in peers}
    for number in range(rounds):
        for name in list(peers) if number % 2 == 0 else list(peers)[::-1]:
            found[name].append(peers[name]())
    return found


def report(title: str, found: Mapping[str, Sequence[float]], peer: str, aim: str = "", unit: str = "s") -> None:
    """Median (min to max) of each, and its ratio to `peer`."""
    base = statistics.median(found[peer])
    print(f"{title}{f'   (aim {aim})' if aim else ''}")
    for name, values in found.items():
        middle = statistics.median(values)
        spread = f"{min(values):.3f} to {max(values):.3f}"
        print(f"  {name:<34} {middle:9.3f} {unit}  ({spread})  {middle / base:6.2f}x of {peer}")
