"""A run as a test looks at it from outside: its journal, its processes, and their end."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from nftui.system.identity import ProcessId
from tests.e2e.command import Nftui


def newest(nftui: Nftui) -> Path | None:
    """Directory of the newest run, None before there is one."""
    found = sorted(nftui.state.glob("*/runs/*"))
    return found[-1] if found else None


def lines(nftui: Nftui) -> list[dict[str, Any]]:
    """The whole lines of the newest run's journal."""
    directory = newest(nftui)
    path = directory / "journal.jsonl" if directory else None
    text = path.read_text() if path and path.exists() else ""
    return [json.loads(line)["line"] for line in text.splitlines(keepends=True) if line.endswith("\n")]


def journal(nftui: Nftui) -> list[str]:
    """Its phases, in order."""
    return [str(line["phase"]) for line in lines(nftui)]


def process(nftui: Nftui, name: str) -> ProcessId | None:
    """The living "guardian" or "worker" of the newest run, None where there is none."""
    directory = newest(nftui)
    path = directory / f"{name}.json" if directory else None
    found = ProcessId.from_json(json.loads(path.read_text())) if path and path.exists() else None
    return found if found and found.alive else None


def kill(nftui: Nftui, name: str) -> None:
    """SIGKILL for the "guardian" or the "worker" alone."""
    found = process(nftui, name)
    assert found is not None, f"no {name} lives"
    os.kill(found.pid, signal.SIGKILL)


def kill_all(nftui: Nftui) -> None:
    """SIGKILL for guardian and worker at once: they share a process group, a step's children do not."""
    found = process(nftui, "guardian")
    assert found is not None, "no guardian lives"
    with suppress(ProcessLookupError):
        os.killpg(os.getpgid(found.pid), signal.SIGKILL)
