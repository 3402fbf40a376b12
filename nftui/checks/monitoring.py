"""Findings about monitoring: what Prometheus scrapes in vain, and what nobody measures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from nftui.catalog import repositories_of
from nftui.catalog.connections import POSTGRES_LIKE, REDIS_LIKE
from nftui.catalog.mounted import files_in, mounted
from nftui.catalog.names import Names
from nftui.catalog.programs import argv_of
from nftui.catalog.references import parse_reference
from nftui.checks._common import mapping, sequence
from nftui.engine.evidence import at
from nftui.model.dataclass import dataclass
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import msg
from nftui.model.patterns import regex
from nftui.model.stack import Role
from nftui.system.yamltext import read_document, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.catalog.mounted import Mounted
    from nftui.model.facts import Facts
    from nftui.model.stack import Service

_DATA_PORTS = {
    Role.POSTGRES: ("5432",), Role.PGBOUNCER: ("5432", "6432"), Role.POOLER: ("5432", "6432"),
    Role.REDIS: ("6379",), Role.KEYDB: ("6379",), Role.MEMCACHED: ("11211",), Role.MYSQL: ("3306",),
    Role.OLLAMA: ("11434",), Role.CLICKHOUSE: ("9000", "8123"), Role.QDRANT: ("6334", "6335"),
}  # fmt: skip
"""Ports that speak the server's own protocol, or have no metrics. Dragonfly serves them there, Qdrant on 6333."""

_PATH = "/metrics"
"""What Prometheus asks for where a job says nothing else."""
_EXPORTERS = {
    "PostgreSQL": (POSTGRES_LIKE[:1], regex(r"postgres|pg[-_]?exporter|(?<!my)sql[-_]exporter")),
    "Redis": (REDIS_LIKE[:2], regex(r"redis|valkey|keydb")),
    "MySQL": ((Role.MYSQL,), regex(r"mysql|mariadb|(?<!my)sql[-_]exporter")),
}
_AGENTS = regex(r"exporter|telegraf|otel|opentelemetry|alloy|agent|netdata|pgwatch|pganalyze|newrelic/|metricbeat")
"""Programs that read servers of other kinds; those without "exporter" in their name read any."""


@dataclass(frozen=True, slots=True)
class Target:
    """One target of a scrape job that a file names."""

    job: str
    host: str
    port: str
    path: str
    evidence: Evidence


def find(facts: Facts) -> Iterable[Finding]:
    """Every finding about monitoring."""
    servers = [s for s in facts.stack.services if s.role is Role.PROMETHEUS]
    for service in servers:
        found = _configuration(facts, service)
        if found is None or found.text is None:
            continue
        document = read_yaml(found.text)
        yield from _not_exporters(facts, service, document, found)
        yield from _no_rules(service, document, found)
    active = [s for s in servers if s.active]
    # A stack without any monitoring may be watched from outside: only a Prometheus of its own tells what it misses.
    if active and all(_readable(facts, s) for s in active):
        yield from _without_exporter(facts)


def _configuration(facts: Facts, service: Service) -> Mounted | None:
    named = re.search(r"--config\.file[= ](\S+)", " ".join(word for part in argv_of(service.config) for word in part))
    return mounted(facts.stack, service, named[1] if named else "/etc/prometheus/prometheus.yml")


def _readable(facts: Facts, service: Service) -> bool:
    found = _configuration(facts, service)
    return found is not None and bool(found.text) and bool(read_yaml(found.text or ""))


def _not_exporters(facts: Facts, service: Service, document: Mapping[str, Any], found: Mounted) -> Iterable[Finding]:
    """prometheus-target-not-exporter: a port that speaks another protocol, or has no metrics."""
    names = Names(facts.stack)
    wrong = []
    for target in _targets(facts, service, document, found):
        other = names.resolve(service, target.host, target.port)
        if other is not None and _is_wrong(other, target):
            wrong.append(target)
    if wrong:
        yield Finding(
            "prometheus-target-not-exporter", Level.MEDIUM, service.name,
            msg("It scrapes ports that serve no metrics"),
            msg("{targets}: these answer no scrape, so the targets are always down.",
                targets=", ".join(f"{t.host}:{t.port}" for t in wrong)),
            tuple(t.evidence for t in wrong), "nextflow-stack, monitoring; exporters have ports of their own",
        )  # fmt: skip


def _is_wrong(other: Service, target: Target) -> bool:
    port = target.port
    if port in _DATA_PORTS.get(other.role, ()):
        return True
    # A plugin may bring metrics under a path of its own.
    if target.path == _PATH and any(int(port) in r.no_metrics for r in repositories_of(other.image or "")):
        return True
    n8n = parse_reference(other.image or "").repository in ("n8nio/n8n", "n8n-io/n8n")
    return n8n and port == "5678" and (other.environment.get("N8N_METRICS") or "").lower() not in ("true", "1", "yes")


def _targets(facts: Facts, service: Service, document: Mapping[str, Any], found: Mounted) -> Iterable[Target]:
    jobs = document.get("scrape_configs")
    for job in jobs if isinstance(jobs, list) else []:
        if not isinstance(job, dict) or _is_indirect(job):
            continue
        name = str(job.get("job_name", ""))
        for group, file in _groups(facts, service, job, found):
            path = mapping(group.get("labels")).get("__metrics_path__") or job.get("metrics_path") or _PATH
            for text in sequence(group.get("targets")):
                match = re.fullmatch(r"([\w.-]+):(\d+)", str(text))
                if match:
                    evidence = Evidence(str(text), name, file.path, _line(file, str(text)))
                    yield Target(name, match[1], match[2], str(path), evidence)


def _groups(
    facts: Facts, service: Service, job: Mapping[str, Any], found: Mounted
) -> Iterable[tuple[Mapping[str, object], Mounted]]:
    """Groups of targets of a job, each with the file that it stands in."""
    written = [(item, found) for item in sequence(job.get("static_configs"))]
    patterns = (p for entry in sequence(job.get("file_sd_configs")) for p in sequence(mapping(entry).get("files")))
    for pattern in patterns:
        # Only the last part may be a pattern; what is not absolute is beside the configuration (file_sd_config).
        folder, _, name = str(PurePosixPath(found.target).parent / str(pattern)).rpartition("/")
        for file in files_in(facts.stack, service, folder):
            if fnmatchcase(PurePosixPath(file.target).name, name):
                written += [(item, file) for item in sequence(read_document(file.text or ""))]
    return ((mapping(item), file) for item, file in written)


def _is_indirect(job: Mapping[str, Any]) -> bool:
    """An exporter is asked about the target (blackbox, redis_exporter's /scrape): the address is rewritten."""
    rules = job.get("relabel_configs") or []
    return any(isinstance(r, dict) and r.get("target_label") in ("__address__", "__param_target") for r in rules)


def _line(found: Mounted, text: str) -> int | None:
    lines = (found.text or "").splitlines()
    pattern = re.compile(rf"(?<![\w.:/-]){re.escape(text)}(?![\w.:/-])")
    return next((n for n, line in enumerate(lines, 1) if pattern.search(line.partition(" #")[0])
                 and not line.lstrip().startswith("#")), None) if found.path else None  # fmt: skip


def _no_rules(service: Service, document: Mapping[str, Any], found: Mounted) -> Iterable[Finding]:
    """monitoring-missing: it collects, and nobody is told."""
    if not document.get("scrape_configs") or document.get("rule_files"):
        return
    yield Finding(
        "monitoring-missing", Level.LOW, service.name, msg("No alert rule: nobody is told when something breaks"),
        msg("The configuration names no rule_files."),
        (Evidence("rule_files", None, found.path, 1 if found.path else None),), "design.md, targets",
    )  # fmt: skip


def _without_exporter(facts: Facts) -> Iterable[Finding]:
    """monitoring-missing: Prometheus runs, a database has no exporter."""
    images = [(s.image or "").lower() for s in facts.stack.services if s.active and s.role is not Role.POSTGRES]
    agents = [i for i in images if _AGENTS.search(i)]
    for label, (roles, pattern) in _EXPORTERS.items():
        covered = any(pattern.search(i) or "exporter" not in i for i in agents)
        for service in facts.stack.services:
            if service.active and service.role in roles and not covered:
                yield Finding(
                    "monitoring-missing", Level.LOW, service.name, msg("{kind} without metrics", kind=label),
                    msg("Prometheus runs in this stack, but no exporter reads this server."),
                    (at(service, "image", "image", service.image),), "monitoring reference 5.1",
                )  # fmt: skip


CHECKS = (find,)
