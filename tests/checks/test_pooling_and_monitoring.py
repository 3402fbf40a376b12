"""Findings about connection pooling and monitoring, true and near misses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checks.build import check, read

DATABASE = "  db: {image: 'postgres:16'}\n"


def app(name: str, more: str = "") -> str:
    url = "postgresql://u:not-a-real-secret@db:5432/x"
    return f"  {name}:\n    image: example/{name}:1\n    environment: {{DATABASE_URL: '{url}'}}\n{more}"


def services(*parts: str) -> str:
    return "services:\n" + "".join(parts)


IMPORT = "    command: import all\n"
THREE = services(DATABASE, app("a"), app("b"), app("c"))
POOLER = "  pool:\n    image: {image}\n    environment: {environment}\n{more}"


def pooler(image: str = "edoburu/pgbouncer:v1.25.2-p0", environment: str = "{DB_HOST: db}", more: str = "") -> str:
    return services(DATABASE, POOLER.format(image=image, environment=environment, more=more))


PLAIN = "{DB_HOST: db, DB_USER: u, DB_PASSWORD: not-a-real-secret, AUTH_TYPE: scram-sha-256}"
MOUNT = "    volumes: ['./pgb:/etc/pgbouncer']\n"
HASH = '"u" "SCRAM-SHA-256$4096:c2FsdA==$a2V5:a2V5"\n"v" "md5' + "0" * 32 + '"\n'
CLEAR = "[pgbouncer]\nauth_type = plain\n"

TRUE = [
    ("db", "pgbouncer-missing", THREE, {}),
    ("pool", "pgbouncer-auth-plaintext", pooler(environment=PLAIN), {}),
    ("pool", "pgbouncer-auth-plaintext", pooler(more=MOUNT), {"pgb/userlist.txt": '"u" "not-a-real-secret"\n'}),
    (
        "pool",
        "pgbouncer-auth-plaintext",
        pooler(more=MOUNT),
        {"pgb/pgbouncer.ini": "[databases]\nx = host=db user=u password=not-a-real-secret\n"},
    ),
    # The list of users is not in the repository.
    ("pool", "pgbouncer-auth-plaintext", pooler(more=MOUNT), {"pgb/pgbouncer.ini": CLEAR}),
    ("pool", "pgbouncer-outdated", pooler("edoburu/pgbouncer:v1.23.1-p2"), {}),
    ("pool", "pgbouncer-outdated", pooler("bitnami/pgbouncer:1.18.0"), {}),
]
NEAR = [
    ("db", "pgbouncer-missing", services(DATABASE, app("a"), app("b")), {}),
    ("db", "pgbouncer-missing", services(DATABASE, app("a"), app("b"), app("c", "    restart: 'no'\n")), {}),
    ("db", "pgbouncer-missing", services(DATABASE, app("a"), app("b"), app("c", "    profiles: [x]\n")), {}),
    ("db", "pgbouncer-missing", services(DATABASE, app("a"), app("b"), app("a-import", IMPORT)), {}),
    # Handed the application's whole environment, they open no connection of their own.
    ("db", "pgbouncer-missing", services(DATABASE, app("a"), app("b"), app("shop-nginx"), app("web-frontend")), {}),
    ("db", "pgbouncer-missing", services(DATABASE, app("a"), app("b"), app("adminer"), app("pgweb")), {}),
    ("db", "pgbouncer-missing", THREE + POOLER.format(image="edoburu/pgbouncer", environment="{}", more=""), {}),
    ("db", "pgbouncer-missing", THREE.replace("@db:", "@db.example.org:"), {}),
    ("pool", "pgbouncer-auth-plaintext", pooler(environment=PLAIN.replace("scram-sha-256", "md5")), {}),
    ("pool", "pgbouncer-auth-plaintext", pooler(more=MOUNT), {"pgb/userlist.txt": HASH}),
    ("pool", "pgbouncer-auth-plaintext", pooler(more=MOUNT), {"pgb/pgbouncer.ini": "; password=x\n[databases]\n"}),
    ("pool", "pgbouncer-auth-plaintext", pooler(more=MOUNT), {"pgb/pgbouncer.ini": CLEAR.replace("auth", ";auth")}),
    ("pool", "pgbouncer-outdated", pooler(), {}),
    ("pool", "pgbouncer-outdated", pooler("edoburu/pgbouncer:latest"), {}),
    ("pool", "pgbouncer-outdated", pooler("example/pgbouncer:1.25"), {}),
]

PROMETHEUS = "  prom:\n    image: prom/prometheus:v2.50.0\n    volumes: ['./p:/etc/prometheus']\n"
CACHE = "  cache: {image: 'redis:7'}\n"
SEARCH = "  s: {image: 'elasticsearch:9.2.1'}\n"
MYSQL = "  my: {image: 'mysql:8.4'}\n"
EXPORTERS = "  pe: {image: 'quay.io/prometheuscommunity/postgres-exporter:v0.15.0'}\n"
EXPORTERS += "  re: {image: 'oliver006/redis_exporter:v1.58.0'}\n"


def scrape(*targets: str, more: str = "", head: str = "rule_files: [rules.yml]\n") -> dict[str, str]:
    lines = "".join(f"          - '{t}'\n" for t in targets)
    job = f"  - job_name: a\n{more}    static_configs:\n      - targets:\n{lines}"
    return {"p/prometheus.yml": f"{head}scrape_configs:\n{job}"}


RELABEL = "    relabel_configs: [{source_labels: [x], target_label: __address__, replacement: 're:9121'}]\n"
TRUE += [
    ("prom", "prometheus-target-not-exporter", services(DATABASE, PROMETHEUS), scrape("db:5432")),
    ("prom", "prometheus-target-not-exporter", services(CACHE, PROMETHEUS), scrape("cache:6379")),
    ("prom", "prometheus-target-not-exporter", services("  n: {image: n8nio/n8n}\n", PROMETHEUS), scrape("n:5678")),
    ("prom", "prometheus-target-not-exporter", services("  m: {image: 'mongo:8.0'}\n", PROMETHEUS), scrape("m:27017")),
    ("prom", "prometheus-target-not-exporter", services(SEARCH, PROMETHEUS), scrape("s:9200")),
    ("prom", "monitoring-missing", services(PROMETHEUS), scrape("localhost:9090", head="")),
    ("my", "monitoring-missing", services(MYSQL, PROMETHEUS), scrape("localhost:9090")),
    ("db", "monitoring-missing", services(DATABASE, PROMETHEUS), scrape("localhost:9090")),
]
NEAR += [
    ("prom", "prometheus-target-not-exporter", services(DATABASE, EXPORTERS, PROMETHEUS), scrape("pe:9187", "re:9121")),
    ("prom", "prometheus-target-not-exporter", services(CACHE, PROMETHEUS), scrape("cache:6379", more=RELABEL)),
    (
        "prom",
        "prometheus-target-not-exporter",
        services("  q: {image: qdrant/qdrant}\n  d: {image: dragonflydb/dragonfly}\n", PROMETHEUS),
        scrape("q:6333", "d:6379", "localhost:9090"),
    ),
    (
        "prom",
        "prometheus-target-not-exporter",
        services("  n: {image: n8nio/n8n, environment: {N8N_METRICS: 'true'}}\n", PROMETHEUS),
        scrape("n:5678"),
    ),
    # A plugin's own path; RabbitMQ's port for it.
    (
        "prom",
        "prometheus-target-not-exporter",
        services(SEARCH, PROMETHEUS),
        scrape("s:9200", more="    metrics_path: /_prometheus/metrics\n"),
    ),
    ("prom", "prometheus-target-not-exporter", services("  q: {image: rabbitmq:4.3}\n", PROMETHEUS), scrape("q:15692")),
    (
        "my",
        "monitoring-missing",
        services(MYSQL, "  e: {image: 'prom/mysqld-exporter:v0.18.0'}\n", PROMETHEUS),
        scrape("e:9104"),
    ),
    ("prom", "prometheus-target-not-exporter", services(DATABASE, PROMETHEUS), {"p/prometheus.yml": "a: [broken"}),
    ("prom", "monitoring-missing", services(PROMETHEUS), scrape("localhost:9090")),
    ("db", "monitoring-missing", services(DATABASE, EXPORTERS, PROMETHEUS), scrape("pe:9187")),
    ("db", "monitoring-missing", services(DATABASE, PROMETHEUS), {}),
]


@pytest.mark.parametrize(("service", "id", "text", "files"), TRUE)
def test_what_holds_is_found_with_its_line(
    tmp_path: Path, service: str, id: str, text: str, files: dict[str, str]
) -> None:
    found = check(read(tmp_path, text, files)).get((service, id))
    assert found is not None
    assert found.evidence[0].file and found.evidence[0].line and found.source and str(found.detail)
    assert "not-a-real-secret" not in repr(found)


@pytest.mark.parametrize(("service", "id", "text", "files"), NEAR)
def test_what_is_right_stays_silent(tmp_path: Path, service: str, id: str, text: str, files: dict[str, str]) -> None:
    facts = read(tmp_path, text, files)
    assert facts.stack.service(service) is not None
    assert (service, id) not in check(facts)


def test_the_evidence_is_the_target_and_its_line(tmp_path: Path) -> None:
    found = check(read(tmp_path, services(DATABASE, PROMETHEUS), scrape("localhost:9090", "db:5432")))
    evidence = found[("prom", "prometheus-target-not-exporter")].evidence
    assert [(e.key, Path(e.file or "").name, e.line) for e in evidence] == [("db:5432", "prometheus.yml", 7)]


def test_the_variable_that_the_application_is_known_by_is_shown(tmp_path: Path) -> None:
    """Dify hands out a host for every vector store that it could use; its own database is DB_HOST."""
    names = "    environment: {RELYT_HOST: db, DB_HOST: db}\n"
    apps = [f"  {name}:\n    image: langgenius/dify-api:1.1.3\n{names}" for name in ("api", "worker", "plugins")]
    found = check(read(tmp_path, services(DATABASE, *apps)))["db", "pgbouncer-missing"]
    assert [e.key for e in found.evidence] == ["DB_HOST"] * 3
