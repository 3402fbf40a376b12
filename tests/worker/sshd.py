"""An SSH server of the test's own on the loopback, and logins to it that can be cut."""

from __future__ import annotations

import os
import pty
import secrets
import select
import shlex
import shutil
import signal
import socket
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.stack.running import wait_until

PROGRAM = "/usr/sbin/sshd"


def why_not() -> str | None:
    """What is missing for a server of our own, None where nothing is."""
    missing = [p for p in (PROGRAM, "ssh", "ssh-keygen") if shutil.which(p) is None]
    return f"{', '.join(missing)} not installed" if missing else None


@dataclass
class Login:
    """One login with a terminal of 80 by 24."""

    client: subprocess.Popen[bytes]
    terminal: int
    seen: bytes = field(default=b"")

    def sees(self, mark: bytes, limit_s: float = 90.0) -> bytes:
        """Read until `mark` came; all that was seen."""
        end = time.monotonic() + limit_s
        while mark not in self.seen:
            ready = select.select([self.terminal], [], [], max(0.0, end - time.monotonic()))[0]
            assert ready, f"{mark!r} did not come: {self.seen[-1500:]!r}"
            self.seen += os.read(self.terminal, 65536)
        return self.seen

    def cut(self) -> None:
        """The connection is gone, without a word to the other end."""
        with suppress(ProcessLookupError):
            self.client.send_signal(signal.SIGKILL)
        self.client.wait()


@dataclass(frozen=True)
class Server:
    """The server's port and the client's key."""

    port: int
    directory: Path

    @contextmanager
    def login(self, command: Sequence[str], where: Path, environ: Mapping[str, str]) -> Iterator[Login]:
        """Log in and run `command` there on a terminal; cut off at the end."""
        names = ("PATH", "PYTHONPATH", "PYTHONSAFEPATH", "NFTUI_STATE_DIR", "DOCKER_HOST")
        variables = [f"{n}={environ[n]}" for n in names if n in environ]
        line = f"cd {shlex.quote(str(where))} && exec {shlex.join(['env', 'LANG=C.UTF-8', *variables, *command])}"
        options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "LogLevel=ERROR")
        terminal, inner = pty.openpty()
        termios.tcsetwinsize(inner, (24, 80))
        client = subprocess.Popen(
            ["ssh", "-F", "none", "-tt", "-p", str(self.port), "-i", str(self.directory / "key"),
             *(part for o in options for part in ("-o", o)), "127.0.0.1", line],
            stdin=inner, stdout=inner, stderr=inner, env={**os.environ, "TERM": "xterm-256color"},
            start_new_session=True,
        )  # fmt: skip
        os.close(inner)
        login = Login(client, terminal)
        try:
            yield login
        finally:
            login.cut()
            os.close(terminal)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def server(directory: Path) -> Iterator[Server]:
    """It runs until the end; its own configuration, host key and one key that may log in."""
    for name in ("host", "key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", secrets.token_hex(4)]
        subprocess.run([*command, "-f", str(directory / name)], check=True, stdin=subprocess.DEVNULL)
    port, config = _free_port(), directory / "config"
    # Where sshd parts with its rights, an empty directory: Debian's own is made by its service only.
    made = not (place := Path("/run/sshd")).exists()
    if os.geteuid() == 0 and made:
        place.mkdir(mode=0o755)
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {directory}/host\nAuthorizedKeysFile {directory}/key.pub\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nPidFile none\n"
    )
    log = (directory / "log").open("wb")
    process = subprocess.Popen([PROGRAM, "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, stderr=log)
    try:
        wait_until(lambda: _listens(port), what="the SSH server")
        yield Server(port, directory)
    finally:
        process.terminate()
        process.wait()
        log.close()
        if os.geteuid() == 0 and made:
            place.rmdir()


def _listens(port: int) -> bool:
    with socket.socket() as found:
        return found.connect_ex(("127.0.0.1", port)) == 0
