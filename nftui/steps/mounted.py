"""Files that services mount: written beside the old ones, which stay until no generation needs them (engine.md 10)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from nftui.model.message import msg
from nftui.model.plan import StepSpec, digest
from nftui.steps.calls import Data
from nftui.steps.kind import Context, Found, StepFailed


class _Wanted(NamedTuple):
    path: str
    digest: str
    mode: int
    owner: tuple[int, int] | None


class MountedKind:
    """One directory, named by what is in it. With `goes` it is no longer mounted from this stage on.

    Nothing is removed here: what runs by the old files still mounts the old directory, and on the way back what runs by
    the new ones the new. What nothing needs is removed when the run has ended (`engine.leavings`). So the way back has
    to write only what somebody else removed meanwhile.
    """

    name = "mounted"
    version = 1
    reads_files = False

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """What of it is there; what is about to go is put into the blob store, should it not be there already."""
        contents = {w.path: ctx.files.read(w.path) for w in _files(step)}
        for wanted in _files(step):
            content = contents[wanted.path]
            if step.params.get("goes") and content is not None and digest(content) == wanted.digest:
                ctx.blobs.put(content)
        return {"present": {path: digest(content) for path, content in contents.items()}}

    def blobs(self, step: StepSpec, before: Data) -> tuple[str, ...]:
        """What its way back may have to write."""
        return tuple(w.digest for w in _files(step)) if step.params.get("goes") else ()

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """A file that is not as its directory says belongs to nobody else: it is written again."""
        if step.params.get("goes"):
            return Found.BEFORE
        stand = [_stands(w, ctx) for w in _files(step)]
        return Found.AFTER if all(stand) else Found.PARTIAL if any(stand) else Found.BEFORE

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Write what is missing; nothing where it goes."""
        if not step.params.get("goes"):
            _write(step, ctx)

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Read back."""
        if not step.params.get("goes"):
            _must_stand(step, ctx)
        return {"files": len(list(_files(step)))}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """What is mounted again has to be there; what was new stays until what runs by it is gone."""
        if step.params.get("goes"):
            _write(step, ctx)
            _must_stand(step, ctx)


def _files(step: StepSpec) -> Iterator[_Wanted]:
    files = step.params["files"]
    assert isinstance(files, Mapping)
    for path, data in sorted(files.items()):
        owner = data["owner"]
        yield _Wanted(path, data["digest"], int(data["mode"]), (int(owner[0]), int(owner[1])) if owner else None)


def _stands(wanted: _Wanted, ctx: Context) -> bool:
    return digest(ctx.files.read(wanted.path)) == wanted.digest


def _write(step: StepSpec, ctx: Context) -> None:
    like = step.params.get("like")
    beside = str(like) if like else None
    for wanted in _files(step):
        if _stands(wanted, ctx):
            continue
        ctx.files.make_directory(str(Path(wanted.path).parent), like=beside)
        ctx.files.write(
            wanted.path, ctx.blobs.get(wanted.digest), mode=wanted.mode, like=beside, owner=wanted.owner
        )  # fmt: skip


def _must_stand(step: StepSpec, ctx: Context) -> None:
    for wanted in _files(step):
        if not _stands(wanted, ctx):
            raise StepFailed(msg("{path} does not hold what was written.", path=wanted.path))
