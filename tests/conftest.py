"""What every test can ask for."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

SHOWN_LINES = 40
"""Of a failure that is told at once; all of it stands at the end."""

pytest_plugins = ["tests.stack.fixtures"]

# No test asserts a time: a busy machine is not a reason for a property to fail.
settings.register_profile("nftui", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nftui")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A failure is told when it happens, not only at the end of half an hour."""
    if report.failed:
        told = "\n".join(report.longreprtext.splitlines()[-SHOWN_LINES:])
        print(f"\n{report.nodeid} ({report.when})\n{told}", file=sys.__stderr__, flush=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is marked `all`, unless all was asked for."""
    if os.environ.get("NFTUI_TEST_ALL") == "1":
        return
    skip = pytest.mark.skip(reason="only with ./nftui.sh test --all")
    for item in items:
        if item.get_closest_marker("all"):
            item.add_marker(skip)
