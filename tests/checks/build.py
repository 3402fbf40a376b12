"""A stack of text, checked as `nftui check` does without an engine: read by the plain-file reader."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nftui import catalog
from nftui.checks import load_checks
from nftui.engine.check import collect
from nftui.model.facts import Facts
from nftui.model.findings import Finding
from nftui.model.host import Host
from nftui.model.stack import ProjectRequest
from nftui.probes.beside import read_beside
from nftui.probes.host import detect_host
from nftui.probes.project import find_project
from nftui.probes.reader import read_project
from nftui.probes.stack import read_stack

NO_ENGINE = {"PATH": "/nonexistent", "DOCKER_HOST": "unix:///nonexistent.sock"}


def read(directory: Path, compose: str, files: Mapping[str, str] | None = None, host: Host | None = None) -> Facts:
    """The facts of a project of these texts; `files` by relative path."""
    for name, text in {"compose.yaml": compose, **(files or {})}.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return read_directory(directory, host)


def read_directory(directory: Path, host: Host | None = None) -> Facts:
    """The facts of a project that is there, without an engine."""
    invocation = find_project(ProjectRequest(path=str(directory)), NO_ENGINE)
    stack = read_stack(invocation, None, None, read_project, catalog.classify, NO_ENGINE)
    return Facts(host or detect_host(), stack, beside=read_beside(stack, None, root=str(directory / "no-root")))


def check(facts: Facts) -> dict[tuple[str | None, str], Finding]:
    """(service, id) to finding: of all checks and all optimizations, as the operator sees them."""
    from nftui.optimizations.registry import load_registry

    return {(f.service, f.id): f for f in collect(facts, load_registry(), load_checks())}
