"""Another version of Qdrant on the real engine: recovered from snapshots, without a network, before anything stops."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.command import Done, Nftui, everything_written, tree
from tests.qdrant.server import KEY, make_stack, of_stack, vectors
from tests.stack import images
from tests.stack.fixtures import tear_down
from tests.stack.running import Stack, docker

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="data is switched only by root"),
]
SECOND = "small & other"


@dataclass
class Bench:
    """A stack of one Qdrant with two collections, and the command."""

    stack: Stack
    nftui: Nftui

    def apply(self, image: str, *more: str) -> Done:
        wish = ("--only", "images", "--set", f"images.qdrant={image}")
        return self.nftui("apply", *wish, *more, "--yes", "--settle", "1", "--json", timeout=300)

    def image(self, *change: str, line: str = "1.19") -> str:
        """The same server under another tag and id."""
        name = _name(line)
        made = docker("create", images.reference("qdrant:1.19"))
        docker("commit", *(word for one in change for word in ("--change", one)), made, name)
        docker("rm", "-v", made)
        return name

    def nothing_is_left(self) -> None:
        assert not docker("volume", "ls", "-q", "--filter", f"name={self.stack.project}_qdrant-rehearsal")
        assert not docker("ps", "-aq", "--filter", f"volume={self.stack.project}_qdrant-rehearsal")
        client = of_stack(self.stack).client
        assert not [s for name in ("docs", SECOND) for s in client.list_snapshots(name)]


def _name(line: str) -> str:
    return f"{images.reference('qdrant:1.19').rpartition(':')[0]}:{line}.{os.getpid()}"


@pytest.fixture
def bench(engine: None, tmp_path: Path) -> Iterator[Bench]:
    stack = make_stack(tmp_path)
    try:
        stack.up()
        server = of_stack(stack)
        server.fill("docs", vectors(1000, 32))
        server.fill(SECOND, vectors(20, 8))
        yield Bench(stack, Nftui(stack.directory, tmp_path / "state"))
    finally:
        problems = tear_down(stack)
        # Of another line: it is not the project's by its files any more.
        docker("volume", "rm", f"{stack.project}_qdrant-1.20", check=False)
        for name in docker("images", "--format", "{{.Repository}}:{{.Tag}}").split():
            if name.startswith(f"nftui-kept/{stack.project}"):
                docker("rmi", name)
        for line in ("1.19", "1.20"):
            docker("rmi", _name(line), check=False)
    assert not problems, "the stack was not removed whole"


def test_both_images_recover_a_snapshot_of_each_collection(bench: Bench) -> None:
    docs, image = of_stack(bench.stack).picture("docs"), bench.image("ENV STANDIN_VERSION=1.19.9")
    done = bench.apply(image)
    assert done.code == 0 and done.json["outcome"] == "applied", done.out + done.err
    told = [n for n in done.json["notes"] if n.startswith("rehearsed: ")]
    assert told and f"{image} read 1020 points in 2 collections of a copy of qdrant" in told[0], told
    assert of_stack(bench.stack).picture("docs") == docs
    bench.nothing_is_left()
    assert KEY.encode() not in everything_written(bench.nftui.state)
    back = bench.nftui("rollback", "--yes", "--json")
    assert back.code == 0 and of_stack(bench.stack).picture("docs") == docs, back.out + back.err


def test_an_image_that_does_not_start_is_found_out_before_anything_stops(bench: Bench) -> None:
    """Its configuration is none that the server takes."""
    files, container = tree(bench.stack.directory), bench.stack.inspect("qdrant")
    done = bench.apply(bench.image("ENV QDRANT__STORAGE__OPTIMIZERS__INDEXING_THRESHOLD=5"))
    said = done.out + done.err
    assert done.code == 1 and "does not start on a copy of the data of qdrant" in said, said
    assert "duplicate field" in said and "images.rehearse=off" in said
    now = bench.stack.inspect("qdrant")
    assert (now["Id"], now["State"]["StartedAt"]) == (container["Id"], container["State"]["StartedAt"])
    assert tree(bench.stack.directory) == files
    bench.nothing_is_left()


def test_another_line_reads_a_copy_made_after_the_server_ended_by_itself(bench: Bench) -> None:
    """Its process 1 is a script that ends before the server does when it is told to stop."""
    docs, image = of_stack(bench.stack).picture("docs"), bench.image("ENV STANDIN_VERSION=1.20.0", line="1.20")
    done = bench.apply(image, "--accept-irreversible", "--without-backup")
    assert done.code == 0 and done.json["outcome"] == "applied", done.out + done.err
    mounts = bench.stack.inspect("qdrant")["Mounts"]
    assert f"{bench.stack.project}_qdrant-1.20" in [m.get("Name") for m in mounts]
    assert of_stack(bench.stack).picture("docs") == docs
    back = bench.nftui("rollback", "--yes", "--force", "--json", timeout=300)
    assert back.code == 0 and of_stack(bench.stack).picture("docs") == docs, back.out + back.err
