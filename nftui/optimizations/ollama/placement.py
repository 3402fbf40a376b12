"""Which GPU a model goes to, as the server's scheduler decides it (server/sched.go, selectLlamaServerPlacement).

One GPU takes it, the one with the most memory free, if it fills no more than four fifths of that; else all GPUs
together, under the same share of their sum; else another model has to go first, and alone it is loaded in part: the
rest of its layers stays in the host's memory. Bytes throughout.
"""

from __future__ import annotations

from collections.abc import Sequence

from nftui.model.dataclass import dataclass

SHARE = 0.80
"""Of the memory that models may fill: above it the server itself evicts (server/sched.go)."""
PER_DEVICE = int(0.3 * 1024**3)
"""Compute buffers that each further GPU of a model holds as well."""


@dataclass(frozen=True, slots=True)
class Gpus:
    """The GPUs of a server: what models can use of each; `spread`: OLLAMA_SCHED_SPREAD is set."""

    sizes: tuple[int, ...]
    spread: bool = False

    @property
    def total(self) -> int:
        """Bytes of all of them."""
        return sum(self.sizes)

    @property
    def largest(self) -> int:
        """What one model may fill on one GPU."""
        return 0 if self.spread and len(self.sizes) > 1 else int(max(self.sizes, default=0) * SHARE)


def place(needs: Sequence[int], gpus: Gpus) -> tuple[tuple[int, ...], ...] | None:
    """For each model, loaded one after the other, the GPUs that it lies on; None where one would evict another."""
    free, found = list(gpus.sizes), []
    for need in needs:
        taken = _take(need, free, gpus)
        if taken is None:
            return None
        for gpu, size in taken.items():
            free[gpu] -= size
        found.append(tuple(sorted(taken)))
    return tuple(found)


def _take(need: int, free: Sequence[int], gpus: Gpus) -> dict[int, int] | None:
    """GPU to bytes; the split of a model over several is by what each has free (llama.cpp's own)."""
    if not free:
        return None
    best = max(range(len(free)), key=lambda gpu: (free[gpu], -gpu))
    if need <= free[best] * SHARE and (len(free) == 1 or not gpus.spread):
        return {best: need}
    whole, together = need + PER_DEVICE * (len(free) - 1), sum(free)
    if len(free) == 1 or whole > together * SHARE:
        return None
    return {gpu: whole * size // together for gpu, size in enumerate(free) if size}
