"""Running nftui as an operator does: its own process, no terminal, a state directory of the test's own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
_HIDDEN = (
    "COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "NFTUI_STATE_DIR",
    "PYTHONDONTWRITEBYTECODE",  # an installed nftui has its bytecode beside it
)  # fmt: skip


@dataclass(frozen=True)
class Done:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its one document."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Nftui:
    """The command in one project's directory."""

    directory: Path
    state: Path

    def environment(self) -> dict[str, str]:
        """The caller's, with this checkout importable and nothing that points Compose elsewhere."""
        kept = {k: v for k, v in os.environ.items() if k not in _HIDDEN}
        return {**kept, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "NFTUI_STATE_DIR": str(self.state)}

    def command(self, *arguments: str) -> list[str]:
        """The argument vector."""
        return [sys.executable, "-P", "-m", "nftui", *arguments]

    def __call__(self, *arguments: str, timeout: float = 170) -> Done:
        done = subprocess.run(
            self.command(*arguments), cwd=self.directory, env=self.environment(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Copy(Nftui):
    """nftui from a copy of its package."""

    package: Path = ROOT

    def environment(self) -> dict[str, str]:
        """With the copy in the checkout's place."""
        return {**super().environment(), "PYTHONPATH": str(self.package)}


def copy_package(target: Path, dropped: Path) -> Path:
    """nftui and its data, with one optimization more."""
    for name in ("nftui", "assets", "presets"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(dropped, target / "nftui" / "optimizations" / dropped.name)
    return target


def tree(directory: Path) -> dict[str, tuple[str, int, int]]:
    """Every file below with digest, mode and owner: what must be equal after a rollback."""
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            status = path.stat()
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path.relative_to(directory))] = (digest, status.st_mode, status.st_uid)
    return found


def everything_written(directory: Path) -> bytes:
    """All bytes that nftui wrote below, blobs left out: secrets stand in those and nowhere else."""
    paths = [p for p in directory.rglob("*") if p.is_file() and "blobs" not in p.parts]
    return b"\n".join(p.read_bytes() for p in paths)


def at_work(state: Path) -> bool:
    """Whether a process of nftui names that state directory: its run's worker, or the guardian of it."""
    lines = (p.info["cmdline"] or () for p in psutil.process_iter(["cmdline"]))
    return any(str(state) in word for line in lines if any("nftui." in w for w in line) for word in line)
