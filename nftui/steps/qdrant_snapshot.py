"""A snapshot of a Qdrant collection, kept in nftui's state directory: outside of the volume that it is a copy of."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import cast

from nftui.clients.http import HttpUnreachable
from nftui.clients.qdrant import collection_path
from nftui.model.artefact import Artefact, ArtefactState
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.units import MIB, human_size
from nftui.steps.calls import ApiCalls, Data
from nftui.steps.kind import Context, Found, StepFailed
from nftui.system.durable import make_directory, sync_directory

LONG_S = 3600.0
"""An answer that comes when the work is done: a snapshot, a restore."""
_ROOM = 2
"""A snapshot takes at most this times its vectors (originals, graph, payload); a guess, and a full disk is told too."""


def collection_of(step: StepSpec) -> str:
    """The collection's name, as the server knows it."""
    return str(step.params["collection"])


def kept_snapshot(step: StepSpec, ctx: Context) -> Artefact | None:
    """The newest whole snapshot of the step's collection, None where none is kept."""
    found = [a for a in ctx.artefacts.list() if a.details.get("collection") == step.target and a.checksum]
    return found[-1] if found else None


class QdrantSnapshotKind:
    """A snapshot of a collection in nftui's state directory; the server's own copy of it is removed."""

    name = "qdrant-snapshot"
    version = 1
    reads_files = False

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Where it will lie; and what the server keeps already, by which its own copy of this one is known."""
        file = f"{step.target.replace('/', '-')}-{ctx.run}.snapshot"
        return {"path": f"{ctx.kept}/{file}", "others": sorted(_on_server(step, ctx))}

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
        _must_have_room(step, ctx)
        ctx.artefacts.record("file", path, ctx.run, step.id, collection=step.target, service=step.service)
        ctx.progress(f"snapshot of {name}", None)
        make_directory(Path(ctx.kept))
        self._tidy(step, before, ctx)
        made = api.send("POST", collection_path(name, "snapshots") + "?wait=true", {}, timeout_s=LONG_S)["result"]
        there = collection_path(name, "snapshots", str(made["name"]))
        try:
            size, digest = _fetched(api, there, path)
        finally:
            api.send("DELETE", there, timeout_s=60.0)
        if size != made["size"] or digest != (made.get("checksum") or digest):
            _remove(path)
            raise StepFailed(msg("The snapshot of {name} did not arrive whole.", name=name))
        ctx.artefacts.made(path, size, digest)

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Its size and checksum are in the registry."""
        found = _recorded(before, ctx)
        if found is None or self.classify(step, before, ctx) is not Found.AFTER:
            raise StepFailed(msg("The snapshot of {name} is not there.", name=collection_of(step)))
        return {"path": found.name, "size": found.size, "checksum": found.checksum}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """The collection is back and proven by now: nothing needs the file any more."""
        self._tidy(step, before, ctx)
        _remove(str(before["path"]))
        ctx.artefacts.drop(str(before["path"]))

    def left(self, step: StepSpec, before: Data, ctx: Context) -> Collection[str]:
        """The server's copy, where the fetching was cut off: the one snapshot that was not there before.

        Of several it is not known which is whose: none is taken for nftui's own.
        """
        found = _recorded(before, ctx)
        if found is None or found.state is ArtefactState.MADE or "others" not in before:
            return ()
        new = _on_server(step, ctx) - set(cast("Iterable[str]", before["others"]))
        return new if len(new) == 1 else ()

    def _tidy(self, step: StepSpec, before: Data, ctx: Context) -> None:
        for name in self.left(step, before, ctx):
            there = collection_path(collection_of(step), "snapshots", name)
            ctx.api(str(step.service)).send("DELETE", there, timeout_s=60.0)


def _on_server(step: StepSpec, ctx: Context) -> set[str]:
    """Names of the collection's snapshots that the server keeps."""
    found = ctx.api(str(step.service)).json(collection_path(collection_of(step), "snapshots"))
    return {str(item["name"]) for item in found["result"]}


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


def _must_have_room(step: StepSpec, ctx: Context) -> None:
    """Asked before the server begins; it needs as much again beside its storage, and says itself where it has not."""
    needed = _ROOM * int(str(step.params.get("bytes") or 0)) + 16 * MIB
    place = Path(ctx.kept)
    make_directory(place)
    free = shutil.disk_usage(place).free
    if free < needed:
        raise StepFailed(
            msg(
                "{path} has not enough room for the snapshot of {name}: needed about {needed}, free {free}. Free some "
                "there, or do without it: {knob}.",
                path=str(place), name=collection_of(step), needed=human_size(needed), free=human_size(free),
                knob="snapshot=off",
            )
        )  # fmt: skip


def _fetched(api: ApiCalls, there: str, path: str) -> tuple[int, str]:
    """Downloaded, or nothing of it left."""
    try:
        return api.download(there, path, timeout_s=LONG_S)
    except (OSError, HttpUnreachable) as error:
        _remove(path)
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error.message)
        raise StepFailed(msg("The snapshot could not be kept as {path}: {why}", path=path, why=reason)) from error
