"""Plans with services of nftui's own: what is started, what is only written, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nftui.engine.planner import Standing, draft
from nftui.engine.preview import MASK, diff_files
from nftui.engine.protocols import Registry
from nftui.engine.state import InForce
from nftui.model.choices import Choices, Selection
from nftui.model.facts import Facts, FileFact
from nftui.model.plan import Draft, canonical
from nftui.model.stack import Container, Role
from tests.checks.build import read
from tests.optimizations.test_contract import standing
from tests.services.dropped.relay import OPTIMIZATION, WORD

STACK = """
services:
  jobs: {image: "nftui-test/app:latest", environment: {REDIS_HOST: redis}, stop_grace_period: 3s}
"""
ON = Choices({"relay": Selection.ON})
REGISTRY: Registry = {"relay": OPTIMIZATION}


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    """The app does not run."""
    return read(tmp_path, STACK)


def running(facts: Facts, role: Role = Role.APP) -> Facts:
    there = Container("c", "jobs-1", "jobs", 1, "running", None, "img", "sha", stop_grace_s=2.5)
    services = tuple(replace(s, role=role, containers=(there,)) for s in facts.stack.services)
    return replace(facts, stack=replace(facts.stack, services=services))


def planned(
    facts: Facts, own: dict[str, bool] | None = None, choices: Choices = ON, former: Draft | None = None
) -> Draft:
    in_force = InForce(1, "run", ON, former.fragments) if former else None
    place: Standing = replace(standing(facts, in_force), own=own or {})
    return draft(facts, choices, REGISTRY, place)


def after(facts: Facts, made: Draft) -> Facts:
    """With the files that it writes."""
    return replace(facts, files={**facts.files, **{c.path: FileFact(c.path, c.content) for c in made.files}})


def ids(made: Draft) -> list[str]:
    return [s.id.partition("/")[0] for s in made.steps]


def test_it_starts_for_an_app_that_runs_before_that_is_routed(facts: Facts) -> None:
    found = ids(planned(running(facts)))
    assert found == ["mounted:relay", "override:compose.nftui.yaml", "check:project", "start:relay", "recreate:jobs"]


def test_for_what_does_not_run_only_the_files_are_written(facts: Facts) -> None:
    made = planned(facts)
    assert ids(made) == ["mounted:relay", "override:compose.nftui.yaml", "check:project"]
    assert any("unverified: relay" in str(w) for w in made.warnings)


def test_what_stands_is_left_alone_and_what_is_gone_comes_back(facts: Facts) -> None:
    first = planned(running(facts))
    then = after(running(facts), first)
    assert not planned(then, {"relay": True}, former=first).changes
    assert ids(planned(then, {}, former=first)) == ["start:relay"] == ids(planned(then, {"relay": False}, former=first))


def test_a_change_recreates_it_alone_and_keeps_the_former_files(facts: Facts) -> None:
    first = planned(running(facts))
    other = Choices({"relay": Selection.ON}, {("relay", "jobs", "size"): "32mb"})
    found = ids(planned(after(running(facts), first), {"relay": True}, other, first))
    assert found == ["mounted:relay", "override:compose.nftui.yaml", "check:project", "recreate:relay", "leave:relay"]


def test_switched_off_it_goes_after_the_app(facts: Facts) -> None:
    first = planned(running(facts))
    off = planned(after(running(facts), first), {"relay": True}, Choices({"relay": Selection.OFF}), first)
    assert ids(off) == ["override:compose.nftui.yaml", "check:project", "recreate:jobs", "remove:relay", "leave:relay"]


def test_a_name_that_the_operator_has_is_refused(tmp_path: Path) -> None:
    made = planned(running(read(tmp_path, STACK + "  relay: {image: 'nginx:1'}\n")))
    assert any("a service relay already" in str(r) for r in made.refusals)


def test_no_secret_stands_in_core_or_diff(facts: Facts) -> None:
    made = planned(facts)
    shown = {d.name: d.text for d in diff_files(made.files)}
    assert MASK in shown["users.txt"] and "+maxmemory 16mb" in shown["redis.conf"]
    assert WORD not in "".join(shown.values()) and WORD.encode() not in canonical(made.core())


@pytest.mark.parametrize(("role", "grace"), [(Role.APP, 3), (Role.REDIS, 120), (Role.UNKNOWN, 120)])
def test_only_what_may_have_data_gets_two_minutes_to_stop(facts: Facts, role: Role, grace: int) -> None:
    step = next(s for s in planned(running(facts, role)).steps if s.id == "recreate:jobs")
    assert step.params["grace_s"] == grace
