"""The process in which a run lives: no terminal, logout or closed connection ends it (engine.md 8).

`spawn` starts it; `main` is its life: lock, preflight, the run loop, commit, audit. It is the journal's only writer.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from nftui.engine import codec
from nftui.engine.follow import load, worker_note
from nftui.engine.journal import Journal, Phase
from nftui.engine.records import read_record, record_sum, restored_bytes
from nftui.engine.reserve import reserved
from nftui.engine.runner import FileRequests, Options, Outcome, Runner, describe, resumable
from nftui.engine.state import InForce, ProjectLock, ProjectState, write_json
from nftui.model.errors import CutOffError, ExitCode, NftuiError
from nftui.model.message import msg
from nftui.steps import load_kinds

if TYPE_CHECKING:
    from nftui.session import Session


def spawn(directory: Path, environ: Mapping[str, str]) -> None:
    """Start the worker for the run in `directory`, detached from everything that could end it with us."""
    argv = [sys.executable, "-P", "-m", "nftui.worker", str(directory)]
    child_env = {**environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    # CI runners end what still carries their mark when a job ends; a run must not be half done by that.
    child_env |= {"RUNNER_TRACKING_ID": "0", "JENKINS_NODE_COOKIE": "dontKillMe", "BUILD_ID": "dontKillMe"}
    unit = systemd_unit(directory, child_env)
    with (directory / "worker.log").open("ab") as log:
        subprocess.run(
            unit or argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=child_env, cwd="/",
            start_new_session=True, check=True,
        )  # fmt: skip


def systemd_unit(directory: Path, environ: Mapping[str, str]) -> list[str] | None:
    """The command that runs the worker as a transient unit where systemd is the init and we are root."""
    if os.geteuid() != 0 or not Path("/run/systemd/system").is_dir() or not shutil.which("systemd-run"):
        return None
    names = [f"--setenv={name}" for name in sorted(environ) if "=" not in name and name.isidentifier()]
    unit = f"--unit=nftui-{directory.name}"
    return ["systemd-run", "--collect", "--quiet", "--no-ask-password", unit, "--property=KillMode=mixed", *names, "--",
            sys.executable, "-P", "-m", "nftui.worker", "--foreground", str(directory)]  # fmt: skip


def detach() -> None:
    """The second fork: the worker's parent is init, and no terminal can become its controlling one."""
    if os.fork():
        os._exit(0)


def main(argv: list[str]) -> int:
    """Life of a worker; what it has to say goes to the journal or to refused.json."""
    os.umask(0o077)
    foreground = "--foreground" in argv
    directory = Path(argv[-1])
    if not foreground:
        detach()
    write_json(directory / "worker.json", worker_note())
    try:
        return Worker(directory).run()
    except NftuiError as error:
        write_json(directory / "refused.json", {"message": str(error.message), "code": int(error.code)})
        return int(error.code)
    except Exception as error:
        if not (directory / "journal.jsonl").exists():
            write_json(directory / "refused.json", {"message": describe(error), "code": int(ExitCode.FAILED)})
        raise


class Worker:
    """One run of one project."""

    def __init__(self, directory: Path) -> None:
        from nftui.orders import open_session

        self.directory = directory
        self.order = load(directory / "request.json")
        self.session: Session = open_session(cast("Mapping[str, object]", self.order["project"]))
        self.state: ProjectState = self.session.state
        self.kinds = load_kinds()

    def run(self) -> int:
        """Under the lock: preflight, then the loop."""
        lock = ProjectLock(self.session.directory)
        owner = {**worker_note(), "user": self.session.user, "since": time.strftime("%Y-%m-%d %H:%M:%S %Z"),
                 "boot": self.session.boot_id, "run": self.directory.name}  # fmt: skip
        try:
            with lock.held(self.state.root / "lock.json", owner):
                return self._locked()
        except NftuiError as error:
            self.refused(error)
            raise

    def _locked(self) -> int:
        self._refuse_beside_another()
        fresh = not (self.directory / "journal.jsonl").exists()
        if fresh and self.order["kind"] == "apply":
            self._preflight()
        size = restored_bytes(self.directory, self.state)
        with reserved(self.directory, Path(self.session.directory), size, needed=fresh) as reserve:
            journal = Journal(self.directory / "journal.jsonl", reserve)
            try:
                return self._journaled(journal)
            finally:
                journal.close()

    def _refuse_beside_another(self) -> None:
        other = self.state.interrupted()
        if other is not None and other != self.directory:
            raise CutOffError(
                msg(
                    "The run {run} was cut off. Finish or undo it first: nftui recover, or nftui rollback.",
                    run=other.name,
                )
            )

    def _preflight(self) -> None:
        """Plan again from the saved choices on fresh facts: it must be the plan that was shown (engine.md 4)."""
        from nftui.orders import plan_record, replan

        plan = replan(self.session, self.order)
        data = plan_record(self.session, plan, self.order)
        write_json(self.directory / "plan.json", data)

    def _journaled(self, journal: Journal) -> int:
        plan = read_record(self.directory)
        options = cast("Mapping[str, object]", self.order.get("options", {}))
        if not journal.entries:
            journal.write(Phase.BEGIN, kind=plan["kind"], plan=plan.get("plan"), user=self.session.user,
                          record=record_sum(self.directory))  # fmt: skip
        ctx = self.session.context({**options, "run": self.directory.name}, self._progress)
        seconds = options.get("confirm_within_s")
        runner = Runner(
            journal, codec.stages_from(plan.get("stages", [])), self.kinds, ctx,
            FileRequests(self.directory / "requests", journal),
            Options(None if seconds is None else float(str(seconds)), self.session.boot_time, self.session.boot_id),
            self.session.redact_text,
        )  # fmt: skip
        self._current = runner
        outcome = self._drive(runner, plan)
        return self._end(journal, plan, outcome)

    def _drive(self, runner: Runner, plan: Mapping[str, object]) -> Outcome | None:
        if plan["kind"] == "rollback":
            outcome = runner.backward(codec.items_from(plan["items"]), "rolled back by request")
            return None if outcome.name == "rolled-back" else outcome
        if self._must_turn(runner):
            runner.journal.write(Phase.TURN, reason="the run was cut off; taken back")
        return runner.forward(cast("list[str]", plan.get("skip", [])))

    def _must_turn(self, runner: Runner) -> bool:
        """Recovery's decision: as asked, else by the steps' policy."""
        recovery = load(self.directory / "recover.json")
        if not recovery or runner.view.turned or runner.view.find(Phase.COMMIT):
            return False
        wish = recovery.get("resume")
        return not (resumable(runner.stages, runner.view) if wish is None else bool(wish))

    def _progress(self, text: str, fraction: float | None) -> None:
        """At most twice a second, never fsynced, never read by recovery."""
        now = time.monotonic()
        if now - getattr(self, "_told", 0.0) < 0.5:
            return
        self._told = now
        step = next((e.step for e in reversed(self._current.journal.entries) if e.step), None)
        path = self.directory / "progress.json"
        temporary = path.with_name(".progress")
        # A full disk must not fail a step, least of all one that is being taken back.
        with suppress(OSError):
            temporary.write_text(json.dumps({"step": step, "text": text, "fraction": fraction}))
            temporary.replace(path)

    def _end(self, journal: Journal, plan: Mapping[str, object], outcome: Outcome | None) -> int:
        if journal.reserve:
            journal.reserve.give_journal()
        if outcome is None:
            if not any(e.phase is Phase.COMMIT for e in journal.entries):
                journal.write(Phase.COMMIT)
            rolled = plan["kind"] == "rollback"
            standing = InForce.from_json(cast("Mapping[str, object]", plan["commit"]))
            self.state.commit(standing if rolled else replace(standing, run=self.directory.name))
            outcome = Outcome("rolled-back" if rolled else "applied")
            code = ExitCode.DONE
        else:
            code = self._code(outcome)
        self._audit(plan, outcome, int(code))
        journal.write(Phase.END, outcome=outcome.name, reason=self.session.redact_text(outcome.reason), code=int(code),
                      standing=outcome.standing)  # fmt: skip
        return int(code)

    def _code(self, outcome: Outcome) -> ExitCode:
        """A run that was asked to be undone is done when it is; one that fell back has failed."""
        if outcome.standing:
            return ExitCode.CUT_OFF
        recovery = load(self.directory / "recover.json")
        asked = bool(recovery) and recovery.get("resume") is not True
        return ExitCode.DONE if asked else ExitCode.FAILED

    def _audit(self, plan: Mapping[str, object], outcome: Outcome, code: int) -> None:
        again = cast("Mapping[str, object]", load(self.directory / "recover.json").get("who") or {})
        who = cast("Mapping[str, object]", self.order.get("who", {}))
        self.state.audit(
            {
                "run": self.directory.name, "kind": plan["kind"], "plan": plan.get("plan"), "outcome": outcome.name,
                "code": code, "reason": self.session.redact_text(outcome.reason), **who,
                **({"recovered_by": dict(again)} if again else {}), "steps": plan.get("summaries", []),
            }
        )  # fmt: skip

    def refused(self, error: NftuiError) -> None:
        """A run that was asked for and did not begin is told of as well."""
        if not (self.directory / "journal.jsonl").exists():
            self._audit(self.order, Outcome("refused", str(error.message)), int(error.code))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
