"""Plans that bring services and files of nftui's own and move data: each stage names only what is there by then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from nftui.engine.persist import KEY, Persistence
from nftui.engine.planner import Standing, draft
from nftui.engine.runner import backward_order
from nftui.engine.state import InForce
from nftui.model.advice import Advice, Fragment
from nftui.model.choices import Choices, Selection
from nftui.model.facts import Facts, FileFact, Live
from nftui.model.knobs import Kind, Knob
from nftui.model.message import msg
from nftui.model.mounted import FileSet, MountedFile
from nftui.model.plan import DataSwitch, Draft, StepSpec
from nftui.steps import load_kinds
from tests.checks.build import read
from tests.optimizations.test_contract import standing
from tests.services.dropped.relay import OPTIMIZATION as RELAY
from tests.services.dropped.relay import Relay
from tests.services.test_plan import STACK, after, running

VIA = {"relay": ("relay",), "none": (), "chain": ("relay", "far")}
"""What the app is routed to, and what that uses itself."""


class Mover(Relay):
    """Puts the app's data elsewhere; the app has a file, and a relay that may go."""

    id = "mover"
    knobs = (
        *(Knob(n, Kind.TEXT, msg("Word"), msg("A test chooses it."), "a test") for n in ("volume", "word")),
        Knob("via", Kind.ENUM, msg("Via"), msg("A test chooses it."), "a test", choices=tuple(VIA)),
    )

    def advise(self, facts: Facts, choices: Choices, grants: Mapping[str, object]) -> tuple[Advice, ...]:
        """What was chosen."""
        defaults = {"volume": "v1", "word": "one", "via": "relay"}
        found = {knob: choices.value(self.id, "jobs", knob) or value for knob, value in defaults.items()}
        return tuple(Advice(k, "jobs", v, None, v, "", msg("Chosen."), "a test", True) for k, v in found.items())

    def fragment(self, facts: Facts, advice: tuple[Advice, ...]) -> Fragment:
        """The app on that volume with its file; what it uses."""
        chosen = {a.knob: str(a.value) for a in advice}
        app, relay = (FileSet(n, {"conf": MountedFile.of(chosen["word"] + n)}) for n in ("app", "relay"))
        data = {"type": "volume", "source": chosen["volume"], "target": "/data"}
        own = VIA[chosen["via"]]
        services: dict[str, Mapping[str, object]] = {
            name: {"image": "nftui-test/redis:7", "volumes": [_bind(facts, relay)]} for name in own
        }
        services["jobs"] = {"volumes": [data, _bind(facts, app)], "environment": {"VIA": chosen["via"]}}
        users = dict(zip(own, (("jobs",), ("relay",)), strict=False))
        volumes = {chosen["volume"]: {"external": True}}
        files = (app, relay) if own else (app,)
        return Fragment(self.id, services, {"jobs": chosen}, files, users, volumes)

    def steps(self, facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
        """One, of the app."""
        return (StepSpec("read", "postgres-settings", "jobs", {}, msg("read"), "jobs"),)

    def switches(self, facts: Facts, fragment: Fragment) -> tuple[DataSwitch, ...]:
        """The app's volume."""
        source, target = ({"type": "volume", "name": n} for n in ("old", fragment.values["jobs"]["volume"]))
        return (DataSwitch("jobs-data", "jobs", source, target, {"path": "x", "block": "absent"}, (), 5.0),)


def _bind(facts: Facts, files: FileSet) -> dict[str, object]:
    return {"type": "bind", "source": files.directory(facts.stack.base), "target": "/etc/app", "read_only": True}


MOVER = Mover()
ON = {"mover": Selection.ON}


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    """The app runs."""
    return running(read(tmp_path, STACK))


def planned(facts: Facts, own: tuple[str, ...] = (), former: Draft | None = None, **values: str) -> Draft:
    in_force = InForce(1, "run", Choices(ON), former.fragments) if former else None
    place: Standing = replace(standing(facts, in_force), own=dict.fromkeys(own, True))
    choices = Choices(ON, {("mover", "jobs", knob): value for knob, value in values.items()})
    return draft(after(facts, former) if former else facts, choices, {"mover": MOVER}, place)


def ids(made: Draft, number: int) -> list[str]:
    """Of one stage, as said in it."""
    stage = made.stages[number]
    short = [s.id.removeprefix(f"{stage.id}/") for s in stage.steps]
    return [s.partition("/")[0] if s.startswith(("mounted:", "leave:")) else s for s in short]


def text(made: Draft, number: int) -> str:
    """nftui's file as a stage leaves it."""
    change = next(c for c in made.stages[number].files if c.role == "override")
    return (change.content or b"").decode()


COPYING = ["check", "stop", "copy", "lift"]


def test_what_is_new_starts_first_and_the_app_gets_its_files_with_its_data(facts: Facts) -> None:
    made = planned(facts)
    assert ids(made, 0) == ["mounted:relay", "override:compose.nftui.yaml", "check:project", "start:relay"]
    assert "jobs" not in text(made, 0) and "v1" not in text(made, 0)
    rest = ["mounted:app", "override:compose.nftui.yaml", "fence", "recreate:jobs", "check:project", "read", "release"]
    assert ids(made, 1) == [*COPYING, *rest]
    assert [sorted(f.name for f in stage.fragments[0].files) for stage in made.stages] == [["relay"], ["app", "relay"]]
    assert made.stages[1].fragments == made.fragments
    assert [c.role for c in made.stages[1].files] == ["mounted", "override"]


def test_what_the_app_still_uses_goes_only_after_its_data_was_moved(facts: Facts) -> None:
    """Else the app would be without it, and a run that ends at the commit point would have swept its files."""
    first = planned(facts, via="chain")
    then = planned(facts, ("relay", "far"), first, via="none", volume="v2", word="two")
    (stage,) = then.stages
    rest = ["mounted:app", "override:compose.nftui.yaml", "leave:app", "leave:relay", "fence", "recreate:jobs"]
    assert ids(then, 0) == [*COPYING, *rest, "check:project", "read", "remove:far", "remove:relay", "release"]
    assert stage.services == ("jobs", "far", "relay") and stage.fragments == then.fragments


def test_its_way_back_has_all_that_it_is_routed_to_before_it_starts_and_lets_go_last(facts: Facts) -> None:
    first = planned(facts)
    (stage,) = planned(facts, ("relay",), first, via="none", volume="v2").stages
    back = [s.id.removeprefix(f"{stage.id}/").partition(":")[0] for s in backward_order(stage, load_kinds())]
    files = ["release", "check", "fence", "leave", "override", "check"]
    assert back == [*files, "remove", "recreate", "read", "lift", "copy", "stop"]


def test_what_its_new_container_would_lose_is_asked_about_and_what_cannot_be_read_is_not_moved(facts: Facts) -> None:
    lost, choices = msg("a file in the old one"), Choices(ON)
    place = replace(standing(facts), losses={"jobs": (lost,)})
    unread = replace(facts, live={("jobs", "x"): Live("x", "jobs", None, "no answer")})
    made = draft(unread, choices, {"mover": MOVER}, place)
    assert made.losses == (lost,)
    assert [str(r) for r in made.refusals if "cannot be asked" in str(r)] and not planned(facts).losses


def test_until_then_the_app_keeps_its_former_files_beside_what_is_new(facts: Facts) -> None:
    first = planned(facts)
    then = planned(facts, ("relay",), first, via="chain", volume="v2", word="two")
    assert ids(then, 0) == [
        "mounted:relay", "override:compose.nftui.yaml", "check:project", "start:far", "recreate:relay", "leave:relay",
    ]  # fmt: skip
    kept = then.stages[0].fragments[0]
    (app,) = (s for s in kept.files if s.name == "app")
    assert app == next(s for s in first.fragments[0].files if s.name == "app")
    assert kept.services["jobs"] == first.fragments[0].services["jobs"] and set(kept.volumes) == {"v1"}
    assert [s for s in ids(then, 1) if s.startswith(("leave:", "remove:", "mounted:"))] == ["mounted:app", "leave:app"]


def test_a_switched_off_part_does_not_take_the_file_out_of_force_for_the_data(facts: Facts, tmp_path: Path) -> None:
    """The first stage ends with no file of nftui's at all; the second one brings it back, and its key with it."""
    override, env = str(tmp_path / "compose.nftui.yaml"), str(tmp_path / ".env")
    value = "compose.yaml:compose.nftui.yaml"
    keep = Persistence("env", override, env, value)
    former = RELAY.fragment(facts, RELAY.advise(facts, Choices(), {}))
    origin = {"path": env, "existed": True, "value": None, "unended": False}
    in_force = InForce(1, "run", Choices({"relay": Selection.ON}), (former,), env_origin=origin)
    files = {override: FileFact(override, b"former\n"), env: FileFact(env, f"{KEY}={value}\n".encode())}
    choices = Choices({"relay": Selection.OFF, **ON}, {("mover", "jobs", "via"): "none"})
    place = replace(standing(facts, in_force), keep=keep)
    with_files = replace(facts, files={**facts.files, **files})
    made = draft(with_files, choices, {"relay": RELAY, "mover": MOVER}, place)
    last = {c.path: (c.before, c.content) for stage in made.stages for c in stage.files if c.role == "env"}
    assert [c.content for s in made.stages for c in s.files if c.role == "env"] == [b"", f"{KEY}={value}\n".encode()]
    assert last[env][0] == b""
