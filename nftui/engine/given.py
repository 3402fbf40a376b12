"""Where a value of the files may still come from: the shell, an `.env` that is not there yet, a file not read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nftui.catalog.mounted import read
from nftui.model.patterns import regex

if TYPE_CHECKING:
    from nftui.model.stack import Service, Stack

_VARIABLE = regex(r"\$\{(\w+)|\$(\w+)")
_REQUIRED = regex(r"\$\{\w+:?\?")
"""`${VAR:?message}`: without a value Compose refuses the project, so nothing ever runs with an empty one."""
_EXAMPLES = regex(
    r"(?:[\w.-]*\.)?env(?:[._-][\w.-]+)?[._-](?:example|sample|template|dist|tmpl|default)s?"
    r"|(?:example|sample|template|default|stack|deploy|prod|production)\.env|\.env[._-](?:prod|production|local|deploy)",
    re.IGNORECASE,
)
"""Names of templates of an `.env`, and of those that are given with `--env-file`."""


def variables(text: str) -> tuple[str, ...]:
    """Names that a text interpolates; `$$` is none."""
    return tuple(a or b for a, b in _VARIABLE.findall(text.replace("$$", "")))


def raw_value(service: Service, name: str) -> str:
    """A variable as it is written, before interpolation; "" where it is not known."""
    raw = service.raw.get("environment")
    if isinstance(raw, Mapping):
        return str(raw.get(name) or "")
    lines = raw if isinstance(raw, (list, tuple)) else ()
    return next((str(line).partition("=")[2] for line in lines if str(line).startswith(f"{name}=")), "")


def written_names(service: Service) -> frozenset[str]:
    """Variables of the service's own `environment`: those of an env_file are not among them."""
    raw = service.raw.get("environment")
    if isinstance(raw, Mapping):
        return frozenset(raw)
    return frozenset(str(entry).partition("=")[0] for entry in (raw if isinstance(raw, (list, tuple)) else ()))


def shares_env_file(stack: Stack, service: Service) -> bool:
    """True where another service is given the same env_file: what stands in it may be meant for that one."""
    own = set(_env_files(service))
    return any(own & set(_env_files(other)) for other in stack.services if other.name != service.name)


def _env_files(service: Service) -> list[str]:
    listed = service.raw.get("env_file")
    items = listed if isinstance(listed, (list, tuple)) else (listed,)
    return [path for item in items if (path := str((item.get("path") if isinstance(item, Mapping) else item) or ""))]


def may_be_set(stack: Stack, service: Service, name: str) -> bool:
    """True where a variable that is empty or absent here may have a value where the stack is deployed."""
    if name in service.environment and service.environment[name] is None:
        return True
    if name not in service.environment and lacks_env_file(stack, service):
        return True
    return may_be_given(stack, raw_value(service, name))


def lacks_env_file(stack: Stack, service: Service) -> bool:
    """True where an env_file of the service is not here: it is made where the stack is deployed, and may set anything.

    One that is here has been read: what it does not name is not set.
    """
    return any(not Path(stack.invocation.directory, path).exists() for path in _env_files(service))


def may_be_given(stack: Stack, source: str) -> bool:
    """Whether what a source text interpolates may have a value elsewhere: not where `.env` says that it is empty."""
    if _REQUIRED.search(source.replace("$$", "")):
        return True
    return any(stack.environment.get(name) != "" for name in variables(source))


def example_gives(stack: Stack, names: tuple[str, ...]) -> bool:
    """True where a template of an `.env` beside the project has a value for one of them, or asks for one."""
    directory = Path(stack.invocation.directory)
    for example in (name for name in _names(directory) if _EXAMPLES.fullmatch(name)):
        text = read(directory / example) or ""
        if any(re.search(rf"(?m)^\s*(?:export\s+)?{re.escape(name)}\s*=", text) for name in names):
            return True
    return False


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
