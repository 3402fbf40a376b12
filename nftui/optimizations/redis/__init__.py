"""Redis: persistence, memory and eviction by what the keys are; whether a cluster fits. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.optimizations.redis.optimization import Redis

if TYPE_CHECKING:
    from nftui.engine.protocols import Optimization

OPTIMIZATION: Optimization = Redis()
