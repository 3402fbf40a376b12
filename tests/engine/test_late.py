"""What came to run nftui's file without a step of ours: found, and nothing else with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from nftui.engine.journal import RunView
from nftui.engine.late import Link, late_items
from nftui.engine.runner import BackItem
from nftui.engine.state import InForce
from nftui.model.advice import Fragment
from nftui.model.message import msg
from nftui.model.plan import Stage, StepSpec
from nftui.model.stack import Container
from nftui.steps import load_kinds
from nftui.system.blobs import BlobStore
from tests.engine.world import OVERRIDE, World

NOTHING = InForce()
TUNED = InForce(1, "R1", fragments=(Fragment("f", {"db": {"a": "1"}, "pool": {"image": "p"}}, own={"pool": ("db",)}),))
OTHER = replace(TUNED, generation=2, run="R2", fragments=(*TUNED.fragments, Fragment("g", {"web": {"b": "1"}})))


@dataclass
class Running(World):
    """Any containers."""

    found: list[Container] = field(default_factory=list)

    def containers(self) -> Sequence[Container]:
        return self.found


def container(service: str, *, ours: bool = True, state: str = "running", one_off: bool = False) -> Container:
    files = ["/p/compose.yaml", *([OVERRIDE] if ours else [])]
    labels = {"com.docker.compose.project.config_files": ",".join(files)}
    return Container(
        f"{service}-{ours}", f"p-{service}-1", service, 1, state, None, "i", "s", labels=labels, one_off=one_off
    )


def link(before: InForce, after: InForce, *steps: StepSpec) -> Link:
    return Link(f"{after.run}/", (Stage("settings", steps, ()),), RunView([]), before, after)


def step(kind: str, service: str, **params: object) -> StepSpec:
    return StepSpec(f"{kind}:{service}", kind, service, params, msg("step"), service)


FIRST, SECOND = link(NOTHING, TUNED), link(TUNED, OTHER)


@pytest.fixture
def world(tmp_path: Path) -> Running:
    return Running(BlobStore(tmp_path / "blobs"))


def late(
    world: Running, chain: Sequence[Link], *items: BackItem, shared: Mapping[str, tuple[str, ...]] | None = None
) -> list[BackItem]:
    return late_items(chain, items, shared or {}, load_kinds(), world.context())


def names(items: Sequence[BackItem]) -> list[str]:
    return [i.key for i in items]


def test_a_service_is_made_again_and_one_of_nftui_s_own_goes(world: Running) -> None:
    world.found = [container("pool"), container("db"), container("web")]
    found = late(world, [FIRST])
    assert names(found) == ["R1/late:recreate:db", "R1/late:start:pool"]
    assert found[0].before["containers"] == [] and found[0].before["scale"] == 1


@pytest.mark.parametrize(
    "there",
    [
        [],
        [container("db", ours=False), container("pool", ours=False)],
        [container("db", one_off=True), container("pool", one_off=True)],
        [container("db", state="exited")],
        [container("web"), container("other")],
    ],
)
def test_what_does_not_run_the_file_is_left_alone(world: Running, there: list[Container]) -> None:
    world.found = there
    assert late(world, [FIRST]) == []


def test_one_of_nftui_s_own_goes_also_where_it_does_not_run_and_somebody_else_s_stays(world: Running) -> None:
    theirs = container("pool", ours=False)
    world.found = [container("pool", state="exited"), theirs]
    (item,) = late(world, [FIRST])
    load_kinds().of(item.step).undo(item.step, item.before, world.context(engine=Removing(world)))
    assert world.found == [theirs]


class Removing:
    """The engine's calls that the way back of a start needs."""

    def __init__(self, world: Running) -> None:
        self.world, self.containers = world, world.containers

    def remove(self, container_id: str, grace_s: int) -> None:
        self.world.found = [c for c in self.world.found if c.id != container_id]


@pytest.mark.parametrize("kind", ["recreate", "start", "remove"])
def test_what_a_step_of_ours_takes_back_is_no_news(world: Running, kind: str) -> None:
    world.found = [container("db"), container("pool")]
    items = [BackItem(f"R1/{kind}:{name}", step(kind, name), {}) for name in ("db", "pool")]
    assert late(world, [FIRST], *items) == []
    assert names(late(world, [FIRST], items[0])) == ["R1/late:start:pool"]


def test_only_the_oldest_run_that_changed_it_makes_it_again_by_the_last_files(world: Running) -> None:
    world.found = [container("db"), container("web")]
    newer = BackItem("R2/recreate:db", step("recreate", "db"), {})
    assert names(late(world, [FIRST, SECOND], newer)) == ["R1/late:recreate:db", "R2/late:recreate:web"]
    older = BackItem("R1/recreate:db", step("recreate", "db"), {})
    assert names(late(world, [FIRST, SECOND], older)) == ["R2/late:recreate:web"]
    assert names(late(world, [SECOND])) == ["R2/late:recreate:web"], "the first run stands"


def test_who_shares_its_namespaces_is_made_again_with_it(world: Running) -> None:
    world.found = [container("db"), container("near", ours=False), container("down", ours=False, state="exited")]
    found = late(world, [FIRST], shared={"db": ("near", "down"), "web": ("other",)})
    assert [(i.step.target, i.step.params["force"]) for i in found] == [("db", False), ("near", True)]


def test_what_it_runs_is_read_back_and_its_grace_is_the_planned_one(world: Running) -> None:
    world.found = [container("db")]
    planned = step("recreate", "db", grace_s=7)
    settings = step("postgres-settings", "db", expected={}, previous={"work_mem": "4MB"})
    of_another = step("postgres-settings", "web", expected={}, previous={})
    found = late(world, [link(NOTHING, TUNED, planned, settings, of_another)])
    assert names(found) == ["R1/late:recreate:db", "R1/late:postgres-settings:db"]
    assert found[0].step.params["grace_s"] == 7 and found[1].before["previous"] == {"work_mem": "4MB"}
