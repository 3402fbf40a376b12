"""The runs of one project: started in a process of their own, followed, asked, taken back."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nftui.engine import codec, records, space
from nftui.engine.check import forbids_apply, needs_docker
from nftui.engine.consent import NO_CONSENT, Consent, refusals
from nftui.engine.follow import is_starting, run_status
from nftui.engine.journal import Phase, RunView, read_journal
from nftui.engine.late import changed_by, late_items, links
from nftui.engine.ports import FilesAhead
from nftui.engine.records import data_places, losses, must_be_whole, taken_back
from nftui.engine.requests import new_request
from nftui.engine.runner import BackItem
from nftui.engine.state import ProjectState, must_be_writable, owner_text, write_json
from nftui.model.advice import TOLD
from nftui.model.choices import Choices
from nftui.model.errors import CutOffError, DriftError, LockedError, NftuiError, UsageError
from nftui.model.message import Message, msg
from nftui.model.plan import Plan
from nftui.model.run import Authority, ProjectStatus, RunStatus
from nftui.steps import load_kinds
from nftui.steps.kind import Found, RestoresFile
from nftui.steps.recreate import RecreateKind
from nftui.system.bootunit import REBOOT_HINT, unit_installed
from nftui.system.clock import SystemClock
from nftui.system.who import who

if TYPE_CHECKING:
    from nftui.session import Session

LIVE_STATES = ("running", "awaiting-confirm")


class Runs:
    """What a session can do with runs. Raises NftuiError (with its exit code) for whatever the operator must know."""

    def __init__(self, session: Session) -> None:
        self.session = session

    @property
    def state(self) -> ProjectState:
        """This project's state directory."""
        return self.session.state

    def start_apply(
        self,
        plan: Plan,
        *,
        confirm_within_s: float | None = None,
        wait_quiet_s: float = 60.0,
        settle_s: float = 10.0,
        files_only: bool = False,
        force: bool = False,
        consent: Consent = NO_CONSENT,
        asked: Choices | None = None,
    ) -> str:
        """Start the worker in its own process; return the run's id. `asked`: the choices as they were given."""
        for refusal in refusals(plan.draft, consent, confirm=confirm_within_s is not None, files_only=files_only):
            raise UsageError(refusal)
        self.must_be_applicable(plan, files_only=files_only, force=force)
        options = {"confirm_within_s": confirm_within_s, "wait_quiet_s": wait_quiet_s, "settle_s": settle_s,
                   "files_only": files_only, "force": force}  # fmt: skip
        order = {"kind": "apply", "choices": plan.draft.choices.as_json(), "plan": plan.id, "options": options,
                 "asked": (asked or plan.draft.choices).as_json(),
                 "core": json.loads(json.dumps(plan.draft.core()))}  # fmt: skip
        return self._start(order)

    def must_reach_engine(self, *, files_only: bool) -> None:
        """Refuse what needs Docker where it cannot be had; files alone need neither the engine nor Compose."""
        missing = [p for p in self.session.facts().stack.problems if needs_docker(p)]
        if missing and not files_only:
            raise UsageError(
                msg("{why} Nothing was touched; apply --files-only writes the files alone.", why=missing[0].text)
            )

    def _must_be_allowed(self, *, force: bool) -> None:
        """Refuse where something about the project forbids it, unless the operator takes that upon himself."""
        blocking = [p for p in self.session.facts().stack.problems if forbids_apply(p)]
        if blocking and not force:
            raise UsageError(msg("{text}", text=blocking[0].text))

    def must_be_applicable(self, plan: Plan, *, files_only: bool, force: bool) -> None:
        """Refuse what no consent can mend: said before the question is asked, and again when the run is started."""
        self.must_be_free()
        self.must_reach_engine(files_only=files_only)
        facts = self.session.facts()
        if plan.draft.refusals:
            raise UsageError(plan.draft.refusals[0])
        self._must_be_allowed(force=force)
        for change in plan.draft.files:
            must_be_writable(change.path)
        contents = [content for c in plan.draft.files for content in (c.before, c.content)]
        room = space.of_state(self.state.root, contents, len(plan.draft.steps))
        space.must_fit([room, *space.of_files(plan.draft.files)])
        if facts.engine is not None and not facts.engine.local:
            raise UsageError(msg("The engine is on another machine; apply there."))
        if os.geteuid() != 0 and any(stage.commit_point for stage in plan.draft.stages):
            raise UsageError(msg("Data is copied with its owners and attributes, so this plan needs root."))

    def current(self) -> Path | None:
        """The run that is starting, goes on, or was cut off; None where there is none."""
        for path in reversed(self.state.runs()):
            if (path / "journal.jsonl").exists():
                break
            if is_starting(path):
                return path
        return self.state.interrupted()

    def must_be_free(self) -> None:
        """Raises LockedError while a run goes on, CutOffError after one that was cut off."""
        other = self.current()
        if other is None:
            return
        status = self.run_status(other.name)
        if status.state in LIVE_STATES:
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
        from nftui.guardian import claim, spawn

        self.state.prepare()
        directory = self.state.new_run()
        claim(directory)
        project = {
            "request": asdict(self.session.gatherer.request),
            "state_dir": str(self.session.state_root),
            "cwd": str(Path.cwd()),
        }
        write_json(directory / "request.json", {**order, "project": project, "who": self._who()})
        if record := order.get("record"):
            write_json(directory / "plan.json", record)
        spawn(directory, self.session.environ)
        return directory.name

    def _who(self) -> dict[str, object]:
        return who(self.session.environ)

    def start_rollback(self, snapshot: str | None = None, *, force: bool = False) -> str | None:
        """Take back that snapshot's run and every later one (default: the newest that stands).

        None where no run stands: the project is as it was before nftui already.
        """
        self.session.gatherer.must_be_ours(self.state)
        finished = self._finish_committed()
        if finished is not None and self.run_status(finished).kind == "rollback":
            return finished  # it is what was asked for: no other run goes with it
        cut_off = self.cut_off(snapshot)
        if cut_off is not None:
            self._must_accept_losses([cut_off.name], force=force)
            return self._recover(cut_off, resume=False, force=force)
        chain = self.to_take_back(snapshot)
        return self._start_rollback(chain, force=force) if chain else None

    def _finish_committed(self) -> str | None:
        """The committed run that was cut off, ended: nothing of it is left to do but to say so. None without one."""
        found = self._cut_off()
        if found is None or not self._committed(found):
            return None
        for _status in self.follow(self._recover(found, resume=True)):
            pass
        return found.name

    def cut_off(self, snapshot: str | None = None) -> Path | None:
        """The cut-off run that a rollback to `snapshot` finishes first; raises while a run is in the way."""
        found = self._cut_off()
        if found is not None and snapshot is not None and not found.name.startswith(snapshot):
            self.must_be_free()
        return found

    def to_take_back(self, snapshot: str | None = None) -> list[tuple[int, str]]:
        """(generation, run) that a rollback to `snapshot` undoes, oldest first; [] where none stands."""
        chain = self.state.standing()
        target = self.state.run(snapshot).name if snapshot else chain[-1][1] if chain else None
        if not chain or target is None:
            return []
        names = [name for _, name in chain]
        if target not in names:
            raise UsageError(msg("The run {run} does not stand any more; nothing was touched.", run=target))
        return chain[names.index(target) :]

    def _cut_off(self) -> Path | None:
        """The run that was cut off; LockedError where one goes on."""
        found = self.current()
        if found is not None and self.run_status(found.name).state in LIVE_STATES:
            self.must_be_free()
        return found

    def _committed(self, directory: Path) -> bool:
        return RunView(read_journal(directory / "journal.jsonl")).find(Phase.COMMIT) is not None

    def _must_accept_losses(self, runs: Sequence[str], *, force: bool) -> None:
        """Nothing lossy without consent (engine.md 5): refused with what would be lost, nothing touched."""
        lost = [str(loss) for run in runs for loss in losses(self.state, run)]
        if lost and not force:
            raise UsageError(msg("{losses} Nothing was touched; consent with rollback --force.", losses=" ".join(lost)))

    def _start_rollback(self, chain: Sequence[tuple[int, str]], *, force: bool) -> str:
        self._must_accept_losses([name for _, name in reversed(chain)], force=force)
        items = self.way_back(chain)
        names = [name for _, name in chain]
        must_be_whole(self.state, items, names)
        edited = self.foreign(items)
        if edited and not force:
            raise DriftError(
                msg(
                    "{path} was edited since nftui wrote it. Look at it; --force overwrites that edit.",
                    path=", ".join(edited),
                )
            )
        self._must_have_room(items)
        notes = [
            *self._accepted(self.brought_in(chain, items), force=force),
            *(self._kept_edit(path, content) for path, content in edited.items()),
        ]
        record = {
            "schema": codec.RUN_SCHEMA, "kind": "rollback", "plan": None, "items": codec.items_json(items),
            "commit": self.state.generation(chain[0][0] - 1).as_json(), "targets": names,
            "summaries": [str(i.step.summary) for i in items], "notes": notes,
        }  # fmt: skip
        return self._start({"kind": "rollback", "options": {"force": force, "settle_s": 0}, "record": record})

    def way_back(self, chain: Sequence[tuple[int, str]]) -> list[BackItem]:
        """What taking `chain` back undoes, in order: its own steps, and then what came to run its files without one."""
        items = [item for _, name in reversed(chain) for item in taken_back(self.state, name)]
        ctx, shared = self.session.context({}, lambda text, fraction: None), self.session.gatherer.shared
        return [*items, *late_items(links(self.state, chain), items, shared, load_kinds(), ctx)]

    def brought_in(self, chain: Sequence[tuple[int, str]], items: Sequence[BackItem]) -> tuple[Message, ...]:
        """What the operator did not apply yet, and a recreate on the way back would (engine.md 1).

        A variable that only the shell had which started the stack, an edit, a tag that was pulled.
        """
        runs = links(self.state, chain)
        changed, made = changed_by(runs), [i.step for i in items if i.step.kind == RecreateKind.name]
        # One that is only made again along with another one is not asked about: neither does apply.
        names = {s.target for s in made if s.target in changed or not s.params.get("force")}
        generations = [runs[0].before, *(link.after for link in runs)]
        self.session.facts(live=False, refresh=True)  # what was read before the newest run is of other containers
        try:
            return self.session.gatherer.brought_in(names, self.state.lineage, generations)
        except NftuiError as error:
            return (msg("What runs cannot be compared with your files: {why}", why=str(error.message)),)

    def _accepted(self, found: Sequence[Message], *, force: bool) -> list[str]:
        """What is brought in, for the notes of the run; DriftError without the consent."""
        if found and not force:
            words = " ".join(map(str, found))
            raise DriftError(msg("{words} Nothing was touched; --force takes back all the same.", words=words))
        return [str(msg("Taken back all the same (--force): {words}", words=str(words))) for words in found]

    def _must_have_room(self, items: Sequence[BackItem]) -> None:
        kinds, blobs = load_kinds(), self.state.blobs
        back = [space.of_restored(i.step.target, blobs.size(d)) for i in items for d in records.blobs_of(i, kinds)]
        space.must_fit([space.of_state(self.state.root, (), len(items)), *back])

    def _kept_edit(self, path: str, content: bytes | None) -> str:
        """The overwritten bytes stay in the blob store: consent is no reason to lose them."""
        if content is None:
            return str(msg("{path} was removed by someone else; it is as it was before nftui again.", path=path))
        kept = self.state.blobs.put(content)
        text = "The edit of {path} was overwritten (--force); it is kept in {directory} as {name}."
        return str(msg(text, path=path, directory=str(self.state.blobs.root), name=f"{kept[:2]}/{kept}"))

    def foreign(self, items: Sequence[BackItem]) -> dict[str, bytes | None]:
        """Files that `items` would find edited by somebody else, each with the bytes of that edit.

        An edit may also come up on the way: a run that overwrote one puts it back first. Changes nothing.
        """
        ctx, kinds = self.session.context({}, lambda text, fraction: None), load_kinds()
        ahead = FilesAhead(ctx.files)
        found: dict[str, bytes | None] = {}
        for item in items:
            kind, path = kinds.of(item.step), item.step.target
            if not isinstance(kind, RestoresFile):
                continue
            if kinds.of(item.step).classify(item.step, item.before, replace(ctx, files=ahead)) is Found.FOREIGN:
                found.setdefault(path, ahead.read(path))
            ahead.contents[path] = kind.restored(item.step, item.before, ahead.read(path), self.state.blobs)
        return found

    def start_recover(self, *, resume: bool | None = None) -> str | None:
        """Finish or undo a run that was cut off; None where there is none."""
        self.session.gatherer.must_be_ours(self.state)
        cut_off = self._cut_off()
        return None if cut_off is None else self._recover(cut_off, resume=resume)

    def _recover(self, directory: Path, *, resume: bool | None, force: bool = False) -> str:
        from nftui.guardian import spawn

        if resume is not True:
            must_be_whole(self.state, taken_back(self.state, directory.name), [directory.name])
        order = {"resume": resume, "force": force, "asked": True, "who": self._who()}
        write_json(directory / "recover.json", order)
        (directory / "refused.json").unlink(missing_ok=True)
        spawn(directory, self.session.environ)
        return directory.name

    def follow(self, run: str, *, interval_s: float = 0.1) -> Iterator[RunStatus]:
        """Status whenever it changes, until the run has ended; the wizard and the command line share it.

        CutOffError where it cannot be read any more: nobody can say then that nothing is changed.
        """
        try:
            yield from self._changes(run, interval_s)
        except OSError as error:
            raise CutOffError(
                msg(
                    "The run {run} cannot be followed any more: {why}. See to its state directory, then: nftui status",
                    run=run,
                    why=error.strerror or str(error),
                )
            ) from error

    def _changes(self, run: str, interval_s: float) -> Iterator[RunStatus]:
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
        return run_status(self.state.run(run), self.session.boot_time)

    def request(self, run: str, what: str, *, timeout_s: float = 10.0) -> tuple[bool, str]:
        """Ask a live run: "confirm", "cancel", "rollback". Returns whether it accepted, and its words."""
        directory = self.state.run(run)
        known = len(read_journal(directory / "journal.jsonl"))
        asked = new_request(what, directory.name, self._who(), SystemClock())
        write_json(directory / "requests" / f"{asked['id']}.json", asked)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for entry in read_journal(directory / "journal.jsonl")[known:]:
                if entry.phase is Phase.ANSWER and entry.data.get("id") == asked["id"]:
                    return bool(entry.data["accepted"]), str(entry.data["text"])
                if entry.phase is Phase.END:
                    return False, "the run has ended"
            time.sleep(0.05)
        return False, "no answer yet; the run takes it at its next pause"

    def status(self) -> ProjectStatus:
        """A run that goes on or was cut off, and drift."""
        self.session.gatherer.must_be_ours(self.state)
        current, in_force = self.current(), self.state.in_force()
        if current is not None:
            return self._unfinished(current, in_force.generation)
        found, unknown = self.session.gatherer.drift(in_force)
        drifted, told = (tuple(d for d in found if (d.level == TOLD) is kind) for kind in (False, True))
        hint = "Take everything back with 'nftui rollback', or repair what is named." if drifted else ""
        return ProjectStatus(
            "idle", in_force.run, in_force.generation, drifted, unknown, hint=hint, told=told, data=self._data(None)
        )

    @property
    def reboot_hint(self) -> Message | None:
        """What a reboot inside the window of `--confirm-within` means; None where the unit at boot sees to it."""
        return None if unit_installed(self.session.directory) else REBOOT_HINT

    def _unfinished(self, current: Path, generation: int) -> ProjectStatus:
        status = self.run_status(current.name)
        live = status.state in LIVE_STATES
        return ProjectStatus(
            status.state if live else "interrupted",
            current.name,
            generation,
            owner=owner_text(self.state.root / "lock.json").removeprefix(": ") if live else "",
            hint=str(self.reboot_hint or "") if status.state == "awaiting-confirm" else "",
            confirm_left_s=status.confirm_left_s,
            data=self._data(current),
        )

    def _data(self, current: Path | None) -> tuple[Authority, ...]:
        """The newest word on each data set: of what stands, then of the run that goes on or was cut off."""
        runs = [name for _, name in self.state.standing()] + ([current.name] if current else [])
        found = {a.dataset: a for run in runs for a in self._places(run)}
        return tuple(found[name] for name in sorted(found))

    def _places(self, run: str) -> tuple[Authority, ...]:
        """Nothing of a run that has not begun, or whose records are damaged: `snapshots verify` tells of those."""
        with suppress(UsageError):
            return data_places(self.state, run)
        return ()
