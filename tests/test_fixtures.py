"""What the engine fixtures do where there is no engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("changes", "word", "status"),
    [({}, "1 skipped", 0), ({"NFTUI_REQUIRE_ENGINE": "1"}, "1 error", 1), ({"CI": "true"}, "1 error", 1)],
)
def test_without_an_engine(tmp_path: Path, changes: dict[str, str], word: str, status: int) -> None:
    kept = {key: value for key, value in os.environ.items() if key not in ("NFTUI_REQUIRE_ENGINE", "CI")}
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "tests/test_stack.py",
            "-k",
            "two_stacks",
        ],
        cwd=ROOT,
        env={**kept, "DOCKER_HOST": f"unix://{tmp_path}/none.sock", **changes},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert word in done.stdout.splitlines()[-1]
    if status:
        assert "no engine: `docker info" in done.stdout
