"""The wizard as an operator meets it: 80 by 24 in tmux, on a real stack, from the shell prompt back to it."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from tests.e2e.command import ROOT, Nftui, tree
from tests.e2e.terminal import PROMPT, Terminal, plain_environment, terminal
from tests.stack.fixtures import StackFactory
from tests.stack.running import Stack

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]
LIMIT = "limits: { memory: 1G }"


@pytest.fixture
def unlimited_stack(stack_factory: StackFactory) -> Stack:
    """PostgreSQL without a limit of its own: its place in the memory of the host follows its knobs."""
    stack = stack_factory(up=False)
    path = stack.directory / "compose.yaml"
    text = path.read_text()
    assert text.count(LIMIT) == 1
    path.write_text("".join(line for line in text.splitlines(keepends=True) if LIMIT not in line))
    stack.up()
    return stack


def start_command(nftui: Nftui) -> str:
    """`./nftui.sh` where this Python environment was set up by it for this checkout, else the module."""
    stamp = Path(sys.prefix) / "nftui-stamp"
    digest = hashlib.sha256((ROOT / "requirements.lock").read_bytes()).hexdigest()
    words = stamp.read_text().split(" ", 2) if stamp.exists() else []
    if len(words) == 3 and words[0] == digest and words[2].strip() == str(ROOT):
        return f"NFTUI_VENV={shlex.quote(sys.prefix)} {shlex.quote(str(ROOT / 'nftui.sh'))}"
    return shlex.join(nftui.command())


def row_of(screen: str, name: str) -> str:
    """The line of that knob in the list."""
    return next(line for line in screen.splitlines() if line[3:].startswith(f"{name} "))


def memory_of(screen: str) -> str:
    """The memory bar."""
    return next(line for line in screen.splitlines() if line.startswith(" Memory "))


def walk_to_knobs(screen: Terminal, nftui: Nftui, stack: Stack) -> None:
    """The welcome screen names the machine and its stack; Enter leads to the first optimization."""
    screen.type(start_command(nftui))
    screen.press("Enter")
    welcome = screen.sees("optimizations apply here", seconds=90)
    for words in ("GiB memory", "cores", f"Stack     {stack.project} (compose.yaml)", "PostgreSQL tuning", "redis"):
        assert words in welcome, f"{words}\n{welcome}"
    assert "unknown" not in welcome.split("Engine", 1)[1].splitlines()[0]
    screen.press("Enter")
    screen.sees("PostgreSQL tuning [on]", "shared_buffers", "Memory ", "Preview")


def choose(screen: Terminal) -> None:
    """Diff and memory follow each key; a bad value is explained at its field and the last good diff stays."""
    first = screen.sees("▸ shared_buffers")
    assert "256 MB" in row_of(first, "shared_buffers")
    screen.press("Right")
    second = screen.sees("512 MB •", "- shared_buffers=512MB")
    assert memory_of(second) != memory_of(first)
    screen.press("Down", "Down")
    screen.sees("▸ work_mem")
    screen.press("e")
    screen.sees("work_mem = ")
    screen.press("C-u")
    screen.type("1MB")
    screen.sees("work_mem = 1MB", "- work_mem=1MB")
    screen.press("C-u")
    screen.type("fast")
    bad = screen.sees("work_mem: 'fast' is not a size; write it like 512MB or 2GiB")
    assert "- work_mem=1MB" in bad and "1 MB" in row_of(bad, "work_mem")
    screen.press("Enter")
    screen.sees("'fast' is not a size")
    screen.press("C-u")
    screen.type("5GB")
    refused = screen.sees("work_mem = 5GB is refused for postgres", "at most")
    assert "- work_mem=1MB" in refused
    screen.press("C-u")
    screen.type("1280kB")
    screen.press("Enter")
    text = screen.sees("1280 kB •", "- work_mem=1280kB", "space on/off")
    assert "is not a size" not in text and "work_mem = " not in text


def apply(screen: Terminal) -> None:
    """Review says everything, Enter starts nothing, `a` does; without SSH there is no time limit."""
    pages = int(re.findall(r"1 of (\d+)", screen.text)[0])
    for number in range(2, pages + 1):
        screen.press("Enter")
        screen.sees(f"{number} of {pages}")
    screen.press("Enter")
    review = screen.sees("Review: nothing has been changed yet", "recreate postgres", "Apply ", seconds=90)
    assert "[ ] no time limit" in review and "of downtime" in review and "by restart" in review
    screen.press("Enter")
    screen.sees("Press a to apply")
    screen.press("a")
    screen.sees("recreate postgres", "nftui attach")
    ended = screen.sees("The run has ended. Enter shows the result.", seconds=150)
    assert "Applied, verified and kept" in ended
    screen.press("Enter")
    result = screen.sees("values read back from the running services")
    assert "1280 kB" in result


def roll_back(screen: Terminal) -> None:
    """From the result screen, after a question that Enter answers with no."""
    screen.press("R")
    screen.sees("Take this run back?")
    screen.press("Enter")
    screen.sees("values read back")
    screen.press("R")
    screen.sees("Take this run back?", "y    roll back")
    screen.press("y")
    screen.sees("The run has ended", seconds=150)
    screen.press("Enter")
    screen.sees("The state before that run is back.")


def test_from_the_prompt_to_a_tuned_stack_and_back(unlimited_stack: Stack, tmp_path: Path) -> None:
    nftui = Nftui(unlimited_stack.directory, tmp_path / "state")
    before, old = tree(unlimited_stack.directory), unlimited_stack.show("shared_buffers")
    with terminal(unlimited_stack.directory, plain_environment(nftui.environment())) as screen:
        plain = screen.modes
        walk_to_knobs(screen, nftui, unlimited_stack)
        assert screen.modes.startswith("1 ")
        choose(screen)
        apply(screen)
        assert unlimited_stack.show("work_mem") == "1280kB" and unlimited_stack.show("shared_buffers") == "512MB" != old
        roll_back(screen)
        assert unlimited_stack.show("work_mem") == "4MB" and unlimited_stack.show("shared_buffers") == old
        screen.press("q")
        screen.sees(PROMPT.strip())
        assert screen.modes == plain == "0 1 0"
        screen.type("echo $? $((40 + 2))")
        screen.press("Enter")
        screen.sees("\n0 42\n")
    assert tree(unlimited_stack.directory) == before
