"""Result: how the run ended, before and after as read back, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.widgets import Static

from nftui.model.message import Message, msg
from nftui.tui.keys import HELP, LEAVING, Key, bindings
from nftui.tui.moves import Follow, Move
from nftui.tui.plantexts import result_lines, run_lines
from nftui.tui.screens.apply import outcome_words
from nftui.tui.screens.page import Page
from nftui.tui.screens.reader import paragraph
from nftui.tui.screens.wayback import AskWayBack
from nftui.tui.widgets.bars import Ends
from nftui.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from nftui.model.run import RunStatus
    from nftui.tui.texts import Line

_NEXT = {
    "applied": msg("Watch the services for a while. 'nftui status' tells of drift, 'nftui rollback' takes this back."),
    "unchanged": msg("Everything that was asked for stands already."),
    "rolled-back": msg("Nothing of this run is in force. Change what the reason names and apply again."),
    "partial": msg("What stands was verified. Start nftui again for the rest, or roll back what stands."),
}
_CUT_OFF = msg("Still changed: {what}. 'nftui recover' goes on from here; the snapshot is kept.")


class ResultScreen(Page[Move | Follow]):
    """Returns NEXT (leave), or the rollback to follow."""

    CSS_PATH = ["page.tcss", "result.tcss"]
    LEAVE = "done"
    KEYS: ClassVar[tuple[Key, ...]] = (
        Key(",".join(["enter", *LEAVING]), "done", "⏎", msg("quit"), msg("leave nftui"), 1),
        Key("R", "roll_back", "R", msg("roll back"), msg("take this run back; asks first"), 2),
        Key("l", "log", "l", msg("log"), msg("every step of the run"), 3),
        HELP,
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEYS)

    def __init__(self, status: RunStatus, notice: Message | None = None) -> None:
        super().__init__()
        self.status, self._notice = status, notice

    def body(self) -> ComposeResult:
        """Outcome, reason, values, next."""
        yield Ends(id="outcome")
        yield Static(id="why-ended", markup=False)
        yield Lines(id="values")
        yield Static(id="next", markup=False)

    def fill(self) -> None:
        """All from the status; nothing is claimed that is not in it."""
        status = self.status
        self.query_one("#outcome", Ends).set(f" {self.say(outcome_words(status))}", f"run {status.run} ")
        reason = "\n".join(t for t in (status.reason, *status.notes) if t)
        self.query_one("#why-ended", Static).update(self.desk.glyphs.plain(reason))
        self.query_one("#values", Lines).show(self._values())
        self.query_one("#values").focus()
        self.query_one("#next", Static).update(self.say(self._next()))
        if self._notice is not None:
            self.notice(self.say(self._notice), "bad")

    def here(self) -> str:
        """The sidebar's mark."""
        return "result"

    @property
    def stands(self) -> bool:
        """True while something of this run is in force, so that it can be taken back."""
        return self.status.kind != "rollback" and self.status.outcome in ("applied", "partial")

    @property
    def _width(self) -> int:
        return (self.query_one("#values").size.width or self.size.width) - 1

    def relayout(self) -> None:
        """Columns follow the width."""
        self.query_one("#values", Lines).show(self._values())

    def _values(self) -> list[Line]:
        plan, status = self.desk.plan, self.status
        if self.stands and plan is not None:
            lines = result_lines(self.desk, status, plan.draft, self._width)
            read = sum(line[0][1] == "good" for line in lines)
            head = self.say(
                msg("{read} of {all} values read back from the running services", read=read, all=len(lines))
            )
            return [((f" {head}", "dim"),), *lines] if lines else self._steps()
        return self._steps()

    def _steps(self) -> list[Line]:
        return run_lines(self.desk, self.status.steps, self._width)

    def _next(self) -> Message:
        if self.status.standing:
            return Message(_CUT_OFF.id, {"what": ", ".join(self.status.standing)})
        if self.status.kind == "rollback" and self.status.outcome == "rolled-back":
            return msg("The state before that run is back.")
        return _NEXT.get(
            self.status.outcome or "", msg("Nothing is in force that was not before; the log names the step.")
        )

    # -- keys ------------------------------------------------------------------------------------------------
    def action_done(self) -> None:
        """Leave."""
        self.dismiss(Move.NEXT)

    def action_roll_back(self) -> None:
        """Ask, then take it back."""
        if not self.stands:
            self.notice(self.say(msg("Nothing of this run is in force; there is nothing to take back.")))
            return
        AskWayBack(self, self.dismiss).ask()

    def action_log(self) -> None:
        """Steps with their errors in full."""
        lines: list[Line] = []
        for step in self.status.steps:
            lines += paragraph(f"{step.state:<10} {self.say(step.summary)}", "strong", width=self.text_width)
            more = self.desk.glyphs.plain(step.error or step.detail)
            lines += paragraph(more, indent="   ", width=self.text_width)
        self.show_lines(msg("Steps of the run"), lines)
