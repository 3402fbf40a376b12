"""The wizard in a real pseudo-terminal: it ends cleanly when told to, and gives the terminal back."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import pytest

PROGRAM = """
import sys
from tests.tui.fakes import AWAITING, FakeSession, ProjectStatus
from nftui.tui.app import run_wizard
session = FakeSession()
session.project = ProjectStatus("running", "0007-apply", 1)
session.script.put(AWAITING)
raise SystemExit(run_wizard(session, ssh='ssh' in sys.argv))
"""


def read_until(terminal: int, mark: bytes, limit_s: float = 20.0) -> bytes:
    """What the wizard wrote, up to and with `mark`."""
    seen, end = b"", time.monotonic() + limit_s
    while mark not in seen:
        if not select.select([terminal], [], [], max(0.0, end - time.monotonic()))[0]:
            raise AssertionError(f"{mark!r} did not come: {seen[-2000:]!r}")
        seen += os.read(terminal, 65536)
    return seen


MODES = re.compile(rb"\x1b\[\?([0-9;]+)([hl])")
NORMAL = {b"25": b"h", b"7": b"h"}
"""Modes that a plain terminal has on: the cursor is seen, long lines wrap."""


def modes_left(seen: bytes) -> dict[bytes, bytes]:
    """Modes that were set and not put back: alternate screen, mouse, focus, bracketed paste."""
    last = {mode: word for modes, word in MODES.findall(seen) for mode in modes.split(b";")}
    return {mode: word for mode, word in last.items() if word != NORMAL.get(mode, b"l")}


def drain(terminal: int) -> bytes:
    """What is left to read; a terminal without a program at its other end says EIO."""
    seen = b""
    with suppress(OSError):
        while select.select([terminal], [], [], 1.0)[0]:
            seen += os.read(terminal, 65536)
    return seen


@pytest.mark.parametrize("words", [(), ("ssh",)], ids=["here", "ssh"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_wizard_and_not_the_run(number: signal.Signals, words: tuple[str, ...]) -> None:
    root = Path(__file__).parents[2]
    environ = {**os.environ, "PYTHONPATH": str(root), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    terminal, inner = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    before = termios.tcgetattr(terminal)
    command = [sys.executable, "-c", PROGRAM, *words]
    child = subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, env=environ, start_new_session=True)
    try:
        seen = read_until(terminal, b"going on")
        os.write(terminal, b"a")
        seen += read_until(terminal, b"Keep these changes?")
        assert (b"\x1b[?1000h" in seen) is not bool(words), "the mouse is the terminal's own over SSH"
        assert b"1049" in modes_left(seen)
        child.send_signal(number)
        assert child.wait(20) == 12
        seen += drain(terminal)
        assert modes_left(seen) == {}
        assert termios.tcgetattr(terminal) == before, "echo and line editing did not come back"
    finally:
        child.kill()
        child.wait()
        os.close(inner)
        os.close(terminal)
