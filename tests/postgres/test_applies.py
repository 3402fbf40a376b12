"""Which servers may be touched, and the reason for each that may not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nftui.model.choices import Choices
from nftui.model.facts import FileFact
from nftui.model.stack import Container, MountSpec, Role
from nftui.optimizations.postgres import OPTIMIZATION

from .build import DATA, facts, live, service


def volume(target: str, source: str | None = "pgdata") -> tuple[MountSpec, ...]:
    return (MountSpec("volume", source, target),)


def container(**more: Any) -> Container:
    values: dict[str, Any] = {"image_command": ("postgres",), "mounts": (DATA,)}
    return Container("1", "n", "db", 1, "running", None, "postgres:16", "y", **(values | more))


GOOD: list[dict[str, Any]] = [
    {},
    {"major": 18},
    {"mounts": volume("/var/lib/postgresql"), "environment": {"PGDATA": "/var/lib/postgresql/data16"}, "major": 18},
    {"mounts": volume("/data"), "environment": {"PGDATA": "/data/pg"}},
    {"mounts": (MountSpec("bind", "/srv/pg", "/var/lib/postgresql/data"),)},
    {"environment": {"PGDATA": "/var/lib/postgresql/data/pgdata"}},
    {"containers": (container(),)},
    # Another image that does not run: the operator's own mount says where its data lies.
    {"image": "registry.local/db:16", "command": ["postgres"]},
    {
        "image": "registry.local/db:16",
        "command": ["postgres"],
        "mounts": volume("/data"),
        "containers": (replace(container(environment={"PGDATA": "/data/pg"}), state="exited"),),
    },
]
BAD: list[tuple[dict[str, Any], str]] = [
    ({"mounts": ()}, "No mount holds"),
    ({"mounts": volume("/backup")}, "No mount holds"),
    ({"mounts": volume("/var/lib/postgresql")}, "anonymous volume"),
    ({"mounts": volume("/var/lib/postgresql/data"), "major": 18}, "anonymous volume|No mount holds"),
    ({"mounts": volume("/var/lib/postgresql/data", None)}, "anonymous volume"),
    ({"mounts": volume("/var/lib/postgresql/data", "a" * 64)}, "anonymous volume"),
    ({"mounts": (), "containers": (container(mounts=volume("/var/lib/postgresql/data", "b" * 64)),)}, "anonymous"),
    ({"mounts": (MountSpec("tmpfs", None, "/var/lib/postgresql/data"),)}, "in memory"),
    ({"version": None, "image": "postgres:latest"}, "version"),
    ({"major": 11}, "12 to 18"),
    ({"major": 19}, "12 to 18"),
    ({"image": "ghcr.io/zalando/spilo-15:3.0"}, "managed by spilo"),
    ({"image": "bitnami/postgresql-repmgr:15"}, "managed by repmgr"),
    ({"environment": {"PATRONI_NAME": "pg1"}}, "managed by patroni"),
    ({"image": "bitnami/postgresql:15"}, "Bitnami"),
    ({"command": ["/start.sh"]}, "not postgres"),
    ({"scale": 2}, "2 times"),
    ({"image": "registry.local/db:16", "command": ["postgres"], "mounts": volume("/data")}, "cannot be told"),
]


@pytest.mark.parametrize("more", GOOD)
def test_applies(more: dict[str, Any]) -> None:
    more = dict(more)
    assert OPTIMIZATION.applies(facts(service(more.pop("major", 16), **more))).services == ("db",)


@pytest.mark.parametrize(("more", "reason"), BAD)
def test_refused_with_the_reason(more: dict[str, Any], reason: str) -> None:
    more = dict(more)
    found = OPTIMIZATION.applies(facts(service(more.pop("major", 16), **more)))
    assert not found.applicable
    import re

    assert re.search(reason, str(found.refused["db"]))


def test_standbys_are_refused() -> None:
    found = OPTIMIZATION.applies(facts(server=live(in_recovery=True)))
    assert "standby" in str(found.refused["db"])


def test_files_that_are_gone() -> None:
    label = {"com.docker.compose.project.config_files": "/srv/x/compose.yaml"}
    world = facts(service(containers=(container(labels=label),)))
    gone = replace(world, files={"/srv/x/compose.yaml": FileFact("/srv/x/compose.yaml", None)})
    assert OPTIMIZATION.applies(world).applicable
    assert "/srv/x/compose.yaml" in str(OPTIMIZATION.applies(gone).refused["db"])


def test_clients_and_inactive_servers_are_no_servers() -> None:
    world = facts(service(role=Role.CLIENT), service(active=False))
    assert not OPTIMIZATION.applies(world).applicable and not OPTIMIZATION.applies(world).refused


def test_a_refused_server_gets_no_advice() -> None:
    assert OPTIMIZATION.advise(facts(service(mounts=())), Choices(), {}) == ()
