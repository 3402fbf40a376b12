"""What was applied is planned again with the same choices: nothing is left to do, and no data loses its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nftui.model.ai import QdrantFacts
from nftui.model.errors import UsageError
from nftui.model.facts import Facts, Live
from nftui.model.images import StoredImage
from nftui.model.postgres import PostgresFacts
from nftui.model.redis import RedisFacts
from nftui.model.stack import MountSpec
from tests.images.test_advice import CLUSTER, advised
from tests.images.test_advice import facts as database
from tests.images.test_minor_lines import declared, on
from tests.images.test_next_lines import facts, planned

TARGETS = {"db": "/var/lib/postgresql/data", "cache": "/data", "charts": "/var/lib/grafana",
           "vectors": "/qdrant/storage"}  # fmt: skip
WANTED = {
    "db": ("postgres:13", "postgres:13.22", "postgres:15.4"),
    "cache": ("redis:7.2.4", "redis:7.2.9", "redis:7.4.2"),
    "charts": ("grafana/grafana:9.5.2", "grafana/grafana:9.5.9", "grafana/grafana:10.4.7"),
    "vectors": ("qdrant/qdrant:v1.12.4", "qdrant/qdrant:v1.12.6", "qdrant/qdrant:v1.13.6"),
    "files": ("shop/files:1.2", "shop/files:1.3", "shop/files:1.4"),
}
"""Service to what its files name, another of the same line, and one of the next."""


def running(found: Facts, name: str, image: str, version: str, *, tags: bool = True, volume: str = "") -> Facts:
    """By that image, of an id that begins with a digit; the engine has its tag, or that was taken from it."""
    ident = f"sha256:{version.replace('.', '')}abc"
    mounts = (MountSpec("volume", volume, TARGETS[name], host_path="/v/moved"),) if volume else None
    services = tuple(
        replace(s, containers=tuple(
            replace(c, image=image, image_id=ident, mounts=c.mounts if mounts is None else mounts) for c in s.containers
        )) if s.name == name else s for s in found.stack.services
    )  # fmt: skip
    repository = next(s.image for s in found.stack.services if s.name == name).rpartition(":")[0]  # type: ignore[union-attr]
    own = (f"{repository}:{version}", f"{repository}:{version.partition('.')[0]}") if tags else ()
    stored = StoredImage(ident, (*own, f"nftui-kept/p-{name}:99ab"))
    told = {"db": ("postgres", PostgresFacts(int(version.partition(".")[0]) * 10000, version)),
            "cache": ("redis", RedisFacts(version, config={"appendonly": "yes", "dir": "/data"})),
            "vectors": ("qdrant", QdrantFacts(version, ()))}  # fmt: skip
    live = {(name, told[name][0]): Live(told[name][0], name, told[name][1])} if name in told else {}
    known = {ident: stored, **dict.fromkeys(own, stored)}
    return replace(found, stack=replace(found.stack, services=services), live={**found.live, **live},
                   stored={**found.stored, **known})  # fmt: skip


def before(tmp_path: Path, name: str) -> Facts:
    """As the operator made it."""
    found = database(tmp_path) if name in ("db", "files") else facts(tmp_path)
    image = WANTED[name][0]
    version = "13.4" if name == "db" else image.rpartition(":")[2].removeprefix("v")
    return running(found, name, image, version)


def after(found: Facts, name: str, keys: dict[str, object], *, tags: bool) -> Facts:
    """As that was applied."""
    image = str(keys.get("image", WANTED[name][0]))
    container = next(s.running for s in found.stack.services if s.name == name)
    assert container is not None
    at = image if not image.startswith("sha256:") else container.image
    version = at.rpartition(":")[2].removeprefix("v")
    mounts = keys.get("volumes")
    volume = str(mounts[0]["source"]) if isinstance(mounts, list) else ""
    return running(found, name, image, "13.4" if version == "13" else version, tags=tags, volume=volume)


@pytest.mark.parametrize("tags", [True, False])
@pytest.mark.parametrize("value", ["", "pin", "stay", "files", "same", "next"])
@pytest.mark.parametrize("name", WANTED)
def test_a_second_plan_is_empty(tmp_path: Path, name: str, value: str, tags: bool) -> None:
    found, values = before(tmp_path, name), {"files": 0, "same": 1, "next": 2}
    chosen = {name: WANTED[name][values[value]] if value in values else value} if value else {}
    written, moved = planned(found, **chosen)
    assert (name in moved) == (value == "next" and name != "files")
    now = after(found, name, written.get(name, {}), tags=tags)
    again, further = planned(now, **chosen)
    assert again.get(name) == written.get(name) and name not in further


@pytest.mark.parametrize("tags", [True, False])
@pytest.mark.parametrize("name", WANTED)
def test_what_was_moved_keeps_its_place_whatever_is_chosen_next(tmp_path: Path, name: str, tags: bool) -> None:
    """Pinned, it is known by a digest; what lies in the place of the files is fenced."""
    wanted = WANTED[name][2]
    written, _ = planned(before(tmp_path, name), **{name: wanted})
    place = written[name].get("volumes")
    now = after(before(tmp_path, name), name, written[name], tags=tags)
    pinned, moved = planned(now, **{name: "pin"})
    assert str(pinned[name]["image"]).startswith("sha256:") and pinned[name].get("volumes") == place and not moved
    ident = str(pinned[name]["image"])
    version = wanted.rpartition(":")[2].removeprefix("v")
    volume = str(place[0]["source"]) if isinstance(place, list) else ""
    then = running(now, name, ident, version, tags=tags, volume=volume)
    for chosen in ({name: "pin"}, {name: ident}):
        written, moved = planned(then, **chosen)
        assert written[name] == pinned[name] and not moved
    written, moved = planned(then)
    assert written.get(name, {}).get("volumes") == place and not moved
    if place:
        with pytest.raises(UsageError, match="nftui rollback"):
            planned(then, **{name: "stay"})


@pytest.mark.parametrize(("tags", "volume"), [(True, "p_charts-10.4"), (False, "p_charts-10.4"), (False, "p_own")])
@pytest.mark.parametrize("files", ["grafana/grafana:9.5.2", "grafana/grafana:9", "grafana/grafana:latest"])
def test_a_pinned_grafana_stays_on_its_data(tmp_path: Path, files: str, tags: bool, volume: str) -> None:
    """Nobody tells its version but tags and the name of its place; unknown is not the same as unknown."""
    found = running(declared(facts(tmp_path), "charts", files), "charts", "sha256:1047abc", "10.4.7", tags=tags,
                    volume=volume)  # fmt: skip
    mount = {"type": "volume", "source": volume, "target": TARGETS["charts"]}
    for chosen in ({"charts": "pin"}, {"charts": "sha256:1047abc"}):
        written, moved = planned(found, **chosen)
        assert written["charts"] == {"image": "sha256:1047abc", "volumes": [mount]} and not moved
    assert planned(found)[0]["charts"]["volumes"] == [mount] and not planned(found)[1]
    for value in ("stay", files):
        with pytest.raises(UsageError, match=r"nftui rollback|nobody can tell"):
            planned(found, charts=value)


@pytest.mark.parametrize(
    ("tag", "told"),
    [("grafana/grafana:10.4.7", True), ("grafana/grafana:10.4.7-ubuntu", True), ("nftui-kept/p-charts:10ab", False),
     ("other/charts:11.0.1", False), ("grafana/grafana:main", False)],
)  # fmt: skip
def test_a_tag_of_the_same_image_tells_what_a_digest_does_not(tmp_path: Path, tag: str, told: bool) -> None:
    digest = f"grafana/grafana@sha256:{'9' * 64}"
    found = on(facts(tmp_path), "charts", "p_charts", digest)
    found = replace(found, stored={"sha256:charts": StoredImage("sha256:charts", (tag, "grafana/grafana:10"))})
    notes = " ".join(map(str, advised(found, charts="pin")["charts"].notes))
    assert f"version {'10.4.7' if told else '10'}." in notes


def test_digits_of_an_id_are_no_version(tmp_path: Path) -> None:
    found = running(facts(tmp_path), "charts", "sha256:95abc", "9.5", tags=False)
    assert "It runs version" not in " ".join(map(str, advised(found, charts="pin")["charts"].notes))
    with pytest.raises(UsageError, match="nobody can tell"):
        planned(found, charts="grafana/grafana:10.4.7")


@pytest.mark.parametrize(
    ("name", "files", "image", "version"),
    [
        ("cache", "redis:7.0.15", "redis:7.2.4", "7.2.4"), ("cache", "redis:7.0.15", "sha256:724abc", "7.2.4"),
        ("cache", "redis:6.2", "redis:7.2.4", "7.2.4"), ("charts", "grafana/grafana:10.1.0",
        "grafana/grafana:10.4.7", "10.4.7"), ("charts", "grafana/grafana:9", "grafana/grafana:10.4.7", "10.4.7"),
        ("vectors", "qdrant/qdrant:v1.12.4", "qdrant/qdrant:v1.13.6", "1.13.6"),
        ("cache", "shop/redis:7.0.15", "shop/redis:7.2.4", "7.2.4"),
    ],
)  # fmt: skip
def test_files_that_name_less_than_has_written_their_data_are_not_gone_back_to(
    tmp_path: Path, name: str, files: str, image: str, version: str
) -> None:
    """An older nftui changed minor versions in place: Redis 7.0 does not load what a 7.2 saved."""
    found = running(declared(facts(tmp_path), name, files), name, image, version)
    for value in ("stay", files):
        with pytest.raises(UsageError, match="cannot read that"):
            planned(found, **{name: value})
    line = advised(found)[name]
    due = files == "grafana/grafana:9"  # what is due after it is what runs already
    assert line.value == ("grafana/grafana:10.4.7" if due else "pin")
    assert due or "cannot read that" in " ".join(map(str, line.notes))
    written, moved = planned(found)
    assert "image" in written[name] and "volumes" not in written[name] and not moved


@pytest.mark.parametrize(
    ("files", "image", "version"),
    [
        ("redis:6.0.20", "redis:6.2.14", "6.2.14"), ("redis:7.2.1", "redis:7.2.4", "7.2.4"),
        ("redis:7", "redis:7.2.4", "7.2.4"), ("redis:latest", "sha256:724abc", "7.2.4"),
        ("redis:7.0", "redis:7.0", "7.2.4"), ("shop/redis:1.4", "shop/redis:1.5", "7.2.4"),
    ],
)  # fmt: skip
def test_files_that_read_what_was_written_may_be_gone_back_to(
    tmp_path: Path, files: str, image: str, version: str
) -> None:
    found = running(declared(facts(tmp_path), "cache", files), "cache", image, version, tags=False)
    for value in ("stay", files):
        assert planned(found, cache=value) == ({}, {})


@pytest.mark.parametrize(
    ("name", "files", "volume"),
    [("cache", "redis:7.4.2", "p_cache-7.4"), ("charts", "grafana/grafana:10.4.7", "p_charts-10.4"),
     ("db", "postgres:15.4", "p_db-15")],
)  # fmt: skip
def test_files_that_were_brought_up_to_date_do_not_take_the_data_back(
    tmp_path: Path, name: str, files: str, volume: str
) -> None:
    """The place that they name is as it was left behind, fenced, whatever version they name by now."""
    version = files.rpartition(":")[2]
    found = database(tmp_path, cluster=replace(CLUSTER, version_num=150004)) if name == "db" else facts(tmp_path)
    found = running(declared(found, name, files), name, files, version, volume=volume)
    mount = {"type": "volume", "source": volume, "target": TARGETS[name]}
    assert planned(found, **{name: files})[0][name] == {"volumes": [mount]}
    for chosen in ({}, {name: "pin"}):
        written, moved = planned(found, **chosen)
        assert written[name]["volumes"] == [mount] and not moved
    with pytest.raises(UsageError, match="nftui rollback"):
        planned(found, **{name: "stay"})


def test_text_that_was_restored_for_another_c_library_stays_there(tmp_path: Path) -> None:
    found = database(tmp_path, db="postgres:15-alpine")
    written, moved = planned(found, db="postgres:15-bookworm")
    assert moved["db"].target["name"] == "p_db-15-bookworm"
    now = running(found, "db", "postgres:15-bookworm", "15.4", volume="p_db-15-bookworm")
    for value in ("postgres:15-bookworm", "postgres:15.9-bookworm", "pin"):
        keys, further = planned(now, db=value)
        assert keys["db"]["volumes"] == written["db"]["volumes"] and not further
    assert planned(now, db="postgres:15-alpine")[1]["db"].source["name"] == "p_db-15-bookworm", "restored once more"


@pytest.mark.parametrize(("version", "told"), [("18.1", True), ("17.2", False)])
def test_a_pinned_18_is_told_where_its_data_is(tmp_path: Path, version: str, told: bool) -> None:
    """By what runs: the digits of an id are no version, and nobody kept the tag."""
    volume = f"p_db-{version.partition('.')[0]}"
    found = database(tmp_path, db="postgres:16")
    found = running(found, "db", f"postgres@sha256:{'1' * 64}", version, tags=False, volume=volume)
    keys = planned(found, db="pin")[0]["db"]
    assert keys.get("environment") == ({"PGDATA": TARGETS["db"]} if told else None)


@pytest.mark.parametrize("moved", [True, False])
@pytest.mark.parametrize("name", ["db", "cache", "charts", "vectors"])
def test_a_server_that_stands_still_keeps_its_place(tmp_path: Path, name: str, moved: bool) -> None:
    """Its container tells where its data is; what the files name would start on what was left behind."""
    image = WANTED[name][2 if moved else 0]
    version = "13.4" if image == "postgres:13" else image.rpartition(":")[2].removeprefix("v")
    place = planned(before(tmp_path, name), **{name: WANTED[name][2]})[0][name]["volumes"]
    volume = str(place[0]["source"]) if moved and isinstance(place, list) else ""
    now = running(before(tmp_path, name), name, image, version, volume=volume)
    services = tuple(
        replace(s, containers=tuple(replace(c, state="exited") for c in s.containers)) if s.name == name else s
        for s in now.stack.services
    )
    still = replace(now, stack=replace(now.stack, services=services), live={})
    for chosen in ({}, {name: "pin"}, *([{name: image}] if moved else [])):
        written, switched = planned(still, **chosen)
        assert written.get(name, {}).get("volumes") == (place if moved else None) and not switched
    further = {"db": "postgres:17", "cache": "redis:8.2", "charts": "grafana/grafana:11.6.1",
               "vectors": "qdrant/qdrant:v1.14.1"}  # fmt: skip
    with pytest.raises(UsageError, match="start it first"):
        planned(still, **{name: further[name]})
