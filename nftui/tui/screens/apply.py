"""Follow a run: one fixed line per step, then the question whether to keep what was done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.message import Message as Event
from textual.widgets import Static

from nftui.model.dataclass import dataclass
from nftui.model.errors import NftuiError
from nftui.model.message import Message, msg
from nftui.model.run import RunStatus
from nftui.tui.background import in_thread, spawn
from nftui.tui.keys import HELP, QUIT, Key, bindings
from nftui.tui.plantexts import run_lines
from nftui.tui.screens.page import Page
from nftui.tui.screens.reader import paragraph
from nftui.tui.texts import clock
from nftui.tui.widgets.bars import Ends
from nftui.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.timer import Timer

_WORDS = {
    "applied": msg("Applied, verified and kept"),
    "unchanged": msg("Nothing had to be changed"),
    "rolled-back": msg("Taken back; everything is as it was before"),
    "failed": msg("Failed"),
    "partial": msg("A part stands, verified; the rest was taken back"),
}


def outcome_words(status: RunStatus) -> Message:
    """How a run ended, in words."""
    return _WORDS.get(status.outcome or "", msg("Ended"))


class ApplyScreen(Page[RunStatus | Message | None]):
    """Starts a run by `start` and follows it; returns its last status, or why it did not start."""

    CSS_PATH = ["page.tcss", "apply.tcss"]
    KEYS: ClassVar[tuple[Key, ...]] = (
        Key("enter", "result", "⏎", msg("result"), msg("what was done, once the run has ended"), 1),
        Key("k", "keep", "k", msg("keep"), msg("keep the changes; works while the countdown runs"), 2),
        Key("R", "roll_back", "R", msg("roll back now"), msg("take everything back, now"), 3),
        Key("l", "log", "l", msg("log"), msg("every step in full"), 6),
        HELP,
        QUIT,
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEYS)

    @dataclass
    class Seen(Event):
        """The run moved on."""

        status: RunStatus

        def can_replace(self, message: Event) -> bool:
            """A burst folds to its last one."""
            return isinstance(message, ApplyScreen.Seen)

    @dataclass
    class Ended(Event):
        """Nothing more will come; `error` where following failed."""

        error: Message | None = None

    def __init__(self, start: Callable[[], str | None]) -> None:
        super().__init__()
        self._start = start
        self.status: RunStatus | None = None
        self._deadline: float | None = None
        self._ticker: Timer | None = None
        self.over = False

    def body(self) -> ComposeResult:
        """Title, steps, reason, the question, what is safe."""
        yield Ends(id="run-title")
        yield Lines(id="steps")
        yield Static(id="reason", markup=False)
        yield Static(id="asked", markup=False)
        yield Static(id="safe", markup=False)

    def fill(self) -> None:
        """Start it, then follow it."""
        self.query_one("#run-title", Ends).set(f" {self.say(msg('Starting the run in its own process.'))}", "")
        self.query_one("#steps").focus()
        self.run_worker(self._begin(), group="begin", exclusive=True)

    def relayout(self) -> None:
        """Lines follow the width."""
        if self.status is not None:
            self._show_steps(self.status)

    def here(self) -> str:
        """The sidebar's mark."""
        return "apply"

    async def _begin(self) -> None:
        try:
            run = await in_thread(self._start)
        except NftuiError as error:
            self.dismiss(error.message)
            return
        if run is None:
            self.dismiss(None)
            return
        self.desk.run = run
        safe = self.say(msg("This goes on if you lose the connection. See it again with: nftui attach"))
        self.query_one("#safe", Static).update(f" {safe}")
        spawn(lambda: self._follow(run))

    def _follow(self, run: str) -> None:
        """On its own thread: only messages leave it."""
        error: Message | None = None
        try:
            for status in self.desk.session.runs.follow(run):
                if not self.is_attached:
                    return
                self.post_message(self.Seen(status))
        except NftuiError as problem:
            error = problem.message
        if self.is_attached:
            self.post_message(self.Ended(error))

    # -- what it shows ---------------------------------------------------------------------------------------
    @on(Seen)
    def _seen(self, event: Seen) -> None:
        self.status = status = event.status
        self.desk.awaiting = status.state == "awaiting-confirm"
        self._show_steps(status)
        self.query_one("#run-title", Ends).set(f" {self.say(self._title(status))}", f"run {status.run} ")
        self.query_one("#reason", Static).update(self.desk.glyphs.plain(status.reason))
        self._count(status)

    def _show_steps(self, status: RunStatus) -> None:
        steps = self.query_one("#steps", Lines)
        steps.show(run_lines(self.desk, status.steps, (steps.size.width or 80) - 1))
        for number, step in enumerate(status.steps):
            if step.state in ("running", "undoing", "failed"):
                steps.reveal(number)

    def _title(self, status: RunStatus) -> Message:
        done = sum(s.state in ("verified", "skipped", "undone") for s in status.steps)
        if status.state == "ended":
            return outcome_words(status)
        if status.turned or status.kind == "rollback":
            return msg("Going back")
        if status.state == "awaiting-confirm":
            return msg("Applied and verified; waiting for you")
        return msg("Applying: {done} of {all} steps done", done=done, all=len(status.steps))

    def _count(self, status: RunStatus) -> None:
        """The countdown moves once a second, and only while it counts."""
        left = status.confirm_left_s if status.state == "awaiting-confirm" else None
        self._deadline = None if left is None else time.monotonic() + left
        if left is not None and self._ticker is None:
            self._ticker = self.set_interval(1.0, self._tick)
        elif left is None and self._ticker is not None:
            self._ticker.stop()
            self._ticker = None
        self._tick()

    def _tick(self) -> None:
        text = ""
        if self._deadline is not None:
            left = clock(self._deadline - time.monotonic() + 0.5)
            dot = self.desk.glyphs.dot
            text = self.say(
                msg("Keep these changes? Back to before in {left}.  k keep {dot} R roll back", left=left, dot=dot)
            )
        elif self.over:
            text = self.say(msg("The run has ended. Enter shows the result."))
        self.query_one("#asked", Static).update(f" {text}")

    @on(Ended)
    def _ended(self, event: Ended) -> None:
        self.over = True
        self.desk.run, self.desk.awaiting = None, False
        self._deadline = None
        if self._ticker is not None:
            self._ticker.stop()
        self.query_one("#safe", Static).update("")
        if event.error is not None:
            self.notice(self.say(event.error), "bad")
        self._tick()

    # -- keys ------------------------------------------------------------------------------------------------
    def action_result(self) -> None:
        """Only once it has ended."""
        if self.over:
            self.dismiss(self.status or msg("Nothing is known about this run; look with: nftui status"))

    def action_keep(self) -> None:
        """Keep what was applied."""
        if self._deadline is None:
            self.notice(self.say(msg("Nothing is waiting to be kept now.")))
        else:
            self._ask_run("confirm")

    def action_roll_back(self) -> None:
        """Take everything back, while the run is live."""
        if self.over or self.desk.run is None:
            self.notice(self.say(msg("The run has ended; the result screen can roll it back.")))
        else:
            self._ask_run("rollback")

    def _ask_run(self, what: str) -> None:
        run = self.desk.run
        if run is not None:
            self.run_worker(self._request(run, what), group="request", exclusive=True)

    async def _request(self, run: str, what: str) -> None:
        self.notice(self.say(msg("Asking the run.")))
        try:
            accepted, words = await in_thread(lambda: self.desk.session.runs.request(run, what))
        except NftuiError as error:
            self.notice(self.say(error.message), "bad")
            return
        self.notice("" if accepted else self.desk.glyphs.plain(words))

    def action_log(self) -> None:
        """Steps with their full details and errors."""
        lines = []
        for step in self.status.steps if self.status else ():
            lines += paragraph(f"{step.state:<10} {self.say(step.summary)}", "strong", width=self.text_width)
            more = self.desk.glyphs.plain(step.error or step.detail)
            lines += paragraph(more, indent="   ", width=self.text_width)
        self.show_lines(msg("Steps of the run"), lines)
