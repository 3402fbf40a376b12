"""A stack of text, checked as `nftui check` does without an engine: read by the plain-file reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from nftui.checks import load_checks
from nftui.engine.check import collect
from nftui.model.facts import Facts
from nftui.model.findings import Finding
from nftui.model.host import Host
from nftui.model.stack import ProjectRequest
from nftui.session import Session

NO_ENGINE = {"PATH": "/nonexistent", "DOCKER_HOST": "unix:///nonexistent.sock"}


def read(directory: Path, compose: str, files: Mapping[str, str] | None = None, host: Host | None = None) -> Facts:
    """The facts of a project of these texts; `files` by relative path."""
    for name, text in {"compose.yaml": compose, **(files or {})}.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = Session(ProjectRequest(path=str(directory)), state_dir=directory / ".state", environ=NO_ENGINE).facts()
    return replace(found, host=host) if host else found


def check(facts: Facts) -> dict[tuple[str | None, str], Finding]:
    """(service, id) to finding: of all checks and all optimizations, as the operator sees them."""
    from nftui.optimizations.registry import load_registry

    return {(f.service, f.id): f for f in collect(facts, load_registry(), load_checks())}
