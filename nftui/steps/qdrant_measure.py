"""Recall and latency of a Qdrant collection as its apps see it: their search against an exact one (AI reference 2.8).

Stored vectors are the queries; the truth is an exact search on the original vectors. A search whose settings the apps
leave alone takes the collection's own, and so does this one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nftui.clients.http import HttpUnreachable
from nftui.clients.qdrant import collection_path
from nftui.model.qdrant import LEAST_LIMIT, most_read, most_results, read_config, unmeasurable
from nftui.steps.calls import ApiCalls
from nftui.steps.kind import Context

LIMIT = LEAST_LIMIT
"""The 10 of recall@10."""
SAMPLE = 100
_LEAST = 20
_BUDGET_S = 20.0
"""Seconds after which no further query is asked, once there are `_LEAST`: exact search reads everything."""
_TIMEOUT_S = 60.0
_PIECE = 16
"""Points of which the vectors are read at once: a long one takes some 20 KB as JSON, one of several a multiple."""
_NO_VECTOR = "should not be empty"
"""What a server says of a point that has not the vector by which it is asked for others (1.7 to 1.18)."""
_EXACT = {"exact": True, "quantization": {"ignore": True}}


def sample_ids(api: ApiCalls, name: str, config: Mapping[str, object]) -> list[Any]:
    """Points picked by the server; the first ones where it cannot pick. Raises HttpUnreachable."""
    most = most_results(config, SAMPLE)
    try:
        body = {"query": {"sample": "random"}, "limit": most, "with_payload": False}
        found = api.send("POST", collection_path(name, "points/query"), body, timeout_s=_TIMEOUT_S)["result"]["points"]
    except HttpUnreachable:
        body = {"limit": most, "with_payload": False}
        found = api.send("POST", collection_path(name, "points/scroll"), body, timeout_s=_TIMEOUT_S)["result"]["points"]
    return sorted((p["id"] for p in found), key=str)


def fingerprints(api: ApiCalls, name: str, ids: Sequence[Any], config: Mapping[str, object]) -> dict[str, str]:
    """Point id to a digest of its vectors; points that are gone are missing. Raises HttpUnreachable.

    `config`: of GET /collections/NAME.
    """
    found: dict[str, str] = {}
    left, size = list(ids), most_read(config, _PIECE)
    while left:
        body = {"ids": left[:size], "with_vector": True, "with_payload": False}
        try:
            points = api.send("POST", collection_path(name, "points"), body, timeout_s=_TIMEOUT_S)["result"]
        except HttpUnreachable as error:
            if size == 1 or not error.cut_off:
                raise
            size //= 2
            continue
        found |= {str(p["id"]): _digest(p["vector"]) for p in points}
        left = left[size:]
    return found


def _digest(vector: object) -> str:
    return hashlib.sha256(json.dumps(vector, sort_keys=True).encode()).hexdigest()[:16]


def measure(
    api: ApiCalls,
    name: str,
    config: Mapping[str, object],
    ids: Sequence[Any],
    ctx: Context,
    *,
    unindexed: Collection[str] = (),
) -> dict[str, Any]:
    """Vector name to {"n", "recall", "p50_ms", "p95_ms"}; vectors with several per point are left out.

    `config`: of GET /collections/NAME. {} where its strict mode forbids it. Of `unindexed` vectors the recall is None:
    a search by them is an exact one, whose 1.0 would be told of an index that is not there.
    """
    if not ids or unmeasurable(config):
        return {}
    searches = {v.name: Search(api, name, v.name) for v in read_config(config).vectors if not v.multi}
    found = {vector: _vector(search, ids, ctx) for vector, search in searches.items()}
    return {v: {**f, "recall": None} if v in unindexed else f for v, f in found.items() if f}


def _vector(search: Search, ids: Sequence[Any], ctx: Context) -> dict[str, Any]:
    end, hits, times = ctx.now() + _BUDGET_S, [], []
    for number, point in enumerate(ids):
        if number >= _LEAST and ctx.now() > end:
            break
        ctx.progress(f"searching {search.collection}, {number} of {len(ids)}", number / len(ids))
        truth = search.near(point, _EXACT)
        began = ctx.now()
        found = search.near(point, None)
        took = (ctx.now() - began) * 1000
        if truth:
            hits.append(_hits(truth, found) / len(truth))
            times.append(took)
    if not hits:
        return {}
    times.sort()
    return {
        "n": len(hits), "recall": round(sum(hits) / len(hits), 4),
        "p50_ms": round(times[len(times) // 2], 3), "p95_ms": round(times[int(len(times) * 0.95)], 3),
    }  # fmt: skip


class Search:
    """Nearest points by one vector of a collection: by the one route for queries, in servers before 1.10 by another."""

    def __init__(self, api: ApiCalls, collection: str, vector: str) -> None:
        self.api, self.collection, self.vector = api, collection, vector
        self.asks = [self._query, self._recommend]
        """In the order in which they are tried; the one that answers stays alone."""

    def near(self, point: Any, params: Mapping[str, object] | None) -> list[dict[str, Any]]:
        """What lies nearest to a stored point, itself left out; [] where it, or that vector of it, is not there."""
        for ask in self.asks:
            try:
                found = ask(point, params)
            except HttpUnreachable as error:
                if error.status == 400 and _NO_VECTOR in str(error):
                    return []
                if error.status != 404:
                    raise
            else:
                self.asks = [ask]
                return found
        return []

    def _query(self, point: Any, params: Mapping[str, object] | None) -> list[dict[str, Any]]:
        return list(self._send("points/query", {"query": point}, params)["points"])

    def _recommend(self, point: Any, params: Mapping[str, object] | None) -> list[dict[str, Any]]:
        """What is like one stored point is what lies nearest to it (gone since 1.19)."""
        return list(self._send("points/recommend", {"positive": [point]}, params))

    def _send(self, route: str, query: Mapping[str, object], params: Mapping[str, object] | None) -> Any:
        body = {**query, "limit": LIMIT, "with_payload": False, "with_vector": False}
        body |= {"using": self.vector} if self.vector else {}
        body |= {"params": params} if params else {}
        return self.api.send("POST", collection_path(self.collection, route), body, timeout_s=_TIMEOUT_S)["result"]


def _hits(truth: list[dict[str, Any]], found: list[dict[str, Any]]) -> int:
    """How many of `found` belong to the truth; a score equal to that of its last one does."""
    wanted, cut = {p["id"] for p in truth}, truth[-1]["score"]
    near = 1e-6 * max(1.0, abs(cut))
    return sum(1 for p in found[: len(truth)] if p["id"] in wanted or abs(p["score"] - cut) <= near)
