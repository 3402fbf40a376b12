"""What every test can ask for."""

from __future__ import annotations

import os

import pytest

pytest_plugins = ["tests.stack.fixtures"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is marked `all`, unless all was asked for."""
    if os.environ.get("NFTUI_TEST_ALL") == "1":
        return
    skip = pytest.mark.skip(reason="only with ./nftui.sh test --all")
    for item in items:
        if item.get_closest_marker("all"):
            item.add_marker(skip)
