"""A PostgreSQL major cut off anywhere on the real engine: one whole server is in use, the other is fenced or gone."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest

from tests.crash.bed import RECOVER, RESUME, ROLLBACK, Point, make_bed
from tests.crash.conftest import ALL
from tests.crash.figures import FIGURES
from tests.crash.test_data_points import COMPOSE, DataBed, DataMatrix
from tests.crash.test_points import IMAGE_KINDS, SAVE_KINDS, TRY_KINDS, Matrix, Trial, check
from tests.stack import images
from tests.stack.fixtures import tear_down
from tests.stack.running import Stack, docker

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(os.geteuid() != 0, reason="data is switched only by root"),
]
NEW = {"postgres": "postgres:17", "redis": "redis:7"}
REDIS = """
services:
  redis:
    image: {image}
    command: ["redis-server", "--appendonly", "yes"]
    volumes: ["redis_data:/data"]
    healthcheck: {{test: ["CMD-SHELL", "redis-cli ping | grep -q PONG"], interval: 1s}}
volumes: {{redis_data: {{}}}}
"""


class ImageBed(DataBed):
    """The database of test_data_points.py on its way to another major."""

    service = "postgres"

    @property
    def copied(self) -> str:
        """The volume that the data goes to."""
        return f"{self.stack.project}_{self.service}-{NEW[self.service].partition(':')[2]}"

    def new_life(self) -> None:
        """Also without what was kept of images."""
        super().new_life()
        for name in docker("images", "--format", "{{.Repository}}:{{.Tag}}").split():
            if name.startswith(f"nftui-kept/{self.stack.project}"):
                docker("rmi", name)

    def helpers(self) -> list[str]:
        """What is left of the containers that steps worked in: none must be."""
        runs = {run.name for state in self.project_states() for run in state.runs()}
        found = docker("ps", "--all", "--format", '{{.ID}} {{.Label "nftui.run"}}', "--filter", "label=nftui.run")
        return [line for line in found.splitlines() if line.split()[1] in runs]


@dataclass
class RedisBed(ImageBed):
    """A Redis with an append-only file, and its keys."""

    service = "redis"

    def picture(self) -> dict[str, object]:
        """Files, and what the running server holds."""
        container = self.stack.container("redis")
        runs = docker("inspect", "--format", "{{.Config.Image}} {{range .Mounts}}{{.Name}}{{end}}", container)
        keys = docker("exec", container, "redis-cli", "LRANGE", "jobs", "0", "-1")
        return {"files": self.picture_of_files(), "runs": runs, "keys": keys}


def _look(matrix: MinorMatrix | ImageMatrix, bed: ImageBed) -> None:
    """Its pictures and events: there and back, nothing unconfirmed."""
    matrix.bed, matrix.problems = bed, []
    matrix.old = bed.picture()
    matrix.events = bed.events(*matrix.apply)
    matrix.new = bed.picture()
    matrix.back_events = bed.events(*matrix.back)
    assert not bed.judge(matrix.old), bed.judge(matrix.old)


class MinorMatrix(Matrix):
    """Applies go to another image of the same major, on the data as it lies."""

    bed: ImageBed

    def __init__(self, bed: ImageBed) -> None:
        stay = (word for name in ("api", "jobs") for word in ("--set", f"images.{name}=stay"))
        self.apply = ("apply", "--only", "images", *stay, "--set", f"images.postgres={make_minor()}", "--yes", "--json",
                      "--settle", "0")  # fmt: skip
        _look(self, bed)

    def _judge(self, done, new):  # type: ignore[no-untyped-def]
        return super()._judge(done, new) + [f"left: {helper}" for helper in self.bed.helpers()]


def minor_name() -> str:
    return f"{images.reference('postgres:15')}.{os.getpid()}"


def make_minor() -> str:
    """The server of the crash stack under a tag and an id of its own, which no other process has."""
    name = minor_name()
    made = docker("create", images.reference("postgres:15"))
    docker("commit", "--change", "LABEL nftui.test.minor=1", made, name)
    docker("rm", "-v", made)
    return name


class ImageMatrix(DataMatrix):
    """Applies go to the other major; the way back is consented to."""

    bed: ImageBed

    def __init__(self, bed: ImageBed) -> None:
        service = bed.service
        wish = (word for name in ("api", "jobs") if service == "postgres" for word in ("--set", f"images.{name}=stay"))
        self.apply = ("apply", "--only", "images", *wish, "--set", f"images.{service}={images.reference(NEW[service])}",
                      "--yes", "--accept-irreversible", "--without-backup", "--json", "--settle", "0")  # fmt: skip
        _look(self, bed)

    def _judge(self, done, new):  # type: ignore[no-untyped-def]
        wrong = super()._judge(done, new) if self.bed.service == "postgres" else self._judge_redis(done, new)
        return wrong + [f"left: {helper}" for helper in self.bed.helpers()]

    def _judge_redis(self, done, new) -> list[str]:  # type: ignore[no-untyped-def]
        if done.code != 0:
            return [f"ended with {done.code}: {done.out}{done.err}"]
        return self.bed.judge(self.new if new else self.old) + self.bed.invariants(1 if new else 0)


@pytest.fixture(scope="module")
def matrix(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageMatrix]:
    images.ensure("postgres:17")
    plain = make_bed(tmp_path_factory.mktemp("images"), compose=COMPOSE)
    bed = ImageBed(plain.stack, plain.state, plain.logs, first_env=plain.first_env)
    try:
        bed.stack.up()
        yield ImageMatrix(bed)
    finally:
        problems = tear_down(bed.stack)
        bed.new_life()
    assert not problems, "a stack was not removed whole"


@pytest.fixture
def minor_matrix(matrix: ImageMatrix) -> Iterator[MinorMatrix]:
    yield MinorMatrix(matrix.bed)
    matrix.bed.new_life()
    docker("rmi", minor_name(), check=False)


@pytest.fixture
def redis_matrix(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageMatrix]:
    images.ensure("redis:6", "redis:7")
    base = tmp_path_factory.mktemp("redis")
    plain = make_bed(base, compose=COMPOSE)
    stack: Stack = plain.stack
    (stack.directory / "compose.yaml").write_text(REDIS.format(image=images.reference("redis:6")))
    bed = RedisBed(stack, plain.state, plain.logs, first_env=plain.first_env)
    try:
        stack.up()
        docker("exec", stack.container("redis"), "redis-cli", "RPUSH", "jobs", *(f"job{n}" for n in range(200)))
        yield ImageMatrix(bed)
    finally:
        problems = tear_down(stack)
        bed.new_life()
        shutil.rmtree(base, ignore_errors=True)
    assert not problems, "a stack was not removed whole"


_STEPS = {"image:": "image", "images-check:": "image-check", "check": "pg-check", "copy": "pg-dump",
          "restore": "pg-restore", "save": "redis-save", "images-count:": "redis-count"}  # fmt: skip


def step_kind(event: str) -> str:
    """The kind that the event belongs to; "" for one that other tests are about."""
    words = event.split()
    if event == "helper serve" or words[-1] == "rehearsal:redis":
        return "redis-rehearsal"
    if words[-1] == "rehearsal:postgres":
        return "pg-try"
    if words[0] == "helper" and len(words) > 1 and words[1].startswith("nftui-"):
        return "pg-dump" if words[1] in ("nftui-prepare", "nftui-dump", "nftui-keep") else "pg-restore"
    if words[0] != "journal" or len(words) < 3:
        return ""
    name = words[-1]
    return _STEPS.get(name.partition(":")[0] + ":" if ":" in name else name, "")


def trials(scenario: str, events: Iterable[tuple[str, int]], ways: tuple[tuple[str, ...], ...]) -> list[Trial]:
    """After every event that is about these kinds, and before a helper is removed."""
    points = [Point(name, number, "after") for name, number in events if step_kind(name)]
    points += [Point(name, number, "before") for name, number in events if name == "helper remove"]
    return [Trial(scenario, p, ("worker", "power")[n % 2], ways[n % len(ways)]) for n, p in enumerate(points)]


def share(chance: random.Random, found: list[Trial], number: int) -> list[Trial]:
    """All of them, or some."""
    if ALL:
        return found
    FIGURES.left_out[f"crash in {found[0].scenario}"] = len(found) - number
    return chance.sample(found, number)


@pytest.mark.all
def test_a_major_that_is_cut_off_ends_old_or_new(matrix: ImageMatrix, chance: random.Random, portion: slice) -> None:
    assert {step_kind(name) for name, _ in matrix.events} - {""} == IMAGE_KINDS
    found = trials("switch to another major", matrix.events, (matrix.back, RESUME, RECOVER))
    check(matrix, share(chance, found, 1)[portion], matrix.try_apply)


@pytest.mark.all
def test_a_redis_that_is_cut_off_ends_old_or_new(
    redis_matrix: ImageMatrix, chance: random.Random, portion: slice
) -> None:
    assert {step_kind(name) for name, _ in redis_matrix.events} >= SAVE_KINDS
    found = trials("switch of a Redis", redis_matrix.events, ((*ROLLBACK, "--force"), RESUME, RECOVER))
    check(redis_matrix, share(chance, found, 4)[portion], redis_matrix.try_apply)


@pytest.mark.all
def test_another_image_of_a_major_that_is_cut_off_ends_old_or_new(
    minor_matrix: MinorMatrix, chance: random.Random, portion: slice
) -> None:
    assert {step_kind(name) for name, _ in minor_matrix.events} >= TRY_KINDS
    found = trials("another image of a major", minor_matrix.events, (minor_matrix.back, RESUME, RECOVER))
    check(minor_matrix, share(chance, found, 2)[portion], minor_matrix.try_apply)
