"""Versions within a major whose data an older one does not read: a copy, and no copy where nobody needs one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nftui.engine.consent import untimed
from nftui.model.errors import UsageError
from nftui.model.facts import Facts, Live
from nftui.model.host import Mount
from nftui.model.images import StoredImage
from nftui.model.plan import Stage, StepSpec
from nftui.model.redis import RedisFacts
from nftui.model.stack import Engine, MountSpec
from nftui.optimizations.images import OPTIMIZATION
from tests.engine.test_consent import draft
from tests.images.test_advice import advised, fragment
from tests.images.test_advice import facts as advice_facts
from tests.images.test_next_lines import VOLUMES, facts, planned

PLACES = {"cache": "/data", "charts": "/var/lib/grafana"}


def tagged(found: Facts, image: str, version: str) -> Facts:
    """The engine has that image, and it says which version it holds."""
    stored = StoredImage(f"sha256:{image}", (image,), environment={"REDIS_VERSION": version})
    return replace(found, stored={**found.stored, image: stored})


def on(found: Facts, name: str, volume: str, image: str = "") -> Facts:
    """Its container runs on that volume, and by that image."""
    mount = MountSpec("volume", volume, PLACES[name], host_path="/v/moved")
    services = tuple(
        replace(s, containers=tuple(replace(c, mounts=(mount,), image=image or c.image) for c in s.containers))
        if s.name == name else s for s in found.stack.services
    )  # fmt: skip
    return replace(found, stack=replace(found.stack, services=services))


def declared(found: Facts, name: str, image: str) -> Facts:
    """The operator's files name that image; what runs is as it was."""
    services = tuple(replace(s, image=image) if s.name == name else s for s in found.stack.services)
    return replace(found, stack=replace(found.stack, services=services))


@pytest.mark.parametrize(
    ("name", "running", "wanted", "volume"),
    [
        ("cache", "7.0.15", "redis:7.2.4", "p_cache-7.2"), ("cache", "7.2.4", "redis:7.4-alpine", "p_cache-7.4"),
        ("cache", "7.4.2", "redis:8.0", "p_cache-8.0"), ("cache", "8.0.3", "redis:8.2.1", "p_cache-8.2"),
        ("cache", "7.2.4", "redis:7.2.7", None), ("cache", "6.0.20", "redis:6.2.14", None),
        ("cache", "6.2.14", "redis:7", "p_cache-7"), ("charts", "10.1.0", "grafana/grafana:10.4.7", "p_charts-10.4"),
        ("charts", "10.4.2", "grafana/grafana:10.4.7", None),
        ("charts", "10", "grafana/grafana:10.4.7", "p_charts-10.4"),
    ],
)  # fmt: skip
def test_what_an_older_one_could_not_read_any_more_goes_over_on_a_copy(
    tmp_path: Path, name: str, running: str, wanted: str, volume: str | None
) -> None:
    """Redis 7.2 does not start on what a 7.4 saved (RDB 12), so the way back needs the former files."""
    found = facts(tmp_path, redis=running) if name == "cache" else facts(tmp_path, grafana=running)
    written, moved = planned(found, **{name: wanted})
    assert written[name]["image"] == wanted and ("volumes" in written[name]) == bool(volume)
    assert (moved[name].target["name"] if name in moved else None) == volume
    assert name not in moved or moved[name].source["name"] == f"p_{VOLUMES[name]}"


@pytest.mark.parametrize(("name", "wanted"), [("cache", "redis:7.2.9"), ("charts", "grafana/grafana:10.3.1")])
def test_a_way_back_within_a_major_is_the_rollback(tmp_path: Path, name: str, wanted: str) -> None:
    found = facts(tmp_path, redis="7.4.1", grafana="10.4.2")
    volume = {"cache": "p_cache-7.4", "charts": "p_charts-10.4"}[name]
    with pytest.raises(UsageError, match="nftui rollback"):
        planned(on(found, name, volume), **{name: wanted})
    # Where no run moved it, there is none to be taken back.
    with pytest.raises(UsageError, match="is older than its data") as caught:
        planned(found, **{name: wanted})
    assert "rollback" not in str(caught.value)


def test_a_tag_that_leaves_the_minor_open_is_refused_until_its_image_tells_it(tmp_path: Path) -> None:
    found = facts(tmp_path, redis="7.2.4")
    with pytest.raises(UsageError, match="name one in the tag, or pull it first"):
        planned(found, cache="redis:7-alpine")
    assert planned(tagged(found, "redis:7-alpine", "7.2.9"), cache="redis:7-alpine")[1] == {}
    assert planned(tagged(found, "redis:7-alpine", "7.4.1"), cache="redis:7-alpine")[1]["cache"].target == {
        "type": "volume", "name": "p_cache-7.4"
    }  # fmt: skip
    # What the image says of something else is nothing about its tag.
    with pytest.raises(UsageError, match="name one in the tag"):
        planned(tagged(found, "redis:7-alpine", "6.2.1"), cache="redis:7-alpine")
    down = replace(found, stack=replace(found.stack, services=tuple(
        replace(s, image="redis:7", containers=()) if s.name == "cache" else s for s in found.stack.services
    )))  # fmt: skip
    with pytest.raises(UsageError, match="start it first"):
        planned(down, cache="redis:7-alpine")


@pytest.mark.parametrize("value", ["pin", "stay", "redis:7"])
def test_a_floating_tag_that_means_another_minor_by_now_moves_nothing(tmp_path: Path, value: str) -> None:
    """What runs has written the data, whatever was pulled since."""
    found = tagged(declared(facts(tmp_path, redis="7.2.4"), "cache", "redis:7"), "redis:7", "7.4.1")
    written, moved = planned(found, cache=value)
    assert not moved and written == ({"cache": {"image": "sha256:cache"}} if value == "pin" else {})


@pytest.mark.parametrize(("value", "moves"), [("redis:7", False), ("pin", False), ("redis:7.4.9", True)])
def test_data_that_was_moved_under_the_majors_name_stays_there(tmp_path: Path, value: str, moves: bool) -> None:
    """A generation of before knew `redis:7` as one line; the files still say 6.2."""
    now = on(facts(tmp_path, redis="7.2.4"), "cache", "p_cache-7", "redis:7")
    found = tagged(declared(now, "cache", "redis:6.2"), "redis:7", "7.2.4")
    written, moved = planned(found, cache=value)
    volumes = written["cache"]["volumes"]
    assert isinstance(volumes, list) and volumes[0]["source"] == ("p_cache-7.4" if moves else "p_cache-7")
    assert bool(moved) == moves and (not moves or moved["cache"].source["name"] == "p_cache-7")


@pytest.mark.parametrize("value", ["redis:7.4", "pin"])
def test_a_tag_that_tells_another_version_than_its_image_holds_moves_nothing_more(tmp_path: Path, value: str) -> None:
    now = on(facts(tmp_path, redis="8.0.3"), "cache", "p_cache-7.4", "redis:7.4")
    stored = StoredImage("sha256:cache", ("redis:7.4",))
    found = replace(declared(now, "cache", "redis:7.2"), stored={"redis:7.4": stored})
    assert not planned(found, cache=value)[1]
    elsewhere = on(found, "cache", "p_cache-own", "redis:7.4")
    assert not planned(elsewhere, cache=value)[1], "what runs stays where its data is, whatever that is called"


def test_the_image_that_runs_is_of_the_line_that_runs(tmp_path: Path) -> None:
    """A tag without a minor, of an image that does not tell it: the server does."""
    now = on(facts(tmp_path, redis="8.0.3"), "cache", "p_cache-8", "redis:8")
    stored = StoredImage("sha256:cache", ("redis:8",))
    found = replace(declared(now, "cache", "redis:7.2"), stored={"redis:8": stored})
    assert not planned(found, cache="redis:8")[1]
    with pytest.raises(UsageError, match="nobody can tell"):
        planned(replace(found, stored={"redis:8": replace(stored, id="sha256:another")}), cache="redis:8")


def test_files_whose_tag_tells_no_line_do_not_say_what_lies_in_their_place(tmp_path: Path) -> None:
    """The files' volume was left behind, fenced: what `redis:7` means by now says nothing of it."""
    now = on(facts(tmp_path, redis="7.4.1"), "cache", "p_cache-7.4", "redis:7.4")
    found = tagged(declared(now, "cache", "redis:7"), "redis:7", "7.4.1")
    assert planned(found)[0]["cache"]["volumes"] == planned(found, cache="redis:7.4.2")[0]["cache"]["volumes"]
    assert not planned(found, cache="redis:7.4.2")[1]
    with pytest.raises(UsageError, match="nobody can tell"):
        planned(found, cache="stay")


def checks(found: Facts, **chosen: str) -> dict[str | None, StepSpec]:
    return {s.service: s for s in OPTIMIZATION.steps(found, fragment(found, **chosen)) if s.kind == "image-check"}


def test_what_an_app_changes_for_good_is_consented_to(tmp_path: Path) -> None:
    found = advice_facts(tmp_path)
    step = checks(found, files="shop/files:1.3")["files"]
    assert step.lossy and "what it changes in /files stays when it is taken back" in str(step.summary)
    stage = Stage("apply", (step,), ("files",), ())
    assert untimed(draft(stage)) == [stage], "no timer takes that back"
    others = checks(found, files="pin", web="pin", cache="redis:7")
    assert set(others) == {"files", "web", "cache"} and not any(s.lossy for s in others.values())
    assert advised(found, files="shop/files:1.3")["files"].changes


@pytest.mark.parametrize(
    ("device", "mounts", "told"),
    [
        ("/mnt/ssd/pg", ("/", "/mnt/ssd"), True), ("/srv/pg", ("/", "/mnt/ssd"), False), ("", ("/", "/mnt/ssd"), False),
        ("tmpfs", ("/", "/mnt/ssd"), False), ("/srv/pg", ("/", "/var/lib/docker"), True),
    ],
)  # fmt: skip
def test_data_that_leaves_its_disk_is_told(tmp_path: Path, device: str, mounts: tuple[str, ...], told: bool) -> None:
    found = advice_facts(tmp_path)
    options = {"driver_opts": {"type": "none", "o": "bind", "device": device}} if device else {}
    stack = replace(found.stack, volumes={"data": {"name": "p_data", **options}})
    host = replace(found.host, mounts=tuple(Mount(path, "ext4", None, None, None) for path in mounts))
    found = replace(found, stack=stack, host=host, engine=Engine("27", "id", data_root="/var/lib/docker"))
    for value, moves in (("postgres:15", True), ("postgres:13.22", False)):
        notes = " ".join(map(str, advised(found, db=value)["db"].notes))
        assert ("below /var/lib/docker/volumes instead, on another disk" in notes) == (told and moves)


@pytest.mark.parametrize(
    ("wanted", "replica", "why"),
    [
        ("redis:7.4", None, "1 replicas follow cache"), ("redis:7.4", "7.2.9", "bring each to 7.4 first"),
        ("redis:7.4", "7.4.0", None), ("redis:8.0", "7.4.0", "bring each to 8.0 first"), ("redis:8", "8.2.1", None),
        ("redis:7.2.9", None, None),
    ],
)  # fmt: skip
def test_a_replica_goes_before_its_master(tmp_path: Path, wanted: str, replica: str | None, why: str | None) -> None:
    """An older one cannot load what it is sent, and would stand there with nothing."""
    found = facts(tmp_path, redis="7.2.4")
    live = {("cache", "redis"): replace(
        found.live[("cache", "redis")],
        value=RedisFacts("7.2.4", config={"appendonly": "yes", "dir": "/data"}, replicas=1),
    )}  # fmt: skip
    beside = next(s for s in found.stack.services if s.name == "cache")
    services = found.stack.services if replica is None else (*found.stack.services, replace(beside, name="copy"))
    if replica is not None:
        live[("copy", "redis")] = Live("redis", "copy", RedisFacts(replica, role="slave"))
    found = replace(found, live={**found.live, **live}, stack=replace(found.stack, services=services))
    if why is None:
        assert planned(found, cache=wanted)[0]["cache"]["image"] == wanted
    else:
        with pytest.raises(UsageError, match=why):
            planned(found, cache=wanted)


@pytest.mark.parametrize(
    ("master", "counts"),
    [(None, True), ("cache", True), ("172.20.0.5", True), ("others", False), ("172.20.0.9", False), ("far", False)],
)
def test_another_masters_replica_is_none_of_this_one(tmp_path: Path, master: str | None, counts: bool) -> None:
    """The master's own replica is outside of the stack, and may be of any version."""
    found = facts(tmp_path, redis="7.2.4")
    cache = next(s for s in found.stack.services if s.name == "cache")
    own = replace(cache, containers=(replace(cache.containers[0], addresses={"p_default": "172.20.0.5"}),))
    services = tuple(own if s.name == "cache" else s for s in found.stack.services)
    services = (*services, *(replace(cache, name=name) for name in ("others", "copy")))
    live = {
        ("cache", "redis"): RedisFacts("7.2.4", config={"appendonly": "yes", "dir": "/data"}, replicas=1),
        ("others", "redis"): RedisFacts("7.4.0", replicas=1),
        ("copy", "redis"): RedisFacts("7.4.0", role="slave", master=master),
    }
    found = replace(found, live={key: Live("redis", key[0], value) for key, value in live.items()},
                    stack=replace(found.stack, services=services))  # fmt: skip
    if counts:
        assert planned(found, cache="redis:7.4")[0]["cache"]["image"] == "redis:7.4"
    else:
        with pytest.raises(UsageError, match="name its new image in your files and recreate it"):
            planned(found, cache="redis:7.4")
