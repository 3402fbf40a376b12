"""What a dead worker left going comes to rest before recovery's first step."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nftui.engine.aftermath import Aftermath, HalfMade, half_made, in_flight
from nftui.engine.journal import Entry, Journal, Phase
from nftui.model.errors import CutOffError
from nftui.system.identity import MARK, Child, ProcessId
from nftui.system.wrapped import end_server


@dataclass
class Engine:
    """An engine in which things still go on."""

    left: list[str] = field(default_factory=list)
    stops: list[list[str]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def helpers(self, run: str) -> list[str]:
        self.log.append(f"helpers of {run}")
        return self.left

    def remove(self, container_id: str) -> None:
        self.log.append(f"remove {container_id}")

    def stopping(self) -> list[str]:
        self.log.append("stopping")
        return self.stops.pop(0) if self.stops else []

    def sweep(self, services: Collection[str]) -> list[str]:
        self.log.append(" ".join(["sweep", *services]))
        return ["swept"]


@dataclass
class Started:
    """A marked process of this test."""

    process: subprocess.Popen[bytes]
    child: Child


@pytest.fixture
def started() -> Iterator[list[Started]]:
    made: list[Started] = []
    yield made
    for one in made:
        one.process.kill()
        one.process.wait()


def start(made: list[Started], seconds: str) -> Child:
    mark = Child.new_mark()
    process = subprocess.Popen(["sleep", seconds], env={MARK: mark, "PATH": "/usr/bin:/bin"})
    made.append(Started(process, Child(ProcessId.of(process.pid), mark, "docker compose")))
    return made[-1].child


def entries(path: Path, *children: Child) -> list[Entry]:
    journal = Journal(path)
    for child in children:
        journal.write(Phase.CHILD, "recreate", **child.as_json())
    journal.close()
    return journal.entries


def test_on_the_way_back_a_child_is_ended_before_anything_else(tmp_path: Path, started: list[Started]) -> None:
    child, engine = start(started, "300"), Engine()
    notes: list[str] = []
    engine.helpers = lambda run: [f"living {len(child.living())}"]  # type: ignore[method-assign]
    Aftermath("R1", entries(tmp_path / "j", child), engine, notes.append).settle(goes_on=False)
    assert child.living() == [] and engine.log[0] == "remove living 0"
    assert any("was ended" in note for note in notes)


def test_on_the_way_forward_it_is_awaited(tmp_path: Path, started: list[Started]) -> None:
    child = start(started, "1")
    notes: list[str] = []
    Aftermath("R1", entries(tmp_path / "j", child), Engine(), notes.append).settle(goes_on=True)
    assert started[0].process.wait() == 0, "it was not left to end by itself"
    assert any("was awaited" in note for note in notes)


def test_a_pid_that_is_used_again_is_left_alone(tmp_path: Path, started: list[Started]) -> None:
    child = start(started, "300")
    other = Child(ProcessId(child.process.pid, "1", child.process.boot), "another mark", "docker compose")
    of_old_boot = Child(ProcessId(child.process.pid, child.process.start, "boot"), child.mark, "docker compose")
    notes: list[str] = []
    Aftermath("R1", entries(tmp_path / "j", other, of_old_boot), Engine(), notes.append).settle(goes_on=False)
    assert child.living() and notes == ["swept"]


def test_what_cannot_be_ended_stops_recovery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Child, "living", lambda self: [1])
    monkeypatch.setattr(Child, "end", lambda self, patience_s: False)
    child, engine = Child(ProcessId(1, "1", "b"), "m", "docker compose"), Engine()
    with pytest.raises(CutOffError, match=r"process 1\) of the run R1 still runs"):
        Aftermath("R1", entries(tmp_path / "j", child), engine, print).settle(goes_on=False)
    assert engine.log == []


def test_helpers_are_removed_and_stops_are_waited_for(tmp_path: Path) -> None:
    engine = Engine(["h1"], [["c1"], ["c1"]])
    slept: list[float] = []
    notes: list[str] = []
    Aftermath("R1", [], engine, notes.append, ["db"], sleep=slept.append, now=lambda: 0.0).settle(goes_on=True)
    assert engine.log == ["helpers of R1", "remove h1", "stopping", "stopping", "stopping", "sweep db"]
    assert len(slept) == 2 and len(notes) == 3


def test_a_stop_that_never_ends_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    engine, clock = Engine(stops=[["c1"]] * 10000), [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    Aftermath("R1", [], engine, lambda note: None, sleep=sleep, now=lambda: clock[0]).settle(goes_on=True)
    assert 100 < clock[0] < 1000


END = f"exec_start: {' '.join(end_server(120))}"


def event(action: str, name: str, **attributes: str) -> dict[str, object]:
    return {"Action": action, "Actor": {"ID": name, "Attributes": attributes}}


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([event("kill", "a", signal="15")], ["a"]),
        ([event("kill", "a", signal="2"), event("kill", "b", signal="15"), event("die", "a")], ["b"]),
        ([event("kill", "a", signal="1"), event("kill", "b", signal="10")], []),
        ([event("kill", "a", signal="15"), event("die", "a"), event("start", "a")], []),
        ([event("start", "a"), {"Action": "kill"}, {}], []),
        ([event(END, "a", execID="1")], ["a"]),
        ([event(END, "a", execID="1"), event("exec_die", "a", execID="2", exitCode="0")], ["a"]),
        ([event(END, "a", execID="1"), event("exec_die", "a", execID="1", exitCode="1")], []),
        ([event(END, "a", execID="1"), event("die", "a"), event("exec_die", "a", execID="1")], []),
        ([event(END, "a", execID="1"), event("kill", "a", signal="15"), event("exec_die", "a", execID="1")], ["a"]),
        ([event("exec_start: redis-cli ping", "a", execID="1")], []),
    ],
)
def test_stops_inside_the_engine_by_its_events(events: list[dict[str, object]], found: list[str]) -> None:
    assert in_flight(events) == found


def container(name: str, state: str, replaces: str = "") -> dict[str, object]:
    labels = {"com.docker.compose.service": "db"}
    labels |= {"com.docker.compose.replace": replaces} if replaces else {}
    return {"Id": f"id of {name}", "Names": [f"/{name}"], "State": state, "Labels": labels}


TEMPORARY = "0123456789ab_app-db-1"


@pytest.mark.parametrize(
    ("containers", "name"),
    [
        ([container("app-db-1", "running"), container(TEMPORARY, "created", "id of app-db-1")], ""),
        ([container("app-db-1", "exited"), container(TEMPORARY, "created", "app-db-1")], ""),
        ([container(TEMPORARY, "created", "id of app-db-1")], "app-db-1"),
        ([container("app-db-1", "running"), container(TEMPORARY, "created", "gone")], ""),
        ([container("app-db-1", "created", "gone")], None),
        ([container(TEMPORARY, "running", "gone")], None),
        ([container(TEMPORARY, "created")], None),
    ],
)
def test_what_compose_made_and_did_not_start(containers: list[dict[str, object]], name: str | None) -> None:
    wanted = [] if name is None else [HalfMade(f"id of {TEMPORARY}", name)]
    assert half_made(containers, ["db"]) == wanted


def test_what_somebody_else_makes_right_now_is_left_alone() -> None:
    containers = [container("app-db-1", "running"), container(TEMPORARY, "created", "id of app-db-1")]
    assert half_made(containers, ["web", "d"]) == [] and len(half_made(containers, ["web", "db"])) == 1
