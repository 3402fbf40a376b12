"""One table per rule; versions 12 to 18."""

from __future__ import annotations

from typing import Any

import pytest

from nftui.model.host import Medium
from nftui.model.units import GIB, MIB
from nftui.optimizations.postgres.gucs import near, show
from nftui.optimizations.postgres.rules import cache_size, wanted_buffers, wanted_maintenance, wanted_work_mem

from .build import advise, choose, facts, live, service, setting

VERSIONS = range(12, 19)


@pytest.mark.parametrize(
    ("memory", "workload", "wanted"),
    [(GIB, "web", 256), (2 * GIB, "mixed", 512), (6 * GIB, "oltp", 1536), (4 * GIB, "desktop", 256)],
)
def test_shared_buffers(memory: int, workload: str, wanted: int) -> None:
    assert wanted_buffers(memory, workload) == wanted * MIB


@pytest.mark.parametrize(("memory", "workload", "wanted"), [(4 * GIB, "web", 3072), (4 * GIB, "desktop", 1024)])
def test_cache_size(memory: int, workload: str, wanted: int) -> None:
    assert cache_size(memory, MIB, workload) == wanted * MIB


@pytest.mark.parametrize(
    ("memory", "workload", "wanted"),
    [(GIB, "web", 64), (6 * GIB, "web", 384), (6 * GIB, "dw", 768), (64 * GIB, "web", 2048), (64 * GIB, "dw", 2048)],
)
def test_maintenance(memory: int, workload: str, wanted: int) -> None:
    assert wanted_maintenance(memory, workload) == wanted * MIB


@pytest.mark.parametrize(
    ("memory", "connections", "workload", "kilobytes"),
    # pgtune itself says 4854kB for the first (measurements 1); steps of 64 kB below it.
    [(2 * GIB, 100, "web", 4800), (6 * GIB, 100, "web", 14528), (6 * GIB, 100, "dw", 7232), (GIB, 300, "web", 4096)],
)
def test_work_mem_formula(memory: int, connections: int, workload: str, kilobytes: int) -> None:
    assert wanted_work_mem(memory, memory // 4, connections, 8, workload) == kilobytes * 1024


@pytest.mark.parametrize(
    ("medium", "cost", "before", "since"),
    [
        (Medium.NVME, "1.1", "256", "128"),
        (Medium.SSD, "1.1", "200", "64"),
        (Medium.HDD, "4", "2", "16"),
        (Medium.VIRTUAL, "1.1", "1", "16"),
        (Medium.UNKNOWN, "4", "1", "16"),
    ],
)
def test_disk(medium: Medium, cost: str, before: str, since: str) -> None:
    for major in VERSIONS:
        lines = advise(facts(service(major), server=live(major), medium=medium))
        assert lines["random_page_cost"].value == cost
        assert lines["effective_io_concurrency"].value == (since if major >= 18 else before)


def test_a_bind_mount_is_looked_up_by_its_source() -> None:
    from nftui.model.stack import MountSpec

    bind = (MountSpec("bind", "/srv/pg", "/var/lib/postgresql/data"),)
    assert advise(facts(service(mounts=bind), server=live(), medium=Medium.SSD))["random_page_cost"].value == "1.1"


def test_wal_compression_by_version() -> None:
    shown = {m: advise(facts(service(m), server=live(m)))["wal_compression"].value for m in VERSIONS}
    assert shown == {12: "on", 13: "on", 14: "on", 15: "lz4", 16: "lz4", 17: "lz4", 18: "lz4"}


def test_lz4_only_where_the_build_has_it() -> None:
    from dataclasses import replace

    row = replace(setting("wal_compression", "off"), enumvals=("pglz", "on", "off"))
    assert advise(facts(server=live(changed={"wal_compression": row})))["wal_compression"].value == "pglz"
    assert advise(facts())["wal_compression"].value == "pglz", "without a server to ask"


def test_on_is_shown_as_pglz_from_15() -> None:
    assert [show("wal_compression", "on", m) for m in (14, 15)] == ["on", "pglz"]


@pytest.mark.parametrize(
    ("workload", "jit"), [("web", "off"), ("oltp", "off"), ("mixed", "off"), ("dw", "on"), ("desktop", "on")]
)
def test_jit(workload: str, jit: str) -> None:
    assert advise(facts(server=live()), choose(workload=workload))["jit"].value == jit


@pytest.mark.parametrize(
    ("cpus", "workers", "parallel", "gather", "maintenance"),
    [(1, "8", "2", "0", "1"), (2, "8", "2", "1", "1"), (4, "8", "4", "2", "2"), (16, "16", "16", "4", "4")],
)
def test_processes(cpus: int, workers: str, parallel: str, gather: str, maintenance: str) -> None:
    lines = advise(facts(server=live(), cpus=cpus), memory=64 * GIB)
    assert lines["max_worker_processes"].value == workers
    assert lines["max_parallel_workers"].value == parallel
    assert lines["max_parallel_workers_per_gather"].value == gather
    assert lines["max_parallel_maintenance_workers"].value == maintenance


@pytest.mark.parametrize(
    ("more", "parallel"),
    [
        ({"cpus": 2.0}, "2"),
        ({"cpus": 2.5}, "3"),
        ({"config": {"cpuset": "0-2"}}, "3"),
        ({"config": {"cpu_quota": 600000, "cpu_period": 100000}}, "6"),
        ({}, "16"),
    ],
)
def test_the_service_s_cpus_count_not_the_host_s(more: dict[str, Any], parallel: str) -> None:
    lines = advise(facts(service(**more), server=live(), cpus=16), memory=64 * GIB)
    assert lines["max_parallel_workers"].value == parallel


@pytest.mark.parametrize(
    ("workload", "free", "most", "least"),
    [
        ("web", 500 * GIB, "4GB", "1GB"),
        ("oltp", 500 * GIB, "8GB", "2GB"),
        ("dw", 500 * GIB, "16GB", "4GB"),
        ("desktop", 500 * GIB, "2GB", "100MB"),
        ("web", 25 * GIB, "2560MB", "640MB"),
        ("web", 5 * GIB, "1GB", "80MB"),
        ("web", None, "1GB", "80MB"),
    ],
)
def test_wal_is_bounded_by_the_disk(workload: str, free: int | None, most: str, least: str) -> None:
    lines = advise(facts(server=live(), free=free), choose(workload=workload))
    assert (lines["max_wal_size"].value, lines["min_wal_size"].value) == (most, least)


def test_io_method_is_offered_from_18_only() -> None:
    assert "io_method" not in advise(facts(service(17), server=live(17)))
    assert advise(facts(service(18), server=live(18)))["io_method"].value == "worker"


def test_quiet_rules() -> None:
    lines = advise(facts(server=live()))
    assert lines["huge_pages"].value == "try"
    assert lines["checkpoint_completion_target"].value == "0.9"
    assert lines["default_statistics_target"].value == "100"
    assert lines["wal_buffers"].value == "4MB" and not lines["wal_buffers"].changes
    assert advise(facts(service(13), server=live(13)))["checkpoint_completion_target"].changes


@pytest.mark.parametrize(
    ("name", "one", "other", "same"),
    [
        ("shared_buffers", "1000MB", "1040MB", True),
        ("shared_buffers", "1000MB", "1060MB", False),
        ("max_connections", "100", "104", True),
        ("jit", "on", "off", False),
        ("random_page_cost", "1.1", "4", False),
    ],
)
def test_tolerance(name: str, one: str, other: str, same: bool) -> None:
    assert near(name, one, other) is same


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("shared_buffers", "16384", "128MB"),
        ("shared_buffers", "2048MB", "2GB"),
        ("work_mem", "8192", "8MB"),
        ("work_mem", "4854kB", "4854kB"),
        ("max_wal_size", "1024", "1GB"),
        ("wal_buffers", "-1", "-1"),
        ("jit", "true", "on"),
        ("random_page_cost", "4.0", "4"),
        ("effective_cache_size", "'3GB'", "3GB"),
    ],
)
def test_show_form(name: str, text: str, shown: str) -> None:
    assert show(name, text, 16) == shown


def test_workload_is_web_where_an_app_names_the_server() -> None:
    from nftui.model.stack import Role, Service

    app = Service("api", Role.APP, environment={"DATABASE_URL": "postgres://u:p@db:5432/x"})
    other = Service("api", Role.APP, environment={"DATABASE_URL": "postgres://u:p@elsewhere:5432/db"})
    assert advise(facts(service(), app))["workload"].value == "web"
    assert advise(facts(service(), other))["workload"].value == "mixed"
