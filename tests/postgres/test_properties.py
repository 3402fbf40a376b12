"""What must hold for every server: the worst case fits or says so, /dev/shm carries it, bounds, and no second plan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from nftui.model.host import Medium
from nftui.model.knobs import Kind
from nftui.model.units import GIB, MIB, TIB, parse_size
from nftui.optimizations.postgres import OPTIMIZATION
from nftui.optimizations.postgres.gucs import GUCS, number
from nftui.optimizations.postgres.knobs import BY_NAME

from .build import choose, facts, grants, live, service, setting, simulate

if TYPE_CHECKING:
    from nftui.model.advice import Advice
    from nftui.model.choices import Choices
    from nftui.model.facts import Facts

WORKLOADS = st.sampled_from(["web", "oltp", "dw", "mixed", "desktop"])
MEMORY = st.integers(256, 1024 * 1024).map(lambda m: m * MIB)
SOURCES = st.sampled_from(["configuration file", "command line", "alter system"])


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Facts, Choices, int]:
    """A live server of any version on any machine, with some settings of its operator."""
    major = draw(st.integers(12, 18))
    own = {
        "max_connections": str(draw(st.integers(20, 2000))),
        "work_mem": f"{draw(st.integers(1, 512))}MB",
        "shared_buffers": f"{draw(st.integers(16, 65536))}MB",
        "maintenance_work_mem": f"{draw(st.integers(1, 4096))}MB",
        "max_wal_size": f"{draw(st.integers(100, 20000))}MB",
    }
    names = draw(st.sets(st.sampled_from(sorted(own))))
    rows, flags, by_command = {}, ["postgres"], []
    for name in sorted(names):
        source = draw(SOURCES)
        rows[name] = setting(name, own[name], "command line" if source == "command line" else "configuration file")
        if source == "command line":
            flags += ["-c", f"{name}={own[name]}"]
        if source == "alter system":
            by_command.append(name)
    server = live(major, rows, auto_conf=tuple(by_command), connections_peak=draw(st.integers(0, 300)))
    memory = draw(MEMORY)
    shm = draw(st.sampled_from([None, 64 * MIB, 128 * MIB, GIB]))
    found = service(major, flags if len(flags) > 1 else None, memory_limit_bytes=memory, shm_bytes=shm)
    world = facts(
        found, server=server, cpus=draw(st.integers(1, 128)), medium=draw(st.sampled_from(list(Medium))),
        free=draw(st.sampled_from([None, GIB, 15 * GIB, 2 * TIB])),
    )  # fmt: skip
    return world, choose(workload=draw(WORKLOADS)), memory


def lines_of(world: Facts, choices: Choices, memory: int) -> dict[str, Advice]:
    return {line.knob: line for line in OPTIMIZATION.advise(world, choices, grants(memory))}


def value(lines: dict[str, Advice], name: str) -> int:
    found = number(name, lines[name].value)
    assert found is not None
    return int(found)


def worst_case(lines: dict[str, Advice], major: int) -> float:
    """Written down again, on purpose not with the code's own arithmetic."""
    multiplier = 2.0 if major >= 15 else 1.0
    processes = value(lines, "max_connections") + value(lines, "max_parallel_workers")
    return (
        value(lines, "shared_buffers")
        + processes * (value(lines, "work_mem") * multiplier + 2 * MIB)
        + 4 * value(lines, "maintenance_work_mem")
    )


@settings(max_examples=300, deadline=None)
@given(worlds())
def test_the_worst_case_fits_or_the_advice_says_so(given_world: tuple[Facts, Choices, int]) -> None:
    world, choices, memory = given_world
    lines = lines_of(world, choices, memory)
    major = int(world.stack.services[0].version or 0)
    said = any("does not fit" in note.id and "worst case does not" in note.id for note in lines["work_mem"].notes)
    assert said or worst_case(lines, major) <= 0.9 * memory
    least = worst_case(lines | {"work_mem": replace(lines["work_mem"], value="64kB")}, major)
    if said:
        assert least > 0.85 * memory - 4 * value(lines, "maintenance_work_mem") - value(lines, "shared_buffers")


@settings(max_examples=300, deadline=None)
@given(worlds())
def test_the_shared_memory_carries_every_parallel_join(given_world: tuple[Facts, Choices, int]) -> None:
    world, choices, memory = given_world
    lines = lines_of(world, choices, memory)
    major = int(world.stack.services[0].version or 0)
    shm, gather = parse_size(lines["shm_size"].value or ""), value(lines, "max_parallel_workers_per_gather")
    assert shm is not None
    multiplier = 2.0 if major >= 15 else 1.0
    queries = -(-value(lines, "max_parallel_workers") // gather) if gather else 0
    queries = min(queries, value(lines, "max_connections"))
    assert shm >= queries * (gather + 1) * value(lines, "work_mem") * multiplier
    if not any("does not fit" in n.id for n in lines["work_mem"].notes) and shm > 1088 * MIB:
        assert shm <= 0.9 * memory


@settings(max_examples=300, deadline=None)
@given(worlds(), st.booleans())
def test_planning_after_an_apply_is_empty(given_world: tuple[Facts, Choices, int], files_read: bool) -> None:
    world, choices, memory = given_world
    first = OPTIMIZATION.fragment(world, OPTIMIZATION.advise(world, choices, grants(memory)))
    after = simulate(world, first, files_read=files_read)
    again = OPTIMIZATION.advise(after, choices, grants(memory))
    assert OPTIMIZATION.fragment(after, again).values == first.values
    assert OPTIMIZATION.fragment(after, again) == first
    assert [(line.knob, line.current, line.value) for line in again if line.changes] == []


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_values_are_within_postgresql_s_bounds(given_world: tuple[Facts, Choices, int]) -> None:
    lines = lines_of(*given_world)
    for name, line in lines.items():
        knob = BY_NAME[name]
        if line.value is None or line.kept or name not in GUCS:
            continue
        if knob.kind in (Kind.SIZE, Kind.INTEGER, Kind.REAL):
            found = number(name, line.value)
            assert found is not None and (knob.minimum or 0) <= found <= (knob.maximum or 0), line
        elif knob.kind is Kind.ENUM:
            assert line.value in knob.choices, line


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_connections_are_never_lowered(given_world: tuple[Facts, Choices, int]) -> None:
    world, choices, memory = given_world
    lines = lines_of(world, choices, memory)
    server = world.live[("db", "postgres")].value
    assert value(lines, "max_connections") >= int(lines["max_connections"].current or 0)
    assert lines["max_connections"].kept or value(lines, "max_connections") >= server.connections_peak  # type: ignore[union-attr]


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_the_same_facts_give_the_same_advice(given_world: tuple[Facts, Choices, int]) -> None:
    world, choices, memory = given_world
    assert OPTIMIZATION.advise(world, choices, grants(memory)) == OPTIMIZATION.advise(world, choices, grants(memory))


@settings(max_examples=200, deadline=None)
@given(st.integers(512, 65536), st.floats(0.95, 1.05), WORKLOADS)
def test_the_tolerance_never_breaks_the_proof(megabytes: int, factor: float, workload: str) -> None:
    """What is in force is kept within 5 %, but not where less memory makes it too much."""
    memory, choices = megabytes * MIB, choose(workload=workload)
    world = facts(service(command=None, memory_limit_bytes=None), server=live(16))
    first = OPTIMIZATION.fragment(world, OPTIMIZATION.advise(world, choices, grants(memory)))
    lines = lines_of(simulate(world, first), choices, int(memory * factor))
    said = any("worst case does not fit" in note.id for note in lines["work_mem"].notes)
    assert said or worst_case(lines, 16) <= 0.9 * int(memory * factor)
