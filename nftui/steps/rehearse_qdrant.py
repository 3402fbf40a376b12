"""The rehearsal of a Qdrant: a snapshot of each collection, made by the server that runs and recovered by both images.

Sources: qdrant 1.7 to 1.19, lib/storage/src/content_manager/snapshots/{download,recover}.rs: a file: location is taken
by every version, by newer ones only from their own snapshots' directory; a collection that is not there is made.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

from nftui.clients.qdrant import collection_path
from nftui.model.dataclass import dataclass
from nftui.model.plan import StepSpec
from nftui.model.stack import Container
from nftui.steps.calls import ApiCalls, Data
from nftui.steps.copy import must_have_room
from nftui.steps.kind import Context
from nftui.steps.places import name_of, place_of
from nftui.steps.qdrant_points import Point, count_points, page_size, points, same_point
from nftui.steps.qdrant_snapshot import (
    LONG_S,
    left_on_server,
    on_server,
    places_there,
    remove_on_server,
    streams,
    take_snapshot,
)
from nftui.steps.rehearse import Rehearsal, note, source_of, used_memory
from nftui.system.helpers import Server
from nftui.system.trees import TreeFacts

PORT = 6333
_INSIDE = "/nftui-rehearsal"
"""Where a helper has the copy: nothing of the operator's is mounted there."""
_STORAGE, _SNAPSHOTS, _NAMES = "storage", "snapshots", "names.json"
_ALONE = {
    "QDRANT__STORAGE__STORAGE_PATH": f"{_INSIDE}/{_STORAGE}",
    "QDRANT__STORAGE__SNAPSHOTS_PATH": f"{_INSIDE}/{_SNAPSHOTS}",
    "QDRANT__STORAGE__SNAPSHOTS_CONFIG__SNAPSHOTS_STORAGE": "local",
    "QDRANT__SERVICE__HTTP_PORT": str(PORT), "QDRANT__SERVICE__ENABLE_TLS": "false",
    "QDRANT__CLUSTER__ENABLED": "false", "QDRANT__TELEMETRY_DISABLED": "true",
}  # fmt: skip
_ELSEWHERE = ("QDRANT__STORAGE__TEMP_PATH", "QDRANT__STORAGE__SNAPSHOTS_CONFIG__", "QDRANT__CLUSTER__", *_ALONE)
"""Beginnings of variables that go: what they name is not there, or is said otherwise above."""
_SAMPLE = 64
"""Points of each collection that are read back."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a server made of one snapshot."""

    count: int
    """Of its points, exact."""
    status: str
    config: Mapping[str, Any]
    indexes: tuple[str, ...]
    """Fields of payloads that it has an index of."""
    sample: tuple[Point, ...]
    """Its first points, with vectors and payloads."""


class QdrantRehearsalKind(Rehearsal[Mapping[str, Recovered]]):
    """Each image begins with an empty storage. Both are asked, as the running server's points change meanwhile: what
    the one that runs now makes of a snapshot is what the new one must make of it. Aliases are in no snapshot.
    """

    name = "qdrant-rehearsal"

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Also what snapshots the server keeps already, by which its own copies of these are known."""
        api = ctx.api(str(step.service))
        names = sorted(str(c["name"]) for c in api.json("/collections")["result"]["collections"])
        return {**super().read(step, ctx), "others": {name: sorted(on_server(api, name)) for name in names}}

    def memory(self, step: StepSpec, running: Container, ctx: Context) -> int:
        """See Rehearsal."""
        return used_memory(running, ctx)

    def room(self, step: StepSpec, ctx: Context) -> tuple[int, int]:
        """Snapshots, what is recovered of them, one of them unpacked beside it, and the server's own, which may lie on
        the same disk.
        """
        found = _sizes(step, ctx)
        own = _own_copy(found, ctx.api(str(step.service)))
        most = max((f.bytes for f in found), default=0)
        return 2 * sum(f.bytes for f in found) + most + own, 2 * sum(f.entries for f in found)

    def fill(self, step: StepSpec, before: Data, path: str, ctx: Context) -> None:
        """See Rehearsal."""
        api, names = ctx.api(str(step.service)), sorted(_others(before))
        self._must_have_room_there(step, api, ctx)
        folder = Path(path, _SNAPSHOTS)
        # Whoever a server runs as can read and write in here, and nobody can come here but through a mount.
        Path(path).chmod(0o700)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
        for number, name in enumerate(names):
            ctx.progress(f"snapshot of {name}", number / len(names))
            ctx.sleep(0.0)  # A cancel is heard between two of them.
            file = folder / f"{number}.snapshot"
            take_snapshot(api, name, str(file))
            file.chmod(0o644)
        Path(path, _NAMES).write_text(json.dumps(names))

    def _must_have_room_there(self, step: StepSpec, api: ApiCalls, ctx: Context) -> None:
        """Where the server makes them, if that can be seen from here."""
        for place in places_there(step, ctx):
            must_have_room(_own_copy(_sizes(step, ctx), api), 1, str(place), ctx)

    def mounts(self, step: StepSpec, path: str, ctx: Context) -> Mapping[str, str]:
        """Snapshots, and an empty storage: what the server before made there goes."""
        storage = str(Path(path, _STORAGE))
        if ctx.trees.exists(storage):
            ctx.trees.remove(storage)
        ctx.trees.mark(storage, note(step))
        Path(storage).chmod(0o777)
        return {f"{_INSIDE}/{_STORAGE}": storage, f"{_INSIDE}/{_SNAPSHOTS}": str(Path(path, _SNAPSHOTS))}

    def serving(self, found: Server) -> Server:
        """See Rehearsal."""
        kept = {n: v for n, v in found.environment.items() if not n.upper().startswith(_ELSEWHERE)}
        return replace(found, environment={**kept, **_ALONE})

    def has_it(self, step: StepSpec, helper: str, ctx: Context) -> bool:
        """See Rehearsal. Nothing is to be loaded yet."""
        ctx.api_in(str(step.service), helper, PORT).json("/collections")
        return True

    def tell(self, step: StepSpec, helper: str, path: str, ctx: Context) -> Mapping[str, Recovered]:
        """See Rehearsal: each snapshot recovered, and looked at."""
        api, found = ctx.api_in(str(step.service), helper, PORT), {}
        names = json.loads(Path(path, _NAMES).read_text())
        for number, name in enumerate(names):
            ctx.progress(f"{name} is recovered apart", number / len(names))
            ctx.sleep(0.0)
            location = f"file://{_INSIDE}/{_SNAPSHOTS}/{number}.snapshot"
            asked = {"location": location, "priority": "snapshot"}
            api.send("PUT", collection_path(name, "snapshots/recover") + "?wait=true", asked, timeout_s=LONG_S)
            found[name] = _look(api, name)
        return found

    def lacking(self, was: Mapping[str, Recovered], now: Mapping[str, Recovered]) -> list[str]:
        """See Rehearsal."""
        return [words for name, former in was.items() for words in _worse(name, former, now[name])]

    def words(self, now: Mapping[str, Recovered]) -> tuple[str, object]:
        """See Rehearsal."""
        counts = {name: found.count for name, found in now.items()}
        return f"{sum(counts.values())} points in {len(counts)} collections", counts

    # -- the server's own copies ---------------------------------------------------------------------------
    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Nothing but the copy was made, and one copy of the server's at a time."""
        for name, snapshot in self._left(step, before, ctx):
            remove_on_server(ctx.api(str(step.service)), name, snapshot)
        super().undo(step, before, ctx)

    def left(self, step: StepSpec, before: Data, ctx: Context) -> Collection[str]:
        """See Leaves."""
        return {snapshot for _, snapshot in self._left(step, before, ctx)}

    def _left(self, step: StepSpec, before: Data, ctx: Context) -> list[tuple[str, str]]:
        """Only while the copy is on record: what is new later on is the operator's."""
        copy = name_of(place_of(step, "target"))
        if all(a.name != copy for a in ctx.artefacts.list()):
            return []
        api = ctx.api(str(step.service))
        return [(name, s) for name, others in _others(before).items() for s in left_on_server(api, name, others)]


def _sizes(step: StepSpec, ctx: Context) -> list[TreeFacts]:
    """Of each collection on the disk of the server that runs; what goes away meanwhile is not counted."""
    folder = Path(source_of(step, ctx), str(step.params["collections"]))
    return [ctx.trees.facts(str(path)) for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


def _own_copy(sizes: Iterable[TreeFacts], api: ApiCalls) -> int:
    """Bytes of a snapshot in the server's own place: one at a time, packed once or twice."""
    return max((found.bytes for found in sizes), default=0) * (1 if streams(api) else 2)


def _others(before: Data) -> Mapping[str, Iterable[str]]:
    return cast("Mapping[str, Iterable[str]]", before["others"])


def _look(api: ApiCalls, name: str) -> Recovered:
    info = api.json(collection_path(name))["result"]
    limit = min(_SAMPLE, page_size(info["config"]))
    return Recovered(
        count_points(api, name, LONG_S), str(info["status"]), info["config"],
        tuple(sorted(info.get("payload_schema") or ())),
        tuple(islice(points(api, name, limit), _SAMPLE)),
    )  # fmt: skip


def _worse(name: str, was: Recovered, now: Recovered) -> Iterable[str]:
    if now.status == "red" != was.status:
        yield f"{name} is red"
    if now.count != was.count:
        yield f"{name} {now.count} of {was.count} points"
    yield from (
        f"{name}: {key} is another" for key, value in was.config.items() if not _holds(now.config.get(key), value)
    )
    yield from (f"{name}: no index of {field}" for field in was.indexes if field not in now.indexes)
    others = {str(point["id"]): point for point in now.sample}
    for point in was.sample:
        other = others.get(str(point["id"]))
        if other is None or not same_point(point, other):
            yield f"{name}: point {point['id']} is not the same"
            return


def _holds(now: Any, was: Any) -> bool:
    """Whether all that was said is said; a newer version says more, and what was null may have a default by then."""
    if was is None:
        return True
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        return all(_holds(now.get(key), value) for key, value in was.items())
    return bool(now == was)
