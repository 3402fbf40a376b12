"""Which servers may be recreated with new settings, and why the others must not be touched."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from nftui.model.advice import Applicability
from nftui.model.ai import OllamaFacts
from nftui.model.message import Message, msg
from nftui.model.stack import Role
from nftui.optimizations._servers import split
from nftui.optimizations.ollama.server import holds, models_directory
from nftui.optimizations.ollama.versions import OLDEST, parse_version

if TYPE_CHECKING:
    from nftui.model.facts import Facts
    from nftui.model.stack import Service


def applicability(facts: Facts) -> Applicability:
    """Active Ollama servers, split into those that can be tuned and those that are refused."""
    servers = facts.stack.with_role(Role.OLLAMA)
    if not servers:
        return Applicability(False, msg("No Ollama server is active in this stack."))
    good, refused = split(servers, partial(refusal_of, facts))
    if not good:
        reason = next(iter(refused.values())) if len(refused) == 1 else msg("None of its servers can be tuned.")
        return Applicability(False, reason, (), refused)
    return Applicability(True, msg("{count} Ollama server", count=len(good)), good, refused)


def refusal_of(facts: Facts, service: Service) -> Message | None:
    """Why that server must not be touched, None where it may be."""
    live = facts.live_value(service.name, "ollama")
    version = parse_version((live.version if isinstance(live, OllamaFacts) else None) or service.version)
    if version is not None and version < OLDEST:
        return msg(
            "{service} is version {version}: what it holds in memory can be read from {oldest} on.",
            service=service.name,
            version=".".join(map(str, version)),
            oldest=".".join(map(str, OLDEST)),
        )
    if service.scale > 1:
        return msg("{service} runs {count} times: what one of them holds says nothing of the others.",
                   service=service.name, count=service.scale)  # fmt: skip
    directory = models_directory(service)
    if service.running is not None and not any(holds(m, directory) for m in service.mounts):
        return msg("No mount holds {path} of {service}; a recreate would lose its models.", path=directory,
                   service=service.name)  # fmt: skip
    if isinstance(live, OllamaFacts) and not live.stored:
        return msg("{service} stores no model yet, so there is nothing to keep in memory: pull one, then plan again.",
                   service=service.name)  # fmt: skip
    return None
