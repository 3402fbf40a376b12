"""Ollama: which models stay in memory, what makes them fit, and loading them ahead. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.optimizations.ollama.optimization import Ollama

if TYPE_CHECKING:
    from nftui.engine.protocols import Optimization

OPTIMIZATION: Optimization = Ollama()
