"""The registry of artefacts: one file each in the state directory, on the disk before the artefact is made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from nftui.model.artefact import Artefact, ArtefactState
from nftui.model.errors import NftuiError, UsageError
from nftui.model.message import msg
from nftui.system.durable import make_directory, sync_directory, write_json

_GONE = (ArtefactState.DELETING, ArtefactState.DELETED)


class Artefacts:
    """What stands in `root`. Steps reach it as `ctx.artefacts`; each call is on the disk when it returns."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _path(self, name: str) -> Path:
        return self.root / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"

    def record(self, kind: str, name: str, run: str, step: str, **details: object) -> Artefact:
        """Record that `step` of `run` is about to make or keep `name`; again for the same step: as it was.

        Raises NftuiError where another run or step owns that name: its data must not be mixed with another's.
        """
        found = self.find(name)
        if found is not None and found.state not in _GONE:
            if (found.kind, found.run, found.step) != (kind, run, step):
                raise NftuiError(
                    msg(
                        "{name} was made by the run {run} and is still kept; look at it with 'nftui artefacts list'.",
                        name=name,
                        run=found.run,
                    )
                )
            return found
        created = datetime.now(UTC).isoformat(timespec="seconds")
        return self._write(Artefact(kind, name, run, step, created=created, details=details))

    def made(self, name: str, size: int | None, checksum: str | None) -> Artefact:
        """It is there, whole. `size` in bytes. Raises NftuiError where it was not recorded before."""
        return self._write(
            replace(self.get(name), state=ArtefactState.MADE, size=size, checksum=checksum),
        )

    def mark(self, name: str, state: ArtefactState) -> Artefact:
        """Only its state changes. Raises NftuiError where it was not recorded."""
        return self._write(replace(self.get(name), state=state))

    def drop(self, name: str) -> None:
        """Forget it: a step removed what it had made itself, and nothing needs it. Nothing to do is fine."""
        path = self._path(name)
        if path.exists():
            path.unlink()
            sync_directory(self.root)

    def list(self, *, gone: bool = False) -> list[Artefact]:
        """All that may be there, oldest first; with `gone` also those the operator deleted."""
        paths = self.root.glob("[!.]*.json") if self.root.is_dir() else ()
        found = [_load(path) for path in paths]
        kept = [a for a in found if gone or a.state is not ArtefactState.DELETED]
        return sorted(kept, key=lambda a: (a.run, a.created, a.name))

    def find(self, name: str) -> Artefact | None:
        """The one of that name, None where there is none."""
        path = self._path(name)
        return _load(path) if path.exists() else None

    def get(self, name: str) -> Artefact:
        """The one of that name; raises NftuiError where it was never recorded."""
        found = self.find(name)
        if found is None:
            raise NftuiError(msg("{name} is not recorded as an artefact of nftui.", name=name))
        return found

    def ended(self, runs: Sequence[str]) -> Artefact | None:
        """The first artefact of `runs` that the operator deleted: their way back ended with it."""
        return next((a for a in self.list(gone=True) if a.run in runs and a.state in _GONE), None)

    def _write(self, artefact: Artefact) -> Artefact:
        make_directory(self.root)
        write_json(self._path(artefact.name), artefact.as_json())
        return artefact


def _load(path: Path) -> Artefact:
    try:
        return Artefact.from_json(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            msg(
                "{path} is damaged ({why}). Nothing was touched; put back a copy of it, or delete it once you know "
                "which data it spoke of.",
                path=str(path),
                why=f"{type(error).__name__}: {error}",
            )
        ) from None
