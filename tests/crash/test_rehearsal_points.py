"""Another image of a Grafana or a Qdrant, cut off in its rehearsal on the real engine: nothing of it is left."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.crash.bed import RECOVER, RESUME, ROLLBACK, Bed, Point, make_bed
from tests.crash.test_data_points import COMPOSE
from tests.crash.test_image_points import ImageBed, share
from tests.crash.test_points import REHEARSAL_KINDS, Matrix, Trial, check
from tests.e2e.command import Done
from tests.qdrant.server import make_stack, of_stack, vectors
from tests.stack import images
from tests.stack.fixtures import tear_down
from tests.stack.running import Stack, docker, wait_until

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(os.geteuid() != 0, reason="data is copied exactly only by root"),
]
GRAFANA = """
services:
  grafana:
    image: {image}
    volumes: ["charts:/var/lib/grafana"]
    healthcheck:
      test: ["CMD", "python3", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:3000/api/health')"]
      interval: 1s
      retries: 30
    stop_grace_period: 5s
volumes: {{charts: {{}}}}
"""


@dataclass
class RehearsedBed(ImageBed):
    """A service whose next image is of the same line: all that is made of its data is the copy."""

    @property
    def copied(self) -> str:
        """The volume of the copy."""
        return f"{self.stack.project}_{self.service}-rehearsal"

    def holds(self) -> Any:
        raise NotImplementedError

    def picture(self) -> dict[str, Any]:
        """Files, the image that runs, what it holds, and copies that are there."""
        image = docker("inspect", "--format", "{{.Config.Image}}", self.stack.container(self.service))
        left = docker("volume", "ls", "--quiet", "--filter", f"name={self.copied}")
        return {"files": self.picture_of_files(), "runs": image, "holds": self.holds(), "copy": left}


@dataclass
class GrafanaBed(RehearsedBed):
    service = "grafana"

    def holds(self) -> Any:
        """Once it answers."""
        wait_until(self._answers, what="Grafana")
        return self.stack.http("grafana", "/api/search", 3000)

    def _answers(self) -> bool:
        try:
            return self.stack.http("grafana", "/api/health", 3000)[0] == 200
        except OSError:
            return False


@dataclass
class QdrantBed(RehearsedBed):
    service = "qdrant"

    def holds(self) -> Any:
        """Its points, and the snapshots that it keeps."""
        server = of_stack(self.stack)
        server.wait_green("docs")
        return server.picture("docs"), [s.name for s in server.client.list_snapshots("docs")]


class RehearsalMatrix(Matrix):
    """Applies bring the other image."""

    bed: RehearsedBed

    def __init__(self, bed: RehearsedBed, image: str) -> None:
        self.apply = ("apply", "--only", "images", "--set", f"images.{bed.service}={image}", "--yes", "--json",
                      "--settle", "0")  # fmt: skip
        self.bed, self.problems = bed, []
        self.old = bed.picture()
        self.events = bed.events(*self.apply)
        self.new = bed.picture()
        self.back_events = bed.events(*self.back)
        assert not bed.judge(self.old), bed.judge(self.old)

    def _judge(self, done: Done, new: bool) -> list[str]:
        return super()._judge(done, new) + [f"left: {helper}" for helper in self.bed.helpers()]

    def trials(self) -> list[Trial]:
        """After every event of the rehearsal, from its intent on until it is proven."""
        names = [name for name, _ in self.events]
        step = f"rehearsal:{self.bed.service}"
        found = self.events[names.index(f"journal intent {step}") : names.index(f"journal verified {step}") + 1]
        ways = (ROLLBACK, RESUME, RECOVER)
        return [
            Trial(f"rehearsal of {self.bed.service}", Point(*event, "after"), ("worker", "power")[n % 2], ways[n % 3])
            for n, event in enumerate(found)
        ]


def _grafana(base: Path) -> GrafanaBed:
    images.ensure("grafana:9")
    plain = make_bed(base, compose=COMPOSE)
    image = f"{images.reference('grafana:9')}.5.{int(plain.stack.project[-4:], 16)}"  # of a line that its tag tells
    docker("tag", images.reference("grafana:9"), image)
    (plain.stack.directory / "compose.yaml").write_text(GRAFANA.format(image=image))
    return GrafanaBed(plain.stack, plain.state, plain.logs, first_env=plain.first_env)


def _qdrant(base: Path) -> QdrantBed:
    stack = make_stack(base)
    bed = QdrantBed(stack, base / "state", base, first_env=(stack.directory / ".env").read_bytes())
    Bed.new_life(bed)
    return bed


def _up(stack: Stack, service: str) -> str:
    """The service, with data where it has none by itself; the name of its other image, which no other process has."""
    stack.up()
    if service == "qdrant":
        of_stack(stack).fill("docs", vectors(300, 16))
    image = docker("inspect", "--format", "{{.Config.Image}}", stack.container(service))
    made, other = docker("create", image), f"{image}.{int(stack.project[-4:], 16)}"
    docker("commit", "--change", "LABEL nftui.test.minor=1", made, other)
    docker("rm", "-v", made)
    return other


@pytest.fixture(scope="module", params=["grafana", "qdrant"])
def matrix(
    engine: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RehearsalMatrix]:
    base = tmp_path_factory.mktemp(request.param)
    bed: RehearsedBed = {"grafana": _grafana, "qdrant": _qdrant}[request.param](base)
    image = ""
    try:
        image = _up(bed.stack, bed.service)
        yield RehearsalMatrix(bed, image)
    finally:
        problems = tear_down(bed.stack)
        bed.new_life()
        docker("rmi", image, check=False)
        if bed.service == "grafana":
            docker("rmi", image.rpartition(".")[0], check=False)
    assert not problems, "a stack was not removed whole"


def test_a_rehearsal_that_is_cut_off_leaves_nothing(
    matrix: RehearsalMatrix, chance: random.Random, portion: slice
) -> None:
    assert f"{matrix.bed.service}-rehearsal" in REHEARSAL_KINDS
    check(matrix, share(chance, matrix.trials(), 3)[portion], matrix.try_apply)
