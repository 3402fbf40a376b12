"""What new collections of a Qdrant start with, read back: nothing of its API tells, so one is made and removed."""

from __future__ import annotations

from nftui.clients.http import HttpUnreachable
from nftui.clients.qdrant import collection_path
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.steps.calls import ApiCalls, Data
from nftui.steps.kind import Context, StepFailed
from nftui.steps.reading import Reading

SCRATCH = "nftui-defaults-read-back"
_TIMEOUT_S = 60.0
_FULL = "max collections limit"
"""What a server says that may hold no further collection (storage.max_collections; create_collection.rs, 1.15)."""


class QdrantDefaultsKind(Reading):
    """Makes an empty collection of one dimension, reads its configuration, removes it."""

    name = "qdrant-defaults"
    version = 1
    reads_files = True

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed naming what did not take."""
        api, expected = ctx.api(str(step.service)), step.params["expected"]
        assert isinstance(expected, dict)
        try:
            found = _made(api)
        except HttpUnreachable as error:
            if error.status != 400 or _FULL not in str(error).lower():
                raise
            ctx.note(str(msg("unverified: defaults of new collections in {service} (it may hold no further collection "
                             "to read them from: storage.max_collections)", service=step.target)))  # fmt: skip
            return {"defaults": None}
        wrong = [f"{k}: {v} was asked for, it has {found.get(k)}" for k, v in expected.items() if found.get(k) != v]
        if wrong:
            raise StepFailed(
                msg("New collections of {service} do not start as asked: {list}",
                    service=step.target, list="; ".join(wrong))
            )  # fmt: skip
        return {"defaults": {name: found[name] for name in expected}}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Whatever a cut-off reading left goes."""
        _remove(ctx.api(str(step.service)))


def _made(api: ApiCalls) -> dict[str, str]:
    _remove(api)
    path = collection_path(SCRATCH)
    api.send("PUT", path, {"vectors": {"size": 1, "distance": "Dot"}}, timeout_s=_TIMEOUT_S)
    try:
        return {k: str(v) for k, v in api.json(path)["result"]["config"]["hnsw_config"].items()}
    finally:
        _remove(api)


def _remove(api: ApiCalls) -> None:
    try:
        api.send("DELETE", collection_path(SCRATCH), timeout_s=_TIMEOUT_S)
    except HttpUnreachable as error:
        if error.status != 404:
            raise
