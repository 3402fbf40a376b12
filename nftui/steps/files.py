"""Step kinds that switch files in: a whole file of nftui's own, and the keys merged into `.env`."""

from __future__ import annotations

from nftui.model.message import msg
from nftui.model.plan import StepSpec, digest
from nftui.steps.envkeys import drop_key, get_key, set_key
from nftui.steps.kind import Context, Data, ForeignState, Found, StepFailed


def _content(step: StepSpec, ctx: Context) -> bytes | None:
    wanted = step.params["after"]
    return None if wanted is None else ctx.blobs.get(str(wanted))


def _put(path: str, content: bytes | None, mode: int, like: str | None, ctx: Context) -> None:
    if content is None:
        ctx.files.delete(path)
    else:
        ctx.files.write(path, content, mode=mode, like=like)


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
        content = ctx.files.read(step.target)
        return {"before": ctx.blobs.put(content) if content is not None else None, "mode": step.params["mode"]}

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """Bytes decide."""
        now = digest(ctx.files.read(step.target))
        if now == step.params["after"]:
            return Found.AFTER
        return Found.BEFORE if now == before["before"] else Found.FOREIGN

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Atomic replace."""
        like = step.params.get("like")
        _put(step.target, _content(step, ctx), int(str(step.params["mode"])), str(like) if like else None, ctx)

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Read back."""
        if digest(ctx.files.read(step.target)) != step.params["after"]:
            raise StepFailed(msg("{path} does not hold what was written.", path=step.target))
        return {"digest": step.params["after"]}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """The bytes from before, or no file where there was none."""
        if self.classify(step, before, ctx) is Found.FOREIGN and not ctx.force:
            raise _foreign(step.target)
        old = before["before"]
        like = step.params.get("like")
        content = None if old is None else ctx.blobs.get(str(old))
        _put(step.target, content, int(str(step.params["mode"])), str(like) if like else None, ctx)
        if digest(ctx.files.read(step.target)) != old:
            raise StepFailed(msg("{path} could not be restored.", path=step.target))


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
        """Whole bytes and the keys' values."""
        content = ctx.files.read(step.target)
        return {
            "before": ctx.blobs.put(content) if content is not None else None,
            "keys": {key: get_key(content, key) for key in self._keys(step)},
        }

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
            _put(step.target, _content(step, ctx), 0o644, None, ctx)
        else:
            self._apply(step.target, self._keys(step), ctx)

    def _apply(self, path: str, keys: dict[str, str | None], ctx: Context) -> None:
        content = ctx.files.read(path) or b""
        for key, value in keys.items():
            content = drop_key(content, key) if value is None else set_key(content, key, value)
        ctx.files.write(path, content, mode=0o644, like=None)

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Read back."""
        now = self._values(step, ctx)
        if now != self._keys(step):
            raise StepFailed(msg("{path} does not hold the keys that were merged.", path=step.target))
        return {"keys": now}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """By byte where the file is as nftui left it, else by key: a foreign edit stays."""
        now = digest(ctx.files.read(step.target))
        old = before["before"]
        keys = before["keys"]
        assert isinstance(keys, dict)
        if now == old:
            return
        if now == step.params["after"]:
            _put(step.target, None if old is None else ctx.blobs.get(str(old)), 0o644, None, ctx)
        elif self.classify(step, before, ctx) is Found.FOREIGN and not ctx.force:
            raise _foreign(step.target)
        else:
            self._apply(step.target, keys, ctx)
        if self._values(step, ctx) != keys:
            raise StepFailed(msg("{path} could not be restored.", path=step.target))
