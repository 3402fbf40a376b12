"""Which collections have an index: thresholds are compared segment by segment, and nothing else of them is built."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nftui.model.ai import Collection, QdrantFacts
from nftui.model.host import Medium
from nftui.model.qdrant import read_config
from nftui.model.units import GIB, MIB
from nftui.optimizations.qdrant import rules
from nftui.probes.qdrant import probe_qdrant
from tests.qdrant.test_advice import advice, collection, facts, indexed, patches
from tests.qdrant.test_settings import service
from tests.stack.standins import QDRANT, serve

HALF = replace(collection(100_000), segments=8, indexed_vectors=0, indexing_threshold_kb=20_000)
"""146 MiB in 8 segments of 18: each below its threshold of 20 MB, so green and without an index."""


@pytest.mark.parametrize(
    ("change", "has"),
    [
        ({}, False),
        ({"segments": 2}, False),  # at rest the count is what tells, whatever the sizes say
        ({"indexed_vectors": 100_000}, True),
        ({"indexed_vectors": 9}, True),
        ({"status": "yellow"}, False),
        ({"status": "yellow", "segments": 7}, True),
        ({"status": "yellow", "segments": 7, "indexing_threshold_kb": 30_000}, False),
        ({"status": "yellow", "segments": None}, True),
        ({"optimizer": "optimizations pending, awaiting update operation", "segments": 7}, True),
        ({"indexed_vectors": None, "segments": 7}, True),
        ({"indexed_vectors": None}, False),
        ({"m": 0, "segments": 7}, True),
        ({"indexing_threshold_kb": 0, "indexed_vectors": 9}, False),
        ({"indexing_threshold_kb": None, "status": "grey", "segments": 7}, True),
        ({"indexing_threshold_kb": None, "status": "grey"}, False),
    ],
)
def test_an_index_is_a_matter_of_each_segment(change: dict[str, Any], has: bool) -> None:
    assert replace(HALF, **change).is_indexed is has


@pytest.mark.parametrize(("segments", "has"), [(8, False), (2, True)])
def test_sparse_vectors_are_counted_as_indexed_and_say_nothing_of_the_dense_ones(segments: int, has: bool) -> None:
    """Whatever their size (SparseVectorDataConfig::is_indexed): only the size of the segments tells."""
    params = {"vectors": {"size": 384, "distance": "Cosine"}, "sparse_vectors": {"words": {"index": {"on_disk": True}}}}
    index = read_config({"params": params})
    hybrid = replace(HALF, index=index, indexed_vectors=100_000, segments=segments)
    assert index.has_sparse and hybrid.is_indexed is has
    assert not HALF.index.has_sparse and replace(HALF, indexed_vectors=100_000, segments=segments).is_indexed


def test_segments_below_the_threshold_are_left_alone_and_the_reason_is_told(tmp_path: Path) -> None:
    """Whatever is asked for stands in the configuration, and the server builds nothing of it."""
    sets = ("qdrant.m=32", "qdrant.ef_construct=200", "qdrant.quantization=int8")
    half, whole = HALF, replace(HALF, name="whole", segments=2, indexed_vectors=100_000)
    lines = advice(facts(tmp_path, half, whole, medium=Medium.NVME), *sets)
    assert [lines[f"collection.docs.{k}"].value for k in ("m", "ef_construct", "quantization")] == ["16", "100", "none"]
    assert [lines[f"collection.whole.{k}"].value for k in ("m", "quantization")] == ["32", "int8"]
    why = str(lines["collection.docs.m"].why)
    assert "Each of its 8 segments has about 18.3 MiB of vectors, below the indexing threshold of 19.5 MiB" in why
    assert "lower indexing_threshold or a smaller default_segment_number" in why
    assert not lines["collection.docs.quantization"].notes and lines["collection.whole.quantization"].notes


def test_what_has_no_index_is_told_by_its_cause(tmp_path: Path) -> None:
    def why(one: Collection) -> str:
        return str(advice(facts(tmp_path, one))["collection.docs.m"].why)

    assert "500 points are below the indexing threshold" in why(collection(500))
    assert "indexing_threshold is 0" in why(replace(HALF, indexing_threshold_kb=0))
    assert "past the indexing threshold" in why(replace(HALF, segments=2))


def test_an_operators_own_word_about_it_promises_no_memory(tmp_path: Path) -> None:
    """He may prepare a collection for its growth: then it is written, and only the place of originals counts now."""
    found = facts(tmp_path, HALF)
    lines = advice(found, "qdrant.collection.docs.quantization=int8", "qdrant.collection.docs.m=32")
    assert patches(found, lines.values())["qdrant-collection:vectors.docs"]["hnsw_config"] == {"m": 32}
    assert not any("Memory of" in str(n) for n in lines["collection.docs.quantization"].notes)
    moved = advice(found, "qdrant.collection.docs.on_disk=on")["collection.docs.quantization"]
    assert [str(note) for note in moved.notes] == ["Memory of docs: about 150.3 MiB now, 3.8 MiB then."]
    assert rules.memory_bytes(HALF) == 100_000 * (384 * 4 + 40) < rules.memory_bytes(indexed(100_000)) - 10 * MIB


def test_small_memory_is_not_made_larger_by_what_builds_nothing(tmp_path: Path) -> None:
    lines = advice(facts(tmp_path, HALF, medium=Medium.NVME), grant=GIB // 16)
    assert not any(line.changes for knob, line in lines.items() if knob.startswith("collection."))


@pytest.mark.parametrize(("version", "stock"), [("1.14.1", 20_000), ("1.15.0", 10_000), ("1.9.0", 20_000)])
def test_every_collection_is_read_and_an_unsaid_threshold_is_the_servers(
    tmp_path: Path, version: str, stock: int
) -> None:
    names = [f"c{number}" for number in range(120)]
    docs = QDRANT["/collections/docs"]
    assert isinstance(docs, dict)
    answers = {f"/collections/{name}": _with_threshold(docs, None if name == "c119" else 7) for name in names}
    listed = {"result": {"collections": [{"name": name} for name in names]}}
    with serve({**QDRANT, **answers, "/collections": listed, "/": {"version": version}}) as port:
        live = probe_qdrant(service(tmp_path, {"local.yaml": f"service: {{http_port: {port}}}"}), None).value
    assert isinstance(live, QdrantFacts)
    assert [c.name for c in live.collections] == names
    assert [c.indexing_threshold_kb for c in live.collections] == [7] * 119 + [stock]


def _with_threshold(answer: dict[str, Any], kb: int | None) -> dict[str, Any]:
    result = answer["result"]
    config = {**result["config"], "optimizer_config": {"indexing_threshold": kb}}
    return {"result": {**result, "config": config}}


PLACES = [
    ({}, {}, False),
    ({"on_disk": False}, {}, False),
    ({"on_disk": True}, {}, True),
    ({"on_disk": True}, {"on_disk": False}, False),
    ({}, {"on_disk": True}, True),
    ({"memory": "cold"}, {}, True),
    ({"on_disk": True, "memory": "cached"}, {}, False),
]


@pytest.mark.parametrize(("collections", "vectors", "on_disk"), PLACES)
def test_a_graph_on_the_disk_is_not_counted_and_told(
    tmp_path: Path, collections: dict[str, Any], vectors: dict[str, Any], on_disk: bool
) -> None:
    params = {"vectors": {"size": 384, "distance": "Cosine", "hnsw_config": vectors}}
    config = {"params": params, "hnsw_config": {"m": 16, "ef_construct": 100, **collections}}
    plain, one = indexed(100_000), indexed(100_000, config=config)
    graph = rules.memory_bytes(plain) - 100_000 * (384 * 4 + 40)
    assert rules.memory_bytes(one) == rules.memory_bytes(plain) - (graph if on_disk else 0) and graph > 10 * MIB
    notes = " ".join(str(n) for n in advice(facts(tmp_path, one))["collection.docs.quantization"].notes)
    assert ("graph is read from the disk" in notes) is on_disk


def test_what_takes_memory_beside_dense_vectors_is_told(tmp_path: Path) -> None:
    docs = QDRANT["/collections/docs"]
    assert isinstance(docs, dict)
    sparse = {"bm25": {}, "splade": {"index": {"on_disk": True}}, "third": None}
    config = {**docs["result"]["config"]}
    config["params"] = {**config["params"], "sparse_vectors": sparse}
    keyword = {"data_type": "keyword", "points": 9}
    schema = {"tag": keyword, "year": {**keyword, "params": {"type": "integer", "on_disk": True}}, "city": keyword}
    answer = {"result": {**docs["result"], "config": config, "payload_schema": schema}}
    listed = {"result": {"collections": [{"name": "docs"}]}}
    with serve({**QDRANT, "/collections/docs": answer, "/collections": listed}) as port:
        live = probe_qdrant(service(tmp_path, {"local.yaml": f"service: {{http_port: {port}}}"}), None).value
    assert isinstance(live, QdrantFacts)
    (one,) = live.collections
    assert (one.index.sparse, one.fields) == (("bm25", "third"), ("city", "tag"))
    noted = advice(facts(tmp_path, one))["collection.docs.quantization"].notes
    assert "Sparse vectors in memory (2) and indexes of payload fields (2) take more of it" in " ".join(map(str, noted))
    assert not advice(facts(tmp_path, collection(50_000)))["collection.docs.quantization"].notes
