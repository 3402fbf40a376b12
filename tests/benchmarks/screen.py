"""A program on a pseudo-terminal of 80x24 that answers the terminal's queries, and the text that it put there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence

COLUMNS, ROWS = 80, 24
_CONTROL = re.compile(
    rb"\x1b\[(?P<args>[0-9;?>=<]*)[ -/]*(?P<final>[@-~])"
    rb"|\x1b[\]PX^_].*?(?:\x07|\x1b\\)|\x1b[()].|\x1b[^\[\]PX^_]",
    re.S,
)
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-9;?>=<]*[ -/]*|[\]PX^_][^\x07\x1b]*)?\Z")
_ANSWERS = {
    b"\x1b[?2026$p": b"\x1b[?2026;2$y",  # synchronised output: known, off
    b"\x1b[?2048$p": b"\x1b[?2048;0$y",  # in-band resize: unknown
    b"\x1b[c": b"\x1b[?62;22c",
    b"\x1b[6n": b"\x1b[1;1R",
    b"\x1b[?u": b"\x1b[?0u",
}


class Screen:
    """As much of a terminal as Textual uses: text at places, erased lines."""

    def __init__(self) -> None:
        self.rows = [[" "] * COLUMNS for _ in range(ROWS)]
        self.x = self.y = 0
        self._rest = b""

    def lines(self) -> list[str]:
        """The text of each row."""
        return ["".join(row).rstrip() for row in self.rows]

    def feed(self, data: bytes) -> None:
        """Take in what the program wrote."""
        data = self._rest + data
        open_end = _UNFINISHED.search(data)
        self._rest = data[open_end.start() :] if open_end else b""
        data = data[: len(data) - len(self._rest)]
        place = 0
        for found in _CONTROL.finditer(data):
            self._print(data[place : found.start()])
            if found["final"]:
                self._control(found["args"], found["final"])
            place = found.end()
        self._print(data[place:])

    def _print(self, data: bytes) -> None:
        for letter in data.decode("utf-8", "replace"):
            if letter == "\r":
                self.x = 0
            elif letter == "\n":
                self.y = min(ROWS - 1, self.y + 1)
            elif letter >= " " and self.x < COLUMNS:
                self.rows[self.y][self.x] = letter
                self.x += 1

    def _control(self, text: bytes, final: bytes) -> None:
        numbers = [int(n) for n in text.split(b";") if n.isdigit()]
        if final in b"Hf":
            row, column = (*numbers, 1, 1)[:2] if len(numbers) != 1 else (numbers[0], 1)
            self.y, self.x = min(row, ROWS) - 1, min(column, COLUMNS) - 1
        elif final == b"J":
            self.rows = [[" "] * COLUMNS for _ in range(ROWS)]
        elif final == b"K":
            self.rows[self.y][self.x :] = [" "] * (COLUMNS - self.x)


class Program:
    """A child on a terminal of its own; closed by its process id."""

    def __init__(self, command: Sequence[str], cwd: str, env: Mapping[str, str]) -> None:
        self.screen, self.start = Screen(), time.perf_counter()
        self.painted = False
        """Whether it has switched to the alternate screen, where full-screen programs live."""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
            os.chdir(cwd)
            os.execvpe(command[0], list(command), dict(env))  # noqa: S606 - the benchmark's own child

    def read(self, seconds: float) -> bool:
        """Take in what is there within that time; False where nothing came."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        data = os.read(self.fd, 65536)
        if not self.painted and b"\x1b[?1049h" in data:
            self.painted, self.screen = True, Screen()
        for query, answer in _ANSWERS.items():
            if query in data:
                os.write(self.fd, answer)
        self.screen.feed(data)
        return True

    def until(self, shown: Callable[[list[str]], bool], quiet: float = 0.0, limit: float = 60.0) -> tuple[float, float]:
        """When `shown` was true of the screen, and when the last byte before `quiet` seconds of silence came.

        Both are times of the process's clock. Raises TimeoutError with the screen.
        """
        end = time.perf_counter() + limit
        first: float | None = None
        last = time.perf_counter()
        while time.perf_counter() < end:
            came = self.read(quiet or 0.05)
            if came:
                last = time.perf_counter()
            if first is None and shown(self.screen.lines()):
                first = time.perf_counter()
            if first is not None and not (came and quiet):
                return first, last
        raise TimeoutError("\n".join(self.screen.lines()))

    def send(self, keys: str) -> None:
        """Type."""
        os.write(self.fd, keys.encode())

    def close(self) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def showing(*words: str) -> Callable[[list[str]], bool]:
    """Whether all the words are on the screen."""
    return lambda lines: all(any(word in line for line in lines) for word in words)


def changed(before: list[str], rows: Sequence[int]) -> Callable[[list[str]], bool]:
    """Whether one of those rows is another one now."""
    return lambda lines: any(lines[row] != before[row] for row in rows)


__all__ = ["Program", "changed", "showing"]
