"""PostgreSQL configuration tuning: rules, the memory proof, the command merge, findings. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.optimizations.postgres.optimization import Postgres

if TYPE_CHECKING:
    from nftui.engine.protocols import Optimization

OPTIMIZATION: Optimization = Postgres()
