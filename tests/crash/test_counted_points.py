"""Another line of a Grafana or a Qdrant, cut off while it is counted before its stop and by what runs then."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.crash.bed import RECOVER, RESUME, ROLLBACK, Point
from tests.crash.test_image_points import _look, share
from tests.crash.test_points import COUNT_KINDS, Matrix, Trial, check
from tests.crash.test_rehearsal_points import GrafanaBed, QdrantBed, _grafana, _qdrant, _up
from tests.e2e.command import Done
from tests.stack import images
from tests.stack.fixtures import tear_down
from tests.stack.running import docker

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(os.geteuid() != 0, reason="data is switched only by root"),
]
LINES = {"grafana": "10.4", "qdrant": "1.20"}
"""What names the volume that the data goes to."""


class _Moved:
    """What a bed of a rehearsal looks at, once the data goes over."""

    stack: Any
    service: str

    @property
    def copied(self) -> str:
        """The volume that the data goes to."""
        return f"{self.stack.project}_{self.service}-{LINES[self.service]}"

    def picture(self) -> dict[str, Any]:
        """Files, the image and the volume that run, and what it holds: what is left behind is no part of it."""
        container = self.stack.container(self.service)
        runs = docker("inspect", "--format", "{{.Config.Image}} {{range .Mounts}}{{.Name}}{{end}}", container)
        return {"files": self.picture_of_files(), "runs": runs, "holds": self.holds()}  # type: ignore[attr-defined]


@dataclass
class MovedGrafana(_Moved, GrafanaBed):
    """With its dashboards."""


@dataclass
class MovedQdrant(_Moved, QdrantBed):
    """With its points."""

    def holds(self) -> Any:
        """Without the snapshots, which a rehearsal makes and removes."""
        return super().holds()[0]


class CountedMatrix(Matrix):
    """Applies bring the next line; the way back is consented to."""

    bed: MovedGrafana | MovedQdrant
    back = (*ROLLBACK, "--force")

    def __init__(self, bed: MovedGrafana | MovedQdrant, image: str) -> None:
        self.apply = ("apply", "--only", "images", "--set", f"images.{bed.service}={image}", "--yes",
                      "--accept-irreversible", "--without-backup", "--json", "--settle", "0")  # fmt: skip
        _look(self, bed)  # type: ignore[arg-type]

    def _judge(self, done: Done, new: bool) -> list[str]:
        if done.code != 0:
            return [f"ended with {done.code}: {done.out}{done.err}"]
        wrong = self.bed.judge(self.new if new else self.old) + self.bed.invariants(1 if new else 0)
        return wrong + [f"left: {helper}" for helper in self.bed.helpers()]

    def trials(self) -> list[Trial]:
        """After every event of both counts."""
        service = self.bed.service
        found = [e for e in self.events if e[0].split()[-1] in ("count", f"images-count:{service}")]
        ways = (self.back, RESUME, RECOVER)
        return [
            Trial(f"counts of {service}", Point(*event, "after"), ("worker", "power")[n % 2], ways[n % 3])
            for n, event in enumerate(found)
        ]


@pytest.fixture(scope="module", params=sorted(LINES))
def matrix(
    engine: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CountedMatrix]:
    base = tmp_path_factory.mktemp(request.param)
    plain = {"grafana": _grafana, "qdrant": _qdrant}[request.param](base)
    moved = MovedGrafana if request.param == "grafana" else MovedQdrant
    bed = moved(plain.stack, plain.state, plain.logs, first_env=plain.first_env)
    made: list[str] = []
    try:
        made.append(_up(bed.stack, bed.service))
        name = f"{made[0].rpartition(':')[0]}:{LINES[bed.service]}.{int(bed.stack.project[-4:], 16)}"
        images.ensure("grafana:10")
        docker("tag", images.reference("grafana:10") if bed.service == "grafana" else made[0], name)
        made.append(name)
        yield CountedMatrix(bed, name)
    finally:
        problems = tear_down(bed.stack)
        bed.new_life()
        made += [made[0].rpartition(".")[0]] if made and bed.service == "grafana" else []
        for name in made:
            docker("rmi", name, check=False)
    assert not problems, "a stack was not removed whole"


@pytest.mark.all
def test_a_count_that_is_cut_off_ends_old_or_new(matrix: CountedMatrix, chance: random.Random, portion: slice) -> None:
    found = matrix.trials()
    assert len(found) >= 4 and f"{matrix.bed.service}-count" in COUNT_KINDS
    check(matrix, share(chance, found, 1)[portion], matrix.try_apply)
