"""All points of a Qdrant collection, page by page: two of them compared, what differs copied, one of them digested.

A scroll gives points in the order of their ids, numbers before UUIDs, whatever shard they lie on (ExtendedPointId in
lib/segment/src/types.rs): two collections are compared like two sorted lists, without keeping either.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nftui.clients.http import HttpUnreachable
from nftui.clients.qdrant import collection_path
from nftui.model.dataclass import dataclass
from nftui.model.qdrant import most_results, most_written, read_config
from nftui.steps.calls import ApiCalls
from nftui.steps.kind import Context

_PAGE = 500
_PAGE_BYTES = 4 * 1024 * 1024
_SENT_BYTES = 8 * 1024 * 1024
"""Of JSON after which a request goes out: a server takes 32 MB where nobody set less (max_request_size_mb)."""
_NUMBER_BYTES = 12
"""Of one dimension as JSON."""
_TIMEOUT_S = 120.0
_RELATIVE, _ABSOLUTE = 1e-5, 1e-6
"""A cosine vector is made one long again when it is stored, which may move its last digit (servers before 1.9)."""

Point = Mapping[str, Any]


@dataclass(slots=True)
class Differences:
    """What has to be done to the second of two collections for it to equal the first one."""

    write: int = 0
    delete: int = 0
    count: int = 0
    """Points of the first."""
    digest: str = ""
    """Of everything in the first."""
    other: str = ""
    """Of everything in the second, as it was read."""

    @property
    def total(self) -> int:
        """Points that differ."""
        return self.write + self.delete


def count_points(api: ApiCalls, name: str, timeout_s: float) -> int:
    """Of a collection, exact."""
    answer = api.send("POST", collection_path(name, "points/count"), {"exact": True}, timeout_s=timeout_s)
    return int(answer["result"]["count"])


def page_size(config: Mapping[str, Any]) -> int:
    """Points that fit in one answer and in one request, and that a strict mode lets pass."""
    sizes = sum(v.size for v in read_config(config).vectors) or 1
    fits = max(1, min(_PAGE, _PAGE_BYTES // (sizes * _NUMBER_BYTES + 2048)))
    return most_written(config, most_results(config, fits))


def points(api: ApiCalls, name: str, limit: int) -> Iterator[Point]:
    """Every point with its vectors and its payload, by id. Raises HttpUnreachable."""
    offset: Any = None
    while True:
        body = {"limit": limit, "with_vector": True, "with_payload": True}
        body |= {} if offset is None else {"offset": offset}
        try:
            found = api.send("POST", collection_path(name, "points/scroll"), body, timeout_s=_TIMEOUT_S)["result"]
        except HttpUnreachable as error:
            if limit == 1 or not error.cut_off:
                raise
            limit //= 2  # Payloads may be of any size.
            continue
        yield from found["points"]
        offset = found.get("next_page_offset")
        if offset is None:
            return


def digest_of(api: ApiCalls, name: str, limit: int, ctx: Context) -> str:
    """One word for everything in it: equal as long as nobody writes to it."""
    ctx.progress(f"reading {name}", None)
    made = hashlib.sha256()
    for point in points(api, name, limit):
        made.update(_line(point))
    return made.hexdigest()


def compare(api: ApiCalls, one: str, other: str, limit: int, ctx: Context) -> Differences:
    """How they differ, over all points."""
    return _walk(api, one, other, limit, ctx, None)


def carry(api: ApiCalls, one: str, other: str, limit: int, ctx: Context) -> Differences:
    """Makes the other equal to the one; what it did. Points that are equal are left alone."""
    writer = _Writer(api, other, limit)
    found = _walk(api, one, other, limit, ctx, writer)
    writer.flush()
    return found


class _Writer:
    """Changes of one collection, a page at a time, each on the disk of every replica when it is answered."""

    def __init__(self, api: ApiCalls, name: str, limit: int) -> None:
        self.api, self.name, self.limit = api, name, limit
        self.write: list[Point] = []
        self.delete: list[Any] = []
        self.size = 0
        """Bytes of what is to be written."""

    def take(self, wanted: Point | None, there: Point | None) -> None:
        """The point that shall be there; None: the one that is there goes."""
        if wanted is not None:
            point = {"id": wanted["id"], "vector": _vector(wanted), "payload": _payload(wanted)}
            self.write.append(point)
            self.size += len(json.dumps(point))
        elif there is not None:
            self.delete.append(there["id"])
        if len(self.write) + len(self.delete) >= self.limit or self.size >= _SENT_BYTES:
            self.flush()

    def flush(self) -> None:
        """What is left goes out."""
        if self.write:
            self._send("PUT", "points", {"points": self.write})
        if self.delete:
            self._send("POST", "points/delete", {"points": self.delete})
        self.write, self.delete, self.size = [], [], 0

    def _send(self, method: str, rest: str, body: Mapping[str, object]) -> None:
        path = f"{collection_path(self.name, rest)}?wait=true"
        self.api.send(method, path, body, timeout_s=_TIMEOUT_S)


def _walk(api: ApiCalls, one: str, other: str, limit: int, ctx: Context, writer: _Writer | None) -> Differences:
    found, made, other_made = Differences(), hashlib.sha256(), hashlib.sha256()
    total = api.json(collection_path(one))["result"].get("points_count") or 0
    for first, second in _pairs(points(api, one, limit), points(api, other, limit)):
        if first is not None:
            found.count += 1
            made.update(_line(first))
        if second is not None:
            other_made.update(_line(second))
        if found.count % limit == 0:
            _tell(one, found.count, total, ctx)
        if first is not None and second is not None and same_point(first, second):
            continue
        found.write += first is not None
        found.delete += first is None
        if writer:
            writer.take(first, second)
    found.digest, found.other = made.hexdigest(), other_made.hexdigest()
    return found


def _tell(name: str, count: int, total: int, ctx: Context) -> None:
    ctx.progress(f"points of {name}, {count} of {total}", min(1.0, count / total) if total else None)
    ctx.sleep(0.0)  # A cancel is heard between two pages.


def _pairs(one: Iterator[Point], other: Iterator[Point]) -> Iterator[tuple[Point | None, Point | None]]:
    """Two sorted lists side by side; None where one of them lacks the point."""
    first, second = next(one, None), next(other, None)
    while first is not None or second is not None:
        left = _order(first["id"]) if first is not None else None
        right = _order(second["id"]) if second is not None else None
        if right is None or (left is not None and left < right):
            yield first, None
            first = next(one, None)
        elif left is None or right < left:
            yield None, second
            second = next(other, None)
        else:
            yield first, second
            first, second = next(one, None), next(other, None)


def _order(point: object) -> tuple[int, int, str]:
    """Numbers before UUIDs, which a server writes in small letters."""
    return (0, point, "") if isinstance(point, int) else (1, 0, str(point))


def _line(point: Point) -> bytes:
    return json.dumps([point["id"], _vector(point), _payload(point)], sort_keys=True).encode() + b"\n"


def same_point(one: Point, other: Point) -> bool:
    """Whether payload and vectors are equal, these within float precision; whatever the ids."""
    return _payload(one) == _payload(other) and _close(_vector(one), _vector(other))


def _vector(point: Point) -> Any:
    """A point may have none: then the server leaves the word out."""
    return point.get("vector") or {}


def _payload(point: Point) -> Any:
    return point.get("payload") or {}


def _close(one: Any, other: Any) -> bool:
    """Vectors of any form: of numbers, of several, by name, or sparse."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_close(one[name], other[name]) for name in one)
    if isinstance(one, Sequence) and isinstance(other, Sequence):
        return one == other or (len(one) == len(other) and all(map(_close, one, other)))
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
    return bool(one == other)
