"""Advice by collection, what is written for it, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nftui.model.advice import Advice, Grant
from nftui.model.ai import Collection, QdrantFacts
from nftui.model.choices import Choices, Selection
from nftui.model.errors import UsageError
from nftui.model.facts import Facts, Live
from nftui.model.host import Host, Medium, Mount
from nftui.model.qdrant import CODES, IndexConfig, read_config, same, unmeasurable
from nftui.model.shards import Cluster, Replica
from nftui.model.stack import Container, MountSpec
from nftui.model.units import GIB, MIB
from nftui.optimizations.qdrant import OPTIMIZATION, rules
from nftui.optimizations.qdrant.knobs import ID
from nftui.presets import build_choices, parse_set
from tests.checks.build import read

STACK = """
services:
  vectors:
    image: qdrant/qdrant:v1.15.0
    environment: {env}
    volumes: ["data:/qdrant/storage"]
{more}
volumes: {{data: {{}}}}
"""


def facts(tmp_path: Path, *collections: Collection, env: str = "{}", more: str = "", medium: Medium | None = None,
          version: str | None = "1.15.0") -> Facts:  # fmt: skip
    found = read(tmp_path, STACK.format(env=env, more=more))
    service = found.stack.service("vectors")
    assert service is not None
    mount = MountSpec("volume", "data", "/qdrant/storage", host_path="/fast/data")
    running = Container("c", "c", "vectors", 1, "running", None, "i", "i", mounts=(mount,))
    stack = replace(found.stack, services=(replace(service, containers=(running,)),))
    live = {("vectors", ID): Live(ID, "vectors", QdrantFacts(version, collections))} if version else {}
    mounts = (Mount("/fast", "ext4", GIB, GIB, "sda", medium),) if medium else ()
    return replace(found, stack=stack, live=live, host=replace(Host(), mounts=mounts))


def collection(points: int, size: int = 384, name: str = "docs", config: dict[str, Any] | None = None) -> Collection:
    index = {
        "params": {"vectors": {"size": size, "distance": "Cosine"}},
        "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000}, **(config or {}),
    }  # fmt: skip
    indexed = points if points * size * 4 > 10_000 * 1024 else 0
    return Collection(name, "green", points, indexed, 2, size, 16, 100, 10_000, index=read_config(index))


def indexed(points: int, size: int = 384, **more: Any) -> Collection:
    """Whatever its size."""
    return replace(collection(points, size, **more), indexed_vectors=points)


def choices(*sets: str) -> Choices:
    return build_choices({ID: OPTIMIZATION}, sets=sets)[0].select(ID, Selection.ON)


def advice(found: Facts, *sets: str, grant: int = 16 * GIB) -> dict[str, Advice]:
    lines = OPTIMIZATION.advise(found, choices(*sets), {"vectors": Grant("vectors", grant)})
    return {line.knob: line for line in lines}


def patches(found: Facts, lines: Iterable[Advice]) -> dict[str, Any]:
    fragment = OPTIMIZATION.fragment(found, tuple(lines))
    steps = OPTIMIZATION.steps(found, fragment)
    return {s.id: s.params.get("patch") for s in steps}


@pytest.mark.parametrize(
    ("points", "floor", "m", "ef"),
    [(50_000, "0.95", "16", "100"), (50_000, "0.98", "16", "128"), (50_000, "0.99", "24", "200"),
     (500_000, "0.95", "16", "128"), (500_000, "0.98", "24", "200"), (5_000_000, "0.95", "24", "200")],
)  # fmt: skip
def test_a_graph_grows_with_size_and_recall(tmp_path: Path, points: int, floor: str, m: str, ef: str) -> None:
    found = facts(tmp_path, collection(points))
    lines = advice(found, f"qdrant.recall_floor={floor}", grant=1024 * GIB)
    graph = (lines["collection.docs.m"].value, lines["collection.docs.ef_construct"].value)
    # What was built with nearly as many candidates is not built again.
    assert graph == (m, "100" if int(ef) * rules.NEAR <= 100 else ef)


def test_a_small_collection_is_left_alone_whatever_holds_for_all(tmp_path: Path) -> None:
    found = facts(tmp_path, collection(500))
    lines = advice(found, "qdrant.m=32", "qdrant.quantization=int8")
    assert lines["collection.docs.m"].value == "16" and lines["collection.docs.quantization"].value == "none"
    assert "below the indexing threshold" in str(lines["collection.docs.m"].why)
    assert lines["m"].value == "32"
    steps = patches(found, lines.values())
    assert list(steps) == ["qdrant-defaults:vectors"]


def test_a_value_for_all_reaches_what_is_indexed_and_one_of_its_own_wins(tmp_path: Path) -> None:
    found = facts(tmp_path, collection(50_000), collection(50_000, name="a.b"))
    lines = advice(found, "qdrant.m=32", "qdrant.collection.a.b.m=8", "qdrant.quantization=int8")
    assert lines["collection.docs.m"].value == "32" and lines["collection.a.b.m"].value == "8"
    steps = patches(found, lines.values())
    assert list(steps) == ["qdrant-defaults:vectors", "qdrant-snapshot:vectors.docs", "qdrant-collection:vectors.docs",
                           "qdrant-snapshot:vectors.a.b", "qdrant-collection:vectors.a.b"]  # fmt: skip
    int8 = {"scalar": {"type": "int8", "quantile": 0.99, "always_ram": True}}
    assert steps["qdrant-collection:vectors.docs"] == {"hnsw_config": {"m": 32}, "quantization_config": int8}
    assert any("about" in str(n) for n in lines["collection.docs.quantization"].notes)


def test_short_memory_moves_originals_to_a_fast_disk_and_only_there(tmp_path: Path) -> None:
    big = collection(1_000_000, 768)
    kept = {"collection.docs.quantization": "none", "collection.docs.on_disk": "off"}
    moved = {"collection.docs.quantization": "int8", "collection.docs.on_disk": "on"}
    for medium, grant, expected in [
        (Medium.NVME, 2 * GIB, moved), (Medium.SSD, 2 * GIB, moved), (Medium.HDD, 2 * GIB, kept), (None, 2 * GIB, kept),
        (Medium.NVME, 64 * GIB, kept),
    ]:  # fmt: skip
        lines = advice(facts(tmp_path, big, medium=medium), grant=grant)
        assert {k: lines[k].value for k in kept} == expected, (medium, grant)


def test_what_was_applied_is_kept_at_the_next_plan(tmp_path: Path) -> None:
    """A value that nftui wrote is no input to its own advice: moved originals do not move back as the memory fits."""
    config = {
        "params": {"vectors": {"size": 768, "distance": "Cosine", "on_disk": True}},
        "quantization_config": {"scalar": {"type": "int8", "quantile": 0.99, "always_ram": True}},
    }
    found = facts(tmp_path, collection(1_000_000, 768, config=config), medium=Medium.NVME)
    lines = advice(found, grant=3 * GIB)
    assert (lines["collection.docs.quantization"].value, lines["collection.docs.on_disk"].value) == ("int8", "on")
    assert "qdrant-snapshot:vectors.docs" not in patches(
        found, advice(found, "qdrant.collection.docs.m=16", "qdrant.collection.docs.ef_construct=100").values()
    )


def test_what_nftui_does_by_itself_is_no_change_of_the_server(tmp_path: Path) -> None:
    lines = advice(facts(tmp_path, collection(500)))
    assert not lines["recall_floor"].changes and not lines["snapshot"].changes
    assert "builds every index a second time" in str(lines["snapshot"].why)
    assert advice(facts(tmp_path), "qdrant.recall_floor=0.99")["recall_floor"].changes


def test_binary_needs_many_dimensions(tmp_path: Path) -> None:
    short, long = collection(50_000, 384), collection(50_000, 1536, name="long")
    with pytest.raises(UsageError, match="384 dimensions"):
        advice(facts(tmp_path, short), "qdrant.collection.docs.quantization=binary")
    lines = advice(facts(tmp_path, short, long), "qdrant.quantization=binary")
    assert lines["collection.docs.quantization"].value == "none"
    assert lines["collection.long.quantization"].value == "binary"


def test_parts_that_are_off_cost_no_days_and_change_nothing(tmp_path: Path) -> None:
    found = facts(tmp_path, collection(5_000_000), medium=Medium.NVME)
    whole = advice(found, grant=GIB)
    assert OPTIMIZATION.effort(found, tuple(whole.values())).high == 2.0
    sets = [f"qdrant.tune_{part}=off" for part in ("index", "quantization", "defaults")]
    lines = advice(found, *sets, grant=GIB)
    assert OPTIMIZATION.effort(found, tuple(lines.values())).high == 0
    assert not patches(found, lines.values()) and not OPTIMIZATION.fragment(found, tuple(lines.values())).services


def test_defaults_are_written_by_the_names_that_qdrant_reads(tmp_path: Path) -> None:
    more = "    cpus: 2"
    found = facts(tmp_path, env="{qdrant__storage__hnsw_index__m: '32'}", more=more)
    found = replace(found, host=replace(found.host, cpu=replace(found.host.cpu, logical=16)))
    lines = advice(found, "qdrant.full_scan_threshold=5000", "qdrant.search_threads=3")
    environment = OPTIMIZATION.fragment(found, tuple(lines.values())).services["vectors"]["environment"]
    assert environment == {
        "QDRANT__STORAGE__HNSW_INDEX__EF_CONSTRUCT": "128",
        "QDRANT__STORAGE__HNSW_INDEX__FULL_SCAN_THRESHOLD_KB": "5000",
        "QDRANT__STORAGE__PERFORMANCE__MAX_SEARCH_THREADS": "3",
    }
    # A quota is none of nftui's business there: Qdrant reads it itself.
    assert [lines[k].recommended for k in ("search_threads", "optimizer_cpus")] == ["0", "0"]
    assert lines["m"].kept and lines["m"].value == "32"
    chosen = advice(found, "qdrant.m=24")
    # Names are compared without regard to case: a second spelling would leave open which of them counts.
    written = OPTIMIZATION.fragment(found, tuple(chosen.values())).services["vectors"]["environment"]
    assert isinstance(written, dict) and written["qdrant__storage__hnsw_index__m"] == "24"


@pytest.mark.parametrize(
    ("env", "more", "version", "why"),
    [("{QDRANT__CLUSTER__ENABLED: 'true'}", "", "1.15.0", "node of a cluster"),
     ("{QDRANT__STORAGE__STORAGE_PATH: /elsewhere}", "", "1.15.0", "would lose them"),
     ("{}", "", "2.0.0", "versions 1.x are known")],
)  # fmt: skip
def test_what_must_not_be_touched_is_refused(tmp_path: Path, env: str, more: str, version: str, why: str) -> None:
    found = OPTIMIZATION.applies(facts(tmp_path, env=env, more=more, version=version))
    assert not found.applicable and why in str(found.reason)


def in_cluster(found: Facts, cluster: Cluster, **more: Any) -> Facts:
    """The same server as a node of that cluster; `more` of its first collection."""
    live = found.live[("vectors", ID)]
    assert isinstance(live.value, QdrantFacts)
    first, *others = live.value.collections
    value = replace(live.value, cluster=cluster, collections=(replace(first, **more), *others))
    return replace(found, live={("vectors", ID): replace(live, value=value)})


THREE = Cluster(1, {1: "http://one:6335/", 2: "http://two:6335/", 3: "http://three:6335/"}, leader=2)


def test_a_cluster_is_known_by_its_own_word_and_told_with_its_shards(tmp_path: Path) -> None:
    """Its configuration file can turn it on as well, where no variable tells."""
    alone = facts(tmp_path, collection(50_000))
    assert OPTIMIZATION.applies(alone).applicable
    replicas = tuple(Replica(shard, peer, "Active") for shard in range(2) for peer in (1 + shard, 3))
    found = OPTIMIZATION.applies(in_cluster(alone, THREE, shards=2, copies=2, replicas=replicas))
    assert not found.applicable
    assert "a node of a cluster of 3 (one, three, two (leads)): a snapshot holds" in str(found.reason)
    assert "Shards: docs: 2 x 2 (one: 0, three: 0 1, two: 1). For more shards" in str(found.reason)
    # Cluster mode of one node: all of its shards are its own, so a snapshot holds everything.
    single = facts(tmp_path, collection(50_000), env="{QDRANT__CLUSTER__ENABLED: 'true'}")
    assert OPTIMIZATION.applies(in_cluster(single, Cluster(1, {1: "http://one:6335/"}, leader=1))).applicable


@pytest.mark.parametrize(
    ("cluster", "states", "said"),
    [
        (THREE, ("Active", "Dead"), ["docs is not whole: shard 0 on two is Dead."]),
        (THREE, ("Active", "Partial"), ["docs is not whole: shard 0 on two is Partial."]),
        (THREE, ("Dead", "Dead"), ["shard 0 on one is Dead, 0 on two is Dead", "no whole copy of shard 0"]),
        (THREE, ("Active", "ActiveRead"), []),
        (replace(THREE, leader=None), ("Active", "Active"), ["No node leads"]),
        (replace(THREE, consensus="stopped"), ("Active", "Active"), ["consensus does not work: stopped"]),
        (replace(THREE, failing=("http://two:6335/",)), ("Active", "Active"), ["sent to http://two:6335/"]),
    ],
)
def test_what_keeps_a_cluster_from_being_whole_is_told(
    tmp_path: Path, cluster: Cluster, states: tuple[str, ...], said: list[str]
) -> None:
    replicas = tuple(Replica(0, peer, state) for peer, state in enumerate(states, 1))
    reason = str(OPTIMIZATION.applies(in_cluster(facts(tmp_path, collection(5)), cluster, replicas=replicas)).reason)
    assert all(words in reason for words in said)
    troubled = ("not whole", "No node", "does not work", "can be sent", "no whole copy")
    assert any(words in reason for words in troubled) == bool(said)


def test_one_node_says_what_sharding_would_need(tmp_path: Path) -> None:
    found = facts(tmp_path, collection(500), replace(collection(500, name="new"), aliases=("all",)))
    notes = [str(n) for n in advice(found)["m"].notes]
    assert any("Several nodes need cluster mode" in n for n in notes)
    assert "No alias leads to docs: apps that name a collection itself have to be told of a new one." in notes


def test_the_mission_preset_says_why_it_is_wrong_for_a_collection(tmp_path: Path) -> None:
    from nftui.optimizations.registry import load_registry

    found = facts(tmp_path, collection(500, name="few"), collection(50_000))
    wanted, _ = build_choices(load_registry(), preset="mission")
    lines = {a.knob: a for a in OPTIMIZATION.advise(found, wanted, {"vectors": Grant("vectors", GIB)})}
    assert [lines[f"collection.docs.{k}"].value for k in ("m", "ef_construct", "quantization")] == ["16", "200", "int8"]
    assert lines["collection.few.ef_construct"].value == "100"
    assert lines["ef_construct"].value == "200" and lines["full_scan_threshold"].value == "10000"


def test_knobs_of_collections_are_found_by_name() -> None:
    registry = {ID: OPTIMIZATION}
    assert parse_set(registry, "qdrant.collection.a.b.m=8") == (ID, None, "collection.a.b.m", "8")
    assert parse_set(registry, "qdrant@vectors.collection.docs.quantization=int8")[1] == "vectors"
    with pytest.raises(UsageError, match="out of bounds"):
        parse_set(registry, "qdrant.collection.docs.m=1000")


def test_a_quantile_in_single_precision_is_the_one_asked_for() -> None:
    kept = {"scalar": {"type": "int8", "quantile": 0.9900000095367432, "always_ram": True}}
    assert same(kept, {"scalar": {"type": "int8", "quantile": 0.99, "always_ram": True}})
    assert not same(kept, {"scalar": {"type": "int8", "quantile": 0.95, "always_ram": True}})


def test_a_newer_placement_beats_the_older_and_is_what_is_changed() -> None:
    """1.19 has `memory` beside on_disk; where a vector has both, a change of on_disk would do nothing."""
    config = read_config({"params": {"vectors": {"size": 8, "distance": "Dot", "on_disk": True, "memory": "cached"}}})
    assert config.effective("on_disk") == "false"
    patch = config.patch({"on_disk": "true"})
    assert patch == {"vectors": {"": {"memory": "cold"}}}
    assert config.way_back(patch) == {"vectors": {"": {"memory": "cached"}}}
    plain = read_config({"params": {"vectors": {"size": 8, "distance": "Dot"}}})
    assert plain.patch({"on_disk": "true"}) == {"vectors": {"": {"on_disk": True}}}


@pytest.mark.parametrize(
    ("vector", "quantization", "bytes_"),
    [
        ({"datatype": "float16"}, None, 2 * 128),
        ({"datatype": "uint8"}, {"scalar": {"type": "int8"}}, 128 + 128),
        ({}, {"product": {"compression": "x16"}}, 4 * 128 + 32),
        ({}, {"binary": {"encoding": "two_bits"}}, 4 * 128 + 32),
        ({}, {"binary": {"encoding": "one_bit"}}, 4 * 128 + 16),
        ({}, {"turbo": {}}, 4 * 128 + 64),
        ({}, {"turbo": {"bits": "bits1"}}, 4 * 128 + 16),
    ],
)
def test_memory_goes_by_how_the_vectors_are_stored(vector: dict[str, Any], quantization: Any, bytes_: int) -> None:
    config = {"params": {"vectors": {"size": 128, "distance": "Dot", **vector}}, "quantization_config": quantization,
              "hnsw_config": {}}  # fmt: skip
    assert rules.memory_bytes(indexed(1000, 128, config=config)) == 1000 * (bytes_ + 40)


def test_a_red_collection_is_left_alone_and_told(tmp_path: Path) -> None:
    found = facts(tmp_path, replace(collection(5_000_000), status="red", optimizer="no space left"))
    line = advice(found, grant=1024 * GIB)["collection.docs.m"]
    assert line.value == "16" and "It is red (no space left)" in str(line.why)
    assert advice(found, "qdrant.m=32", grant=1024 * GIB)["collection.docs.m"].value == "16"
    with pytest.raises(UsageError, match=r"docs.m = 32 is refused for vectors: It is red \(no space left\)"):
        advice(found, "qdrant.collection.docs.m=32")


def test_a_server_that_runs_and_cannot_be_asked_is_not_touched(tmp_path: Path) -> None:
    """A key that nftui does not know would be found out after the restart only."""
    found = facts(tmp_path)
    live = {("vectors", ID): Live(ID, "vectors", None, "GET /collections: status 401 (the key is missing or wrong)")}
    refused = OPTIMIZATION.applies(replace(found, live=live))
    assert not refused.applicable and "the key is missing or wrong" in str(refused.reason)


def test_a_collection_whose_recall_may_not_be_measured_is_left_alone_until_no_floor_is_asked(tmp_path: Path) -> None:
    found = facts(tmp_path, replace(collection(5_000_000), unmeasurable="search_allow_exact=false"))
    line = advice(found, grant=1024 * GIB)["collection.docs.m"]
    assert line.value == "16" and "search_allow_exact=false" in str(line.why)
    assert advice(found, "qdrant.recall_floor=0", grant=1024 * GIB)["collection.docs.m"].value == "24"


def thresholded(points: int, threshold: int | None, on_disk: bool | None, **more: Any) -> Collection:
    """Of 768 dimensions: 3 KB each."""
    place = {} if on_disk is None else {"on_disk": on_disk}
    config = {
        "params": {"vectors": {"size": 768, "distance": "Cosine", **place}},
        "optimizer_config": {"memmap_threshold": threshold}, **more,
    }  # fmt: skip
    return collection(points, 768, config=config)


@pytest.mark.parametrize(
    ("threshold", "on_disk", "moved"),
    [(3_000_000, None, True), (3_000_001, None, False), (0, None, False), (None, None, False),
     (3_000_000, False, False), (3_000_001, True, True)],
)  # fmt: skip
def test_originals_lie_where_the_threshold_says_unless_somebody_said_another_place(
    threshold: int | None, on_disk: bool | None, moved: bool
) -> None:
    one = thresholded(1_000_000, threshold, on_disk)
    (vector,) = one.index.vectors
    assert one.index.is_on_disk(vector, 1_000_000) is moved
    in_memory = rules.memory_bytes(one) > 768 * 4 * 1_000_000
    assert in_memory is not moved


@pytest.mark.parametrize(("medium", "kind"), [(Medium.NVME, "int8"), (Medium.HDD, "none")])
def test_what_a_threshold_has_moved_is_not_moved_again(tmp_path: Path, medium: Medium, kind: str) -> None:
    """Once said, a place cannot be unsaid: on the way back the originals would be read into the memory."""
    found = facts(tmp_path, thresholded(9_000_000, 20_000, None), medium=medium)
    lines = advice(found, grant=GIB)
    place = lines["collection.docs.on_disk"]
    assert (place.value, place.recommended, place.changes) == (None, None, False)
    assert "By memmap_threshold (20000 KB) its originals lie on the disk now." in str(place.why)
    assert lines["collection.docs.quantization"].value == kind
    patch = patches(found, lines.values()).get("qdrant-collection:vectors.docs", {})
    assert "vectors" not in patch and ("quantization_config" in patch) is (kind == "int8")


def test_beside_originals_that_the_threshold_leaves_in_memory_codes_take_more_of_it(tmp_path: Path) -> None:
    found = facts(tmp_path, thresholded(1_000_000, 9_000_000, None), medium=Medium.NVME)
    lines = advice(found, grant=2 * GIB)
    assert [lines[f"collection.docs.{k}"].value for k in ("quantization", "on_disk")] == ["none", None]
    assert "lie in memory now" in str(lines["collection.docs.quantization"].why)


def test_a_place_that_a_threshold_decides_is_refused_for_one_and_passed_by_for_all(tmp_path: Path) -> None:
    found = facts(tmp_path, thresholded(1_000_000, 20_000, None), medium=Medium.NVME)
    for word in ("on", "off"):
        assert advice(found, f"qdrant.on_disk={word}", grant=64 * GIB)["collection.docs.on_disk"].value is None
        with pytest.raises(UsageError, match=rf"on_disk = {word} is refused for vectors: By memmap_threshold"):
            advice(found, f"qdrant.collection.docs.on_disk={word}")
    # Without a threshold null means false, and what was said is its own.
    for threshold, on_disk in ((None, None), (0, None), (20_000, False)):
        other = facts(tmp_path, thresholded(1_000_000, threshold, on_disk), medium=Medium.NVME)
        lines = advice(other, "qdrant.collection.docs.on_disk=on", grant=64 * GIB)
        assert (lines["collection.docs.on_disk"].current, lines["collection.docs.on_disk"].value) == ("off", "on")


def test_a_place_that_nobody_chose_is_patched_only_where_no_threshold_decides() -> None:
    left = thresholded(10, 20_000, None).index
    assert left.effective("on_disk") is None and left.patch({"on_disk": "true"}) == left.patch({"on_disk": "false"})
    free = thresholded(10, None, None).index
    patch = free.patch({"on_disk": "true"})
    assert free.effective("on_disk") == "false" and patch == {"vectors": {"": {"on_disk": True}}}
    assert free.way_back(patch) == {"vectors": {"": {"on_disk": False}}} and not free.holds(patch)


def test_a_collection_that_no_thread_optimizes_is_left_alone_and_told(tmp_path: Path) -> None:
    found = facts(tmp_path, replace(collection(5_000_000), optimizes=False))
    line = advice(found, grant=1024 * GIB)["collection.docs.m"]
    assert line.value == "16" and "Its optimizers are switched off" in str(line.why)
    with pytest.raises(UsageError, match=r"docs.m = 32 is refused for vectors: Its optimizers are switched off"):
        advice(found, "qdrant.collection.docs.m=32")


@pytest.mark.parametrize(
    ("strict", "rule"),
    [
        ({"enabled": True, "read_rate_limit": 999}, "read_rate_limit=999"),
        ({"enabled": True, "read_rate_limit": 1000}, None),
        ({"enabled": True}, None),
        ({"enabled": False, "read_rate_limit": 10}, None),
        ({"enabled": True, "max_query_limit": 9, "read_rate_limit": 9}, "max_query_limit=9"),
    ],
)
def test_what_may_be_read_too_seldom_cannot_be_measured(strict: dict[str, Any], rule: str | None) -> None:
    assert unmeasurable({"strict_mode_config": strict}) == rule


def test_memory_of_a_collection() -> None:
    """1M x 768: 2.9 GiB of vectors, 134 MiB of graph at m 16, a quarter of the vectors as int8 (AI reference 2.5)."""
    one = collection(1_000_000, 768)
    plain = rules.memory_bytes(one)
    assert plain == 1_000_000 * (768 * 4 + 40) + int(1_000_000 * 16 * 8.8)
    moved = rules.memory_bytes(one, {"quantization": "int8", "on_disk": "true"})
    assert 0.25 * plain < moved < 0.32 * plain and moved > 900 * MIB


HNSW = st.dictionaries(
    st.sampled_from(["m", "ef_construct", "full_scan_threshold"]), st.integers(10, 500), max_size=3
)  # fmt: skip
QUANTIZED = st.sampled_from([
    None, {"scalar": {"type": "int8"}}, {"scalar": {"type": "int8", "quantile": 0.9, "memory": "cold"}},
    {"binary": {"always_ram": True}}, {"product": {"compression": "x16", "always_ram": False}},
])  # fmt: skip
VECTORS = st.dictionaries(
    st.sampled_from(["text", "image", "title"]),
    st.fixed_dictionaries(
        {"size": st.just(8), "distance": st.just("Dot"), "hnsw_config": HNSW, "quantization_config": QUANTIZED,
         "on_disk": st.sampled_from([True, False, None])}
    ), min_size=1,
)  # fmt: skip
WISHES = st.dictionaries(
    st.sampled_from(["m", "ef_construct"]), st.integers(4, 600).map(str), max_size=2
).flatmap(
    lambda hnsw: st.fixed_dictionaries(
        {}, optional={"quantization": st.sampled_from(["none", "int8", "binary"]),
                      "on_disk": st.sampled_from(["true", "false"]), "always_ram": st.sampled_from(["true", "false"]),
                      "quantile": st.sampled_from(["0.9", "0.99", "1"])}
    ).map(lambda more: {**hnsw, **more})
)  # fmt: skip


def patched(config: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """As the server does it."""

    def merged(part: dict[str, Any], diff: dict[str, Any]) -> dict[str, Any]:
        found = {**part, **{k: v for k, v in diff.items() if k == "on_disk"}}
        if "hnsw_config" in diff:
            found["hnsw_config"] = {**(part.get("hnsw_config") or {}), **diff["hnsw_config"]}
        if "quantization_config" in diff:
            asked = diff["quantization_config"]
            found["quantization_config"] = None if asked == "Disabled" else asked
        return found

    vectors = config["params"]["vectors"]
    diffs = patch.get("vectors", {})
    after = {name: merged(v, diffs.get(name, {})) for name, v in vectors.items()}
    return {**merged(config, patch), "params": {"vectors": after}}


def said(config: IndexConfig) -> IndexConfig:
    """Without a threshold a place that nobody chose is that of false, which it gets on the way back."""
    return replace(config, vectors=tuple(replace(v, on_disk=bool(v.on_disk)) for v in config.vectors))


@given(st.fixed_dictionaries({"m": st.integers(4, 64), "ef_construct": st.integers(4, 500),
                              "full_scan_threshold": st.integers(10, 99)}), QUANTIZED, VECTORS, WISHES)  # fmt: skip
def test_a_change_takes_for_every_vector_and_its_way_back_is_exact(
    hnsw: dict[str, int], quantization: Any, vectors: dict[str, Any], wanted: dict[str, str]
) -> None:
    config = {"params": {"vectors": vectors}, "hnsw_config": hnsw, "quantization_config": quantization}
    before = read_config(config)
    patch = before.patch(wanted)
    after = read_config(patched(config, patch))
    for name, text in wanted.items():
        nothing = {"none"} if name in CODES else set()
        assert {str(after.value(v, name)).lower() for v in after.vectors} - nothing <= {text}, name
    assert after.holds(patch) and not after.patch(wanted)
    back = before.way_back(patch)
    assert said(read_config(patched(patched(config, patch), back))) == said(before)
    assert before.holds(back) and (not patch or same(before.way_back(patch), back))


def test_what_is_done_to_an_index_is_told_with_its_step(tmp_path: Path) -> None:
    found = facts(tmp_path, indexed(200_000))
    lines = advice(found, "qdrant.m=32", "qdrant.quantization=int8", grant=1024 * GIB)
    steps = OPTIMIZATION.steps(found, OPTIMIZATION.fragment(found, tuple(lines.values())))
    said = next(str(s.summary) for s in steps if s.kind == "qdrant-collection")
    assert "index of docs in vectors: " in said and "m 16 to 32" in said and "quantization none to int8" in said
    assert "full_scan_threshold" not in said
