"""Whether what uses a server could talk to a cluster or through Sentinel: each obstacle with what it was seen by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nftui.catalog.clustered import number_of
from nftui.model.dataclass import dataclass
from nftui.model.message import Message, msg

if TYPE_CHECKING:
    from nftui.catalog.connections import Connection
    from nftui.optimizations.redis.server import Server

_MANY_KEYS = (
    "mget", "mset", "msetnx", "rename", "renamenx", "copy", "rpoplpush", "brpoplpush", "lmove", "blmove", "lmpop",
    "blmpop", "smove", "sinter", "sinterstore", "sintercard", "sunion", "sunionstore", "sdiff", "sdiffstore", "zinter",
    "zinterstore", "zintercard", "zunion", "zunionstore", "zdiff", "zdiffstore", "zrangestore", "zmpop", "bzmpop",
    "bitop", "pfmerge", "lcs", "geosearchstore",
)  # fmt: skip
"""Commands that name several keys: in a cluster all of them must lie in one slot (CROSSSLOT)."""
_PERHAPS_MANY = (
    "del", "unlink", "exists", "touch",
    "blpop", "brpop", "bzpopmin", "bzpopmax", "xread", "xreadgroup", "pfcount", "sort", "sort_ro", "georadius",
    "georadiusbymember",
)  # fmt: skip
"""Commands that take one key as well as several, or store elsewhere where they are told to: how often they are called
does not say which, so they are told of and forbid nothing."""
_NO = ("", "0", "false", "no", "off", "none", "null", "disabled")
"""Values of a variable that say that it is not so."""
_SCRIPTS = ("eval", "evalsha", "eval_ro", "evalsha_ro", "fcall", "fcall_ro", "multi", "watch")
_ASKED = ("cluster", "cluster|slots", "cluster|shards", "cluster|nodes")
"""What a client asks that wants to talk to a cluster; one that is none answers with an error."""
_REFUSED = ("CROSSSLOT", "MOVED", "ASK", "CLUSTERDOWN", "READONLY", "NOREPLICAS")
"""Errors by which a node of a cluster, a replica or a closed server turns a client away."""
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """What stands in the way; both empty: either is possible."""

    cluster: tuple[Message, ...]
    sentinel: tuple[Message, ...]
    doubts: tuple[Message, ...] = ()
    """What may turn out to stand in the way of a cluster, and what was seen does not decide it."""
    signs: tuple[Message, ...] = ()
    """What the server saw of how its clients take a cluster, a replica, or its closing: shown, and decides nothing."""


def judge(server: Server) -> Verdict:
    """From the running server, its files and the catalog; what cannot be known stands in the way."""
    return Verdict(tuple(_cluster(server)), tuple(_sentinel(server)), tuple(_doubts(server)), tuple(_signs(server)))


def _cluster(server: Server) -> Iterator[Message]:
    yield from _databases(server)
    yield from _queues(server)
    yield from _commands(server)
    yield from _clients(server, "cluster")


def _sentinel(server: Server) -> Iterator[Message]:
    yield from _clients(server, "sentinel")


def _databases(server: Server) -> Iterator[Message]:
    if server.live is None:
        yield msg("it could not be asked what is in it")
        return
    seen = [
        *((number, f"{keys} keys") for number, keys in server.live.databases.items()),
        *((number, "connected clients") for number in server.live.selected),
        *((number, user.client.name) for user in server.all_users for number in _named_databases(user)),
    ]
    others = sorted({(number, what) for number, what in seen if number})
    if others:
        listed = ", ".join(f"{number} ({what})" for number, what in others)
        yield msg("databases other than 0 are in use: {listed}; a cluster has only database 0", listed=listed)


def _named_databases(user: Connection) -> Iterator[int]:
    """By the URL of its variables, or by the one that is known to hold it; an empty database is no less in use."""
    environment = user.client.environment
    yield from (number_of(text) for key in user.keys if "://" in (text := environment.get(key) or ""))
    told = environment.get(user.use.keys.get("database", "")) if user.use else None
    yield int(told) if told and told.isdigit() else 0


def _queues(server: Server) -> Iterator[Message]:
    """Bull and its kin touch several keys of a queue at once; a tag in braces puts them on one node."""
    bare = [key for key in server.queues if not key.startswith("{")]
    if bare:
        yield msg("a job queue's keys have no tag ({keys}), so they would lie on different nodes", keys=", ".join(bare))


def _commands(server: Server) -> Iterator[Message]:
    called = server.live.commands if server.live else {}
    several = [(name, called[name]) for name in _MANY_KEYS if called.get(name)]
    if several:
        yield msg("commands with several keys were called ({listed}); they fail where the keys lie on two nodes",
                  listed=_counted(several))  # fmt: skip
    scripts = [(name, called[name]) for name in _SCRIPTS if called.get(name)]
    if scripts:
        yield msg("scripts and transactions were run ({listed}); all their keys would have to lie on one node",
                  listed=_counted(scripts))  # fmt: skip


def _doubts(server: Server) -> Iterator[Message]:
    called = server.live.commands if server.live else {}
    perhaps = [(name, called[name]) for name in _PERHAPS_MANY if called.get(name)]
    if perhaps:
        yield msg("commands that may name several keys were called ({listed}); where they do, the keys must lie on one "
                  "node", listed=_counted(perhaps))  # fmt: skip


def _signs(server: Server) -> Iterator[Message]:
    if server.live is None:
        return
    asked = [(name.replace("|", " "), server.live.commands[name]) for name in _ASKED if server.live.commands.get(name)]
    if asked and server.live.mode == "standalone":
        yield msg("a client asked for the nodes of a cluster ({listed}), and this server is none: it can talk to one, "
                  "or takes this one for one", listed=_counted(asked))  # fmt: skip
    refused = [(name, server.live.errors[name]) for name in _REFUSED if server.live.errors.get(name)]
    if refused and server.moved:
        yield msg("the closed server turned clients away ({listed}): something was not told of those that have its "
                  "keys", listed=_counted(refused))  # fmt: skip
    elif refused:
        yield msg("the server turned clients away ({listed}), which did not go where it sent them",
                  listed=_counted(refused))  # fmt: skip


def _counted(calls: list[tuple[str, int]]) -> str:
    most = sorted(calls, key=lambda c: -c[1])[:_SHOWN]
    return ", ".join(f"{name.upper()} {count}×" for name, count in most)


def _clients(server: Server, what: str) -> Iterator[Message]:
    apart: dict[str, Message] = {}
    for user in server.all_users:
        reason = _incapable(user, what)
        if reason is not None:
            apart.setdefault(user.client.name, reason)
    yield from apart.values()
    unknown = server.strangers
    if unknown:
        yield msg("clients are connected that no service names as its own: {clients}",
                  clients=", ".join(unknown[:_SHOWN]))  # fmt: skip


def _incapable(user: Connection, what: str) -> Message | None:
    words = {"cluster": "a cluster", "sentinel": "Sentinel"}[what]
    able = getattr(user.use, what) if user.use else None
    if able or (able is None and _says_so(user, what)):
        return None
    name = user.client.name
    if able is False:
        return msg("{service} cannot talk to {what}", service=name, what=words)
    return msg("it is not known that {service} can talk to {what}", service=name, what=words)


def _says_so(user: Connection, what: str) -> bool:
    """A variable of its own names it and does not say no: REDIS_CLUSTER_NODES, REDIS_SENTINELS."""
    told = (value for key, value in user.client.environment.items() if what.upper() in key.upper())
    return any((value or "").strip().lower() not in _NO for value in told)
