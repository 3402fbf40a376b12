"""Rows of the knob list: advice beside its knob and the operator's value; stepping a value by one key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.dataclass import dataclass
from nftui.model.knobs import Kind, Knob, knob_named
from nftui.model.message import Message, msg
from nftui.model.units import format_size, human_days, parse_size
from nftui.tui.texts import Line, cut, cut_middle, longest, shown_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nftui.model.advice import Advice
    from nftui.model.choices import Choices
    from nftui.model.plan import OptimizationPlan
    from nftui.tui.glyphs import Glyphs
_GAPS = 9
"""Cells of a row between its columns: spaces, arrow and mark."""


@dataclass(frozen=True, slots=True)
class KnobRow:
    """One knob of one service, as the list shows it."""

    advice: Advice
    knob: Knob | None
    chosen: str | None
    """The operator's value in this session, None where nftui advises."""

    @property
    def quiet(self) -> bool:
        """True where it is folded under "more": nothing is written, kept or chosen, or it is a minor knob."""
        if self.chosen is not None:
            return False
        minor = self.knob is not None and not self.knob.main
        return minor or not (self.advice.changes or self.advice.kept)

    def is_of(self, other: KnobRow) -> bool:
        """True where both are of the same knob of the same service."""
        return (self.advice.knob, self.advice.service) == (other.advice.knob, other.advice.service)

    @property
    def now(self) -> str:
        """The current value, as people read it."""
        return shown_value(self.advice.current, self.knob, self.advice.unit)

    @property
    def value(self) -> str:
        """What will be in force."""
        return shown_value(self.advice.value, self.knob, self.advice.unit)

    @property
    def reason(self) -> Message:
        """Why; what is kept stands in the column of values, so what is recommended instead is said here."""
        advice = self.advice
        if not advice.kept or self.chosen is not None or advice.recommended is None:
            return advice.why
        return msg("{value} is advised (r): {why}", value=shown_value(advice.recommended, self.knob, advice.unit),
                   why=advice.why)  # fmt: skip

    def part(self, say: Callable[[Message], str]) -> str:
        """Where the knob switches a part: what that is called, and its days ("Memory, 0.5 days"); else ""."""
        if self.advice.effort is None or self.knob is None:
            return ""
        days = human_days(self.advice.effort.low, self.advice.effort.high)
        return say(msg("{part}, {days}", part=say(self.knob.label), days=days))

    def mark(self, glyphs: Glyphs) -> str:
        """Chosen by the operator, changes, kept, or nothing."""
        if self.chosen is not None:
            return glyphs.changed
        return "=" if self.advice.kept else "~" if self.advice.changes else " "


@dataclass(frozen=True, slots=True)
class Columns:
    """Widths of the list's columns in cells, equal for all its rows."""

    name: int
    now: int
    value: int

    @staticmethod
    def of(rows: Iterable[KnobRow], width: int) -> Columns:
        """As wide as the contents need; values take a sixth of `width` each at most, and a fifth is left to the why."""
        known = list(rows)
        now = min(width // 6, max(5, longest(r.now for r in known)))
        value = min(width // 6, max(7, longest(r.value for r in known)))
        room = width - now - value - _GAPS - width // 5
        return Columns(max(12, min(room, longest(r.advice.knob for r in known))), now, value)


def rows_of(plan: OptimizationPlan, knobs: Iterable[Knob], choices: Choices) -> list[KnobRow]:
    """All rows of an optimization, in the order of its advice."""
    known = tuple(knobs)
    return [KnobRow(a, knob_named(known, a.knob), choices.value(plan.id, a.service, a.knob)) for a in plan.advice]


def services_of(rows: Iterable[KnobRow]) -> tuple[str, ...]:
    """The services that have knobs, in order."""
    return tuple(dict.fromkeys(r.advice.service for r in rows if r.advice.service is not None))


def head_line(columns: Columns, glyphs: Glyphs) -> str:
    """The line above the list: what its columns are; the last word may reach over the reasons, which need no head."""
    return f"  {'':<{columns.name}} {'now':>{columns.now}}  {glyphs.arrow}  recommended"


def knob_line(row: KnobRow, columns: Columns, width: int, why: str, glyphs: Glyphs, *, on: bool = True) -> Line:
    """One row: name, now, what will be, mark, why. Where the optimization is not on, nothing will be."""
    name = cut_middle(row.advice.knob, columns.name, glyphs)
    now = cut(row.now, columns.now, glyphs)
    value = cut(row.value, columns.value, glyphs) if on else glyphs.skipped
    rest = width - columns.name - columns.now - columns.value - _GAPS
    moves = on and (row.advice.changes or row.chosen is not None)
    tone, arrow = ("strong", glyphs.arrow) if moves else ("dim", " ")
    return (
        (f"{name:<{columns.name}} ", ""),
        (f"{now:>{columns.now}}  ", "dim"),
        (f"{arrow}  ", "dim"),
        (f"{value:>{columns.value}}", tone),
        (f" {row.mark(glyphs) if on else ' '} ", "accent"),
        (cut(why, max(0, rest), glyphs), "dim"),
    )


def more_text(quiet: Sequence[KnobRow], opened: bool) -> Message:
    """The last row: what is folded away."""
    if opened:
        return msg("m  fold {count} away again", count=len(quiet))
    moving = sum(r.advice.changes for r in quiet)
    if moving:
        return msg("{count} more (m), {moving} of them minor changes", count=len(quiet), moving=moving)
    unread = sum(r.advice.current is None for r in quiet)
    if not unread:
        return msg("{count} more (m), unchanged within 5 %", count=len(quiet))
    if unread == len(quiet):
        return msg("{count} more (m), not read", count=unread)
    same = len(quiet) - unread
    return msg("{count} more (m): {same} unchanged within 5 %, {unread} not read", count=len(quiet), same=same,
               unread=unread)  # fmt: skip


def step_value(row: KnobRow, up: bool) -> str | None:
    """The neighbour of the present value, within the knob's bounds; None where it must be typed."""
    knob, value = row.knob, row.advice.value or row.advice.recommended or row.advice.current
    if knob is None or value is None:
        return None
    if knob.kind is Kind.BOOLEAN:
        return "off" if value == "on" else "on"
    if knob.kind is Kind.ENUM:
        return _neighbour(knob.choices, value, up)
    if value.endswith("%"):
        return f"{min(100.0, max(1.0, float(value[:-1]) + (5 if up else -5))):g}%"
    return _number(knob, value, up)


def shorter_step(row: KnobRow, up: bool) -> str | None:
    """A quarter more of a size, where twice as much is refused; None where there is no such step."""
    size = parse_size(row.advice.value or "") if row.knob is not None and row.knob.kind is Kind.SIZE else None
    if row.knob is None or size is None or not up:
        return None
    return format_size(int(_within(row.knob, size * 5 // 4 // 1024 * 1024)))


def _neighbour(choices: tuple[str, ...], value: str, up: bool) -> str | None:
    if not choices:
        return None
    if value not in choices:
        return choices[0]
    return choices[(choices.index(value) + (1 if up else -1)) % len(choices)]


def _number(knob: Knob, value: str, up: bool) -> str | None:
    if knob.kind is Kind.SIZE:
        size = parse_size(value)
        return None if size is None else format_size(int(_within(knob, size * 2 if up else size // 2)))
    try:
        number = float(value.removesuffix("s"))
    except ValueError:
        return None
    if knob.kind in (Kind.INTEGER, Kind.SECONDS):
        whole = int(_within(knob, number + _pace(number) * (1 if up else -1)))
        return f"{whole}s" if knob.kind is Kind.SECONDS else str(whole)
    return f"{_within(knob, round(number + (0.1 if up else -0.1), 6)):g}" if knob.kind is Kind.REAL else None


def _pace(number: float) -> int:
    """1 below 100, then a tenth of the leading power of ten: 300 moves by 10, 4096 by 100."""
    return int(max(1, 10 ** (len(str(abs(int(number)))) - 2)))


def _within(knob: Knob, number: float) -> float:
    low = number if knob.minimum is None else max(number, knob.minimum)
    return low if knob.maximum is None else min(low, knob.maximum)
