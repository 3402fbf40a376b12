"""Two hundred random plans with random faults in a world in memory: none is lost."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from nftui.engine.journal import Phase
from nftui.engine.runner import Options, Outcome, Runner
from nftui.model.plan import Stage, StepSpec, digest
from nftui.steps import load_kinds
from tests.crash.figures import FIGURES
from tests.engine.mortal import MortalJournal
from tests.engine.test_runner import Quiet
from tests.engine.world import ENV, OVERRIDE, Killed, World, new_world, stages

PLANS = 200
REFUSALS = ("", "write " + OVERRIDE, "write " + ENV, "dry-run", "inert", "busy")
DEATHS = ("none", "line before", "line after", "effect before", "effect after")


@dataclass(frozen=True)
class Life:
    """One life of the worker: at which line or effect it dies, and what does not work meanwhile."""

    death: str
    at: int
    refuse: str

    def __str__(self) -> str:
        return f"{self.death or 'none'}; {self.refuse.partition(' ')[0] or 'all works'}"


lives = st.builds(Life, st.sampled_from(DEATHS), st.integers(1, 24), st.sampled_from(REFUSALS))
plans = st.tuples(st.sampled_from(("256MB", "512MB", "1GB")), st.sets(st.sampled_from(("env", "check", "mounted"))))


def plan(world: World, value: str, without: set[str]) -> tuple[Stage, ...]:
    """A plan with some of its steps left out, and files of its own beside."""
    stage = stages(world, value)[0]
    extra = f"mounted for {value}\n".encode()
    world.blobs.put(extra)
    mounted = StepSpec(
        "mounted", "file", f"/p/nftui/{value}", {"after": digest(extra), "mode": 0o644}, stage.steps[0].summary
    )
    return (Stage(stage.id, tuple(s for s in (mounted, *stage.steps) if s.id not in without), stage.services),)


def live(world: World, path: Path, made: tuple[Stage, ...], life: Life, turn: bool) -> Outcome | str | None:
    """Go on with the journal until the run ends or the worker dies ("died")."""
    journal = MortalJournal(path)
    if life.death.startswith("line"):
        journal.kill_at, journal.after = len(journal.entries) + life.at, life.death.endswith("after")
    world.kill_at = len(world.effects) + life.at if life.death.startswith("effect") else None
    world.kill_after, world.refuse = life.death.endswith("after"), life.refuse
    runner = Runner(journal, made, load_kinds(), world.context(), Quiet(), Options())
    try:
        if turn and not runner.view.turned:
            journal.write(Phase.TURN, reason="recovery")  # type: ignore[no-untyped-call]
        return runner.forward()
    except Killed:
        return "died"
    finally:
        journal.close()


def run_to_the_end(base: Path, chosen: tuple[str, set[str]], script: list[Life], turn: bool) -> tuple[str, str]:
    """All lives of the script, then one without a fault; how it ended, and what is wrong with that."""
    world = new_world(base)
    old, made = world.state(), plan(world, *chosen)
    outcome: Outcome | str | None = "died"
    for number, life in enumerate([*script, Life("none", 1, "")]):
        outcome = live(world, base / "journal", made, life, turn and number > 0)
        if outcome is None or (isinstance(outcome, Outcome) and outcome.name == "rolled-back"):
            break
    if isinstance(outcome, Outcome) and "does not run its former values" in outcome.reason:
        # A server that kept its values through the way back is told, not called rolled back; the operator restarts it.
        world.refuse = ""
        world.up("db", scale=1, grace_s=1)
        outcome = live(world, base / "journal", made, Life("none", 1, ""), True)
    if outcome is None:
        wrong = "" if world.running_value == chosen[0] and world.container else f"new, but {world.state()}"
        return "new", wrong
    ended = isinstance(outcome, Outcome) and outcome.name == "rolled-back"
    return "old", "" if ended and world.state() == old else f"{outcome}, {world.state()}"


def test_no_random_plan_is_lost_under_random_faults(seed: str) -> None:
    table: Counter[tuple[str, str]] = Counter()

    @seeded(int(seed, 16) if all(c in "0123456789abcdef" for c in seed) else random.Random(seed).getrandbits(32))  # noqa: S311
    @settings(max_examples=PLANS, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(plans, st.lists(lives, min_size=1, max_size=3), st.booleans())
    def every(chosen: tuple[str, set[str]], script: list[Life], turn: bool) -> None:
        with TemporaryDirectory() as place:
            end, wrong = run_to_the_end(Path(place), chosen, script, turn)
        table[str(script[0]), end] += 1
        assert not wrong, wrong

    every()
    for (fault, end), number in table.items():
        FIGURES.count(f"random plan: {fault}", f"exactly {end}", number)


def test_a_lost_plan_would_be_seen(tmp_path: Path) -> None:
    """The way back is made to forget a file: the judge above must notice."""
    with patch("nftui.steps.files.FileKind.undo"):
        end, wrong = run_to_the_end(tmp_path, ("512MB", set()), [Life("line after", 9, "")], True)
    assert end == "old" and wrong
