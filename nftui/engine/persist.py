"""How nftui's file stays in force for a plain `docker compose up` (design.md "Files it writes", engine.md 10)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from nftui.model.dataclass import dataclass
from nftui.model.stack import Stack
from nftui.probes.project import AUTOMATIC, DISCOVERY, OVERRIDE_NAME, discover, is_own
from nftui.steps.envkeys import get_key

KEY = "COMPOSE_FILE"


@dataclass(frozen=True, slots=True)
class Persistence:
    """Where the override goes and what keeps it loaded.

    `mode`: "env" = merged into COMPOSE_FILE in `.env`; "automatic" = written under the name that Compose loads by
    itself; "command" = the operator must name it (`reason` says why).
    """

    mode: str
    override: str
    env: str
    value: str | None = None
    reason: str = ""


def persistence(stack: Stack, env_content: bytes | None, environ: Mapping[str, str]) -> Persistence:
    """Decide by what Compose would load by itself; a pure function of what was read."""
    directory = Path(stack.invocation.directory)
    base = Path(stack.files[0]).parent if stack.files else directory
    override, env = str(base / OVERRIDE_NAME), str(directory / ".env")
    own = own_files(directory, env_content)
    if environ.get(KEY):
        return Persistence("command", override, env, reason="COMPOSE_FILE is set in the shell and beats .env")
    if not own:
        return Persistence("command", override, env, reason="Compose finds no file by itself in the project directory")
    if _env_is_env_file(stack, env):
        return _without_env(directory, base, override, env, env_content)
    separator = get_key(env_content, "COMPOSE_PATH_SEPARATOR") or os.pathsep
    name = OVERRIDE_NAME if base == directory else override
    return Persistence("env", override, env, separator.join([*own, name]))


def own_files(directory: Path, env_content: bytes | None) -> list[str]:
    """What Compose loads by itself there, without nftui's file, as COMPOSE_FILE would name it."""
    value = get_key(env_content, KEY)
    if value:
        separator = get_key(env_content, "COMPOSE_PATH_SEPARATOR") or os.pathsep
        return [part for part in value.split(separator) if part and Path(part).name != OVERRIDE_NAME]
    return [path.name for path in discover(directory)]


def _env_is_env_file(stack: Stack, env: str) -> bool:
    """A new key in `.env` would then recreate that service and reach its environment (engine.md 10)."""
    for service in stack.services:
        listed = service.raw.get("env_file") or service.config.get("env_file") or []
        entries = listed if isinstance(listed, list) else [listed]
        for entry in entries:
            path = entry.get("path") if isinstance(entry, Mapping) else entry
            if path and os.path.realpath(Path(stack.invocation.directory) / str(path)) == os.path.realpath(env):
                return True
    return False


def _without_env(directory: Path, base: Path, override: str, env: str, env_content: bytes | None) -> Persistence:
    """An automatic name where it is free (or nftui's own already), else the operator decides."""
    named = get_key(env_content, KEY)
    present = [name for name in AUTOMATIC if (directory / name).is_file() and not is_own(directory / name)]
    if named or present or base != directory:
        return Persistence("command", override, env, reason="a service reads .env as its env_file, so it is left alone")
    discovered = next((name for name in DISCOVERY if (directory / name).is_file()), "compose.yaml")
    name = "docker-compose.override.yml" if discovered.startswith("docker-") else "compose.override.yaml"
    return Persistence("automatic", str(directory / name), env)
