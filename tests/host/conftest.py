"""A machine as a tree of files: /proc, /sys, /dev and /etc below a directory of the test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, str]], Path]:
    """Writes {path: text} and returns the root; "-> TARGET" is a link, a path that ends with "/" a directory.

    No program of the real machine is on PATH, so that its GPUs stay out of the answers.
    """
    root = tmp_path / "root"
    root.mkdir()
    empty = tmp_path / "bin"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))

    def write(files: Mapping[str, str]) -> Path:
        for name, text in files.items():
            path = root / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                path.mkdir(exist_ok=True)
            elif text.startswith("-> "):
                path.symlink_to(text.removeprefix("-> "))
            else:
                path.write_text(text)
        return root

    return write
