"""The one facade over everything: the wizard, the command line and tests talk to nftui through it.

It is blocking and thin: it gathers facts, delegates, and returns data.
"""

from __future__ import annotations

import getpass
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from nftui.engine import codec
from nftui.engine.compare import differences
from nftui.engine.follow import load, run_status
from nftui.engine.gather import Gatherer
from nftui.engine.journal import Phase, RunView, read_journal
from nftui.engine.planner import draft, env_origin
from nftui.engine.protocols import Registry
from nftui.engine.runner import BackItem, backward_order
from nftui.engine.state import (
    InForce,
    ProjectLock,
    ProjectState,
    default_state_root,
    must_be_writable,
    project_id,
    write_json,
)
from nftui.model.choices import Choices, Selection
from nftui.model.errors import CutOffError, DriftError, NftuiError, UsageError
from nftui.model.facts import Facts
from nftui.model.findings import Finding
from nftui.model.message import Message, msg
from nftui.model.plan import Draft, Plan, plan_id
from nftui.model.run import ProjectStatus, RunStatus, SnapshotInfo
from nftui.model.stack import Problem, ProjectRequest
from nftui.steps import load_kinds
from nftui.steps.kind import Found
from nftui.system.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from nftui.steps.kind import Context

LIVE_STATES = ("running", "awaiting-confirm")


class Session:
    """One project on this machine. Raises NftuiError (with its exit code) for whatever the operator must know."""

    def __init__(
        self, request: ProjectRequest, *, state_dir: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self.environ = dict(os.environ if environ is None else environ)
        self.state_root = state_dir or default_state_root(self.environ)
        self.gatherer = Gatherer(request, self.environ, lambda: self.registry, self._state_for)
        self._facts: Facts | None = None

    # -- facts ---------------------------------------------------------------------------------------------
    def facts(self, *, live: bool = True, refresh: bool = False) -> Facts:
        """Host, stack, engine, live facts; cached until `refresh`. Never raises for what cannot be read."""
        if refresh:
            self._facts = None
            self.gatherer.forget()
        if self._facts is None or (live and not self.gatherer.live_read):
            self._facts = self.gatherer.gather(live=live)
        return self._facts

    @cached_property
    def registry(self) -> Registry:
        """The optimizations, in wizard order."""
        from nftui.optimizations.registry import load_registry

        return load_registry()

    def findings(self) -> tuple[Finding, ...]:
        """Worst first."""
        from nftui.engine.check import collect

        return collect(self.facts(), self.registry)

    @property
    def directory(self) -> str:
        """The project directory."""
        return self.gatherer.invocation.directory

    @cached_property
    def state(self) -> ProjectState:
        """This project's state directory."""
        facts = self.facts(live=False)
        return self._state_for(facts.engine.id if facts.engine else "", facts.stack.name, self.directory)

    def _state_for(self, engine_id: str, name: str, directory: str) -> ProjectState:
        return ProjectState(self.state_root, project_id(engine_id, name, directory))

    def redact(self, data: object) -> object:
        """`data` with secrets as ••••••: every output passes it."""
        return self.gatherer.redactor.data(data)

    def redact_text(self, text: str) -> str:
        """The same for one sentence."""
        return self.gatherer.redactor.text(text)

    # -- choices and plans ---------------------------------------------------------------------------------
    def choices(
        self,
        *,
        preset: str | None = None,
        only: Sequence[str] = (),
        skip: Sequence[str] = (),
        off: Sequence[str] = (),
        sets: Sequence[str] = (),
    ) -> tuple[Choices, tuple[Message, ...]]:
        """From a preset's name or file and the options of `plan`; second: warnings. Everything checked."""
        from nftui.presets import build_choices

        return build_choices(self.registry, preset=preset, only=only, skip=skip, off=off, sets=sets)

    def check_value(self, optimization: str, service: str | None, knob: str, text: str) -> str:
        """Canonical form of a knob's value ("auto" stays), or UsageError with the bounds."""
        found = next((k for k in self.registry[optimization].knobs if k.name == knob), None)
        if found is None:
            raise UsageError(msg("{id} has no knob {knob}.", id=optimization, knob=knob))
        place = f"@{service}" if service else ""
        return found.check(text, f"{optimization}{place}.{knob}")

    def draft(self, choices: Choices) -> Draft:
        """Pure and quick (aim 15 ms): the live preview. UsageError where a value is refused."""
        facts = self.facts()
        return draft(facts, self._present(choices, facts), self.registry, self.gatherer.standing)

    def _present(self, choices: Choices, facts: Facts) -> Choices:
        """Values for services that are not there are dropped: the same intent gives the same plan."""
        names = {s.name for s in facts.stack.services}
        kept = {key: value for key, value in choices.values.items() if key[1] is None or key[1] in names}
        return replace(choices, values=kept)

    def prove(self, choices: Choices) -> Plan:
        """The draft through Compose and the checks: only this is reviewed and applied."""
        facts = self.facts()
        blocking = [p for p in facts.stack.problems if "plan" in p.blocks]
        if blocking:
            raise UsageError(msg("{text}", text=blocking[0].text))
        found = self.draft(choices)
        proof = self.gatherer.prove(found)
        facts_state = self._state_for(facts.engine.id if facts.engine else "", facts.stack.name, self.directory)
        return Plan(found, plan_id(found), facts_state.project, proof)

    # -- runs ----------------------------------------------------------------------------------------------
    def start_apply(
        self,
        plan: Plan,
        *,
        confirm_within_s: float | None = None,
        wait_quiet_s: float = 60.0,
        settle_s: float = 10.0,
        files_only: bool = False,
        force: bool = False,
    ) -> str:
        """Start the worker in its own process; return the run's id."""
        self._may_apply(plan, files_only=files_only, force=force)
        options = {"confirm_within_s": confirm_within_s, "wait_quiet_s": wait_quiet_s, "settle_s": settle_s,
                   "files_only": files_only, "force": force}  # fmt: skip
        order = {"kind": "apply", "choices": plan.draft.choices.as_json(), "plan": plan.id, "options": options,
                 "core": json.loads(json.dumps(plan.draft.core()))}  # fmt: skip
        return self._start(order)

    def must_reach_engine(self, *, files_only: bool) -> None:
        """Refuse what needs Docker where it cannot be had; files alone need neither the engine nor Compose."""
        missing = [p for p in self.facts().stack.problems if _needs_docker(p)]
        if missing and not files_only:
            raise UsageError(
                msg("{why} Nothing was touched; apply --files-only writes the files alone.", why=missing[0].text)
            )

    def _may_apply(self, plan: Plan, *, files_only: bool, force: bool) -> None:
        self.must_be_free()
        self.must_reach_engine(files_only=files_only)
        facts = self.facts()
        if plan.draft.refusals:
            raise UsageError(plan.draft.refusals[0])
        blocking = [p for p in facts.stack.problems if "apply" in p.blocks and not _needs_docker(p)]
        if blocking and not force:
            raise UsageError(msg("{text}", text=blocking[0].text))
        for change in plan.draft.files:
            must_be_writable(change.path)
        if facts.engine is not None and not facts.engine.local:
            raise UsageError(msg("The engine is on another machine; apply there."))

    def must_be_free(self) -> None:
        """Raises LockedError while a run goes on, CutOffError after one that was cut off."""
        other = self.state.interrupted()
        if other is None:
            return
        status = self.run_status(other.name)
        if status.state in LIVE_STATES:
            from nftui.engine.state import owner_text
            from nftui.model.errors import LockedError

            raise LockedError(
                msg(
                    "Another run holds this project{owner}. Follow it: nftui attach",
                    owner=owner_text(self.state.root / "lock.json"),
                )
            )
        raise CutOffError(
            msg("The run {run} was cut off. Finish or undo it first: nftui recover, or nftui rollback.", run=other.name)
        )

    def _start(self, order: Mapping[str, object]) -> str:
        from nftui.worker import spawn

        stack = self.facts(live=False).stack
        self.state.prepare(stack.name, self.directory)
        directory = self.state.new_run()
        project = {"request": asdict(self.gatherer.request), "state_dir": str(self.state_root), "cwd": str(Path.cwd())}
        write_json(directory / "request.json", {**order, "project": project, "who": self._who()})
        if record := order.get("record"):
            write_json(directory / "plan.json", record)
        spawn(directory, self.environ)
        return directory.name

    def _who(self) -> dict[str, object]:
        names = ("SUDO_USER", "SSH_CONNECTION", "SSH_TTY")
        return {"user": self.user, **{n.lower(): self.environ[n] for n in names if self.environ.get(n)}}

    @cached_property
    def user(self) -> str:
        """Who runs nftui."""
        try:
            return getpass.getuser()
        except (KeyError, OSError):
            return str(os.geteuid())

    def start_rollback(self, snapshot: str | None = None, *, force: bool = False) -> str | None:
        """Take back that snapshot's run and every later one (default: the newest that stands).

        None where no run stands: the project is as it was before nftui already.
        """
        cut_off = self.state.interrupted()
        if cut_off is not None:
            if self.run_status(cut_off.name).state in LIVE_STATES:
                self.must_be_free()
            if snapshot is None or cut_off.name.startswith(snapshot):
                return self._recover(cut_off, resume=False, force=force)
            self.must_be_free()
        chain = self.standing_runs()
        target = self.state.run(snapshot).name if snapshot else chain[-1][1] if chain else None
        if not chain or target is None:
            return None
        names = [name for _, name in chain]
        if target not in names:
            raise UsageError(msg("The run {run} does not stand any more; nothing was touched.", run=target))
        return self._start_rollback(chain[names.index(target) :], force=force)

    def standing_runs(self) -> list[tuple[int, str]]:
        """(generation, run) of what stands, oldest first."""
        newest = self.state.in_force().generation
        found = [(n, self.state.generation(n).run) for n in range(1, newest + 1)]
        return [(n, run) for n, run in found if run]

    def _start_rollback(self, chain: Sequence[tuple[int, str]], *, force: bool) -> str:
        items = [item for _, name in reversed(chain) for item in self._items(name)]
        self._check_foreign(items, force=force)
        record = {
            "schema": codec.RUN_SCHEMA, "kind": "rollback", "plan": None, "items": codec.items_json(items),
            "commit": self.state.generation(chain[0][0] - 1).as_json(), "targets": [name for _, name in chain],
            "summaries": [str(i.step.summary) for i in items],
        }  # fmt: skip
        return self._start({"kind": "rollback", "options": {"force": force, "settle_s": 0}, "record": record})

    def _items(self, name: str) -> list[BackItem]:
        directory, kinds = self.state.run(name), load_kinds()
        view = RunView(read_journal(directory / "journal.jsonl"))
        plan = codec.check_schema(load(directory / "plan.json"))
        items = []
        for stage in reversed(codec.stages_from(plan.get("stages", []))):
            for step in backward_order(stage, kinds):
                before = view.intent(step.id)
                if before is not None:
                    items.append(BackItem(f"{name}/{step.id}", step, before))
        return items

    def _check_foreign(self, items: Sequence[BackItem], *, force: bool) -> None:
        """A foreign edit of a file that would be restored is shown, and needs --force; nothing is touched."""
        ctx, kinds, seen = self.context({}, lambda text, fraction: None), load_kinds(), set()
        for item in items:
            if kinds.of(item.step).reads_files or item.step.target in seen:
                continue
            seen.add(item.step.target)
            if not force and kinds.of(item.step).classify(item.step, item.before, ctx) is Found.FOREIGN:
                raise DriftError(
                    msg(
                        "{path} was edited since nftui wrote it. Look at it; --force overwrites that edit.",
                        path=item.step.target,
                    )
                )

    def start_recover(self, *, resume: bool | None = None) -> str | None:
        """Finish or undo a run that was cut off; None where there is none."""
        cut_off = self.state.interrupted()
        if cut_off is None:
            return None
        if self.run_status(cut_off.name).state in LIVE_STATES:
            self.must_be_free()
        return self._recover(cut_off, resume=resume)

    def _recover(self, directory: Path, *, resume: bool | None, force: bool = False) -> str:
        from nftui.worker import spawn

        write_json(directory / "recover.json", {"resume": resume, "force": force})
        for name in ("refused.json", "worker.json"):
            (directory / name).unlink(missing_ok=True)
        spawn(directory, self.environ)
        return directory.name

    def follow(self, run: str, *, interval_s: float = 0.1) -> Iterator[RunStatus]:
        """Status whenever it changes, until the run has ended; the wizard and the command line share it."""
        last, quiet_since = None, time.monotonic()
        while True:
            status = self.run_status(run)
            if status != last:
                yield status
                last, quiet_since = status, time.monotonic()
            fresh = time.monotonic() - quiet_since < 5.0
            if status.state == "ended" or (status.state == "interrupted" and not fresh):
                return
            time.sleep(interval_s)

    def run_status(self, run: str) -> RunStatus:
        """One look."""
        return run_status(self.state.run(run), ProjectLock(self.directory).free, self.boot_time)

    def request(self, run: str, what: str, *, timeout_s: float = 10.0) -> tuple[bool, str]:
        """Ask a live run: "confirm", "cancel", "rollback". Returns whether it accepted, and its words."""
        directory = self.state.run(run)
        known = len(read_journal(directory / "journal.jsonl"))
        write_json(directory / "requests" / f"{time.time_ns()}.json", {"request": what, "who": self._who()})
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for entry in read_journal(directory / "journal.jsonl")[known:]:
                if entry.phase is Phase.ANSWER and entry.data["request"] == what:
                    return bool(entry.data["accepted"]), str(entry.data["text"])
                if entry.phase is Phase.END:
                    return False, "the run has ended"
            time.sleep(0.05)
        return False, "no answer yet; the run goes on"

    def status(self) -> ProjectStatus:
        """A run that goes on or was cut off, and drift."""
        current, in_force = self.state.interrupted(), self.state.in_force()
        if current is not None:
            status = self.run_status(current.name)
            state = status.state if status.state in LIVE_STATES else "interrupted"
            return ProjectStatus(state, current.name, in_force.generation, confirm_left_s=status.confirm_left_s)
        drifted, unknown = self.gatherer.drift(in_force)
        return ProjectStatus(
            "idle", in_force.run, in_force.generation, drifted, unknown, hint=self.gatherer.hint(drifted)
        )

    def snapshots(self) -> tuple[SnapshotInfo, ...]:
        """Newest first."""
        standing = {name for _, name in self.standing_runs()}
        return tuple(self._snapshot(path, standing) for path in reversed(self.state.runs()))

    def _snapshot(self, path: Path, standing: set[str]) -> SnapshotInfo:
        plan, status = load(path / "plan.json"), self.run_status(path.name)
        stages = cast("list[Mapping[str, object]]", plan.get("stages", []))
        files = [c for stage in stages for c in cast("list[Mapping[str, object]]", stage["files"])]
        digests = [str(c["before"]) for c in files if c["before"]]
        sizes = [self.state.blobs.size(d) for d in digests]
        return SnapshotInfo(
            id=path.name, created=_created(path.name), kind=status.kind, outcome=status.outcome,
            stands=path.name in standing, files=tuple(str(c["path"]) for c in files),
            services=tuple(str(s) for stage in stages for s in cast("list[object]", stage["services"])),
            bytes=sum(sizes), plan=status.plan,
        )  # fmt: skip

    def verify_snapshot(self, snapshot: str) -> SnapshotInfo:
        """Every blob proven; what is not stands in `damaged`."""
        path = self.state.run(snapshot)
        info = self._snapshot(path, {name for _, name in self.standing_runs()})
        digests = {str(v) for item in self._items(path.name) for v in [item.before.get("before")] if v}
        digests |= {str(i.step.params["after"]) for i in self._items(path.name) if i.step.params.get("after")}
        return replace(info, damaged=tuple(sorted(d for d in digests if not self.state.blobs.whole(d))))

    # -- for the worker ------------------------------------------------------------------------------------
    def replan(self, order: Mapping[str, object]) -> Plan:
        """The plan of a saved order on fresh facts; DriftError with the differences where it is another one."""
        plan = self.prove(Choices.from_json(cast("Mapping[str, object]", order["choices"])))
        fresh = json.loads(json.dumps(plan.draft.core()))
        lines = differences(cast("Mapping[str, object]", order["core"]), fresh)
        if lines:
            raise DriftError(
                msg(
                    "The plan does not fit any more; nothing was touched. {list}",
                    list="; ".join(lines),
                )
            )
        return plan

    def plan_record(self, plan: Plan, order: Mapping[str, object]) -> dict[str, object]:
        """What recovery and rollback need of a plan: stages whole, and what a commit leaves in force."""
        in_force = self.state.in_force()
        options = cast("Mapping[str, object]", order.get("options", {}))
        live = [s.id for s in plan.draft.steps if load_kinds().of(s).reads_files or s.kind == "project-check"]
        commit = InForce(
            generation=in_force.generation + 1,
            run=None,
            choices=_merged(in_force.choices, plan.draft.choices),
            fragments=plan.draft.fragments,
            assertions=self.gatherer.assertions(plan.draft),
            env_origin=env_origin(self.facts(), self.gatherer.standing),
        )
        return {
            "schema": codec.RUN_SCHEMA, "kind": "apply", "plan": plan.id,
            "skip": live if options.get("files_only") else [],
            "stages": codec.stages_json(plan.draft.stages, self.state.blobs), "commit": commit.as_json(),
            "summaries": [str(s.summary) for s in plan.draft.steps],
        }  # fmt: skip

    def context(self, options: Mapping[str, object], progress: Callable[[str, float | None], None]) -> Context:
        """The ports that steps act through."""
        return self.gatherer.context(self.state.blobs, options, progress)

    @property
    def boot_id(self) -> str:
        """Names this boot of the machine."""
        return SystemClock().boot_id()

    def boot_time(self) -> float:
        """Seconds since boot, sleep included; cannot be set by anyone."""
        return SystemClock().boot_seconds()


_NO_DOCKER = ("engine-missing", "engine-down", "engine-permission", "engine-slow", "engine-refused", "compose-missing")


def _needs_docker(problem: Problem) -> bool:
    """Whether the problem is that Docker or Compose cannot be had at all."""
    return "apply" in problem.blocks and problem.id in _NO_DOCKER


def _merged(old: Choices, new: Choices) -> Choices:
    """The choices in force: what is untouched keeps its former values."""
    touched = {name for name, s in new.selections.items() if s is not Selection.UNTOUCHED}
    values = {k: v for k, v in old.values.items() if k[0] not in touched} | dict(new.values)
    selections = {**old.selections, **{n: s for n, s in new.selections.items() if n in touched}}
    return Choices(selections, values)


def _created(name: str) -> str:
    """ "2026-11-24 01:02:03 UTC" of a run's name."""
    return f"{name[0:4]}-{name[4:6]}-{name[6:8]} {name[9:11]}:{name[11:13]}:{name[13:15]} UTC"


def open_session(project: Mapping[str, object]) -> Session:
    """The session of a saved order: the worker stands where the asker stood."""
    request = cast("Mapping[str, object]", project["request"])
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in request.items()}
    os.chdir(str(project["cwd"]))
    return Session(ProjectRequest(**values), state_dir=Path(str(project["state_dir"])))  # type: ignore[arg-type]


__all__ = ["NftuiError", "Session", "open_session"]
