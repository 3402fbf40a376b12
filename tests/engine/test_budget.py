"""One memory budget: examples with figures, and what holds for every host and every stack."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nftui.engine.budget import HEADROOM, Budget, kept_demands, make_budget, needs_of, total_bytes
from nftui.model.advice import Demand, Fragment
from nftui.model.facts import Facts
from nftui.model.host import Host
from nftui.model.stack import Container, Engine, Invocation, Role, Service, Stack
from nftui.model.units import GIB, MIB

ROLES = (Role.POSTGRES, Role.REDIS, Role.QDRANT, Role.OLLAMA, Role.APP, Role.EXPORTER, Role.UNKNOWN)


def facts(*services: Service, memory: int | None = 16 * GIB, huge: int | None = None, **more: Any) -> Facts:
    return Facts(Host(memory_bytes=memory, huge_pages_bytes=huge), Stack("x", Invocation("/x", ()), services), **more)


def given_to(budget: Budget) -> dict[str, int]:
    return dict(budget.use.services)


def total(budget: Budget) -> int:
    return budget.use.reserved_bytes + sum(given_to(budget).values())


def texts(budget: Budget) -> str:
    return " ".join(str(w) for w in budget.warnings)


DB = Service("db", Role.POSTGRES)
LIMITED = replace(DB, memory_limit_bytes=4 * GIB)


def test_everyone_gets_what_is_wanted_where_there_is_room() -> None:
    budget = make_budget(facts(LIMITED, Service("web", Role.APP)), [Demand("o", "db", GIB, 3 * GIB, 3 * GIB)])
    assert given_to(budget) == {"db": 4 * GIB, "web": 512 * MIB}
    assert budget.use.reserved_bytes == 16 * GIB // 10
    assert [g.from_limit for g in budget.grants] == [True, False]
    assert budget.warnings == ()


def test_what_earlier_runs_brought_is_counted_by_its_limit() -> None:
    services: dict[str, dict[str, object]] = {
        "pooler": {"mem_limit": 96 * MIB}, "keeper": {"deploy": {"resources": {"limits": {"memory": "64M"}}}},
        "copy": {"mem_limit": "${COPY_MEMORY}"}, "job": {"restart": "no", "mem_limit": GIB}, "db": {"shm_size": "1g"},
    }  # fmt: skip
    own = dict.fromkeys(("pooler", "keeper", "copy", "job"), ("db",))
    found = given_to(make_budget(facts(LIMITED), kept_demands([Fragment("o", services, own=own)])))
    assert found == {"db": 4 * GIB, "pooler": 96 * MIB, "keeper": 64 * MIB, "copy": 512 * MIB}


def test_replicas_share_what_their_service_has() -> None:
    budget = make_budget(facts(replace(LIMITED, scale=3)), [])
    assert given_to(budget) == {"db": 12 * GIB}
    assert budget.grants[0].bytes == 4 * GIB


def test_a_service_without_containers_takes_nothing() -> None:
    budget = make_budget(facts(replace(LIMITED, scale=0), Service("web", Role.APP)), [])
    assert given_to(budget) == {"web": 512 * MIB}


def test_limits_that_do_not_fit_are_named_with_figures() -> None:
    world = facts(LIMITED, Service("web", Role.APP, memory_limit_bytes=4 * GIB), memory=6 * GIB)
    budget = make_budget(world, [])
    assert total(budget) <= 6 * GIB
    assert "web 1 GiB / 4 GiB, db 3.9 GiB / 4 GiB" in texts(budget) and "8 GiB are promised" in texts(budget)


def test_floors_that_do_not_fit_say_what_to_switch_off() -> None:
    world = facts(DB, Service("heavy", Role.APP), memory=2 * GIB, usage={"heavy": GIB})
    budget = make_budget(world, [])
    assert total(budget) <= 2 * GIB
    assert "Switch off" in texts(budget) and "heavy" in texts(budget)


def test_data_comes_before_apps_when_floors_do_not_fit() -> None:
    apps = [Service(f"a{n}", Role.APP) for n in range(20)]
    budget = make_budget(facts(DB, *apps, memory=2 * GIB), [])
    assert given_to(budget)["db"] == 256 * MIB
    assert all(given_to(budget)[a.name] < 128 * MIB for a in apps)


def test_what_a_demand_wants_and_does_not_get_is_said() -> None:
    budget = make_budget(facts(DB, memory=4 * GIB), [Demand("o", "db", GIB, 8 * GIB, 8 * GIB)])
    assert given_to(budget) == {"db": 3 * GIB}
    assert "db 3 GiB / 8 GiB" in texts(budget)


def test_others_count_with_their_promise_and_it_gives_way_only_to_floors() -> None:
    roomy = make_budget(facts(DB, others_bytes=8 * GIB, others_used_bytes=GIB), [])
    assert roomy.use.reserved_bytes == 8 * GIB + 16 * GIB // 10 and not roomy.warnings
    floor = [Demand("o", "db", 5 * GIB, 9 * GIB, 9 * GIB)]
    tight = make_budget(facts(DB, others_bytes=60 * GIB, others_used_bytes=GIB), floor)
    assert given_to(tight) == {"db": 5 * GIB}
    assert "promised 60 GiB" in texts(tight)
    full = make_budget(facts(DB, others_bytes=60 * GIB, others_used_bytes=60 * GIB), [])
    assert total(full) <= 16 * GIB and given_to(full) == {"db": 1 * GIB}


def test_huge_pages_are_not_ours() -> None:
    budget = make_budget(facts(DB, huge=14 * GIB), [])
    assert budget.use.reserved_bytes == 15 * GIB and total(budget) <= 16 * GIB
    assert total(make_budget(facts(DB, huge=16 * GIB), [])) == 16 * GIB


def test_the_machine_that_counts() -> None:
    there = Engine("28", "id", local=False, memory_bytes=2 * GIB)
    assert total_bytes(facts(engine=there)) == 2 * GIB
    assert total_bytes(facts(engine=replace(there, memory_bytes=None))) is None
    assert total_bytes(facts(engine=replace(there, local=True))) == 2 * GIB
    own = facts()
    assert total_bytes(replace(own, host=replace(own.host, cgroup_memory_bytes=GIB))) == GIB
    unknown = make_budget(facts(DB, memory=None), [])
    assert unknown.use.host_bytes is None and given_to(unknown) == {"db": GIB}


def test_use_that_moves_a_little_moves_no_grant() -> None:
    ones = {make_budget(facts(DB, usage={"db": 4 * GIB + n * MIB}), []).grants for n in range(0, 100, 10)}
    assert len(ones) == 1


@st.composite
def services(draw: st.DrawFn, number: int) -> Service:
    limit = draw(st.none() | st.integers(6 * MIB, 64 * GIB))
    role = draw(st.sampled_from(ROLES))
    return Service(f"s{number}", role, memory_limit_bytes=limit, scale=draw(st.sampled_from((0, 1, 1, 1, 3))))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Facts, tuple[Demand, ...]]:
    """1 GiB to 1 TiB, 1 to 200 services: twelve kinds are drawn and repeated, as stacks do."""
    count = draw(st.integers(1, 200))
    kinds = [draw(services(n)) for n in range(min(12, count))]
    stack = [replace(kinds[n % len(kinds)], name=f"s{n}") for n in range(count)]
    memory = draw(st.integers(GIB, 16 * GIB) | st.integers(GIB, 1024 * GIB))
    used = draw(st.lists(st.integers(0, memory // 4), max_size=min(4, count)))
    usage = {f"s{n}": min(size, (stack[n].memory_limit_bytes or size) * max(1, stack[n].scale))
             for n, size in enumerate(used)}  # fmt: skip
    wants = draw(st.lists(st.tuples(st.integers(0, 4 * GIB), st.integers(0, 32 * GIB)), max_size=min(6, count)))
    demands = tuple(Demand("o", f"s{n}", low, low + more, low + more) for n, (low, more) in enumerate(wants))
    others = draw(st.integers(0, 2 * memory))
    world = facts(
        *stack, memory=memory, huge=draw(st.sampled_from((None, 0, memory // 8))), usage=usage, others_bytes=others,
        others_used_bytes=draw(st.integers(0, min(others, memory))),
    )  # fmt: skip
    return world, demands


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_never_more_than_the_host_and_no_floor_starves_that_fits(world: tuple[Facts, tuple[Demand, ...]]) -> None:
    budget, needs, host = make_budget(*world), needs_of(*world), world[0].host.memory_bytes or 0
    assert total(budget) <= host
    assert budget.use.reserved_bytes >= (world[0].host.huge_pages_bytes or 0)
    room = host - budget.use.reserved_bytes
    for need, grant in zip(needs, budget.grants, strict=True):
        got = given_to(budget)[need.service]
        assert 0 <= got <= need.wanted and grant.bytes * need.count <= got
        used = world[0].usage.get(need.service, 0)
        if sum(n.floor for n in needs) <= room:
            assert got >= need.floor and got >= min(used * HEADROOM, need.limit or got) - 1
        elif sum(n.now for n in needs) <= room:
            assert got >= need.now
    if sum(n.floor for n in needs) > room:
        assert "Switch off" in texts(budget)


@settings(max_examples=100, deadline=None)
@given(worlds(), st.integers(1, 64 * MIB))
def test_a_small_change_makes_a_small_change(world: tuple[Facts, tuple[Demand, ...]], more: int) -> None:
    known, demands = world
    larger = replace(known, host=replace(known.host, memory_bytes=(known.host.memory_bytes or 0) + more))
    before, after = given_to(make_budget(known, demands)), given_to(make_budget(larger, demands))
    assert all(abs(after[name] - before[name]) <= more + 32 * MIB for name in before)


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_its_own_output_is_no_input(world: tuple[Facts, tuple[Demand, ...]]) -> None:
    known, demands = world
    budget = make_budget(known, demands)
    grants = {g.service: g.bytes for g in budget.grants}
    ran = tuple(
        replace(s, containers=(Container("1", s.name, s.name, 1, "running", None, "", "",
                                         memory_limit_bytes=grants.get(s.name)),))
        for s in known.stack.services
    )  # fmt: skip
    assert make_budget(replace(known, stack=replace(known.stack, services=ran)), demands) == budget
    shuffled = replace(known, stack=replace(known.stack, services=known.stack.services[::-1]))
    assert make_budget(shuffled, demands[::-1]) == budget


@settings(max_examples=100, deadline=None)
@given(worlds(), st.integers(64 * MIB, 8 * GIB))
def test_a_knob_moves_the_bar(world: tuple[Facts, tuple[Demand, ...]], more: int) -> None:
    known, demands = world
    moved = replace(known.stack.services[0], memory_limit_bytes=None, scale=1)
    known = replace(known, stack=replace(known.stack, services=(moved, *known.stack.services[1:])))
    rest = tuple(d for d in demands if d.service != moved.name)
    low = make_budget(known, (*rest, Demand("o", moved.name, 0, 8 * GIB, 0)))
    high = make_budget(known, (*rest, Demand("o", moved.name, 8 * GIB + more, 8 * GIB + more, 0)))
    asked = 8 * GIB + more if "Switch off" not in texts(high) else 0  # else floors are cut, each by its weight
    assert given_to(high)[moved.name] >= max(given_to(low)[moved.name], asked)
    others = [n for n in given_to(low) if n != moved.name]
    assert all(given_to(high)[n] <= given_to(low)[n] + 16 * MIB for n in others)


@pytest.mark.parametrize("count", [1, 26, 200])
def test_the_bar_names_every_active_service_once(count: int) -> None:
    stack = [Service(f"s{n}", ROLES[n % len(ROLES)], active=n % 5 != 4) for n in range(count)]
    budget = make_budget(facts(*stack), [])
    assert [n for n, _ in budget.use.services] == sorted(s.name for s in stack if s.active)


def test_host_after_host_each_grant_moves_a_little() -> None:
    """From far too small to more than enough, through every tier."""
    stack = [replace(LIMITED, name="a"), Service("b", Role.QDRANT), Service("c", Role.APP), Service("d", Role.OLLAMA)]
    demands = [Demand("o", "b", GIB, 6 * GIB, 6 * GIB)]
    grown = [given_to(make_budget(facts(*stack, memory=GIB + n * 16 * MIB), demands)) for n in range(2000)]
    assert set(grown[-1].values()) == {4 * GIB, 6 * GIB, 512 * MIB, 8 * GIB}
    for before, after in pairwise(grown):
        assert all(abs(after[name] - size) <= 48 * MIB for name, size in before.items())
