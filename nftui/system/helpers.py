"""Containers in which a step works: labelled, without a network, and gone when it is done (engine.md 6)."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Protocol

from nftui.model.dataclass import dataclass
from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.system.endpoint import Endpoint
from nftui.system.namespaces import dial
from nftui.system.processes import Commands, end_group

_START_S = 60.0
_LOOK_S = 0.2
"""Seconds that one look at a program waits for its end."""
_END_TOLD_S = 3.0
"""Seconds that an engine may take to tell that a program has ended; after them it is one of another machine."""
_IDLE = "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done"


@dataclass(frozen=True, slots=True)
class Server:
    """How a helper runs the server of its image; what is empty is the image's own."""

    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    """Secrets too: they never stand on a command line of nftui's."""
    reads: Mapping[str, str] = field(default_factory=dict)
    """Path inside to a file or directory of this machine that it only reads: configuration, secrets."""
    user: str = ""
    memory_bytes: int = 0
    """The limit of its memory; 0 is none."""


class OutOfReach(NftuiError):
    """This process may not speak with a server that has no network."""


class Work(Protocol):
    """A program at work in a helper."""

    def poll(self) -> tuple[int, str, str] | None:
        """(exit code, stdout, stderr) once it has ended; waits for a moment."""
        ...

    def end(self) -> None:
        """Wait for it no longer; what it does in the helper ends with that one."""
        ...


class HelperCalls(Protocol):
    """Helpers of a run."""

    def start(self, image: str, labels: Mapping[str, str], mounts: Mapping[str, str], *, shm_bytes: int = 0) -> str:
        """The id of a container of `image` that does nothing; `mounts`: path inside to directory of this machine."""
        ...

    def serve(self, image: str, labels: Mapping[str, str], mounts: Mapping[str, str], server: Server) -> str:
        """The id of a helper whose program is the image's server; it may end by itself."""
        ...

    def alive(self, helper: str) -> bool:
        """Whether its program runs."""
        ...

    def dial(self, helper: str, port: int, timeout_s: float) -> socket.socket:
        """A TCP connection to that port of it. Raises OSError, and OutOfReach where that will never be."""
        ...

    def work(self, helper: str, argv: Sequence[str], *, user: str = "") -> Work:
        """A program in it; the image's own user where none is named."""
        ...

    def remove(self, helper: str) -> None:
        """With all that runs in it; one that is gone is fine."""
        ...


@dataclass
class _Child:
    child: subprocess.Popen[bytes]

    def poll(self) -> tuple[int, str, str] | None:
        try:
            out, err = self.child.communicate(timeout=_LOOK_S)
        except subprocess.TimeoutExpired:
            return None
        return self.child.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")

    def end(self) -> None:
        if self.child.poll() is None:
            end_group(self.child)


@dataclass(frozen=True)
class DockerHelpers:
    """Helpers on one engine of this machine."""

    endpoint: Endpoint
    commands: Commands

    def _docker(self, *arguments: str) -> str:
        argv = ["docker", *self.endpoint.arguments, *arguments]
        return self.commands.run(argv, timeout=_START_S, check=True, changes=True).stdout.strip()

    def start(self, image: str, labels: Mapping[str, str], mounts: Mapping[str, str], *, shm_bytes: int = 0) -> str:
        """See HelperCalls. Raises NftuiError."""
        memory = [f"--shm-size={shm_bytes}"] if shm_bytes else []
        return self._docker(
            "run", "--detach", "--pull=never", "--network=none", "--user=0:0", *_marks(labels), *_binds(mounts),
            *memory, "--entrypoint=sh", image, "-c", _IDLE,
        )  # fmt: skip

    def serve(self, image: str, labels: Mapping[str, str], mounts: Mapping[str, str], server: Server) -> str:
        """See HelperCalls. Raises NftuiError.

        Variables go through stdin, as the CLI reads them from a file; such a file cannot hold values of several lines.
        """
        plain = {name: value for name, value in server.environment.items() if "\n" not in value}
        long = {name: value for name, value in server.environment.items() if "\n" in value}
        options = [f"--env={name}" for name in long]
        options += [f"--user={server.user}"] if server.user else []
        options += [f"--memory={server.memory_bytes}"] if server.memory_bytes else []
        options += [f"--entrypoint={server.entrypoint[0]}"] if server.entrypoint else []
        argv = [
            "docker", *self.endpoint.arguments, "run", "--detach", "--pull=never", "--network=none", *_marks(labels),
            *_binds(mounts), *_binds(server.reads, ",readonly"), "--env-file=/dev/stdin", *options, image,
            *server.entrypoint[1:], *server.command,
        ]  # fmt: skip
        lines = "".join(f"{name}={value}\n" for name, value in plain.items())
        env = {**os.environ, **long}
        return self.commands.run(argv, input=lines, env=env, timeout=_START_S, check=True, changes=True).stdout.strip()

    def alive(self, helper: str) -> bool:
        """See HelperCalls. One that is gone does not run."""
        return self._state(helper, "Running") == "true"

    def dial(self, helper: str, port: int, timeout_s: float) -> socket.socket:
        """See HelperCalls. It has no network: the way in is its own loopback, which root can enter."""
        pid = self._state(helper, "Pid")
        if not pid.isdigit() or pid == "0":
            raise ConnectionRefusedError("it does not run")
        try:
            return dial(int(pid), port, timeout_s)
        except (PermissionError, FileNotFoundError) as error:
            if self._ends(helper, pid):
                raise ConnectionRefusedError("it does not run any more") from error
            raise OutOfReach(msg("Only root can speak with a server without a network, and only on its own machine: "
                                 "{why}.", why=error.strerror or "")) from error  # fmt: skip

    def _ends(self, helper: str, pid: str) -> bool:
        """Whether that process of it is no longer: the engine tells of an end a moment after it."""
        deadline = time.monotonic() + _END_TOLD_S
        while self._state(helper, "Pid") == pid:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_S)
        return True

    def _state(self, helper: str, name: str) -> str:
        """ "" where there is no such container."""
        argv = ["docker", *self.endpoint.arguments, "inspect", f"--format={{{{.State.{name}}}}}", helper]
        return self.commands.run(argv, timeout=_START_S).stdout.strip()

    def work(self, helper: str, argv: Sequence[str], *, user: str = "") -> Work:
        """See HelperCalls. The client is no child of the journal: what it started ends with the helper."""
        who = ["--user", user] if user else []
        command = ["docker", *self.endpoint.arguments, "exec", *who, helper, *argv]
        return _Child(
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        )

    def remove(self, helper: str) -> None:
        """See HelperCalls."""
        argv = ["docker", *self.endpoint.arguments, "rm", "--force", "--volumes", helper]
        done = self.commands.run(argv, timeout=_START_S, changes=True)
        if not done.ok and "No such container" not in done.stderr:
            raise NftuiError(msg("The helper container {id} could not be removed: {why}", id=helper[:12],
                                 why=done.stderr.strip()))  # fmt: skip


def _marks(labels: Mapping[str, str]) -> list[str]:
    return [f"--label={name}={value}" for name, value in labels.items()]


def _binds(mounts: Mapping[str, str], how: str = "") -> list[str]:
    bad = next((path for path in mounts.values() if "," in path), None)
    if bad:
        raise NftuiError(msg("{path} holds a comma; the engine cannot mount it by its path.", path=bad))
    return [f"--mount=type=bind,source={source},target={target}{how}" for target, source in mounts.items()]
