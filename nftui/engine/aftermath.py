"""What a former life of a run left going, and its end: children, helper containers, stops inside the engine.

Recovery's first step comes only after this: they outlive a killed parent, and would change under its hands what it
reads (engine.md 6).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from nftui.engine.journal import Entry, Phase
from nftui.model.dataclass import dataclass
from nftui.model.errors import CutOffError
from nftui.model.message import msg
from nftui.system.identity import Child
from nftui.system.wrapped import MARK

RUN_LABEL, STEP_LABEL = "nftui.run", "nftui.step"
"""Labels of every container in which a step works."""
AWAIT_S = 600.0
"""How long work that was accepted may take to end by itself where the run goes on."""
END_S = 10.0
"""Seconds between SIGTERM and SIGKILL, and from there to giving up."""
STOP_S = 180.0
"""How long a stop inside the engine is waited for: the longest grace that a recreate gives, and some."""
_STOPS = frozenset({"2", "3", "9", "15"})
"""SIGINT, SIGQUIT, SIGKILL, SIGTERM: signals by which containers are stopped. HUP and USR1 are words to a server."""
_SERVICE = "com.docker.compose.service"
_REPLACE = "com.docker.compose.replace"
"""Label of a container that Compose made in the place of another one: that one's id or name."""
_TEMPORARY = re.compile(r"^[0-9a-f]{12}_")
"""Prefix of its name until the other one is gone."""


class Leftovers(Protocol):
    """The engine, as far as something of a run can still go on in it."""

    def helpers(self, run: str) -> Sequence[str]:
        """Ids of containers with the label of that run."""
        ...

    def remove(self, container_id: str) -> None: ...

    def stopping(self) -> Sequence[str]:
        """Ids of the project's containers that were told to stop and have not ended."""
        ...

    def sweep(self, services: Collection[str]) -> Sequence[str]:
        """Put away containers of `services` that Compose had made and not started; what was done, in words."""
        ...


def in_flight(events: Iterable[Mapping[str, object]]) -> list[str]:
    """Containers with a stop signal after which no end is reported.

    A stop goes on inside the engine when who asked for it is gone [X, Docker 20.10: the container ended by SIGKILL
    five seconds after its client had been cut off]. So does a command that has the server end (system/wrapped.py).
    """
    told: dict[str, str] = {}
    """Container to the command that told it, "" for a signal."""
    for event in events:
        actor = event.get("Actor")
        values = actor if isinstance(actor, Mapping) else {}
        found, name, action = values.get("Attributes"), str(values.get("ID", "")), str(event.get("Action", ""))
        attributes = found if isinstance(found, Mapping) else {}
        command = str(attributes.get("execID", ""))
        if action == "kill" and str(attributes.get("signal", "")) in _STOPS:
            told[name] = ""
        elif action.startswith("exec_start:") and MARK in action:
            told[name] = command
        elif action in ("die", "start", "destroy") or (action == "exec_die" and command and told.get(name) == command):
            told.pop(name, None)
    return list(told)


@dataclass(frozen=True, slots=True)
class HalfMade:
    """A container that Compose made in the place of another one and never started."""

    id: str
    name: str
    """The name that it was to get, where the other one is gone already; "" where it is in the way."""

    @property
    def words(self) -> str:
        """What is done about it."""
        done = f"was given its name {self.name}" if self.name else "was removed"
        return f"the container {self.id[:12]}, made by Compose and never started, {done}"


def half_made(summaries: Sequence[Mapping[str, Any]], services: Collection[str]) -> list[HalfMade]:
    """What a `compose up` of `services` that was cut off in a recreate left, of all the project's containers.

    Of other services somebody else's `up` may be making one right now.
    The next `up` would take the new one for the service, stop and remove the old one that runs, and fail at its name
    [X, Compose 2.26]: the service would be down. Where the old one is gone, the new one may be the only one that
    names the service's anonymous volumes: it stays, under the name that it was to get.
    """
    there = {str(c["Id"]) for c in summaries} | {_name(c) for c in summaries}
    found = []
    for one in summaries:
        labels, name = one.get("Labels") or {}, _name(one)
        replaced, mine = labels.get(_REPLACE), labels.get(_SERVICE) in services
        if mine and one.get("State") == "created" and replaced and _TEMPORARY.match(name):
            final = _TEMPORARY.sub("", name)
            gone = replaced not in there and final not in there
            found.append(HalfMade(str(one["Id"]), final if gone else ""))
    return found


def _name(summary: Mapping[str, Any]) -> str:
    return str((summary.get("Names") or [""])[0]).lstrip("/")


@dataclass(frozen=True, slots=True)
class Aftermath:
    """Of one run that was cut off."""

    run: str
    entries: Sequence[Entry]
    engine: Leftovers
    tell: Callable[[str], None]
    """A note for the journal: what was found, and that it is gone."""
    services: Collection[str] = ()
    """Those that its steps name: what Compose had half made of others is not its own."""
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic

    def settle(self, *, goes_on: bool) -> None:
        """Bring everything to rest; where the run `goes_on`, work that was accepted is awaited, not ended.

        Raises CutOffError where a process cannot be ended: nothing else is touched then.
        """
        for child in self._children():
            self._finish(child, goes_on=goes_on)
        self._remove_helpers()
        self._await_stops()
        for words in self.engine.sweep(self.services):
            self.tell(words)

    def _children(self) -> list[Child]:
        found = [Child.from_json(e.data) for e in self.entries if e.phase is Phase.CHILD]
        return [child for child in found if child is not None and child.living()]

    def _finish(self, child: Child, *, goes_on: bool) -> None:
        number, program = child.process.pid, child.program
        if goes_on and child.await_end(AWAIT_S):
            self.tell(f"{program} (process {number}) of the former worker was awaited; it has ended")
        elif child.end(END_S):
            self.tell(f"{program} (process {number}) of the former worker was ended")
        else:
            raise CutOffError(
                msg(
                    "{program} (process {pid}) of the run {run} still runs and cannot be ended. Nothing was touched; "
                    "try nftui recover again once it is gone.",
                    program=program,
                    pid=number,
                    run=self.run,
                )
            )

    def _remove_helpers(self) -> None:
        for container in self.engine.helpers(self.run):
            self.engine.remove(container)
            self.tell(f"the helper container {container[:12]} was removed")

    def _await_stops(self) -> None:
        deadline, told = self.now() + STOP_S, False
        while (stopping := self.engine.stopping()) and self.now() < deadline:
            if not told:
                self.tell(f"waiting for the engine to stop {', '.join(c[:12] for c in stopping)}")
                told = True
            self.sleep(0.25)
