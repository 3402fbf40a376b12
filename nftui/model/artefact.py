"""Artefacts: data that nftui made or kept beside the services' own (engine.md 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import cast

from nftui.model.dataclass import dataclass


class ArtefactState(StrEnum):
    """How far an artefact is."""

    RECORDED = "recorded"
    """It may be there, whole or in part: recorded before it is created."""
    MADE = "made"
    """It is there, whole; size and checksum say what was made."""
    DELETING = "deleting"
    """The operator consented to its end; what is left of it may be removed again."""
    DELETED = "deleted"
    """It is gone by the operator's consent; the record stays, for it ended a way back."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """A volume, directory, file, image tag or dump. `name` is unique in a project, whatever the kind."""

    kind: str
    """volume, directory, file, image."""
    name: str
    """The volume's or tag's name as the engine knows it; the absolute path of a directory or file."""
    run: str
    """The run that made or kept it."""
    step: str
    state: ArtefactState = ArtefactState.RECORDED
    size: int | None = None
    """Bytes; None while unknown."""
    checksum: str | None = None
    """In words of the step that made it; None where none was taken."""
    created: str = ""
    """UTC, ISO 8601."""
    details: Mapping[str, object] = field(default_factory=dict)
    """What the step wants to remember of it (service, what it was copied from); never a secret."""
    needed_by: tuple[str, ...] = ()
    """Runs that stand and could not be rolled back without it, oldest first; not stored, but read from the state."""

    def as_json(self) -> dict[str, object]:
        """The stored form."""
        return {
            "kind": self.kind, "name": self.name, "run": self.run, "step": self.step, "state": str(self.state),
            "size": self.size, "checksum": self.checksum, "created": self.created, "details": dict(self.details),
        }  # fmt: skip

    @staticmethod
    def from_json(data: Mapping[str, object]) -> Artefact:
        """Inverse of `as_json`. Raises KeyError, TypeError, ValueError for what is none."""
        return Artefact(
            kind=str(data["kind"]),
            name=str(data["name"]),
            run=str(data["run"]),
            step=str(data["step"]),
            state=ArtefactState(str(data["state"])),
            size=None if data["size"] is None else int(str(data["size"])),
            checksum=cast("str | None", data["checksum"]),
            created=str(data["created"]),
            details=cast("Mapping[str, object]", data["details"]),
        )
