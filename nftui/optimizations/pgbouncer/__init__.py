"""PgBouncer in front of PostgreSQL: who may be pooled and how, pool sizes, its files and its service. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.optimizations.pgbouncer.optimization import Pgbouncer

if TYPE_CHECKING:
    from nftui.engine.protocols import Optimization

OPTIMIZATION: Optimization = Pgbouncer()
