"""Switched off, a collection gets back what nftui found in it: no line of a file holds its values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nftui.engine.persist import Persistence
from nftui.engine.planner import Standing, draft
from nftui.engine.state import InForce, fragment_from, fragment_json
from nftui.model.choices import Selection
from nftui.model.facts import Facts
from nftui.model.plan import Draft
from nftui.optimizations.qdrant import OPTIMIZATION
from nftui.optimizations.qdrant.knobs import ID
from nftui.presets import build_choices
from tests.qdrant.test_advice import collection, facts

M = "qdrant.collection.docs.m=24"
INT8 = "qdrant.collection.docs.quantization=int8"


def planned(found: Facts, *sets: str, in_force: InForce, off: bool = False) -> Draft:
    directory = Path(found.stack.invocation.directory)
    keep = Persistence("none", str(directory / "compose.nftui.yaml"), str(directory / ".env"), None)
    choices, _ = build_choices({ID: OPTIMIZATION}, sets=sets)
    choices = choices.select(ID, Selection.OFF if off else Selection.ON)
    return draft(found, choices, {ID: OPTIMIZATION}, Standing(in_force, "/nonexistent/state", keep))


def indexed(tmp_path: Path, **hnsw: int) -> Facts:
    config = {"hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000, **hnsw}}
    return facts(tmp_path, collection(50_000, config=config))


def after(made: Draft) -> InForce:
    """What a commit of it leaves, as it is read from its file."""
    return InForce(1, fragments=tuple(fragment_from(fragment_json(f)) for f in made.fragments))


def patch(made: Draft) -> object:
    found = [s.params["patch"] for stage in made.stages for s in stage.steps if s.kind == "qdrant-collection"]
    assert len(found) <= 1
    return found[0] if found else None


def test_what_was_found_comes_back_with_a_snapshot_first(tmp_path: Path) -> None:
    first = planned(indexed(tmp_path), M, in_force=InForce())
    assert patch(first) == {"hnsw_config": {"m": 24}}
    standing, now = after(first), indexed(tmp_path, m=24)
    off = planned(now, in_force=standing, off=True)
    assert patch(off) == {"hnsw_config": {"m": 16}} and not off.fragments and not off.refusals
    kinds = [s.kind for stage in off.stages for s in stage.steps]
    assert kinds.index("qdrant-snapshot") < kinds.index("qdrant-collection")


def test_the_first_value_is_remembered_through_later_runs(tmp_path: Path) -> None:
    standing = after(planned(indexed(tmp_path), M, in_force=InForce()))
    again = planned(indexed(tmp_path, m=24), "qdrant.collection.docs.m=32", in_force=standing)
    assert patch(again) == {"hnsw_config": {"m": 32}}
    assert patch(planned(indexed(tmp_path, m=32), in_force=after(again), off=True)) == {"hnsw_config": {"m": 16}}


def test_a_value_that_somebody_changed_since_stays(tmp_path: Path) -> None:
    standing = after(planned(indexed(tmp_path), M, in_force=InForce()))
    assert patch(planned(indexed(tmp_path, m=40), in_force=standing, off=True)) is None


def test_a_part_that_is_off_gives_back_its_own_values_only(tmp_path: Path) -> None:
    standing = after(planned(indexed(tmp_path), M, INT8, in_force=InForce()))
    int8 = {"quantization_config": {"scalar": {"type": "int8", "quantile": 0.99, "always_ram": True}}}
    config = {"hnsw_config": {"m": 24, "ef_construct": 100, "full_scan_threshold": 10_000}, **int8}
    now = facts(tmp_path, collection(50_000, config=config))
    made = planned(now, INT8, "qdrant.tune_index=off", in_force=standing)
    assert patch(made) == {"hnsw_config": {"m": 16}}
    line = next(a for a in made.optimizations[0].advice if a.knob == "collection.docs.m")
    assert (line.current, line.value, line.changes) == ("24", "16", True)
    (left,) = made.fragments
    assert "collection.docs.m" not in left.values["vectors"]
    assert left.values["vectors"]["collection.docs.quantization"] == "int8"


def test_a_collection_that_is_gone_is_no_matter(tmp_path: Path) -> None:
    standing = after(planned(indexed(tmp_path), M, in_force=InForce()))
    off = planned(facts(tmp_path, collection(50_000, name="other")), in_force=standing, off=True)
    assert patch(off) is None and not any("changed there" in str(w) for w in off.warnings)


def test_a_server_that_cannot_be_asked_keeps_it_and_that_is_told(tmp_path: Path) -> None:
    standing = after(planned(indexed(tmp_path), M, in_force=InForce()))
    found = indexed(tmp_path)
    stopped = replace(found.stack, services=tuple(replace(s, containers=()) for s in found.stack.services))
    off = planned(replace(found, stack=stopped, live={}), in_force=standing, off=True)
    assert any("keeps what qdrant changed there" in str(w) for w in off.warnings)


@pytest.mark.parametrize("off", [True, False])
def test_what_was_in_force_before_it_was_remembered_is_left_alone(tmp_path: Path, off: bool) -> None:
    (known,) = planned(indexed(tmp_path), M, in_force=InForce()).fragments
    standing = InForce(1, fragments=(replace(known, before={}),))
    sets = () if off else (M,)
    assert patch(planned(indexed(tmp_path, m=24), *sets, in_force=standing, off=off)) is None
