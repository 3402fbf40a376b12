"""Another line of Grafana on the real engine: rehearsed on a copy of its database, moved, and back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.e2e.command import Done, Nftui, everything_written, tree
from tests.stack import images
from tests.stack.fixtures import StackFactory
from tests.stack.running import Stack, docker, wait_until

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="data is switched only by root"),
]
PORT = 3001
COMPOSE = """
services:
  grafana:
    image: {image}
    environment:
      GF_SECURITY_ADMIN_PASSWORD: fake-admin-of-the-test
      GF_SERVER_HTTP_PORT: "3001"
    volumes: ["charts:/var/lib/grafana", "./grafana.ini:/etc/grafana/grafana.ini:ro"]
    stop_grace_period: 5s
volumes: {{charts: {{}}}}
"""
INI = "[server]\nhttp_port = 3002\n[database]\nwal = {wal}\n"
CONSENT = ("--yes", "--accept-irreversible", "--without-backup", "--settle", "1", "--json")
TITLES = ["Orders", "Queues", "Hosts"]


@dataclass
class Bench:
    """A stack of one Grafana, and the command."""

    stack: Stack
    nftui: Nftui

    def __call__(self, verb: str, image: str, *more: str) -> Done:
        return self.nftui(verb, "--only", "images", "--set", f"images.grafana={image}", *more, timeout=300)

    def answers(self) -> bool:
        try:
            return bool(self.stack.http("grafana", "/api/health", PORT)[1]["database"] == "ok")
        except OSError:
            return False

    def add(self, title: str) -> None:
        body = json.dumps({"dashboard": {"title": title}}).encode()
        with closing(HTTPConnection(self.stack.address("grafana"), PORT, timeout=5)) as connection:
            connection.request("POST", "/api/dashboards/db", body)
            assert connection.getresponse().status == 200

    def titles(self) -> list[str]:
        wait_until(self.answers, what="Grafana")
        return [one["title"] for one in self.stack.http("grafana", "/api/search", PORT)[1]]

    def nothing_is_left(self) -> None:
        for kind in (("volume", "ls"), ("ps", "-a")):
            name = "name" if kind[0] == "volume" else "volume"
            assert not docker(*kind, "-q", "--filter", f"{name}={self.stack.project}_grafana-rehearsal")


@pytest.fixture
def bench(stack_factory: StackFactory, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    images.ensure("grafana:9", "grafana:10")
    stack = stack_factory(up=False)
    (stack.directory / "grafana.ini").write_text(INI.format(wal=getattr(request, "param", "false")))
    (stack.directory / "compose.yaml").write_text(COMPOSE.format(image=images.reference("grafana:9")))
    stack.up("grafana")
    found = Bench(stack, Nftui(stack.directory, tmp_path / "state"))
    wait_until(found.answers, what="Grafana")
    for title in TITLES:
        found.add(title)
    yield found
    docker("rm", "-fv", stack.container("grafana"), check=False)
    for name in docker("volume", "ls", "-q", "--filter", f"name={stack.project}_").split():
        docker("volume", "rm", name, check=False)
    for name in docker("images", "--format", "{{.Repository}}:{{.Tag}}").split():
        if name.startswith((f"nftui-kept/{stack.project}", f"{stack.project}:")):
            docker("rmi", name)


@pytest.mark.parametrize("bench", ["false", pytest.param("true", marks=pytest.mark.all)], indirect=True)
def test_its_next_line_is_tried_on_a_copy_and_then_moved_to(bench: Bench) -> None:
    files, image = tree(bench.stack.directory), images.reference("grafana:10")
    plan = bench("plan", image, "--json")
    assert "a copy of its database is migrated by what runs now and by" in plan.out
    done = bench("apply", image, *CONSENT)
    assert done.code == 0 and done.json["outcome"] == "applied", done.out + done.err
    told = [n for n in done.json["notes"] if n.startswith("rehearsed: ")]
    assert told and f"{image} read 3 dashboards, 0 data sources, 0 alert rules, 1 users of a copy" in told[0], told
    assert bench.titles() == TITLES
    bench.nothing_is_left()
    assert b"fake-admin-of-the-test" not in everything_written(bench.nftui.state)
    back = bench.nftui("rollback", "--yes", "--force", "--json")
    assert back.code == 0, back.out + back.err
    assert bench.titles() == TITLES and tree(bench.stack.directory) == files


def _own_image(bench: Bench, *change: str) -> str:
    name = f"{bench.stack.project}:10"
    made = docker("create", images.reference("grafana:10"))
    docker("commit", *(word for one in change for word in ("--change", one)), made, name)
    docker("rm", "-v", made)
    return name


@pytest.mark.parametrize("way", ["loses", pytest.param("fails", marks=pytest.mark.all)])
def test_a_migration_that_goes_wrong_is_found_out_before_anything_stops(bench: Bench, way: str) -> None:
    change = {"fails": "LABEL a=b", "loses": "ENV STANDIN_LOSES=dashboard"}
    if way == "fails":
        bench.add(TITLES[0])
    image, before = _own_image(bench, change[way]), bench.titles()
    files, container = tree(bench.stack.directory), bench.stack.inspect("grafana")
    done = bench("apply", image, *CONSENT)
    said = done.out + done.err
    words = {"fails": "UNIQUE constraint failed", "loses": "dashboard 2 of 3 (without Hosts)"}
    assert done.code == 1 and words[way] in said and "images.rehearse=off" in said, said
    now = bench.stack.inspect("grafana")
    assert (now["Id"], now["State"]["StartedAt"]) == (container["Id"], container["State"]["StartedAt"])
    assert bench.titles() == before and tree(bench.stack.directory) == files
    bench.nothing_is_left()
