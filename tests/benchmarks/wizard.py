"""The wizard on a terminal of 80x24 against a bare Textual app; from a key to the preview; the draft's own time.

First frame: the first text on the screen (the wizard then says what it waits for, before the stack is read).
Settled: the last byte before 0.4 s of silence, once the stack is on the screen. Both from the start of the process;
the pairs are interleaved. A key is over with the last byte before 0.1 s of silence, once a row other than the field
itself has changed. The aims: first frame <= 1.5x of the bare app, key to preview p95 <= 50 ms, draft <= 15 ms.

Run: python -m tests.benchmarks.wizard [--rounds 7] [--keys 40]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.benchmarks.screen import Program, changed, showing
from tests.benchmarks.stacks import write_stack
from tests.benchmarks.startup import NFTUI, ROOT
from tests.benchmarks.timing import interleave, report

BARE = """from textual.app import App
from textual.widgets import Static
class Bare(App):
    def compose(self):
        yield Static("hello")
Bare().run()
"""
MIRROR = """from textual.app import App
from textual.widgets import Input, Static
class Mirror(App):
    def compose(self):
        yield Input()
        yield Static("hello")
    def on_input_changed(self, event):
        self.query_one(Static).update(event.value)
Mirror().run()
"""
"""The least that a key can take: a field, and a line that repeats it."""
HOME, DELETE, DOWN = "\x1b[H", "\x1b[3~", "\x1b[B"
QUIET_S, KEY_QUIET_S = 0.4, 0.1
READ = showing(" Engine ", " Findings ")
"""Words of the welcome screen once the stack was read."""


def main() -> None:
    """Print every figure of this file."""
    parser = argparse.ArgumentParser()
    for name, default in (("rounds", 7), ("keys", 40)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        stack = write_stack(base / "s26", 26)
        (base / "bare.py").write_text(BARE)
        env = _environment(base)
        _frames(base, stack, env, options.rounds)
        (base / "mirror.py").write_text(MIRROR)
        _keys(base, stack, env, options.keys)
        _draft(stack, base / "state")


def _environment(base: Path) -> dict[str, str]:
    """Bytecode beside an installed nftui; a terminal that knows colours; no SSH."""
    left_out = ("PYTHONDONTWRITEBYTECODE", "SSH_CONNECTION", "SSH_TTY", "NO_COLOR")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return {
        **kept, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "PYTHONPYCACHEPREFIX": str(base / "bytecode"),
        "NFTUI_STATE_DIR": str(base / "state"), "TERM": "xterm-256color", "LANG": "C.UTF-8",
    }  # fmt: skip


def _frames(base: Path, stack: Path, env: Mapping[str, str], rounds: int) -> None:
    bare = [sys.executable, "-P", str(base / "bare.py")]
    programs: dict[str, tuple[Sequence[str], str, Callable[[list[str]], bool]]] = {
        "bare Textual app": (bare, str(base), showing("hello")),
        "nftui PROJECT": ([*NFTUI, str(stack)], str(stack), READ),
        "nftui demo": ([*NFTUI, "demo"], str(base), READ),
    }
    settled: dict[str, list[float]] = {name: [] for name in programs}

    def start(name: str) -> float:
        first, last = _start(*programs[name], env)
        settled[name].append(last)
        return first

    found = interleave({name: lambda name=name: start(name) for name in programs}, rounds)  # type: ignore[misc]
    report("wizard, first frame", found, "bare Textual app", "<= 1.5x")
    without_warm_up = {name: values[1:] for name, values in settled.items()}
    report("wizard, settled", without_warm_up, "bare Textual app")


def _start(
    command: Sequence[str], cwd: str, shown: Callable[[list[str]], bool], env: Mapping[str, str]
) -> tuple[float, float]:
    """Seconds to the first text, and to the last byte once `shown`."""
    program = Program(command, cwd, env)
    try:
        # The message of `demo` and the like stands on the ordinary screen: the application's own is what counts.
        first, _ = program.until(lambda lines: program.painted and any(line.strip() for line in lines))
        _, last = program.until(shown, QUIET_S)
        return first - program.start, last - program.start
    finally:
        program.close()


def _keys(base: Path, stack: Path, env: Mapping[str, str], keys: int) -> None:
    mirror = Program([sys.executable, "-P", str(base / "mirror.py")], str(base), env)
    wizard = Program([*NFTUI, str(stack)], str(stack), env)
    try:
        mirror.until(showing("hello"), QUIET_S)
        wizard.until(READ, QUIET_S)
        wizard.send("\r")
        wizard.until(showing("Preview"), QUIET_S)
        for key in (DOWN, "e", HOME):  # effective_cache_size: any size is a valid one
            wizard.send(key)
            wizard.until(lambda lines: True, QUIET_S)
        found: dict[str, list[float]] = {"Textual field and line": [], "nftui, field to preview": []}
        for number in range(keys + 2):
            key = DELETE if number % 2 else "1"
            found["Textual field and line"].append(_key(mirror, key, (0, 1, 2)))
            found["nftui, field to preview"].append(_key(wizard, key, _field(wizard)))
    finally:
        mirror.close()
        wizard.close()
    found = {name: values[2:] for name, values in found.items()}
    report("one key", found, "Textual field and line")
    for name, values in found.items():
        print(f"  {name:<34} p95 {_p95(values) * 1000:.0f} ms   (aim for nftui <= 50 ms)")


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]


def _field(program: Program) -> tuple[int, ...]:
    """The row in which the value is typed."""
    lines = program.screen.lines()
    return (next(n for n, line in enumerate(lines) if line.startswith(" effective_cache_size = ")),)


def _key(program: Program, key: str, field: Sequence[int]) -> float:
    """Type a key that makes another valid value; the cursor stays in front of it."""
    if key == DELETE:
        program.send(HOME)
        program.until(lambda lines: True, KEY_QUIET_S)
    before = program.screen.lines()
    start = time.perf_counter()
    program.send(key)
    _, last = program.until(changed(before, [n for n in range(len(before)) if n not in field]), KEY_QUIET_S)
    return last - start


def _draft(stack: Path, state: Path) -> None:
    from nftui.model.stack import ProjectRequest
    from nftui.session import Session

    session = Session(ProjectRequest(path=str(stack)), state_dir=state)
    choices, _ = session.choices()
    session.draft(choices)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        session.draft(choices)
        times.append(time.perf_counter() - start)
    print(f"draft, 26 services   (aim 15 ms)\n  median {statistics.median(times) * 1000:.1f} ms")


if __name__ == "__main__":
    main()
