"""Grafana, Qdrant and Redis to their next lines: what is planned, and that they go one step at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nftui.engine.protocols import MovesData
from nftui.model.advice import Fragment
from nftui.model.ai import Collection, QdrantFacts
from nftui.model.choices import Choices, Selection
from nftui.model.errors import UsageError
from nftui.model.facts import Facts, Live
from nftui.model.plan import DataSwitch
from nftui.model.redis import RedisFacts
from nftui.model.stack import Container, MountSpec
from nftui.optimizations.images import OPTIMIZATION
from tests.checks.build import read

STACK = """
services:
  charts: {{image: "grafana/grafana:{grafana}", volumes: ["charts:/var/lib/grafana"], environment: {{{charts}}}}}
  vectors: {{image: "qdrant/qdrant:v{qdrant}", volumes: ["vectors:/qdrant/storage"]}}
  cache: {{image: "redis:{redis}", volumes: ["keys:/data"]}}
  web: {{image: "shop/web:1.2", environment: {{REDIS_URL: "redis://cache", QDRANT_URL: "http://vectors:6333"}}}}
volumes: {{charts: {{}}, vectors: {{}}, keys: {{}}}}
"""
PLACES = {"charts": "/var/lib/grafana", "vectors": "/qdrant/storage", "cache": "/data"}
GRAFANA = {"path": "grafana.db", "block": "directory", "needed": "yes"}
QDRANT = {"path": "raft_state.json", "block": "directory", "needed": "yes"}
COUNTED = {"charts": ("grafana-count", "grafana-count"), "vectors": ("qdrant-count", "qdrant-count"),
           "cache": ("redis-save", "redis-count")}  # fmt: skip
VOLUMES = {"charts": "charts", "vectors": "vectors", "cache": "keys"}


def facts(
    tmp_path: Path, grafana: str = "9.5.2", qdrant: str = "1.12.4", redis: str = "7.2.4", charts: str = ""
) -> Facts:
    """A running stack of those versions; the Redis keeps a log."""
    found = read(tmp_path, STACK.format(grafana=grafana, qdrant=qdrant, redis=redis, charts=charts))
    services = tuple(
        replace(
            s, containers=(Container(s.name, s.name, s.name, 1, "running", None, s.image or "", f"sha256:{s.name}",
            mounts=tuple(MountSpec("volume", f"p_{VOLUMES[n]}", PLACES[n], host_path=f"/v/{n}") for n in (s.name,)
                         if n in PLACES), networks=("p_default",)),)
        )
        for s in found.stack.services
    )  # fmt: skip
    volumes = {name: {"name": f"p_{name}"} for name in VOLUMES.values()}
    live = {("cache", "redis"): Live("redis", "cache", RedisFacts(redis, config={"appendonly": "yes", "dir": "/data"}))}
    stack = replace(found.stack, name="p", services=services, volumes=volumes)
    return replace(found, stack=stack, live=live, images=frozenset())


def with_ini(tmp_path: Path, text: str, charts: str = "") -> Facts:
    """The Grafana has this configuration mounted."""
    found = facts(tmp_path, charts=charts)
    (tmp_path / "grafana.ini").write_text(text)
    mount = MountSpec("bind", str(tmp_path / "grafana.ini"), "/etc/grafana/grafana.ini", read_only=True)
    services = tuple(
        replace(s, mounts=(*s.mounts, mount)) if s.name == "charts" else s for s in found.stack.services
    )  # fmt: skip
    return replace(found, stack=replace(found.stack, services=services))


def planned(found: Facts, **chosen: str) -> tuple[dict[str, dict[str, object]], dict[str, DataSwitch]]:
    """What is written of each service, and where its data goes. Raises UsageError."""
    part = fragment(found, **chosen)
    assert isinstance(OPTIMIZATION, MovesData)
    moved = {s.service: s for s in OPTIMIZATION.switches(found, part)}
    return {name: dict(keys) for name, keys in part.services.items()}, moved


def fragment(found: Facts, **chosen: str) -> Fragment:
    """What these values bring. Raises UsageError."""
    choices = Choices({"images": Selection.ON}, {("images", None, name): value for name, value in chosen.items()})
    return OPTIMIZATION.fragment(found, OPTIMIZATION.advise(found, choices, {}))


@pytest.mark.parametrize(
    ("name", "wanted", "volume", "fence"),
    [
        ("charts", "grafana/grafana:10.4.7", "p_charts-10.4", GRAFANA),
        ("vectors", "qdrant/qdrant:v1.13.6", "p_vectors-1.13", QDRANT),
        ("cache", "redis:8", "p_cache-8", {"path": "appendonlydir", "block": "file"}),
    ],
)
def test_the_next_line_runs_on_a_copy_and_the_old_data_is_fenced(
    tmp_path: Path, name: str, wanted: str, volume: str, fence: dict[str, str]
) -> None:
    written, moved = planned(facts(tmp_path), **{name: wanted})
    mount = {"type": "volume", "source": volume, "target": PLACES[name]}
    assert written == {name: {"image": wanted, "volumes": [mount]}}
    switch = moved[name]
    assert (switch.source["name"], switch.target["name"]) == (f"p_{VOLUMES[name]}", volume)
    assert switch.dump is None and dict(switch.fence) == fence
    assert name == "charts" or "web" in (switch.writers or ()), "who writes to it goes on"
    before, again = COUNTED[name]
    assert [s.kind for s in switch.ease] == [before]
    found = facts(tmp_path)
    steps = OPTIMIZATION.steps(found, fragment(found, **{name: wanted}))
    assert [s.kind for s in steps] == ["image-check", again]
    assert steps[1].params["saved"] == switch.ease[0].id
    if name == "charts":
        assert (switch.ease[0].params["place"], steps[1].params["place"]) == (switch.source, switch.target)


@pytest.mark.parametrize(
    ("name", "wanted", "words"),
    [
        ("charts", "grafana/grafana:11.2.0", "from 9.5 to 11.2 are several"),
        ("vectors", "qdrant/qdrant:v1.14.0", "from 1.12 to 1.14 are several"),
        ("vectors", "qdrant/qdrant:v1.11.0", "cannot read that data any more"),
        ("charts", "grafana/grafana:8.5.0", "cannot read that data any more"),
        ("cache", "redis:6", "cannot read that data any more"),
    ],
)
def test_several_lines_at_once_and_a_way_back_are_refused(tmp_path: Path, name: str, wanted: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        planned(facts(tmp_path), **{name: wanted})


@pytest.mark.parametrize(
    ("name", "wanted"), [("charts", "grafana/grafana:9.5.9"), ("vectors", "qdrant/qdrant:v1.12.6")]
)
def test_a_fix_within_the_line_moves_nothing(tmp_path: Path, name: str, wanted: str) -> None:
    written, moved = planned(facts(tmp_path), **{name: wanted})
    assert written == {name: {"image": wanted}} and not moved


@pytest.mark.parametrize(
    ("charts", "place"),
    [
        ("GF_DATABASE_TYPE: postgres, GF_DATABASE_HOST: 'db:5432'", "db"), ("GF_DATABASE_TYPE: mysql", "mysql"),
        ("GF_DATABASE_URL: 'postgres://u@db/grafana'", "postgres"),
        ("GF_DATABASE_PATH: /elsewhere/g.db", "/elsewhere/g.db"),
    ],
)  # fmt: skip
def test_a_grafana_whose_database_is_elsewhere_goes_by_its_manual(tmp_path: Path, charts: str, place: str) -> None:
    """Its directory would be copied, and its database changed for good: the way back would be none."""
    with pytest.raises(UsageError, match=f"changes what it keeps in {place}, and nftui cannot bring that back"):
        planned(facts(tmp_path, charts=charts), charts="grafana/grafana:10.4.7")
    written, moved = planned(facts(tmp_path, charts=charts), charts="grafana/grafana:9.5.9")
    assert written == {"charts": {"image": "grafana/grafana:9.5.9"}} and not moved


@pytest.mark.parametrize(
    ("ini", "place"),
    [
        ("[database]\ntype = mysql\nhost = db:3306 ; ours\n", "db"),
        ("[server]\ntype = mysql\n[ database ]\n;type = sqlite3\nurl = \"postgres://u:not-a-secret@db/g\"\n",
         "postgres"),
        ("[database]\ntype = $__env{KIND}\nhost=${PLACE}\n", "far"), ("[database]\npath = /data/g.db\n", "/data/g.db"),
    ],
)  # fmt: skip
def test_a_mounted_configuration_that_names_another_database_is_seen(tmp_path: Path, ini: str, place: str) -> None:
    found = with_ini(tmp_path, ini, "KIND: postgres, PLACE: 'far:5432'")
    with pytest.raises(UsageError, match=f"what it keeps in {place}, and nftui cannot bring that back") as error:
        planned(found, charts="grafana/grafana:10.4.7")
    assert "not-a-secret" not in str(error.value)


@pytest.mark.parametrize(
    ("ini", "charts"),
    [
        ("[database]\nhost = db:5432\npath = grafana.db\n[other]\ntype = mysql\n", ""),
        ("[database]\n#type = mysql\ntype = sqlite3 ; a file\npath = /var/lib/grafana/grafana.db\n", ""),
        ("[database]\ntype = mysql\n", "GF_DATABASE_TYPE: sqlite3"), ("", "GF_PATHS_DATA: /var/lib/grafana/"),
    ],
)  # fmt: skip
def test_a_mounted_configuration_that_keeps_it_in_its_directory_moves_it(tmp_path: Path, ini: str, charts: str) -> None:
    _, moved = planned(with_ini(tmp_path, ini, charts), charts="grafana/grafana:10.4.7")
    assert moved["charts"].fence["path"] == "grafana.db"


def test_a_database_that_a_secret_file_names_is_taken_for_another_one(tmp_path: Path) -> None:
    found = facts(tmp_path, charts="GF_DATABASE_URL__FILE: /run/secrets/url")
    with pytest.raises(UsageError, match="what it keeps in GF_DATABASE_URL__FILE"):
        planned(found, charts="grafana/grafana:10.4.7")


def test_a_data_directory_of_its_own_is_found(tmp_path: Path) -> None:
    """It is no mount here: what lies at the usual place is not its data."""
    with pytest.raises(UsageError, match="/srv/charts of charts is on no mount of its own"):
        planned(facts(tmp_path, charts="GF_PATHS_DATA: /srv/charts"), charts="grafana/grafana:10.4.7")


@pytest.mark.parametrize(
    "charts", ["GF_DATABASE_TYPE: sqlite3", "GF_DATABASE_PATH: grafana.db", "PG: 'postgres://u@db/shop'"]
)
def test_a_grafana_that_only_draws_from_a_database_moves_its_own(tmp_path: Path, charts: str) -> None:
    _, moved = planned(facts(tmp_path, charts=charts), charts="grafana/grafana:10.4.7")
    assert set(moved) == {"charts"}


def test_the_downtime_of_a_qdrant_follows_its_vectors(tmp_path: Path) -> None:
    def predicted(*points: int) -> float:
        collections = tuple(Collection(f"c{n}", "green", points=p, dimensions=768) for n, p in enumerate(points))
        found = facts(tmp_path)
        live = Live("qdrant", "vectors", QdrantFacts("1.12.4", collections))
        found = replace(found, live={**found.live, ("vectors", "qdrant"): live})
        return planned(found, vectors="qdrant/qdrant:v1.13.6")[1]["vectors"].downtime_s

    assert predicted() < 10
    assert predicted(1_000_000, 500_000) > 2 * predicted(500_000) > 30
