"""The operator's words about a collection: which are followed, which are refused, and what one for all passes by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.errors import UsageError
from nftui.model.message import Message, listed, msg
from nftui.model.qdrant import CODES
from nftui.model.units import human_size
from nftui.optimizations.qdrant import rules
from nftui.optimizations.qdrant.knobs import ID, SWITCHES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nftui.model.ai import Collection
    from nftui.model.choices import Choices
    from nftui.optimizations.qdrant.line import Line
    from nftui.optimizations.qdrant.server import Server


def as_word(name: str, value: str | None) -> str | None:
    """As the knob writes it."""
    return {"true": "on", "false": "off"}.get(value or "", value) if name in SWITCHES else value


def chosen_word(server: Server, choices: Choices, collection: Collection, name: str, floor: float) -> str | None:
    """The operator's word. Raises UsageError for one of its own that must not be; one for all passes by there."""
    own = choices.value(ID, server.name, f"collection.{collection.name}.{name}")
    if own is None:
        word = choices.value(ID, server.name, name)
        passes = word is None or not collection.is_indexed or _bar(collection, name, word, floor) is not None
        return None if passes else word
    bar = None if _stands(collection, name, own) else _bar_of_change(collection, name, floor)
    bar = bar or _small(collection, name, own)
    if bar is not None:
        raise UsageError(
            msg("{id}.collection.{name}.{knob} = {value} is refused for {service}: {why}", id=ID, name=collection.name,
                knob=name, value=own, service=server.name, why=str(bar))
        )  # fmt: skip
    return own


def _stands(collection: Collection, name: str, value: str) -> bool:
    return value == as_word(name, collection.index.effective(name))


# -- what is not changed ----------------------------------------------------------------------------------------
def _bar(collection: Collection, name: str, value: str, floor: float) -> Message | None:
    """Why that word is not followed there, None where it may be."""
    return _bar_of_change(collection, name, floor) or _small(collection, name, value)


def _bar_of_change(collection: Collection, name: str, floor: float) -> Message | None:
    """Why that knob of it stays as it is."""
    bar = barred(collection, floor)
    return left(collection) if bar is None and name == "on_disk" and collection.index.has_left else bar


def _small(collection: Collection, name: str, value: str) -> Message | None:
    if name != "quantization" or value != "binary" or _size(collection) >= rules.BINARY_LEAST:
        return None
    return msg("its vectors have {size} dimensions, and below {least} binary codes find too little.",
               size=_size(collection), least=rules.BINARY_LEAST)  # fmt: skip


def barred(collection: Collection, floor: float) -> Message | None:
    """Why that collection is not changed, None where it may be."""
    if collection.status == "red":
        reason = "a write to it failed" if collection.optimizer == "ok" else collection.optimizer
        return msg("It is red ({reason}): it has to be repaired before anything is changed.", reason=reason)
    if not collection.optimizes:
        return msg("Its optimizers are switched off (max_optimization_threads=0): nothing of it would be built anew.")
    if collection.unmeasurable and floor > 0:
        return msg("Its strict mode has {rule}, so its recall cannot be measured: with recall_floor=0 it is tuned all "
                   "the same.", rule=collection.unmeasurable)  # fmt: skip
    return None


def left(collection: Collection) -> Message:
    """Why the place of its originals is left alone."""
    there = "on the disk" if moved(collection) else "in memory"
    return msg("By memmap_threshold ({threshold} KB) its originals lie {there} now. A word about their place could not "
               "be unsaid.", threshold=collection.index.memmap_threshold_kb, there=there)  # fmt: skip


def moved(collection: Collection) -> bool:
    """Whether all of its originals lie on the disk."""
    return all(collection.index.is_on_disk(v, collection.points or 0) for v in collection.index.vectors)


def _size(collection: Collection) -> int:
    """The smallest of its vectors."""
    return min(v.size for v in collection.index.vectors)


# -- what one word for all passes by ----------------------------------------------------------------------------
def passed_by(
    server: Server, choices: Choices, name: str, word: str, collections: Iterable[Collection],
    lines: Mapping[str, Line], floor: float,
) -> list[Message]:  # fmt: skip
    """The collections that have another value and keep it, with the reason: one sentence for each reason."""
    small: list[Collection] = []
    others: dict[str, list[str]] = {}
    for collection in collections:
        if _is_met(server, choices, name, word, collection, lines):
            continue
        bar = _bar(collection, name, word, floor)
        if bar is not None:
            others.setdefault(str(bar), []).append(collection.name)
        elif not collection.is_indexed:
            small.append(collection)
    at = f"{ID}@{server.name}" if (ID, server.name, name) in choices.values else ID
    said = f"{at}.{name} = {word}"
    found = [
        msg("{word} passes by {names} ({service}): {why}", word=said, names=listed(names), service=server.name, why=why)
        for why, names in others.items()
    ]
    return [*([_unindexed(said, f"{at}.collection.{small[0].name}.{name}", server, small)] if small else []), *found]


def _is_met(
    server: Server, choices: Choices, name: str, word: str, collection: Collection, lines: Mapping[str, Line]
) -> bool:
    """Whether it has that value, a word of its own, or no codes that the word could be about."""
    own = choices.value(ID, server.name, f"collection.{collection.name}.{name}")
    value = lines[collection.name].value
    return own is not None or value == word or (name in CODES and value is None)


def _unindexed(word: str, own: str, server: Server, collections: list[Collection]) -> Message:
    names = listed(
        str(msg("{name} ({points} points, indexing threshold {threshold})", name=c.name, points=c.points or 0,
                threshold=human_size(c.threshold_bytes or 0)))
        for c in collections
    )  # fmt: skip
    return msg("{word} passes by what has no index in {service}: {names}. A word of its own reaches it all the same: "
               "{own}.", word=word, service=server.name, names=names, own=own)  # fmt: skip
