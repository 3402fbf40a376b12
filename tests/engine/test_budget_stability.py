"""What a little more of one input does to the budget, and who goes without first; for every host and every stack."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from nftui.engine.budget import HEADROOM, make_budget, needs_of
from nftui.model.advice import Demand
from nftui.model.facts import Facts
from nftui.model.stack import Role, Service
from nftui.model.units import MIB
from tests.engine.test_budget import LIMITED, facts, given_to, total, worlds

World = tuple[Facts, tuple[Demand, ...]]
ROUNDING = 32 * MIB
"""Grants above the floor are whole steps: two services may each move by one beside the change itself."""


def step_of(size: float) -> float:
    """What is in use counts in steps of an eighth to a sixteenth, of 64 MiB at least."""
    return max(64 * MIB, size / 8)


@settings(max_examples=60, deadline=None)
@given(worlds(), st.integers(1, 64 * MIB), st.data())
def test_a_little_more_in_use(world: World, more: int, data: st.DataObject) -> None:
    known, demands = world
    name = data.draw(st.sampled_from([s.name for s in known.stack.services]))
    used = known.usage.get(name, 0)
    grown = replace(known, usage={**known.usage, name: used + more})
    before, after = given_to(make_budget(known, demands)), given_to(make_budget(grown, demands))
    bound = more * HEADROOM + step_of((used + more) * HEADROOM) + ROUNDING
    assert all(abs(after[n] - size) <= bound for n, size in before.items())


@settings(max_examples=60, deadline=None)
@given(worlds(), st.integers(1, 64 * MIB))
def test_a_little_more_promised_to_others(world: World, more: int) -> None:
    known, demands = world
    grown = replace(known, others_bytes=known.others_bytes + more)
    before, after = given_to(make_budget(known, demands)), given_to(make_budget(grown, demands))
    bound = more + step_of(known.others_bytes + more) + ROUNDING
    assert all(abs(after[n] - size) <= bound for n, size in before.items())


@settings(max_examples=60, deadline=None)
@given(worlds(), st.integers(1, 64 * MIB))
def test_a_little_more_wanted(world: World, more: int) -> None:
    known, demands = world
    if not demands:
        return
    first, *rest = demands
    asked = replace(first, wanted=first.wanted + more)
    before, after = given_to(make_budget(known, demands)), given_to(make_budget(known, (asked, *rest)))
    scale = max(1, next(s.scale for s in known.stack.services if s.name == first.service))
    assert all(abs(after[n] - size) <= more * scale + ROUNDING for n, size in before.items())
    assert all(after[n] <= size + ROUNDING for n, size in before.items() if n != first.service)


@settings(max_examples=60, deadline=None)
@given(worlds(), st.integers(1, 64 * MIB))
def test_a_little_higher_limit(world: World, more: int) -> None:
    known, demands = world
    first = known.stack.services[0]
    if not first.memory_limit_bytes:
        return
    raised = replace(first, memory_limit_bytes=first.memory_limit_bytes + more)
    grown = replace(known, stack=replace(known.stack, services=(raised, *known.stack.services[1:])))
    before, after = given_to(make_budget(known, demands)), given_to(make_budget(grown, demands))
    bound = more * max(1, first.scale) + ROUNDING
    assert all(abs(after[n] - size) <= bound for n, size in before.items())


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_queues_databases_and_models_go_without_last(world: World) -> None:
    needs, given_ = needs_of(*world), given_to(make_budget(*world))
    starved = [n for n in needs if n.holds_data and given_[n.service] < n.floor]
    short_of_use = [n for n in needs if given_[n.service] < n.now]
    if starved:
        assert all(given_[n.service] <= n.now for n in needs if not n.holds_data)
    if short_of_use:
        assert all(given_[n.service] <= n.now for n in needs)


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_nothing_is_left_lying_while_somebody_wants_more(world: World) -> None:
    known, demands = world
    budget, needs = make_budget(known, demands), needs_of(known, demands)
    left = (known.host.memory_bytes or 0) - total(budget)
    wanting = [n for n in needs if given_to(budget)[n.service] < n.wanted]
    # Each may stop short of its next whole step, and the split by weight rounds down.
    assert not wanting or left <= (len(wanting) + 1) * 16 * MIB


def test_promise_after_promise_and_use_after_use_each_grant_moves_a_little() -> None:
    """From nothing to more than there is, so that no cliff lies between two drawn examples."""
    stack = (LIMITED, Service("models", Role.OLLAMA), Service("queue", Role.REDIS), Service("web", Role.APP))
    promised = [given_to(make_budget(facts(*stack, others_bytes=n * 16 * MIB), [])) for n in range(1100)]
    used = [given_to(make_budget(facts(*stack, usage={"models": n * 16 * MIB}), [])) for n in range(700)]
    for row in (promised, used):
        assert row[0] != row[-1]
        for number, (before, after) in enumerate(pairwise(row)):
            bound = 16 * MIB * HEADROOM + step_of((number + 1) * 16 * MIB * HEADROOM) + ROUNDING
            assert all(abs(after[name] - size) <= bound for name, size in before.items())
