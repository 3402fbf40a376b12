"""How nftui's file stays in force for a plain `docker compose up` (design.md "Files it writes", engine.md 10)."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from nftui.model.dataclass import dataclass
from nftui.model.stack import Stack
from nftui.probes.compose_dotenv import parse_env, read_env_file
from nftui.probes.compose_template import Ledger
from nftui.probes.project import AUTOMATIC, DISCOVERY, OVERRIDE_NAME, discover, is_own, written_files
from nftui.steps.envkeys import get_key, set_key

KEY = "COMPOSE_FILE"
SEPARATOR = "COMPOSE_PATH_SEPARATOR"


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
    found: tuple[str, ...] | None = None
    """What Compose finds there where COMPOSE_FILE is not set, without nftui's file; None where that is unknown."""
    others: tuple[str, ...] = ()
    """Files of nftui's beside `override`, by another name: they go when nothing of nftui's stays."""

    def is_ours(self, name: str) -> bool:
        """Whether COMPOSE_FILE in `.env` means nftui's file by `name`, also after that was deleted."""
        return Path(name).name == OVERRIDE_NAME or os.path.normpath(Path(self.env).parent / name) == self.override


def persistence(stack: Stack, env_content: bytes | None, environ: Mapping[str, str]) -> Persistence:
    """Decide by what Compose would load by itself.

    nftui's file stays where it lies: under another name, a second one would stand beside it.
    """
    directory = Path(stack.invocation.directory)
    base = Path(stack.files[0]).parent if stack.files else directory
    written = written_files(stack.invocation) if stack.files else []
    present = written[0] if written else None
    override, env = present or str(base / OVERRIDE_NAME), str(directory / ".env")
    keep = Persistence("command", override, env, found=tuple(p.name for p in discover(directory) if not is_own(p)))
    name = Path(override).name if base == directory else override
    keep = replace(
        keep,
        others=tuple(written[1:]),
        value=separator_in(env_content).join([*own_files(directory, env_content), name]),
    )
    why = _why_not_env(stack, keep, env_content, environ)
    automatic = _automatic(stack, keep, present, env_content, environ)
    if automatic and (why or present):
        return replace(keep, mode="automatic", override=automatic, value=None)
    return replace(keep, value=None, reason=why) if why else replace(keep, mode="env")


def command(stack: Stack, override: str) -> str:
    """What the operator types to start the stack as it was read, with nftui's file: no plain call loads that."""
    call = stack.invocation
    own_place = os.path.realpath(call.directory) == os.path.realpath(Path(stack.files[0]).parent)
    several = (("--env-file", call.env_files), ("--profile", call.profiles), ("-f", (*stack.files, override)))
    words = ["docker", "compose", *(("-p", call.name) if call.name else ())]
    words += () if own_place else ("--project-directory", call.directory)
    words += [word for option, values in several for value in values for word in (option, value)]
    return shlex.join([*words, "up", "-d"])


def separator_in(env_content: bytes | None) -> str:
    """What stands between the names of COMPOSE_FILE in that `.env`."""
    return get_key(env_content, SEPARATOR) or os.pathsep


def named(env_content: bytes | None) -> list[str]:
    """The names in COMPOSE_FILE of that `.env`, nftui's among them."""
    return [name for name in (get_key(env_content, KEY) or "").split(separator_in(env_content)) if name]


def own_files(directory: Path, env_content: bytes | None) -> list[str]:
    """What Compose loads by itself there, without nftui's file, as COMPOSE_FILE would name it."""
    names = named(env_content) or [path.name for path in discover(directory)]
    return [name for name in names if not is_own(directory / name)]


def env_readers(stack: Stack, env: str) -> set[str]:
    """Services that read `env` as their env_file: a new key would recreate them, and reach their environment."""
    return {service.name for service in stack.services for path in _env_files(service.raw, service.config)
            if os.path.realpath(Path(stack.invocation.directory) / path) == os.path.realpath(env)}  # fmt: skip


def _env_files(*definitions: Mapping[str, object]) -> Iterable[str]:
    """Those of the first definition that has any."""
    listed = next((d["env_file"] for d in definitions if d.get("env_file")), [])
    for entry in listed if isinstance(listed, list) else [listed]:
        path = entry.get("path") if isinstance(entry, Mapping) else entry
        if path:
            yield str(path)


def _why_not_env(stack: Stack, keep: Persistence, env_content: bytes | None, environ: Mapping[str, str]) -> str:
    """Why the value in `.env` would do harm or nothing; "" where it may be written.

    It is read back as Compose reads it: it has to name the stack's files, all of them, and then nftui's.
    """
    directory = Path(stack.invocation.directory)
    if KEY in environ:
        return "COMPOSE_FILE is set in the shell and beats .env"
    if not own_files(directory, env_content):
        return "Compose finds no file by itself in the project directory"
    if reason := _unread(stack, keep.env, env_content, environ):
        return reason
    merged = set_key(env_content, KEY, str(keep.value))
    if _loaded(directory, merged, environ) != _real((*stack.files, keep.override)):
        return "Compose loads other files by itself in the project directory"
    if os.path.realpath(Path(stack.files[0]).parent) != os.path.realpath(directory):
        return "Compose takes another project directory by itself"
    if get_key(env_content, KEY) != keep.value and env_readers(stack, keep.env):
        return "a service reads .env as its env_file, so it is left alone"
    return ""


def _unread(stack: Stack, env: str, env_content: bytes | None, environ: Mapping[str, str]) -> str:
    """Why Compose does not read that `.env`, or not as others would; "" where it does."""
    if _other_env_files(stack, env):
        return "Compose reads other env files than .env there"
    if environ.get("COMPOSE_DISABLE_ENV_FILE", "").lower() in ("1", "t", "true"):
        return "COMPOSE_DISABLE_ENV_FILE is set in the shell, so .env is not read"
    if environ.get(SEPARATOR, separator_in(env_content)) != separator_in(env_content):
        return "COMPOSE_PATH_SEPARATOR is set in the shell and beats .env"
    return ""


def _other_env_files(stack: Stack, env: str) -> list[str]:
    return [path for path in stack.invocation.env_files if os.path.realpath(path) != os.path.realpath(env)]


def _loaded(directory: Path, content: bytes | None, environ: Mapping[str, str]) -> list[str]:
    """The files that COMPOSE_FILE names in a `.env` of that content."""
    text = (content or b"").decode("utf-8-sig", errors="replace")
    values = parse_env(text, str(directory / ".env"), environ, Ledger()).values
    separator = environ.get(SEPARATOR) or values.get(SEPARATOR) or os.pathsep
    names = [name for name in values.get(KEY, "").split(separator) if name.strip()]
    return _real(directory / Path(name).expanduser() for name in names)


def _real(paths: Iterable[str | Path]) -> list[str]:
    return [os.path.realpath(path) for path in paths]


def _automatic(
    stack: Stack, keep: Persistence, present: str | None, env_content: bytes | None, environ: Mapping[str, str]
) -> str | None:
    """The name under which Compose loads nftui's file by itself: where it lies, or a free one. None: there is none."""
    directory = Path(stack.invocation.directory)
    if KEY in environ or not stack.files or Path(stack.files[0]).parent != directory:
        return None
    if _loaded(directory, env_content, environ) or _names_files(_other_env_files(stack, keep.env), environ):
        return None
    if _real(directory / name for name in keep.found or ()) != _real(stack.files):
        return None
    if present:
        return present if Path(present) in discover(directory) else None
    if any((directory / name).is_file() for name in AUTOMATIC):
        return None
    discovered = next((name for name in DISCOVERY if (directory / name).is_file()), "compose.yaml")
    name = "docker-compose.override.yml" if discovered.startswith("docker-") else "compose.override.yaml"
    return str(directory / name)


def _names_files(env_files: Iterable[str], environ: Mapping[str, str]) -> bool:
    found = (read_env_file(path, environ, Ledger()) for path in env_files)
    return any(file is not None and file.values.get(KEY) for file in found)
