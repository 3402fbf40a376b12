"""Keys of one Redis and of a cluster: copied whole, and compared by type, time to live and value.

DUMP differs between two servers for the same set or hash, whose order is a server's own: where the bytes differ the
values decide.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import field
from typing import Any

from nftui.clients.rediscluster import slot_of
from nftui.clients.rediskeys import Refused
from nftui.model.dataclass import dataclass
from nftui.model.message import msg
from nftui.steps.calls import KeyCalls
from nftui.steps.kind import Context, StepFailed
from nftui.steps.redis_loading import loaded, must_have_loaded
from nftui.steps.redis_nodes import Fleet, Node, owners

_CHUNK = 64
"""Keys in one round: so many values are in memory at once."""
_SCAN = b"500"
_TRAILER = 10
"""Bytes at the end of a DUMP: version and checksum (redis.io, DUMP)."""
_FOREVER, _GONE = -1, -2
"""What PEXPIRETIME says of a key without an end, and of none."""

Command = tuple[bytes, ...]


@dataclass(slots=True)
class Keys:
    """All keys of one server, or of the masters of a cluster."""

    name: str
    sessions: Sequence[KeyCalls]
    owner: Callable[[bytes], int]
    """Which session has a key."""

    def scan(self) -> Iterator[list[bytes]]:
        """Each key at least once, some perhaps twice (redis.io, SCAN), in chunks."""
        for session in self.sessions:
            cursor = b"0"
            while True:
                answer = _taken(self.name, session.many([(b"SCAN", cursor, b"COUNT", _SCAN)])[0])
                cursor, found = bytes(answer[0]), answer[1]
                for start in range(0, len(found), _CHUNK):
                    yield found[start : start + _CHUNK]
                if cursor == b"0":
                    break

    def ask(self, commands: Iterable[Command]) -> list[Any]:
        """Each command, whose key stands second, to the session that has it; the answers in order."""
        asked = list(commands)
        found: list[Any] = [None] * len(asked)
        by_owner: dict[int, list[int]] = {}
        for index, command in enumerate(asked):
            by_owner.setdefault(self.owner(command[1]), []).append(index)
        for number, places in by_owner.items():
            for place, answer in zip(places, self.sessions[number].many([asked[i] for i in places]), strict=True):
                found[place] = answer
        return found

    def sure(self, commands: Iterable[Command]) -> list[Any]:
        """The same; StepFailed where one is refused."""
        return [_taken(self.name, answer) for answer in self.ask(commands)]

    def session_of(self, key: bytes) -> KeyCalls:
        """The one that has the key."""
        return self.sessions[self.owner(key)]

    def now_ms(self) -> int:
        """The servers' clock."""
        seconds, micros = _taken(self.name, self.sessions[0].many([(b"TIME",)])[0])
        return int(seconds) * 1000 + int(micros) // 1000


def _taken(name: str, answer: Any) -> Any:
    if isinstance(answer, Refused):
        raise StepFailed(msg("{service} refused what was asked of it: {why}", service=name, why=answer.text[:200]))
    return answer


@contextmanager
def of_server(service: str, ctx: Context, database: int = 0) -> Iterator[Keys]:
    """The keys of one server, of one of its databases, once it has loaded them."""
    with loaded(service, ctx), closing(ctx.keys(service)) as session:
        if database:
            _taken(service, session.many([(b"SELECT", b"%d" % database)])[0])
        yield Keys(service, [session], lambda key: 0)


@contextmanager
def of_cluster(nodes: Sequence[Node], ctx: Context) -> Iterator[Keys]:
    """The keys of the present masters of a cluster, once they have loaded them."""
    with closing(Fleet(nodes, ctx)) as fleet:
        for node in nodes:
            must_have_loaded(fleet.client(node.service), node.service, ctx)
        found = owners(fleet)
    ranges = sorted((first, last, service) for service, slots in found.items() for first, last in slots)
    starts = [first for first, _, _ in ranges]
    services = sorted({service for _, _, service in ranges})
    with ExitStack() as stack:
        sessions = [stack.enter_context(closing(ctx.keys(service))) for service in services]
        yield Keys(
            "the cluster", sessions,
            lambda key: services.index(ranges[bisect_right(starts, slot_of(key)) - 1][2]),
        )  # fmt: skip


def copy(source: Keys, target: Keys, ctx: Context) -> int:
    """Every key with its time to live, over what is there under its name. How many."""
    count = 0
    for keys in source.scan():
        count += _restore(source, target, keys)
        ctx.progress(f"copied {count} keys", None)
        ctx.sleep(0)
    return count


def _restore(source: Keys, target: Keys, keys: Sequence[bytes]) -> int:
    """When each ends is asked first: one that ends before its value is asked is gone, and not one that never ends."""
    expires = map(int, source.sure((b"PEXPIRETIME", key) for key in keys))
    values = source.sure((b"DUMP", key) for key in keys)
    there = [(k, v, end) for k, v, end in zip(keys, values, expires, strict=True) if v is not None and end != _GONE]
    target.sure((b"RESTORE", k, b"%d" % max(0, end), v, b"REPLACE", b"ABSTTL") for k, v, end in there)
    return len(there)


@dataclass(slots=True)
class Comparison:
    """What two sides have in common, and in what they differ."""

    count: int = 0
    expiring: int = 0
    types: dict[str, int] = field(default_factory=dict)
    digest: int = 0
    changed: list[bytes] = field(default_factory=list)
    """Keys of the first that the second has not, or with another value or time to live."""
    extra: list[bytes] = field(default_factory=list)
    """Keys that only the second has."""

    @property
    def equal(self) -> bool:
        """True where both hold the same."""
        return not self.changed and not self.extra

    def as_data(self) -> dict[str, object]:
        """For the journal: no key and no value."""
        return {"keys": self.count, "expiring": self.expiring, "types": dict(sorted(self.types.items())),
                "digest": f"{self.digest:064x}"}  # fmt: skip


def compare(first: Keys, second: Keys, ctx: Context) -> Comparison:
    """Every key of both. A key whose time came between two looks is the same as none."""
    found, seen = Comparison(), set[bytes]()
    for keys in first.scan():
        new = [key for key in dict.fromkeys(keys) if _short(key) not in seen]
        seen.update(map(_short, new))
        _compare_chunk(first, second, new, found)
        ctx.progress(f"compared {len(seen)} keys", None)
        ctx.sleep(0)
    for keys in second.scan():
        found.extra += _alive(second, [k for k in keys if _short(k) not in seen])
        ctx.sleep(0)
    return found


def _short(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=12).digest()


def _alive(side: Keys, keys: Sequence[bytes]) -> list[bytes]:
    if not keys:
        return []
    now, expires = side.now_ms(), side.sure((b"PEXPIRETIME", key) for key in keys)
    return [k for k, until in zip(keys, expires, strict=True) if until == _FOREVER or int(until) > now]


def _compare_chunk(first: Keys, second: Keys, keys: Sequence[bytes], found: Comparison) -> None:
    one, other = _read(first, keys), _read(second, keys)
    types = first.sure((b"TYPE", key) for key in keys)
    for key, a, b, kind in zip(keys, one, other, types, strict=True):
        if a[0] is None:
            continue
        if b[0] is None or a[1] != b[1] or not _same(first, second, key, (a[0], b[0])):
            found.changed += _alive(first, [key])
            continue
        found.count += 1
        found.expiring += a[1] != _FOREVER
        name = kind.decode("utf-8", "replace")
        found.types[name] = found.types.get(name, 0) + 1
        found.digest ^= int.from_bytes(hashlib.sha256(b"%d %s %s" % (a[1], key, a[0])).digest(), "big")


def _same(first: Keys, second: Keys, key: bytes, dumps: tuple[bytes, bytes]) -> bool:
    one, other = (dump[:-_TRAILER] for dump in dumps)
    return one == other or _value(first, key) == _value(second, key)


def _read(side: Keys, keys: Sequence[bytes]) -> list[tuple[bytes | None, int]]:
    """Value and the moment of its end."""
    values = side.sure((b"DUMP", key) for key in keys)
    return list(zip(values, map(int, side.sure((b"PEXPIRETIME", key) for key in keys)), strict=True))


_WHOLE: Mapping[bytes, tuple[bytes, ...]] = {
    b"string": (b"GET",), b"list": (b"LRANGE", b"0", b"-1"), b"set": (b"SMEMBERS",), b"hash": (b"HGETALL",),
    b"zset": (b"ZRANGE", b"0", b"-1", b"WITHSCORES"), b"stream": (b"XRANGE", b"-", b"+"),
}  # fmt: skip


def _value(side: Keys, key: bytes) -> object:
    """By meaning: without the order that a server gives to what has none."""
    kind = side.sure([(b"TYPE", key)])[0]
    name, *rest = _WHOLE.get(kind, (b"DUMP",))
    whole = side.sure([(name, key, *rest)])[0]
    if kind == b"set":
        return kind, sorted(whole)
    if kind == b"hash":
        fields = sorted(zip(whole[::2], whole[1::2], strict=True))
        return kind, fields, _field_ends(side, key, [f for f, _ in fields])
    groups = side.session_of(key).many([(b"XINFO", b"GROUPS", key)]) if kind == b"stream" else None
    return kind, whole, groups


def _field_ends(side: Keys, key: bytes, fields: Sequence[bytes]) -> object:
    """Fields have a time to live of their own since 7.4; before, the command is unknown, on both sides."""
    answer = side.ask([(b"HPEXPIRETIME", key, b"FIELDS", b"%d" % len(fields), *fields)])[0] if fields else None
    return None if isinstance(answer, Refused) else answer


def carry(source: Keys, target: Keys, ctx: Context) -> Comparison:
    """`target` made the same as `source`, and proven; what had to be changed. Only what differs is written."""
    found = compare(source, target, ctx)
    for start in range(0, len(found.changed), _CHUNK):
        _restore(source, target, found.changed[start : start + _CHUNK])
        ctx.sleep(0)
    for start in range(0, len(found.extra), _CHUNK):
        target.sure((b"UNLINK", key) for key in found.extra[start : start + _CHUNK])
    if not found.equal:
        must_equal(source, target, ctx)
    return found


def must_equal(first: Keys, second: Keys, ctx: Context) -> Comparison:
    """What both hold. StepFailed where they differ, with how many and never with which."""
    found = compare(first, second, ctx)
    if not found.equal:
        raise StepFailed(
            msg("{second} does not hold what {first} does: {changed} keys differ, {extra} are too many.",
                second=second.name, first=first.name, changed=len(found.changed), extra=len(found.extra))
        )  # fmt: skip
    return found
