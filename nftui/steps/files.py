"""Step kinds that switch files in: a whole file of nftui's own, and the keys merged into `.env`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nftui.model.message import msg
from nftui.model.plan import StepSpec, digest
from nftui.steps.calls import Data
from nftui.steps.envkeys import drop_key, get_key, set_key
from nftui.steps.kind import Context, ForeignState, Found, StepFailed
from nftui.system.blobs import BlobStore
from nftui.system.files import Attributes


def _content(step: StepSpec, ctx: Context) -> bytes | None:
    wanted = step.params["after"]
    return None if wanted is None else ctx.blobs.get(str(wanted))


def _put(step: StepSpec, content: bytes | None, ctx: Context) -> None:
    """As planned: an existing file keeps its mode, owner and extended attributes."""
    if content is None:
        ctx.files.delete(step.target)
    else:
        like = step.params.get("like")
        mode = int(str(step.params.get("mode", 0o644)))
        ctx.files.write(step.target, content, mode=mode, like=str(like) if like else None)


def _captured(step: StepSpec, ctx: Context) -> dict[str, object]:
    """What an exact way back needs: the bytes in a blob, and who could do what with the file."""
    content = ctx.files.read(step.target)
    if content is None:
        return {"before": None, "attributes": None}
    attributes = ctx.files.attributes(step.target)
    return {"before": ctx.blobs.put(content), "attributes": attributes.as_json() if attributes else None}


def _restore(step: StepSpec, before: Data, ctx: Context) -> None:
    """Bytes, mode, owner and extended attributes as captured; also where only the attributes differ.

    A write that was cut off before its switch left the file alone, and its bytes, secrets among them, beside it.
    Where no file was, a link of the operator's may dangle: nothing was written through it, and it stays. Else it
    is deleted also where there is none: a disk that turned read-only says so, and what else is on it is not forgotten.
    """
    old, wanted = before["before"], _attributes(before)
    ctx.files.tidy(step.target)
    if old is None:
        if not Path(step.target).is_symlink() or ctx.files.read(step.target) is not None:
            ctx.files.delete(step.target)
    elif digest(ctx.files.read(step.target)) != old or not _stands(step, wanted, ctx):
        content = ctx.blobs.get(str(old))
        if wanted is None:
            _put(step, content, ctx)
        else:
            ctx.files.write(step.target, content, mode=wanted.mode, attributes=wanted)
    if digest(ctx.files.read(step.target)) != old or not _stands(step, wanted, ctx):
        raise StepFailed(msg("{path} could not be restored.", path=step.target))


def _named(before: Data) -> tuple[str, ...]:
    return (str(before["before"]),) if before["before"] else ()


def _attributes(before: Data) -> Attributes | None:
    """As captured; None where there was no file, or a version of nftui that kept none wrote the intent."""
    found = before.get("attributes")
    return Attributes.from_json(found) if isinstance(found, dict) else None


def _stands(step: StepSpec, wanted: Attributes | None, ctx: Context) -> bool:
    return wanted is None or ctx.files.attributes(step.target) == wanted


def _with_keys(content: bytes | None, keys: Mapping[str, str | None]) -> bytes:
    """`content` with each key set, or dropped where its value is None."""
    content = content or b""
    for key, value in keys.items():
        content = drop_key(content, key) if value is None else set_key(content, key, value)
    return content


def _foreign(path: str) -> ForeignState:
    return ForeignState(
        msg(
            "{path} was changed by someone else since nftui wrote it. Look at it, then use --force to overwrite it.",
            path=path,
        )
    )


class FileKind:
    """One file that belongs to nftui: written, replaced or removed as a whole."""

    name = "file"
    version = 1
    reads_files = False

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """The bytes go to the blob store; the intent names them."""
        return _captured(step, ctx)

    def blobs(self, step: StepSpec, before: Data) -> tuple[str, ...]:
        """What its way back needs of the blob store."""
        return _named(before)

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """Bytes decide."""
        now = digest(ctx.files.read(step.target))
        if now == step.params["after"]:
            return Found.AFTER
        return Found.BEFORE if now == before["before"] else Found.FOREIGN

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Atomic replace."""
        _put(step, _content(step, ctx), ctx)

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Read back."""
        if digest(ctx.files.read(step.target)) != step.params["after"]:
            raise StepFailed(msg("{path} does not hold what was written.", path=step.target))
        return {"digest": step.params["after"]}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """The bytes from before, or no file where there was none."""
        if self.classify(step, before, ctx) is Found.FOREIGN and not ctx.force:
            raise _foreign(step.target)
        _restore(step, before, ctx)

    def restored(self, step: StepSpec, before: Data, now: bytes | None, blobs: BlobStore) -> bytes | None:
        """What undo leaves of the content `now`: the bytes from before, None for no file."""
        return None if before["before"] is None else blobs.get(str(before["before"]))


class EnvKind:
    """Keys merged into the operator's `.env`: undone by byte when nobody edited it since, else by key."""

    name = "env"
    version = 1
    reads_files = False

    def _keys(self, step: StepSpec) -> dict[str, str | None]:
        keys = step.params["keys"]
        assert isinstance(keys, dict)
        return keys

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Whole bytes, attributes and the keys' values."""
        return {**_captured(step, ctx), "keys": self._values(step, ctx)}

    def blobs(self, step: StepSpec, before: Data) -> tuple[str, ...]:
        """What its way back by byte needs of the blob store."""
        return _named(before)

    def _values(self, step: StepSpec, ctx: Context) -> dict[str, str | None]:
        content = ctx.files.read(step.target)
        return {key: get_key(content, key) for key in self._keys(step)}

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """The keys decide; what else stands in the file is the operator's."""
        now = self._values(step, ctx)
        if now == self._keys(step):
            return Found.AFTER
        return Found.BEFORE if now == before["keys"] else Found.FOREIGN

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Set or drop the keys in what the file holds now."""
        if digest(ctx.files.read(step.target)) == before["before"]:
            _put(step, _content(step, ctx), ctx)
        else:
            content = _with_keys(ctx.files.read(step.target), self._keys(step))
            ctx.files.write(step.target, content, mode=0o644, like=None)

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Read back."""
        now = self._values(step, ctx)
        if now != self._keys(step):
            raise StepFailed(msg("{path} does not hold the keys that were merged.", path=step.target))
        return {"keys": now}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """By byte where the file is as nftui left it, else by key: a foreign edit stays."""
        now = ctx.files.read(step.target)
        if not self.is_edited(step, before, now):
            _restore(step, before, ctx)
            return
        if self.classify(step, before, ctx) is Found.FOREIGN and not ctx.force:
            raise _foreign(step.target)
        _put(step, self.restored(step, before, now, ctx.blobs), ctx)
        if self._values(step, ctx) != before["keys"]:
            raise StepFailed(msg("{path} could not be restored.", path=step.target))

    def is_edited(self, step: StepSpec, before: Data, now: bytes | None) -> bool:
        """True where somebody else changed the file since: it is taken back by key."""
        return digest(now) not in (before["before"], step.params["after"])

    def restored(self, step: StepSpec, before: Data, now: bytes | None, blobs: BlobStore) -> bytes | None:
        """What undo leaves of the content `now`; None for no file."""
        if self.is_edited(step, before, now):
            keys = before["keys"]
            assert isinstance(keys, dict)
            return _with_keys(now, keys)
        return None if before["before"] is None else blobs.get(str(before["before"]))
