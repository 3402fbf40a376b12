"""Findings about Redis, Valkey and KeyDB (and Dragonfly's cache mode): memory, persistence, flags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.catalog.connections import REDIS_LIKE, connections
from nftui.checks import _redis_health
from nftui.checks._common import at_argument
from nftui.checks._reach import limit_key
from nftui.checks._redis_server import SMALL_QUEUE_BYTES, Server, apps_of
from nftui.checks._redis_settings import is_like_redis, read_settings
from nftui.engine.built import as_image
from nftui.engine.evidence import at
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import msg
from nftui.model.patterns import regex
from nftui.model.redis import RedisFacts
from nftui.model.units import human_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.catalog.connections import Connection
    from nftui.model.facts import Facts
    from nftui.model.stack import Service

_FORK_SHARE = 0.65
_FULL_SHARE = 0.8


def find(facts: Facts) -> Iterable[Finding]:
    """Every finding of every Redis of the files, active or not."""
    servers = [s for s in facts.stack.services if s.role in REDIS_LIKE]
    if not servers:
        return
    links = [c for c in connections(facts.stack) if c.kind == "redis"]
    for service in servers:
        server = build_server(facts, as_image(facts.stack, service) or service, links)
        for check in _CHECKS if is_like_redis(service.role) else (_dragonfly_eviction, *_redis_health.CHECKS):
            found = check(server)
            if found is not None:
                yield found


def build_server(facts: Facts, service: Service, links: Iterable[Connection]) -> Server:
    """All that is known of one."""
    live = facts.live_value(service.name, "redis")
    users = tuple(c for c in links if c.server.name == service.name)
    return Server(
        facts, service, read_settings(facts.stack, service), live if isinstance(live, RedisFacts) else None, users
    )


def _queue_eviction(server: Server) -> Finding | None:
    """redis-queue-eviction: allkeys-* takes jobs, sessions and locks like any other key once memory is full."""
    policy = server.value("maxmemory-policy") or ""
    # Under volatile-* what has a time to live goes: sessions have one, jobs have none.
    takes = policy.startswith("allkeys-") or (policy.startswith("volatile-") and server.keeps_sessions)
    if not takes or not server.keeps or not server.amount("maxmemory"):
        return None
    return _eviction(server, policy, server.evidence("maxmemory-policy"), server.evidence("maxmemory"))


def _dragonfly_eviction(server: Server) -> Finding | None:
    """redis-queue-eviction of Dragonfly: `--cache_mode` evicts."""
    mode = server.settings.values.get("cache-mode")
    if mode is None or mode.text.lower() not in ("true", "t", "yes", "y", "1") or not server.keeps:
        return None
    return _eviction(server, "cache_mode", mode.evidence)


def _eviction(server: Server, policy: str, *evidence: Evidence) -> Finding:
    detail = msg(
        "{apps} keep jobs, sessions or locks in it; under {policy} they vanish without an error when memory is full. "
        "Use noeviction here and a second instance for caches.",
        apps=apps_of(server.kept_by) or "job queues", policy=policy,
    )  # fmt: skip
    return server.finding(
        "redis-queue-eviction", Level.HIGH, msg("A queue, session or lock store may evict its keys"), detail,
        "databases reference 3.5; measured: 0 of 200 jobs left under allkeys-lru",
        *evidence, *server.user_evidence(),
    )  # fmt: skip


def _no_persistence(server: Server) -> Finding | None:
    """redis-no-persistence: a cache is right without; a queue is not."""
    if not server.keeps or server.follows:
        return None
    disk = next((m for m in server.service.mounts if m.type == "tmpfs" and m.target.rstrip("/") == "/data"), None)
    if server.persists() is not False and disk is None:
        return None
    shown = [server.evidence("save"), server.evidence("appendonly")]
    if disk is not None:
        shown = [at(server.service, f"tmpfs {disk.target}", "tmpfs", "tmpfs")]
    detail = msg("{apps} keep jobs, sessions or locks in it, and a restart starts it empty.",
                 apps=apps_of(server.kept_by) or "job queues")  # fmt: skip
    return server.finding(
        "redis-no-persistence", Level.HIGH, msg("Nothing survives a restart"), detail, "databases reference 3.5",
        *shown, *server.user_evidence(),
    )  # fmt: skip


def _aof_trap(server: Server) -> Finding | None:
    """redis-aof-restart-trap: the files ask for an AOF, the running server has none, and it holds keys."""
    written = server.settings.values.get("appendonly")
    live = server.live
    if live is None or written is None or written.text.lower() != "yes" or live.config.get("appendonly") != "no":
        return None
    if not live.keys:
        return None
    detail = msg(
        "The next start reads the empty log and not the snapshot: {keys} keys would be gone, and the next save "
        "overwrites the snapshot. First turn it on live (CONFIG SET appendonly yes) and wait for the rewrite.",
        keys=live.keys,
    )
    return server.finding(
        "redis-aof-restart-trap", Level.HIGH, msg("Turning AOF on by flag and a restart would start it empty"), detail,
        "databases reference 3.5; redis#12484", server.evidence("appendonly"),
    )  # fmt: skip


def _maxmemory_unset(server: Server) -> Finding | None:
    """redis-maxmemory-unset: it grows until the container's limit or the host ends it."""
    if server.amount("maxmemory") != 0:
        return None
    limit = server.service.memory_limit_bytes
    if limit:
        level, what = Level.MEDIUM, msg(
            "It grows until the container's limit of {limit} and is then killed: it does not see that limit.",
            limit=human_size(limit),
        )  # fmt: skip
    else:
        level, what = Level.LOW, msg("It grows until the host runs out of memory.")
    evidence = [server.evidence("maxmemory")]
    if limit:
        evidence.append(at(server.service, limit_key(server.service), limit_key(server.service), human_size(limit)))
    return server.finding(
        "redis-maxmemory-unset", level, msg("Memory without bound: maxmemory is not set"), what,
        "redis.io, maxmemory: 0 means no limit", *evidence,
    )  # fmt: skip


def _policy_inert(server: Server) -> Finding | None:
    """redis-policy-inert: an eviction policy without maxmemory."""
    policy = server.value("maxmemory-policy")
    if policy in (None, "", "noeviction") or server.amount("maxmemory") != 0:
        return None
    detail = msg("{policy} is set, but maxmemory is 0: nothing is ever evicted.", policy=policy)
    return server.finding(
        "redis-policy-inert", Level.MEDIUM, msg("An eviction policy that can never act"), detail,
        "databases reference 3.5", server.evidence("maxmemory-policy"), server.evidence("maxmemory"),
    )  # fmt: skip


def _queue_small(server: Server) -> Finding | None:
    """redis-queue-memory-small: a store that refuses writes when full, and is nearly full or tiny."""
    most = server.amount("maxmemory")
    policy = server.value("maxmemory-policy") or ""
    # Sessions have a time to live: volatile-* makes room among them.
    evicts = policy.startswith("allkeys") or (policy.startswith("volatile") and server.keeps_sessions)
    if not most or not server.keeps or evicts:
        return None
    used = server.live.used_memory if server.live else None
    full = used is not None and used >= _FULL_SHARE * most
    if not full and most > SMALL_QUEUE_BYTES:
        return None
    detail = (
        msg("It may hold {most}; when that is full, every write is refused with OOM.", most=human_size(most))
        if used is None
        else msg("{used} of {most} are in use; when it is full, every write is refused with OOM.",
                 used=human_size(used), most=human_size(most))
    )  # fmt: skip
    return server.finding(
        "redis-queue-memory-small", Level.HIGH if full else Level.LOW, msg("A queue that will refuse writes soon"),
        detail, "databases reference 3.5", server.evidence("maxmemory"), *server.user_evidence(),
    )  # fmt: skip


def _fork_headroom(server: Server) -> Finding | None:
    """redis-fork-headroom: a save forks, and pages that change meanwhile are held twice."""
    most, limit = server.amount("maxmemory"), server.service.memory_limit_bytes
    if not most or not limit or not server.persists() or most <= _FORK_SHARE * limit:
        return None
    detail = msg(
        "maxmemory {most} of a limit of {limit}: while it saves, changed pages are held twice, and the container can "
        "be killed in the middle. Keep maxmemory at or below 65 % of the limit.",
        most=human_size(most), limit=human_size(limit),
    )  # fmt: skip
    key = limit_key(server.service)
    return server.finding(
        "redis-fork-headroom", Level.MEDIUM if most > 0.85 * limit else Level.LOW,
        msg("No room for the fork of a save"), detail, "databases reference 3.5", server.evidence("maxmemory"),
        at(server.service, key, key, human_size(limit)),
    )  # fmt: skip


def _limit_small(server: Server) -> Finding | None:
    """limit-too-small: it is killed before it holds as much as it was allowed to."""
    most, limit = server.amount("maxmemory"), server.service.memory_limit_bytes
    if not most or not limit or most < limit:
        return None
    key = limit_key(server.service)
    detail = msg("maxmemory {most} is not below the limit of {limit}: the kernel ends it before a key is evicted or a "
                 "write refused.", most=human_size(most), limit=human_size(limit))  # fmt: skip
    return server.finding(
        "limit-too-small", Level.HIGH, msg("Its memory limit is below what it needs"), detail,
        "compose specification, resources", at(server.service, key, key, human_size(limit)),
        server.evidence("maxmemory"),
    )  # fmt: skip


def _errors_hidden(server: Server) -> Finding | None:
    """redis-save-errors-hidden: writes go on although no snapshot can be written."""
    if server.value("stop-writes-on-bgsave-error") != "no" or not server.save:
        return None
    if server.users and all(set(u.purposes) == {"cache"} for u in server.users):
        return None
    failed = server.live is not None and server.live.last_save_ok is False
    detail = msg(
        "Snapshots are on, but a failed one changes nothing that anyone would see: the data on disk grows old."
    )
    return server.finding(
        "redis-save-errors-hidden", Level.HIGH if failed else Level.LOW, msg("Failed snapshots are hidden"), detail,
        "redis.conf, stop-writes-on-bgsave-error", server.evidence("stop-writes-on-bgsave-error"),
    )  # fmt: skip


_NEEDS_VALUE = regex(r"requirepass|masterauth|maxmemory(-policy)?|appendonly|port|bind|dir|dbfilename|databases")


def _argument_missing(server: Server) -> Finding | None:
    """redis-argument-missing: `--requirepass` followed by nothing is a fatal error."""
    blank = [name for name in server.settings.missing if _NEEDS_VALUE.fullmatch(name)]
    if not blank or server.service.running is not None:
        return None
    missing = [name for name in blank if not server.is_given_elsewhere(name)]
    if not missing:
        return None
    detail = msg("The server ends with a fatal configuration error: no value is given for {options}.",
                 options=", ".join(f"--{n}" for n in missing))  # fmt: skip
    return server.finding(
        "redis-argument-missing", Level.HIGH, msg("A blank value stops the start"), detail,
        "measured: redis-server --requirepass without a value ends at once",
        *(at_argument(server.service, f"--{n}", n, "") for n in missing),
    )  # fmt: skip


_RENAMED = {
    "hash-max-ziplist-entries": ("hash-max-listpack-entries", 7),
    "hash-max-ziplist-value": ("hash-max-listpack-value", 7),
    "zset-max-ziplist-entries": ("zset-max-listpack-entries", 7),
    "zset-max-ziplist-value": ("zset-max-listpack-value", 7),
    "list-max-ziplist-size": ("list-max-listpack-size", 7),
    "lua-time-limit": ("busy-reply-threshold", 7),
    "slaveof": ("replicaof", 5),
    "slave-read-only": ("replica-read-only", 5),
    "slave-priority": ("replica-priority", 5),
    "slave-announce-ip": ("replica-announce-ip", 5),
    "slave-announce-port": ("replica-announce-port", 5),
    "slave-lazy-flush": ("replica-lazy-flush", 5),
    "cluster-slave-validity-factor": ("cluster-replica-validity-factor", 5),
    "cluster-slave-no-failover": ("cluster-replica-no-failover", 5),
    "slave-serve-stale-data": ("replica-serve-stale-data", 5),
    "min-slaves-to-write": ("min-replicas-to-write", 5),
    "min-slaves-max-lag": ("min-replicas-max-lag", 5),
}


def _flag_renamed(server: Server) -> Finding | None:
    """redis-flag-renamed: old names are still taken as aliases."""
    family, major = server.settings.family, server.major
    if family not in ("redis-official", "valkey-official", "redis-stack"):
        return None
    tag = (server.service.image or "").partition("@")[0].rpartition(":")[2]
    if major is None and tag not in ("latest", "alpine") and ":" in (server.service.image or ""):
        return None
    old = {n: v for n, v in server.settings.values.items() if n in _RENAMED and (major or 7) >= _RENAMED[n][1]}
    if not old:
        return None
    names = ", ".join(f"{n} → {_RENAMED[n][0]}" for n in sorted(old))
    return server.finding(
        "redis-flag-renamed", Level.INFO, msg("Old names of flags"),
        msg("They still work as aliases: {names}.", names=names),
        "redis 7.0 release notes; measured: the old names set the new ones", *(old[n].evidence for n in sorted(old)),
    )  # fmt: skip


_CHECKS = (
    _queue_eviction, _no_persistence, _aof_trap, _maxmemory_unset, _policy_inert, _queue_small, _fork_headroom,
    _limit_small, _errors_hidden, _argument_missing, _flag_renamed, *_redis_health.CHECKS,
)  # fmt: skip

CHECKS = (find,)
NEEDS = ("redis",)
