"""What a project can be taken back to: the snapshots of its runs, and the data that nftui made or kept."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from nftui.engine import prune, removal, verify
from nftui.engine.records import losses, must_be_whole, read_record, unfinished
from nftui.engine.runner import BackItem
from nftui.engine.state import ProjectLock, ProjectState
from nftui.model.artefact import Artefact
from nftui.model.errors import NftuiError, UsageError
from nftui.model.message import msg
from nftui.model.plan import FileChange
from nftui.model.run import Damage, Pruning, RunStatus, SnapshotInfo, WayBack
from nftui.probes.project import OVERRIDE_NAME
from nftui.steps import load_kinds
from nftui.steps.files import EnvKind
from nftui.steps.kind import Leaves, RestoresFile
from nftui.system.who import who

if TYPE_CHECKING:
    from nftui.session import Session


class History:
    """Reads, and removes what no rollback needs."""

    def __init__(self, session: Session) -> None:
        self.session = session

    @property
    def state(self) -> ProjectState:
        """This project's state directory."""
        return self.session.state

    # -- snapshots -----------------------------------------------------------------------------------------
    def snapshots(self) -> tuple[SnapshotInfo, ...]:
        """Newest first. One whose records are damaged is listed with what can be read of it."""
        self.session.gatherer.must_be_ours(self.state)
        standing = self._standing()
        return tuple(self._snapshot(path, standing) for path in reversed(self.state.runs()))

    def _standing(self) -> set[str]:
        """Runs that stand; where what is in force cannot be read, every run may be one."""
        try:
            return {name for _, name in self.state.standing()}
        except UsageError:
            return {path.name for path in self.state.runs()}

    def _snapshot(self, path: Path, standing: set[str]) -> SnapshotInfo:
        plan, status = _record(path), self._status(path)
        stages = cast("list[Mapping[str, object]]", plan.get("stages", []))
        files = [c for stage in stages for c in cast("list[Mapping[str, object]]", stage["files"])]
        return SnapshotInfo(
            id=path.name, created=_created(path.name), kind=status.kind if status else "unknown",
            outcome=status.outcome if status else None, stands=path.name in standing,
            files=tuple(str(c["path"]) for c in files),
            services=tuple(str(s) for stage in stages for s in cast("list[object]", stage["services"])),
            bytes=sum(self.state.blobs.size(str(c["before"])) for c in files if c["before"]),
            plan=status.plan if status else None,
        )  # fmt: skip

    def _status(self, path: Path) -> RunStatus | None:
        try:
            return self.session.runs.run_status(path.name)
        except NftuiError:
            return None

    def verify_snapshot(self, snapshot: str) -> SnapshotInfo:
        """Everything of it proven; what is not stands in `damaged`."""
        path, standing = self.state.run(snapshot), self._standing()
        damaged = verify.of_run(self.state, path, stands=path.name in standing)
        return replace(self._snapshot(path, standing), damaged=damaged)

    def verify_state(self) -> tuple[Damage, ...]:
        """What is wrong beside the runs."""
        return verify.of_state(self.state)

    def prune(self, *, keep: int, older_than_days: float | None, really: bool) -> Pruning:
        """Remove the snapshots that no rollback needs, or say which would go; under the project's lock.

        Raises LockedError while a run goes on.
        """
        self.session.gatherer.must_be_ours(self.state)
        if not really or not self.state.root.exists():
            return self._pruning(keep, older_than_days, done=False)
        with ProjectLock(self.session.directory).held(self.state.root / "lock.json", self._owner()):
            return self._pruning(keep, older_than_days, done=True)

    def _pruning(self, keep: int, older_than_days: float | None, *, done: bool) -> Pruning:
        going, kept = prune.sort_out(self.state, keep, older_than_days, datetime.now(UTC))
        blobs = prune.unreferenced(self.state, [path for path, _ in kept])
        found = Pruning(
            tuple(p.name for p in going), tuple((p.name, why) for p, why in kept), len(blobs),
            sum(prune.size_of(p) for p in (*going, *blobs)), done,
        )  # fmt: skip
        if done:
            prune.remove(self.state, going)
            prune.drop_blobs(blobs)
            self._audit("prune", ", ".join(found.going))
        return found

    # -- the way back ----------------------------------------------------------------------------------------
    def way_back(self, snapshot: str | None = None) -> WayBack | None:
        """What `rollback` to that snapshot would do; None where nothing of nftui stands. Changes nothing."""
        self.session.gatherer.must_be_ours(self.state)
        runs = self.session.runs
        cut_off = runs.cut_off(snapshot)
        if cut_off is not None:
            number = self.state.in_force().generation
            return self._preview([cut_off.name], number, unfinished(self.state, cut_off.name))
        chain = runs.to_take_back(snapshot)
        if not chain:
            return None
        names = [name for _, name in reversed(chain)]
        items = runs.way_back(chain)
        return replace(self._preview(names, chain[0][0] - 1, items), pending=runs.brought_in(chain, items))

    def _preview(self, names: Sequence[str], generation: int, items: Sequence[BackItem]) -> WayBack:
        must_be_whole(self.state, items, names)
        self.session.facts(live=False)
        files, merged = self._restored(items)
        down = [i.step for i in items if i.step.downtime_s and i.step.service]
        services = tuple(dict.fromkeys(str(step.service) for step in down))
        gone = self.session.gatherer.wiring.layer_losses(services, own=self._own(items))
        return WayBack(
            runs=tuple(names), generation=generation, files=files, services=services,
            downtime_s=sum(step.downtime_s for step in down), steps=tuple(i.step.summary for i in items),
            foreign=tuple(self.session.runs.foreign(items)), merged=merged,
            losses=(*(loss for name in names for loss in losses(self.state, name)),
                    *(message for name in services for message in gone.get(name, ()))),
        )  # fmt: skip

    def _own(self, items: Sequence[BackItem]) -> set[str]:
        """Files in containers that steps which were cut off left there, and that go on the way back."""
        ctx, kinds, found = self.session.context({}, lambda text, fraction: None), load_kinds(), set[str]()
        for item in items:
            kind = kinds.of(item.step)
            if isinstance(kind, Leaves):
                with suppress(NftuiError, OSError):
                    found.update(kind.left(item.step, item.before, ctx))
        return found

    def _restored(self, items: Sequence[BackItem]) -> tuple[tuple[FileChange, ...], tuple[str, ...]]:
        """Every file as it is and as it would be; and those that somebody edited and that keep the edit."""
        kinds, now, after = load_kinds(), dict[str, bytes | None](), dict[str, bytes | None]()
        roles, merged = dict[str, BackItem](), []
        for item in items:
            kind, path = kinds.of(item.step), item.step.target
            if not isinstance(kind, RestoresFile):
                continue
            if path not in now:
                now[path] = after[path] = self.session.gatherer.wiring.file_fact(path).content
                roles[path] = item
                if isinstance(kind, EnvKind) and kind.is_edited(item.step, item.before, now[path]):
                    merged.append(path)
            after[path] = kind.restored(item.step, item.before, after[path], self.state.blobs)
        changes = tuple(_change(path, now[path], after[path], roles[path]) for path in now if now[path] != after[path])
        return changes, tuple(merged)

    # -- artefacts -----------------------------------------------------------------------------------------
    def artefacts(self) -> tuple[Artefact, ...]:
        """All that may be there, oldest first, each with the runs whose rollback needs it."""
        self.session.gatherer.must_be_ours(self.state)
        self.state.check()
        return tuple(removal.with_needs(self.state, self.state.artefacts.list()))

    def delete_artefact(self, name: str) -> Artefact:
        """Delete it for good, under the project's lock; returns it as it was. Raises NftuiError where it stays."""
        self.session.gatherer.must_be_ours(self.state)
        with ProjectLock(self.session.directory).held(self.state.root / "lock.json", self._owner()):
            found = next((a for a in self.artefacts() if a.name == name), None)
            if found is None:
                raise UsageError(msg("There is no artefact {name}; nftui artefacts list shows them.", name=name))
            wiring = self.session.gatherer.wiring
            removal.delete(self.state.artefacts, found, wiring.engine, wiring.api)
            self._audit("artefacts delete", name)
        return found

    def _owner(self) -> dict[str, object]:
        since = time.strftime("%Y-%m-%d %H:%M:%S %Z")
        return {"pid": os.getpid(), "user": self.session.user, "since": since, "boot": self.session.boot_id}

    def _audit(self, kind: str, what: str) -> None:
        told = {"run": None, "kind": kind, "plan": None, "outcome": "done", "code": 0, "reason": what}
        self.state.audit({**told, **who(self.session.environ)})


def _record(path: Path) -> Mapping[str, object]:
    try:
        return read_record(path, ())
    except UsageError:
        return {}


def _change(path: str, now: bytes | None, after: bytes | None, item: BackItem) -> FileChange:
    action = "delete" if after is None else "create" if now is None else "update"
    keys = item.step.params.get("keys")
    mode = int(str(item.before.get("mode") or 0o600))
    role = "env" if isinstance(keys, Mapping) else "override" if path.endswith(OVERRIDE_NAME) else "mounted"
    return FileChange(path, action, now, after, mode, role, tuple(keys) if isinstance(keys, Mapping) else ())


def _created(name: str) -> str:
    """ "2026-11-24 01:02:03 UTC" of a run's name."""
    return f"{name[0:4]}-{name[4:6]}-{name[6:8]} {name[9:11]}:{name[11:13]}:{name[13:15]} UTC"
