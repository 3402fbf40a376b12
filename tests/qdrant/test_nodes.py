"""Several nodes: the test server's cluster answers as qdrant-client's models say, and nftui reads it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models
from qdrant_client.http.exceptions import UnexpectedResponse

from nftui.model.ai import QdrantFacts
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.probes.qdrant import probe_qdrant
from nftui.steps import load_kinds
from tests.qdrant.nodes import Nodes, cluster
from tests.qdrant.server import Server, vectors
from tests.qdrant.test_server import context, service

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    with cluster(tmp_path, 3) as found:
        yield found


def read(server: Server) -> QdrantFacts:
    live = probe_qdrant(service(server), None)
    assert isinstance(live.value, QdrantFacts), live.error
    return live.value


def test_points_lie_on_shards_and_every_node_answers_for_all(nodes: Nodes) -> None:
    one, two, three = nodes.servers
    data = vectors(300, 16)
    one.fill("docs", data, shard_number=4, replication_factor=2)
    one.client.create_payload_index("docs", "n", models.PayloadSchemaType.INTEGER)
    alias = models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name="docs", alias_name="all"))
    three.client.update_collection_aliases([alias])
    pictures = [server.picture("docs") for server in nodes.servers]
    assert pictures[0][1] == 300 and pictures[0] == pictures[1] == pictures[2]
    assert [row[0] for row in pictures[0][2]] == list(range(200)), "sorted over the shards"
    assert two.client.get_aliases().aliases[0].alias_name == "all" and two.client.count("all").count == 300
    assert two.recall("all", 3) > 0.9
    info = two.info("docs")
    assert info.config.params.shard_number == 4 and info.payload_schema["n"].points == 300
    for server in nodes.servers:
        told = server.client.collection_cluster_info("docs")
        assert told.shard_count == 4
        assert len(told.local_shards) + len(told.remote_shards) == 8
        assert sum(s.points_count for s in told.local_shards) == 75 * len(told.local_shards)
    assert {len(s.client.collection_cluster_info("docs").local_shards) for s in nodes.servers} == {2, 3}
    two.client.delete("docs", models.PointIdsList(points=[1, 2, 3]))
    assert {s.client.count("docs").count for s in nodes.servers} == {297}
    one.client.update_collection("docs", hnsw_config=models.HnswConfigDiff(m=8))
    assert [s.hnsw("docs")[0] for s in nodes.servers] == [8, 8, 8]
    three.client.delete_collection("docs")
    assert not one.client.get_collections().collections and not one.client.get_aliases().aliases
    with pytest.raises(UnexpectedResponse, match="404"):
        two.client.get_collection("docs")


def test_a_replica_that_missed_a_write_is_dead_and_told_so(nodes: Nodes) -> None:
    one, two, three = nodes.servers
    one.fill("docs", vectors(60, 8), shard_number=3, replication_factor=2)
    facts = read(two)
    assert facts.cluster is not None and sorted(facts.cluster.peers) == sorted(
        {r.peer for r in facts.collections[0].replicas}
    )
    leader = read(one).cluster
    assert leader is not None and facts.cluster.leader == leader.peer == leader.leader
    assert all(r.whole for r in facts.collections[0].replicas) and facts.collections[0].copies == 2
    gone = read(three).cluster
    assert gone is not None
    nodes.nodes[2].end()
    assert two.client.count("docs").count == 60, "every shard has another copy"
    two.upsert("docs", vectors(30, 8), 60)
    facts = read(one)
    assert facts.cluster is not None and facts.cluster.failing == (gone.peers[gone.peer],)
    dead = [r for r in facts.collections[0].replicas if not r.whole]
    assert len(dead) == 2 and {(r.peer, r.state) for r in dead} == {(gone.peer, "Dead")}
    back = nodes.nodes[2].begin()
    assert back.client.count("docs").count == 90, "the node that missed writes answers from the others"
    assert {r.state for r in read(back).collections[0].replicas} == {"Active", "Dead"}


def test_without_who_leads_points_go_on_and_nothing_else_changes(nodes: Nodes) -> None:
    one, two, _ = nodes.servers
    one.fill("docs", vectors(60, 8), shard_number=3, replication_factor=2)
    nodes.nodes[0].end()
    assert two.client.count("docs").count == 60
    facts = read(two)
    assert facts.cluster is not None and facts.cluster.leader is None
    with pytest.raises(UnexpectedResponse, match="consensus"):
        two.client.delete_collection("docs")
    assert two.client.count("docs").count == 60


def switching(old: str, new: str) -> dict[str, StepSpec]:
    """The three steps that a plan has between the stops of the apps."""
    common: dict[str, object] = {"old": old, "new": new}
    place = {"type": "collection", "name": new}
    alias: dict[str, object] = {**common, "aliases": ["all"], "nodes": ["q"], "services": [], "copied": "import",
                                "dataset": "d", "place": place, "authority": place}  # fmt: skip
    params: dict[str, dict[str, object]] = {
        "shards": {**common, "shards": 4, "copies": 2},
        "import": common,
        "alias": alias,
    }
    return {
        name: StepSpec(name, f"qdrant-{name}", name, given, msg("step"), "q", stall_s=60)
        for name, given in params.items()
    }


def test_a_collection_is_copied_proven_and_switched_and_comes_back(nodes: Nodes, tmp_path: Path) -> None:
    """The steps themselves against real indexes: named vectors, quantization, an index of a field, both kinds of id."""
    one, two, _ = nodes.servers
    client = one.client
    vector = models.VectorParams(size=8, distance=models.Distance.COSINE, hnsw_config=models.HnswConfigDiff(m=24))
    client.create_collection(
        "docs", {"text": vector, "image": models.VectorParams(size=4, distance=models.Distance.DOT, on_disk=True)},
        shard_number=1, quantization_config=models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99, always_ram=True)),
        optimizers_config=models.OptimizersConfigDiff(indexing_threshold=200, default_segment_number=1),
    )  # fmt: skip
    client.create_payload_index("docs", "n", models.PayloadSchemaType.INTEGER)
    ids = [*range(120), *(str(uuid.UUID(int=n)) for n in range(3))]
    points = [
        models.PointStruct(id=i, vector={"text": t.tolist(), "image": g.tolist()}, payload={"n": n, "deep": {"x": [n]}})
        for n, (i, t, g) in enumerate(zip(ids, vectors(123, 8), vectors(123, 4), strict=True))
    ]
    client.upsert("docs", points)
    led = models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name="docs", alias_name="all"))
    client.update_collection_aliases([led])
    kinds, steps = load_kinds(), switching("docs", "docs-s4r2")
    found: dict[str, Any] = {}
    ctx = context(one, tmp_path)
    ctx = replace(ctx, recall=lambda step: found[step])
    old = one.info("docs").config
    for name, step in steps.items():
        kind = kinds.of(step)
        before = kind.read(step, ctx)
        kind.do(step, before, ctx)
        if name == "shards":
            client.delete("all", models.PointIdsList(points=[5]))  # an app goes on meanwhile
        found[name] = {**before, **kind.verify(step, before, ctx)}
    assert found["import"]["points"] == 122
    assert [a.collection_name for a in two.client.get_aliases().aliases] == ["docs-s4r2"]
    new = two.info("all").config
    assert (new.params.shard_number, new.params.replication_factor) == (4, 2)
    assert new.params.vectors == old.params.vectors and new.quantization_config == old.quantization_config
    assert new.hnsw_config == old.hnsw_config and new.optimizer_config == old.optimizer_config
    assert two.info("all").payload_schema["n"].data_type == models.PayloadSchemaType.INTEGER
    everything = two.client.scroll("all", limit=200, with_vectors=True)[0]
    assert everything == one.client.scroll("docs", limit=200, with_vectors=True)[0] and len(everything) == 122
    two.client.upsert("all", [replace_point(points[7], 1000), replace_point(points[8], 8)])
    later = two.client.scroll("all", limit=200, with_vectors=True)[0]
    for step in reversed(steps.values()):
        kinds.of(step).undo(step, found[step.id], ctx)
    assert [a.collection_name for a in one.client.get_aliases().aliases] == ["docs"]
    assert [c.name for c in one.client.get_collections().collections] == ["docs"]
    assert one.client.scroll("all", limit=200, with_vectors=True)[0] == later and not ctx.artefacts.list()


def replace_point(one: models.PointStruct, number: int) -> models.PointStruct:
    return models.PointStruct(id=number, vector=one.vector, payload={"n": -1})
