"""Cut off while models are loaded and settings of their server are read back, on the real engine."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.crash.bed import RECOVER, RESUME, ROLLBACK, Bed, Point, containers
from tests.crash.conftest import ALL
from tests.crash.figures import FIGURES
from tests.stack import images
from tests.stack.fixtures import copy_stack, tear_down
from tests.stack.running import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1800)]

KINDS = {"ollama-settings", "ollama-preload"}
"""Step kinds of this plan, beside those that every plan has."""
APPLY = ("apply", "--only", "ollama", "--yes", "--json", "--settle", "0", "--set", "ollama.models=tiny-chat:1b, embed")
COMPOSE = Path(__file__).parent / "stack" / "models.yaml"


@dataclass
class ModelBed(Bed):
    """A bed whose picture is what is in memory, beside files and containers."""

    def picture(self) -> dict[str, Any]:
        """Files, containers, and which models stay for good."""
        return {"files": self.picture_of_files(), **containers(self.stack), "held": self.held()}

    def held(self) -> list[tuple[str, bool]]:
        """Names of what is in memory, each with whether it stays for good."""
        address = self.stack.address("ollama")
        with urlopen(f"http://{address}:11434/api/ps", timeout=10) as answer:
            return sorted((m["name"], m["expires_at"] > "2200") for m in json.load(answer)["models"])


@pytest.fixture(scope="module")
def models(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelBed]:
    """One server, up and healthy, with nothing in memory."""
    parent = tmp_path_factory.mktemp("models")
    stack = copy_stack(parent, "15", {"OLLAMA_IMAGE": images.reference("ollama:latest")})
    shutil.copy2(COMPOSE, stack.directory / "compose.yaml")
    bed = ModelBed(stack, parent / "state", parent, first_env=(stack.directory / ".env").read_bytes())
    bed.new_life()
    try:
        stack.up()
        yield bed
    finally:
        problems = tear_down(stack)
    assert not problems, "a stack was not removed whole"


def points(events: list[tuple[str, int]], kind: str) -> list[Point]:
    """While and after each journal line of that kind's steps."""
    mine = [(name, number) for name, number in events if f" {kind}:" in name]
    return [Point(name, number, when) for name, number in mine for when in ("during", "after")]


def share(chance: random.Random, found: list[Point], label: str) -> list[Point]:
    """All, or one."""
    assert found
    picked = found if ALL else [chance.choice(found)]
    FIGURES.left_out[label] = len(found) - len(picked)
    return picked


def test_models_that_were_being_loaded_are_there_or_gone(models: ModelBed, chance: random.Random) -> None:
    old, events = models.picture(), models.events(*APPLY)
    new = models.picture()
    assert new["held"] == [("embed:latest", True), ("tiny-chat:1b", True)] and old["held"] == []
    assert models.nftui(*ROLLBACK).code == 0 and not models.judge(old)
    problems = []
    # The service that keeps them is started last; what any `start` is cut off at, test_own_points tries.
    kinds = (*sorted(KINDS), "start")
    trials = [p for kind in kinds for p in share(chance, points(events, kind), f"models: {kind}")]
    for number, point in enumerate(trials):
        then = (ROLLBACK, RESUME, RECOVER)[(number + len(point.event)) % 3]
        models.new_life()
        assert models.crash(point, "torn" if point.when == "during" else "worker", *APPLY), point
        done = models.nftui(*then)
        wrong = [] if done.code == 0 else [done.out + done.err]
        expected = old if then == ROLLBACK else new
        # What was torn is a power failure as well: it empties the server's memory, and the keeper fills it again.
        with suppress(AssertionError, OSError):
            wait_until(lambda expected=expected: models.held() == expected["held"], seconds=30, what="the models")
        wrong += models.judge(expected)
        FIGURES.count("models", "NOT recovered" if wrong else "recovered")
        problems += [f"{point}, then {then[:2]}: {w[:1500]}" for w in wrong]
        if then != ROLLBACK:
            assert models.nftui(*ROLLBACK).code == 0
        problems += [f"{point}, taken back: {w[:1500]}" for w in models.judge(old)]
    assert not problems, "\n".join(problems)
