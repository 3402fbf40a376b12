"""What a recreate would take away, from canned answers of the engine."""

from __future__ import annotations

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
        "/usr/sbin/docker-init": 1, "/usr": 0, "/usr/sbin": 0,
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


def test_unknown_is_not_nothing_and_a_stopped_container_loses_nothing() -> None:
    assert said(None) == ["db: nobody can tell what was written into its container: too busy"]
    assert losses(service(state="exited"), Layers({"/etc/x": 1})) == ()
