"""What is rehearsed before a switch, and what the plan says where nothing can be: no engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nftui.engine.protocols import Prepares
from nftui.model.ai import Collection, QdrantFacts
from nftui.model.errors import UsageError
from nftui.model.facts import Facts, Live
from nftui.model.images import StoredImage
from nftui.model.plan import StepSpec
from nftui.model.redis import RedisFacts
from nftui.model.shards import Cluster
from nftui.model.stack import Engine
from nftui.optimizations.images import OPTIMIZATION
from tests.images import test_next_lines as next_lines
from tests.images.test_advice import advised, facts, fragment

SAVING = RedisFacts("6.2.1", config={"appendonly": "no", "save": "3600 1"})


def steps(found: Facts, **chosen: str) -> list[StepSpec]:
    assert isinstance(OPTIMIZATION, Prepares)
    return [s for s in OPTIMIZATION.prepare(found, fragment(found, **chosen)) if s.kind != "image"]


def notes(found: Facts, name: str, value: str) -> str:
    return " ".join(map(str, advised(found, **{name: value})[name].notes))


@pytest.mark.parametrize("image", ["redis:7", "redis:6.2.14"])
def test_a_redis_is_rehearsed_on_a_copy_whether_its_data_moves_or_not(tmp_path: Path, image: str) -> None:
    found = facts(tmp_path, redis=SAVING)
    (step,) = steps(found, cache=image)
    assert (step.id, step.kind, step.target, step.service) == (
        "rehearsal:cache", "redis-rehearsal", "p_cache-rehearsal", "cache"
    )  # fmt: skip
    assert step.params["source"] == {"type": "volume", "name": "p_keys"} and step.params["inside"] == "/data"
    assert step.params["got"] == "image:cache" and step.params["image"] == image
    assert step.last_back and not step.downtime_s
    kinds = [s.kind for s in OPTIMIZATION.prepare(found, fragment(found, cache=image))]  # type: ignore[attr-defined]
    assert kinds[-1] == "redis-rehearsal", "it is tried before it is on the engine"
    assert f"by what runs now and by {image}" in notes(found, "cache", image)


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    found = facts(tmp_path, redis=SAVING)
    assert not steps(found, cache="redis:7", rehearse="off")
    assert fragment(found, cache="redis:7", rehearse="off").values["cache"]["rehearse"] == "off"
    assert "rehearse" not in fragment(found, cache="redis:7").values["cache"]


@pytest.mark.parametrize(
    ("redis", "words"),
    [
        (RedisFacts("6.2.1", config={"appendonly": "no", "save": ""}), "it writes nothing to its disk"),
        (RedisFacts("6.2.1", mode="cluster"), "one of several servers"),
        (RedisFacts("6.2.1", role="slave"), "one of several servers"),
    ],
)
def test_a_redis_of_which_a_copy_tells_nothing_is_not(tmp_path: Path, redis: RedisFacts, words: str) -> None:
    found = facts(tmp_path, redis=redis)
    assert not steps(found, cache="redis:6.2.14") and words in notes(found, "cache", "redis:6.2.14")


@pytest.mark.parametrize("image", ["grafana/grafana:10.4.7", "grafana/grafana:9.5.9"])
def test_a_grafana_is_rehearsed_on_a_copy_of_its_database(tmp_path: Path, image: str) -> None:
    found = next_lines.facts(tmp_path)
    (step,) = steps(found, charts=image)
    assert (step.id, step.kind, step.target) == ("rehearsal:charts", "grafana-rehearsal", "p_charts-rehearsal")
    assert step.params["source"] == {"type": "volume", "name": "p_charts"} and step.params["file"] == "grafana.db"
    assert step.params["inside"] == "/var/lib/grafana" and step.last_back and not step.downtime_s
    assert f"its database is migrated by what runs now and by {image}" in notes(found, "charts", image)
    assert not steps(found, charts=image, rehearse="off")
    remapped = replace(found, engine=Engine("27", "id", userns_remap=True))
    assert not steps(remapped, charts=image)
    assert "where nftui cannot copy it exactly" in notes(remapped, "charts", image)


def test_a_grafana_whose_database_is_a_servers_is_not(tmp_path: Path) -> None:
    found = next_lines.with_ini(tmp_path, "[database]\ntype = mysql\nhost = db:3306\n")
    assert not steps(found, charts="grafana/grafana:9.5.9")
    told = notes(found, "charts", "grafana/grafana:9.5.9")
    assert "No rehearsal" in told and "What the new version changes at its start in /var/lib/grafana, db stays" in told


def with_qdrant(tmp_path: Path, value: QdrantFacts | None) -> Facts:
    found = next_lines.facts(tmp_path)
    live = Live("qdrant", "vectors", value, None if value else "key refused")
    return replace(found, live={**found.live, ("vectors", "qdrant"): live})


@pytest.mark.parametrize("image", ["qdrant/qdrant:v1.13.6", "qdrant/qdrant:v1.12.6"])
def test_a_qdrant_is_rehearsed_on_snapshots_that_it_makes(tmp_path: Path, image: str) -> None:
    found = with_qdrant(tmp_path, QdrantFacts("1.12.4", (Collection("docs", "yellow", shards=2),)))
    (step,) = steps(found, vectors=image)
    assert (step.id, step.kind, step.target) == ("rehearsal:vectors", "qdrant-rehearsal", "p_vectors-rehearsal")
    assert step.params["source"] == {"type": "volume", "name": "p_vectors"} and step.last_back
    assert (step.params["inside"], step.params["collections"]) == ("/qdrant/storage", "collections")
    assert f"what runs now and {image} recover them without a network" in notes(found, "vectors", image)
    assert not steps(found, vectors=image, rehearse="off")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "cannot be asked for snapshots"),
        (QdrantFacts("1.12.4", (Collection("docs", "red"), Collection("b", "green"))), "No rehearsal: docs failed in"),
        (QdrantFacts("1.12.4", cluster=Cluster(1, {1: "http://a", 2: "http://b"})), "one of several servers"),
    ],
)  # fmt: skip
def test_a_qdrant_of_which_a_copy_tells_nothing_is_not(tmp_path: Path, value: QdrantFacts | None, words: str) -> None:
    found = with_qdrant(tmp_path, value)
    assert not steps(found, vectors="qdrant/qdrant:v1.12.6")
    assert words in notes(found, "vectors", "qdrant/qdrant:v1.12.6")


def test_an_engine_whose_data_is_out_of_reach_rehearses_nothing(tmp_path: Path) -> None:
    found = replace(facts(tmp_path, redis=SAVING), engine=Engine("27", "id", rootless=True))
    assert not steps(found, cache="redis:6.2.14")
    assert "where nftui cannot copy it exactly" in notes(found, "cache", "redis:6.2.14")


def test_a_postgres_of_the_same_major_is_tried_on_a_server_of_its_own(tmp_path: Path) -> None:
    found = facts(tmp_path)
    (step,) = steps(found, db="postgres:13.22")
    assert (step.kind, step.params["flags"]) == ("pg-try", ["max_connections", "work_mem"])
    assert "cannot be copied as files" in notes(found, "db", "postgres:13.22")
    assert steps(found, db="postgres:13.22", rehearse="off") == [step], "an order of text is no rehearsal"


@pytest.mark.parametrize("wanted", ["postgres:13.22", "postgres:13-alpine"])
def test_text_that_nobody_compares_comes_to_no_other_library(tmp_path: Path, wanted: str) -> None:
    with pytest.raises(UsageError, match="sorts text"):
        steps(facts(tmp_path, cluster=None), db=wanted)
    blind = facts(tmp_path, db="postgres:13.1-bullseye", cluster=None)
    assert not steps(blind, db="postgres:13.22-bullseye")
    assert "cannot be asked" in notes(blind, "db", "postgres:13.22-bullseye")


def test_a_dump_is_its_own_rehearsal(tmp_path: Path) -> None:
    found = facts(tmp_path)
    assert not steps(found, db="postgres:15")
    assert "Dump and restore are their own rehearsal" in notes(found, "db", "postgres:15")


def test_what_runs_already_is_not_tried(tmp_path: Path) -> None:
    found = facts(tmp_path, redis=SAVING)
    assert not steps(found, cache="pin") and "ehearsal" not in notes(found, "cache", "pin")
    same = replace(found, stored={"redis:6.2.14": StoredImage("sha256:cache1")})
    assert not steps(same, cache="redis:6.2.14")


def test_where_there_is_no_rehearsal_the_plan_says_why(tmp_path: Path) -> None:
    found = facts(tmp_path)
    told = notes(found, "files", "shop/files:1.3")
    assert "nftui does not know how it keeps its data" in told and "at its start in /files stays" in told
    found = facts(tmp_path, environment="SITE: x")
    assert "ehears" not in notes(found, "web", "shop/web:2"), "it keeps nothing"
    assert not steps(found, files="shop/files:1.3", web="shop/web:2")
