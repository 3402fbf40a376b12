"""Starts a run's worker where no terminal, logout or clean-up ends it, and starts it again should it die (engine.md 8).

The guardian waits for the worker. Where it dies before its journal has ended (SIGKILL, no memory left), the next one
recovers the run by its steps' policy, so that nothing stays half-done while the machine is up. Guardian and worker
share a process group; a step's children have sessions of their own.

NFTUI_GUARDIAN=none is for tests: the worker runs without a guardian, and what it leaves stays until `recover`.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nftui.engine.follow import load
from nftui.engine.journal import RunView, read_journal
from nftui.engine.state import write_json
from nftui.model.errors import ExitCode, NftuiError
from nftui.model.message import msg
from nftui.system.identity import ProcessId

RESTARTS = 3
_PAUSES_S = (0.0, 2.0, 10.0)
"""Before each restart: what killed the first worker may still be there."""
START_S = 30.0
"""How long the guardian may take to report: a Python start on a machine that swaps."""
NOTE = "guardian.json"
ENVIRONMENT = "environment.json"
"""The asker's variables, exact, mode 0600, until the run has ended: Compose files refer to them, and recovery must
bring a service back with the ones that it ran with, from another login or after a reboot."""
_CALM = {"RUNNER_TRACKING_ID": "0", "JENKINS_NODE_COOKIE": "dontKillMe", "BUILD_ID": "dontKillMe"}
"""CI runners end what still carries their mark when a job ends; a run must not be half done by that."""
_SYSTEMD = Path("/run/systemd/system")
"""There where systemd is the init. Source: sd_booted(3)."""
_LINGER = Path("/var/lib/systemd/linger")
"""One file for each user whose manager outlives the last logout. Source: loginctl(1), enable-linger."""


# -- the asker's end --------------------------------------------------------------------------------------------
def claim(directory: Path) -> None:
    """From here on the run counts as starting, for as long as this process or the guardian lives."""
    write_json(directory / NOTE, ProcessId.here().as_json())


def spawn(directory: Path, environ: Mapping[str, str]) -> None:
    """Start the guardian for the run in `directory`; returns once it has taken the run over.

    Raises NftuiError where it did not: then nothing was touched, nor will be.
    """
    if not (directory / ENVIRONMENT).exists():
        write_json(directory / ENVIRONMENT, {k: v for k, v in environ.items() if not k.startswith("NFTUI_")})
    claim(directory)
    ways = [w for w in (systemd_unit(directory, environ), _double_fork(directory)) if w]
    if not any(_started(way, directory, environ) for way in ways):
        reason = msg("The run's own process did not start; nothing was touched. See {log}.", log=_log(directory))
        refuse(directory, str(reason))
        raise NftuiError(reason)


def _log(directory: Path) -> str:
    return str(directory / "worker.log")


def _started(argv: Sequence[str], directory: Path, environ: Mapping[str, str]) -> bool:
    """Run what starts the guardian; True once the guardian's own note is there."""
    with Path(_log(directory)).open("ab") as log:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**environ, **_python()}, cwd="/",
            start_new_session=True, check=False,
        )  # fmt: skip
    mine, end = ProcessId.here().as_json(), time.monotonic() + START_S
    while done.returncode == 0 and time.monotonic() < end:
        if load(directory / NOTE) != mine:
            return True
        time.sleep(0.01)
    return False


def _python() -> dict[str, str]:
    """What makes the guardian the same nftui as ours."""
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def _double_fork(directory: Path) -> list[str]:
    return [sys.executable, "-P", "-m", "nftui.guardian", str(directory)]


def systemd_unit(directory: Path, environ: Mapping[str, str], *, root: bool | None = None) -> list[str] | None:
    """The command that runs the guardian as a transient unit, outside of the login's own cgroup; None without one.

    A user's own units end with the last logout unless linger is on, so they are of use only then. No variable of the
    asker stands on the command line: the guardian reads them from the run's directory. KillMode=mixed: a stop of the
    unit ends guardian, worker and children, and the next start recovers. OOMPolicy=continue: the guardian outlives a
    worker that the kernel killed.
    """
    if not _SYSTEMD.is_dir() or not shutil.which("systemd-run") or environ.get("NFTUI_GUARDIAN"):
        return None
    if not (os.geteuid() == 0 if root is None else root):
        if not (_LINGER / getpass.getuser()).exists():
            return None
        scope = ["--user"]
    else:
        scope = []
    return [
        "systemd-run", *scope, "--collect", "--quiet", "--no-ask-password", f"--unit=nftui-{directory.name}",
        f"--description=nftui run {directory.name}", "--property=KillMode=mixed", "--property=OOMPolicy=continue",
        *(f"--setenv={name}={value}" for name, value in _python().items()),
        "--", *_double_fork(directory)[:-1], "--foreground", str(directory),
    ]  # fmt: skip


# -- the guardian's end -----------------------------------------------------------------------------------------
def main(argv: list[str]) -> int:
    """Life of a guardian."""
    directory = Path(argv[-1])
    if "--foreground" not in argv:
        _detach()
    _calm(directory)
    if (directory / "refused.json").exists():
        return int(ExitCode.FAILED)  # the asker has given up on us, and said that nothing was touched
    write_json(directory / NOTE, ProcessId.here().as_json())
    if os.environ.get("NFTUI_GUARDIAN") == "none":
        return _work(directory)
    guard(directory, lambda: _in_a_fork(directory))
    return 0


def _detach() -> None:
    """The second fork: our parent is init, and no terminal can become the controlling one."""
    if os.fork():
        os._exit(0)


def _calm(directory: Path) -> None:
    """Deaf to hang-ups, private files, the log for whatever is said, the asker's variables."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o077)
    log = os.open(_log(directory), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    ours = {k: v for k, v in os.environ.items() if k.startswith(("NFTUI_", "PYTHON"))}
    saved = {str(k): str(v) for k, v in load(directory / ENVIRONMENT).items()}
    os.environ.clear()
    os.environ.update({**saved, **ours, **_CALM})


def _work(directory: Path) -> int:
    from nftui.worker import main as work

    return work(directory)


def _in_a_fork(directory: Path) -> int:
    """One life of the worker: its exit code, minus the signal that killed it."""
    worker = os.fork()
    if worker == 0:
        sys.exit(_work(directory))
    return os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])


def guard(directory: Path, live: Callable[[], int], sleep: Callable[[float], None] = time.sleep) -> None:
    """Let a worker `live`, again while its run has not ended, `RESTARTS` times at most."""
    code = live()
    for number, pause in enumerate(_PAUSES_S, 1):
        if not _died(directory, code):
            return
        sleep(pause)
        words = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        why = f"the worker {words}; another one took over ({number} of {RESTARTS})"
        write_json(directory / "recover.json", {"asked": False, **load(directory / "recover.json"), "why": why})
        code = live()
    _died(directory, code)


def _died(directory: Path, code: int) -> bool:
    """Whether the run began and is in need of another worker."""
    if (directory / "refused.json").exists():
        return False
    try:
        view = RunView(read_journal(directory / "journal.jsonl"))
    except NftuiError:
        return False  # damaged: for people to look at
    if not view.entries and code:  # one that ended well had a journal: its record was removed meanwhile
        text = msg("The run's process died before it began ({code}); nothing was touched.", code=code)
        refuse(directory, str(text))
    return bool(view.entries) and not view.ended


def refuse(directory: Path, text: str, code: ExitCode = ExitCode.FAILED) -> None:
    """Say why the run does not go on. One that never began needs the asker's variables no more: they hold secrets."""
    write_json(directory / "refused.json", {"message": text, "code": int(code)})
    if not (directory / "journal.jsonl").exists():
        (directory / ENVIRONMENT).unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
