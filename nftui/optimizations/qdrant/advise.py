"""Advice for one server: its collections one by one, then what new ones start with, and threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.advice import Advice
from nftui.model.message import Message, msg
from nftui.model.qdrant import CODES
from nftui.model.units import human_size
from nftui.optimizations.qdrant import rules
from nftui.optimizations.qdrant.codes import advised_codes, chosen_codes
from nftui.optimizations.qdrant.knobs import (
    BY_NAME,
    COPIED,
    ENV,
    ID,
    INDEX,
    PART_OF,
    QUANTIZING,
    RECALL,
    RULES,
    SETTINGS,
    STOCK,
    TUNED,
)
from nftui.optimizations.qdrant.line import Line
from nftui.optimizations.qdrant.sharding import refuse_alone, sharding_lines
from nftui.optimizations.qdrant.threads import THREADS, miscounted
from nftui.optimizations.qdrant.threads import why as why_threads
from nftui.optimizations.qdrant.words import as_word, barred, chosen_word, left, moved, passed_by

if TYPE_CHECKING:
    from nftui.model.ai import Collection
    from nftui.model.choices import Choices
    from nftui.optimizations.qdrant.server import Server

EF_NEW = "128"
"""A new collection's ef_construct: it is also the ef of every search that does not set one (AI reference 2.3)."""


def server_advice(server: Server, choices: Choices) -> tuple[Advice, ...]:
    """Every knob of that server and of its collections. Raises UsageError for a value that must not be.

    Of several nodes only where the shards of their collections lie.
    """
    if server.spread:
        return tuple(_advice(server, line) for line in sharding_lines(server, choices))
    refuse_alone(server, choices)
    floor = float(choices.value(ID, server.name, "recall_floor") or RECALL)
    lines = _defaults(server, choices)
    collections = [c for c in (server.live.collections if server.live else ()) if c.index.vectors]
    tight = _is_tight(server, collections)
    for collection in collections:
        lines += _collection(server, choices, collection, floor, tight)
    _warn(server, choices, lines, collections, floor)
    return tuple(_advice(server, line) for line in lines)


def _advice(server: Server, line: Line) -> Advice:
    first, last = line.knob.partition(".")[0], line.knob.rpartition(".")[2]
    pattern = BY_NAME.get(line.knob) or BY_NAME[f"{first}.{{name}}.{last}"]
    return Advice(
        line.knob, server.name, line.value, line.current, line.recommended, pattern.unit, line.why, line.source,
        changes=line.value is not None and line.value != line.current, kept=line.kept,
        restart=line.knob in ENV, notes=tuple(line.notes), warnings=tuple(line.warnings),
    )  # fmt: skip


# -- new collections, and what holds for all ---------------------------------------------------------------------
def _defaults(server: Server, choices: Choices) -> list[Line]:
    recommended = {**STOCK, "ef_construct": EF_NEW}
    whys = {
        "m": msg("Enough for up to a million vectors at a recall of 0.95."),
        "ef_construct": msg("Apps seldom set hnsw_ef: what stands here is what their searches take."),
        "full_scan_threshold": msg("Qdrant's own default."),
    }
    lines = [_default(server, choices, name, recommended[name], whys[name], RULES) for name in INDEX]
    lines[0].notes += _sharding(server)
    lines += [_wish(server, choices, name) for name in TUNED if name not in INDEX]
    return lines + _switches(server, choices) + _threads(server, choices)


def _default(server: Server, choices: Choices, name: str, recommended: str, why: Message, source: str) -> Line:
    """A value that new collections take over at their creation: existing ones have their own knobs."""
    declared = server.declared(ENV[name])
    stock = STOCK.get(name, "0")
    current, chosen = declared[1] if declared else stock, choices.value(ID, server.name, name)
    if chosen is not None:
        value, kept = chosen, False
    elif choices.value(ID, server.name, "tune_defaults") == "off" or declared:
        value, kept = current, declared is not None
    else:
        value, kept = recommended, False
    line = Line(name, value, current, recommended, why, source, kept)
    if name in COPIED:
        line.notes.append(msg("For new collections; Qdrant copies it into each at its creation."))
    return line


def _wish(server: Server, choices: Choices, name: str) -> Line:
    """One word for all collections; without it each gets its own advice."""
    value = choices.value(ID, server.name, name)
    why = msg("Each collection has its own advice below; a value here holds for all of them.")
    line = Line(name, value, None, None, why, QUANTIZING)
    if name == "quantization":
        # Its settings are an untagged enum: such a one takes no number and no switch of the environment's text.
        line.notes.append(
            msg("New collections have what the app that makes them asks for, or storage.collection.quantization of a "
                "mounted configuration: a variable with a quantile or always_ram would stop Qdrant's start.")
        )  # fmt: skip
    return line


def _switches(server: Server, choices: Choices) -> list[Line]:
    """How nftui itself goes about it: what holds where nobody chose stands as the present value."""
    floor = choices.value(ID, server.name, "recall_floor") or f"{RECALL:g}"
    keep = choices.value(ID, server.name, "snapshot") or "on"
    why = msg("Measured on stored vectors against an exact search, before and after.")
    back = msg("Going back by settings builds every index a second time; a snapshot brings the built one back.")
    return [
        Line("recall_floor", floor, f"{RECALL:g}", f"{RECALL:g}", why, BY_NAME["recall_floor"].source),
        Line("snapshot", keep, "on", "on", back, BY_NAME["snapshot"].source),
    ]


def _threads(server: Server, choices: Choices) -> list[Line]:
    lines = []
    for name in THREADS:
        declared = server.declared(ENV[name])
        why = why_threads(server, name, declared[1] if declared else None)
        lines.append(_default(server, choices, name, "0", why, SETTINGS))
    if (wrong := miscounted(server)) is not None:
        lines[0].notes.append(wrong)
    return lines


def _sharding(server: Server) -> list[Message]:
    """What sharding would take where there is one node."""
    collections = server.live.collections if server.live else ()
    by_name = [c.name for c in collections if not c.aliases]
    needed = [
        msg(
            "One node serves every shard itself, so more shards gain nothing here. Several nodes need cluster mode "
            "(QDRANT__CLUSTER__ENABLED, port 6335), a new collection with 2 to 4 shards per node, a copy of the "
            "points, and an alias that is switched: the number of shards of an existing collection is fixed."
        )
    ]
    if by_name:
        needed.append(
            msg("No alias leads to {names}: apps that name a collection itself have to be told of a new one.",
                names=", ".join(by_name))
        )  # fmt: skip
    return needed if collections else []


# -- collections -------------------------------------------------------------------------------------------------
def _is_tight(server: Server, collections: list[Collection]) -> bool:
    """Whether what the collections take does not fit the memory that the server may use."""
    if server.memory is None:
        return False
    needed = sum(rules.memory_bytes(c) for c in collections)
    return needed * rules.HEADROOM > server.memory


def _collection(server: Server, choices: Choices, collection: Collection, floor: float, tight: bool) -> list[Line]:
    prefix = f"collection.{collection.name}."
    current = {name: as_word(name, collection.index.effective(name)) for name in TUNED}
    advised = _advised(server, collection, floor, tight, current)
    lines: dict[str, Line] = {}
    for name in TUNED:
        chosen = chosen_word(server, choices, collection, name, floor)
        follows = name in CODES
        if follows:
            kind, own = lines["quantization"], choices.value(ID, server.name, prefix + name)
            chosen = chosen_codes(name, kind, own, chosen, collection.name)
            advised[name] = advised_codes(name, kind, lines["on_disk"], current[name])
        recommended, why = advised[name]
        off = choices.value(ID, server.name, PART_OF[name]) == "off"
        value = chosen if chosen is not None else current[name] if off and not follows else recommended
        source = RULES if name in INDEX else QUANTIZING
        kept = off and chosen is None and value == current[name]
        lines[name] = Line(prefix + name, value, current[name], recommended, why, source, kept)
    _say_memory(collection, lines)
    return list(lines.values())


def _warn(server: Server, choices: Choices, lines: list[Line], collections: list[Collection], floor: float) -> None:
    """A word for all that is not followed by some must not pass by them in silence."""
    by_knob = {line.knob: line for line in lines}
    for name in TUNED:
        word = choices.value(ID, server.name, name)
        if word is not None:
            own = {c.name: by_knob[f"collection.{c.name}.{name}"] for c in collections}
            by_knob[name].warnings += passed_by(server, choices, name, word, collections, own, floor)


def _advised(
    server: Server, collection: Collection, floor: float, tight: bool, current: dict[str, str | None]
) -> dict[str, tuple[str | None, Message]]:
    """Knob to (recommendation, why) of all but the codes; None where its vectors differ and are left as they are."""
    if not collection.is_indexed:
        why = _unindexed(collection)
        return {name: (current[name], why) for name in TUNED if name not in CODES}
    bar = barred(collection, floor)
    if bar is not None:
        return {name: (current[name], bar) for name in TUNED if name not in CODES}
    return {**_graph(collection, floor, current), **_places(server, collection, tight, current)}


def _unindexed(collection: Collection) -> Message:
    """Why nothing of it would be built: thresholds are compared segment by segment."""
    threshold, size = collection.threshold_bytes, collection.segment_bytes or 0
    if threshold is None:
        return msg("Its indexing_threshold is 0: nothing of it is ever indexed or quantized.")
    if size >= threshold:
        return msg("Nothing of it is indexed, though its segments are past the indexing threshold of {threshold}: see "
                   "the log of the server.", threshold=human_size(threshold))  # fmt: skip
    if (collection.vector_bytes or 0) < threshold:
        return msg("{points} points are below the indexing threshold: every search reads all of them, and that is "
                   "fast.", points=collection.points or 0)  # fmt: skip
    return msg(
        "Each of its {segments} segments has about {size} of vectors, below the indexing threshold of {threshold}: "
        "none is indexed or quantized, and every search reads all {points} points. Only a lower indexing_threshold or "
        "a smaller default_segment_number of the collection (optimizers_config) would have an index built.",
        segments=collection.segments or 1, size=human_size(size), threshold=human_size(threshold),
        points=collection.points or 0,
    )  # fmt: skip


def _graph(
    collection: Collection, floor: float, current: dict[str, str | None]
) -> dict[str, tuple[str | None, Message]]:
    points = collection.points or 0
    m, ef = rules.graph_for(points, floor)
    why = msg("{points} vectors at a recall of {floor}: m {m}, ef_construct {ef}.",
              points=points, floor=f"{floor:g}", m=m, ef=ef)  # fmt: skip
    enough = msg("Enough for {points} vectors at a recall of {floor}; building anew would gain nothing.",
                 points=points, floor=f"{floor:g}")  # fmt: skip

    def at_least(name: str, wanted: int, least: float) -> tuple[str | None, Message]:
        now = current[name]
        if now is None or not now.isdigit() or int(now) == 0 or int(now) >= least:
            return now, enough
        return str(wanted), why

    return {
        "m": at_least("m", m, m),
        "ef_construct": at_least("ef_construct", ef, ef * rules.NEAR),
        "full_scan_threshold": (
            current["full_scan_threshold"],
            msg("Both of its ways find the same."),
        ),
    }


def _places(
    server: Server, collection: Collection, tight: bool, current: dict[str, str | None]
) -> dict[str, tuple[str | None, Message]]:
    """int8 in memory with the originals on a fast disk, where the memory does not hold everything; else as it is.

    Where a threshold decides about the originals, int8 only for those on the disk: beside others it takes more memory.
    """
    found = _chosen_places(server, tight, current)
    if not collection.index.has_left:
        return found
    why = left(collection)
    return {"quantization": found["quantization"] if moved(collection) else (current["quantization"], why),
            "on_disk": (current["on_disk"], why)}  # fmt: skip


def _chosen_places(
    server: Server, tight: bool, current: dict[str, str | None]
) -> dict[str, tuple[str | None, Message]]:
    if not tight or current["quantization"] not in ("none", "int8"):
        why = msg("Its vectors fit the memory: quantization would cost recall and gain little.")
        return {name: (current[name], why) for name in ("quantization", "on_disk")}
    if not server.fast_disk:
        why = msg("The memory is short, but its disk is not known to be NVMe or SSD: reading originals would be slow.")
        return {name: (current[name], why) for name in ("quantization", "on_disk")}
    why = msg("The collections need more than {memory}: int8 in memory, originals on the disk.",
              memory=human_size(server.memory))  # fmt: skip
    return {"quantization": ("int8", why), "on_disk": ("on", why)}


def _say_memory(collection: Collection, lines: dict[str, Line]) -> None:
    """Memory before and after, and what an app must do for recall where vectors are quantized."""
    words = {"on": "true", "off": "false"}
    wanted = {name: words.get(line.value, line.value) for name, line in lines.items() if line.value is not None}
    before = rules.memory_bytes(collection)
    after = rules.memory_bytes(collection, wanted)
    line = lines["quantization"]
    if before != after:
        line.notes.append(
            msg("Memory of {name}: about {before} now, {after} then.",
                name=collection.name, before=human_size(before), after=human_size(after))
        )  # fmt: skip
    line.notes += _uncounted(collection)
    if line.value == "int8" and line.value != line.current:
        line.notes.append(
            msg("Searches that pass rescore and oversampling 2 find as much as without quantization; others about "
                "0.96.")
        )  # fmt: skip


def _uncounted(collection: Collection) -> list[Message]:
    """What takes memory beside what was counted, or does not where it might be thought to."""
    index, found = collection.index, []
    if index.sparse or collection.fields:
        found.append(
            msg("Sparse vectors in memory ({sparse}) and indexes of payload fields ({fields}) take more of it: nothing "
                "tells how much.", sparse=len(index.sparse), fields=len(collection.fields))
        )  # fmt: skip
    if any(index.has_graph_on_disk(vector) for vector in index.vectors):
        found.append(msg("Its graph is read from the disk (hnsw_config), so it is not counted."))
    return found
