"""Every id of a finding is true once at least, and silent on its nearest miss.

`cases/ID.true.yaml` and `cases/ID.near.yaml` hold one or more documents:

    why: what makes it true, or the nearest miss
    expect: [db]            # services, null for the whole stack; only in `.true`
    level: high             # optional
    key: POSTGRES_PASSWORD  # optional: a key that the evidence names
    line: 4                 # optional: the line of the first evidence
    compose: …              # the Compose file, as text
    files: {.env: …}        # other files of the project
    host: {memory: 8GiB, available: 4GiB, cpus: 4, swap: 0, swap_free: 0, pressure: 12.5, …}
    host: {sysctl: {vm.overcommit_memory: "0"}, mounts: […]}
    beside: {daemon: {}, schedules: […], kept: 8GiB}
    containers: {db: {health: healthy, oom_killed: true}}
    today: 2026-11-24        # the day it is; else the clock's
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import pytest
import yaml

from nftui.checks import load_checks
from nftui.model.facts import Beside, Facts
from nftui.model.finding_ids import IDS
from nftui.model.host import Cpu, Host, Medium, Mount
from nftui.model.stack import Container, Service
from nftui.model.units import parse_size
from nftui.system.clock import SystemClock
from tests.checks.build import check, read
from tests.checks.ids import FUNCTIONS, MODULES, NOT_YET

CASES = Path(__file__).parent / "cases"
Case = Mapping[str, Any]


def _documents(kind: str) -> Iterator[Any]:
    for path in sorted(CASES.glob(f"*.{kind}.yaml")):
        for number, case in enumerate(yaml.safe_load_all(path.read_text())):
            name = path.name.removesuffix(f".{kind}.yaml")
            yield pytest.param(name, case, id=f"{name}-{number}")


def _facts(directory: Path, case: Case) -> Facts:
    compose = case["compose"]
    facts = read(directory, compose, case.get("files"), _host(case.get("host") or {}))
    beside = case.get("beside") or {}
    more = {s.name: (case.get("containers") or {}).get(s.name) for s in facts.stack.services}
    services = tuple(_running(s, more[s.name]) for s in facts.stack.services)
    return replace(
        facts,
        stack=replace(facts.stack, services=services),
        beside=Beside(
            schedules=tuple(beside.get("schedules", ())), daemon=beside.get("daemon", {}), words=facts.beside.words,
            kept_bytes=parse_size(beside.get("kept", "0")) or 0, kept_path="/state",
        ),
    )  # fmt: skip


def _running(service: Service, more: Mapping[str, Any] | None) -> Service:
    if more is None:
        return service
    values = {"state": "running", "health": None, **more}
    found = Container("1", service.name, service.name, 1, image="", image_id="", **values)
    return replace(service, containers=(found,))


def _host(case: Case) -> Host:
    mounts = tuple(Mount(medium=Medium(m.pop("medium", "ssd")), **m) for m in (dict(m) for m in case.get("mounts", ())))
    swap = case.get("swap", "4GiB")
    return Host(
        memory_bytes=parse_size(case.get("memory", "64GiB")), swap_bytes=parse_size(str(swap)) or 0,
        memory_available_bytes=parse_size(case.get("available", "32GiB")), memory_pressure=case.get("pressure"),
        swap_free_bytes=parse_size(str(case.get("swap_free", swap))) or 0,
        cpu=Cpu(logical=case.get("cpus", 16)), mounts=mounts, sysctl=tuple((case.get("sysctl") or {}).items()),
    )  # fmt: skip


def _set_day(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    if "today" in case:
        now = datetime.combine(case["today"], time(12), UTC)
        monkeypatch.setattr(SystemClock, "now", lambda self: now)


@pytest.mark.parametrize(("id", "case"), list(_documents("true")))
def test_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, id: str, case: Case) -> None:
    _set_day(monkeypatch, case)
    found = {service: f for (service, name), f in check(_facts(tmp_path, case)).items() if name == id}
    assert list(found) == case["expect"]
    first = found[case["expect"][0]]
    assert first.evidence and first.source and str(first.title) and str(first.detail)
    assert first.level == case.get("level", first.level)
    assert case.get("key", first.evidence[0].key) in [e.key for e in first.evidence]
    assert first.evidence[0].line == case.get("line", first.evidence[0].line)


@pytest.mark.parametrize(("id", "case"), list(_documents("near")))
def test_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, id: str, case: Case) -> None:
    _set_day(monkeypatch, case)
    assert [service for service, name in check(_facts(tmp_path, case)) if name == id] == []


def _covered(kind: str) -> set[str]:
    found = {path.name.removesuffix(f".{kind}.yaml") for path in CASES.glob(f"*.{kind}.yaml")}
    for name, place, true, near in MODULES:
        cases = getattr(importlib.import_module(name), true if kind == "true" else near)
        found |= {entry[place] for entry in cases}
    return found


def test_every_id_has_a_true_case_and_a_near_miss() -> None:
    true, near = _covered("true"), _covered("near")
    assert set(IDS) - true - NOT_YET - FUNCTIONS == set()
    assert set(IDS) - near - NOT_YET - FUNCTIONS == set()
    assert true & near & NOT_YET == set(), "these are written: take them out of NOT_YET"
    assert (true | near) - set(IDS) == set(), "no such id, or a new one that finding_ids.py does not list"


def test_no_check_speaks_of_a_stack_without_faults(tmp_path: Path) -> None:
    facts = _facts(tmp_path, {"compose": _FLAWLESS, "files": {".env": "DB_PASSWORD=9vX-not-a-real-one\n"}})
    assert [f.id for c in load_checks() for f in c(facts)] == []


_FLAWLESS = """
x-log: &log {driver: json-file, options: {max-size: 10m}}
services:
  db:
    image: postgres:17.2
    restart: unless-stopped
    environment: {POSTGRES_PASSWORD: "${DB_PASSWORD}"}
    volumes: ["data:/var/lib/postgresql/data"]
    ports: ["127.0.0.1:5432:5432"]
    healthcheck: {test: [CMD-SHELL, pg_isready -h 127.0.0.1]}
    deploy: {resources: {limits: {memory: 2g}}}
    logging: *log
  app:
    image: example/app:1.4
    restart: unless-stopped
    environment: {DATABASE_URL: "postgres://postgres:${DB_PASSWORD}@db/app"}
    ports: ["8080:80"]
    depends_on: {db: {condition: service_healthy}}
    mem_limit: 512m
    logging: *log
  backup:
    image: example/pg-backup:2
    restart: unless-stopped
    environment: {PGPASSWORD: "${DB_PASSWORD}", S3_BUCKET: copies}
    mem_limit: 128m
    logging: *log
volumes: {data: {}}
"""
