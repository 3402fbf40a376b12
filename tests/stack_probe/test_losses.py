"""What a recreate would take away, from canned answers of the engine."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from nftui.model.message import msg
from nftui.model.stack import Container, MountSpec, Service
from nftui.probes.losses import SHOWN, layer_losses, losses
from nftui.system.docker import EngineError
from tests.stack_probe.fakes import FakeEngine


class Layers(FakeEngine):
    """Answers with paths and kinds, or with an error."""

    def __init__(self, changes: dict[str, int] | None, directories: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.changes = changes
        self.directories = directories
        self.asked = 0

    def is_directory(self, container: str, path: str) -> bool:
        self.asked += 1
        return path in self.directories

    def get(self, path: str, query: object = None, timeout: float = 0) -> object:
        if self.changes is None:
            raise EngineError("engine-refused", msg("too busy"), 500)
        assert path == "/containers/c1/changes"
        return [{"Path": p, "Kind": k} for p, k in self.changes.items()] or None


def service(*mounts: MountSpec, state: str = "running") -> Service:
    container = Container("c1", "db-1", "db", 1, state, None, "img", "sha", mounts=mounts)
    return Service("db", containers=(container,))


def said(changes: dict[str, int] | None, *mounts: MountSpec) -> list[str]:
    return [str(m) for m in losses(service(*mounts), Layers(changes))]


def test_what_every_start_makes_anew_is_no_loss() -> None:
    bind = MountSpec("bind", "/srv/x", "/docker-entrypoint-initdb.d/x.sql")
    assert said({
        "/run": 0, "/run/postgresql": 0, "/run/postgresql/.s.PGSQL.5432": 1, "/tmp/a": 1, "/root": 0,
        "/root/.bash_history": 1, "/app": 0, "/app/__pycache__": 1, "/app/__pycache__/x.pyc": 1,
        "/usr/sbin/docker-init": 1, "/usr": 0, "/usr/sbin": 0, "/qdrant": 0, "/qdrant/.qdrant-initialized": 1,
        "/docker-entrypoint-initdb.d": 0, "/docker-entrypoint-initdb.d/x.sql": 1,
    }, bind) == []  # fmt: skip
    assert said({}) == []


def test_what_was_written_changed_or_removed_is_named_and_counted() -> None:
    assert said({"/etc": 0, "/etc/hosts.allow": 1, "/etc/motd": 2, "/etc/passwd": 0}) == [
        "db: what was changed in its container would be lost: /etc/hosts.allow, /etc/motd, /etc/passwd"
    ]
    many = {f"/data/{n}": 1 for n in range(SHOWN + 2)}
    assert said(many)[0].endswith("/data/4 (+2)")


def test_an_empty_directory_is_no_loss_and_what_lies_in_a_new_one_is() -> None:
    kept = {"/data/snapshots": 1, "/data/snapshots/docs": 1}
    assert losses(service(), Layers(kept, ("/data/snapshots/docs",))) == ()
    only_file = "db: what was changed in its container would be lost: /data/snapshots/docs"
    assert [str(m) for m in losses(service(), Layers(kept))] == [only_file]
    gone = {"/data/empty": 2}
    assert losses(service(), Layers(gone, ("/data/empty",))) != ()


def test_nobody_asks_the_engine_about_each_of_a_thousand_files() -> None:
    layers = Layers({f"/data/{n}": 1 for n in range(1000)})
    assert losses(service(), layers) and layers.asked == 0


def test_a_volume_without_a_name_is_told_and_a_named_one_is_not() -> None:
    mounts = (MountSpec("volume", "0" * 64, "/data"), MountSpec("volume", "app_data", "/other"))
    assert said({}, *mounts) == ["db: its data at /data lies in a volume without a name; give it one in your files"]
    # The next container is handed it: no rollback is in its way.
    assert layer_losses(service(*mounts), Layers({})) == ()


def test_a_volume_that_holds_only_the_places_of_other_mounts_is_none(tmp_path: Path) -> None:
    """PostgreSQL 18's image has one above the former place of its data."""
    (tmp_path / "data").mkdir()
    above = MountSpec("volume", "0" * 64, "/var/lib/postgresql", host_path=str(tmp_path))
    data = MountSpec("volume", "app_data", "/var/lib/postgresql/data", host_path="/elsewhere")
    assert said({}, above, data) == []
    beside = MountSpec("volume", "app_data", "/var/lib/postgresql2", host_path="/elsewhere")
    assert said({}, above, beside), "nothing is mounted in it"
    assert said({}, replace(above, host_path=str(tmp_path / "gone")), data), "nobody can look into it"
    (tmp_path / "data" / "rows").write_text("1")
    assert said({}, above, data)


def test_unknown_is_not_nothing_and_a_stopped_container_loses_nothing() -> None:
    assert said(None) == ["db: nobody can tell what was written into its container: too busy"]
    assert losses(service(state="exited"), Layers({"/etc/x": 1})) == ()


class Lying(Layers):
    """Its containers' layers lie in a directory of this machine."""

    def __init__(self, upper: Path, driver: str = "overlay2") -> None:
        super().__init__({"/asked": 1})
        self.inspected = [{"Id": "c1", "GraphDriver": {"Name": driver, "Data": {"UpperDir": str(upper)}}}]


def lying(upper: Path, *mounts: MountSpec, driver: str = "overlay2") -> bool:
    """Whether the layer itself was enough to say that nothing is lost; else what the engine says is told."""
    found = [str(m) for m in layer_losses(service(*mounts), Lying(upper, driver))]
    assert found in ([], ["db: what was changed in its container would be lost: /asked"])
    return not found


def test_a_layer_that_holds_only_what_every_start_makes_needs_no_walk_of_the_engine(tmp_path: Path) -> None:
    assert lying(tmp_path)
    for name in ("run/postgresql", "tmp", "var/lib/db/data", "root", "srv/place"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "run/postgresql/.s.PGSQL.5432.lock").write_text("1")
    (tmp_path / "root/.bash_history").write_text("ls")
    places = (MountSpec("volume", "data", "/var/lib/db/data"), MountSpec("bind", "/x", "/srv/place/x.conf"))
    assert lying(tmp_path, *places)
    assert not lying(tmp_path, *places, driver="vfs")
    assert not lying(tmp_path / "elsewhere", *places)


@pytest.mark.parametrize("name", ["etc/passwd", "data/rows", "var/lib/db/data2/x", "root/.ssh/id"])
def test_a_file_in_the_layer_is_the_engines_to_tell(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("x")
    assert not lying(tmp_path, MountSpec("volume", "data", "/var/lib/db/data"))


def test_an_empty_directory_a_link_or_a_hidden_one_in_the_layer_is_the_engines_to_tell(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    assert not lying(tmp_path)  # perhaps its mode is another one
    (tmp_path / "etc/x").symlink_to("/tmp")
    assert not lying(tmp_path)
    (tmp_path / "etc/x").unlink()
    (tmp_path / "etc/.cache").mkdir()
    assert lying(tmp_path)
    os.setxattr(tmp_path / "etc", "user.overlay.opaque", b"y")
    assert not lying(tmp_path)


def test_a_layer_that_cannot_be_read_is_the_engines_to_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "scandir", refuse)
    assert not lying(tmp_path)
