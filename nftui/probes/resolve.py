"""The project through Compose: what resolves, what does not, and under which profiles.

Services of inactive profiles are resolved too (`--profile "*"`); where one profile breaks that, it is named, and
they are taken from the plain files: looking for the rest of the profiles by Compose would cost one call for each.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, Generic, TypeVar

from nftui.model.dataclass import dataclass
from nftui.model.errors import NftuiError
from nftui.model.message import Message, msg
from nftui.model.patterns import regex
from nftui.model.stack import Problem
from nftui.system.compose import ComposeError, ComposePort

Json = Mapping[str, Any]
T = TypeVar("T")
S = TypeVar("S")

_AT_ONCE = 4
"""Calls that go on at the same time: each waits for the engine, which has other work too."""
_MAX_TRIES = 6
"""Choices of profiles that are tried where the chosen ones do not resolve; each costs one `config`."""
_SERVICE = regex(r"service \"(?P<a>[^\"]+)\"|services\.(?P<b>[\w-]+)")


class Background(Generic[T]):
    """A call in a thread of its own; `result` waits for it and raises what it raised."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._value: T | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, args=(call,), daemon=True)
        self._thread.start()

    def _work(self, call: Callable[[], T]) -> None:
        try:
            self._value = call()
        except BaseException as error:
            self._error = error

    def wait(self, seconds: float | None = None) -> None:
        """Until the call is over, however it ended, and no longer than that."""
        self._thread.join(seconds)

    def result(self) -> T:
        """What the call returned. Raises what it raised."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]


def at_once(call: Callable[[S], T], items: Sequence[S]) -> list[T]:
    """`call` of each, in their order, a few at a time. Raises what one of them raised."""
    parts = [Background(_each(call, items[n::_AT_ONCE])) for n in range(min(_AT_ONCE, len(items)))]
    found = [part.result() for part in parts]
    return [found[n % _AT_ONCE][n // _AT_ONCE] for n in range(len(items))]


def _each(call: Callable[[S], T], items: Sequence[S]) -> Callable[[], list[T]]:
    return lambda: [call(item) for item in items]


@dataclass(frozen=True)
class Resolved:
    """What Compose made of the project."""

    active: Json | None
    """The project under the chosen profiles; None where that does not resolve."""
    full: Json
    """Every service of every profile; only active ones where Compose refuses the rest."""
    problems: tuple[Problem, ...] = ()
    named: str = ""
    """The service that Compose's refusal names."""


@dataclass
class Resolver:
    """Both resolutions, side by side; `start` returns at once, `finish` waits."""

    compose: ComposePort
    has_profiles: bool
    """Whether any file speaks of profiles: without, the second resolution would be the same as the first."""
    _calls: list[Background[Json]] = field(default_factory=list)

    def start(self) -> Resolver:
        """Begin."""
        self._calls = [Background(self.compose.config)]
        if self.has_profiles:
            self._calls.append(Background(lambda: self.compose.config(profiles=("*",))))
        return self

    def finish(self, profiles: Mapping[str, Sequence[str]]) -> Resolved:
        """The outcome; `profiles` are those of each service as the files say.

        Raises ComposeError where Compose itself is missing or too old.
        """
        active, refusal = _outcome(self._calls[0])
        if not self.has_profiles:
            found = () if refusal is None else (_unresolved(refusal, []),)
            return Resolved(active, active or {}, found)
        full, broken = _outcome(self._calls[1])
        if refusal is not None:
            # A profile that is in use and broken: one line says it, not two.
            return Resolved(active, full or {}, (_unresolved(refusal, self._usable(profiles)),), named(refusal))
        if broken is None:
            return Resolved(active, full or {})
        guilty = [p for p in profiles.get(named(broken), ()) if p]
        return Resolved(active, active or {}, (_broken(guilty, broken),), named(broken))

    def _usable(self, profiles: Mapping[str, Sequence[str]]) -> list[str]:
        """Choices of one profile, or none, under which the project resolves."""
        every = sorted({p for listed in profiles.values() for p in listed if p})
        chosen = set(self.compose.invocation.profiles)
        tries = [[], *([name] for name in every)]
        return [" ".join(t) for t in tries[:_MAX_TRIES] if set(t) != chosen and self._resolves(t)]

    def _resolves(self, profiles: Sequence[str]) -> bool:
        try:
            self.compose.config(profiles=profiles)
        except NftuiError:
            return False
        return True


def _outcome(call: Background[Json]) -> tuple[Json | None, ComposeError | None]:
    try:
        return call.result(), None
    except ComposeError as error:
        if error.id != "compose-refused":
            raise
        return None, error


def named(refusal: ComposeError) -> str:
    """The service that Compose's message names, "" where it names none."""
    found = _SERVICE.search(refusal.said or str(refusal.message))
    return (found["a"] or found["b"]) if found else ""


def problem_of(id: str, message: Message, *blocks: str) -> Problem:
    """A problem with its text rendered."""
    return Problem(id, str(message), None, blocks, message)


def _broken(profiles: Sequence[str], refusal: ComposeError) -> Problem:
    if not profiles:
        return problem_of("profiles-together-unresolved", msg(
            "Not all profiles resolve together: {reason}. The chosen ones do.", reason=_reason(refusal)))  # fmt: skip
    return problem_of("profile-unresolved", msg(
        "Profile {profiles} does not resolve: {reason}. What is in use does.",
        profiles=", ".join(profiles), reason=_reason(refusal)))  # fmt: skip


def _unresolved(refusal: ComposeError, usable: Sequence[str]) -> Problem:
    if usable:
        shown = ", ".join(f"--profile {name}" if name else str(msg("no profile")) for name in usable)
        return problem_of("project-unresolved", msg(
            "Compose refuses the project under the chosen profiles: {reason}. It resolves under: {usable}.",
            reason=_reason(refusal), usable=shown), "plan", "apply")  # fmt: skip
    return problem_of("project-unresolved", msg(
        "Compose refuses the project: {reason}. Findings come from the files alone.", reason=_reason(refusal)),
        "plan", "apply")  # fmt: skip


def _reason(refusal: ComposeError) -> str:
    """Compose's last line, without its own repetition at the end."""
    lines = refusal.said.splitlines() or [str(refusal.message)]
    return lines[-1].removesuffix(": invalid compose project").rstrip(".")
