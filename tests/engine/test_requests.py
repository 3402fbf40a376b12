"""Requests of a live run: what counts, what is answered, and that every wait of a step hears them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from nftui.engine.journal import Journal, Phase, RunView
from nftui.engine.requests import KEPT_S, FileRequests, new_request
from nftui.engine.runner import Options, Outcome, Runner
from nftui.model.plan import Cancel, Stage
from nftui.steps import load_kinds
from nftui.system.clock import FakeClock
from tests.engine.test_runner import OLD, Quiet
from tests.engine.world import Killed, World, new_world, stages


class Desk:
    """A run's directory with its journal, and a clock that the test moves."""

    def __init__(self, root: Path) -> None:
        self.clock, self.directory = FakeClock(), root / "runs" / "R1"
        (self.directory / "requests").mkdir(parents=True)
        self.journal = Journal(self.directory / "journal.jsonl")
        self.requests = FileRequests(self.directory / "requests", self.journal, self.clock)

    def ask(self, what: str, **more: object) -> None:
        data = {**new_request(what, "R1", {}, self.clock), **more}
        (self.directory / "requests" / f"{data['id']}.json").write_text(json.dumps(data))

    def answers(self) -> list[Mapping[str, object]]:
        return [e.data for e in self.journal.entries if e.phase is Phase.ANSWER]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_request_is_taken_once_and_its_answer_names_it(desk: Desk) -> None:
    desk.ask("confirm", id="17")
    assert desk.requests.take() == "confirm" and desk.requests.take() is None
    desk.requests.answer("confirm", True, "kept")
    (answer,) = desk.answers()
    assert (answer["id"], answer["accepted"]) == ("17", True)


def test_a_confirm_from_before_a_reboot_is_refused(desk: Desk) -> None:
    desk.ask("confirm")
    desk.clock.reboot("boot-2")
    assert desk.requests.take() is None
    assert [(a["accepted"], a["text"]) for a in desk.answers()] == [
        (False, "it was asked before the machine was restarted")
    ]


@pytest.mark.parametrize(("more", "why"), [({"run": "R0"}, "another run"), ({"asked_at": -KEPT_S}, "too long ago")])
def test_what_does_not_count_is_answered_with_the_reason(desk: Desk, more: dict[str, object], why: str) -> None:
    desk.ask("cancel", **more)
    assert desk.requests.take() is None
    (answer,) = desk.answers()
    assert answer["accepted"] is False and why in str(answer["text"])


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "5", '{"request": "format"}', '{"request": "confirm", "asked_at": []}']
)
def test_garbage_is_removed_and_the_next_request_is_taken(desk: Desk, content: str) -> None:
    (desk.directory / "requests" / "0.json").write_text(content)
    desk.ask("rollback")
    assert desk.requests.take() == "rollback"
    assert list((desk.directory / "requests").iterdir()) == []


def test_the_wall_clock_moves_no_deadline(desk: Desk) -> None:
    desk.ask("cancel")
    desk.clock.wall = desk.clock.wall.replace(year=1999)
    assert desk.requests.take() == "cancel"


class Later(Quiet):
    """Asks once the world's clock has come that far."""

    def __init__(self, world: World, at: float, request: str) -> None:
        super().__init__()
        self.world, self.at, self.request = world, at, request

    def take(self) -> str | None:
        if self.world.clock < self.at or self.answers:
            return None
        return self.request


def go(world: World, path: Path, asked: Quiet, plan: tuple[Stage, ...], **options: object) -> Outcome | None:
    journal = Journal(path)
    try:
        runner = Runner(journal, plan, load_kinds(), world.context(settle_s=500.0), asked, Options(**options))  # type: ignore[arg-type]
        return runner.forward()
    finally:
        journal.close()


def test_a_cancel_ends_a_long_wait_of_a_step(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    asked = Later(world, 3.0, "cancel")
    outcome = go(world, tmp_path / "j", asked, stages(world))
    assert outcome is not None and outcome.name == "rolled-back" and "cancelled" in outcome.reason
    assert asked.answers == [("cancel", True)] and world.state() == OLD
    assert world.clock < 10, "it went on settling"


def test_a_step_that_says_so_is_finished_before_the_cancel(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    (stage,) = stages(world)
    plan = (replace(stage, steps=tuple(replace(s, cancel=Cancel.AFTER_STEP) for s in stage.steps)),)
    asked = Later(world, 3.0, "cancel")
    outcome = go(world, tmp_path / "j", asked, plan)
    assert outcome is not None and outcome.name == "rolled-back" and world.state() == OLD
    phases = [e.phase for e in Journal(tmp_path / "j").entries if e.step == "recreate"]
    assert Phase.VERIFIED in phases and world.clock > 400


def test_an_accepted_cancel_outlives_the_worker(tmp_path: Path) -> None:
    """Killed between the answer and the turn: who was told that it is taken back is not told a lie."""
    world = new_world(tmp_path)
    journal, made = Journal(tmp_path / "j"), stages(world)

    class Dies(Later):
        def answer(self, request: str, accepted: bool, text: str) -> None:
            journal.write(Phase.ANSWER, request=request, accepted=accepted, text=text)
            raise Killed

    with pytest.raises(Killed):
        Runner(journal, made, load_kinds(), world.context(settle_s=9.0), Dies(world, 3.0, "cancel"),
               Options()).forward()  # fmt: skip
    journal.close()
    outcome = go(world, tmp_path / "j", Quiet(), made)
    assert outcome is not None and "cancelled" in outcome.reason and world.state() == OLD


def test_a_confirm_before_the_window_is_refused(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    early = Later(world, 0.0, "confirm")
    outcome = go(world, tmp_path / "j", early, stages(world), confirm_within_s=5.0, boot_time=lambda: world.clock)
    assert outcome is not None and "not confirmed" in outcome.reason and early.answers == [("confirm", False)]


def test_a_confirm_after_the_deadline_is_refused(tmp_path: Path) -> None:
    world, journal = new_world(tmp_path), Journal(tmp_path / "j")

    class Late(Quiet):
        def take(self) -> str | None:
            return "confirm" if RunView(journal.entries).turned and not self.answers else None

    late, options = Late(), Options(confirm_within_s=5.0, boot_time=lambda: world.clock)
    outcome = Runner(journal, stages(world), load_kinds(), world.context(), late, options).forward()
    journal.close()
    assert outcome is not None and outcome.name == "rolled-back"
    assert late.answers == [("confirm", False)] and world.state() == OLD


def test_a_way_back_is_not_cancelled(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    assert go(world, tmp_path / "j", Quiet(), stages(world)) is None
    journal, asked = Journal(tmp_path / "j"), Later(world, 0.0, "cancel")
    runner = Runner(journal, stages(world), load_kinds(), world.context(), asked, Options())
    assert runner.backward(runner.own_items(), "by request").name == "rolled-back"
    assert asked.answers == [("cancel", False)] and world.state() == OLD


def test_work_that_was_accepted_is_waited_for_and_not_asked_again(tmp_path: Path) -> None:
    """Compose has returned, the worker dies, the container is still coming up."""
    world = new_world(tmp_path)
    original = world.up

    def up(service: str, **options: object) -> None:
        original(service, **options)  # type: ignore[arg-type]
        assert world.container
        world.container = replace(world.container, state="created")

    world.up = up  # type: ignore[method-assign]

    class Dies(Journal):
        def write(self, phase, step=None, **data):  # type: ignore[no-untyped-def]
            entry = super().write(phase, step, **data)
            if phase is Phase.ISSUED:
                raise Killed
            return entry

    journal = Dies(tmp_path / "j")
    with pytest.raises(Killed):
        Runner(journal, stages(world), load_kinds(), world.context(), Quiet(), Options()).forward()
    journal.close()

    def comes_up(seconds: float) -> None:
        world.clock += seconds
        assert world.container
        world.container = replace(world.container, state="running")

    again = Journal(tmp_path / "j")
    ctx = world.context(sleep=comes_up)
    assert Runner(again, stages(world), load_kinds(), ctx, Quiet(), Options()).forward() is None
    again.close()
    assert world.effects.count("up db") == 1 and RunView(again.entries).last("recreate") is Phase.VERIFIED
