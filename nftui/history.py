"""What a project can be taken back to: the snapshots of its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from nftui.engine.follow import load
from nftui.engine.records import taken_back
from nftui.engine.state import ProjectState
from nftui.model.run import SnapshotInfo

if TYPE_CHECKING:
    from nftui.session import Session


class History:
    """Reads only."""

    def __init__(self, session: Session) -> None:
        self.session = session

    @property
    def state(self) -> ProjectState:
        """This project's state directory."""
        return self.session.state

    def snapshots(self) -> tuple[SnapshotInfo, ...]:
        """Newest first."""
        standing = {name for _, name in self.state.standing()}
        return tuple(self._snapshot(path, standing) for path in reversed(self.state.runs()))

    def _snapshot(self, path: Path, standing: set[str]) -> SnapshotInfo:
        plan, status = load(path / "plan.json"), self.session.runs.run_status(path.name)
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
        info = self._snapshot(path, {name for _, name in self.state.standing()})
        digests = {str(v) for item in taken_back(self.state, path.name) for v in [item.before.get("before")] if v}
        digests |= {
            str(i.step.params["after"]) for i in taken_back(self.state, path.name) if i.step.params.get("after")
        }
        return replace(info, damaged=tuple(sorted(d for d in digests if not self.state.blobs.whole(d))))


def _created(name: str) -> str:
    """ "2026-11-24 01:02:03 UTC" of a run's name."""
    return f"{name[0:4]}-{name[4:6]}-{name[6:8]} {name[9:11]}:{name[11:13]}:{name[13:15]} UTC"
