"""The run loop under fault: every crash point of every step kind ends exactly old or exactly new."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nftui.engine.journal import Journal, Phase, RunView, read_journal
from nftui.engine.runner import Options, Outcome, Runner
from nftui.model.images import StoredImage
from nftui.model.stack import Container
from nftui.steps import load_kinds
from nftui.system.blobs import BlobStore
from tests.engine.mortal import die_at
from tests.engine.world import ENV, OVERRIDE, World, new_world, stages


class Quiet:
    """Nobody asks for anything, or a script of requests."""

    def __init__(self, *requests: str | None) -> None:
        self.requests = list(requests)
        self.answers: list[tuple[str, bool]] = []

    def take(self) -> str | None:
        return self.requests.pop(0) if self.requests else None

    def answer(self, request: str, accepted: bool, text: str) -> None:
        self.answers.append((request, accepted))


class WhenAwaited(Quiet):
    """Confirms once the window is open."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal

    def take(self) -> str | None:
        return "confirm" if RunView(self.journal.entries).find(Phase.AWAITING) else None


def run(
    world: World, path: Path, make: Callable[[Path], Journal] = Journal, *requests: str | None, **options: object
) -> Outcome | None:
    """One life of the worker."""
    journal = make(path)
    runner = Runner(journal, stages(world), load_kinds(), world.context(), Quiet(*requests), Options(**options))  # type: ignore[arg-type]
    try:
        return runner.forward()
    finally:
        journal.close()


OLD = ({ENV: b"A=1\n"}, "128MB", True)


def test_a_run_applies_and_verifies_every_step(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    assert run(world, tmp_path / "j") is None
    assert world.running_value == "512MB"
    view = RunView(read_journal(tmp_path / "j"))
    assert all(view.last(s.id) is Phase.VERIFIED for s in stages(world)[0].steps)


@pytest.mark.parametrize(
    ("refuse", "why"),
    [
        ("write " + OVERRIDE, "No space left"),
        ("write " + ENV, "No space left"),
        ("dry-run", "web"),
        ("inert", "does not run what was asked"),
        ("busy", "a dump is running"),
    ],
)
def test_a_failed_step_takes_everything_back(tmp_path: Path, refuse: str, why: str) -> None:
    world = new_world(tmp_path)
    world.refuse = refuse
    outcome = run(world, tmp_path / "j")
    assert outcome is not None and outcome.name == "rolled-back" and why in outcome.reason
    assert world.state() == OLD


def test_a_service_that_does_not_serve_is_taken_back(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    original = world.up

    def up(service: str, **options: object) -> None:
        original(service, **options)  # type: ignore[arg-type]
        world.serving_reason = "no answer" if world.running_value == "512MB" else None

    world.up = up  # type: ignore[method-assign]
    outcome = run(world, tmp_path / "j")
    assert outcome is not None and "no answer" in outcome.reason and outcome.name == "rolled-back"
    assert world.state() == OLD


def test_an_undo_that_fails_says_what_stands_and_can_be_run_again(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    world.refuse = "inert"
    original = world.write

    def write(path: str, content: bytes, **options: object) -> None:
        if content == b"A=1\n":
            raise OSError(30, "Read-only file system")
        original(path, content, **options)  # type: ignore[arg-type]

    world.write = write  # type: ignore[method-assign]
    outcome = run(world, tmp_path / "j")
    assert outcome is not None and outcome.name == "failed" and ENV in outcome.standing
    world.write = original  # type: ignore[method-assign]
    again = run(world, tmp_path / "j")
    assert again is not None and again.name == "rolled-back" and world.state() == OLD


def test_another_image_under_the_same_tag_is_not_called_rolled_back(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    assert run(world, tmp_path / "j") is None
    original = world._new
    world._new = lambda: replace(original(), image_id="another")  # type: ignore[method-assign]
    journal = Journal(tmp_path / "j")
    runner = Runner(journal, stages(world), load_kinds(), world.context(), Quiet(), Options())
    outcome = runner.backward(runner.own_items(), "test")
    assert outcome.name == "failed" and "another" in outcome.reason and "db" in outcome.standing
    world._new = original  # type: ignore[method-assign]
    world.container = original()
    assert runner.backward(runner.own_items(), "test").name == "rolled-back" and world.state() == OLD


class Tags:
    """The engine's names of images."""

    def __init__(self, meaning: dict[str, str]) -> None:
        self.meaning = meaning

    def find(self, name: str) -> StoredImage | None:
        return StoredImage(self.meaning[name]) if name in self.meaning else None


@pytest.mark.parametrize(("meaning", "stopped"), [
    ({"app:1": "another"}, False), ({"app:1": "sha"}, True), ({"other:1": "another"}, True), ({}, True),
])  # fmt: skip
def test_nothing_stops_on_the_way_back_while_the_name_means_another_image(
    tmp_path: Path, meaning: dict[str, str], stopped: bool
) -> None:
    world = new_world(tmp_path)
    assert run(world, tmp_path / "j") is None
    world.image = lambda service: "app:1"  # type: ignore[method-assign]
    ctx = world.context(images=Tags(meaning))
    world.effects.clear()
    journal = Journal(tmp_path / "j")
    runner = Runner(journal, stages(world), load_kinds(), ctx, Quiet(), Options())
    outcome = runner.backward(runner.own_items(), "test")
    assert ("up db" in world.effects) == stopped == (outcome.name == "rolled-back")
    if not stopped:
        assert "app:1 means another" in outcome.reason and "Tag the former one" in outcome.reason
        assert world.running_value == "512MB" and "db" in outcome.standing


class Scaled(World):
    """`db` in as many containers as were asked for last, or as the operator made of it."""

    count = 1

    def containers(self) -> list[Container]:
        return [replace(c, id=f"{c.id}-{n}", number=n) for c in super().containers() for n in range(1, self.count + 1)]

    def up(self, service: str, *, scale: int, grace_s: int, force: bool = False) -> None:
        super().up(service, scale=scale, grace_s=grace_s, force=force)
        self.count = scale


@pytest.mark.parametrize(("then", "now"), [(1, 3), (3, 1), (2, 2)])
def test_the_way_back_leaves_no_fewer_containers_than_run_now(tmp_path: Path, then: int, now: int) -> None:
    world = Scaled(BlobStore(tmp_path / "blobs"), {ENV: b"A=1\n"})
    world.count = then
    assert run(world, tmp_path / "j") is None and world.count == then
    world.count = now
    journal = Journal(tmp_path / "j")
    runner = Runner(journal, stages(world), load_kinds(), world.context(), Quiet(), Options())
    assert runner.backward(runner.own_items(), "test").name == "rolled-back"
    assert world.count == max(then, now) and world.running_value == "128MB"


def test_a_child_killed_for_lack_of_memory_takes_the_run_back(tmp_path: Path) -> None:
    world = new_world(tmp_path)

    def kills(container: Container) -> int:
        return 1 if world.running_value == "512MB" and world.clock > 0.5 else 0

    journal = Journal(tmp_path / "j")
    ctx = world.context(oom_kills=kills)
    outcome = Runner(journal, stages(world), load_kinds(), ctx, Quiet(), Options()).forward()
    assert outcome is not None and outcome.name == "rolled-back" and "lack of memory" in outcome.reason
    assert world.state() == OLD


def test_what_did_not_serve_before_need_not_serve_after_the_way_back(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    world.serving_reason = "no answer"
    outcome = run(world, tmp_path / "j")
    assert outcome is not None and outcome.name == "rolled-back" and world.state() == OLD


def count_points(tmp_path: Path) -> tuple[int, int]:
    tmp_path.mkdir()
    world = new_world(tmp_path)
    run(world, tmp_path / "count")
    return len(read_journal(tmp_path / "count")), len(world.effects)


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("where", ["journal-before", "journal-after", "effect-before", "effect-after"])
def test_every_crash_point_ends_old_or_new(tmp_path: Path, where: str, resume: bool) -> None:
    lines, effects = count_points(tmp_path / "c")
    for point in range(1, (lines if where.startswith("journal") else effects) + 1):
        base = tmp_path / f"{where}{point}{resume}"
        base.mkdir()
        world = new_world(base)
        die(world, base, where, point)
        recover(world, base / "j", resume)
        new = world.state()[1] == "512MB"
        assert new == resume or world.state() == OLD, (where, point, world.state())
        if new:
            assert set(world.files) == {OVERRIDE, ENV} and world.container is not None
        else:
            assert world.state() == OLD, (where, point)


def die(world: World, base: Path, where: str, point: int) -> None:
    die_at(world, where, point, lambda make: run(world, base / "j", make))


def recover(world: World, path: Path, resume: bool) -> None:
    journal = Journal(path)
    runner = Runner(journal, stages(world), load_kinds(), world.context(), Quiet(), Options())
    if not resume and not runner.view.turned:
        journal.write(Phase.TURN, reason="recovery")
    outcome = runner.forward()
    assert outcome is None or outcome.name == "rolled-back", outcome
    journal.close()


def test_unconfirmed_in_time_is_taken_back(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    outcome = run(world, tmp_path / "j", Journal, confirm_within_s=5.0, boot_time=lambda: world.clock, boot_id="b")
    assert outcome is not None and outcome.name == "rolled-back" and "not confirmed" in outcome.reason
    assert world.state() == OLD


def test_confirmed_in_time_stays(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    journal = Journal(tmp_path / "j")
    options = Options(confirm_within_s=5.0, boot_time=lambda: world.clock, boot_id="b")
    asked = WhenAwaited(journal)
    assert Runner(journal, stages(world), load_kinds(), world.context(), asked, options).forward() is None
    journal.close()
    assert world.running_value == "512MB" and asked.answers == [("confirm", True)]


def test_a_confirmation_of_another_boot_does_not_count(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    journal = Journal(tmp_path / "j")
    runner = Runner(journal, stages(world), load_kinds(), world.context(), Quiet(), Options())
    assert runner.forward() is None
    journal.write(Phase.AWAITING, deadline=100.0, boot="old", seconds=60)
    journal.close()
    outcome = run(
        world, tmp_path / "j", Journal, "confirm", confirm_within_s=60.0, boot_time=lambda: 1.0, boot_id="new"
    )
    assert outcome is not None and "restarted" in outcome.reason and world.state() == OLD


def test_a_foreign_edit_stops_the_way_back(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    assert run(world, tmp_path / "j") is None
    world.files[OVERRIDE] = b"edited by hand\n"
    journal = Journal(tmp_path / "j")
    runner = Runner(journal, stages(world), load_kinds(), world.context(), Quiet(), Options())
    outcome = runner.backward(runner.own_items(), "test")
    assert outcome.name == "failed" and "--force" in outcome.reason
    assert world.files[OVERRIDE] == b"edited by hand\n"
    forced = Runner(journal, stages(world), load_kinds(), world.context(force=True), Quiet(), Options())
    assert forced.backward(forced.own_items(), "test").name == "rolled-back"
    assert world.state() == OLD


def test_another_key_added_to_env_survives_rollback(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    assert run(world, tmp_path / "j") is None
    world.files[ENV] += b"NEW=2\n"
    journal = Journal(tmp_path / "j")
    runner = Runner(journal, stages(world), load_kinds(), world.context(), Quiet(), Options())
    assert runner.backward(runner.own_items(), "test").name == "rolled-back"
    assert world.files == {ENV: b"A=1\nNEW=2\n"} and world.running_value == "128MB"


def test_a_client_that_does_not_reconnect_is_restarted(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    world.clients = ["api"]
    apps = Container("a1", "api-1", "api", 1, "running", None, "img", "sha")
    original_up, original_restart = world.up, world.restart
    containers = world.containers

    def up(service: str, **options: object) -> None:
        original_up(service, **options)  # type: ignore[arg-type]
        world.clients = []

    def restart(container_id: str, grace_s: int) -> None:
        original_restart(container_id, grace_s)
        world.clients = ["api"]

    world.up, world.restart = up, restart  # type: ignore[method-assign]
    world.containers = lambda: [*containers(), apps]  # type: ignore[method-assign]
    assert run(world, tmp_path / "j") is None
    assert "restart a1" in world.effects
    assert world.clock >= 20
