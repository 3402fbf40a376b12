"""The process in which a run lives: lock, preflight, the run loop, commit, audit. It is the journal's only writer.

`nftui.guardian` starts it, and another one should it die.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from nftui.engine import codec
from nftui.engine.aftermath import Aftermath
from nftui.engine.follow import load
from nftui.engine.journal import Entry, Journal, Phase
from nftui.engine.late import late_of_run
from nftui.engine.leavings import needed, sweep
from nftui.engine.place import read_identity
from nftui.engine.records import read_record, record_sum, restored_bytes
from nftui.engine.requests import FileRequests
from nftui.engine.reserve import reserved
from nftui.engine.runner import BackItem, Options, Outcome, Runner, describe, resumable
from nftui.engine.state import InForce, ProjectLock, ProjectState, write_json
from nftui.guardian import ENVIRONMENT, refuse
from nftui.model.errors import CutOffError, ExitCode, LockedError, NftuiError
from nftui.model.message import msg
from nftui.steps import load_kinds
from nftui.steps.gate import await_starts
from nftui.system.identity import Child, ProcessId

if TYPE_CHECKING:
    from nftui.session import Session
    from nftui.steps.kind import Context


def main(directory: Path) -> int:
    """Life of a worker; what it has to say goes to the journal or to refused.json."""
    os.umask(0o077)
    write_json(directory / "worker.json", ProcessId.here().as_json())
    try:
        return Worker(directory).run()
    except NftuiError as error:
        if not isinstance(error, LockedError) or not _held_by_this_run(directory):
            refuse(directory, str(error.message), error.code)
        return int(error.code)
    except Exception as error:
        if not (directory / "journal.jsonl").exists():
            refuse(directory, describe(error))
        raise


def _held_by_this_run(directory: Path) -> bool:
    """Two recoveries of one run began at once: the other one has it, and there is nothing to refuse."""
    return load(directory.parents[1] / "lock.json").get("run") == directory.name


class Worker:
    """One run of one project."""

    def __init__(self, directory: Path) -> None:
        from nftui.orders import open_session

        self.directory = directory
        self.order = load(directory / "request.json")
        self.session: Session = open_session(cast("Mapping[str, object]", self.order["project"]))
        self.state: ProjectState = self.session.state
        self.kinds = load_kinds()
        self.recovery = load(directory / "recover.json")
        """How this life was asked for where a former one was cut off."""

    def run(self) -> int:
        """Under the lock: preflight, then the loop."""
        lock = ProjectLock(self.session.directory)
        owner = {**ProcessId.here().as_json(), "user": self.session.user,
                 "since": time.strftime("%Y-%m-%d %H:%M:%S %Z"), "run": self.directory.name}  # fmt: skip
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
        plan, former = read_record(self.directory), tuple(journal.entries)
        if not former:
            journal.write(Phase.BEGIN, kind=plan["kind"], plan=plan.get("plan"), user=self.session.user,
                          record=record_sum(self.directory))  # fmt: skip
        runner = self._runner(journal, plan)
        if former:
            self._take_over(runner, plan, former)
        return self._end(journal, plan, self._drive(runner, plan))

    def _runner(self, journal: Journal, plan: Mapping[str, object]) -> Runner:
        options = {**cast("Mapping[str, object]", self.order.get("options", {})), "run": self.directory.name}
        options["force"] = bool(options.get("force")) or bool(self.recovery.get("force"))
        self._journal = journal
        ctx = self.session.context(options, self._progress, self._on_child)
        seconds = options.get("confirm_within_s")
        return Runner(
            journal, codec.stages_from(plan.get("stages", [])), self.kinds, ctx,
            FileRequests(self.directory / "requests", journal),
            Options(None if seconds is None else float(str(seconds)), self.session.boot_time, self.session.boot_id,
                    lossy=bool(self.recovery.get("force")), late=partial(self._late, plan)),
            self.session.redact_text,
        )  # fmt: skip

    def _late(
        self, plan: Mapping[str, object], items: Sequence[BackItem], kept: str | None, ctx: Context
    ) -> Sequence[BackItem]:
        """Services that somebody started by this run's files while they lay there."""
        shared = self.session.gatherer.shared
        return late_of_run(self._journal, plan, self.state.in_force(), items, kept, shared, self.kinds, ctx)

    def _take_over(self, runner: Runner, plan: Mapping[str, object], former: Sequence[Entry]) -> None:
        """What the former worker left going comes to rest before the first step; then the way is decided."""
        if why := self.recovery.get("why"):
            self._note(str(why))
        turn = plan["kind"] != "rollback" and self._must_turn(runner)
        goes_on = plan["kind"] != "rollback" and not turn and not runner.view.turned
        Aftermath(
            self.directory.name, former, self.session.gatherer.leftovers, self._note, codec.services_of(plan)
        ).settle(goes_on=goes_on)  # fmt: skip
        await_starts(self.session.context({}, self._progress))
        if turn:
            runner.turn("the run was cut off; taken back")

    def _note(self, text: str) -> None:
        self._journal.write(Phase.NOTE, text=text)

    def _on_child(self, child: Child) -> None:
        """In the journal before it can do anything (engine.md 6)."""
        self._journal.write(Phase.CHILD, self._step(), **child.as_json())

    def _step(self) -> str | None:
        """The step at work."""
        return next((e.step for e in reversed(self._journal.entries) if e.step), None)

    def _drive(self, runner: Runner, plan: Mapping[str, object]) -> Outcome | None:
        if plan["kind"] == "rollback":
            outcome = runner.backward(codec.items_from(plan["items"]), "rolled back by request")
            return None if outcome.name == "rolled-back" else outcome
        return runner.forward(cast("list[str]", plan.get("skip", [])))

    def _must_turn(self, runner: Runner) -> bool:
        """Recovery's decision: as asked, else by the steps' policy."""
        if runner.view.turned or runner.view.find(Phase.COMMIT):
            return False
        wish = self.recovery.get("resume")
        return not (resumable(runner.stages, runner.view) if wish is None else bool(wish))

    def _progress(self, text: str, fraction: float | None) -> None:
        """At most twice a second, never fsynced, never read by recovery."""
        now = time.monotonic()
        if now - getattr(self, "_told", 0.0) < 0.5:
            return
        self._told = now
        path = self.directory / "progress.json"
        temporary = path.with_name(".progress")
        # A full disk must not fail a step, least of all one that is being taken back.
        with suppress(OSError):
            temporary.write_text(json.dumps({"step": self._step(), "text": text, "fraction": fraction}))
            temporary.replace(path)

    def _end(self, journal: Journal, plan: Mapping[str, object], outcome: Outcome | None) -> int:
        if journal.reserve:
            journal.reserve.give_journal()
        if outcome is None or outcome.name == "partial":
            self._commit(journal, plan, outcome)
        if outcome is None:
            outcome, code = Outcome("rolled-back" if plan["kind"] == "rollback" else "applied"), ExitCode.DONE
        else:
            code = self._code(outcome)
        if not outcome.standing:
            self._sweep(plan)
        self._audit(plan, outcome, int(code))
        journal.write(Phase.END, outcome=outcome.name, reason=self.session.redact_text(outcome.reason), code=int(code),
                      standing=outcome.standing)  # fmt: skip
        if not outcome.standing:
            (self.directory / ENVIRONMENT).unlink(missing_ok=True)
        return int(code)

    def _sweep(self, plan: Mapping[str, object]) -> None:
        """Mounted files that nothing needs any more; what cannot be removed harms nobody, and is told."""
        steps = codec.steps_of(plan)
        known = read_identity(self.state.root)
        mounted = partial(self.session.gatherer.mounted, engine_known=bool(known and known.engine))
        try:
            for path in sweep(steps, needed(self.state), self.session.context({}, self._progress).files, mounted):
                self._note(str(msg("{path} stays: a container still mounts it.", path=path)))
        except (NftuiError, OSError) as error:
            self._note(self.session.redact_text(describe(error)))

    def _commit(self, journal: Journal, plan: Mapping[str, object], outcome: Outcome | None) -> None:
        """What stands becomes a generation: all of the plan, or what lies before the last commit point crossed."""
        if not any(e.phase is Phase.COMMIT for e in journal.entries):
            journal.write(Phase.COMMIT)
        parts = cast("Mapping[str, Mapping[str, object]]", plan.get("partial", {}))
        whole = cast("Mapping[str, object]", plan["commit"])
        standing = InForce.from_json(whole if outcome is None else parts[str(outcome.kept)])
        rolled = plan["kind"] == "rollback"
        self.state.commit(standing if rolled else replace(standing, run=self.directory.name))

    def _code(self, outcome: Outcome) -> ExitCode:
        """A run that was asked to be undone is done when it is; one that fell back has failed."""
        if outcome.standing:
            return ExitCode.CUT_OFF
        if outcome.name == "partial":
            return ExitCode.PARTIAL
        asked = bool(self.recovery) and self.recovery.get("asked", True) and self.recovery.get("resume") is not True
        return ExitCode.DONE if asked else ExitCode.FAILED

    def _audit(self, plan: Mapping[str, object], outcome: Outcome, code: int) -> None:
        again = cast("Mapping[str, object]", self.recovery.get("who") or {})
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
