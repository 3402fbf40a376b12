"""Choices: which optimizations are on, off or untouched, and the values that the operator set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from enum import StrEnum

from nftui.model.dataclass import dataclass


class Selection(StrEnum):
    """Untouched: what is in force stays byte for byte. Off must be said: a planned removal (engine.md 2)."""

    ON = "on"
    OFF = "off"
    UNTOUCHED = "untouched"


@dataclass(frozen=True, slots=True)
class Choices:
    """The operator's intent, in canonical text, however it was given (wizard, preset, --set)."""

    selections: Mapping[str, Selection] = field(default_factory=dict)
    values: Mapping[tuple[str, str | None, str], str] = field(default_factory=dict)
    """(optimization, service or None for all of them, knob) to the checked text; "auto" is not stored."""
    yielding: frozenset[tuple[str, str | None, str]] = field(default=frozenset(), compare=False)
    """Keys of `values` that a preset leaves to the recommendation where a server must not get them."""

    def selection(self, optimization: str) -> Selection:
        """What is not named is untouched."""
        return self.selections.get(optimization, Selection.UNTOUCHED)

    @property
    def repairs(self) -> bool:
        """True where nothing is named: what is in force is put back, also what only the running service holds."""
        return all(s is Selection.UNTOUCHED for s in self.selections.values())

    def value(self, optimization: str, service: str | None, knob: str) -> str | None:
        """The operator's value for that service, else for all services; None means: advise."""
        own = self.values.get((optimization, service, knob))
        return own if own is not None else self.values.get((optimization, None, knob))

    def select(self, optimization: str, selection: Selection) -> Choices:
        """A copy with that selection."""
        return replace(self, selections={**self.selections, optimization: selection})

    def set(self, optimization: str, service: str | None, knob: str, value: str | None) -> Choices:
        """A copy with that value; None or "auto" takes it out."""
        key = (optimization, service, knob)
        values = {k: v for k, v in self.values.items() if k != key}
        if value is not None and value != "auto":
            values[key] = value
        return replace(self, values=values, yielding=self.yielding - {key})

    def without_refused(self, optimization: str, service: str, knob: str) -> Choices | None:
        """A copy without the value that was refused for that service; None where it must not be given up."""
        key = (optimization, service if (optimization, service, knob) in self.values else None, knob)
        return self.set(*key, None) if key in self.yielding else None

    def as_json(self) -> dict[str, object]:
        """Canonical form: sorted, untouched left out."""
        return {
            "selections": {k: str(v) for k, v in sorted(self.selections.items()) if v is not Selection.UNTOUCHED},
            "values": [
                {"optimization": o, "service": s, "knob": k, "value": v}
                for (o, s, k), v in sorted(self.values.items(), key=lambda item: tuple(x or "" for x in item[0]))
            ],
        }

    @staticmethod
    def from_json(data: Mapping[str, object]) -> Choices:
        """Inverse of `as_json`."""
        selections = data.get("selections", {})
        values = data.get("values", [])
        assert isinstance(selections, Mapping) and isinstance(values, list)
        return Choices(
            {str(k): Selection(str(v)) for k, v in selections.items()},
            {(v["optimization"], v["service"], v["knob"]): v["value"] for v in values},
        )
