"""Qdrant: HNSW, quantization and defaults, by collection: rules, memory, what to change and how. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.optimizations.qdrant.optimization import Qdrant

if TYPE_CHECKING:
    from nftui.engine.protocols import Optimization

OPTIMIZATION: Optimization = Qdrant()
