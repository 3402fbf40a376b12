"""A snapshot of a Qdrant collection, kept in nftui's state directory: outside of the volume that it is a copy of."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import cast

from nftui.catalog.references import version_key
from nftui.clients.http import HttpUnreachable
from nftui.clients.qdrant import collection_path, snapshot_places
from nftui.clients.qdrant_nodes import read_aliases
from nftui.model.artefact import Artefact, ArtefactState
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.stack import Role, Service
from nftui.model.units import MIB, human_size
from nftui.steps.calls import ApiCalls, Data
from nftui.steps.gate import containers_of
from nftui.steps.kind import Context, Found, StepFailed
from nftui.system.durable import make_directory, sync_directory

LONG_S = 3600.0
"""An answer that comes when the work is done: a snapshot, a restore."""
_ROOM = 2
"""A snapshot takes at most this times its vectors (originals, graph, payload); a guess, and a full disk is told too."""
_ROOM_OLD = 3
"""The same in the server before 1.12, which packs each segment by itself before it packs all of them."""
_STREAMS = (1, 12)


def collection_of(step: StepSpec) -> str:
    """The collection's name, as the server knows it."""
    return str(step.params["collection"])


def kept_snapshot(step: StepSpec, ctx: Context) -> Artefact | None:
    """The newest whole snapshot of the step's collection, None where none is kept."""
    found = [a for a in ctx.artefacts.list() if a.details.get("collection") == step.target and a.checksum]
    return found[-1] if found else None


def is_there(api: ApiCalls, name: str) -> bool:
    """Whether a collection answers to that name, be it an alias. Raises HttpUnreachable."""
    try:
        api.json(collection_path(name))
    except HttpUnreachable as error:
        if error.status != 404:
            raise
        return False
    return True


class QdrantSnapshotKind:
    """A snapshot of a collection in nftui's state directory; the server's own copy of it is removed."""

    name = "qdrant-snapshot"
    version = 1
    reads_files = False

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Where it will lie; and what the server keeps already, by which its own copy of this one is known."""
        file = f"{step.target.replace('/', '-')}-{ctx.run}.snapshot"
        return {
            "path": f"{ctx.kept}/{file}",
            "others": sorted(on_server(ctx.api(str(step.service)), collection_of(step))),
        }

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """After: whole, by its record."""
        found = _recorded(before, ctx)
        if found is None:
            return Found.BEFORE
        whole = found.state is ArtefactState.MADE and _size(found.name) == found.size
        return Found.AFTER if whole else Found.PARTIAL

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Made by the server, fetched, compared by checksum, removed there."""
        api, name, path = ctx.api(str(step.service)), collection_of(step), str(before["path"])
        _must_have_room(step, api, ctx)
        ctx.artefacts.record("file", path, ctx.run, step.id, collection=step.target, service=step.service)
        ctx.progress(f"snapshot of {name}", None)
        make_directory(Path(ctx.kept))
        self._tidy(step, before, ctx)
        ctx.artefacts.made(path, *take_snapshot(api, name, path))

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Its size and checksum are in the registry."""
        found = _recorded(before, ctx)
        if found is None or self.classify(step, before, ctx) is not Found.AFTER:
            raise StepFailed(msg("The snapshot of {name} is not there.", name=collection_of(step)))
        return {"path": found.name, "size": found.size, "checksum": found.checksum}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """The collection is back and proven by now, so nothing needs the file any more; else it stays."""
        self._tidy(step, before, ctx)
        path = str(before["path"])
        if Path(path).exists() and not _is_itself(step, ctx):
            ctx.note(str(msg("The snapshot of {name} stays as {path}: that collection is not there any more.",
                             name=collection_of(step), path=path)))  # fmt: skip
            return
        _remove(path)
        ctx.artefacts.drop(path)

    def left(self, step: StepSpec, before: Data, ctx: Context) -> Collection[str]:
        """The server's copy, where the fetching was cut off: the one snapshot that was not there before.

        Of several it is not known which is whose: none is taken for nftui's own.
        """
        found = _recorded(before, ctx)
        if found is None or found.state is ArtefactState.MADE or "others" not in before:
            return ()
        others = cast("Iterable[str]", before["others"])
        return left_on_server(ctx.api(str(step.service)), collection_of(step), others)

    def _tidy(self, step: StepSpec, before: Data, ctx: Context) -> None:
        for name in self.left(step, before, ctx):
            remove_on_server(ctx.api(str(step.service)), collection_of(step), name)


def take_snapshot(api: ApiCalls, name: str, path: str) -> tuple[int, str]:
    """A snapshot of the collection as the new file `path`, bytes and sha256; the server's own copy is removed.

    Raises StepFailed where it did not arrive whole; then nothing of it is left.
    """
    made = api.send("POST", collection_path(name, "snapshots") + "?wait=true", {}, timeout_s=LONG_S)["result"]
    try:
        size, digest = _fetched(api, collection_path(name, "snapshots", str(made["name"])), path)
    finally:
        remove_on_server(api, name, str(made["name"]))
    if size != made["size"] or digest != (made.get("checksum") or digest):
        _remove(path)
        raise StepFailed(msg("The snapshot of {name} did not arrive whole.", name=name))
    return size, digest


def on_server(api: ApiCalls, name: str) -> set[str]:
    """Names of the collection's snapshots that the server keeps. Raises HttpUnreachable."""
    return {str(item["name"]) for item in api.json(collection_path(name, "snapshots"))["result"]}


def left_on_server(api: ApiCalls, name: str, others: Iterable[str]) -> set[str]:
    """The one snapshot that is there beside `others`: of several it is not known which is whose."""
    new = on_server(api, name) - set(others)
    return new if len(new) == 1 else set()


def remove_on_server(api: ApiCalls, name: str, snapshot: str) -> None:
    """Raises HttpUnreachable."""
    api.send("DELETE", collection_path(name, "snapshots", snapshot), timeout_s=60.0)


def _is_itself(step: StepSpec, ctx: Context) -> bool:
    """Whether the collection itself is there: its name may lead to another one by now."""
    api, name = ctx.api(str(step.service)), collection_of(step)
    try:
        if name in read_aliases(api):
            return False
    except HttpUnreachable:  # A key need not be allowed to ask for them.
        pass
    return is_there(api, name)


def _recorded(before: Data, ctx: Context) -> Artefact | None:
    return next((a for a in ctx.artefacts.list() if a.name == before["path"]), None)


def _size(path: str) -> int | None:
    try:
        return Path(path).stat().st_size
    except FileNotFoundError:
        return None


def _remove(path: str) -> None:
    Path(path).unlink(missing_ok=True)
    if Path(path).parent.is_dir():
        sync_directory(Path(path).parent)


def _must_have_room(step: StepSpec, api: ApiCalls, ctx: Context) -> None:
    """Asked before the server begins: room for its copy and for nftui's, together where both lie on one disk."""
    make_directory(Path(ctx.kept))
    needed: dict[int, int] = {}
    places: dict[int, Path] = {}
    for place, size in _needs(step, api, ctx):
        device = place.stat().st_dev
        needed[device] = needed.get(device, 16 * MIB) + size
        places.setdefault(device, place)
    for device, place in places.items():
        free = shutil.disk_usage(place).free
        if free < needed[device]:
            raise StepFailed(
                msg(
                    "{path} has not enough room for the snapshot of {name}: needed about {needed}, free {free}. Free "
                    "some there, or do without it: {knob}.",
                    path=str(place), name=collection_of(step), needed=human_size(needed[device]),
                    free=human_size(free), knob="snapshot=off",
                )
            )  # fmt: skip


def _needs(step: StepSpec, api: ApiCalls, ctx: Context) -> Iterator[tuple[Path, int]]:
    """Directory and bytes: of nftui's copy, and of the server's where its place can be seen from here."""
    size = int(str(step.params.get("bytes") or 0))
    yield Path(ctx.kept), _ROOM * size
    for place in places_there(step, ctx):
        yield place, (_ROOM if streams(api) else _ROOM_OLD) * size


def places_there(step: StepSpec, ctx: Context) -> Iterator[Path]:
    """Where the server makes a snapshot, as far as that is on this machine: one of each disk.

    On one disk it is moved from where it is worked on, on another one copied.
    """
    server = Service(str(step.service), Role.QDRANT, containers=tuple(containers_of(str(step.service), ctx)))
    seen: set[int] = set()
    for place in map(Path, snapshot_places(server, str(step.params.get("root") or ""))):
        if place.is_dir() and place.stat().st_dev not in seen:
            seen.add(place.stat().st_dev)
            yield place


def streams(api: ApiCalls) -> bool:
    """Whether it packs a snapshot at once, without its segments packed one by one beside it."""
    told = api.json("/")
    version = str(told.get("version") or "") if isinstance(told, dict) else ""
    return not version or version_key(version) >= _STREAMS


def _fetched(api: ApiCalls, there: str, path: str) -> tuple[int, str]:
    """Downloaded, or nothing of it left."""
    try:
        return api.download(there, path, timeout_s=LONG_S)
    except (OSError, HttpUnreachable) as error:
        _remove(path)
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error.message)
        raise StepFailed(msg("The snapshot could not be kept as {path}: {why}", path=path, why=reason)) from error
