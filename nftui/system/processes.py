"""Child processes: one way to run them, without a shell, with a deadline, and never with our stdin.

Everything that nftui runs goes through the `Commands` port, so that a test can put a fake in its place
that logs every effect.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import field
from pathlib import Path
from typing import Protocol

from nftui.model.dataclass import dataclass
from nftui.model.errors import NftuiError
from nftui.model.message import Message, msg
from nftui.system.identity import MARK, Child, ProcessId

TERMINATE_S = 3.0
"""Seconds that a child's group gets between SIGTERM and SIGKILL."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A child that has ended; texts are decoded as UTF-8, what is not valid is replaced."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str = ""
    stderr: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """True where it ended with 0."""
        return self.returncode == 0


class CommandError(NftuiError):
    """A child could not be started, or with `check` ended with another code than 0."""

    def __init__(self, message: Message, completed: Completed | None = None) -> None:
        super().__init__(message)
        self.completed = completed


class CommandMissing(CommandError):
    """There is no such program, or it may not be executed."""


class CommandTimeout(CommandError):
    """The child passed its deadline and was ended with its whole group."""


class Commands(Protocol):
    """Port for child processes."""

    def run(
        self,
        argv: Sequence[str],
        *,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float,
        check: bool = False,
        changes: bool = False,
    ) -> Completed:
        """Run `argv` to its end and return what it said; `timeout` in seconds.

        `input` is its stdin, else /dev/null; `env` replaces the whole environment; `changes` says that it acts and
        does not only look. Raises CommandMissing, CommandTimeout, and with `check` CommandError.
        """
        ...


class LocalCommands:
    """Children of this process, each in a session of its own.

    The session keeps a Ctrl-C of the terminal away from a half-done `docker compose up`: who interrupts
    nftui interrupts nftui, which ends its children itself.
    """

    def __init__(self) -> None:
        self.on_child: Callable[[Child], None] | None = None
        """Told of each child that changes something, before it can: what it raises keeps the child from beginning.

        A run writes the child to its journal here, so that recovery finds it (engine.md 6: children outlive a
        killed parent).
        """

    def run(
        self,
        argv: Sequence[str],
        *,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float,
        check: bool = False,
        changes: bool = False,
    ) -> Completed:
        """See Commands.run."""
        started, piped = time.monotonic(), input is not None
        with ExitStack() as closing:
            said = None
            if changes and self.on_child is not None:
                said = _Said(closing)
                child = _start_told(argv, env, cwd, self.on_child, said, piped=piped)
            else:
                child = _start(argv, env, cwd, piped=piped)
            out, err = _wait(child, argv, input, timeout)
            out, err = said.read() if said else (out, err)
        done = Completed(tuple(argv), child.returncode, _text(out), _text(err), time.monotonic() - started)
        if check and not done.ok:
            raise CommandError(_failure(done), done)
        return done


def _wait(
    child: subprocess.Popen[bytes], argv: Sequence[str], input: str | None, timeout: float
) -> tuple[bytes | None, bytes | None]:
    _running.add(child)
    try:
        return child.communicate(None if input is None else input.encode(), timeout=timeout)
    except subprocess.TimeoutExpired:
        end_group(child)
        raise CommandTimeout(
            msg("{program} did not finish within {seconds} s", program=_shown(argv), seconds=round(timeout, 1)),
        ) from None
    except BaseException:
        end_group(child)
        raise
    finally:
        _running.discard(child)


class _Said:
    """What a child says, in memory instead of a pipe.

    At a pipe whose reader died, Compose dies at its next word, with a container stopped and none started.
    """

    def __init__(self, closing: ExitStack) -> None:
        self.out, self.err = (closing.enter_context(os.fdopen(os.memfd_create(n), "w+b")) for n in ("out", "err"))

    def read(self) -> tuple[bytes, bytes]:
        """(stdout, stderr) of a child that has ended."""
        self.out.seek(0)
        self.err.seek(0)
        return self.out.read(), self.err.read()


_GATE = 'read -r go <"/proc/self/fd/$0" && exec "$@"'
"""Wait for a line on the pipe whose number is $0, then become the command. The parent's death closes the pipe, and
the command never begins."""


def _start_told(
    argv: Sequence[str],
    env: Mapping[str, str] | None,
    cwd: str | None,
    on_child: Callable[[Child], None],
    said: _Said,
    *,
    piped: bool,
) -> subprocess.Popen[bytes]:
    """A marked child that begins only after `on_child` has returned."""
    gate, key = os.pipe()
    mark = Child.new_mark()
    marked = {**(os.environ if env is None else env), MARK: mark}
    try:
        child = _start(["sh", "-c", _GATE, str(gate), *argv], marked, cwd, piped=piped, keep=(gate,), said=said)
        try:
            on_child(Child(ProcessId.of(child.pid), mark, _shown(argv)))
        except BaseException:
            end_group(child)
            raise
        os.write(key, b"\n")
        return child
    finally:
        os.close(gate)
        os.close(key)


def _start(
    argv: Sequence[str],
    env: Mapping[str, str] | None,
    cwd: str | None,
    *,
    piped: bool,
    keep: tuple[int, ...] = (),
    said: _Said | None = None,
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
            stdout=said.out if said else subprocess.PIPE,
            stderr=said.err if said else subprocess.PIPE,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
            pass_fds=keep,
        )
    except FileNotFoundError as error:
        if cwd is not None and not Path(cwd).is_dir():
            raise CommandMissing(msg("{directory} is not a directory", directory=cwd)) from error
        raise CommandMissing(msg("{program} is not installed", program=argv[0])) from error
    except PermissionError as error:
        raise CommandMissing(msg("{program} may not be executed", program=argv[0])) from error


_PASSES = 20
"""A process may start another one while its session is being ended: until a pass finds none."""
_running: set[subprocess.Popen[bytes]] = set()
"""Children that a thread waits for. Compose given a bomb of anchors never ends: nftui must not leave it behind."""


@atexit.register
def _end_all() -> None:
    """At the end of nftui nobody waits for an answer any more."""
    for child in tuple(_running):
        _kill_session(child.pid)


def _kill_session(leader: int) -> None:
    """SIGKILL for every process of that session.

    The Docker CLI starts its plugins in groups of their own, so that ending its group leaves Compose behind.
    """
    for _ in range(_PASSES):
        found = _in_session(leader)
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _in_session(leader: int) -> list[int]:
    """Living processes of that session (field 6 of /proc/PID/stat)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return found


def end_group(child: subprocess.Popen[bytes]) -> None:
    """End `child` and every process of its group: SIGTERM, then SIGKILL after TERMINATE_S seconds."""
    for sign, patience in ((signal.SIGTERM, TERMINATE_S), (signal.SIGKILL, TERMINATE_S)):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, sign)
        try:
            child.communicate(timeout=patience)
        except (subprocess.TimeoutExpired, ValueError):
            continue
        else:
            break
    # A grandchild that ignored SIGTERM may outlive the child that has just been reaped.
    _kill_session(child.pid)


def _failure(done: Completed) -> Message:
    said = [line for line in done.stderr.strip().splitlines() if line.strip()]
    return msg(
        "{program} failed with {code}: {reason}",
        program=_shown(done.argv),
        code=done.returncode,
        reason=said[-1].strip() if said else "-",
    )


def _shown(argv: Sequence[str]) -> str:
    """Program and subcommand only: further arguments can hold secrets."""
    return " ".join([argv[0], *(a for a in argv[1:2] if a.isalpha())])


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")


@dataclass
class FakeCommands:
    """For tests: answers from a table, logs every call.

    `answers` maps a prefix of argv, or any run of arguments inside it, to what comes back; the longest
    match wins. A value may be an exception, which is raised.
    """

    answers: Mapping[tuple[str, ...], Completed | Exception] = field(default_factory=dict)
    log: list[tuple[str, ...]] = field(default_factory=list)
    environments: list[Mapping[str, str] | None] = field(default_factory=list)
    inputs: list[str | None] = field(default_factory=list)

    def run(
        self,
        argv: Sequence[str],
        *,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float,
        check: bool = False,
        changes: bool = False,
    ) -> Completed:
        """See Commands.run."""
        self.log.append(tuple(argv))
        self.environments.append(env)
        self.inputs.append(input)
        found = [key for key in self.answers if _contains(argv, key)]
        if not found:
            raise CommandMissing(msg("{program} is not installed", program=argv[0]))
        answer = self.answers[max(found, key=len)]
        if isinstance(answer, Exception):
            raise answer
        if check and not answer.ok:
            raise CommandError(_failure(answer), answer)
        return answer


def _contains(argv: Sequence[str], run: tuple[str, ...]) -> bool:
    return any(tuple(argv[i : i + len(run)]) == run for i in range(len(argv) - len(run) + 1))
