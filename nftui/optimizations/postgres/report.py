"""Advice from decisions: what the screens show, with the notes that an operator must read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.advice import Advice
from nftui.model.message import Message, msg
from nftui.optimizations.postgres.advise import decide_all
from nftui.optimizations.postgres.decision import Decision, Origin
from nftui.optimizations.postgres.gucs import GUCS, stock
from nftui.optimizations.postgres.knobs import BY_NAME, CONTAINER_KNOBS, REFERENCE

if TYPE_CHECKING:
    from nftui.model.choices import Choices
    from nftui.optimizations.postgres.server import Server

_ORIGIN_SOURCE = {Origin.CHOSEN: "chosen by the operator", Origin.OWN: "set by the operator"}


def server_advice(server: Server, choices: Choices) -> tuple[Advice, ...]:
    """One line per knob of that server, in the knobs' order. Raises UsageError."""
    decisions = decide_all(server, choices)
    lines = [_workload(server)]
    lines += [_line(server, decisions[name]) for name in BY_NAME if name in decisions]
    return tuple(lines)


def _workload(server: Server) -> Advice:
    seen = server.workload == "web" and not server.workload_chosen
    why = msg("Apps of this stack use it.") if seen else msg("Nothing says what it is used for; work_mem is halved.")
    if server.workload_chosen:
        why = msg("Chosen by the operator.")
    return Advice(
        "workload", server.name, server.workload, None, server.workload, "choice", why, REFERENCE, restart=False
    )


def _line(server: Server, decision: Decision) -> Advice:
    name, kept = decision.name, decision.origin is Origin.OWN
    current = _current(server, name)
    return Advice(
        knob=name,
        service=server.name,
        value=decision.value,
        current=current,
        recommended=decision.rule.value,
        unit=BY_NAME[name].unit,
        why=decision.rule.why,
        source=f"{decision.rule.source} ({_ORIGIN_SOURCE[decision.origin]})"
        if decision.origin in _ORIGIN_SOURCE
        else decision.rule.source,
        changes=_changes(server, decision, current),
        kept=kept,
        notes=(*decision.notes, *_notes(server, decision)),
    )


def _current(server: Server, name: str) -> str | None:
    if name == "shm_size":
        return server.shm_current if server.shm_managed else None
    return server.grace_current if name == "stop_grace_period" else server.current(name)


def _changes(server: Server, decision: Decision, current: str | None) -> bool:
    if decision.value is None:
        return server.hidden(decision.name) if decision.name in GUCS else False
    if current is None and decision.name in GUCS:
        return decision.value != stock(decision.name, server.major)
    return decision.value != current


def _notes(server: Server, decision: Decision) -> list[Message]:
    if decision.name in CONTAINER_KNOBS:
        return []
    notes = [] if server.live else [msg("The server could not be asked; this follows from the files.")]
    return notes + _hiding(server, decision) + _overrides(server, decision.name)


def _hiding(server: Server, decision: Decision) -> list[Message]:
    """Our command line would hide what ALTER SYSTEM set (databases reference 1.4)."""
    written = decision.value is not None and decision.value != server.baseline(decision.name)
    if server.live is None or decision.name not in server.live.auto_conf or not written:
        return []
    beneath = server.beneath(decision.name) or server.own(decision.name) or "?"
    return [msg("ALTER SYSTEM set {knob} = {value}; the command line hides it.", knob=decision.name, value=beneath)]


def _overrides(server: Server, name: str) -> list[Message]:
    """A role's or database's own value beats the command line there."""
    found = [s for s in server.live.role_settings if s.name == name] if server.live else []
    return [
        msg(
            "{who} has its own {knob} = {value}, which stands above this.",
            who=" in ".join(filter(None, (_called("role", s.role), _called("database", s.database)))) or "a role",
            knob=name,
            value=s.value,
        )
        for s in found
    ]


def _called(kind: str, name: str | None) -> str | None:
    return f"{kind} {name}" if name else None
