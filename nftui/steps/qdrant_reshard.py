"""A Qdrant collection made anew with other shards and replicas, filled, proven equal; then its aliases switched.

The number of shards is fixed when a collection is created, so there is no other way (AI reference 2.7). The old one
stays as it was. Aliases are switched by one request, in which no search sees half of it (collection_meta_ops.rs); a
change of them is on every node when it is answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from nftui.clients.qdrant import collection_path
from nftui.clients.qdrant_nodes import read_aliases, read_shards
from nftui.model.artefact import Artefact
from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.qdrant import may_optimize, same
from nftui.steps import hold
from nftui.steps.calls import ApiCalls, Data
from nftui.steps.kept import KIND
from nftui.steps.kind import Context, Found, StepFailed
from nftui.steps.own_places import EMPTIED
from nftui.steps.qdrant import follow, never_built
from nftui.steps.qdrant_points import carry, compare, digest_of, page_size
from nftui.steps.qdrant_snapshot import is_there
from nftui.steps.reading import Reading

IN_USE = "in use"
"""The checksum of a new collection that apps may have written to."""
CARRYING = "being carried back"
"""The checksum of an old collection that has some of what was written to the new one."""
_TIMEOUT_S = 120.0
_AGREE_S = 30.0
"""How long a node may take to know of a change that the others know of."""
_FAN_OUT = ("read_fan_out_factor", "read_fan_out_delay_ms")
"""Parameters of a collection that only an update takes."""


def artefact_of(service: str, collection: str) -> str:
    """What a collection is called among the artefacts."""
    return f"{service}/{collection}"


def _old(step: StepSpec) -> str:
    return str(step.params["old"])


def _new(step: StepSpec) -> str:
    return str(step.params["new"])


def _api(step: StepSpec, ctx: Context) -> ApiCalls:
    return ctx.api(str(step.service))


def _info(api: ApiCalls, name: str) -> dict[str, Any]:
    found = api.json(collection_path(name))["result"]
    assert isinstance(found, dict)
    return found


def _known(value: object) -> dict[str, Any]:
    return {k: v for k, v in value.items() if v is not None} if isinstance(value, Mapping) else {}


def body_of(config: Mapping[str, Any], shards: int, copies: int) -> dict[str, Any]:
    """The request that makes a collection like the one of `config` (GET /collections/NAME), spread in another way."""
    body = {name: value for name, value in _known(config["params"]).items() if name not in _FAN_OUT}
    body |= {"shard_number": shards, "replication_factor": copies}
    named = {"hnsw_config": "hnsw_config", "optimizer_config": "optimizers_config", "wal_config": "wal_config",
             "strict_mode_config": "strict_mode_config", "metadata": "metadata"}  # fmt: skip
    body |= {to: found for of, to in named.items() if (found := _known(config.get(of)))}
    quantization = _known(config.get("quantization_config"))
    return body | ({"quantization_config": quantization} if quantization else {})


def _lacking(wanted: object, there: object, path: str = "") -> Iterator[str]:
    """Where a configuration does not say what another one says: a server passes over what it does not know."""
    if isinstance(wanted, Mapping):
        found = there if isinstance(there, Mapping) else {}
        for name, value in wanted.items():
            if value is not None:
                yield from _lacking(value, found.get(name), f"{path}.{name}" if path else name)
    elif not same(wanted, there):
        yield path


def _indexes(info: Mapping[str, Any]) -> dict[str, Any]:
    """Field of the payload to its index, as a request for it says."""
    return {n: found.get("params") or found["data_type"] for n, found in (info.get("payload_schema") or {}).items()}


def _must_be_whole(api: ApiCalls, name: str) -> None:
    replicas, transfers = read_shards(api, name)
    broken = [r for r in replicas if not r.whole]
    if broken or transfers:
        states = ", ".join(f"{r.shard} is {r.state}" for r in broken) or "on its way between nodes"
        raise StepFailed(msg("{name} is not whole: shard {states}.", name=name, states=states))


def _wait_whole(step: StepSpec, api: ApiCalls, ctx: Context) -> None:
    """Every replica that was asked for is there and has all of its shard; a new one begins as Initializing."""
    name, (shards, copies), end = _new(step), _spread(step), ctx.now() + _AGREE_S
    while True:
        replicas, _ = read_shards(api, name)
        whole = [r for r in replicas if r.whole]
        if len(whole) == len(replicas) == shards * copies and len({r.shard for r in whole}) == shards:
            return
        if ctx.now() >= end:
            raise StepFailed(
                msg("{name} has {found} whole replicas of {replicas}; {shards} shards x {copies} were asked for.",
                    name=name, found=len(whole), replicas=len(replicas), shards=shards, copies=copies)
            )  # fmt: skip
        ctx.sleep(0.2)


class QdrantShardsKind:
    """The new collection: made like the old one but for its shards, filled while apps go on, its index built."""

    name = "qdrant-shards"
    version = 1
    reads_files = False

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """What is asked of the server; nothing of that name may be there, and the old one must be whole."""
        api, old = _api(step, ctx), _old(step)
        info = _info(api, old)
        if info["status"] == "red":
            raise StepFailed(msg("{name} is red: it has to be repaired before it is copied.", name=old))
        if not may_optimize(info["config"]):
            raise StepFailed(never_built(old))
        if (info["config"]["params"].get("sharding_method") or "auto") != "auto":
            raise StepFailed(msg("{name} is sharded by keys that its apps choose; it is left alone.", name=old))
        _must_be_whole(api, old)
        if is_there(api, _new(step)):
            raise StepFailed(msg("{name} is there already; nothing is put over other data.", name=_new(step)))
        fan_out = {k: v for k, v in _known(info["config"]["params"]).items() if k in _FAN_OUT}
        return {"body": body_of(info["config"], *_spread(step)), "indexes": _indexes(info), "params": fan_out}

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """One that is there may lack points: filling it again does no harm."""
        return Found.PARTIAL if is_there(_api(step, ctx), _new(step)) else Found.BEFORE

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Recorded, made, its fields indexed, filled."""
        api, new = _api(step, ctx), _new(step)
        ctx.artefacts.record(KIND, artefact_of(str(step.service), new), ctx.run, step.id,
                             service=str(step.service), collection=new, was=f"a copy of {_old(step)}")  # fmt: skip
        if not is_there(api, new):
            api.send("PUT", f"{collection_path(new)}?timeout=60", before["body"], timeout_s=_TIMEOUT_S)
        if before["params"]:
            api.send("PATCH", collection_path(new), {"params": before["params"]}, timeout_s=_TIMEOUT_S)
        for field, schema in cast("Mapping[str, Any]", before["indexes"]).items():
            body = {"field_name": field, "field_schema": schema}
            api.send("PUT", f"{collection_path(new, 'index')}?wait=true", body, timeout_s=_TIMEOUT_S)
        carry(api, _old(step), new, _limit(api, step), ctx)

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """As asked for, every replica whole, and searched by its index as the old one is."""
        api, new = _api(step, ctx), _new(step)
        _wait_whole(step, api, ctx)
        info = follow(replace(step, params={"collection": new}), api, ctx)
        wanted = body_of(_info(api, _old(step))["config"], *_spread(step))
        lacking = list(_lacking(wanted, body_of(info["config"], *_spread(step))))
        if lacking:
            raise StepFailed(msg("{name} did not take {list}.", name=new, list=", ".join(lacking)))
        missing = sorted(set(cast("Mapping[str, Any]", before["indexes"])) - set(_indexes(info)))
        if missing:
            raise StepFailed(msg("{name} has no index of {fields}.", name=new, fields=", ".join(missing)))
        shards, copies = _spread(step)
        return {"shards": shards, "copies": copies, "points": info.get("points_count")}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """It goes, unless it holds what was written to it and is nowhere else."""
        api, new, name = _api(step, ctx), _new(step), artefact_of(str(step.service), _new(step))
        record = _record(name, ctx)
        if record is not None and record.checksum not in (None, EMPTIED):
            ctx.note(f"{new} stays with what was written to it; 'nftui artefacts delete {name}' removes it")
            return
        # Its deletion would take the alias with it, and with that the way of the apps.
        if leading := [a for a, c in read_aliases(api).items() if c == new]:
            raise StepFailed(msg("{aliases} leads to {name}; it is not deleted.", aliases=", ".join(leading), name=new))
        if record is not None and is_there(api, new):
            api.send("DELETE", f"{collection_path(new)}?timeout=60", timeout_s=_TIMEOUT_S)
        ctx.artefacts.drop(name)


def _spread(step: StepSpec) -> tuple[int, int]:
    """Shards, and copies of each."""
    return int(str(step.params["shards"])), int(str(step.params["copies"]))


def _limit(api: ApiCalls, step: StepSpec) -> int:
    return page_size(_info(api, _old(step))["config"])


class QdrantImportKind(Reading):
    """What was written while the new collection was filled, copied as well; then every point proven equal."""

    name = "qdrant-import"
    version = 1

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Over what is there."""
        api = _api(step, ctx)
        carry(api, _old(step), _new(step), _limit(api, step), ctx)

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed where a point is missing, too many or different."""
        api = _api(step, ctx)
        _must_be_whole(api, _new(step))
        found = compare(api, _old(step), _new(step), _limit(api, step), ctx)
        if found.total:
            raise StepFailed(
                msg("{count} points of {old} and {new} differ: something writes to them, or not all was taken.",
                    count=found.total, old=_old(step), new=_new(step))
            )  # fmt: skip
        return {"points": found.count, "digest": found.digest, "copy": found.other}


class QdrantAliasKind:
    """The aliases of the old collection lead to the new one, which has the one whole copy from here on.

    Undo: what was written to the new one is carried back and proven before they lead to the old one again.
    """

    name = "qdrant-alias"
    version = 1
    reads_files = False

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """What both collections held when they were proven equal, by which later writes to either are known."""
        if self._leads(step, ctx) != {_old(step)}:
            raise StepFailed(msg("{alias} does not lead to {name} any more.", alias=step.target, name=_old(step)))
        proven = ctx.recall(str(step.params["copied"]))
        kept = _record(artefact_of(str(step.service), _old(step)), ctx)
        return {"digest": proven["digest"], "copy": proven["copy"], "kept": kept is not None,
                "mark": kept.checksum if kept else None}  # fmt: skip

    def _leads(self, step: StepSpec, ctx: Context, node: str | None = None) -> set[str | None]:
        """Where each of them leads, as that node knows it."""
        found = read_aliases(ctx.api(node or str(step.service)))
        return {found.get(alias) for alias in _names(step, "aliases")}

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """A server that died in the middle may have taken one away and not brought it back."""
        found = self._leads(step, ctx)
        if found <= {_new(step)}:
            return Found.AFTER
        if found <= {_old(step)}:
            return Found.BEFORE
        return Found.PARTIAL if found <= {_old(step), _new(step), None} else Found.FOREIGN

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """All of them by one request. The old collection is kept, the new one not thrown away any more."""
        service, new, old = str(step.service), _new(step), _old(step)
        if not before["kept"]:  # Else a former run made it.
            ctx.artefacts.record(KIND, artefact_of(service, old), ctx.run, step.id, service=service,
                                 collection=old, was="what was there before")  # fmt: skip
        ctx.artefacts.made(artefact_of(service, new), None, IN_USE)
        _lead(step, new, ctx)

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Every node leads there, and nobody wrote to the old one after it was compared."""
        self._wait(step, _new(step), ctx)
        api = _api(step, ctx)
        if digest_of(api, _old(step), _limit(api, step), ctx) != before["digest"]:
            raise StepFailed(
                msg("{name} was written to while its alias was switched, by something that nftui does not know and "
                    "did not stop.", name=_old(step))
            )  # fmt: skip
        ctx.artefacts.made(artefact_of(str(step.service), _old(step)), None, str(before["digest"]))
        return {"whole": step.params["authority"]}

    def _wait(self, step: StepSpec, collection: str, ctx: Context) -> None:
        end = ctx.now() + _AGREE_S
        while late := [n for n in _names(step, "nodes") if self._leads(step, ctx, n) != {collection}]:
            if ctx.now() >= end:
                raise StepFailed(msg("{nodes} does not know that {alias} leads to {name}.", nodes=", ".join(late),
                                     alias=step.target, name=collection))  # fmt: skip
            ctx.sleep(0.2)

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Writers stopped; carried back and proven; then the way back, and nothing written meanwhile."""
        hold.stop_running(step, ctx)
        api, service = _api(step, ctx), str(step.service)
        old, new = artefact_of(service, _old(step)), artefact_of(service, _new(step))
        found = self.classify(step, before, ctx)
        if found is Found.FOREIGN:
            raise StepFailed(msg("{alias} leads elsewhere by now; it is left alone.", alias=step.target))
        digest = _brought(step, before, ctx, switched=found is not Found.BEFORE) if _unsaved(new, ctx) else None
        _lead(step, _old(step), ctx)
        self._wait(step, _old(step), ctx)
        if digest and digest_of(api, _new(step), _limit(api, step), ctx) == digest:
            ctx.artefacts.made(new, None, EMPTIED)
        elif digest:
            ctx.note(f"{_new(step)} was written to while its alias was switched back; it stays in {new}")
        if before["kept"]:
            ctx.artefacts.made(old, None, cast("str | None", before["mark"]))
        else:
            ctx.artefacts.drop(old)


def _names(step: StepSpec, key: str) -> list[str]:
    return [str(name) for name in cast("list[object]", step.params[key])]


def _lead(step: StepSpec, collection: str, ctx: Context) -> None:
    """What the server is asked for in the words of its documentation: the alias goes and comes, in one request."""
    actions: list[dict[str, object]] = []
    for alias in _names(step, "aliases"):
        actions.append({"delete_alias": {"alias_name": alias}})
        actions.append({"create_alias": {"alias_name": alias, "collection_name": collection}})
    path = "/collections/aliases?timeout=60"
    _api(step, ctx).send("POST", path, {"actions": actions}, timeout_s=_TIMEOUT_S)


def _record(name: str, ctx: Context) -> Artefact | None:
    return next((a for a in ctx.artefacts.list() if a.name == name), None)


def _checksum(name: str, ctx: Context) -> str | None:
    found = _record(name, ctx)
    return found.checksum if found else None


def _unsaved(new: str, ctx: Context) -> bool:
    """Whether apps may have written to the new collection, and that was not carried back yet."""
    return _checksum(new, ctx) not in (None, EMPTIED)


def _brought(step: StepSpec, before: Data, ctx: Context, *, switched: bool) -> str | None:
    """The digest of the new collection once the old one has all of it; None where the operator does without that."""
    try:
        return _carried_back(step, before, ctx, switched=switched)
    except (OSError, NftuiError) as error:
        if not ctx.force:
            raise
        ctx.note(f"what was written since the switch could not be carried back ({error}); it stays in {_new(step)}")
        return None


def _carried_back(step: StepSpec, before: Data, ctx: Context, *, switched: bool) -> str:
    """The same. Where both were written to since they were equal it is not known which is newer: neither is touched.

    Once the alias leads back, apps write to the old one: what is carried then could only be older.
    """
    api, old = _api(step, ctx), artefact_of(str(step.service), _old(step))
    limit = _limit(api, step)
    there = digest_of(api, _new(step), limit, ctx)
    if there == before["copy"]:
        return there
    carrying = _checksum(old, ctx) == CARRYING
    if not switched or not (carrying or digest_of(api, _old(step), limit, ctx) == before["digest"]):
        if carrying and not compare(api, _new(step), _old(step), limit, ctx).total:
            return there
        raise StepFailed(
            msg("Both {old} and {new} were written to since they were equal, so neither has everything. Both stay as "
                "they are.", old=_old(step), new=_new(step))
        )  # fmt: skip
    ctx.artefacts.made(old, None, CARRYING)
    carried = carry(api, _new(step), _old(step), limit, ctx)
    proven = compare(api, _new(step), _old(step), limit, ctx)
    if proven.total:
        raise StepFailed(msg("What was written to {name} could not all be carried back.", name=_new(step)))
    ctx.note(f"{carried.total} points carried back to {_old(step)}")
    return proven.digest
