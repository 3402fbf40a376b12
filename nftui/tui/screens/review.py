"""Review: the proven plan, every step and what it costs. Nothing starts here by Enter alone on the table."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Static

from nftui.engine.consent import NO_CONSENT, Consent, unsaved, untimed
from nftui.engine.preview import diff_files
from nftui.model.errors import NftuiError
from nftui.model.message import Message, msg
from nftui.tui.background import in_thread
from nftui.tui.desk import CONFIRM_WITHIN_S
from nftui.tui.keys import BACK, HELP, QUIT, Key, bindings
from nftui.tui.moves import Apply, Move
from nftui.tui.plantexts import (
    apply_words,
    consent_words,
    is_one_way,
    step_lines,
    total_lines,
    value_lines,
    whole_lines,
)
from nftui.tui.screens.page import Page
from nftui.tui.screens.reader import file_lines, paragraph
from nftui.tui.texts import Line, clock, totals
from nftui.tui.widgets.bars import Ends, join
from nftui.tui.widgets.edit import TypedInput
from nftui.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from nftui.model.plan import Draft, Plan

_OTHER_ROWS = 17
"""Of the screen beside what is accepted, three of the table with them."""
_REBOOT = msg("    a reboot before that is taken back only when nftui next runs")


def _nothing(draft: Draft) -> Message:
    """Why nothing would be written."""
    if not any(item.applicable for item in draft.optimizations):
        return msg("Nothing applies here; nothing would be written.")
    return msg("All values that are on stand already. Nothing would be written.")


class ReviewScreen(Page[Move | Apply]):
    """Proves the plan on arrival; returns Apply with it, or BACK."""

    CSS_PATH = ["page.tcss", "review.tcss"]
    KEYS: ClassVar[tuple[Key, ...]] = (
        Key("a", "apply", "a", msg("apply"), msg("apply exactly what stands here"), 1),
        Key("d", "diff", "d", msg("diff"), msg("the diff of every file"), 3),
        Key("w", "whole", "w", msg("whole"), msg("what is accepted, every step and value: nothing is cut there"), 4),
        Key("c", "confirm", "c", msg("time limit"), msg("go back by itself unless kept in time: on or off"), 6),
        Key("t", "type", "t", msg("accept"), msg("type the acceptance of what cannot be undone")),
        Key("enter", "hint", "⏎", msg("apply is a"), msg("says which key applies; Enter itself never does")),
        BACK,
        HELP,
        QUIT,
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEYS)

    def __init__(self, notice: Message | None = None) -> None:
        super().__init__()
        self._notice = notice
        self.plan: Plan | None = None
        self.barrier: Message | None = None
        """Why this machine would refuse the plan, whatever is accepted."""
        self.limit = False

    def body(self) -> ComposeResult:
        """Table, totals, time limit; what is accepted right above the line in which it is typed; the button."""
        yield Ends(id="review-title")
        yield Lines(id="table")
        yield Static(id="totals", markup=False)
        yield Static(id="confirm", markup=False)
        with Vertical(id="consent"):
            yield Static(id="accepted", markup=False)
            yield Static(id="typed-label", markup=False)
            with Horizontal(id="typed-row"):
                yield Static(f" {self.desk.glyphs.cursor} ", id="typed-sign", markup=False)
                box = TypedInput(id="typed", compact=True)
                box.cursor_blink = False
                yield box
        button = Button("", id="go", compact=True, disabled=True)
        button.can_focus = False  # Enter on it would start the run
        yield button

    def fill(self) -> None:
        """Through Compose, off the event loop."""
        self.limit = self.desk.ssh
        self.query_one("#table").focus()
        self.query_one("#go").display = False
        title = self.say(msg("Checking the plan with Compose; a few seconds."))
        self.query_one("#review-title", Ends).set(f" {title}", "")
        if self._notice is not None:
            self.notice(self.say(self._notice), "bad")
        self.run_worker(self._prove(), group="prove", exclusive=True)

    def on_resize(self) -> None:
        """Another height has room for more of what is accepted, or less."""
        if self.plan is not None:
            self._show_decision()

    def relayout(self) -> None:
        """Columns follow the width."""
        if self.plan is not None:
            self._show(self.plan)

    def position(self) -> str:
        """The totals of the draft."""
        return totals(self.desk.draft, self.desk.glyphs)

    def here(self) -> str:
        """The sidebar's mark."""
        return "review"

    async def _prove(self) -> None:
        choices = self.desk.choices
        try:
            self.plan = await in_thread(lambda: self.desk.session.prove(choices))
        except NftuiError as error:
            title = self.say(msg("This plan cannot be applied; Esc goes back to change it."))
            self.query_one("#review-title", Ends).set(f" {title}", "")
            self.query_one("#table", Lines).show(paragraph(self.say(error.message), "bad", width=self.text_width))
            return
        self.barrier = await in_thread(lambda: self._barrier(self.plan))
        self._show(self.plan)

    def _barrier(self, plan: Plan | None) -> Message | None:
        if plan is None or plan.draft.refusals or not plan.draft.changes:
            return None
        try:
            self.desk.session.runs.must_be_applicable(plan, files_only=False, force=False)
        except NftuiError as error:
            return error.message
        return None

    # -- what it shows ---------------------------------------------------------------------------------------
    def _show(self, plan: Plan) -> None:
        draft = plan.draft
        title = msg("Review: nothing has been changed yet") if draft.changes else msg("There is nothing to do")
        self.query_one("#review-title", Ends).set(f" {self.say(title)}", f"plan {plan.id[:12]} ")
        self.query_one("#table", Lines).show(self._table(plan))
        self.query_one("#totals", Static).update(join(total_lines(self.desk, draft)))
        self._show_decision()

    def _table(self, plan: Plan) -> list[Line]:
        draft, width = plan.draft, (self.query_one("#table").size.width or 78) - 1
        told = partial(paragraph, width=width)
        lines: list[Line] = []
        for refusal in (*draft.refusals, *filter(None, (self.barrier,))):
            lines += told(f"! {self.say(refusal)}", "bad")
        if not draft.changes:
            lines += told(self.say(_nothing(draft)))
        for warning in draft.warnings:
            lines += told(f"! {self.say(warning)}", "warn")
        lines += step_lines(self.desk, draft, width)
        for words in () if self.one_way else consent_words(draft):
            lines += told(f"! {self.say(words)}", "warn", indent="   ")
        values = value_lines(self.desk, draft, width) if draft.changes else []
        head = [(("", ""),), ((f" {self.say(msg('Values'))}", "dim"),)] if values else []
        return [*lines, *head, *values]

    def _accepted(self, draft: Draft) -> list[Line]:
        """What is accepted, as much of it as leaves some rows of the table; the last row says where the rest is."""
        width, most = self.app.size.width - 3, max(3, self.app.size.height - _OTHER_ROWS)
        rows: list[Line] = []
        for words in consent_words(draft):
            rows += paragraph(f"! {self.say(words)}", "bad", width=width)
        if len(rows) <= most:
            return rows
        more = self.say(msg("{count} more lines of this: w", count=len(rows) - most + 1))
        return [*rows[: most - 1], ((f" {self.desk.glyphs.more} {more}", "bad"),)]

    @property
    def one_way(self) -> bool:
        """Whether something cannot be taken back whole."""
        if self.plan is None:
            return False
        return bool(self.plan.draft.losses) or any(is_one_way(s) for s in self.plan.draft.steps)

    @property
    def password(self) -> str:
        """What is typed to accept them: the project's name, so that the right server is meant.

        Where data is switched of which no backup was proven, that is typed as well.
        """
        name = self.desk.facts.stack.name
        return f"{name} without backup" if self.plan and unsaved(self.plan.draft) else name

    def blocked(self) -> Message | None:
        """Why it cannot be applied now, None where it can."""
        if self.plan is None:
            return msg("the plan is not checked yet")
        if self.plan.draft.refusals:
            return msg("what is refused stands above; go back and change it")
        if not self.plan.draft.changes:
            return msg("there is nothing to do")
        if self.barrier is not None:
            return msg("what stands in the way is told above")
        if self.one_way and self.query_one("#typed", Input).value.strip() != self.password:
            return msg("what cannot be undone is not accepted: press t")
        if self.limit and untimed(self.plan.draft):
            return msg("what writes to the data runs on, so no time limit: press c")
        return None

    def _show_decision(self) -> None:
        if self.plan is None:
            return
        changes = self.plan.draft.changes
        self.query_one("#consent").set_class(self.one_way, "-open")
        if self.one_way:
            label = msg('Type "{name}" to accept what cannot be undone:', name=self.password)
            self.query_one("#accepted", Static).update(join(self._accepted(self.plan.draft)))
            self.query_one("#typed-label", Static).update(self.say(label))
        window = clock(CONFIRM_WITHIN_S)
        on = msg("[x] goes back by itself unless you keep it within {time}   c  changes it", time=window)
        off = msg("[ ] no time limit   c  goes back by itself unless you keep it within {time}", time=window)
        limit = on if self.limit else off
        rows = [limit, _REBOOT] if self.limit and self.desk.session.runs.reboot_hint else [limit]
        text = "\n".join(f" {self.say(row)}" for row in rows)
        self.query_one("#confirm", Static).update(text if changes else "")
        self._show_button()

    def _show_button(self) -> None:
        button, reason = self.query_one("#go", Button), self.blocked()
        button.display = True
        button.disabled = reason is not None
        button.label = self._words(reason)

    def _words(self, reason: Message | None) -> str:
        if reason is None and self.plan is not None:
            return f"{self.say(apply_words(self.plan.draft))}   a"
        return self.say(msg("Not now: {why}.", why=self.say(reason))) if reason else ""

    # -- keys ------------------------------------------------------------------------------------------------
    @on(Input.Changed, "#typed")
    def _typing(self) -> None:
        self._show_button()

    @on(Input.Submitted, "#typed")
    def _typed(self) -> None:
        self.query_one("#table").focus()

    @on(Button.Pressed, "#go")
    def action_apply(self) -> None:
        """Start, or say why not."""
        reason = self.blocked()
        if reason is not None or self.plan is None:
            self.notice(self._words(reason))
            return
        consent = Consent(irreversible=True, without_backup=True) if self.one_way else NO_CONSENT
        self.dismiss(Apply(self.plan, CONFIRM_WITHIN_S if self.limit else None, consent))

    def action_hint(self) -> None:
        """Enter never starts anything from the table."""
        reason = self.blocked()
        self.notice(self._words(reason) if reason else self.say(msg("Press a to apply, Esc to go back.")))

    def action_type(self) -> None:
        """To the acceptance."""
        if self.one_way:
            self.query_one("#typed").focus()

    def action_confirm(self) -> None:
        """The time limit on or off."""
        self.limit = not self.limit
        self._show_decision()

    def action_whole(self) -> None:
        """What is accepted, every step and every value, with nothing cut."""
        if self.plan is not None:
            draft, width = self.plan.draft, self.text_width
            accepted = [f"! {self.say(words)}" for words in consent_words(draft)]
            lines = [line for text in accepted for line in paragraph(text, "bad" if self.one_way else "", width=width)]
            self.show_lines(msg("The whole plan"), [*lines, *whole_lines(self.desk, draft, width)])

    def action_diff(self) -> None:
        """Every file, as it will be written."""
        if self.plan is not None:
            diffs = diff_files(self.plan.draft.files, redact=self.desk.session.redact_text)
            self.show_lines(msg("Files"), file_lines(self.desk, diffs))

    def action_back(self) -> None:
        """Leave the input, or go back to the last optimization."""
        if self.query_one("#typed").has_focus:
            self.query_one("#table").focus()
        else:
            self.dismiss(Move.BACK)
