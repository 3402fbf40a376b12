"""Words that reach no collection, or pass by some: the plan says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nftui.engine.planner import draft
from nftui.model.facts import Facts, Live
from nftui.optimizations.qdrant import OPTIMIZATION
from nftui.optimizations.qdrant.knobs import ID
from tests.optimizations.test_contract import standing
from tests.qdrant.test_advice import choices, collection, facts, indexed

MEMMAP = {"optimizer_config": {"memmap_threshold": 1000}}


def warnings(found: Facts, *sets: str) -> list[str]:
    """Those about words; none of these stacks has anything else to say of them."""
    told = map(str, draft(found, choices(*sets), {ID: OPTIMIZATION}, standing(found)).warnings)
    return [text for text in told if text.startswith(ID)]


def with_second(found: Facts, live: Live | None) -> Facts:
    """Another server beside it, which says that."""
    (first,) = found.stack.services
    container = replace(first.containers[0], service="second")
    other = replace(first, name="second", containers=(container,))
    more = {("second", ID): live} if live else {}
    return replace(found, stack=replace(found.stack, services=(first, other)), live={**found.live, **more})


# -- names that nothing has --------------------------------------------------------------------------------------
def test_a_collection_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    found = facts(tmp_path, collection(2000), collection(2000, name="logs.old"))
    assert warnings(found, "qdrant.collection.nosuch.m=32") == [
        "qdrant.collection.nosuch.m is taken by nothing here. It applies to: docs, logs.old."
    ]
    assert warnings(found, "qdrant@vectors.collection.nosuch.m=32") == [
        "qdrant@vectors.collection.nosuch.m is taken by nothing here. It applies to: docs, logs.old."
    ]
    assert warnings(found, "qdrant@nosuch.collection.docs.m=32") == [
        "qdrant@nosuch.collection.docs.m is taken by nothing here. It applies to: vectors."
    ]
    assert warnings(found, "qdrant.collection.logs.old.m=32") == []
    assert warnings(facts(tmp_path), "qdrant.collection.docs.m=32") == [
        "qdrant.collection.docs.m is taken by nothing here."
    ]


def test_very_many_collections_are_not_all_listed(tmp_path: Path) -> None:
    found = facts(tmp_path, *(collection(10, name=f"c{i:02}") for i in range(40)))
    (told,) = warnings(found, "qdrant.collection.nosuch.m=32")
    assert told.endswith("c10, c11 (+28).")


def test_what_could_not_be_read_is_not_said_to_be_missing(tmp_path: Path) -> None:
    unread = "qdrant.collection.docs.m is taken by nothing here now: what {} has could not be read."
    stopped = facts(tmp_path, version=None)
    assert warnings(stopped, "qdrant.collection.docs.m=32") == [unread.format("vectors")]
    read = facts(tmp_path, collection(2000, name="logs"))
    for live in (None, Live(ID, "second", None, "the key is not known")):
        both = with_second(read, live)
        assert warnings(both, "qdrant.collection.docs.m=32") == [
            f"{unread.format('second')} Elsewhere it applies to: logs."
        ]
        assert "could not" not in warnings(both, "qdrant@vectors.collection.docs.m=32")[0]


# -- one word for all --------------------------------------------------------------------------------------------
def test_one_word_for_all_says_what_it_passes_by(tmp_path: Path) -> None:
    found = facts(tmp_path, collection(2000), indexed(90_000, name="big"), collection(30, name="tiny"))
    assert warnings(found, "qdrant.m=32", "qdrant.quantization=int8", "qdrant.quantile=0.9") == [
        f"qdrant.{knob} = {value} passes by what has no index in vectors: docs (2000 points, indexing threshold "
        f"9.8 MiB), tiny (30 points, indexing threshold 9.8 MiB). A word of its own reaches it all the same: "
        f"qdrant.collection.docs.{knob}."
        for knob, value in (("m", "32"), ("quantization", "int8"))
    ]
    (told,) = warnings(found, "qdrant@vectors.m=32")
    assert told.startswith("qdrant@vectors.m = 32") and "qdrant@vectors.collection.docs.m" in told


@pytest.mark.parametrize("sets", [("qdrant.m=16",), ("qdrant.m=32", "qdrant.collection.docs.m=24"), ()])
def test_nothing_is_passed_by_that_has_the_value_or_a_word_of_its_own(tmp_path: Path, sets: tuple[str, ...]) -> None:
    assert warnings(facts(tmp_path, collection(2000)), *sets) == []


def test_what_is_not_changed_is_told_with_its_reason(tmp_path: Path) -> None:
    red = replace(indexed(90_000, name="sick"), status="red", optimizer="no space left")
    moved = indexed(90_000, name="old", config=MEMMAP)
    found = facts(tmp_path, red, moved, indexed(90_000))
    (told,) = warnings(found, "qdrant.m=32")
    assert told.startswith("qdrant.m = 32 passes by sick (vectors): It is red (no space left)")
    sick, old = warnings(found, "qdrant.on_disk=on")
    assert "passes by sick" in sick and "passes by old (vectors): By memmap_threshold" in old
    small = warnings(found, "qdrant.quantization=binary")
    assert any("passes by old, docs (vectors): its vectors have 384 dimensions" in text for text in small)
