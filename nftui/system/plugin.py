"""Compose's own program behind `docker compose`: the same answers without two more processes in front of it.

`docker compose config` starts the plugin once to ask what it is, then again to do the work; the plugin does it alone
in half the time. It is used for what needs no engine (`config`, `version`), and only where there is no doubt which
program `docker` would start.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

SYSTEM = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)
"""Where the Docker CLI looks after the operator's own directory. Source: docker/cli, cli-plugins/manager."""
NAME = "docker-compose"
_ELF = b"\x7fELF"


def compose_plugin(environ: Mapping[str, str], system: tuple[str, ...] = SYSTEM) -> str | None:
    """The plugin's program, None where two could be meant, or `docker` may be something else (Podman, a snap)."""
    if not _is_docker(shutil.which("docker", path=environ.get("PATH"))):
        return None
    config = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or "/root") / ".docker")
    if _adds_directories(config / "config.json"):
        return None
    places = [Path(place) / NAME for place in (str(config / "cli-plugins"), *system)]
    found = {os.path.realpath(place) for place in places if os.path.lexists(place)}
    only = found.pop() if len(found) == 1 else None
    return only if only and os.access(only, os.X_OK) and _is_program(only) else None


def _is_docker(path: str | None) -> bool:
    """Docker's own CLI: podman-docker is a script, the snap's name is a link to `snap`."""
    return path is not None and Path(os.path.realpath(path)).name == "docker" and _is_program(path)


def _is_program(path: str) -> bool:
    try:
        with Path(path).open("rb") as file:
            return file.read(len(_ELF)) == _ELF
    except OSError:
        return False


def _adds_directories(config: Path) -> bool:
    """Whether the CLI is told of more places; a configuration that cannot be read may say so too."""
    try:
        data = json.loads(config.read_text())
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
    return not isinstance(data, dict) or bool(data.get("cliPluginsExtraDirs")) or bool(data.get("plugins"))
