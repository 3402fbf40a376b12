"""What optimizations share that tune each server of one kind in parts that can be switched off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nftui.model.advice import Advice, Effort

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    from nftui.model.advice import Applicability
    from nftui.model.choices import Choices
    from nftui.model.facts import Facts
    from nftui.model.knobs import Knob
    from nftui.model.message import Message
    from nftui.model.stack import Service


def split(
    servers: Iterable[Service], refusal: Callable[[Service], Message | None]
) -> tuple[tuple[str, ...], dict[str, Message]]:
    """Names of those that can be tuned, and the others with the reason."""
    reasons = {server.name: refusal(server) for server in servers}
    refused = {name: reason for name, reason in reasons.items() if reason is not None}
    return tuple(name for name in reasons if name not in refused), refused


def tunable(facts: Facts, found: Applicability) -> list[Service]:
    """The services that it applies to."""
    services = (facts.stack.service(name) for name in found.services)
    return [service for service in services if service is not None]


def part_advice(
    optimization: str, parts: Mapping[str, float | tuple[float, float]], knobs: Mapping[str, Knob], choices: Choices
) -> tuple[Advice, ...]:
    """The switches of the parts, each with its days (one figure, or low and high): one for all servers."""
    return tuple(
        Advice(
            part, None, choices.value(optimization, None, part) or "on", None, "on", knobs[part].unit,
            knobs[part].why, knobs[part].source, restart=False, effort=_effort(days),
        )
        for part, days in parts.items()
    )  # fmt: skip


def _effort(days: float | tuple[float, float]) -> Effort:
    return Effort(*days) if isinstance(days, tuple) else Effort(days, days)


def parts_on(advice: Iterable[Advice], parts: Container[str]) -> set[str]:
    """The parts whose switch is on."""
    return {line.knob for line in advice if line.knob in parts and line.value == "on"}


def lines_by_service(facts: Facts, advice: Iterable[Advice]) -> Iterator[tuple[Service, list[Advice]]]:
    """The lines that have a value, by the service that they are about, in name order."""
    found: dict[str, list[Advice]] = {}
    for line in advice:
        if line.service is not None and line.value is not None:
            found.setdefault(line.service, []).append(line)
    for name, lines in sorted(found.items()):
        service = facts.stack.service(name)
        if service is not None:
            yield service, lines


def variables(service: Service) -> dict[str, str]:
    """Its variables as they are written, before interpolation."""
    raw = service.raw.get("environment")
    if isinstance(raw, Mapping):
        return {str(k): str(v) for k, v in raw.items() if v is not None}
    pairs = (str(item).partition("=") for item in raw) if isinstance(raw, (list, tuple)) else ()
    return {name: value for name, equals, value in pairs if equals}
