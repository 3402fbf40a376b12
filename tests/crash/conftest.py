"""One small stack for all crashes, the seed of what is picked, and the table at the end."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.bed import Bed, make_bed
from tests.crash.figures import FIGURES
from tests.stack.fixtures import tear_down

SEED = os.environ["NFTUI_TEST_SEED"]
ALL = os.environ.get("NFTUI_TEST_ALL") == "1"
PROCESSES = 4
"""As many as are started on two processors (tests/conftest.py)."""
PORTIONS = 2 * PROCESSES if ALL else 1
"""More than processes, so that one that has ended its own can take some of another's."""
PART, PARTS = (int(number) for number in os.environ.get("NFTUI_TEST_PART", "1/1").split("/"))
"""Which part of all tests this run is, and of how many: the whole takes longer than many a machine is lent for."""
HERE = Path(__file__).parent

SHARES = {"test_faults.py": 2, "test_gates.py": 2}
"""How many tests of a module a plain run takes."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without --all, some tests of the long modules, picked by the seed; with it, portions end each process."""
    if ALL:
        mine = part_of(items)
        left = set(items).difference(mine)
        if left:
            config.hook.pytest_deselected(items=[item for item in items if item in left])
        items[:] = dealt(mine)
    for module, number in () if ALL else SHARES.items():
        found = [i for i in items if i.path.name == module and i.path.parent == HERE]
        kept = random.Random(f"{SEED}{module}").sample(found, min(number, len(found)))  # noqa: S311
        for item in found:
            if item not in kept:
                item.add_marker(pytest.mark.skip(reason=f"left out by seed {SEED}; all: ./nftui.sh test --all"))
        if found:
            FIGURES.left_out[f"tests of {module}"] = len(found) - len(kept)


def part_of(items: list[pytest.Item]) -> list[pytest.Item]:
    """This part's: some portions of each scenario, and of everything else a stretch; no test is in two parts."""
    rest = [item for item in items if portion_of(item) is None]
    begin, end = ((PART - 1) * len(rest)) // PARTS, (PART * len(rest)) // PARTS
    stretch = set(rest[begin:end])
    return [i for i in items if i in stretch or ((p := portion_of(i)) is not None and p % PARTS == PART - 1)]


def portion_of(item: pytest.Item) -> int | None:
    """Which portion of its scenario it tries; None where it is no such test."""
    spec = getattr(item, "callspec", None)
    return None if spec is None else spec.params.get("portion")


def dealt(items: list[pytest.Item]) -> list[pytest.Item]:
    """As many equal blocks as processes, each ending with its portions: a process brings each bed up only once."""
    ends: list[list[pytest.Item]] = [[] for _ in range(PROCESSES)]
    rest = []
    for item in items:
        portion = portion_of(item)
        if portion is None:
            rest.append(item)
        else:
            ends[portion // PARTS % PROCESSES].append(item)
    size = -(-len(items) // PROCESSES)
    found = []
    for end in ends:
        fill = max(0, size - len(end))
        found += rest[:fill] + end
        rest = rest[fill:]
    return found + rest


@pytest.fixture(scope="session")
def seed() -> str:
    """What the share of this run is picked by; NFTUI_TEST_SEED repeats it."""
    return SEED


@pytest.fixture
def chance(seed: str, request: pytest.FixtureRequest) -> random.Random:
    """The same picks for the same seed and test."""
    return random.Random(f"{seed}{request.node.name}")  # noqa: S311 - which tests to run is no secret


@pytest.fixture(params=range(PORTIONS))
def portion(request: pytest.FixtureRequest) -> slice:
    """Which of all the points a process takes: those of one scenario are tried side by side."""
    return slice(request.param, None, PORTIONS)


@pytest.fixture(scope="module")
def bed(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """The stack, up and healthy, as it was before nftui."""
    bed = make_bed(tmp_path_factory.mktemp("bed"))
    try:
        bed.stack.up()
        yield bed
    finally:
        problems = tear_down(bed.stack)
    assert not problems, "a stack was not removed whole"
