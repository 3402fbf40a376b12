"""A new index under the data of a Qdrant collection, and the way back.

The way back of a changed index is another change: it keeps what was written meanwhile. The snapshot is for what an
update cannot bring back, a collection that is gone.
"""

from __future__ import annotations

from typing import Any

from nftui.clients.http import HttpUnreachable
from nftui.clients.qdrant import collection_path
from nftui.clients.qdrant_nodes import read_aliases
from nftui.model.message import Message, msg
from nftui.model.plan import StepSpec
from nftui.model.qdrant import IndexConfig, may_optimize, read_config, same, unmeasurable
from nftui.steps.calls import ApiCalls, Data
from nftui.steps.kind import Context, Found, StepFailed
from nftui.steps.qdrant_measure import fingerprints, measure, sample_ids
from nftui.steps.qdrant_points import count_points
from nftui.steps.qdrant_segments import outdated, unindexed
from nftui.steps.qdrant_snapshot import LONG_S, collection_of, is_there, kept_snapshot
from nftui.steps.qdrant_work import Work, cpus_of, silent_s

POLL_S = 0.5
_CALM = 10
"""Looks in a row that must find it green where its segments are not told: its optimizer begins after the answer."""
_REPLACED = 10
"""One of so many sampled points may be gone or new while a collection is worked on."""
_CHANCE = 0.01
"""A graph that is built anew finds a little more or less, and so does another measurement of it."""
_PATCH_S = 600.0
"""Qdrant answers a change of its optimizers once the present optimization has ended."""
_AWAITING = "optimizations pending, awaiting update operation"
"""What is green and says this is grey: 1.9 and 1.10 have no word for it in the status."""


class NotGreen(StepFailed):
    """Its optimizer does nothing any more, and it is not green."""


def _info(api: ApiCalls, name: str) -> dict[str, Any]:
    found = api.json(collection_path(name))["result"]
    assert isinstance(found, dict)
    return found


def _config(info: dict[str, Any]) -> IndexConfig:
    return read_config(info["config"])


class QdrantCollectionKind:
    """PATCH of one collection, its optimizer followed to green, recall and latency before and after."""

    name = "qdrant-collection"
    version = 1
    reads_files = False

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Its configuration, count, sampled vectors and how it searches now. A red one is not touched."""
        api, name = ctx.api(str(step.service)), collection_of(step)
        info = _info(api, name)
        if info["status"] == "red":
            raise StepFailed(
                msg("{name} is red: {why}. Repair it first.", name=name, why=_optimizer_error(info))
            )  # fmt: skip
        if not may_optimize(info["config"]):
            raise StepFailed(never_built(name))
        if float(str(step.params["recall_floor"])) > 0 and (rule := unmeasurable(info["config"])):
            raise StepFailed(
                msg("The recall of {name} cannot be measured, because its strict mode has {rule}. Lift that, or do "
                    "without a floor: recall_floor=0.", name=name, rule=rule)
            )  # fmt: skip
        config, present = _config(info), _present(api, name, info["config"])
        search = _measured(api, name, info, _ids(present), ctx)
        return {
            **present, "back": config.way_back(_patch(step)), "search": search, "status": info["status"],
            "aliases": _aliases_of(api, name),
        }  # fmt: skip

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """By the values that the step writes; the server writes all of them or none."""
        config = _config(_info(ctx.api(str(step.service)), collection_of(step)))
        if config.holds(_patch(step)):
            return Found.AFTER
        return Found.BEFORE if same(config.way_back(_patch(step)), before["back"]) else Found.FOREIGN

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Ask for it; the server answers at once and works behind."""
        _send(ctx.api(str(step.service)), collection_of(step), _patch(step))
        ctx.issued(f"index of {collection_of(step)}")

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Green, as asked, nothing missing, and found as well as the operator's floor says."""
        api, name = ctx.api(str(step.service)), collection_of(step)
        info = follow(step, api, ctx)
        config = _config(info)
        if not config.holds(_patch(step)):
            raise StepFailed(msg("{name} did not take what was asked for.", name=name))
        _must_be_whole(api, name, before, info["config"])
        search = _measured(api, name, info, _ids(before), ctx)
        _must_find(step, before, search)
        _say(step, before, search, ctx)
        return {
            "count": _count(api, name), "search": search, "indexed": info.get("indexed_vectors_count"),
            "outdated_segments": outdated(api, name, config),
        }  # fmt: skip

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """The former values by another update: later writes stay. A collection that is gone comes from the snapshot.

        One that was replaced meanwhile is somebody else's: it stays, and so does its snapshot.
        """
        api, name, back = ctx.api(str(step.service)), collection_of(step), before["back"]
        assert isinstance(back, dict)
        if (other := _replaced_by(api, name, before)) is not None:
            ctx.note(str(msg("{name} was replaced by {other} meanwhile: neither is touched, and a snapshot of it is "
                             "kept where one was made.", name=name, other=other)))  # fmt: skip
            return
        restored = _bring_back(step, before, api, ctx)
        # Since the run apps may have replaced every point: what counts is that the way back itself loses none.
        present = before if restored else _present(api, name, _info(api, name)["config"])
        if not _config(_info(api, name)).holds(back):
            _send(api, name, back)
        info = _followed_back(step, before, api, ctx)
        if not _config(info).holds(back):
            raise StepFailed(msg("{name} did not take its former configuration.", name=name))
        _must_be_whole(api, name, present, info["config"])


def _patch(step: StepSpec) -> dict[str, object]:
    patch = step.params["patch"]
    assert isinstance(patch, dict)
    return patch


def _send(api: ApiCalls, name: str, patch: dict[str, object]) -> None:
    api.send("PATCH", f"{collection_path(name)}?timeout={_PATCH_S:.0f}", patch, timeout_s=_PATCH_S)


def _count(api: ApiCalls, name: str) -> int:
    return count_points(api, name, 60.0)


def _present(api: ApiCalls, name: str, config: dict[str, Any]) -> Data:
    """What is there now: how many points, and a sample of them with digests of their vectors."""
    ids = sample_ids(api, name, config)
    return {"count": _count(api, name), "ids": ids, "vectors": fingerprints(api, name, ids, config)}


def _measured(api: ApiCalls, name: str, info: dict[str, Any], ids: list[Any], ctx: Context) -> dict[str, Any]:
    return measure(api, name, info["config"], ids, ctx, unindexed=unindexed(api, name, info))


def _ids(before: Data) -> list[Any]:
    ids = before["ids"]
    assert isinstance(ids, list)
    return ids


def _optimizer_error(info: dict[str, Any]) -> str:
    """A collection is red for its optimizer's error, or for a write that failed, which only the log tells."""
    status = info.get("optimizer_status")
    if isinstance(status, dict):
        return str(status.get("error"))
    return "a write to it failed, see the log of the server" if status == "ok" else str(status)


def never_built(name: str) -> Message:
    """Why a collection is left alone that no thread may optimize."""
    return msg("The optimizers of {name} are switched off (max_optimization_threads=0), so nothing of it would be "
               "built anew. Switch them on first.", name=name)  # fmt: skip


def _waits(info: dict[str, Any]) -> bool:
    """Whether there is work that nobody has begun, after a restart."""
    pending = info.get("optimizer_status") == {"error": _AWAITING}
    return info["status"] == "grey" or (info["status"] == "green" and pending)


def follow(step: StepSpec, api: ApiCalls, ctx: Context) -> dict[str, Any]:
    """Until it is green and its segments are as configured. StepFailed where it turns red, or nothing moves any more.

    Work that waits for an update is begun by one without content (AI reference 2.2). NotGreen where nothing moves.
    """
    name, last, calm, silent, deadline = collection_of(step), None, 0, 0.0, 0.0
    work, cpus = Work(api, name, ctx.now()), cpus_of(str(step.service), ctx)
    while True:
        info = _info(api, name)
        if info["status"] == "red":
            raise StepFailed(msg("the optimizer of {name} failed: {why}", name=name, why=_optimizer_error(info)))
        waits = _waits(info)
        green = info["status"] == "green" and not waits
        calm = calm + 1 if green else 0
        left = work.look(info, ctx.now(), fresh=green)
        # One that told of segments and now tells nothing is still at them.
        if green and (left == 0 or (left is None and not work.left and calm >= _CALM)):
            return info
        if waits:
            _send(api, name, {"optimizers_config": {}})
        if (sign := work.sign(info)) != last:
            last, silent = sign, silent_s(step, info, cpus)
            deadline = ctx.now() + silent
        if ctx.now() >= deadline:
            raise NotGreen(_stalled(name, info, work.left, int(silent)))
        ctx.progress(*work.words(info, ctx.now()))
        ctx.sleep(POLL_S)


def _stalled(name: str, info: dict[str, Any], left: int | None, seconds: int) -> Message:
    status = info["status"]
    if status == "green" and left:
        return msg(
            "{name} calls itself green, but {left} of its segments were not built anew in {seconds} s.",
            name=name, left=left, seconds=seconds,
        )  # fmt: skip
    if left:
        return msg("The optimizer of {name} made no progress in {seconds} s: {left} of its segments are not built "
                   "anew, status {status}.", name=name, seconds=seconds, left=left, status=status)  # fmt: skip
    return msg("The optimizer of {name} made no progress in {seconds} s: status {status}.", name=name,
               seconds=seconds, status=status)  # fmt: skip


def _followed_back(step: StepSpec, before: Data, api: ApiCalls, ctx: Context) -> dict[str, Any]:
    """Green again. Where it was not before, or no thread may make it so, what it is now does not stop the way back."""
    name = collection_of(step)
    info = _info(api, name)
    if not may_optimize(info["config"]):
        ctx.note(str(msg("{name} has its former configuration; with its optimizers switched off, segments that have "
                         "the other one stay as they are.", name=name)))  # fmt: skip
        return info
    try:
        return follow(step, api, ctx)
    except NotGreen as error:
        if before.get("status", "green") == "green":
            raise
        ctx.note(f"{error} It was {before['status']} before as well.")
        return _info(api, name)


def _must_be_whole(api: ApiCalls, name: str, before: Data, config: dict[str, Any]) -> None:
    """What was sampled is there unchanged, but for what apps may have written in the same minutes.

    What they delete the count tells as well; beyond it one in ten may have been replaced.
    """
    known = before["vectors"]
    assert isinstance(known, dict)
    now = fingerprints(api, name, _ids(before), config)
    missing = len([i for i in known if i not in now])
    fewer = int(str(before["count"])) - _count(api, name)
    if missing > max(fewer, 0) + len(known) / _REPLACED:
        raise StepFailed(
            msg("{name} lacks {missing} of {count} sampled points, and only {fewer} were deleted.",
                name=name, missing=missing, count=len(known), fewer=max(fewer, 0))
        )  # fmt: skip
    changed = len([i for i, digest in now.items() if known.get(i) != digest])
    if changed > len(now) / 2:
        raise StepFailed(
            msg("{changed} of {count} sampled vectors of {name} differ.", name=name, changed=changed, count=len(now))
        )


def _must_find(step: StepSpec, before: Data, search: dict[str, Any]) -> None:
    """Recall below the operator's floor takes the run back; one that is not known is none, see `_say`.

    Where the operator named none, what finds as much as before stays: taken back it would find no more.
    """
    former = before["search"]
    assert isinstance(former, dict)
    for vector, found in sorted(search.items()):
        floor, old = _floor(step), former.get(vector, {}).get("recall")
        if step.params.get("or_before") and old is not None:
            floor = min(floor, round(old - _CHANCE, 3))
        if found["recall"] is not None and found["recall"] < floor:
            raise StepFailed(
                msg(
                    "{name} finds {recall} of the 10 nearest points, below the floor of {floor} (before: {old}; p95 "
                    "{p95} ms).",
                    name=_searched(step, vector), recall=found["recall"], floor=floor,
                    old=old, p95=found["p95_ms"],
                )
            )  # fmt: skip


def _floor(step: StepSpec) -> float:
    return float(str(step.params["recall_floor"]))


def _searched(step: StepSpec, vector: str) -> str:
    return collection_of(step) + (f".{vector}" if vector else "")


def _say(step: StepSpec, before: Data, search: dict[str, Any], ctx: Context) -> None:
    """What the operator paid for, beside what was there: one line for each vector."""
    former, floor = before["search"], _floor(step)
    assert isinstance(former, dict)
    if not search:
        text = "What {name} finds could not be measured: its recall is not known."
        ctx.note(str(msg(text, name=collection_of(step))))
    for vector, now in sorted(search.items()):
        old, name = former.get(vector, {}), _searched(step, vector)
        times = {"p95_old": old.get("p95_ms"), "p95": now["p95_ms"], "n": now["n"]}
        if now["recall"] is None and floor > 0:
            ctx.note(str(msg(
                "{name}: nothing of it is indexed, so every search reads all of it. Its recall is not known, and "
                "whether it reaches the floor of {floor} neither; p95 was {p95_old} ms and is {p95} ms ({n} searches).",
                name=name, floor=floor, **times,
            )))  # fmt: skip
        elif now["recall"] is None:
            ctx.note(str(msg(
                "{name}: nothing of it is indexed, so every search reads all of it. Its recall is not known; p95 was "
                "{p95_old} ms and is {p95} ms ({n} searches).", name=name, **times,
            )))  # fmt: skip
        elif old.get("recall") is None:
            ctx.note(str(msg(
                "{name}: recall@10 is {new}, and was not known; p95 was {p95_old} ms and is {p95} ms ({n} searches).",
                name=name, new=now["recall"], **times,
            )))  # fmt: skip
        else:
            ctx.note(str(msg(
                "{name}: recall@10 was {old} and is {new}; p95 was {p95_old} ms and is {p95} ms ({n} searches).",
                name=name, old=old["recall"], new=now["recall"], **times,
            )))  # fmt: skip


def _aliases_of(api: ApiCalls, name: str) -> list[str] | None:
    """Names that lead to it; None where a key may not ask for them."""
    try:
        return sorted(alias for alias, collection in read_aliases(api).items() if collection == name)
    except HttpUnreachable:
        return None


def _former(before: Data) -> list[str]:
    """Its aliases before; none where they were not recorded."""
    found = before.get("aliases") or []
    assert isinstance(found, list)
    return [str(alias) for alias in found]


def _replaced_by(api: ApiCalls, name: str, before: Data) -> str | None:
    """What has its place by now: its name is an alias of that, or it is gone and an alias of its leads there."""
    try:
        aliases = read_aliases(api)
    except HttpUnreachable:
        aliases = {}  # Whoever may not ask for them did not switch them with that key either.
    if name in aliases:
        return aliases[name]
    if is_there(api, name):
        return None
    return next((there for alias in _former(before) if (there := aliases.get(alias, name)) != name), None)


def _bring_back(step: StepSpec, before: Data, api: ApiCalls, ctx: Context) -> bool:
    """A collection that is gone is restored with its aliases: nothing written later could be lost by it.

    Whether that was so, also where a former life was cut off in it. StepFailed where no snapshot is kept.
    """
    name, kept = collection_of(step), kept_snapshot(step, ctx)
    there, mark = is_there(api, name), f"{kept.name}.restored" if kept else ""
    begun = any(a.name == mark for a in ctx.artefacts.list())
    if there and not begun:
        return False
    if kept is None:
        raise StepFailed(msg("{name} is gone, and no snapshot of it is kept.", name=name))
    if not begun:  # Recorded first: one that has come back by itself would not be known to lack its aliases.
        ctx.artefacts.record("file", mark, ctx.run, step.id, was=f"{name} on its way back")
    if not there:
        query = f"snapshots/upload?priority=snapshot&wait=true&checksum={kept.checksum}"
        api.upload(f"{collection_path(name)}/{query}", kept.name, timeout_s=LONG_S)
    _lead_back(api, name, before)
    ctx.artefacts.drop(mark)
    return True


def _lead_back(api: ApiCalls, name: str, before: Data) -> None:
    """Its aliases went with it; a name that somebody has given to a collection since is theirs."""
    free = [alias for alias in _former(before) if not is_there(api, alias)]
    made = [{"create_alias": {"alias_name": alias, "collection_name": name}} for alias in free]
    if made:
        api.send("POST", "/collections/aliases?timeout=60", {"actions": made}, timeout_s=60.0)
