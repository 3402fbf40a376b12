"""A file dropped into the folder is an optimization everywhere, with no edit elsewhere; no id stands in shared code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import ROOT, Copy, copy_package, tree
from tests.stack.running import Stack

DROPPED = Path(__file__).parent / "dropped" / "grace.py"
IDS = ("postgres", "pgbouncer", "ollama", "qdrant", "redis", "storage", "images", "limits", "monitoring")
"""The nine of the mission (design.md), whether they are there yet or not."""
SHARED = ("engine", "session.py", "runs.py", "history.py", "orders.py", "worker.py", "cli", "tui")
IN_THE_WIZARD = """
import asyncio
from nftui.model.stack import ProjectRequest
from nftui.session import Session
from nftui.tui.desk import Desk
from nftui.tui.screens.optimization import OptimizationScreen
from nftui.tui.wizard import WizardApp

async def main():
    desk = Desk(Session(ProjectRequest()), lambda text: text)
    app = WizardApp(desk)
    def screen():
        strips = app.screen._compositor.render_strips()
        return "\\n".join("".join(s.text for s in strip) for strip in strips)
    async def until(words):
        async with asyncio.timeout(60):
            while words not in screen():
                await pilot.pause(0.02)
    async with app.run_test(size=(80, 24)) as pilot:
        await until("optimizations apply here")
        print(screen())
        pages = desk.pages
        for number in range(1, pages.index("grace") + 2):
            await pilot.press("enter")
            await until(f"{number} of {len(pages)}")
        await until(f"{number}. Time to stop [on]")
        print(screen())

asyncio.run(main())
"""


@pytest.fixture
def nftui(running_stack: Stack, tmp_path: Path) -> Copy:
    """The command with a second optimization."""
    return Copy(running_stack.directory, tmp_path / "state", copy_package(tmp_path / "copy", DROPPED))


def of_grace(plan: dict) -> dict:  # type: ignore[type-arg]
    return next(o for o in plan["optimizations"] if o["id"] == "grace")


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_dropped_file_is_an_optimization(nftui: Copy, running_stack: Stack, tmp_path: Path) -> None:
    _is_checked_and_planned(nftui)
    _is_known_to_presets(nftui, tmp_path)
    _is_in_the_wizard(nftui)
    before, container = tree(running_stack.directory), running_stack.container("jobs")
    applied = nftui("apply", "--only", "grace", "--set", "grace.stop_grace_period=45s", "--yes", "--json",
                    "--settle", "1")  # fmt: skip
    assert applied.code == 0 and applied.json["outcome"] == "applied", applied.out + applied.err
    assert running_stack.container("jobs") != container
    assert running_stack.inspect("jobs")["Config"]["StopTimeout"] == 45
    assert re.search(r'stop_grace_period: "?45s', (running_stack.directory / "compose.nftui.yaml").read_text())
    rolled = nftui("rollback", "--yes", "--json")
    assert rolled.code == 0 and rolled.json["outcome"] == "rolled-back", rolled.out + rolled.err
    assert tree(running_stack.directory) == before
    assert running_stack.inspect("jobs")["Config"]["StopTimeout"] == 1


def _is_checked_and_planned(nftui: Copy) -> None:
    found = nftui("check", "--json").json["findings"]
    assert [f["service"] for f in found if f["id"] == "grace-short"] == ["jobs"]
    whole, without = nftui("plan", "--json").json, nftui("plan", "--skip", "grace", "--json").json
    mine = of_grace(whole)
    assert mine["selection"] == "on" and [k["name"] for k in mine["knobs"]] == ["stop_grace_period"]
    days = [tuple(p["effort_days"].values()) for p in (whole, without)]
    assert tuple(a - b for a, b in zip(*days, strict=True)) == (0.5, 0.5)


def _is_known_to_presets(nftui: Copy, tmp_path: Path) -> None:
    preset = tmp_path / "grace.yaml"
    text = "schema: nftui/preset/1\nname: grace\ndescription: d\noptimizations:\n  grace: {stop_grace_period: VALUE}\n"
    preset.write_text(text.replace("VALUE", "90s"))
    assert nftui("preset", "validate", str(preset)).code == 0
    knobs = of_grace(nftui("plan", "--preset", str(preset), "--json").json)["knobs"]
    assert [k["value"] for k in knobs] == ["90s"]
    preset.write_text(text.replace("VALUE", "soon"))
    bad = nftui("preset", "validate", str(preset))
    assert bad.code == 2 and "grace.stop_grace_period" in bad.out + bad.err


def _is_in_the_wizard(nftui: Copy) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", IN_THE_WIZARD], cwd=nftui.directory, env=nftui.environment(),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "• Time to stop" in done.stdout
    assert "stop_grace_period" in done.stdout and "60 s" in done.stdout


# -- no id in what all share -------------------------------------------------------------------------------------
def shared_files() -> Iterator[Path]:
    """Every module that must know no optimization."""
    for name in SHARED:
        path = ROOT / "nftui" / name
        yield from [path] if path.is_file() else sorted(path.rglob("*.py"))


def strings_of(path: Path) -> Iterator[tuple[int, str]]:
    """Every string literal with its line, docstrings left out: they name examples."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    statements = {id(n.value) for n in ast.walk(module) if isinstance(n, ast.Expr)}
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in statements:
            yield node.lineno, node.value


def words_of(path: Path) -> Iterator[tuple[int, str]]:
    """What could be an id: string literals, and names of things taken from another module."""
    yield from strings_of(path)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nftui.optimizations."):
            yield node.lineno, (node.module or "").removeprefix("nftui.optimizations.")


ID = re.compile(rf"(?<![A-Za-z0-9_])({'|'.join(IDS)})(?![A-Za-z0-9_])")
NOT_IDS = re.compile(r"\.md\b")
"""The name of a page that a rule came from."""


def test_no_optimization_is_named_where_all_are_served() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text!r}"
        for path in shared_files()
        for line, text in words_of(path)
        if ID.search(text) and not NOT_IDS.search(text)
    ]
    assert not found, "\n".join(found)
