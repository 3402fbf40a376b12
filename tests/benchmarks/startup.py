"""Start-up and planning: `nftui --version` against an empty Python; check and plan against Compose alone.

Run: python -m tests.benchmarks.startup
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.stacks import write_stack
from tests.benchmarks.timing import interleave, report, seconds

NFTUI = [sys.executable, "-P", "-m", "nftui"]
ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Print every figure of this file."""
    import os

    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed nftui has its bytecode beside it
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        env["PYTHONPYCACHEPREFIX"] = str(base / "bytecode")
        env["NFTUI_STATE_DIR"] = str(base / "state")
        _version(env)
        _small(write_stack(base / "s26", 26), env)
        _checks(base)
        _linear(base, env)


def _version(env: dict[str, str]) -> None:
    peers = {
        "python -c pass": lambda: seconds([sys.executable, "-c", "pass"], env=env),
        "python -c 'import argparse'": lambda: seconds([sys.executable, "-c", "import argparse"], env=env),
        "nftui --version": lambda: seconds([*NFTUI, "--version"], env=env),
    }
    report("start-up", interleave(peers, 15), "python -c pass", "<= 5x")


def _small(stack: Path, env: dict[str, str]) -> None:
    peers = {
        "docker compose config": lambda: seconds(["docker", "compose", "config"], str(stack), env),
        "nftui check --json": lambda: seconds([*NFTUI, "check", "--json"], str(stack), env),
        "nftui plan --json": lambda: seconds([*NFTUI, "plan", "--json"], str(stack), env),
    }
    report("26 services", interleave(peers, 9), "docker compose config", "<= 3x")


def _checks(base: Path) -> None:
    """All checks alone, in this process, after the catalog was read."""
    from nftui.checks import load_checks
    from tests.checks.build import read_directory

    every = load_checks()
    found: dict[str, list[float]] = {}
    for size in (26, 200, 1000):
        facts = read_directory(write_stack(base / f"c{size}", size))
        for _ in range(3):
            start = time.perf_counter()
            for check in every:
                list(check(facts))
            found.setdefault(f"all checks, {size} services", []).append(time.perf_counter() - start)
    report("checks", found, "all checks, 26 services", "26 services: 20 ms; linear")


def _linear(base: Path, env: dict[str, str]) -> None:
    found = {}
    for size in (10, 100, 1000):
        stack = write_stack(base / f"s{size}", size)
        found[f"plan, {size} services"] = [seconds([*NFTUI, "plan", "--json"], str(stack), env) for _ in range(3)]
        found[f"compose config, {size} services"] = [
            seconds(["docker", "compose", "config"], str(stack), env) for _ in range(3)
        ]
    report("growth", found, "plan, 10 services", "linear")


if __name__ == "__main__":
    main()
