"""Which names an image reads, and which of a service's names nothing reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from nftui.catalog import data_paths, default_ports, env_names, healthchecks, is_inert
from nftui.model.stack import Role

PG = "postgres:16-alpine"


def test_names_of_the_official_postgres_image() -> None:
    names = env_names(Role.POSTGRES, PG)
    for name in ("POSTGRES_PASSWORD", "POSTGRES_PASSWORD_FILE", "POSTGRES_USER", "POSTGRES_DB", "POSTGRES_INITDB_ARGS",
                 "POSTGRES_INITDB_WALDIR", "POSTGRES_HOST_AUTH_METHOD", "PGDATA", "PGPORT", "PGPASSWORD"):  # fmt: skip
        assert names.reads(name), name
    for name in (
        "POSTGRES_SHARED_BUFFERS",
        "POSTGRESQL_MAX_CONNECTIONS",
        "TS_TUNE_MEMORY",
        "POSTGRES_INITDB_WALDIR_FILE",
    ):
        assert names.ignores(name), name
    assert not names.ignores("SHARED_BUFFERS")


@pytest.mark.parametrize(
    ("image", "role", "name", "ignored"),
    [
        ("timescale/timescaledb:2.14-pg15", Role.POSTGRES, "TS_TUNE_MEMORY", False),
        ("timescale/timescaledb:2.14-pg15", Role.POSTGRES, "NO_TS_TUNE", False),
        ("timescale/timescaledb:2.14-pg15", Role.POSTGRES, "POSTGRES_WORK_MEM", True),
        ("bitnami/postgresql:15", Role.POSTGRES, "POSTGRESQL_MAX_CONNECTIONS", False),
        ("ghcr.io/x/postgres:15", Role.POSTGRES, "POSTGRES_SHARED_BUFFERS", False),
        ("registry.local/postgres:15", Role.POSTGRES, "POSTGRES_SHARED_BUFFERS", False),
        ("docker.io/library/postgres:15", Role.POSTGRES, "POSTGRES_SHARED_BUFFERS", True),
        ("redis:7", Role.REDIS, "REDIS_PASSWORD", True),
        ("redis:7", Role.REDIS, "REDISCLI_AUTH", False),
        ("bitnami/redis:7", Role.REDIS, "REDIS_PASSWORD", False),
        ("valkey/valkey:8", Role.REDIS, "VALKEY_EXTRA_FLAGS", False),
        ("valkey/valkey:8", Role.REDIS, "VALKEY_MAXMEMORY", True),
        ("redis/redis-stack:latest", Role.REDIS, "REDIS_ARGS", False),
        ("qdrant/qdrant:v1.9", Role.QDRANT, "QDRANT__SERVICE__API_KEY", False),
        ("qdrant/qdrant:v1.9", Role.QDRANT, "qdrant__service__api_key", False),
        ("qdrant/qdrant:v1.9", Role.QDRANT, "QDRANT_SERVICE_API_KEY", True),
        ("qdrant/qdrant:v1.9", Role.QDRANT, "QDRANT__STORAGE__WAL_CAPACITY_MB", True),
        ("qdrant/qdrant:v1.9", Role.QDRANT, "QDRANT__STORAGE__WAL__WAL_CAPACITY_MB", False),
        ("qdrant/qdrant:v1.9", Role.QDRANT, "QDRANT__STORAGE__HNSW__M", True),
        ("qdrant/qdrant:v1.9", Role.QDRANT, "QDRANT__STORAGE__QUANTIZATION__SCALAR__TYPE", False),
        ("qdrant/qdrant:v1.9", Role.QDRANT, "QDRANT__STORAGE__PERFORMANCE__MAX_OPTIMIZATION_THREADS", False),
        ("ollama/ollama", Role.OLLAMA, "OLLAMA_KEEP_ALIVE", False),
        ("ollama/ollama", Role.OLLAMA, "OLLAMA_NUM_THREADS", True),
        ("ollama/ollama", Role.OLLAMA, "OLLAMA_TMPDIR", True),
        ("ollama/ollama:0.9.1", Role.OLLAMA, "OLLAMA_MAX_VRAM", True),
        ("ollama/ollama:0.1.40", Role.OLLAMA, "OLLAMA_MAX_VRAM", False),
        ("ollama/ollama:0.5.2", Role.OLLAMA, "OLLAMA_TMPDIR", False),
        ("ollama/ollama:0.5.7", Role.OLLAMA, "OLLAMA_CONTEXT_LENGTH", True),
        ("ollama/ollama:0.6.0", Role.OLLAMA, "OLLAMA_CONTEXT_LENGTH", False),
        ("qdrant/qdrant:v1.9", Role.QDRANT, "QDRANT__STORAGE__COLLECTION__REPLICATION_FACTOR", False),
        ("qdrant/qdrant:v1.8.4", Role.QDRANT, "QDRANT__STORAGE__COLLECTION__REPLICATION_FACTOR", True),
        ("grafana/grafana", Role.GRAFANA, "GF_ANYTHING_AT_ALL", False),
    ],
)
def test_names_per_image(image: str, role: Role, name: str, ignored: bool) -> None:
    assert env_names(role, image).ignores(name) is ignored


def service(**more: object) -> dict[str, object]:
    return {"image": PG, "environment": {"POSTGRES_MULTIPLE_DATABASES": "a,b", "POSTGRES_WORK_MEM": "1"}, **more}


def inert(config: dict[str, object], directory: Path) -> list[str]:
    names = ("POSTGRES_MULTIPLE_DATABASES", "POSTGRES_WORK_MEM", "POSTGRES_USER", "OTHER")
    return [name for name in names if is_inert(config, name, str(directory))]


def test_inert_unless_something_uses_it(tmp_path: Path) -> None:
    both = ["POSTGRES_MULTIPLE_DATABASES", "POSTGRES_WORK_MEM"]
    assert inert(service(), tmp_path) == both
    assert inert(service(command="postgres -c work_mem=$$POSTGRES_WORK_MEM"), tmp_path) == both[:1]
    assert inert(service(entrypoint=["sh", "-c", "echo ${POSTGRES_WORK_MEM}; exec postgres"]), tmp_path) == both[:1]
    assert inert(service(healthcheck={"test": ["CMD-SHELL", "test $POSTGRES_WORK_MEM"]}), tmp_path) == both[:1]
    assert inert(service(healthcheck={"test": ["CMD-SHELL", "test $POSTGRES_WORK_MEMORY"]}), tmp_path) == both


def test_mounted_scripts_use_it(tmp_path: Path) -> None:
    scripts = tmp_path / "init"
    (scripts / "deep").mkdir(parents=True)
    (scripts / "deep" / "make.sh").write_text("for db in $POSTGRES_MULTIPLE_DATABASES; do :; done\n")
    one = ["POSTGRES_WORK_MEM"]
    target = "/docker-entrypoint-initdb.d"
    for volume in (
        f"./init:{target}",
        f"{scripts}:{target}:ro",
        {"type": "bind", "source": str(scripts), "target": target},
        {"type": "bind", "source": str(scripts / "deep" / "make.sh"), "target": f"{target}/make.sh"},
    ):
        assert inert(service(volumes=[volume]), tmp_path) == one, volume


def test_what_cannot_be_known_is_not_inert(tmp_path: Path) -> None:
    both = ["POSTGRES_MULTIPLE_DATABASES", "POSTGRES_WORK_MEM"]
    assert inert(service(volumes=["scripts:/docker-entrypoint-initdb.d"]), tmp_path) == []
    assert inert(service(entrypoint=["/opt/own.sh"]), tmp_path) == []
    assert inert(service(build={"context": "."}), tmp_path) == []
    assert inert(service(configs=[{"source": "init.sh"}]), tmp_path) == []
    assert inert({**service(), "image": "ghcr.io/x/postgres:16"}, tmp_path) == []
    # A data directory is not searched, an absent source holds nothing.
    data = tmp_path / "pgdata"
    data.mkdir()
    (data / "log").write_text("POSTGRES_WORK_MEM")
    assert inert(service(volumes=["./pgdata:/var/lib/postgresql/data", "./gone:/etc/postgresql"]), tmp_path) == both


def test_reading_mounts_is_bounded(tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(300):
        (many / f"{number}.sql").write_text("select 1")
    assert inert(service(volumes=["./many:/docker-entrypoint-initdb.d"]), tmp_path) == []
    big = tmp_path / "big.sql"
    big.write_bytes(b"-- x\n" * 100_000)
    assert inert(service(volumes=["./big.sql:/docker-entrypoint-initdb.d/big.sql"]), tmp_path) == []


@pytest.mark.parametrize(
    ("role", "image", "version", "paths"),
    [
        (Role.POSTGRES, "postgres:16", None, ("/var/lib/postgresql/data",)),
        (Role.POSTGRES, "postgres:18", None, ("/var/lib/postgresql",)),
        (Role.POSTGRES, "postgres:17.5", None, ("/var/lib/postgresql/data",)),
        (Role.POSTGRES, "postgres:latest", None, ("/var/lib/postgresql",)),
        (Role.POSTGRES, "postgres:latest", "15.4", ("/var/lib/postgresql/data",)),
        (Role.POSTGRES, "pgvector/pgvector:pg16", None, ("/var/lib/postgresql/data",)),
        (Role.POSTGRES, "timescale/timescaledb-ha:pg16", None, ("/home/postgres/pgdata",)),
        (Role.POSTGRES, "bitnami/postgresql:16", None, ("/bitnami/postgresql",)),
        (Role.POSTGRES, None, "16", ("/var/lib/postgresql/data",)),
        (Role.REDIS, "redis:7", None, ("/data",)),
        (Role.REDIS, "bitnami/redis:7", None, ("/bitnami/redis/data",)),
        (Role.QDRANT, "qdrant/qdrant", None, ("/qdrant/storage",)),
        (Role.OLLAMA, "ollama/ollama", None, ("/root/.ollama",)),
        (Role.MEMCACHED, "memcached", None, ()),
        (Role.APP, "nginx", None, ()),
    ],
)
def test_data_paths(role: Role, image: str | None, version: str | None, paths: tuple[str, ...]) -> None:
    assert data_paths(role, image, version) == paths


def test_ports_and_healthchecks() -> None:
    assert default_ports(Role.POSTGRES, PG) == (5432,)
    assert default_ports(Role.QDRANT, "qdrant/qdrant")[0] == 6333
    assert "-h 127.0.0.1" in healthchecks(Role.POSTGRES, PG)[0].test[1]
    assert healthchecks(Role.OLLAMA, "ollama/ollama")[0].test == ("CMD", "ollama", "ls")
    assert "curl" not in " ".join(healthchecks(Role.QDRANT, "qdrant/qdrant")[0].test)
    assert "PONG" in healthchecks(Role.REDIS, "redis:7")[0].test[1]
