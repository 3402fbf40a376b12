"""An optimization in one file, dropped into the folder: a worker gets time to end its job before it is killed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nftui.model.advice import Advice, Applicability, Assertion, Demand, Effort, Fragment, Grant, Risk
from nftui.model.choices import Choices
from nftui.model.facts import Facts
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.knobs import Kind, Knob
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.stack import Role

KNOB = "stop_grace_period"


class Grace:
    """One knob for each worker and cache."""

    id = "grace"
    order = 900
    title = msg("Time to stop")
    summary = msg("Docker kills a service that has not ended by then.")
    risk = Risk.LOW
    needs: tuple[str, ...] = ()
    knobs = (Knob(KNOB, Kind.SECONDS, msg("Time to stop"), msg("A job must come to its end."), "a test",
                  minimum=1, maximum=600),)  # fmt: skip

    def _services(self, facts: Facts) -> tuple[str, ...]:
        active = (s for s in facts.stack.services if s.active)
        # A Redis of that name has an optimization of nftui's own that writes the same key.
        return tuple(
            s.name for s in active if s.name in ("jobs", "cache", "other") and s.role in (Role.APP, Role.REDIS)
        )

    def applies(self, facts: Facts) -> Applicability:
        """Where there is such a service."""
        names = self._services(facts)
        return Applicability(bool(names), msg("there is no such service"), names)

    def findings(self, facts: Facts) -> Iterable[Finding]:
        """One for each service without a time of its own."""
        for name in self._services(facts):
            if self._current(facts, name) == "1s":
                evidence = (Evidence(KNOB, "1s"),)
                title, detail = msg("It has a second to stop"), msg("A job takes longer.")
                yield Finding("grace-short", Level.LOW, name, title, detail, evidence, "a test", self.id)

    def demand(self, facts: Facts, choices: Choices) -> tuple[Demand, ...]:
        """No memory."""
        return ()

    def _current(self, facts: Facts, name: str) -> str:
        service = facts.stack.service(name)
        return str((service.config.get(KNOB) if service else None) or "10s")

    def advise(self, facts: Facts, choices: Choices, grants: Mapping[str, Grant]) -> tuple[Advice, ...]:
        """A minute, or what was chosen."""
        return tuple(self._advice(facts, choices, name) for name in self._services(facts))

    def _advice(self, facts: Facts, choices: Choices, name: str) -> Advice:
        value, now = choices.value(self.id, name, KNOB) or "60s", self._current(facts, name)
        return Advice(KNOB, name, value, now, "60s", "s", msg("A minute is enough."), "a test", value != now)

    def effort(self, facts: Facts, advice: tuple[Advice, ...]) -> Effort:
        """Half a day."""
        return Effort(0.5, 0.5)

    def fragment(self, facts: Facts, advice: tuple[Advice, ...]) -> Fragment:
        """The key of each service."""
        values = {str(a.service): {KNOB: str(a.value)} for a in advice}
        return Fragment(self.id, values, values)

    def steps(self, facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
        """Nothing to read back: Compose keeps it for itself."""
        return ()

    def checks(self, facts: Facts, fragment: Fragment) -> tuple[Assertion, ...]:
        """None."""
        return ()


OPTIMIZATION = Grace()
