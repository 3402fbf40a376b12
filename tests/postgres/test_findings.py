"""Findings: each one true once, and silent on its nearest miss."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from nftui.model.stack import Container, MountSpec, Place, Port, Role, Service
from nftui.model.units import GIB, MIB
from nftui.optimizations.postgres import OPTIMIZATION

from .build import DATA, facts, live, service, setting

if TYPE_CHECKING:
    from nftui.model.facts import Facts
    from nftui.model.findings import Finding

PASSWORD = {"POSTGRES_PASSWORD": "secret-value"}
SCRIPTS = MountSpec("bind", "/srv/x/init", "/docker-entrypoint-initdb.d")


def found(world: Facts) -> dict[str, Finding]:
    findings = list(OPTIMIZATION.findings(world))
    assert len({(f.service, f.id) for f in findings}) == len(findings)
    return {f.id: f for f in findings}


def of(more: dict[str, Any]) -> dict[str, Finding]:
    """Findings of one server: `live` changes its settings, `others` adds services, `environment` adds variables."""
    more = {"environment": PASSWORD, **more}
    others, changed = more.pop("others", ()), more.pop("live", None)
    major = more.pop("major", 16)
    more["environment"] = PASSWORD | more["environment"] if more.pop("password", True) else more["environment"]
    server = live(major, {n: setting(n, v, s) for n, (v, s) in changed.items()}) if changed is not None else None
    environment = more.pop("dotenv", {})
    return found(facts(service(major, **more), *others, server=server, environment=environment))


def app(**more: Any) -> Service:
    return Service("api", Role.APP, **more)


def ran(**more: Any) -> Container:
    return Container("1", "n", "db", 1, "exited", None, "postgres:16", "y", **more)


HEALTHY = {"depends_on": {"db": {"condition": "service_healthy"}}}
CHECK = {"healthcheck": {"test": ["CMD-SHELL", "pg_isready -U postgres"]}}
TCP = {"healthcheck": {"test": ["CMD-SHELL", "pg_isready -U postgres -h 127.0.0.1"]}}
POOL = {"DB_POSTGRESDB_HOST": "db", "DB_POSTGRESDB_POOL_SIZE": "60"}
URL = {"DATABASE_URL": "postgres://u:p@db:5432/x?connection_limit=99"}

TRUE: list[tuple[str, dict[str, Any]]] = [
    ("postgres-defaults", {"live": {}}),
    ("postgres-defaults", {}),
    ("postgres-env-inert", {"environment": {"POSTGRES_SHARED_BUFFERS": "2GB"}}),
    ("postgres-env-inert", {"environment": {"POSTGRES_SHARED_BUFFERS": "2GB"}, "live": {}}),
    ("postgres-env-inert", {"environment": {"POSTGRESQL_MAX_CONNECTIONS": "300"}}),
    ("postgres-env-inert", {"environment": {"SHARED_BUFFERS": "2GB"}}),
    ("postgres-env-inert", {"environment": {"TS_TUNE_MEMORY": "2GB"}}),
    ("postgres-env-inert", {
        "environment": {"POSTGRES_WORK_MEM": "8MB"}, "command": ["postgres", "-c", "work_mem=8MB"],
        "live": {"work_mem": ("8MB", "command line")},
    }),
    ("postgres-config-mount-inert", {"mounts": (DATA, MountSpec("bind", "/s/conf", "/etc/postgresql"))}),
    ("postgres-config-mount-inert", {
        "mounts": (DATA, MountSpec("bind", "/s/p.conf", "/etc/postgresql/postgresql.conf")), "live": {},
    }),
    ("postgres-settings-exceed-limit", {"command": ["postgres", "-c", "shared_buffers=8GB"]}),
    ("postgres-settings-exceed-limit", {"live": {"work_mem": ("64MB", "configuration file")}}),
    ("postgres-shm-too-small", {"command": ["postgres", "-c", "work_mem=16MB"]}),
    ("postgres-shm-too-small", {"live": {"work_mem": ("16MB", "configuration file")}}),
    ("postgres-durability-off", {"command": "postgres -c fsync=off"}),
    ("postgres-durability-off", {"live": {"synchronous_commit": ("off", "configuration file")}}),
    ("postgres-trust-auth", {"environment": {"POSTGRES_HOST_AUTH_METHOD": "trust"}}),
    ("postgres-empty-password", {"environment": {}, "password": False}),
    ("postgres-empty-password", {"environment": {"POSTGRES_PASSWORD": ""}, "password": False}),
    ("postgres-empty-password", {"environment": {}, "password": False, "containers": (ran(exit_code=1),)}),
    ("postgres-no-volume", {"mounts": ()}),
    ("postgres-no-volume", {"mounts": (SCRIPTS,)}),
    ("postgres-no-volume", {"mounts": (), "version": None, "image": "postgres"}),
    ("postgres-no-volume", {"mounts": (MountSpec("volume", None, "/var/lib/postgresql/data"),)}),
    ("postgres-volume-path", {"mounts": (replace(DATA, target="/var/lib/postgresql"),)}),
    ("postgres-volume-path", {"major": 18, "mounts": (DATA,)}),
    ("postgres-stop-grace-short", {"command": ["postgres", "-c", "shared_buffers=1GB"]}),
    ("postgres-stop-grace-short", {"stop_grace_s": 3.0}),
    ("postgres-stop-grace-short", {"containers": (ran(exit_code=137),)}),
    ("postgres-healthcheck-init-race", {"config": CHECK, "mounts": (DATA, SCRIPTS), "others": (app(config=HEALTHY),)}),
    ("postgres-connections-vs-pools", {"others": (app(environment=POOL, scale=2),)}),
    ("postgres-connections-vs-pools", {"others": (app(environment=URL),)}),
]  # fmt: skip

SILENT: list[tuple[str, dict[str, Any]]] = [
    ("postgres-defaults", {"live": {"shared_buffers": ("1GB", "configuration file")}}),
    ("postgres-defaults", {"memory_limit_bytes": 512 * MIB, "live": {}}),
    ("postgres-defaults", {"command": ["postgres", "-c", "shared_buffers=1GB"]}),
    ("postgres-defaults", {"command": ["postgres", "-c", "config_file=/etc/postgresql/postgresql.conf"]}),
    ("postgres-defaults", {"image": "timescale/timescaledb-ha:pg16"}),
    ("postgres-defaults", {"environment": {"POSTGRES_INITDB_ARGS": "-c shared_buffers=1GB"}}),
    ("postgres-env-inert", {"environment": {"POSTGRES_MULTIPLE_DATABASES": "a,b", "POSTGRES_USER": "x"}}),
    ("postgres-env-inert", {"environment": {"POSTGRES_INITDB_ARGS": "--data-checksums", "PGDATA": "/x/y"}}),
    ("postgres-env-inert", {"environment": {"POSTGRES_SHARED_BUFFERS": "2GB"}, "image": "bitnami/postgresql:16"}),
    ("postgres-env-inert", {
        "environment": {"POSTGRES_MAX_CONNECTIONS": "300"},
        "command": ["sh", "-c", "postgres -N $$POSTGRES_MAX_CONNECTIONS"],
    }),
    ("postgres-env-inert", {"environment": {"POSTGRES_WORK_MEM": "8MB"}, "entrypoint": ("/my-entrypoint.sh",)}),
    ("postgres-env-inert", {"environment": {"POSTGRES_WORK_MEM": "8MB"}, "config": {"build": {"context": "."}}}),
    ("postgres-env-inert", {
        "environment": {"POSTGRES_WORK_MEM": "8MB"}, "live": {"work_mem": ("8MB", "configuration file")},
    }),
    ("postgres-env-inert", {"environment": {"TS_TUNE_MEMORY": "2GB"}, "image": "timescale/timescaledb:2.15-pg16"}),
    ("postgres-env-inert", {"environment": {"PORT": "5432", "WAL_LEVEL": "x", "AUTOVACUUM": "on"}}),
    ("postgres-config-mount-inert", {
        "mounts": (DATA, MountSpec("bind", "/s/p.conf", "/etc/postgresql/postgresql.conf")),
        "command": ["postgres", "-c", "config_file=/etc/postgresql/postgresql.conf"],
    }),
    ("postgres-config-mount-inert", {
        "mounts": (DATA, MountSpec("bind", "/s/p.conf", "/var/lib/postgresql/data/postgresql.conf")),
    }),
    ("postgres-config-mount-inert", {"mounts": (DATA, SCRIPTS)}),
    ("postgres-config-mount-inert", {
        "mounts": (DATA, MountSpec("bind", "/s/conf", "/etc/postgresql")), "image": "ghcr.io/x/postgres:16",
    }),
    ("postgres-settings-exceed-limit", {"live": {}, "memory_limit_bytes": 256 * MIB}),
    ("postgres-settings-exceed-limit", {"command": ["postgres", "-c", "shared_buffers=1GB"]}),
    ("postgres-settings-exceed-limit", {"environment": {"POSTGRES_SHARED_BUFFERS": "80GB"}}),
    ("postgres-shm-too-small", {"live": {}}),
    ("postgres-shm-too-small", {"command": ["postgres", "-c", "work_mem=16MB"], "shm_bytes": 256 * MIB}),
    ("postgres-shm-too-small", {"command": ["postgres", "-c", "work_mem=16MB"], "config": {"ipc": "host"}}),
    ("postgres-shm-too-small", {
        "command": ["postgres", "-c", "work_mem=16MB", "-c", "max_parallel_workers_per_gather=0"],
    }),
    ("postgres-shm-too-small", {"command": ["postgres", "-c", "work_mem=16MB"], "major": 14}),
    ("postgres-durability-off", {"command": "postgres -c fsync=on"}),
    ("postgres-durability-off", {
        "command": "postgres -c fsync=off", "mounts": (MountSpec("tmpfs", None, "/var/lib/postgresql/data"),),
    }),
    ("postgres-trust-auth", {"environment": {"POSTGRES_HOST_AUTH_METHOD": "scram-sha-256"}}),
    ("postgres-empty-password", {}),
    ("postgres-empty-password", {"environment": {"POSTGRES_PASSWORD_FILE": "/run/secrets/x"}, "password": False}),
    ("postgres-empty-password", {"environment": {"POSTGRES_PASSWORD": None}, "password": False}),
    ("postgres-empty-password", {"environment": {}, "password": False, "live": {}}),
    ("postgres-empty-password", {
        "environment": {"POSTGRES_PASSWORD": ""}, "password": False,
        "raw": {"environment": {"POSTGRES_PASSWORD": "${DB_PASSWORD}"}},
    }),
    ("postgres-empty-password", {"environment": {"POSTGRES_HOST_AUTH_METHOD": "trust"}, "password": False}),
    ("postgres-no-volume", {"mounts": (replace(DATA, target="/data"),), "environment": {"PGDATA": "/data/pg"}}),
    ("postgres-no-volume", {"mounts": (MountSpec("tmpfs", None, "/var/lib/postgresql/data"),)}),
    ("postgres-no-volume", {"mounts": (), "image": "ghcr.io/x/postgres:16"}),
    ("postgres-no-volume", {"mounts": (), "role": Role.CLIENT}),
    ("postgres-no-volume", {
        "version": None, "image": "postgres", "mounts": (replace(DATA, target="/var/lib/postgresql"),),
    }),
    ("postgres-volume-path", {}),
    ("postgres-volume-path", {"major": 18}),
    ("postgres-volume-path", {"major": 18, "mounts": (DATA,), "environment": {"PGDATA": "/var/lib/postgresql/data"}}),
    ("postgres-volume-path", {
        "mounts": (replace(DATA, target="/var/lib/postgresql"),), "environment": {"PGDATA": "/var/lib/postgresql/16"},
    }),
    ("postgres-volume-path", {"version": None, "image": "postgres:latest"}),
    ("postgres-stop-grace-short", {}),
    ("postgres-stop-grace-short", {"command": ["postgres", "-c", "shared_buffers=1GB"], "stop_grace_s": 90.0}),
    ("postgres-healthcheck-init-race", {"config": TCP, "mounts": (DATA, SCRIPTS), "others": (app(config=HEALTHY),)}),
    ("postgres-healthcheck-init-race", {"config": CHECK, "others": (app(config=HEALTHY),)}),
    ("postgres-healthcheck-init-race", {"config": CHECK, "mounts": (DATA, SCRIPTS), "others": (app(),)}),
    ("postgres-connections-vs-pools", {"others": (app(environment=POOL),)}),
    ("postgres-connections-vs-pools", {
        "others": (app(environment=POOL | {"DB_POSTGRESDB_HOST": "pgbouncer"}, scale=9),),
    }),
    ("postgres-connections-vs-pools", {"others": (app(environment=URL),), "command": ["postgres", "-N", "200"]}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "more"), TRUE)
def test_true(name: str, more: dict[str, Any]) -> None:
    finding = of(dict(more))[name]
    assert finding.service == "db" and finding.source and finding.evidence
    assert str(finding.title) and str(finding.detail) and "{" not in str(finding.detail)
    assert "secret-value" not in repr(finding)


@pytest.mark.parametrize(("name", "more"), SILENT)
def test_silent(name: str, more: dict[str, Any]) -> None:
    assert name not in of(dict(more))


def test_a_well_kept_server_has_no_finding() -> None:
    more = {
        "command": ["postgres", "-c", "shared_buffers=1GB", "-c", "work_mem=8MB", "-c", "max_connections=100"],
        "shm_bytes": 256 * MIB, "stop_grace_s": 120.0,
    }  # fmt: skip
    assert of(more) == {}


def test_inert_variables_show_where_they_stand_and_what_is_in_force() -> None:
    places = {
        "environment.POSTGRES_SHARED_BUFFERS": Place("compose.yaml", 12),
        "environment": Place("compose.yaml", 10),
    }
    environment = {"POSTGRES_SHARED_BUFFERS": "2GB", "POSTGRES_WORK_MEM": "16MB"}
    finding = of({"environment": environment, "places": places, "live": {}})["postgres-env-inert"]
    assert [(e.key, e.value, e.line) for e in finding.evidence] == [
        ("POSTGRES_SHARED_BUFFERS", "2GB", 12),
        ("POSTGRES_WORK_MEM", "16MB", 10),
    ]
    assert "in force: 128MB" in str(finding.detail)


def test_trust_weighs_more_on_an_open_port() -> None:
    environment = {"POSTGRES_HOST_AUTH_METHOD": "trust"}
    levels = [
        of({"environment": environment, "ports": ports})["postgres-trust-auth"].level
        for ports in ((), (Port("5432", "5432", "127.0.0.1"),), (Port("5432", "5432"),))
    ]
    assert levels == ["medium", "medium", "high"]


def test_inactive_services_are_looked_at_too() -> None:
    assert "postgres-no-volume" in of({"mounts": (), "active": False})


def test_the_host_s_memory_is_the_ceiling_without_a_limit() -> None:
    world = facts(service(memory_limit_bytes=None, command=["postgres", "-c", "shared_buffers=90GB"]))
    assert "postgres-settings-exceed-limit" in found(world)
    assert world.host.memory_bytes == 64 * GIB


def test_a_role_that_hides_the_command_is_named_with_the_value_in_force() -> None:
    more = {"command": ["postgres", "-c", "work_mem=8MB"], "environment": {"POSTGRES_WORK_MEM": "32MB"}}
    told = of({**more, "live": {"work_mem": ("99MB", "user")}})
    assert "in force: 99MB, set by ALTER ROLE" in str(told["postgres-env-inert"].detail)
    shown = {e.key: e.value for e in told["postgres-shm-too-small"].evidence}
    assert shown["-c work_mem"] == "8MB (in force: 99MB)"
