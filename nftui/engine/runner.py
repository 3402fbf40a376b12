"""The run loop: apply, rollback and recovery are this one loop, forwards or backwards over a journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import field, replace
from typing import Protocol

from nftui.engine.crossing import last_crossed
from nftui.engine.journal import Journal, Phase, RunView
from nftui.model.dataclass import dataclass
from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.model.plan import Cancel, Resume, Stage, StepSpec
from nftui.steps.calls import Data
from nftui.steps.kind import Context, ForeignState, Found, HasUndoRank, Kinds, ReadsBack, StepKind


@dataclass(frozen=True, slots=True)
class BackItem:
    """One step to take back: its intent may stand in an earlier run's journal. `key` names it in this journal."""

    key: str
    step: StepSpec
    before: Data


class Requests(Protocol):
    """What the operator asks of a live run."""

    def take(self) -> str | None:
        """The next request ("confirm", "cancel", "rollback"), None where there is none."""
        ...

    def answer(self, request: str, accepted: bool, text: str) -> None: ...


@dataclass(slots=True)
class Options:
    """How a run is to behave; none of it changes what is applied."""

    confirm_within_s: float | None = None
    boot_time: Callable[[], float] = lambda: 0.0
    """Seconds since boot: unlike the wall clock it cannot be set."""
    boot_id: str = ""
    lossy: bool = False
    """The operator consented to losing what was written after a commit point was crossed."""
    late: Callable[[Sequence[BackItem], str | None, Context], Sequence[BackItem]] = lambda items, kept, ctx: ()
    """What came to run this run's files without a step of it, beside `items`; `kept`: the last stage that stands."""


@dataclass(slots=True)
class Outcome:
    """How a run ended; `standing` lists what a failed way back left changed."""

    name: str
    reason: str = ""
    standing: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    kept: str | None = None
    """Of a partial run: the last stage that stands."""


LISTEN_S = 0.2
"""How long a request waits at most while a step only waits."""
_CANCELLED = "cancelled by request"


class Turned(Exception):
    """The run goes back, for `reason`."""


def backward_order(stage: Stage, kinds: Kinds) -> list[StepSpec]:
    """How a stage is taken back: its own steps in reverse, then, in forward order, those that re-read the files.

    So a service is recreated by files that are back already, and read back after that; what others are routed to is
    there before them, and goes after them. What frames the stage comes last, newest first: writers start again when
    their service is back. What carries data back comes first of all, while the files still name where it is.
    """
    frame = [s for s in stage.steps if s.last_back]
    first = [s for s in stage.steps if s.first_back]
    inner = [s for s in stage.steps if not s.last_back and not s.first_back]
    files = [s for s in inner if not kinds.of(s).reads_files]
    others = [s for s in inner if kinds.of(s).reads_files]
    return [*reversed(first), *reversed(files), *sorted(others, key=lambda s: _rank(kinds.of(s))), *reversed(frame)]


def _rank(kind: StepKind) -> int:
    return kind.undo_rank if isinstance(kind, HasUndoRank) else 0


class Runner:
    """Drives one journal to its end."""

    def __init__(
        self,
        journal: Journal,
        stages: Sequence[Stage],
        kinds: Kinds,
        ctx: Context,
        requests: Requests,
        options: Options,
        redact: Callable[[str], str] = str,
    ) -> None:
        self.journal, self.stages, self.kinds = journal, stages, kinds
        self.requests, self.options, self.redact = requests, options, redact
        self.view = RunView(journal.entries)
        self._doing: StepSpec | None = None
        """The step at work on the way forward."""
        self._backward = False
        self._cancelled = self.view.cancelled
        """True once a cancel was accepted, also in a former life of the worker."""
        self._sleep = ctx.sleep
        self.ctx = replace(ctx, sleep=self._pause, issued=self._issued, note=self._note, recall=self._recall)

    def forward(self, skip: Iterable[str] = ()) -> Outcome | None:
        """All steps, then confirmation. None: everything stands and is to be committed; else how it ended."""
        skipped = list(skip)
        try:
            if not self.view.turned:
                self._steps(skipped)
                self._confirm()
                # What waited for the confirmation: the writers of switched data.
                self._steps(skipped)
                return None
        except Turned as turn:
            self.turn(str(turn))
        return self._back()

    def turn(self, reason: str) -> None:
        """From here on the run goes back, as far as that loses nothing; decided once, before any step is undone."""
        kept = None if self.options.lossy else last_crossed(self.stages, self.view, self.kinds, self.ctx)
        self.journal.write(Phase.TURN, reason=reason, kept=kept)

    def _back(self) -> Outcome:
        """Back to the last commit point that was crossed, to the beginning where there is none."""
        line = self.view.find(Phase.TURN)
        reason, kept = (str(line.data["reason"]), line.data.get("kept")) if line else ("", None)
        ids = [stage.id for stage in self.stages]
        if kept is not None and self.options.lossy:
            # In the journal, for a way back that is cut off must not end as one that keeps what it had half undone.
            self.journal.write(Phase.TURN, reason=reason, kept=None)
            kept = None
        crossed = 0 if kept is None else ids.index(str(kept)) + 1
        items = self.own_items(self.stages[crossed:])
        outcome = self.backward([*items, *self._late(items, kept)], reason)
        if outcome.name != "rolled-back" or not crossed:
            return outcome
        return self._stand(self.stages[:crossed], reason)

    def _late(self, items: Sequence[BackItem], kept: object) -> Sequence[BackItem]:
        """Where nobody can be asked what runs, the steps' own way back goes on."""
        try:
            return self.options.late(items, None if kept is None else str(kept), self.ctx)
        except NftuiError as error:
            self._note(describe(error))
            return ()

    def _stand(self, stages: Sequence[Stage], reason: str) -> Outcome:
        """What lies before a crossed commit point stands if it was verified; its writers are let in again.

        A writer that does not come up is told, and takes nothing of the data with it.
        """
        reasons, steps = [reason], stages[-1].steps
        for step in (s for stage in stages for s in stage.crossing):
            if self.view.last(step.id) is not Phase.VERIFIED:
                try:
                    self._step(step)
                except Turned as turn:
                    reasons.append(str(turn))
                    break
        words = "; ".join(dict.fromkeys(reasons))
        proven = (Phase.VERIFIED, Phase.SKIPPED)
        if any(self.view.last(s.id) not in proven for s in steps if s.lossy or not s.opens):
            return Outcome("failed", words, [s.target for s in steps if self.view.last(s.id)])
        return Outcome("partial", words, kept=stages[-1].id)

    def _recall(self, step: str) -> Data:
        verified = next((e.data for e in self.journal.entries if (e.step, e.phase) == (step, Phase.VERIFIED)), {})
        return {**(self.view.intent(step) or {}), **verified}

    def _waits(self, stage: Stage, step: StepSpec) -> bool:
        """Whether the step lets writers in that stay stopped until the run is confirmed."""
        wanted = self.options.confirm_within_s is not None and not self.view.find(Phase.CONFIRMED)
        return wanted and step.opens and stage.fence is not None

    def _steps(self, skipped: list[str]) -> None:
        for stage in self.stages:
            for step in stage.steps:
                if step.id in skipped:
                    if self.view.last(step.id) is None:
                        self.journal.write(Phase.SKIPPED, step.id)
                elif self.view.last(step.id) is not Phase.VERIFIED and not self._waits(stage, step):
                    if self.journal.strained:
                        raise Turned("the disk of the state directory is full")
                    self._listen()
                    self._turn_if_cancelled()
                    self._step(step)

    def _step(self, step: StepSpec) -> None:
        self._doing = step
        try:
            self._forward(step)
        except Turned:
            raise
        except Exception as error:
            text = self.redact(describe(error))
            self.journal.write(Phase.FAILED, step.id, error=text)
            raise Turned(text) from error
        finally:
            self._doing = None
        self._turn_if_cancelled()

    def _turn_if_cancelled(self) -> None:
        if self._cancelled and not self._backward:
            raise Turned(_CANCELLED)

    def _forward(self, step: StepSpec) -> None:
        kind = self.kinds.of(step)
        before = self.view.intent(step.id)
        if before is None:
            before = kind.read(step, self.ctx)
            self.journal.write(Phase.INTENT, step.id, **before)
        found = kind.classify(step, before, self.ctx)
        if found is Found.FOREIGN:
            raise ForeignState(msg("{target} was changed by someone else meanwhile.", target=step.target))
        # What the outside has accepted is waited for and not asked again; that nothing has come of it is another case.
        accepted = found is Found.PARTIAL and self.view.last(step.id) is Phase.ISSUED
        if found is not Found.AFTER and not accepted:
            kind.do(step, before, self.ctx)
        self.journal.write(Phase.DONE, step.id)
        self.journal.write(Phase.VERIFIED, step.id, **kind.verify(step, before, self.ctx))

    def _issued(self, work: str) -> None:
        if self._doing is not None:
            self.journal.write(Phase.ISSUED, self._doing.id, work=work)

    def _note(self, text: str) -> None:
        self.journal.write(Phase.NOTE, text=self.redact(text))

    def _pause(self, seconds: float) -> None:
        """The one way in which a step waits: requests are heard meanwhile, so that none waits for a long one to end."""
        end = self.ctx.now() + seconds
        while True:
            self._listen()
            left = end - self.ctx.now()
            if left <= 0:
                return
            self._sleep(min(left, LISTEN_S))

    def _listen(self) -> None:
        """Answer what was asked; a cancel turns the run, at once or after the step, as the step says."""
        request = self.requests.take()
        if request is None:
            return
        if self._backward:
            self.requests.answer(request, self.view.turned and request != "confirm", "the run is on its way back")
        elif request == "confirm":
            self.requests.answer(request, False, "nothing is waiting to be confirmed yet")
        elif self._doing is not None and self._doing.cancel is Cancel.AFTER_STEP:
            self._cancelled = True
            self.requests.answer(request, True, "everything is taken back once this step has ended")
        else:
            self.requests.answer(request, True, "taking everything back")
            raise Turned(_CANCELLED)

    def _confirm(self) -> None:
        """Wait for `nftui confirm`; the window opens after verify and settle, and lives in one boot only.

        It counts once its line is on the disk. The deadline is the boot clock's, which nobody can set.
        """
        seconds = self.options.confirm_within_s
        if seconds is None or self.view.find(Phase.CONFIRMED):
            return
        entry = self.view.find(Phase.AWAITING)
        if entry is None:
            deadline = self.options.boot_time() + seconds
            entry = self.journal.write(Phase.AWAITING, deadline=deadline, boot=self.options.boot_id, seconds=seconds)
        if entry.data["boot"] != self.options.boot_id:
            raise Turned("the machine was restarted before it was confirmed")
        while self.options.boot_time() < float(str(entry.data["deadline"])):
            if self._take_confirmation():
                return
            self._sleep(LISTEN_S)
        raise Turned("not confirmed in time")

    def _take_confirmation(self) -> bool:
        request = self.requests.take()
        if request in ("cancel", "rollback"):
            self.requests.answer(request, True, "taking everything back")
            raise Turned("taken back by request")
        if request == "confirm":
            self.journal.write(Phase.CONFIRMED)
            self.requests.answer(request, True, "kept")
            return True
        return False

    def own_items(self, stages: Sequence[Stage] | None = None) -> list[BackItem]:
        """This run's steps that began (of `stages`, else of all), in the order in which they are taken back.

        And those that read back what a touched service runs: only what was compared is called rolled back.
        """
        items = []
        for stage in reversed(self.stages if stages is None else stages):
            touched = {s.service for s in stage.steps if s.service and self.view.intent(s.id) is not None}
            for step in backward_order(stage, self.kinds):
                before, kind = self.view.intent(step.id), self.kinds.of(step)
                if before is None and isinstance(kind, ReadsBack) and step.service in touched:
                    before = kind.read(step, self.ctx)
                if before is not None:
                    items.append(BackItem(step.id, step, before))
        return items

    def backward(self, items: Sequence[BackItem], reason: str) -> Outcome:
        """Take `items` back; stops at the first one that cannot be, and says what still stands."""
        if self.journal.reserve:
            self.journal.reserve.give_project()
        self._backward = True
        for index, item in enumerate(items):
            if self.view.last(item.key) is Phase.UNDONE:
                continue
            self._listen()
            self.journal.write(Phase.UNDOING, item.key)
            try:
                self.kinds.of(item.step).undo(item.step, item.before, self.ctx)
            except Exception as error:
                text = self.redact(describe(error))
                self.journal.write(Phase.UNDO_FAILED, item.key, error=text)
                return Outcome("failed", text, [i.step.target for i in items[index:]])
            self.journal.write(Phase.UNDONE, item.key)
        return Outcome("rolled-back", reason)


def resumable(stages: Sequence[Stage], view: RunView) -> bool:
    """Whether a cut-off run may go on: the step it was cut off in allows it, and nothing awaits a confirmation."""
    if view.turned or view.find(Phase.AWAITING):
        return not view.turned
    for stage in stages:
        for step in stage.steps:
            if view.last(step.id) in (Phase.INTENT, Phase.ISSUED, Phase.DONE) and step.resume is Resume.UNDO_ONLY:
                return False
    return True


def describe(error: Exception) -> str:
    """One line of any error; an unexpected one names its type, and never a value."""
    if isinstance(error, NftuiError):
        return str(error.message)
    return f"{type(error).__name__}: {error}"
