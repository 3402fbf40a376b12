"""Pages to read: findings, why, help, whole diffs. They change nothing and go back with Esc or Enter."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from nftui.model.findings import Finding, Level
from nftui.model.message import msg
from nftui.tui.keys import HELP, QUIT, Key, bindings
from nftui.tui.screens.page import Page
from nftui.tui.texts import Line, diff_lines, shown_bounds, wrap
from nftui.tui.widgets.bars import Ends
from nftui.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from nftui.engine.preview import FileDiff
    from nftui.tui.desk import Desk
    from nftui.tui.knobrows import KnobRow

WIDTH = 76
"""Text wraps here: readable at 80 columns, and no wider where there is more room."""

_GLOSSARY = (
    msg("now: what the running service uses; recommended: what nftui would write."),
    msg("marks: ~ changes, • you chose it, = your own value is kept, no mark: stays as it is."),
    msg("on: nftui writes its part. off: what nftui wrote before is taken out. untouched: stays as it is."),
    msg("days: work that the change stands for. seconds down: time in which some service does not answer."),
    msg("snapshot: all that is needed to go back, kept before the first change."),
    msg("exact: taken back to the byte. by restart: taken back by recreating the service."),
)


class ReaderScreen(Page[None]):
    """A title and lines to scroll."""

    KEYS: ClassVar[tuple[Key, ...]] = (
        Key("up,down", "", "↑↓ ←→", msg("scroll"), msg("scroll, also sideways"), 3, bound=False),
        Key("escape,enter", "close", "esc", msg("back"), msg("back to the screen before"), 1),
        QUIT,
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEYS)

    def __init__(self, title: str, lines: Sequence[Line]) -> None:
        super().__init__()
        self.heading, self.lines = title, list(lines)

    def body(self) -> ComposeResult:
        """Title, then the lines."""
        yield Ends(f" {self.heading}", id="heading")
        yield Lines(self.lines, id="reader")

    def fill(self) -> None:
        """Keys scroll at once."""
        self.query_one("#reader").focus()

    def action_close(self) -> None:
        """Back."""
        self.dismiss(None)


def paragraph(text: str, tone: str = "", indent: str = " ", width: int = WIDTH) -> list[Line]:
    """A text as lines of at most `width` cells."""
    room = min(width, WIDTH)
    return [((line, tone),) for part in text.splitlines() for line in wrap(part, room, indent=indent)]


def finding_lines(desk: Desk, findings: Iterable[Finding], width: int = WIDTH) -> list[Line]:
    """Each finding: level and title, detail, evidence with its place, source."""
    told = partial(paragraph, width=width)
    lines: list[Line] = []
    for finding in findings:
        tone = {Level.HIGH: "bad", Level.MEDIUM: "warn"}.get(finding.level, "")
        title = desk.say(finding.title)
        service = f"{finding.service}: " if finding.service and finding.service not in title else ""
        lines += told(f"{finding.level.upper():<6}  {service}{title}", tone)
        lines += told(desk.say(finding.detail), indent="   ")
        for fact in finding.evidence:
            value = f" = {fact.value}" if fact.value is not None else ""
            place = f"   {fact.file}:{fact.line}" if fact.file and fact.line else f"   {fact.file or ''}"
            lines += told(f"{fact.key}{value}{place.rstrip()}", "dim", "   ")
        lines += [*told(desk.say(msg("source: {source}", source=finding.source)), "dim", "   "), (("", ""),)]
    return lines or told(desk.say(msg("Nothing was found here.")))


def why_lines(desk: Desk, row: KnobRow, width: int = WIDTH) -> list[Line]:
    """Why this value: the advice, what the knob is, its bounds, where the rule comes from."""
    told = partial(paragraph, width=width)
    advice, knob = row.advice, row.knob
    lines = told(desk.say(advice.why))
    figures = msg("now {now}, recommended {recommended}, will be {value}", now=advice.current or "unknown",
                  recommended=advice.recommended or "unknown", value=advice.value or "unknown")  # fmt: skip
    lines += [(("", ""),), *told(desk.say(figures))]
    if part := row.part(desk.say):
        lines += told(desk.say(msg("It switches a part of the work: {part}.", part=part)))
    if advice.kept:
        lines += told(desk.say(msg("Your own value is kept; r takes the recommendation.")), "warn")
    for note in advice.notes:
        lines += told(desk.say(note), "warn")
    if knob is not None:
        takes = desk.say(shown_bounds(knob))
        lines += [(("", ""),), *told(f"{desk.say(knob.label)}: {desk.say(knob.why)}")]
        lines += told(desk.say(msg("It takes {bounds}.", bounds=takes)))
    return [*lines, (("", ""),), *told(desk.say(msg("source: {source}", source=advice.source)), "dim")]


def file_lines(desk: Desk, diffs: Iterable[FileDiff]) -> list[Line]:
    """The diff of every file."""
    lines: list[Line] = []
    for diff in diffs:
        lines += [((f"{diff.action} {diff.path}", "strong"),), *diff_lines(diff.lines), (("", ""),)]
    return lines or paragraph(desk.say(msg("No file changes.")))


def help_screen(desk: Desk, keys: Iterable[Key], width: int = WIDTH) -> ReaderScreen:
    """The keys of a screen and the words of nftui."""
    lines: list[Line] = []
    for key in keys:
        cap = key.shown_cap(desk.glyphs)
        lines += paragraph(f"{cap:<10} {desk.say(key.help)}", width=width)
    lines.append((("", ""),))
    for sentence in _GLOSSARY:
        lines += paragraph(desk.say(sentence), width=width)
    return ReaderScreen(desk.say(msg("Help")), lines)


__all__ = ["HELP", "ReaderScreen", "file_lines", "finding_lines", "help_screen", "paragraph", "why_lines"]
