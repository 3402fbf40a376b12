"""What nftui found in a server before it changed it there, for the day on which it is to leave it again. Pure.

A value in a file goes with its line. One that was written into the server itself stays, so that its former value is
remembered with what is in force and written again once the optimization no longer holds it (engine.md 2: off).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from nftui.engine.protocols import Optimization, Restores
from nftui.model.advice import Advice, Fragment
from nftui.model.dataclass import dataclass
from nftui.model.facts import Facts
from nftui.model.message import Message, msg

Values = Mapping[str, Mapping[str, str]]
"""Service to knob to value."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """An optimization's part of a plan, with the values that come back."""

    fragment: Fragment | None
    """With the former value of what it changes in a server."""
    wanted: Fragment
    """What its steps bring into force: the fragment and the values that come back."""
    advice: tuple[Advice, ...]
    warnings: tuple[Message, ...] = ()


def remember(
    facts: Facts,
    optimization: Optimization,
    fragment: Fragment | None,
    advice: tuple[Advice, ...],
    present: Fragment | None,
) -> Remembered:
    """What was found is remembered from the first change on; a value that somebody changed since stays as it is."""
    empty = Fragment(optimization.id)
    if not isinstance(optimization, Restores) or fragment is present:
        return Remembered(fragment, fragment or empty, advice)
    lines = {(line.service or "", line.knob): line for line in advice}
    if fragment is not None:
        fragment = replace(fragment, before=_found(optimization, fragment, lines, present or empty))
    left = _left(fragment or empty, present or empty)
    back = {key: value for key, value in left.items() if _is_ours(lines.get(key), present or empty)}
    shown = tuple(
        replace(line, value=back[key], changes=line.current != back[key]) if key in back else line
        for key, line in lines.items()
    )
    unread = sorted(name for name in {service for service, _ in left} if not _asked(facts, optimization, name))
    return Remembered(fragment, _with(fragment or empty, back), shown, tuple(_stays(optimization.id, unread)))


def _asked(facts: Facts, optimization: Optimization, service: str) -> bool:
    return any(facts.live_value(service, need) is not None for need in optimization.needs)


def _found(
    optimization: Restores, fragment: Fragment, lines: Mapping[tuple[str, str], Advice], present: Fragment
) -> Values:
    """Of every value that the fragment holds: what stood there before nftui did."""
    found: dict[str, dict[str, str]] = {}
    for service, values in fragment.values.items():
        held = present.values.get(service, {})
        for knob in values:
            line = lines.get((service, knob))
            now = line.current if line else None
            value = present.before.get(service, {}).get(knob) if knob in held else now
            if value is not None and optimization.restores(knob):
                found.setdefault(service, {})[knob] = value
    return found


def _left(fragment: Fragment, present: Fragment) -> dict[tuple[str, str], str]:
    """What was changed and is no longer held."""
    return {
        (service, knob): value
        for service, values in present.before.items()
        for knob, value in values.items()
        if knob not in fragment.values.get(service, {}) and present.values.get(service, {}).get(knob) != value
    }


def _is_ours(line: Advice | None, present: Fragment) -> bool:
    """Whether the server still has what nftui gave it."""
    return line is not None and line.current == present.values.get(line.service or "", {}).get(line.knob)


def _with(fragment: Fragment, back: Mapping[tuple[str, str], str]) -> Fragment:
    values = {service: dict(found) for service, found in fragment.values.items()}
    for (service, knob), value in back.items():
        values.setdefault(service, {})[knob] = value
    return replace(fragment, values=values)


def _stays(name: str, services: list[str]) -> Iterable[Message]:
    if services:
        yield msg("{services} could not be asked and keeps what {id} changed there.", services=", ".join(services),
                  id=name)  # fmt: skip
