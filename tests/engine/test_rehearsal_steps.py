"""An image tried on a copy: what is counted, what is refused, and that nothing is left wherever it is cut off."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nftui.engine.journal import Phase, read_journal
from nftui.model.images import StoredImage
from nftui.model.plan import Stage
from nftui.model.stack import MountSpec
from nftui.steps.rehearse_qdrant import QdrantRehearsalKind
from tests.engine.data_world import contents
from tests.engine.grafana_world import FILE, grafana_stage, new_grafana_world
from tests.engine.images_world import NEW, UnwrappingTrees
from tests.engine.qdrant_rehearsal_world import (
    QdrantRehearsalWorld,
    collection,
    new_qdrant_rehearsal_world,
    qdrant_stage,
)
from tests.engine.rehearsal_world import COPY, RehearsalWorld, new_rehearsal_world, rehearsal_stage
from tests.engine.test_data_switch import OLD as AS_OLD
from tests.engine.test_data_switch import WHERE, _die, _recover, run


def nothing_is_left(world: RehearsalWorld, original: dict[str, bytes]) -> None:
    assert world.now() == AS_OLD and contents(world.root / "old") == original
    assert not (world.root / COPY).exists() and not world.mounts
    assert COPY not in [a.name for a in world.context().artefacts.list()]
    if isinstance(world, QdrantRehearsalWorld):
        assert world.snapshots == {"a b": {"theirs": b"x"}, "docs": {}}, "a copy of the server's own"


Bed = tuple[Callable[[Path], RehearsalWorld], Callable[[], Stage]]
REDIS: Bed = (new_rehearsal_world, rehearsal_stage)
GRAFANA: Bed = (new_grafana_world, grafana_stage)
QDRANT: Bed = (new_qdrant_rehearsal_world, qdrant_stage)


def rehearse(base: Path, /, bed: Bed = REDIS, **how: Any) -> tuple[RehearsalWorld, str | None]:
    """The world after one run, and why it went back."""
    world = bed[0](base)
    for name, value in how.items():
        setattr(world, name, value)
    original = contents(world.root / "old")
    outcome = run(world, base / "j", (bed[1](),))
    nothing_is_left(world, original)
    assert not [e for e in world.effects if e.startswith(("stop", "up", "policy"))], "the service was touched"
    return world, outcome.reason if outcome else None


def test_both_images_load_the_copy_and_it_goes(tmp_path: Path) -> None:
    world, reason = rehearse(tmp_path)
    assert reason is None
    assert [e for e in world.effects if e.startswith("serve")] == ["serve sha", "serve new-sha"]
    assert "save" in world.effects, "the snapshot on its disk may be of yesterday"
    notes = [e.data["text"] for e in read_journal(tmp_path / "j") if e.phase is Phase.NOTE]
    assert any(f"{NEW} read 11 keys of a copy of db" in str(note) for note in notes)


def test_a_log_that_is_on_holds_everything_already(tmp_path: Path) -> None:
    world, reason = rehearse(tmp_path, log_on=True)
    assert reason is None and "save" not in world.effects


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"broken": "new-sha"}, f"{NEW} does not start on a copy of the data of db: * Reading RDB | # Can't handle RDB "
                                "format version 12 | # Fatal error loading the DB."),
        ({"broken": "sha"}, "What db runs now does not start on a copy of its data, so nothing can be rehearsed"),
        ({"never": "new-sha"}, f"{NEW} does not start on a copy"),
        ({"reads": {"db0": (3, 0)}}, "than what runs now: db0 3 of 10; db3 0 of 1."),
        ({"used": 2 << 30, "free": 1 << 30}, "takes up to 3 GiB of memory, and 1 GiB are free"),
        ({"rewrites": 99}, "could not be copied while it runs: its files were written anew meanwhile"),
        ({"status": "err"}, "could not save"),
    ],
)  # fmt: skip
def test_what_goes_wrong_ends_the_run_before_anything_is_touched(
    tmp_path: Path, how: dict[str, Any], words: str
) -> None:
    _, reason = rehearse(tmp_path, **how)
    assert reason is not None and words in reason and "images.rehearse=off" in reason


def test_keys_that_pass_meanwhile_are_not_missed(tmp_path: Path) -> None:
    assert rehearse(tmp_path, reads={"db0": (8, 0), "db3": (1, 0)})[1] is None


def test_a_copy_during_which_a_file_was_replaced_is_made_again(tmp_path: Path) -> None:
    world, reason = rehearse(tmp_path, rewrites=12)
    assert reason is None and world.effects.count("copying rows") + world.effects.count("copying soft") > 1


def test_too_little_room_is_told_with_the_way_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UnwrappingTrees, "room", lambda self, path: (4096, 1000))
    _, reason = rehearse(tmp_path)
    assert reason is not None and "has 4096 bytes" in reason and "images.rehearse=off" in reason


def test_what_a_stranger_keeps_there_stays(tmp_path: Path) -> None:
    world = new_rehearsal_world(tmp_path)
    (world.root / COPY).mkdir()
    (world.root / COPY / "theirs").write_text("x")
    outcome = run(world, tmp_path / "j", (rehearsal_stage(),))
    assert outcome is not None and "is not empty" in outcome.reason
    assert (world.root / COPY / "theirs").read_text() == "x"


def test_it_runs_as_the_service_does_and_takes_what_the_new_image_brings(tmp_path: Path) -> None:
    world = new_rehearsal_world(tmp_path)
    assert world.container
    mounts = (*world.container.mounts, MountSpec("bind", "/c/r.conf", "/r.conf", host_path="/c/r.conf"),
              MountSpec("bind", "/run/docker.sock", "/d.sock", host_path="/run/docker.sock"))  # fmt: skip
    world.container = replace(
        world.container, mounts=mounts, command=("redis-server", "/r.conf"), image_command=("redis-server",),
        entrypoint=("entry",), environment={"REDIS_VERSION": "6", "PASSWORD": "not-a-secret"}, memory_limit_bytes=77,
    )  # fmt: skip
    find, world.stored["sha"] = world.find, "sha"

    def found(reference: str) -> StoredImage | None:
        image = find(reference)
        return replace(image, environment={"REDIS_VERSION": "6"}, entrypoint=("entry",)) if image else None

    world.find = found  # type: ignore[method-assign]
    assert run(world, tmp_path / "j", (rehearsal_stage(),)) is None
    for server in world.started:
        assert server.command == ("redis-server", "/r.conf") and server.entrypoint == ()
        assert server.environment == {"PASSWORD": "not-a-secret"}, "a variable of the old image"
        assert server.reads == {"/r.conf": "/c/r.conf"}, "the engine's own socket is nothing to read"
        assert server.memory_bytes == 77


# -- Grafana -------------------------------------------------------------------------------------------------------
def test_a_grafana_is_migrated_on_a_copy_by_both_images(tmp_path: Path) -> None:
    """A table that the new one drops says nothing, nor does a login in small letters."""
    world, reason = rehearse(tmp_path, GRAFANA)
    assert reason is None
    assert [e for e in world.effects if e.startswith("serve")] == ["serve sha", "serve new-sha"]
    notes = [str(e.data["text"]) for e in read_journal(tmp_path / "j") if e.phase is Phase.NOTE]
    assert any(f"{NEW} read 2 dashboards, 0 data sources, 0 alert rules, 2 users of a copy of db" in n for n in notes)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"broken": "new-sha"}, f"{NEW} does not start on a copy of the data of db: "),
        ({"broken": "sha"}, "What db runs now does not start on a copy of its data, so nothing can be rehearsed"),
        ({"never": "new-sha"}, f"{NEW} does not start on a copy"),
        ({"migration": ("DELETE FROM dashboard WHERE title = 'Hosts'",)}, "than what runs now: dashboard 1 of 2 "
                                                                          "(without Hosts)."),
        ({"migration": ("INSERT INTO migration_log VALUES ('move folders', 0)",)}, "now: migration move folders."),
        ({"migration": ("DROP TABLE migration_log", "DROP TABLE dashboard", "CREATE TABLE dashboard (n)")},
         f"{NEW} does not read a copy of the data of db: "),
        ({"used": 2 << 30, "free": 1 << 30}, "takes up to 3 GiB of memory, and 1 GiB are free"),
        ({"free": 1 << 20}, "takes up to 256 MiB of memory"),
        ({"closed": True}, "Only root can speak with it."),
    ],
)  # fmt: skip
def test_what_goes_wrong_with_a_grafana_ends_the_run_before_anything_is_touched(
    tmp_path: Path, how: dict[str, Any], words: str
) -> None:
    _, reason = rehearse(tmp_path, GRAFANA, **how)
    assert reason is not None and words in reason and "images.rehearse=off" in reason


def test_a_grafana_that_keeps_its_database_elsewhere_is_told(tmp_path: Path) -> None:
    world = new_grafana_world(tmp_path)
    (world.root / "old" / FILE).unlink()
    outcome = run(world, tmp_path / "j", (grafana_stage(),))
    assert outcome is not None and f"holds no {FILE}" in outcome.reason and "images.rehearse=off" in outcome.reason
    assert not (world.root / COPY).exists()


def test_a_database_that_is_locked_for_long_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nftui.clients.grafana._BUSY_S", 0.1)
    world = new_grafana_world(tmp_path)
    original = contents(world.root / "old")
    with closing(sqlite3.connect(world.root / "old" / FILE)) as other:
        other.execute("BEGIN EXCLUSIVE")
        outcome = run(world, tmp_path / "j", (grafana_stage(),))
    assert outcome is not None and "database is locked" in outcome.reason and "images.rehearse=off" in outcome.reason
    nothing_is_left(world, original)


def test_a_grafana_starts_without_what_needs_a_network(tmp_path: Path) -> None:
    world = new_grafana_world(tmp_path)
    assert world.container
    given = {"GF_INSTALL_PLUGINS": "clock", "GF_PLUGINS_PREINSTALL_SYNC": "clock", "GF_SERVER_PROTOCOL": "https",
             "GF_UNIFIED_ALERTING_HA_PEERS": "other:9094", "GF_SERVER_HTTP_PORT__FILE": "/p",
             "GF_SECURITY_X": "1"}  # fmt: skip
    world.container = replace(world.container, environment=given)
    assert run(world, tmp_path / "j", (grafana_stage(),)) is None
    for server in world.started:
        found = dict(server.environment)
        assert found.pop("GF_SECURITY_X") == "1" and found.pop("GF_PLUGINS_PREINSTALL_DISABLED") == "true"
        assert found["GF_INSTALL_PLUGINS"] == "" and found["GF_SERVER_PROTOCOL"] == "http"
        assert not [n for n in found if "HA_" in n or "SYNC" in n or "__FILE" in n]
    assert set(world.asked_of) == {("db", 3000)}


# -- Qdrant --------------------------------------------------------------------------------------------------------
DOCS = collection(70)
MOVED = [{**p, "vector": [p["vector"][0] + 1e-9, 1.0]} for p in DOCS["points"]]
LOST = [p for p in DOCS["points"] if p["id"] != 5]
OTHER = [{**p, "payload": {"n": p["id"] // 6}} for p in DOCS["points"]]


def test_a_qdrant_recovers_a_snapshot_of_each_collection_with_both_images(tmp_path: Path) -> None:
    """A last digit of a vector, a new setting and a default for what was null are no loss."""
    config = {**DOCS["config"], "new_section": 1, "quantization_config": {"scalar": {}}}
    world, reason = rehearse(tmp_path, QDRANT, changes={"points": MOVED, "config": config})
    assert reason is None
    assert [e for e in world.effects if e.startswith("serve")] == ["serve sha", "serve new-sha"]
    notes = [str(e.data["text"]) for e in read_journal(tmp_path / "j") if e.phase is Phase.NOTE]
    assert any(f"{NEW} read 73 points in 2 collections of a copy of db" in note for note in notes)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"broken": "new-sha"}, f"{NEW} does not start on a copy of the data of db: "),
        ({"never": "sha"}, "What db runs now does not start on a copy of its data, so nothing can be rehearsed"),
        ({"refuses": "new-sha"}, f"{NEW} does not read a copy of the data of db: Service internal error: version of "
                                 "the segment is not supported."),
        ({"refuses": "sha"}, "img does not read a copy of the data of db: Service internal error"),
        ({"changes": {"points": LOST}}, "docs 69 of 70 points; docs: point 5 is not the same."),
        ({"changes": {"points": OTHER}}, "than what runs now: docs: point 1 is not the same."),
        ({"changes": {"points": MOVED[:64] + MOVED[65:]}}, "than what runs now: docs 69 of 70 points."),
        ({"changes": {"config": {**DOCS["config"], "params": {"vectors": {"size": 4, "distance": "Cosine"}}}}},
         "docs: params is another."),
        ({"changes": {"status": "red"}}, "docs is red."), ({"changes": {"payload_schema": {}}}, "docs: no index of n."),
        ({"used": 2 << 30, "free": 1 << 30}, "takes up to 3 GiB of memory, and 1 GiB are free"),
        ({"torn": True}, "The snapshot of a b did not arrive whole. Nothing was touched."),
    ],
)  # fmt: skip
def test_what_goes_wrong_with_a_qdrant_ends_the_run_before_anything_is_touched(
    tmp_path: Path, how: dict[str, Any], words: str
) -> None:
    _, reason = rehearse(tmp_path, QDRANT, **how)
    assert reason is not None and words in reason and "images.rehearse=off" in reason


def test_room_is_looked_at_where_the_server_makes_its_own_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = new_qdrant_rehearsal_world(tmp_path)
    assert world.container
    place = tmp_path / "snapshots"
    place.mkdir()
    mount = MountSpec("bind", str(place), "/qdrant/snapshots", host_path=str(place))
    world.container = replace(world.container, mounts=(*world.container.mounts, mount))
    room = UnwrappingTrees.room
    monkeypatch.setattr(UnwrappingTrees, "room", lambda self, path: (1, 9) if path == str(place) else room(self, path))
    outcome = run(world, tmp_path / "j", (qdrant_stage(),))
    assert outcome is not None and f"{place} has 1 bytes" in outcome.reason and "images.rehearse=off" in outcome.reason
    assert not [e for e in world.effects if e.startswith("snapshot")]


def test_a_snapshot_that_somebody_makes_later_is_not_taken_for_the_servers_own_copy(tmp_path: Path) -> None:
    world = new_qdrant_rehearsal_world(tmp_path)
    assert run(world, tmp_path / "j", (qdrant_stage(),)) is None
    world.snapshots["docs"]["later"] = b"x"
    ctx, step = world.context(), qdrant_stage().steps[1]
    before = {"existed": False, "others": {"a b": ["theirs"], "docs": []}}
    kind = QdrantRehearsalKind()
    assert not kind.left(step, before, ctx)
    kind.undo(step, before, ctx)
    assert world.snapshots["docs"] == {"later": b"x"}


def test_a_qdrant_starts_alone_and_on_the_copy_alone(tmp_path: Path) -> None:
    world = new_qdrant_rehearsal_world(tmp_path)
    assert world.container
    given = {"QDRANT__SERVICE__API_KEY": "not-a-secret", "qdrant__storage__storage_path": "/other",
             "QDRANT__STORAGE__TEMP_PATH": "/t", "QDRANT__SERVICE__ENABLE_TLS": "true",
             "QDRANT__CLUSTER__P2P__PORT": "1"}  # fmt: skip
    world.container = replace(world.container, environment=given)
    assert run(world, tmp_path / "j", (qdrant_stage(),)) is None
    for server in world.started:
        found = dict(server.environment)
        assert found["QDRANT__SERVICE__API_KEY"] == "not-a-secret" and found["QDRANT__SERVICE__ENABLE_TLS"] == "false"
        assert found["QDRANT__STORAGE__STORAGE_PATH"] == "/nftui-rehearsal/storage"
        assert not [n for n in found if "TEMP" in n or "P2P" in n or n.islower()]


@pytest.mark.parametrize("bed", [REDIS, GRAFANA, QDRANT])
@pytest.mark.parametrize("where", WHERE)
def test_every_crash_point_leaves_nothing(tmp_path: Path, where: str, bed: Bed) -> None:
    new_world, stage = bed
    (tmp_path / "c").mkdir()
    world = new_world(tmp_path / "c")
    run(world, tmp_path / "c" / "j", (stage(),))
    lines, effects = len(read_journal(tmp_path / "c" / "j")), len(world.effects)
    for point in range(1, (lines if where.startswith("journal") else effects) + 1):
        base = tmp_path / f"{point}"
        base.mkdir()
        world = new_world(base)
        original, plan = contents(world.root / "old"), (stage(),)
        _die(world, base / "j", plan, where, point)
        world.end_helpers()
        _recover(world, base / "j", plan, resume=point % 2 == 0)
        nothing_is_left(world, original)
