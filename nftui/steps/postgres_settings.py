"""Did the settings take? Values read back from the running server, and what stands in their way if not.

A value is compared as the server reads it, never as text. Two signs mislead and are not trusted: `pending_restart` of
a value that the command line holds down, and `applied` in pg_file_settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from nftui.clients.postgres import PostgresClient, Query
from nftui.clients.sql import only
from nftui.model.dataclass import dataclass
from nftui.model.message import Message, msg
from nftui.steps.postgres_values import same

# pg_settings.source, weakest first (GucSource in guc.h).
PRECEDENCE = (
    "default", "environment variable", "configuration file", "command line", "global", "database", "user",
    "database user", "client", "override", "interactive", "test", "session",
)  # fmt: skip
COMMAND_LINE = "command line"


@dataclass(frozen=True, slots=True)
class ReadValue:
    """One setting as the server has it: `shown` as SHOW, `setting` in `unit` as pg_settings."""

    shown: str
    source: str
    pending_restart: bool
    setting: str
    unit: str | None = None
    vartype: str = "string"
    place: str | None = None
    """"file:line" where a file set it and the login may see which."""


class DifferenceKind(StrEnum):
    """Why a setting is not as asked."""

    NOT_TAKEN = "not-taken"
    PENDING_RESTART = "pending-restart"
    OVERRIDDEN = "overridden"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that is not as asked; `actual` is SHOW text, None where the server does not have or show it."""

    name: str
    expected: str
    actual: str | None
    kind: DifferenceKind
    source: str = ""

    @property
    def message(self) -> Message:
        """One line for people."""
        return msg(_TEXTS[self.kind], name=self.name, expected=self.expected, actual=self.actual, source=self.source)


_TEXTS = {
    DifferenceKind.NOT_TAKEN: "{name} did not take: {expected} was asked for, the server has {actual} ({source})",
    DifferenceKind.PENDING_RESTART: "{name} waits for a restart: {expected} is set, the server still has {actual}",
    DifferenceKind.OVERRIDDEN: "{name} is overridden by {source}: {expected} was asked for, the server has {actual}",
    DifferenceKind.UNKNOWN: "{name} cannot be read back: this server does not have it, or hides it from this login",
}

_READ = """
SELECT name, coalesce(current_setting(name, true), setting), source, pending_restart::int, setting, unit, vartype,
  sourcefile || ':' || sourceline
FROM pg_settings WHERE lower(name) IN ({places})"""


def read_values(client: PostgresClient, names: Iterable[str]) -> dict[str, ReadValue]:
    """Name as asked to value; names that the server does not have, or hides, are missing. Raises QueryError."""
    wanted = {name.lower(): name for name in names}
    if not wanted:
        return {}
    places = ", ".join(f"${i}" for i in range(1, len(wanted) + 1))
    # Unguarded: a statement timeout set by nftui would be read back as the server's.
    rows = only(client, Query(_READ.format(places=places), tuple(wanted), guard=False))
    return {
        wanted[(name or "").lower()]: ReadValue(
            shown or "", source or "", pending == "1", setting or "", unit, vartype or "", place
        )
        for name, shown, source, pending, setting, unit, vartype, place in rows
    }


def compare(
    expected: Mapping[str, str],
    actual: Mapping[str, ReadValue],
    set_by: str = COMMAND_LINE,
) -> list[Difference]:
    """What is not as asked, in the order of `expected` (SHOW text or any form that the server takes).

    `set_by` is the pg_settings source that should have brought the values: what is stronger overrides, what is weaker
    means that they did not arrive.
    """
    found = (_difference(name, value, actual.get(name), set_by) for name, value in expected.items())
    return [difference for difference in found if difference]


def _difference(name: str, expected: str, actual: ReadValue | None, set_by: str) -> Difference | None:
    if actual is None:
        return Difference(name, expected, None, DifferenceKind.UNKNOWN)
    if same(name, expected, actual.setting, actual.vartype, actual.unit):
        return None
    return Difference(name, expected, actual.shown, _kind(actual, set_by), actual.source)


def _kind(actual: ReadValue, set_by: str) -> DifferenceKind:
    """Strength first: beneath a command line pending_restart stays true whatever is restarted."""
    if _strength(actual.source) > _strength(set_by):
        return DifferenceKind.OVERRIDDEN
    if actual.pending_restart and set_by != COMMAND_LINE:
        return DifferenceKind.PENDING_RESTART
    return DifferenceKind.NOT_TAKEN


def _strength(source: str) -> int:
    return PRECEDENCE.index(source) if source in PRECEDENCE else len(PRECEDENCE)
