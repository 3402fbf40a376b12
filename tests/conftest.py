"""What every test can ask for."""

from __future__ import annotations

import os
import secrets
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.crash.figures import FIGURES

SHOWN_LINES = 40
"""Of a failure that is told at once; all of it stands at the end."""

# Before any process is started: all of them pick by the same one.
SEED = os.environ.setdefault("NFTUI_TEST_SEED", secrets.token_hex(4))

pytest_plugins = ["tests.stack.fixtures"]

# No test asserts a time: a busy machine is not a reason for a property to fail.
settings.register_profile("nftui", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nftui")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two for each processor: most tests wait for a server."""
    return 2 * len(os.sched_getaffinity(0))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A failure is told when it happens, not only at the end of half an hour."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
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


def pytest_sessionfinish(session: pytest.Session) -> None:
    """What this process counted goes to the one that tells it."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["figures"] = FIGURES.plain()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A process has ended; one that was ended by force told nothing."""
    if figures := getattr(node, "workeroutput", {}).get("figures"):
        FIGURES.add(**figures)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures of the crashes, where there were any."""
    if FIGURES.rows:
        terminalreporter.section("crashes and faults")
        for line in FIGURES.lines(SEED):
            terminalreporter.write_line(line)
