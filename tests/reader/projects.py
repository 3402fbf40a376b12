"""The fixture projects, and what Docker Compose itself makes of them.

A fixture is a directory of `projects/` with a compose.yaml; its case.json may give files, profiles, env_files, environ.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nftui.model.stack import Invocation
from nftui.probes.reader import ReadProject, read_project

PROJECTS = Path(__file__).parent / "projects"
NAMES = sorted(path.name for path in PROJECTS.iterdir() if path.is_dir())


def case(name: str) -> dict[str, Any]:
    """The fixture's options."""
    path = PROJECTS / name / "case.json"
    return json.loads(path.read_text()) if path.exists() else {}


def environ_of(name: str) -> dict[str, str]:
    """A small, fixed shell environment and what the case adds."""
    return {"PATH": os.environ["PATH"], "HOME": "/home/tester", **case(name).get("environ", {})}


def invocation(name: str) -> Invocation:
    """How the fixture's project is called."""
    directory = PROJECTS / name
    options = case(name)
    return Invocation(
        directory=str(directory),
        files=tuple(str(directory / file) for file in options.get("files", ["compose.yaml"])),
        profiles=tuple(options.get("profiles", [])),
        env_files=tuple(str(directory / file) for file in options.get("env_files", [])),
        explicit_files="files" in options,
    )


def read(name: str) -> ReadProject:
    """The fixture as nftui reads it."""
    return read_project(invocation(name), environ_of(name))


@cache
def compose_works() -> bool:
    """Whether Docker Compose can be asked."""
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0


def need_compose() -> None:
    """Skip without Compose; fail where the run must have it."""
    if compose_works():
        return
    if os.environ.get("NFTUI_REQUIRE_ENGINE") == "1":
        pytest.fail("docker compose is needed here")
    pytest.skip("docker compose is not installed")


def compose_config(call: Invocation, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`docker compose config --format json` of a project."""
    command = ["docker", "compose", "--project-directory", call.directory]
    for option, values in (("-f", call.files), ("--profile", call.profiles), ("--env-file", call.env_files)):
        for value in values:
            command += [option, value]
    return subprocess.run(
        [*command, "config", "--format", "json"], capture_output=True, text=True, env=environ, cwd=call.directory
    )


def undoubled(value: Any) -> Any:
    """`config` doubles every `$`; the reader gives real values."""
    if isinstance(value, str):
        return value.replace("$$", "$")
    if isinstance(value, dict):
        return {key: undoubled(item) for key, item in value.items()}
    return [undoubled(item) for item in value] if isinstance(value, list) else value
