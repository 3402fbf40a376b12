"""The systemd unit that recovers a project's run at boot: offered as text, never installed by nftui."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from nftui.model.message import msg
from nftui.system.assets import asset_path

REBOOT_HINT = msg(
    "A reboot before that counts as not confirmed: everything is taken back when nftui next runs, or at boot with the "
    "unit of 'nftui recover --print-unit'."
)


def unit_text(name: str, directory: str, command: Sequence[str], mounts: Iterable[str]) -> str:
    """The unit for the project `name` in `directory`; `command` recovers it, `mounts` are the paths that it needs."""
    values = {
        "name": name,
        "directory": _specified(directory),
        "command": " ".join(_quoted(word) for word in command),
        "mounts": " ".join(_quoted(path) for path in mounts),
    }
    return asset_path("systemd/nftui-recover.service").read_text().format(**values)


def _specified(text: str) -> str:
    """`%` begins a specifier in unit files. Source: systemd.unit(5)."""
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """One word of a command line in a unit file. Source: systemd.service(5), "Command lines"."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return _specified(f'"{escaped}"' if escaped != word or not word or set(word) & set(" '\t;") else word)


def unit_installed(directory: str) -> bool:
    """Whether such a unit is enabled for the project in that directory."""
    line = f"WorkingDirectory={_specified(os.path.realpath(directory))}"
    return any(line in _lines(path) for root in _roots() for path in root.glob("*.wants/nftui-recover*.service"))


def _roots() -> tuple[Path, ...]:
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.environ.get("HOME") or "/nonexistent", ".config")
    return Path("/etc/systemd/system"), Path(config, "systemd/user")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
