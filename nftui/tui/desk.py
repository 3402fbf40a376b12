"""What the wizard holds while it is open: facts, choices, the last good draft. No widget lives here."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from nftui.model.choices import Choices, Selection
from nftui.model.dataclass import dataclass
from nftui.model.errors import NftuiError, UsageError
from nftui.model.message import Message
from nftui.tui.glyphs import UNICODE, Glyphs

if TYPE_CHECKING:
    from collections.abc import Callable

    from nftui.engine.protocols import Optimization
    from nftui.model.advice import Advice
    from nftui.model.facts import Facts
    from nftui.model.findings import Finding
    from nftui.model.plan import Draft, OptimizationPlan, Plan
    from nftui.model.run import ProjectStatus
    from nftui.session import Session

CONFIRM_WITHIN_S = 300.0
"""The window in which a change must be kept: long enough to log in a second time and look."""


@dataclass(slots=True)
class Desk:
    """One sitting of the wizard. `load` must have run before anything else is read."""

    session: Session
    translate: Callable[[str], str]
    ssh: bool = False
    glyphs: Glyphs = UNICODE
    choices: Choices = field(default_factory=Choices)
    findings: tuple[Finding, ...] = ()
    status: ProjectStatus | None = None
    plan: Plan | None = None
    """The proven plan that was applied, for the result screen."""
    visited: set[str] = field(default_factory=set)
    run: str | None = None
    """The run that goes on, None where there is none."""
    awaiting: bool = False
    """True while that run waits to be kept."""
    failure: NftuiError | None = None
    """Why the project could not be read the last time."""
    _offered: Choices = field(default_factory=Choices)
    """What everything was when it was read first: nothing of it is the operator's."""
    _hidden: dict[str, str] = field(default_factory=dict)
    """Lines without their secrets: the preview shows mostly the same ones at each key."""
    _facts: Facts | None = None
    _draft: Draft | None = None

    def load(self, *, refresh: bool = False) -> None:
        """Blocking: read the machine and plan with everything that applies switched on. Raises NftuiError."""
        facts = self.session.facts(refresh=refresh, versions=True)
        findings, status = self.session.findings(), self.session.runs.status()
        choices = self.choices
        if not choices.selections:
            choices = self._offered = self._applying(self.session.draft(self._everything()))
        draft = self.session.draft(choices)
        self._hidden = {}
        # All at once: a key pressed meanwhile must not find half of it.
        self.findings, self.status, self.choices, self._draft, self._facts = findings, status, choices, draft, facts

    def _everything(self) -> Choices:
        found = Choices()
        for name in self.session.registry:
            found = found.select(name, Selection.ON)
        return found

    @staticmethod
    def _applying(draft: Draft) -> Choices:
        """What does not apply here is left untouched: the wizard never asks for it."""
        found = Choices()
        for item in draft.optimizations:
            if item.applicable:
                found = found.select(item.id, Selection.ON)
        return found

    @property
    def loaded(self) -> bool:
        """True once facts and a draft are there."""
        return self._facts is not None and self._draft is not None

    @property
    def changed(self) -> bool:
        """True where the operator chose something that leaving would forget."""
        return self.choices != self._offered

    @property
    def facts(self) -> Facts:
        """Facts about this machine."""
        if self._facts is None:
            raise RuntimeError("load() has not run")
        return self._facts

    @property
    def draft(self) -> Draft:
        """The last draft that was accepted."""
        if self._draft is None:
            raise RuntimeError("load() has not run")
        return self._draft

    @property
    def pages(self) -> tuple[str, ...]:
        """Optimizations that have a screen: those that apply here."""
        return tuple(item.id for item in self.draft.optimizations if item.applicable)

    def item(self, optimization: str) -> OptimizationPlan:
        """That optimization's line of the draft."""
        return next(item for item in self.draft.optimizations if item.id == optimization)

    def optimization(self, optimization: str) -> Optimization:
        """Its entry of the registry."""
        return self.session.registry[optimization]

    def findings_of(self, optimization: str) -> tuple[Finding, ...]:
        """What it would repair."""
        return tuple(f for f in self.findings if f.optimization == optimization)

    def own_files(self, optimization: str) -> list[str]:
        """Directories whose files are written for it alone."""
        mine = [f for f in self.draft.fragments if f.optimization == optimization]
        return [files.directory(self.facts.stack.base) for fragment in mine for files in fragment.files]

    def say(self, message: Message) -> str:
        """The sentence in the operator's language and alphabet."""
        return self.glyphs.plain(message.render(self.translate))

    def hide(self, text: str) -> str:
        """One line with its secrets hidden."""
        if text not in self._hidden:
            self._hidden[text] = self.session.redact_text(text)
        return self._hidden[text]

    def take(self, choices: Choices) -> None:
        """Plan with `choices` and keep them; on NftuiError everything stays as it was."""
        draft = self.session.draft(choices)
        self.choices, self._draft = choices, draft

    def check(self, optimization: str, advice: Advice, text: str) -> Choices:
        """The choices with that value in canonical form. Raises NftuiError with the bounds."""
        try:
            value = self.session.check_value(optimization, advice.service, advice.knob, text)
        except UsageError as error:
            # At the field the knob's short name says enough.
            raise UsageError(Message(error.message.id, {**error.message.args, "knob": advice.knob})) from error
        return self.choices.set(optimization, advice.service, advice.knob, value)

    def try_take(self, make: Callable[[], Choices]) -> str | None:
        """Take the choices that `make` gives; what is wrong with them, or None."""
        try:
            self.take(make())
        except NftuiError as error:
            return self.say(error.message)
        return None
