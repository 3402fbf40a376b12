"""Following a run: one line per step on stderr. The run goes on by itself; whoever follows can leave at any time."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from nftui.cli.i18n import _, tr
from nftui.cli.output import Line, Output
from nftui.model.run import RunStatus, StepState
from nftui.model.units import human_seconds

if TYPE_CHECKING:
    from nftui.session import Session

_FINAL = ("verified", "skipped", "failed", "undone", "undo-failed")
_STYLES = {"verified": "green", "skipped": "dim", "failed": "red", "undone": "yellow", "undo-failed": "red"}


class Detached(BaseException):
    """The follower leaves, the run goes on: the terminal is gone, or Ctrl-C came twice."""


class Follower:
    """Tells what a run does, each step once per state that matters."""

    def __init__(self, session: Session, out: Output, run: str) -> None:
        self.session, self.out, self.run = session, out, run
        self.last: RunStatus | None = None
        self._told: dict[str, str] = {}
        self._waiting = self._turned = False

    def follow(self) -> RunStatus:
        """Until it has ended or was cut off. First Ctrl-C asks for cancel, the second raises Detached."""
        with _detaching_signals():
            try:
                return self._watch()
            except KeyboardInterrupt:
                pass
            try:
                self.out.tell(_("Asking the run to stop and take everything back. Ctrl-C again leaves it alone."))
                accepted, words = self.session.runs.request(self.run, "cancel")
                if not accepted:
                    self.out.tell(_("The run has not said yes: {words}").format(words=words))
                return self._watch()
            except KeyboardInterrupt:
                raise Detached from None

    def _watch(self) -> RunStatus:
        for status in self.session.runs.follow(self.run):
            self.last = status
            self._show(status)
        self.out.wipe()
        return self.last if self.last is not None else self.session.runs.run_status(self.run)

    def _show(self, status: RunStatus) -> None:
        if status.turned and not self._turned:
            self._turned = True
            self.out.tell(_("Taking everything back: {reason}").format(reason=status.reason or _("by request")))
        for number, step in enumerate(status.steps, 1):
            if self._told.get(step.id) != step.state:
                self._told[step.id] = step.state
                self._step(f"{number}/{len(status.steps)}", step)
            if step.state in ("running", "undoing"):
                self.out.passing(f"  {number}/{len(status.steps)}  {tr(step.summary)}  {step.detail or step.state}")
        if status.state == "awaiting-confirm" and not self._waiting:
            self._waiting = True
            self.out.tell(
                _("Everything stands. Keep it within {time}: nftui confirm").format(
                    time=human_seconds(status.confirm_left_s or 0)
                )
            )

    def _step(self, number: str, step: StepState) -> None:
        if step.state in _FINAL or (self.out.verbose and step.state != "pending"):
            self.out.tell(_line(number, step))


def _line(number: str, step: StepState) -> Line:
    seconds = "" if step.seconds is None else f"  {step.seconds:.1f} s"
    error = f": {step.error}" if step.error and step.state in ("failed", "undo-failed") else ""
    return f"  {number}  {tr(step.summary)}  {step.state}{seconds}{error}", _STYLES.get(step.state, "dim")


@contextmanager
def _detaching_signals() -> Iterator[None]:
    """SIGHUP (the terminal went away) and SIGTERM make the follower leave, not the run end."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise Detached

    names = (signal.SIGHUP, signal.SIGTERM)
    try:
        before = {name: signal.signal(name, leave) for name in names}
    except ValueError:  # not in the main thread: signals are someone else's business
        yield
        return
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
