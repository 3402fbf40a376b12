"""What a service is, over many images and commands."""

from __future__ import annotations

import pytest

from nftui.catalog import classify
from nftui.model.stack import Role

DIGEST = "@sha256:" + "a" * 64

# Image, role, version.
IMAGES: list[tuple[str, str, str | None]] = [
    ("postgres", "postgres", None),
    ("postgres:latest", "postgres", None),
    ("postgres:16", "postgres", "16"),
    ("postgres:16.2-alpine3.19", "postgres", "16.2"),
    ("postgres:17rc1", "postgres", "17"),
    ("postgres:alpine", "postgres", None),
    ("postgres:13-bookworm" + DIGEST, "postgres", "13"),
    ("postgres" + DIGEST, "postgres", None),
    ("library/postgres:15", "postgres", "15"),
    ("docker.io/library/postgres:15", "postgres", "15"),
    ("docker.io/postgres:15", "postgres", "15"),
    ("public.ecr.aws/docker/library/postgres:14.5", "postgres", "14.5"),
    ("mirror.gcr.io/library/postgres:12", "postgres", "12"),
    ("ghcr.io/x/postgres:15", "postgres", "15"),
    ("registry.local:5000/postgres:15.1", "postgres", "15.1"),
    ("registry.local:5000/team/postgresql:11", "postgres", "11"),
    ("localhost/postgres-16:dev", "postgres", None),
    ("postgres:${PG_VERSION:-16}-alpine", "postgres", "16"),
    ("postgres:${PG_VERSION}", "postgres", None),
    ("${REGISTRY:-docker.io}/library/postgres:$TAG", "postgres", None),
    ("${IMAGE:-postgres:14}", "postgres", "14"),
    ("pgvector/pgvector:pg16", "postgres", "16"),
    ("pgvector/pgvector:0.7.4-pg17", "postgres", "17"),
    ("ankane/pgvector:v0.5.1", "postgres", None),
    ("timescale/timescaledb:2.14.2-pg15", "postgres", "15"),
    ("timescale/timescaledb:latest-pg14-oss", "postgres", "14"),
    ("timescale/timescaledb-ha:pg15.5-ts2.13.0", "postgres", "15.5"),
    ("postgis/postgis:15-3.4", "postgres", "15"),
    ("postgis/postgis:16-3.4-alpine", "postgres", "16"),
    ("kartoza/postgis:14-3.2", "postgres", "14"),
    ("supabase/postgres:15.1.0.117", "postgres", "15.1"),
    ("public.ecr.aws/supabase/postgres:15.8.1.060", "postgres", "15.8"),
    ("bitnami/postgresql:15.4.0-debian-11-r0", "postgres", "15.4.0"),
    ("bitnamilegacy/postgresql:16", "postgres", "16"),
    ("docker.io/bitnami/postgresql-repmgr:14", "postgres", "14"),
    ("ghcr.io/zalando/spilo-15:3.0-p1", "postgres", "15"),
    ("tensorchord/pgvecto-rs:pg14-v0.2.0", "postgres", "14"),
    ("ghcr.io/immich-app/postgres:14-vectorchord0.3.0-pgvectors0.2.0", "postgres", "14"),
    # Its own version, that of an extension or that of a packager: which PostgreSQL it is, they do not say.
    ("citusdata/citus:12.1", "postgres", None),
    ("citusdata/citus:postgres_15", "postgres", "15"),
    ("groonga/pgroonga:3.1.6-debian-16", "postgres", "16"),
    ("apache/age:release_pg16_1.5.0", "postgres", "16"),
    ("appwrite/postgres:0.1.0", "postgres", None),
    ("acme/postgres:9.6", "postgres", "9.6"),
    ("percona/percona-distribution-postgresql:16.2", "postgres", "16.2"),
    ("paradedb/paradedb:0.8.6-pg16", "postgres", "16"),
    ("ghcr.io/cloudnative-pg/postgresql:16.2", "postgres", "16.2"),
    ("redis", "redis", None),
    ("redis:7.2.4-alpine", "redis", "7.2.4"),
    ("redis:6" + DIGEST, "redis", "6"),
    ("redis:alpine", "redis", None),
    ("quay.io/acme/redis:7", "redis", "7"),
    ("redis/redis-stack:7.2.0-v9", "redis", "7.2.0"),
    ("redis/redis-stack-server:latest", "redis", None),
    ("bitnami/redis:7.2", "redis", "7.2"),
    ("bitnamilegacy/redis-cluster:7.0", "redis", "7.0"),
    ("valkey/valkey:8.0-alpine", "redis", "8.0"),
    ("ghcr.io/valkey-io/valkey:7.2", "redis", "7.2"),
    ("bitnami/valkey:8", "redis", "8"),
    ("eqalpha/keydb:x86_64_v6.3.4", "keydb", "6.3.4"),
    ("snapchat/keydb", "keydb", None),
    ("docker.dragonflydb.io/dragonflydb/dragonfly:v1.15.1", "dragonfly", "1.15.1"),
    ("ghcr.io/dragonflydb/dragonfly", "dragonfly", None),
    ("memcached:1.6-alpine", "memcached", "1.6"),
    ("bitnami/memcached:1.6.21", "memcached", "1.6.21"),
    ("qdrant/qdrant:v1.9.2", "qdrant", "1.9.2"),
    ("qdrant/qdrant:v1.9.2-unprivileged", "qdrant", "1.9.2"),
    ("ghcr.io/qdrant/qdrant/qdrant:v1.12", "qdrant", "1.12"),
    ("registry.local/qdrant:1", "qdrant", "1"),
    ("ollama/ollama:0.3.12-rocm", "ollama", "0.3.12"),
    ("ollama/ollama", "ollama", None),
    ("ghcr.io/acme/ollama:0.9", "ollama", "0.9"),
    ("mysql:8.0", "mysql", "8.0"),
    ("mysql/mysql-server:8.0.32", "mysql", "8.0.32"),
    ("mariadb:11.4-jammy", "mysql", "11.4"),
    ("lscr.io/linuxserver/mariadb:10.11.6", "mysql", "10.11.6"),
    ("bitnami/mariadb:11", "mysql", "11"),
    ("percona:8.0", "mysql", "8.0"),
    ("percona/percona-server:8.0", "mysql", "8.0"),
    ("clickhouse/clickhouse-server:24.3-alpine", "clickhouse", "24.3"),
    ("clickhouse:25.1", "clickhouse", "25.1"),
    ("prom/prometheus:v2.53.0", "prometheus", "2.53.0"),
    ("quay.io/prometheus/prometheus:latest", "prometheus", None),
    ("grafana/grafana:10.4.2-ubuntu", "grafana", "10.4.2"),
    ("grafana/grafana-oss", "grafana", None),
    ("grafana/grafana-enterprise:9.5", "grafana", "9.5"),
    ("edoburu/pgbouncer:v1.23.1-p3", "pgbouncer", "1.23.1"),
    ("edoburu/pgbouncer:1.21.0", "pgbouncer", "1.21.0"),
    ("bitnamilegacy/pgbouncer:1.23", "pgbouncer", "1.23"),
    ("ghcr.io/acme/pgbouncer", "pgbouncer", None),
    ("ghcr.io/postgresml/pgcat:latest", "pooler", None),
    ("bitnami/pgpool:4.5", "pooler", "4.5"),
    ("supabase/supavisor:1.1.56", "pooler", "1.1.56"),
    ("ghcr.io/acme/odyssey:1.3", "pooler", "1.3"),
    ("quay.io/prometheuscommunity/postgres-exporter:v0.15.0", "exporter", "0.15.0"),
    ("prometheuscommunity/pgbouncer-exporter", "exporter", None),
    ("oliver006/redis_exporter:v1.58.0", "exporter", "1.58.0"),
    ("bitnami/redis-exporter", "exporter", None),
    ("acme/exporter-postgres:1", "exporter", "1"),
    ("prom/node-exporter:latest", "exporter", None),
    ("quay.io/prometheus/node-exporter:v1.8", "exporter", "1.8"),
    ("gcr.io/cadvisor/cadvisor:v0.47.2", "exporter", "0.47.2"),
    ("prom/blackbox-exporter", "exporter", None),
    ("prom/mysqld-exporter", "exporter", None),
    ("nginx/nginx-prometheus-exporter:1.1", "exporter", "1.1"),
    ("prodrigestivill/postgres-backup-local:15", "client", "15"),
    ("eeshugerman/postgres-backup-s3:15", "client", "15"),
    ("tianon/postgres-upgrade:13-to-17", "client", "13"),
    ("jbergknoff/postgresql-client", "client", None),
    ("acme/postgres-client-api:1", "app", "1"),
    ("dpage/pgadmin4:8", "app", "8"),
    ("adminer", "app", None),
    ("phpmyadmin:5", "app", "5"),
    ("rediscommander/redis-commander:latest", "app", None),
    ("redis/redisinsight:2.48", "app", "2.48"),
    ("redislabs/rejson:2.4.7", "redis", "2.4.7"),
    ("ghcr.io/open-webui/open-webui:main", "app", None),
    ("postgrest/postgrest:v12", "app", "12"),
    ("supabase/postgres-meta:v0.80", "app", "0.80"),
    ("supabase/studio", "app", None),
    ("timescale/promscale:0.17", "app", "0.17"),
    ("bitnami/redis-sentinel:7", "app", "7"),
    ("prom/alertmanager:v0.27", "app", "0.27"),
    ("grafana/loki:2.9", "app", "2.9"),
    ("n8nio/n8n:latest", "app", None),
    ("nginx:1.27", "app", "1.27"),
    ("mongo:7", "app", "7"),
    ("cockroachdb/cockroach:v24.1.0", "app", "24.1.0"),
    ("serenedb/serenedb:26.07.5", "app", "26.07.5"),
    ("rabbitmq:3.12-management-alpine", "app", "3.12"),
    ("gitlab/gitlab-ce:16.11.10-ce.0", "app", "16.11.10"),
    ("ghcr.io/immich-app/immich-server:v1.100", "app", "1.100"),
    ("mcr.microsoft.com/acme/postgres-mcp:1", "app", "1"),
]

SH = ["/bin/sh", "-c"]
# Image, entrypoint, command, role.
COMMANDS: list[tuple[str, object, object, str]] = [
    ("postgres:16", None, "-c shared_buffers=1GB", "postgres"),
    ("postgres:16", None, ["-c", "shared_buffers=1GB"], "postgres"),
    ("postgres:16", None, "postgres -c max_connections=300", "postgres"),
    ("postgres:16", None, ["postgres", "-c", "config_file=/etc/postgresql.conf"], "postgres"),
    ("postgres:16", None, "docker-entrypoint.sh postgres -c x=1", "postgres"),
    ("postgres:16", [*SH, "exec docker-entrypoint.sh postgres -c x=1"], None, "postgres"),
    (
        "clickhouse/clickhouse-server:26",
        SH,
        ["cp /a /b; clickhouse-client --query 'SELECT 1' & exec /entrypoint.sh"],
        "clickhouse",
    ),
    ("clickhouse/clickhouse-server:26", SH, ["clickhouse-client --query 'SELECT 1'"], "client"),
    (
        "clickhouse/clickhouse-server:26",
        None,
        [*SH, "os=$$(uname -s | tr A a); wget -O x http://h/$$os; mv x /y"],
        "client",
    ),
    ("postgres:16", None, ["sh", "-c", "chown -R postgres /d && exec docker-entrypoint.sh postgres"], "postgres"),
    ("postgres:16", None, ["bash", "-c", "echo pg_dump is not run here; postgres"], "postgres"),
    ("postgres:16", None, "pg_dump -h db app", "client"),
    ("postgres:16", None, ["psql", "-h", "db", "-c", "select 1"], "client"),
    ("postgres:16", ["psql"], ["-h", "db", "-f", "/init.sql"], "client"),
    ("postgres:16", None, ["sh", "-c", "while true; do pg_dump -h db app > /b/x.sql; sleep 86400; done"], "client"),
    ("postgres:16", SH, ["until pg_isready -h db; do sleep 1; done && psql -h db -f /x.sql"], "client"),
    ("postgres:16", None, "bash -c 'PGPASSWORD=x pg_dumpall -h db | gzip > /b/all.gz'", "client"),
    ("postgres:16", None, "sleep infinity", "client"),
    ("postgres:16", None, ["tail", "-f", "/dev/null"], "client"),
    ("postgres:16", ["/backup.sh"], None, "client"),
    ("postgres:16", None, ["/bin/bash", "/scripts/backup.sh"], "client"),
    ("postgres:16", None, "pgbench -i -h db", "client"),
    ("postgres:16", ["/usr/local/bin/custom-entrypoint.sh"], None, "postgres"),
    ("postgres:16", None, "pgbouncer /etc/pgbouncer.ini", "pgbouncer"),
    ("redis:7", None, "redis-server --appendonly yes", "redis"),
    ("redis:7", None, ["--appendonly", "yes"], "redis"),
    ("redis:7", None, ["/usr/local/etc/redis/redis.conf"], "redis"),
    ("redis:7", None, ["sh", "-c", 'redis-server --requirepass "$$REDIS_PASSWORD"'], "redis"),
    ("redis:7", None, "sh -c 'sysctl -w x=1; redis-server /etc/redis.conf'", "redis"),
    ("redis:7", None, "--port 6379", "redis"),
    ("redis:7", None, "redis-cli -h redis monitor", "client"),
    ("redis:7", None, ["sh", "-c", "redis-cli -h r0 --cluster create r0:6379 --cluster-yes"], "client"),
    ("redis:7", None, "redis-sentinel /etc/sentinel.conf", "app"),
    ("redis:7", None, "redis-server /etc/sentinel.conf --sentinel", "app"),
    ("redis:7", None, ["valkey-server", "--save", "60 1"], "redis"),
    ("valkey/valkey:8", None, "valkey-server --save 60 1", "redis"),
    ("eqalpha/keydb", None, "keydb-server /etc/keydb/keydb.conf --server-threads 4", "keydb"),
    ("memcached:1.6", None, "-m 64", "memcached"),
    ("memcached:1.6", None, ["memcached", "-m", "64"], "memcached"),
    ("ollama/ollama", None, None, "ollama"),
    ("ollama/ollama", None, "serve", "ollama"),
    ("ollama/ollama", None, ["pull", "llama3"], "client"),
    (
        "ollama/ollama",
        ["/bin/sh", "-lc"],
        'sh -c "until ollama list; do sleep 1; done && ollama pull llama3"',
        "client",
    ),
    ("ollama/ollama", ["/bin/sh", "-c"], 'sh -c "ollama serve"', "ollama"),
    ("ollama/ollama", None, "run llama3 hello", "client"),
    ("ollama/ollama", ["ollama", "pull", "llama3"], None, "client"),
    ("ollama/ollama", SH, ["ollama serve & sleep 5 && ollama pull llama3 && wait"], "ollama"),
    ("ollama/ollama", ["/bin/sh"], ["-c", "sleep 3; OLLAMA_HOST=ollama:11434 ollama pull llama3"], "client"),
    ("ollama/ollama", None, "sleep infinity", "client"),
    ("qdrant/qdrant", None, "./qdrant --config-path /x.yaml", "qdrant"),
    ("qdrant/qdrant", ["./entrypoint.sh"], None, "qdrant"),
    ("qdrant/qdrant", None, ["sh", "-c", "sleep infinity"], "client"),
    ("mysql:8", None, "--default-authentication-plugin=mysql_native_password", "mysql"),
    ("mysql:8", None, ["mysqld", "--max-connections=500"], "mysql"),
    ("mysql:8", None, "mysqldump -h db --all-databases", "client"),
    ("mariadb:11", SH, ["mariadb-dump -h db x > /b/x.sql"], "client"),
    ("prom/prometheus", None, ["--config.file=/x.yml", "--storage.tsdb.retention.time=30d"], "prometheus"),
    ("prom/prometheus", ["promtool"], ["check", "config", "/x.yml"], "client"),
    ("grafana/grafana", ["/run.sh"], None, "grafana"),
    ("clickhouse/clickhouse-server", ["clickhouse-client"], ["--host", "ch"], "client"),
    # Private and unknown images, by what they run.
    ("acme/db:1", None, "postgres -c max_connections=10", "postgres"),
    ("acme/cache:1", None, ["redis-server", "--save", ""], "redis"),
    ("acme/llm:1", ["/usr/bin/ollama", "serve"], None, "ollama"),
    ("acme/pool:1", None, "pgbouncer /etc/pgbouncer/pgbouncer.ini", "pgbouncer"),
    ("acme/web:1", None, "gunicorn app:app --bind 0.0.0.0:8000", "app"),
    ("alpine:3", None, "sh -c 'apk add postgresql-client && pg_dump -h db x'", "app"),
    ("acme/postgres-custom:1", None, "postgres -c x=1", "postgres"),
    ("acme/postgres-tools:1", None, "pg_dump -h db x", "app"),
    ("acme/my-redis:1", None, "redis-server", "redis"),
]


@pytest.mark.parametrize(("image", "role", "version"), IMAGES)
def test_images(image: str, role: str, version: str | None) -> None:
    found = classify({"image": image, "restart": "always"})
    assert (found.role, found.version) == (Role(role), version)


@pytest.mark.parametrize(("image", "entrypoint", "command", "role"), COMMANDS)
def test_commands(image: str, entrypoint: object, command: object, role: str) -> None:
    config = {"image": image, "entrypoint": entrypoint, "command": command}
    assert classify({key: value for key, value in config.items() if value is not None}).role is Role(role)


EVIDENCE: list[tuple[dict[str, object], str]] = [
    ({}, "unknown"),
    ({"image": "acme/thing"}, "unknown"),
    ({"build": {"context": "."}}, "unknown"),
    ({"build": {"context": "."}, "ports": ["8000:8000"]}, "app"),
    ({"image": "acme/thing", "environment": {"A": "1"}}, "app"),
    ({"image": "acme/thing", "container_name": "thing"}, "app"),
    ({"image": "clamav/clamav"}, "app"),
    ({"image": "docker:dind", "privileged": True}, "app"),
    ({"image": "docker:cli", "volumes": ["/a:/a"]}, "client"),
    ({"image": "penpotapp/exporter:2.16", "environment": {"A": "1"}}, "app"),
    ({"image": "acme/thing", "depends_on": {"db": {}}}, "app"),
    ({"build": {"context": "."}, "volumes": ["pg:/var/lib/postgresql/data"]}, "postgres"),
    ({"image": "acme/db", "volumes": [{"type": "volume", "target": "/var/lib/postgresql/data"}]}, "postgres"),
    ({"image": "acme/db", "ports": [{"target": 5432}], "environment": {"POSTGRES_PASSWORD": "x"}}, "postgres"),
    ({"image": "acme/db", "ports": ["5432:5432"], "healthcheck": {"test": "pg_isready -U x"}}, "postgres"),
    ({"image": "acme/app", "environment": {"POSTGRES_PASSWORD": "x", "DATABASE_URL": "postgres://db"}}, "app"),
    ({"image": "acme/app", "healthcheck": {"test": "pg_isready -h db"}, "ports": ["5432"]}, "app"),
    ({"image": "acme/v", "ports": ["6333:6333"], "volumes": ["q:/qdrant/storage"]}, "qdrant"),
    ({"image": "acme/l", "volumes": ["m:/root/.ollama"], "ports": ["11434:11434"]}, "ollama"),
    ({"image": "acme/r", "expose": ["6379"], "healthcheck": {"test": ["CMD", "redis-cli", "ping"]}}, "redis"),
    ({"image": "${DB_IMAGE}", "volumes": ["d:/var/lib/mysql"]}, "mysql"),
    ({"image": "acme/postgres-custom", "volumes": ["d:/var/lib/postgresql/data"]}, "postgres"),
    ({"image": "acme/postgres-operator-ui", "ports": ["8080:80"]}, "app"),
    ({"image": "acme/redis-consumer", "environment": {"REDIS_URL": "redis://r"}}, "app"),
    ({"image": "postgres:16", "build": {"context": "."}, "command": ["postgres"]}, "postgres"),
]


@pytest.mark.parametrize(("config", "role"), EVIDENCE)
def test_evidence(config: dict[str, object], role: str) -> None:
    assert classify(config).role is Role(role)


def test_an_application_with_a_database_of_its_own() -> None:
    config: dict[str, object] = {"image": "ampache/ampache", "ports": ["80"], "volumes": ["m:/var/lib/mysql"]}
    found = classify(config)
    assert (found.role, found.extra_roles) == (Role.APP, (Role.MYSQL,))
    assert classify({**config, "ports": ["3307:3306"]}).role is Role.MYSQL
    assert classify({**config, "environment": {"MYSQL_ROOT_PASSWORD": "x"}}).role is Role.MYSQL
    assert classify({**config, "ports": []}).role is Role.MYSQL


def test_an_application_has_the_version_of_its_tag() -> None:
    config = {"image": "ghcr.io/mastodon/mastodon:v4.3.17", "ports": ["3000"]}
    assert classify(config).version == "4.3.17"
    # A server under another name may be of any version.
    assert classify({"image": "acme/db:4.1", "volumes": ["d:/var/lib/mysql"]}).version is None


def test_image_argument_wins_over_the_config() -> None:
    assert classify({"image": "acme/x", "ports": ["1:1"]}, "redis:7").role is Role.REDIS


def test_bundled_servers_only_where_sure() -> None:
    image = "gitlab/gitlab-ce:16.11.10-ce.0"
    assert set(classify({"image": image}).extra_roles) == {Role.POSTGRES, Role.REDIS}
    ruby = "postgresql['enable'] = false\nredis[\"enable\"] = false"
    assert classify({"image": image, "environment": {"GITLAB_OMNIBUS_CONFIG": ruby}}).extra_roles == ()
    half = {"GITLAB_OMNIBUS_CONFIG": "postgresql['enable']=false"}
    assert classify({"image": image, "environment": half}).extra_roles == (Role.REDIS,)
    assert classify({"image": "ghcr.io/open-webui/open-webui:ollama"}).extra_roles == (Role.OLLAMA,)
    assert classify({"image": "ghcr.io/open-webui/open-webui:main"}).extra_roles == ()
    inside = classify({"image": "letta/letta:latest", "volumes": ["letta:/var/lib/postgresql/data"]})
    assert (inside.role, inside.extra_roles) == (Role.APP, (Role.POSTGRES,))


def test_there_are_many_rows() -> None:
    assert len(IMAGES) + len(COMMANDS) + len(EVIDENCE) >= 120
