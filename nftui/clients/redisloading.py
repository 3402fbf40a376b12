"""A Redis that loads its data: it answers about itself, and to no question about keys, for as long as that takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nftui.clients.rediscluster import info

if TYPE_CHECKING:
    from nftui.clients.rediscluster import Asked

POLL_S = 0.5
STALL_S = 120.0
"""Without a byte more it does not get on."""


def loaded_bytes(client: Asked) -> str | None:
    """What it has loaded by now, "" where it does not say; None once it is done."""
    found = info(client, "INFO", "persistence")
    return found.get("loading_loaded_bytes", "") if found.get("loading") == "1" else None


def wait_loaded(client: Asked, now: Callable[[], float], sleep: Callable[[float], object]) -> bool:
    """Until it has loaded its data, however long that takes; False where it stands still. Raises OSError."""
    last, deadline = "", now() + STALL_S
    while (done := loaded_bytes(client)) is not None:
        if done != last:
            last, deadline = done, now() + STALL_S
        if now() >= deadline:
            return False
        sleep(POLL_S)
    return True
