"""A Qdrant's optimizer followed: every sign of its work counts, nothing else does, and what is told is true."""

from __future__ import annotations

import copy
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nftui.engine.journal import Journal, Phase, read_journal
from nftui.engine.runner import Options, Outcome, Runner
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.qdrant import read_config
from nftui.model.stack import Container
from nftui.steps import load_kinds
from nftui.steps.qdrant_segments import outdated, unindexed
from nftui.steps.qdrant_work import Work, cpus_of, silent_s
from tests.engine.qdrant_world import FakeQdrant, context, new_config, qdrant_stages, qdrant_world, segment
from tests.engine.test_qdrant_steps import changed, notes, run, taken_back
from tests.engine.test_runner import Quiet

Told = list[tuple[str, float | None]]


def followed(base: Path, *, floor: float = 0.9, **traits: Any) -> tuple[FakeQdrant, Outcome | None, Told]:
    """One run on such a server, with what was shown of it; a step may be silent for 30 s."""
    base.mkdir(exist_ok=True)
    world, qdrant = qdrant_world(base)
    for name, value in traits.items():
        setattr(qdrant, name, value)
    told: Told = []
    ctx = replace(context(world, qdrant), progress=lambda text, part: told.append((text, part)))
    journal = Journal(base / "j")
    try:
        outcome = Runner(journal, qdrant_stages(qdrant, floor), load_kinds(), ctx, Quiet(), Options()).forward()
    finally:
        journal.close()
    return qdrant, outcome, [(text, part) for text, part in told if text.startswith("indexing")]


def test_segments_that_are_built_one_after_the_other_are_a_sign_of_work_in_both_directions(tmp_path: Path) -> None:
    """Yellow for two and a half minutes, every count as before."""
    qdrant, outcome, _ = followed(tmp_path, segments=6, pace_s=25.0)
    assert outcome is None and changed(qdrant) and qdrant.world.clock >= 150
    began = qdrant.world.clock
    assert taken_back(qdrant.world, qdrant, tmp_path / "j").name == "rolled-back"
    assert not changed(qdrant) and qdrant.world.clock - began >= 150


def test_where_neither_segments_nor_work_is_told_the_same_server_shows_nothing(tmp_path: Path) -> None:
    _, outcome, told = followed(tmp_path, segments=6, pace_s=25.0, tells=False)
    assert outcome is not None and "no progress in 30 s: status yellow" in outcome.reason
    assert {part for _, part in told} == {None} and {text for text, _ in told} == {"indexing docs"}


@pytest.mark.parametrize("tells", [True, False])
def test_what_is_counted_inside_one_segment_is_a_sign_as_well(tmp_path: Path, tells: bool) -> None:
    qdrant, outcome, told = followed(tmp_path, pace_s=400.0, counts=True, tells=tells)
    assert outcome is None and changed(qdrant) and qdrant.world.clock >= 400
    assert 0.9 < max(part for _, part in told if part is not None) <= 0.99 and any(" left" in t for t, _ in told)
    _, outcome, _ = followed(tmp_path / "silent", pace_s=400.0, tells=tells)
    assert outcome is not None and "no progress in 30 s" in outcome.reason


@pytest.mark.parametrize("counts", [True, False])
def test_one_that_never_ends_is_told_with_what_is_left_however_much_apps_write(
    tmp_path: Path, counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = FakeQdrant._info

    def info(self: FakeQdrant, name: str) -> Any:
        found = asked(self, name)
        return found | {"points_count": int(self.world.clock * 10), "indexed_vectors_count": 9 - self.world.clock}

    monkeypatch.setattr(FakeQdrant, "_info", info)
    qdrant, outcome, _ = followed(tmp_path, segments=3, pace_s=1e9, counts=counts)
    assert outcome is not None and outcome.name == "rolled-back" and not changed(qdrant)
    assert "made no progress in 30 s: 3 of its segments are not built anew, status yellow" in outcome.reason
    assert 30 <= qdrant.world.clock < 40


def test_one_that_told_of_its_segments_and_then_tells_nothing_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Green before its optimizer has begun: of a server that never told anything, that has to do."""
    _, outcome, _ = followed(tmp_path / "never", late=10**6, tells=False)
    assert outcome is None
    asked = FakeQdrant._telemetry

    def telemetry(self: FakeQdrant) -> Any:
        found = asked(self)
        self.tells = self.built["docs"] == self.collections["docs"]
        return found

    monkeypatch.setattr(FakeQdrant, "_telemetry", telemetry)
    _, outcome, _ = followed(tmp_path / "once", late=10**6)
    assert outcome is not None and "but 1 of its segments were not built anew" in outcome.reason


@pytest.mark.parametrize("counts", [True, False])
def test_progress_is_that_of_the_segments_with_the_time_that_is_left(tmp_path: Path, counts: bool) -> None:
    """As many vectors are indexed from the first second on."""
    _, outcome, told = followed(tmp_path, segments=5, pace_s=20.0, counts=counts)
    parts = [part for _, part in told if part is not None]
    assert outcome is None and parts == sorted(parts) and parts[0] <= 0.2 and parts[-1] <= 0.99
    texts = [text for text, _ in told]
    assert any(t.startswith("indexing docs: 2 of 5 segments, ") and t.endswith(" s left") for t in texts)
    assert texts[0] == "indexing docs: 0 of 5 segments" and not any("10 of 10" in t for t in texts)
    at_two = next(t for t in texts if "2 of 5" in t)
    seconds = int(at_two.rpartition(", ")[2].split()[0])
    assert 50 <= seconds <= 75, "three segments of 20 s each are left"
    assert (len(set(parts)) > 10) == counts, "inside a segment as well, where that is counted"


def test_a_collection_that_was_filled_only_tells_its_vectors_and_each_of_them_once(tmp_path: Path) -> None:
    _, qdrant = qdrant_world(tmp_path)
    config = named_config()
    api: Any = telling(qdrant, [{}])
    info = {"status": "yellow", "config": config, "points_count": 100, "segments_count": 2}
    work = Work(api, "docs", 0.0)
    for indexed, text, part in (
        (0, "indexing docs: 0 of 200 vectors", 0.0),
        (50, "50 of 200 vectors, 30 s left", 0.25),
    ):
        info["indexed_vectors_count"] = indexed
        assert work.look(info, 10.0, fresh=True) == 0
        assert work.words(info, 10.0)[0].endswith(text) and work.words(info, 10.0)[1] == part
    info["indexed_vectors_count"] = 250
    work.look(info, 10.0, fresh=True)
    assert work.words(info, 10.0) == ("indexing docs", None)


def named_config() -> dict[str, Any]:
    """Two vectors for each point."""
    config = new_config()
    config["params"]["vectors"] = {name: {"size": 4, "distance": "Dot"} for name in ("image", "text")}
    return config


def telling(qdrant: FakeQdrant, segments: list[dict[str, Any]]) -> Any:
    """That server, with those segments in its telemetry: vector name to how it is stored."""
    found = [{"config": {"vector_data": vectors}} for vectors in segments]
    told = {"result": {"collections": {"collections": [{"id": "docs", "shards": [{"local": {"segments": found}}]}]}}}
    asked = qdrant.json
    qdrant.json = lambda path: told if path.startswith("/telemetry") else asked(path)  # type: ignore[method-assign]
    return qdrant


def info_of(points: int = 1_000_000, size: int = 384, fields: int = 0, **hnsw: Any) -> dict[str, Any]:
    config = new_config()
    config["params"]["vectors"]["size"] = size
    config["hnsw_config"] |= {"m": 32, "ef_construct": 256, **hnsw}
    return {"points_count": points, "config": config, "payload_schema": {str(n): {} for n in range(fields)}}


STEP = StepSpec("s", "qdrant-collection", "q/docs", {"collection": "docs"}, msg("step"), "q", stall_s=600)


def test_how_long_it_may_be_silent_goes_by_the_work() -> None:
    whole = silent_s(STEP, info_of(), 2) - 600
    # Measured: 200 000 of them take half an hour of one processor.
    assert 4 * 4500 <= whole <= 8 * 4500, "several times of what a million of them takes two processors"
    assert silent_s(STEP, info_of(points=0), 2) == 600
    assert silent_s(STEP, info_of(points=2_000_000), 2) - 600 == pytest.approx(2 * whole)
    assert silent_s(STEP, info_of(size=1536), 2) - 600 > 3 * whole
    assert silent_s(STEP, info_of(ef_construct=512), 2) - 600 == pytest.approx(2 * whole)
    assert silent_s(STEP, info_of(m=64), 2) - 600 > 1.2 * whole
    assert silent_s(STEP, info_of(fields=2), 2) - 600 == pytest.approx(3 * whole)
    assert silent_s(STEP, info_of(fields=2, payload_m=0), 2) - 600 == pytest.approx(whole)
    assert silent_s(STEP, info_of(), 1) - 600 == pytest.approx(2 * whole)
    assert silent_s(STEP, info_of(), 0.5) - 600 == pytest.approx(4 * whole)
    assert silent_s(STEP, info_of(max_indexing_threads=1), 2) - 600 == pytest.approx(2 * whole)
    assert silent_s(STEP, info_of(), 64) == silent_s(STEP, info_of(), 8) < silent_s(STEP, info_of(), 4)
    assert silent_s(STEP, info_of(max_indexing_threads=32), 64) < silent_s(STEP, info_of(), 64)
    assert silent_s(STEP, info_of(m=0), 2) == 600, "it has no graph"
    several = info_of()
    several["config"]["params"]["vectors"]["multivector_config"] = {"comparator": "max_sim"}
    assert silent_s(STEP, several, 2) - 600 > 100 * whole


def test_the_processors_are_those_of_its_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    world, qdrant = qdrant_world(tmp_path)
    ctx = context(world, qdrant)
    assert cpus_of("q", ctx) == 16
    world.container = Container("c", "c", "q", 1, "running", None, "i", "i", cpus=1.5)
    assert cpus_of("q", ctx) == 1.5 and cpus_of("other", ctx) == 16
    world.container = replace(world.container, cpus=32.0)
    assert cpus_of("q", ctx) == 16
    world.container = replace(world.container, cpuset="0-3")
    assert cpus_of("q", ctx) == 1


@pytest.mark.parametrize("floor", [0.9, 0.0])
@pytest.mark.parametrize("tells", [True, False])
def test_where_nothing_is_indexed_no_recall_is_told_and_no_floor_is_met(
    tmp_path: Path, tells: bool, floor: float
) -> None:
    qdrant, outcome, _ = followed(tmp_path, graphs=False, tells=tells, floor=floor)
    assert outcome is None and changed(qdrant)
    told: Any = next(e for e in read_journal(tmp_path / "j") if e.phase is Phase.VERIFIED and e.step == "collection")
    assert told.data["search"][""]["recall"] is None and told.data["search"][""]["n"] == 10
    (note,) = notes(tmp_path / "j")
    assert note.startswith("docs: nothing of it is indexed, so every search reads all of it. Its recall is not known")
    assert ("floor of 0.9 neither" in note) == (floor > 0) and "1.0" not in note


def test_an_index_that_was_not_there_before_has_no_former_recall(tmp_path: Path) -> None:
    world, qdrant = qdrant_world(tmp_path)
    qdrant.graphs = False
    original = qdrant._patch_collection

    def patch(name: str, body: Any) -> bool:
        qdrant.graphs = True
        return original(name, body)

    qdrant._patch_collection = patch  # type: ignore[method-assign]
    assert run(world, qdrant, tmp_path / "j") is None
    (note,) = notes(tmp_path / "j")
    assert note.startswith("docs: recall@10 is 1.0, and was not known; p95 was ")


def test_only_a_graph_makes_an_index_and_each_vector_has_its_own(tmp_path: Path) -> None:
    _, qdrant = qdrant_world(tmp_path)
    config = named_config()
    stored = segment(new_config())["config"]["vector_data"][""]
    plain = segment(new_config(), graph=False)["config"]["vector_data"][""]
    linkless = copy.deepcopy(stored)
    linkless["index"]["options"]["m"] = 0
    for image, expected in ((stored, {"text"}), (plain, {"image", "text"}), (linkless, {"image", "text"})):
        api = telling(qdrant, [{"image": i, "text": plain} for i in (plain, image)])
        assert unindexed(api, "docs", {"config": config, "indexed_vectors_count": 7}) == expected


@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize(
    ("wanted", "lies", "expected"),
    [
        (False, "Mmap", 1), (False, "ChunkedMmap", 1), (False, "InRamMmap", 0), (False, "Memory", 0),
        (True, "InRamChunkedMmap", 1), (True, "Mmap", 0), (None, "Mmap", 0), (None, "Memory", 0),
        (False, "Empty", 0), (True, "Empty", 0), (False, None, 0),
    ],
)  # fmt: skip
def test_where_originals_lie_is_built_anew_where_that_was_said(
    tmp_path: Path, wanted: bool | None, lies: str | None, expected: int, graph: bool
) -> None:
    """Whatever the size of the segment; a threshold has no say then, and all of it where nothing was said."""
    _, qdrant = qdrant_world(tmp_path)
    config = new_config()
    config["params"]["vectors"]["on_disk"] = wanted
    stored = segment(new_config(), graph=graph)["config"]["vector_data"][""] | {"storage_type": lies}
    assert (
        outdated(
            telling(qdrant, [{"": stored}]),
            "docs",
            read_config({**config, "optimizer_config": {"memmap_threshold": 1}}),
        )
        == expected
    )


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({"type": "int8", "quantile": 0.99, "always_ram": True}, 0),
        ({"type": "int8", "quantile": 0.99, "memory": "pinned"}, 0),
        ({"type": "int8", "quantile": 0.99}, 1),
        ({"type": "int8", "quantile": 0.95, "always_ram": True}, 1),
        (None, 1),
    ],
)
def test_codes_of_another_place_or_quantile_are_built_anew(
    tmp_path: Path, stored: dict[str, object] | None, expected: int
) -> None:
    _, qdrant = qdrant_world(tmp_path)
    asked = {"quantization_config": {"scalar": {"type": "int8", "quantile": 0.99, "always_ram": True}}}
    vector = segment(new_config())["config"]["vector_data"][""]
    vector["quantization_config"] = None if stored is None else {"scalar": stored}
    assert outdated(telling(qdrant, [{"": vector}]), "docs", read_config({**new_config(), **asked})) == expected
