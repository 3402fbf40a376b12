"""A terminal of the test's own: tmux on a private socket, keys in, the screen's text out; it polls."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROMPT = "ready$ "


@dataclass(frozen=True)
class Terminal:
    """One shell in one pane."""

    socket: str

    def tmux(self, *arguments: str, check: bool = True) -> str:
        """What that tmux command printed."""
        done = subprocess.run(
            ["tmux", "-L", self.socket, "-f", "/dev/null", *arguments],
            capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"tmux {arguments}: {done.stderr}"
        return done.stdout

    @property
    def text(self) -> str:
        """The screen, one line per row."""
        return self.tmux("capture-pane", "-p")

    @property
    def modes(self) -> str:
        """Alternate screen, cursor, mouse: "0 1 0" at a plain shell."""
        return self.tmux("display", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}").strip()

    def press(self, *keys: str) -> None:
        """Keys by tmux's names."""
        self.tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """The letters as they are."""
        self.tmux("send-keys", "-l", text)

    def sees(self, *words: str, seconds: float = 60) -> str:
        """Wait until all of `words` stand on the screen; return its text."""
        deadline = time.monotonic() + seconds
        while not all(word in (text := self.text) for word in words):
            missing = [word for word in words if word not in text]
            assert time.monotonic() < deadline, f"not on the screen within {seconds} s: {missing}\n{text}"
            time.sleep(0.1)
        return text


@contextmanager
def terminal(directory: Path, environment: Mapping[str, str], size: tuple[int, int] = (80, 24)) -> Iterator[Terminal]:
    """A plain bash in `directory`; its tmux server is gone afterwards."""
    found = Terminal(f"nftuit-{secrets.token_hex(4)}")
    width, height = size
    shell = ["env", "-i", *(f"{k}={v}" for k, v in {**environment, "PS1": PROMPT}.items())]
    shell += [shutil.which("bash") or "/bin/bash", "--norc", "--noprofile"]
    found.tmux("new-session", "-d", "-x", str(width), "-y", str(height), "-c", str(directory), *shell)
    try:
        found.sees(PROMPT.strip(), seconds=20)
        yield found
    finally:
        found.tmux("kill-server", check=False)


def plain_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What an operator's shell has: UTF-8, colours, no connection by SSH."""
    hidden = ("SSH_CONNECTION", "SSH_TTY", "NO_COLOR", "TMUX", "TMUX_PANE", "LC_ALL", "TERM")
    kept = {k: v for k, v in environment.items() if k not in hidden and not k.startswith("BASH_FUNC_")}
    return {**kept, "LANG": "C.UTF-8", "TERM": "tmux-256color" if has_terminfo("tmux-256color") else "screen-256color"}


def has_terminfo(name: str) -> bool:
    """Whether this machine describes that terminal."""
    places = ("/usr/share/terminfo", "/lib/terminfo", "/etc/terminfo", Path.home() / ".terminfo")
    return any(Path(place, name[0], name).exists() for place in places)
