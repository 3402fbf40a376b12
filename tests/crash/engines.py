"""A second Docker Engine, to be stopped and started at will: the one that all share is left alone.

`python -m tests.crash.engines stop|start|restart DIRECTORY` does it from within a run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NUMBER = 220 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 30
"""Processes of one test run side by side have an engine each."""
POOL = f"base=10.{NUMBER}.0.0/17,size=24"
"""Addresses that the shared engine does not give to its networks."""
BRIDGE_ADDRESS = f"10.{NUMBER}.255.1/24"
SHARED_BRIDGE = "docker0"
PATIENCE_S = 180
"""Of a machine that does much else; nothing is measured by it."""


@dataclass(frozen=True)
class OwnEngine:
    """An engine with all its files below one directory, short: a socket's path has 107 characters at most."""

    directory: Path

    @property
    def host(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self.directory}/socket"

    @property
    def _bridge(self) -> str:
        """A bridge of its own: an engine that is told to have none takes docker0 away from the shared one."""
        return f"nft-{self.directory.name[-8:]}"

    def open(self) -> None:
        """Its bridge, and start."""
        subprocess.run(["ip", "link", "add", self._bridge, "type", "bridge"], check=True)
        subprocess.run(["ip", "address", "add", BRIDGE_ADDRESS, "dev", self._bridge], check=True)
        subprocess.run(["ip", "link", "set", self._bridge, "up"], check=True)
        self.start()

    def close(self) -> None:
        """Stop, and leave nothing behind; its data directory is a mount of its own."""
        self.stop()
        subprocess.run(["umount", "--recursive", f"{self.directory}/data"], capture_output=True, check=False)
        subprocess.run(["ip", "link", "delete", self._bridge], capture_output=True, check=False)

    @property
    def _pid(self) -> int | None:
        try:
            return int((self.directory / "pid").read_text())
        except (OSError, ValueError):
            return None

    def command(self, what: str) -> list[str]:
        """What does it from within a run."""
        return [sys.executable, "-P", "-m", "tests.crash.engines", what, str(self.directory)]

    def start(self) -> None:
        """Start it and wait until it answers."""
        place = self.directory
        arguments = [
            "setsid", "--fork", "dockerd",
            f"--data-root={place}/data", f"--exec-root={place}/exec", f"--pidfile={place}/pid",
            f"--host={self.host}", f"--bridge={self._bridge}", "--iptables=false", "--ip6tables=false",
            f"--default-address-pool={POOL}", "--storage-driver=overlay2",
        ]  # fmt: skip
        with _shared_bridge_kept(), (place / "log").open("ab") as log:
            subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True)
            self._wait(lambda: self._docker("info").returncode == 0, "its answer")

    def stop(self) -> None:
        """As its init system would: containers are stopped, then it ends."""
        pid = self._pid
        if pid is None:
            return
        os.kill(pid, signal.SIGTERM)
        # Its containerd is a child that ends by itself, a little later: the next one needs the same socket.
        self._wait(lambda: not Path(f"/proc/{pid}").exists(), "its end")
        note = self.directory / "exec" / "containerd" / "containerd.pid"
        child = note.read_text().strip() if note.exists() else ""
        self._wait(lambda: not child or not Path(f"/proc/{child}").exists(), "the end of its containerd")

    def load(self, image: str) -> None:
        """Copy an image from the shared engine."""
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as source:
            load = ["docker", "-H", self.host, "load", "-q"]
            subprocess.run(load, stdin=source.stdout, stdout=subprocess.DEVNULL, check=True)

    def _docker(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["docker", "-H", self.host, *arguments], capture_output=True, check=False)

    def _wait(self, condition: object, what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not (callable(condition) and condition()):
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{what}: not within {PATIENCE_S} s\n{(self.directory / 'log').read_text()[-2000:]}"
                )
            time.sleep(0.1)


@contextmanager
def _shared_bridge_kept() -> Iterator[None]:
    """An engine that starts again with a bridge of its own deletes docker0, which is the shared one's [M, 28.2]."""

    def addresses() -> list[str]:
        words = ["ip", "-4", "-o", "address", "show", "dev", SHARED_BRIDGE]
        found = subprocess.run(words, capture_output=True, text=True, check=False).stdout
        return [line.split()[3] for line in found.splitlines()]

    before = addresses()
    yield
    if before and not addresses():
        subprocess.run(["ip", "link", "add", SHARED_BRIDGE, "type", "bridge"], check=True)
        for address in before:
            subprocess.run(["ip", "address", "add", address, "broadcast", "+", "dev", SHARED_BRIDGE], check=True)
        subprocess.run(["ip", "link", "set", SHARED_BRIDGE, "up"], check=True)


@contextmanager
def own_engine(directory: Path) -> Iterator[OwnEngine]:
    """Started, and stopped at the end."""
    engine = OwnEngine(directory)
    try:
        engine.open()
        yield engine
    finally:
        engine.close()


if __name__ == "__main__":
    found = OwnEngine(Path(sys.argv[2]))
    if sys.argv[1] in ("stop", "restart"):
        found.stop()
    if sys.argv[1] in ("start", "restart"):
        found.start()
