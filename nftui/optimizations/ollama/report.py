"""Advice from decisions: what the screens show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.advice import Advice
from nftui.model.message import Message, msg
from nftui.optimizations.ollama.advise import Adviser
from nftui.optimizations.ollama.decision import Decision, Origin, baseline, is_written, own
from nftui.optimizations.ollama.fragment import MODELS_LABEL
from nftui.optimizations.ollama.knobs import BY_NAME, VARIABLES
from nftui.optimizations.ollama.versions import NEWEST

if TYPE_CHECKING:
    from nftui.model.choices import Choices
    from nftui.optimizations.ollama.server import Server

_ORIGIN_SOURCE = {Origin.CHOSEN: "chosen by the operator", Origin.OWN: "set by the operator"}


def server_advice(server: Server, choices: Choices) -> tuple[Advice, ...]:
    """One line per knob of that server, in the knobs' order. Raises UsageError."""
    decisions = Adviser(server, choices).decide()
    return tuple(_line(server, decisions[name]) for name in BY_NAME if name in decisions)


def _line(server: Server, decision: Decision) -> Advice:
    name, current = decision.name, _current(server, decision.name)
    who = _ORIGIN_SOURCE.get(decision.origin)
    return Advice(
        knob=name,
        service=server.name,
        value=decision.value,
        current=current,
        recommended=decision.recommended,
        unit=BY_NAME[name].unit,
        why=decision.why,
        source=f"{decision.source} ({who})" if who else decision.source,
        changes=_changes(server, decision, current),
        kept=decision.origin is Origin.OWN,
        notes=(*decision.notes, *_notes(server, name)),
    )


def _current(server: Server, name: str) -> str | None:
    """What runs now; where the server cannot be asked, what the files give it."""
    if name == "models":
        return None if server.live is None else ", ".join(sorted(m.name for m in server.live.loaded)) or "none"
    if name == "preload":
        return _loaded_ahead(server)
    if name == "eviction":
        return None if server.keeper else "server"
    if name not in VARIABLES:
        return None
    running = server.running(name)
    if running is None:
        return baseline(server, name)
    if name == "flash_attention":
        return "off" if running.lower() in ("0", "f", "false") else "on"
    return f"{running}MB" if name == "prompt_cache" and running.isdigit() else running


def _loaded_ahead(server: Server) -> str | None:
    """When models are loaded ahead now, as what nftui put there tells; None where nothing runs."""
    container = server.service.running
    if server.keeper or container is None:
        return "always" if server.keeper else None
    return "once" if MODELS_LABEL in container.labels else "off"


def _changes(server: Server, decision: Decision, current: str | None) -> bool:
    if decision.name == "models":
        return decision.value not in (None, "none", current)
    if decision.name == "preload":
        return decision.value != (current or "off")
    if decision.name == "eviction":
        return current is not None and decision.value != current
    return is_written(server, decision.name, decision.value) and decision.value != current


def _notes(server: Server, name: str) -> list[Message]:
    found = []
    if name == "models" and server.version is not None and server.version > NEWEST:
        found.append(msg("Version {version} is newer than any that nftui knows; its values are read back all the same.",
                         version=".".join(map(str, server.version))))  # fmt: skip
    if name in VARIABLES and server.declared(name) is not None and own(server, name) is None:
        found.append(msg("The server cannot read your {variable}={value} and takes its default.",
                         variable=VARIABLES[name], value=server.declared(name)))  # fmt: skip
    return found
