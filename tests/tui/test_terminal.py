"""The wizard in a real pseudo-terminal: it ends cleanly when told to, and gives the terminal back."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

PROGRAM = """
from tests.tui.fakes import AWAITING, FakeSession, ProjectStatus
from nftui.tui.app import run_wizard
session = FakeSession()
session.project = ProjectStatus("running", "0007-apply", 1)
session.script.put(AWAITING)
raise SystemExit(run_wizard(session, ssh=True))
"""


def read_until(terminal: int, mark: bytes, limit_s: float = 20.0) -> bytes:
    """What the wizard wrote, up to and with `mark`."""
    seen, end = b"", time.monotonic() + limit_s
    while mark not in seen:
        if not select.select([terminal], [], [], max(0.0, end - time.monotonic()))[0]:
            raise AssertionError(f"{mark!r} did not come: {seen[-2000:]!r}")
        seen += os.read(terminal, 65536)
    return seen


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_wizard_and_not_the_run(number: signal.Signals) -> None:
    root = Path(__file__).parents[2]
    environ = {**os.environ, "PYTHONPATH": str(root), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    terminal, inner = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    command = [sys.executable, "-c", PROGRAM]
    child = subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, env=environ, start_new_session=True)
    os.close(inner)
    try:
        read_until(terminal, b"going on")
        os.write(terminal, b"a")
        read_until(terminal, b"Keep these changes?")
        child.send_signal(number)
        read_until(terminal, b"\x1b[?1049l")
        assert child.wait(10) == 12
    finally:
        child.kill()
        child.wait()
        os.close(terminal)
