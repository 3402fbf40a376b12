"""Where the cases of each finding's id are; the ids themselves are public: nftui.model.finding_ids."""

from __future__ import annotations

NOT_YET: frozenset[str] = frozenset()
"""Ids that nothing finds yet; whoever writes one takes it out of here."""

MODULES = (
    ("tests.postgres.test_findings", 0, "TRUE", "SILENT"),
    ("tests.checks.test_redis", 0, "TRUE", "NEAR"),
    ("tests.checks.test_ai", 0, "TRUE", "NEAR"),
    ("tests.checks.test_pooling_and_monitoring", 1, "TRUE", "NEAR"),
)
"""Modules with lists of cases: where in an entry the id stands, the true ones, the near misses."""

FUNCTIONS = frozenset({"qdrant-config-shadowed", "qdrant-defaults", "redis-aof-restart-trap"})
"""Ids whose true and silent cases need files or live facts: functions of test_ai and test_redis."""
