"""Fixtures of the wizard's tests."""

from __future__ import annotations

import pytest

from tests.tui.fakes import FakeSession


@pytest.fixture
def session() -> FakeSession:
    """Everything applies as it comes."""
    return FakeSession()
