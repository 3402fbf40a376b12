"""Which servers may be recreated with new settings, and why the others must not be touched."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from nftui.catalog.lookup import families_of
from nftui.catalog.references import parse_reference
from nftui.model.advice import Applicability
from nftui.model.message import Message, msg
from nftui.model.redis import RedisFacts
from nftui.optimizations._command.command import CannotMerge
from nftui.optimizations._servers import split
from nftui.optimizations.redis.command import merge
from nftui.optimizations.redis.knobs import ID
from nftui.optimizations.redis.server import build_server, data_directory, lasting_mount, redis_servers

if TYPE_CHECKING:
    from nftui.model.facts import Facts
    from nftui.model.stack import Service

_SCRIPTED = ("bitnami-redis", "bitnami-valkey", "redis-stack")


def applicability(facts: Facts) -> Applicability:
    """Active servers, split into those that can be tuned and those that are refused."""
    servers = redis_servers(facts)
    if not servers:
        return Applicability(False, msg("No Redis is active in this stack."))
    good, refused = split(servers, partial(_refusal, facts))
    if not good:
        return Applicability(False, next(iter(refused.values())), (), refused)
    return Applicability(True, msg("Redis servers that can be tuned: {names}.", names=", ".join(good)), good, refused)


def _refusal(facts: Facts, service: Service) -> Message | None:
    families = families_of(parse_reference(service.image or ""))
    if any(f.id in _SCRIPTED for f in families[:1]):
        return msg("{service}: its image starts the server by scripts of its own, which take other names.",
                   service=service.name)  # fmt: skip
    if service.scale > 1:
        return msg("{service} runs {count} times: each has keys of its own.", service=service.name,
                   count=service.scale)  # fmt: skip
    live = facts.live_value(service.name, ID)
    known = live if isinstance(live, RedisFacts) else None
    directory = data_directory(service, known)
    if lasting_mount(service, directory) is None:
        return msg("{service} keeps its keys in the container, in {directory}: recreated, it would lose them.",
                   service=service.name, directory=directory)  # fmt: skip
    try:
        merge(service, {"appendfsync": "everysec"})
    except CannotMerge as error:
        return msg("{service}: {why}", service=service.name, why=error.message)
    return _live_refusal(facts, service, known) if known else None


def _live_refusal(facts: Facts, service: Service, live: RedisFacts) -> Message | None:
    if live.mode != "standalone":
        return msg("{service} runs as {mode}: its settings belong to the whole of it.", service=service.name,
                   mode=live.mode)  # fmt: skip
    if live.role != "master":
        return msg("{service} is a replica: what it holds comes from its master.", service=service.name)
    if live.sentinels:
        return msg("{service} is looked after by Sentinel: which server is the master is not the files' to say.",
                   service=service.name)  # fmt: skip
    if live.loading:
        return msg("{service} is still loading its data.", service=service.name)
    if not live.config:
        return msg("{service} does not tell its settings (CONFIG is refused): nothing could be read back.",
                   service=service.name)  # fmt: skip
    return _trap(facts, service, live)


def _trap(facts: Facts, service: Service, live: RedisFacts) -> Message | None:
    """Its files ask for a log that the running server never wrote: any recreate would start it with nothing.

    Compose sees a pending edit there, so the operator must apply it: after the log has been written live.
    """
    server = build_server(facts, service, {})
    if server.baseline("appendonly") != "yes" or live.config.get("appendonly") != "no" or not live.keys:
        return None
    return msg(
        "{service}: your files ask for a log that the running server does not write; recreated now, it would start "
        "empty. First: docker compose exec {service} redis-cli CONFIG SET appendonly yes, and wait until INFO "
        "persistence says aof_rewrite_in_progress:0.",
        service=service.name,
    )
