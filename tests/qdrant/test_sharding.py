"""Shards behind an alias: what is advised, what is refused, and what is planned for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nftui.engine.persist import Persistence
from nftui.engine.planner import Standing, draft
from nftui.engine.state import InForce
from nftui.model.advice import Assertion, Fragment
from nftui.model.ai import Collection, QdrantFacts
from nftui.model.choices import Selection
from nftui.model.errors import UsageError
from nftui.model.facts import Facts, Live
from nftui.model.plan import Draft, Undo
from nftui.model.shards import Cluster, Replica
from nftui.model.stack import Container, Service
from nftui.optimizations.qdrant import OPTIMIZATION
from nftui.optimizations.qdrant.knobs import ID
from nftui.presets import build_choices
from nftui.steps.comparators import COMPARATORS
from tests.checks.build import read
from tests.qdrant.test_advice import collection, facts

STACK = """
services:
  q1: {image: "qdrant/qdrant:v1.15.0", volumes: ["a:/qdrant/storage"]}
  q2: {image: "qdrant/qdrant:v1.15.0", volumes: ["b:/qdrant/storage"]}
  app: {image: "example/app", environment: {QDRANT_URL: "http://q2:6333", NAME: %s}}
  late: {image: "example/app", depends_on: [q1]}
  other: {image: "example/app", environment: {DATABASE_URL: "postgres://db/x"}}
volumes: {a: {}, b: {}}
"""
PEERS = {1: "http://q1:6335/", 2: "http://q2:6335/"}


def clustered(tmp_path: Path, named: str = "all", **more: Any) -> Facts:
    found = read(tmp_path, STACK % named)
    services = tuple(replace(s, containers=(running(s),)) for s in found.stack.services)
    replicas = tuple(Replica(0, 1 + n, "Active") for n in range(more.get("copies", 1)))
    docs = replace(collection(1000), **{"aliases": ("all",), "replicas": replicas, **more})
    plain = collection(10, name="plain")
    live = {
        (name, ID): Live(ID, name, QdrantFacts("1.15.0", (docs, plain), cluster=Cluster(peer, PEERS, 1)))
        for name, peer in (("q1", 1), ("q2", 2))
    }
    return replace(found, stack=replace(found.stack, services=services), live=live)


def running(service: Service) -> Container:
    return Container(service.name, service.name, service.name, 1, "running", None, "i", "i")


def planned(found: Facts, *sets: str, off: bool = False, in_force: InForce | None = None) -> Draft:
    directory = Path(found.stack.invocation.directory)
    keep = Persistence("none", str(directory / "compose.nftui.yaml"), str(directory / ".env"), None)
    choices, _ = build_choices({ID: OPTIMIZATION}, sets=sets)
    choices = choices.select(ID, Selection.OFF) if off else choices
    return draft(found, choices, {ID: OPTIMIZATION}, Standing(in_force or InForce(), "/nonexistent/state", keep))


def test_a_spread_is_told_and_stays_until_somebody_asks_for_another(tmp_path: Path) -> None:
    found = planned(clustered(tmp_path), "qdrant.recall_floor=0.9")
    (plan,) = found.optimizations
    lines = {line.knob: line for line in plan.advice}
    shards, replicas = lines["alias.all.shards"], lines["alias.all.replicas"]
    assert (shards.value, shards.recommended, shards.changes) == ("1", "4", False)
    assert (replicas.value, replicas.recommended) == ("1", "2") and "cannot be found" in str(replicas.why)
    assert "a node of a cluster of 2 (q1 (leads), q2). Shards: docs: 1 (q1: 0); plain: 1." in str(shards.notes[0])
    assert not found.stages and not plan.effort.high and not any("collection." in knob for knob in lines)
    assert "q2 is left as it is: q2 is a node of the cluster for which q1 speaks." in [str(w) for w in found.warnings]


def test_a_spread_that_is_asked_for_is_one_commit_point_that_recreates_nothing(tmp_path: Path) -> None:
    found = planned(clustered(tmp_path), "qdrant.alias.all.shards=4", "qdrant.alias.all.replicas=2")
    (stage,) = found.stages
    assert stage.commit_point and not found.files and stage.switch is not None
    assert [s.kind for s in stage.steps] == ["qdrant-shards", "hold", "qdrant-import", "qdrant-alias", "release"]
    by_kind = {s.kind: s for s in stage.steps}
    assert by_kind["hold"].params["services"] == ["app", "late"]
    assert by_kind["qdrant-shards"].params == {"old": "docs", "new": "docs-s4r2", "shards": 4, "copies": 2}
    alias = by_kind["qdrant-alias"]
    assert alias.params["aliases"] == ["all"] and alias.params["nodes"] == ["q1", "q2"]
    assert alias.undo_after_write is Undo.CARRY_BACK and not alias.lossy
    assert stage.switch.stopped == ("app", "late") and found.downtime_s > 0
    assert found.optimizations[0].effort.high == 0.5
    kept = next(f for f in found.fragments if f.optimization == ID)
    assert kept.values == {"q1": {"alias.all.replicas": "2", "alias.all.shards": "4"}} and not kept.services


def test_what_lies_as_it_shall_is_not_copied_again(tmp_path: Path) -> None:
    wanted = ("qdrant.alias.all.shards=4", "qdrant.alias.all.replicas=2")
    there = clustered(tmp_path, name="docs-s4r2", shards=4, copies=2)
    assert not planned(there, *wanted).stages
    again = planned(there, "qdrant.alias.all.shards=6").stages[0].steps[0]
    assert again.params["new"] == "docs-s6r2", "a name does not grow with each copy"


def test_a_name_that_is_taken_is_not_used(tmp_path: Path) -> None:
    found = clustered(tmp_path)
    value = found.live[("q1", ID)].value
    assert isinstance(value, QdrantFacts)
    more = replace(value, collections=(*value.collections, collection(1, name="docs-s4r1")))
    found = replace(found, live={**found.live, ("q1", ID): Live(ID, "q1", more)})
    assert planned(found, "qdrant.alias.all.shards=4").stages[0].steps[0].params["new"] == "docs-s4r1-2"


@pytest.mark.parametrize(
    ("sets", "more", "why"),
    [
        (("alias.docs.shards=4",), {}, "it has no such alias (known: all)"),
        (("alias.all.replicas=3",), {}, "there are 2 nodes"),
        (("alias.all.shards=4",), {"replicas": (Replica(0, 1, "Dead"),)}, "docs is not whole: shard 0 on q1 is Dead"),
        (("alias.all.shards=4",), {"named": "docs"}, "app names the collection docs itself"),
        (("alias.all.shards=4",), {"optimizes": False}, "the optimizers of docs are switched off"),
        (("alias.all.shards=4", "alias.too.shards=5"), {"aliases": ("all", "too")}, "given different values"),
    ],
)  # fmt: skip
def test_a_spread_that_cannot_be_kept_is_refused(
    tmp_path: Path, sets: tuple[str, ...], more: dict[str, Any], why: str
) -> None:
    with pytest.raises(UsageError) as caught:
        planned(clustered(tmp_path, **more), *(f"qdrant.{one}" for one in sets))
    assert why in str(caught.value.message)


def test_one_node_refuses_and_says_what_it_would_need(tmp_path: Path) -> None:
    alone = facts(tmp_path, replace(collection(500), aliases=("all",)))
    with pytest.raises(UsageError, match=r"it is one node.*QDRANT__CLUSTER__ENABLED=true on each.*--bootstrap"):
        planned(alone, "qdrant.alias.all.shards=4")


def test_what_lies_elsewhere_is_not_switched_off(tmp_path: Path) -> None:
    kept = InForce(1, fragments=(Fragment(ID, {}, {"q1": {"alias.all.shards": "4"}}),))
    refused = planned(clustered(tmp_path, shards=4), off=True, in_force=kept).refusals
    assert any("put data of q1 elsewhere" in str(r) and "nftui rollback" in str(r) for r in refused)
    kept = InForce(1, fragments=(Fragment(ID, {}, {"q1": {"collection.docs.m": "4"}}),))
    assert not planned(clustered(tmp_path), off=True, in_force=kept).refusals


def test_both_aliases_of_a_collection_go_with_it(tmp_path: Path) -> None:
    found = planned(clustered(tmp_path, aliases=("all", "too")), "qdrant.alias.too.shards=4")
    alias = next(s for s in found.stages[0].steps if s.kind == "qdrant-alias")
    assert alias.params["aliases"] == ["all", "too"]


def test_another_spread_behind_the_alias_is_drift() -> None:
    docs = Collection("docs-s4r2", "green", shards=4, copies=2, aliases=("all",))
    assertion = Assertion(
        "qdrant-alias", "q1.alias.all.shards", "4", {"service": "q1", "alias": "all", "name": "shards"}
    )
    comparator = COMPARATORS["qdrant-alias"]

    def live(*collections: Collection) -> Any:
        return lambda service, probe: Live(probe, service, QdrantFacts("1.15.0", collections))

    assert comparator.same(assertion, live(docs))
    assert not comparator.same(assertion, live(replace(docs, shards=2)))
    assert comparator.read(assertion, live(replace(docs, shards=2))) == "2"
    assert comparator.read(assertion, live()) is None
