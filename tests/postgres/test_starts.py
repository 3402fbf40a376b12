"""Values that PostgreSQL refuses only when it starts: none of them is written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nftui.model.errors import UsageError
from nftui.model.facts import Facts
from nftui.model.units import GIB
from nftui.optimizations.postgres.server import build_server

from .build import advise, choose, facts, fragment, live, service, setting, simulate


def told(major: int = 16, changed: dict[str, Any] | None = None, **values: str) -> Any:
    """A server that also tells these settings."""
    rows = {name: setting(name, value, "configuration file") for name, value in values.items()}
    return live(major, {**rows, **(changed or {})})


@pytest.mark.parametrize(
    ("segment", "own", "least"),
    [("16MB", "48MB", "32MB"), ("16MB", "100MB", "50MB"), ("64MB", "200MB", "128MB"), ("16MB", "1500MB", "750MB")],
)
def test_wal_sizes_hold_two_segments(segment: str, own: str, least: str) -> None:
    lines = advise(facts(server=told(wal_segment_size=segment, max_wal_size=own)))
    assert (lines["max_wal_size"].value, lines["min_wal_size"].value) == (own, least)


@pytest.mark.parametrize(
    ("segment", "free", "workload", "most", "least"),
    [
        ("64MB", 500 * GIB, "desktop", "2GB", "128MB"),
        ("1GB", 500 * GIB, "web", "4GB", "2GB"),
        ("1GB", 15 * GIB, "web", "2GB", "2GB"),  # a tenth of the disk is no two segments
        ("16MB", 500 * GIB, "desktop", "2GB", "100MB"),
    ],
)
def test_large_segments(segment: str, free: int, workload: str, most: str, least: str) -> None:
    lines = advise(facts(server=told(wal_segment_size=segment), free=free), choose(workload=workload))
    assert (lines["max_wal_size"].value, lines["min_wal_size"].value) == (most, least)


@pytest.mark.parametrize("name", ["max_wal_size", "min_wal_size"])
@pytest.mark.parametrize(("segment", "low", "enough"), [(None, "31MB", "32MB"), ("64MB", "127MB", "128MB")])
def test_a_chosen_wal_size_below_two_segments_is_refused(name: str, segment: str | None, low: str, enough: str) -> None:
    server = told(wal_segment_size=segment) if segment else told()
    for world in (facts(server=server), *([] if segment else [facts()])):
        with pytest.raises(UsageError, match=f"postgres.{name} = {low} .* two segments"):
            advise(world, choose(**{name: low}))
        assert advise(world, choose(**{name: enough}))[name].value == enough


def paged(pages: int | None, server: Any, command: list[str] | None = None) -> Facts:
    world = facts(service(command=command), server=server)
    known = () if pages is None else (("vm.nr_hugepages", str(pages)),)
    return replace(world, host=replace(world.host, sysctl=known))


@pytest.mark.parametrize(("pages", "buffers", "starts"), [(700, "1GB", True), (100, "1GB", False), (100, "64MB", True)])
def test_huge_pages_must_hold_the_buffers_that_were_decided(pages: int, buffers: str, starts: bool) -> None:
    asked = choose(huge_pages="on", shared_buffers=buffers)
    if starts:
        assert advise(paged(pages, live()), asked)["huge_pages"].value == "on"
        return
    with pytest.raises(UsageError, match=f"postgres.huge_pages = on .* {pages} huge pages"):
        advise(paged(pages, live()), asked)


OWN = ["postgres", "-c", "huge_pages=on"]


@pytest.mark.parametrize(("pages", "value"), [(73, "128MB"), (None, "128MB"), (700, "1GB")])
def test_the_operator_s_own_huge_pages_keep_what_starts(pages: int | None, value: str) -> None:
    server = live(changed={"huge_pages": setting("huge_pages", "on", "command line")})
    world = paged(pages, server, OWN)
    line = advise(world)["shared_buffers"]
    assert (line.value, line.recommended) == (value, "1GB")
    assert any("huge pages may hold no more" in str(n) for n in line.notes) is (value == "128MB")
    written = fragment(world)
    assert fragment(simulate(world, written)) == written
    if value == "128MB":
        with pytest.raises(UsageError, match=r"postgres\.shared_buffers = 1GB .* would not start"):
            advise(world, choose(shared_buffers="1GB"))
        busy = paged(pages, replace(server, connections_now=98), OWN)
        assert advise(busy)["max_connections"].value == "100", "each connection takes shared memory too"


def test_huge_pages_that_are_only_tried_keep_nothing_small() -> None:
    assert advise(paged(0, live()))["shared_buffers"].value == "1GB"


@pytest.mark.parametrize(
    ("major", "rows", "command", "refused", "taken"),
    [
        (16, {}, None, "3", "4"),
        (15, {"superuser_reserved_connections": "10"}, None, "10", "11"),
        (16, {"superuser_reserved_connections": "3", "reserved_connections": "20"}, None, "23", "24"),
        (16, None, None, "3", "4"),
        (16, None, ["postgres", "-c", "superuser_reserved_connections=7"], "7", "8"),
    ],
)
def test_a_server_needs_more_connections_than_it_reserves(
    major: int, rows: dict[str, str] | None, command: list[str] | None, refused: str, taken: str
) -> None:
    world = facts(service(major, command), server=None if rows is None else told(major, **rows))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=f"postgres.max_connections = {refused} .* at least {taken}"):
        advise(world, choose(max_connections=refused))
    assert advise(world, choose(max_connections=taken))["max_connections"].value == taken


def test_what_is_reserved_comes_on_top_of_what_is_seen() -> None:
    server = replace(told(reserved_connections="40"), connections_now=80)
    assert advise(facts(server=server))["max_connections"].value == "140"
    with pytest.raises(UsageError, match="at least 123"):
        advise(facts(server=server), choose(max_connections="122"))


@pytest.mark.parametrize(("name", "refused"), [("max_connections", "262121"), ("max_worker_processes", "262029")])
def test_more_processes_than_the_server_can_number(name: str, refused: str) -> None:
    """Without a known memory nothing else would refuse them."""
    from nftui.optimizations.postgres import OPTIMIZATION

    world = facts(service(memory_limit_bytes=None), server=live())
    with pytest.raises(UsageError, match=f"postgres.{name} = {refused} .* processes in all"):
        OPTIMIZATION.advise(world, choose(**{name: refused}), {})
    assert OPTIMIZATION.advise(world, choose(**{name: str(int(refused) - 1)}), {})


@pytest.mark.parametrize(("words", "taken"), [(("sync", "worker"), False), (("sync", "worker", "io_uring"), True)])
def test_io_uring_only_where_the_build_has_it(words: tuple[str, ...], taken: bool) -> None:
    row = replace(setting("io_method", "worker"), enumvals=words)
    found = service(18, config={"security_opt": ["seccomp=unconfined"]})
    world = facts(found, server=live(18, {"io_method": row}))
    if taken:
        assert advise(world, choose(io_method="io_uring"))["io_method"].value == "io_uring"
        return
    with pytest.raises(UsageError, match="this server takes sync, worker"):
        advise(world, choose(io_method="io_uring"))


def test_what_cannot_be_read_as_a_number_counts_as_usual() -> None:
    world = facts(service(command=["postgres", "-c", "superuser_reserved_connections=$N"]))
    server = build_server(world, world.stack.services[0], choose(), {}, ())
    assert (server.reserved_connections, server.least_wal) == (3, 32 * 1024**2)
