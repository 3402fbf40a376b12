"""The one facade over everything: the wizard, the command line and tests talk to nftui through it.

It is blocking and thin: it gathers facts, delegates, and returns data.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from nftui.engine.place import default_state_root, identity
from nftui.engine.protocols import Registry
from nftui.engine.state import ProjectState
from nftui.model.choices import Choices
from nftui.model.errors import NftuiError, UsageError
from nftui.model.facts import Facts
from nftui.model.findings import Finding
from nftui.model.message import Message, msg
from nftui.model.plan import Draft, Plan, plan_id
from nftui.model.stack import ProjectRequest
from nftui.system.clock import SystemClock
from nftui.system.endpoint import resolve_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from nftui.engine.gather import Gatherer
    from nftui.engine.wiring import Wiring
    from nftui.history import History
    from nftui.runs import Runs
    from nftui.steps.kind import Context
    from nftui.system.identity import Child


class Session:
    """One project on this machine. Raises NftuiError (with its exit code) for whatever the operator must know.

    `wiring` may have begun to read already.
    """

    def __init__(
        self,
        request: ProjectRequest,
        *,
        state_dir: Path | None = None,
        environ: Mapping[str, str] | None = None,
        wiring: Wiring | None = None,
    ) -> None:
        self.environ = dict(os.environ if environ is None else environ)
        self.state_root = state_dir or default_state_root(self.environ)
        resolve_endpoint(self.environ, request.context)  # a context that does not exist is bad usage: said at once
        self._request, self._wiring = request, wiring
        self._facts: Facts | None = None

    @cached_property
    def gatherer(self) -> Gatherer:
        """Made when the project is read: the wizard paints its first frame before that."""
        from nftui.engine.gather import Gatherer

        return Gatherer(self._request, self.environ, lambda: self.registry, self._state_for, _check_needs, self._wiring)

    # -- facts ---------------------------------------------------------------------------------------------
    def facts(self, *, live: bool = True, refresh: bool = False, versions: bool = False) -> Facts:
        """Host, stack, engine, live facts; cached until `refresh`. Never raises for what cannot be read.

        `versions`: with that of Compose, which nothing but a screen or a document for people needs.
        """
        if refresh:
            self._facts = None
            self.gatherer.forget()
        compose = self.gatherer.wiring.compose_version if versions else None  # asked while the project is read
        if self._facts is None or (live and not self.gatherer.live_read):
            self._facts = self.gatherer.gather(live=live)
        if compose is not None and self._facts.engine is not None:
            engine = replace(self._facts.engine, compose_version=compose.result())
            self._facts = replace(self._facts, engine=engine)
        return self._facts

    @cached_property
    def registry(self) -> Registry:
        """The optimizations, in wizard order."""
        from nftui.optimizations.registry import load_registry

        return load_registry()

    def findings(self) -> tuple[Finding, ...]:
        """Worst first."""
        from nftui.checks import load_checks
        from nftui.engine.check import collect

        return collect(self.facts(), self.registry, load_checks())

    @property
    def directory(self) -> str:
        """The project directory."""
        return self.gatherer.invocation.directory

    @cached_property
    def state(self) -> ProjectState:
        """This project's state directory."""
        facts = self.facts(live=False)
        return self._state_for(facts.engine.id if facts.engine else "", facts.stack.name, self.directory)

    def _state_for(self, engine_id: str, name: str, directory: str) -> ProjectState:
        return ProjectState(self.state_root, identity(engine_id, name, directory))

    def redact(self, data: object) -> object:
        """`data` with secrets as ••••••: every output passes it."""
        return self.gatherer.redactor.data(data)

    def redact_text(self, text: str) -> str:
        """The same for one sentence."""
        return self.gatherer.redactor.text(text)

    # -- choices and plans ---------------------------------------------------------------------------------
    def choices(
        self,
        *,
        preset: str | None = None,
        only: Sequence[str] = (),
        skip: Sequence[str] = (),
        off: Sequence[str] = (),
        sets: Sequence[str] = (),
    ) -> tuple[Choices, tuple[Message, ...]]:
        """From a preset's name or file and the options of `plan`; second: warnings. Everything checked."""
        from nftui.presets import build_choices

        return build_choices(self.registry, preset=preset, only=only, skip=skip, off=off, sets=sets)

    def check_value(self, optimization: str, service: str | None, knob: str, text: str) -> str:
        """Canonical form of a knob's value ("auto" stays), or UsageError with the bounds."""
        from nftui.presets import match_knob

        found = match_knob(self.registry[optimization], knob)
        if found is None:
            raise UsageError(msg("{id} has no knob {knob}.", id=optimization, knob=knob))
        place = f"@{service}" if service else ""
        return found.check(text, f"{optimization}{place}.{knob}")

    def draft(self, choices: Choices) -> Draft:
        """Pure and quick (aim 15 ms): the live preview. UsageError where a value is refused."""
        from nftui.engine.planner import draft

        facts = self.facts()
        return draft(facts, choices, self.registry, self.gatherer.standing_for(choices))

    def prove(self, choices: Choices) -> Plan:
        """The draft through Compose and the checks: only this is reviewed and applied."""
        self.gatherer.compare(choices, self.facts(live=False))
        facts = self.facts()
        blocking = [p for p in facts.stack.problems if "plan" in p.blocks]
        if blocking:
            raise UsageError(msg("{text}", text=blocking[0].text))
        found = self.draft(choices)
        proof = self.gatherer.prove(found)
        facts_state = self._state_for(facts.engine.id if facts.engine else "", facts.stack.name, self.directory)
        return Plan(found, plan_id(found), facts_state.project, proof)

    # -- runs ----------------------------------------------------------------------------------------------
    @cached_property
    def runs(self) -> Runs:
        """Starting, following and asking runs."""
        from nftui.runs import Runs

        return Runs(self)

    @cached_property
    def history(self) -> History:
        """What the project can be taken back to."""
        from nftui.history import History

        return History(self)

    @cached_property
    def user(self) -> str:
        """Who runs nftui."""
        import getpass

        try:
            return getpass.getuser()
        except (KeyError, OSError):
            return str(os.geteuid())

    # -- for the worker ------------------------------------------------------------------------------------
    def context(
        self,
        options: Mapping[str, object],
        progress: Callable[[str, float | None], None],
        on_child: Callable[[Child], None] | None = None,
    ) -> Context:
        """The ports that steps act through; `on_child` is told of each process before it can change anything."""
        return self.gatherer.context(self.state, options, progress, on_child)

    @property
    def boot_id(self) -> str:
        """Names this boot of the machine."""
        return SystemClock().boot_id()

    def boot_time(self) -> float:
        """Seconds since boot, sleep included; cannot be set by anyone."""
        return SystemClock().boot_seconds()


def _check_needs() -> tuple[str, ...]:
    from nftui.checks import load_needs

    return load_needs()


__all__ = ["NftuiError", "Session"]
