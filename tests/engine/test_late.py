"""What came to run nftui's file without a step of ours: found, and nothing else with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from nftui.engine import codec
from nftui.engine.journal import Journal, Phase, RunView, read_journal
from nftui.engine.late import Link, late_items, late_of_run
from nftui.engine.runner import BackItem, Options, Runner
from nftui.engine.state import InForce
from nftui.model.advice import Fragment
from nftui.model.message import msg
from nftui.model.plan import Stage, StepSpec, digest
from nftui.model.stack import Container
from nftui.steps import load_kinds
from nftui.steps.kind import Context
from nftui.system.blobs import BlobStore
from tests.engine.mortal import die_at
from tests.engine.test_runner import Quiet
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
    assert str(found[0].step.params["grace_s"]) == "7" and found[1].before["previous"] == {"work_mem": "4MB"}


# -- a run's own way back, to a commit point that was crossed -----------------------------------------------------
FIRST_FILE, SECOND_FILE = (f"# Written by nftui;\ncommand shared_buffers={v}MB \n".encode() for v in (256, 512))


@dataclass
class Hasty(World):
    """The operator's own `docker compose up`, as soon as the second stage's file lies there; then the run fails."""

    def _new(self) -> Container:
        labels = {"com.docker.compose.project.config_files": f"/p/compose.yaml,{OVERRIDE}"}
        return replace(super()._new(), labels=labels)

    def extra(self) -> dict[str, str]:
        if self.container is None or self.container.config_hash != self._hash():
            self.created += 1
            self.container = self._new()
        return {"web": "recreate"}


def crossed_plan(world: World) -> tuple[Stage, ...]:
    """One stage that stands once others were let in, and one after it that fails."""

    def file(name: str, content: bytes, **more: object) -> StepSpec:
        world.blobs.put(content)
        params = {"after": digest(content), "mode": 0o644}
        return StepSpec(name, "file", OVERRIDE, params, msg("step"), **more)  # type: ignore[arg-type]

    recreate = StepSpec("data/recreate", "recreate", "db", {"grace_s": 9, "force": False}, msg("step"), "db")
    check = StepSpec("check", "project-check", "project", {"services": ["db"]}, msg("step"))
    return (
        Stage("data", (file("data/file", FIRST_FILE), replace(recreate, opens=True)), ("db",), commit_point=True),
        Stage("more", (file("more/file", SECOND_FILE), check), ("db",)),
    )


def crossed_life(world: World, path: Path, make: Callable[[Path], Journal] = Journal) -> str:
    """One life of the worker."""
    first, second = (InForce(n, fragments=(Fragment("f", {"db": {"a": str(n)}}),)) for n in (1, 2))
    plan = crossed_plan(world)
    record = {"stages": codec.stages_json(plan, world.blobs), "partial": {"data": first.as_json()},
              "commit": second.as_json()}  # fmt: skip
    journal, kinds = make(path), load_kinds()

    def late(items: Sequence[BackItem], kept: str | None, ctx: Context) -> Sequence[BackItem]:
        return late_of_run(journal, record, InForce(), items, kept, {}, kinds, ctx)

    try:
        outcome = Runner(journal, plan, kinds, world.context(), Quiet(), Options(late=late)).forward()
    finally:
        journal.close()
    assert outcome
    return outcome.name


def stands(world: World) -> bool:
    """The file of the first stage, and a container that was made by it."""
    made = world.container and world.container.config_hash
    return world.files[OVERRIDE] == FIRST_FILE and made == world._hash()


def test_back_at_a_crossed_commit_point_no_service_runs_files_that_went(tmp_path: Path) -> None:
    world = Hasty(BlobStore(tmp_path / "blobs"))
    assert crossed_life(world, tmp_path / "j") == "partial"
    assert stands(world)
    assert RunView(read_journal(tmp_path / "j")).last("data/late:recreate:db") is Phase.UNDONE


@pytest.mark.parametrize("where", ["journal-before", "journal-after", "effect-before", "effect-after"])
def test_also_where_the_worker_dies_on_the_way(tmp_path: Path, where: str) -> None:
    whole = Hasty(BlobStore(tmp_path / "blobs"))
    crossed_life(whole, tmp_path / "j")
    points = len(read_journal(tmp_path / "j")) if where.startswith("journal") else len(whole.effects)
    for point in range(1, points + 1):
        world, path = Hasty(BlobStore(tmp_path / f"blobs{point}")), tmp_path / f"j{point}"
        die_at(world, where, point, lambda make, world=world, path=path: crossed_life(world, path, make))  # type: ignore[misc]
        assert crossed_life(world, path) == "partial", point
        assert stands(world), point
