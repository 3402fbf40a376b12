"""What the wizard asks the facade for: a knob whose name ends in a service's."""

from __future__ import annotations

from pathlib import Path

import pytest

from nftui.model.errors import UsageError
from nftui.model.stack import ProjectRequest
from nftui.session import Session
from tests.checks.build import NO_ENGINE


def test_a_route_is_checked_by_its_pattern(tmp_path: Path) -> None:
    session = Session(ProjectRequest(path=str(tmp_path)), state_dir=tmp_path, environ=NO_ENGINE)
    assert session.check_value("pgbouncer", None, "route.api", "pooled") == "pooled"
    with pytest.raises(UsageError, match=r"pgbouncer\.route\.api"):
        session.check_value("pgbouncer", None, "route.api", "sideways")
    with pytest.raises(UsageError, match="has no knob"):
        session.check_value("pgbouncer", None, "nothing", "1")
