"""A Grafana world whose next image is tried on a copy first: what a server does to a database, it does to the copy's.

The database is a real one in SQLite; what copies it may be killed in its middle.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nftui.clients.http import HttpUnreachable
from nftui.model.message import msg
from nftui.model.plan import Stage, StepSpec
from nftui.steps.kind import Context
from nftui.system.blobs import BlobStore
from nftui.system.helpers import OutOfReach, Server
from tests.engine.images_world import NEW
from tests.engine.redis_data_world import counted_stage
from tests.engine.rehearsal_world import RehearsalWorld, rehearsal_stage
from tests.engine.world import ENV, Killed

FILE = "grafana.db"
TABLES = ("org (name)", "user (login)", "dashboard (title)", "data_source (name)", "alert_rule (title)", "alert (name)",
          "migration_log (migration_id, success)")  # fmt: skip
ROWS = ("org VALUES ('Main')", "user VALUES ('Admin'), ('eve')", "dashboard VALUES ('Orders'), ('Hosts')",
        "migration_log VALUES ('create org table', 1), ('an old one', 0), ('an old one', 1)")  # fmt: skip


@dataclass
class GrafanaWorld(RehearsalWorld):
    """`migration` is what the new image does to the database that it is started on."""

    migration: tuple[str, ...] = ("DROP TABLE alert", "CREATE TABLE folder (title)", "UPDATE user SET login = 'admin'")
    elsewhere: bool = False
    """Its database is in another place."""
    closed: bool = False
    """Nobody but root may speak with a helper, and this is another one."""
    asked_of: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        place = self.root / "old"
        for folder in ("png", "plugins/clock"):
            (place / folder).mkdir(parents=True, exist_ok=True)
            (place / folder / "file").write_text(folder)
        if not (place / FILE).exists():
            with closing(sqlite3.connect(place / FILE)) as database:
                for table in TABLES:
                    database.execute(f"CREATE TABLE {table}")
                for row in ROWS:
                    database.execute(f"INSERT INTO {row}")
                database.commit()

    def serve(self, image: str, labels: Mapping[str, str], mounts: Mapping[str, str], server: Server) -> str:
        (place,) = mounts.values()
        assert (Path(place) / FILE).is_file() and (Path(place) / "plugins/clock/file").is_file(), "not copied"
        assert not (Path(place) / "png").exists(), "a cache was copied"
        name = super().serve(image, labels, mounts, server)
        if image == "new-sha" and image != self.broken:
            with closing(sqlite3.connect(Path(place) / FILE)) as database:
                for sql in self.migration:
                    database.execute(sql)
                database.commit()
        return name

    def api_in(self, service: str, helper: str, port: int) -> Any:
        self.asked_of.append((service, port))
        return Health(self, self.served[helper][0])

    def context(self, **options: object) -> Context:
        ctx = super().context(**options)

        def told(text: str, fraction: float | None) -> None:
            if text.startswith("copying the database") and self.effect(text):
                raise Killed(text)
            ctx.progress(text, fraction)

        return replace(ctx, api_in=self.api_in, progress=told)


@dataclass
class Health:
    """What is answered in a helper."""

    world: GrafanaWorld
    image: str

    def json(self, path: str) -> Any:
        assert path == "/api/health"
        if self.world.closed:
            raise OutOfReach(msg("Only root can speak with it."))
        if self.image == self.world.never:
            raise HttpUnreachable(msg("/api/health: ConnectionRefusedError"))
        return {"database": "ok", "version": "10"}


def new_grafana_world(base: Path) -> GrafanaWorld:
    """`.env` with one key of the operator's, no override."""
    return GrafanaWorld(BlobStore(base / "blobs"), {ENV: b"A=1\n"}, root=base / "volumes")


def grafana_switch(world: GrafanaWorld) -> Stage:
    """A switch that counts before and after; its image is there."""
    world.stored[NEW] = "new-sha"
    old, new = (
        StepSpec(
            name, "grafana-count", "db", {"place": {"type": "volume", "name": place}, "file": FILE}, msg("s"), "db"
        )
        for name, place in (("count", "old"), ("again", "new"))
    )
    return counted_stage(world, old, new)


def grafana_stage() -> Stage:
    """The image, and its rehearsal."""
    return rehearsal_stage("grafana", file=FILE)
