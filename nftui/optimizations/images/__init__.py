"""Images: floating tags pinned to what runs, updates one step at a time, data moved where a new version needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.optimizations.images.optimization import Images

if TYPE_CHECKING:
    from nftui.engine.protocols import Optimization

OPTIMIZATION: Optimization = Images()
