"""What Compose makes of nftui's file: what was meant, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import cast

import pytest

from nftui.engine.prove import prove
from nftui.model.advice import Fragment
from nftui.model.errors import UsageError
from nftui.model.plan import Draft

DECLARED = {"jobs": {"image": "app:latest", "stop_grace_period": "1s"}, "db": {"image": "postgres:15"}}


class Compose:
    """Resolves to what it is told."""

    def __init__(self, services: Mapping[str, Mapping[str, object]]) -> None:
        self.services = services

    def config_with(self, override: str | None) -> Mapping[str, object]:
        return {"services": self.services}


def proven(effective: Mapping[str, Mapping[str, object]]) -> Mapping[str, Mapping[str, object]]:
    """Two optimizations write for one service."""
    fragments = (
        Fragment("images", {"jobs": {"image": "sha256:1"}}),
        Fragment("grace", {"jobs": {"stop_grace_period": "60s"}}),
    )
    change = SimpleNamespace(role="override", content=b"services: {}")
    # The first stage still writes what the last one takes away.
    stage = SimpleNamespace(files=(change,), fragments=fragments)
    draft = SimpleNamespace(stages=(stage,), fragments=fragments[:1])
    return prove(cast("Draft", draft), Compose(effective), DECLARED)[1]


def test_two_optimizations_may_write_for_one_service() -> None:
    effective = {**DECLARED, "jobs": {"image": "sha256:1", "stop_grace_period": "60s"}}
    assert proven(effective) == effective


@pytest.mark.parametrize(
    ("service", "after"),
    [("jobs", {**DECLARED["jobs"], "user": "0"}), ("db", {"image": "postgres:16"})],
)
def test_what_nobody_wrote_comes_out_as_it_was(service: str, after: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=rf"reads {service}\.\w+ differently"):
        proven({**DECLARED, service: after})
