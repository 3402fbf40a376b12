"""What holds for every optimization in the folder (design.md, the house)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nftui.engine.persist import Persistence
from nftui.engine.planner import Standing, draft
from nftui.engine.state import InForce
from nftui.model.advice import Effort
from nftui.model.choices import Choices, Selection
from nftui.model.facts import Facts, FileFact, Live
from nftui.model.knobs import Kind
from nftui.model.plan import OptimizationPlan, canonical
from nftui.model.pooling import RoleSecret, ServerFacts
from nftui.model.stack import Container
from nftui.optimizations.registry import load_registry
from tests.checks.build import read

REGISTRY = load_registry()
EVERY = pytest.mark.parametrize("name", sorted(REGISTRY))
STACK = """
services:
  postgres:
    image: postgres:18
    environment: {POSTGRES_PASSWORD: not-a-secret}
    volumes: ["data:/var/lib/postgresql"]
    deploy: {resources: {limits: {memory: 2G, cpus: "2.0"}}}
  redis: {image: "redis:7.2", volumes: ["cache:/data"]}
  web: {image: "example/web:1", environment: {DATABASE_URL: "postgresql://web:not-a-secret@postgres/shop"}}
  qdrant: {image: "qdrant/qdrant:v1.12.0", volumes: ["vectors:/qdrant/storage"]}
  ollama: {image: "ollama/ollama:0.5.1", volumes: ["models:/root/.ollama"]}
  proxy: {image: nginx}
volumes: {data: {}, cache: {}, vectors: {}, models: {}}
"""


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    roles = {"web": RoleSecret("web", "scram", "SCRAM-SHA-256$4096:bm90$bm90:bm90")}
    server = ServerFacts(100, 3, roles=roles, databases=("shop",))
    live = {("postgres", "postgres-roles"): Live("postgres-roles", "postgres", server)}
    found = read(tmp_path, STACK)
    runs = Container("c1", "p-proxy-1", "proxy", 1, "running", None, "nginx", "sha256:0123456789ab")
    services = tuple(replace(s, containers=(runs,)) if s.name == "proxy" else s for s in found.stack.services)
    return replace(found, live=live, stack=replace(found.stack, services=services))


def standing(facts: Facts, in_force: InForce | None = None) -> Standing:
    directory = Path(facts.stack.invocation.directory)
    keep = Persistence("none", str(directory / "compose.nftui.yaml"), str(directory / ".env"), None)
    return Standing(in_force or InForce(), "/nonexistent/state", keep)


@EVERY
def test_each_knob_says_what_it_is(name: str) -> None:
    for knob in REGISTRY[name].knobs:
        assert knob.unit and str(knob.why) and knob.source, knob.name
        bounded = knob.choices or knob.minimum is not None or knob.maximum is not None
        assert bounded or knob.kind in (Kind.BOOLEAN, Kind.TEXT), knob.name


@EVERY
def test_each_knob_is_advised_so_that_a_value_for_it_is_never_lost(name: str, facts: Facts) -> None:
    optimization = REGISTRY[name]
    if not optimization.applies(facts).applicable:
        pytest.fail(f"{name} has nothing to do in the contract's stack: give it a service there")
    found = draft(facts, Choices({name: Selection.ON}), REGISTRY, standing(facts))
    advised = {a.knob for item in found.optimizations if item.id == name for a in item.advice}
    assert {k.name for k in optimization.knobs if "{" not in k.name} <= advised


@EVERY
def test_planning_twice_is_equal_and_after_an_apply_empty(name: str, facts: Facts) -> None:
    choices = Choices({name: Selection.ON})
    first = draft(facts, choices, REGISTRY, standing(facts))
    again = draft(facts, choices, REGISTRY, standing(facts))
    assert first.changes and canonical(first.core()) == canonical(again.core())
    files = {c.path: FileFact(c.path, c.content, 0o644) for c in first.files}
    applied = replace(facts, files={**facts.files, **files})
    then = draft(applied, choices, REGISTRY, standing(facts, InForce(1, "run", first.choices, first.fragments)))
    assert not then.changes, [s.id for s in then.steps]


@EVERY
def test_a_part_that_is_switched_off_takes_the_days_that_its_switch_says(name: str, facts: Facts) -> None:
    on = Choices().select(name, Selection.ON)

    def planned(choices: Choices) -> OptimizationPlan:
        return next(i for i in draft(facts, choices, REGISTRY, standing(facts)).optimizations if i.id == name)

    whole = planned(on)
    parts = [line for line in whole.advice if line.knob.startswith("tune_")]
    assert parts or name not in ("postgres", "redis")
    for line in parts:
        less = planned(on.set(name, line.service, line.knob, "off")).effort
        days = Effort(round(whole.effort.low - less.low, 2), round(whole.effort.high - less.high, 2))
        assert line.effort == days, line.knob
