"""One running stack for a whole module: each of its tests leaves it as it found it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tests.stack import images
from tests.stack.fixtures import copy_stack, tear_down
from tests.stack.running import Stack, docker

if TYPE_CHECKING:
    import pytest


def stack_of(tmp: pytest.TempPathFactory, compose: str | None = None, *services: str) -> Iterator[Stack]:
    """The test stack, or the project that `compose` describes, up and healthy; removed whole at the end."""
    images.ensure("postgres:15")
    stack = copy_stack(tmp.mktemp("stack"), "15", {})
    if compose is not None:
        (stack.directory / "compose.yaml").write_text(compose)
    stack.up(*services)
    original = (stack.directory / "compose.yaml").read_text()
    yield stack
    (stack.directory / "compose.yaml").write_text(original)
    left = tear_down(stack)
    for name in [entry.removeprefix("volume ") for entry in left if entry.startswith("volume ")]:
        # A nameless volume that a new container was handed is no longer removed by `down --volumes`.
        docker("volume", "rm", name)
    assert [entry for entry in left if not entry.startswith("volume ")] == []


def mtimes(directory: Path) -> dict[str, int]:
    """Every file and directory below with its time of change: what a reading must not move."""
    return {str(p): p.stat().st_mtime_ns for p in sorted(directory.rglob("*"))}
