"""One optimization: why, its knobs, the live preview of the files, and the memory of the host."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.containers import Container

from nftui.engine.preview import diff_files
from nftui.model.choices import Selection
from nftui.model.message import msg
from nftui.model.units import human_days, human_seconds
from nftui.tui.keys import BACK, HELP, QUIT, Key, bindings
from nftui.tui.knobrows import KnobRow, rows_of, shorter_step, step_value
from nftui.tui.moves import Move
from nftui.tui.screens.page import Page
from nftui.tui.screens.reader import file_lines, finding_lines, paragraph, why_lines
from nftui.tui.texts import cut, memory_line, totals
from nftui.tui.widgets.bars import Ends, Told
from nftui.tui.widgets.edit import Edit
from nftui.tui.widgets.knoblist import KnobList, KnobPane
from nftui.tui.widgets.preview import Preview

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from nftui.engine.preview import FileDiff
    from nftui.model.plan import OptimizationPlan

_NEXT_SELECTION = {
    Selection.ON: Selection.OFF,
    Selection.OFF: Selection.UNTOUCHED,
    Selection.UNTOUCHED: Selection.ON,
}
_SELECTION_WORDS = {
    Selection.OFF: msg("Off: what nftui wrote here before is taken out."),
    Selection.UNTOUCHED: msg("Untouched: everything here stays as it is."),
}
_TYPING = (
    Key("enter", "", "⏎", msg("take it"), msg("take the value that was typed"), 1, bound=False),
    Key("escape", "", "esc", msg("as it was"), msg("leave the value as it was"), 1, bound=False),
    Key("ctrl+c", "", "ctrl-c", msg("quit"), msg("leave nftui"), 2, bound=False),
)
"""What the keys do while a value is typed: all others are letters."""


class OptimizationScreen(Page[Move]):
    """Returns NEXT or BACK; what was chosen is on the desk at once."""

    CSS_PATH = ["page.tcss", "optimization.tcss"]
    KEYS: ClassVar[tuple[Key, ...]] = (
        Key("left,right", "", "↑↓ ←→", msg("change"), msg("choose a knob; halve, double, step, cycle"), 3, bound=False),
        Key("e", "edit", "e", msg("edit"), msg("type a value; Enter takes it, Esc leaves it as it was"), 3),
        Key("r", "recommended", "r", msg("advised"), msg("take the recommended value"), 4),
        Key("w", "why", "w", msg("why"), msg("why this value, and where the rule comes from"), 4),
        Key("s", "service(1)", "s", msg("service"), msg("the knobs of the next service"), 3),
        Key("S", "service(-1)", "S", msg("service"), msg("the knobs of the service before")),
        Key("space", "selection", "space", msg("on/off"), msg("on, off, untouched: for this optimization"), 4),
        Key("enter", "next", "⏎", msg("next"), msg("the next optimization, then the review"), 1),
        BACK,
        Key("f", "findings", "f", msg("findings"), msg("what was found wrong here, with evidence"), 7),
        Key("d", "diff", "d", msg("diff"), msg("the whole diff of every file"), 8),
        Key("p", "file", "p", msg("file"), msg("preview the next file"), 9),
        Key("m", "more", "m", msg("more"), msg("show or fold the knobs that stay as they are")),
        HELP,
        QUIT,
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEYS)

    def __init__(self, page: int) -> None:
        super().__init__()
        self.page = page
        self._refused: tuple[KnobRow | None, str] = (None, "")
        """What was refused last, and for which knob."""

    # -- layout --------------------------------------------------------------------------------------------
    def body(self) -> ComposeResult:
        """Title and why, knobs with the input under them, preview, memory."""
        yield Ends(id="title")
        yield Told(id="why")
        with Container(id="panes"):
            yield KnobPane(self.desk, id="left")
            yield Preview(self.desk, self.here(), id="right")
        yield Told(id="memory")

    def fill(self) -> None:
        """The first focus is the first knob."""
        self.desk.visited.add(self.here())
        self.query_one("#knobs").focus()
        self.show_draft()

    def relayout(self) -> None:
        """Columns are as wide as the panes let them be."""
        self.show_draft()

    def keys_now(self) -> Sequence[Key]:
        """Those of the input while it is open; another service only where there is one."""
        if self.query_one(Edit).is_open:
            return _TYPING
        several = self.query_one(KnobPane).has_services
        return [key for key in self.KEYS if several or not key.action.startswith("service")]

    def position(self) -> str:
        """Which one of how many, and what all of them cost."""
        where = f"{self.page + 1} of {len(self.desk.pages)}"
        return f"{where} {self.desk.glyphs.dot} {totals(self.desk.draft, self.desk.glyphs)}"

    def here(self) -> str:
        """This optimization's id."""
        return self.desk.pages[self.page]

    @property
    def item(self) -> OptimizationPlan:
        """This optimization's line of the draft."""
        return self.desk.item(self.here())

    def diffs(self) -> list[FileDiff]:
        """What the draft writes, free of secrets."""
        return diff_files(self.desk.draft.files, redact=self.desk.hide)

    # -- what it shows ---------------------------------------------------------------------------------------
    def show_draft(self) -> None:
        """Everything that follows from the draft; each widget paints only what differs."""
        self.fill_head()
        self._show_title()
        knobs = self.desk.optimization(self.here()).knobs
        on = self.desk.choices.selection(self.here()) is Selection.ON
        pane = self.query_one(KnobPane)
        pane.show(rows_of(self.item, knobs, self.desk.choices), on=on)
        pane.share(self.query_one("#panes").size.height, beside=self.has_class("-wide"))
        about = self.row.advice.knob if self.row else ""
        own = self.desk.own_files(self.here())
        self.query_one(Preview).show(self.diffs(), whole=self.has_class("-wide"), about=about, own=own)
        memory = memory_line(self.desk.draft.memory, self.query_one("#body").size.width or 80, self.desk.glyphs)
        self.query_one("#memory", Told).tell([memory])
        self.fill_keys()

    def _show_title(self) -> None:
        item, dot = self.item, f" {self.desk.glyphs.dot} "
        days = self.desk.glyphs.plain(human_days(item.effort.low, item.effort.high))
        cost = dot.join(
            [item.risk.upper() + " risk" * (self.size.width >= 76), days, f"{human_seconds(item.downtime_s)} down"]
        )
        selection = self.desk.choices.selection(item.id)
        title = self.say(self.desk.optimization(item.id).title)
        self.query_one("#title", Ends).set(
            f" {self.page + 1}. {title} [{selection}]"
            if self.size.width >= 76
            else f" [{selection}] {self.page + 1}. {title}",
            f"{cost} ",
        )
        self.query_one("#why", Told).tell([((self._why(), ""),)])

    def _why(self) -> str:
        found = self.desk.findings_of(self.here())
        text = self.say(self.desk.optimization(self.here()).summary)
        selection = self.desk.choices.selection(self.here())
        if selection is not Selection.ON:
            return f"{self.say(_SELECTION_WORDS[selection])}   space  changes it\n{self._fit(text)}"
        if self.item.lacks is not None:
            return f"{self._fit(self.say(self.item.lacks))}\n{self._fit(text)}"
        if found:
            more = f" (+{len(found) - 1})" if len(found) > 1 else ""
            return f"{self._fit(self.say(found[0].title), more + '   f  findings')}\n{self._fit(text)}"
        return text

    def _fit(self, text: str, end: str = "") -> str:
        """One line where the terminal has no room for more, `end` always on it."""
        width = (self.query_one("#why").size.width or 80) - 2 - len(end)
        return (text if self.has_class("-high") else cut(text, width, self.desk.glyphs)) + end

    # -- changing --------------------------------------------------------------------------------------------
    @property
    def row(self) -> KnobRow | None:
        """The knob under the cursor."""
        return self.query_one(KnobPane).row

    def set_value(self, text: str) -> bool:
        """Take a value for the knob under the cursor; where it is bad, say why and keep what was there."""
        row = self.row
        if row is None:
            return False
        error = self.desk.try_take(lambda: self.desk.check(self.here(), row.advice, text))
        self._tell(error)
        self.show_draft()
        return not error

    def _tell(self, error: str | None) -> None:
        """A refusal above the keys; `why` tells it whole for as long as the cursor stays."""
        self._refused = (self.row, error or "")
        self.notice(error or "", rest=self.say(msg("w: why")))

    @on(KnobList.Stepped)
    def _stepped(self, event: KnobList.Stepped) -> None:
        row = self.row
        text = step_value(row, event.up) if row else None
        if row is None:
            self.action_more()
        elif text is None:
            self.action_edit()
        elif not self.set_value(text) and (less := shorter_step(row, event.up)) is not None:
            self.set_value(less)

    def action_edit(self) -> None:
        """Type a value; the preview follows."""
        row, edited = self.row, self.query_one(Edit).row
        if edited is not None:
            self._as_it_was(edited)
        if row is not None:
            self.query_one(KnobPane).open_input(row)
            self.notice("")
            self.fill_keys()

    @on(Edit.Typed)
    def _typed(self, event: Edit.Typed) -> None:
        row, edit = event.row, self.query_one(Edit)
        if edit.row is not row:
            return
        began = monotonic()
        error = self.desk.try_take(lambda: self.desk.check(self.here(), row.advice, event.value))
        self.query_one(KnobPane).tell_input(error)
        self._refused = (row, error or "")
        if error is None:
            self.show_draft()
        edit.took(monotonic() - began)
        if event.final and error is None:
            self._close_edit()

    @on(Edit.Left)
    def _left(self, event: Edit.Left) -> None:
        """Only Enter takes what is typed: what was shown of it meanwhile goes, and that is said."""
        if self.query_one(Edit).row is not event.row:
            return
        if self._as_it_was(event.row):
            left = msg("{knob} is as it was: only Enter takes what is typed.", knob=event.row.advice.knob)
            self.notice(self.say(left))

    def _as_it_was(self, row: KnobRow) -> bool:
        """Close the input with the value that its knob had before; whether there was another one."""
        advice, before = row.advice, self.desk.choices
        back = before.set(self.here(), advice.service, advice.knob, row.chosen)
        self.notice(self.desk.try_take(lambda: back) or "")
        self._close_edit()
        self.show_draft()
        return back != before

    def _close_edit(self) -> None:
        self.query_one(KnobPane).close_input()
        self.fill_keys()

    def action_recommended(self) -> None:
        """Advice again; where the operator's own value was kept, the recommendation is chosen."""
        row = self.row
        if row is not None:
            kept = row.advice.kept and row.chosen is None and row.advice.recommended is not None
            self.set_value(row.advice.recommended or "auto" if kept else "auto")

    def action_selection(self) -> None:
        """On, off, untouched."""
        following = _NEXT_SELECTION[self.desk.choices.selection(self.here())]
        self._tell(self.desk.try_take(lambda: self.desk.choices.select(self.here(), following)))
        self.show_draft()

    def action_more(self) -> None:
        """Unfold or fold the quiet knobs."""
        pane = self.query_one(KnobPane)
        pane.opened = not pane.opened
        self.show_draft()

    def action_service(self, steps: int) -> None:
        """Another service of the role."""
        self.query_one(KnobPane).next_service(steps)
        self.show_draft()

    def action_file(self) -> None:
        """The next file of the preview."""
        self.query_one(Preview).turn()
        self.show_draft()

    # -- reading and going ---------------------------------------------------------------------------------
    def action_why(self) -> None:
        """The knob under the cursor explained, after what was refused for it."""
        row, (about, refused) = self.row, self._refused
        if row is None:
            return
        lines = why_lines(self.desk, row, self.text_width)
        if refused and about is not None and about.is_of(row):
            lines = [*paragraph(f"! {refused}", "bad", width=self.text_width), (("", ""),), *lines]
        self.show_lines(msg("Why {knob}", knob=row.advice.knob), lines)

    def action_findings(self) -> None:
        """What is wrong here."""
        found = self.desk.findings_of(self.here())
        self.show_lines(msg("Findings"), finding_lines(self.desk, found, self.text_width))

    def action_diff(self) -> None:
        """Every file."""
        self.show_lines(msg("Files"), file_lines(self.desk, self.diffs()))

    def action_next(self) -> None:
        """On to the next one."""
        self.dismiss(Move.NEXT)

    def action_back(self) -> None:
        """Close the input as it was before, or go back."""
        edited = self.query_one(Edit).row
        if edited is None:
            self.dismiss(Move.BACK)
        else:
            self._as_it_was(edited)
