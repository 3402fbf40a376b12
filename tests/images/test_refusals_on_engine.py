"""A major that cannot go over: one clear line, the old server runs again, nothing half-switched is left."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import Done, Nftui, tree
from tests.images.test_on_engine import ALONE, CONSENT
from tests.stack import images
from tests.stack.fixtures import StackFactory
from tests.stack.running import Stack, docker

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="data is switched only by root"),
]
BLOCK, BROKEN = 8192, 3


def apply(stack: Stack, state: Path) -> Done:
    """To 15."""
    wish = f"images.postgres={images.reference('postgres:15')}"
    nftui = Nftui(stack.directory, state)
    return nftui("apply", "--only", "images", *ALONE, "--set", wish, *CONSENT, timeout=800)


def must_stand(stack: Stack, state: Path, files: dict[str, tuple[str, int, int]]) -> None:
    """As it was: the files, the old server, no place of the new one, nothing kept, nothing cut off."""
    assert tree(stack.directory) == files
    assert stack.inspect("postgres")["Config"]["Image"] == images.reference("postgres:13")
    with stack.postgres() as connection:
        row = connection.execute("SHOW server_version_num").fetchone()
        assert row is not None and str(row[0]).startswith("13")
        connection.execute("CREATE TABLE written_after (n int)")
    assert not docker("volume", "ls", "-q", "--filter", f"name={stack.project}_postgres-15")
    nftui = Nftui(stack.directory, state)
    assert nftui("artefacts", "list", "--json").json["artefacts"] == []
    assert nftui("status", "--json").json["state"] == "idle"
    assert not docker("ps", "-aq", "--filter", "label=nftui.run", "--filter", f"name={stack.project}")
    health = {name: stack.http(name, "/health")[0] for name in ("api", "jobs")}
    assert health == {"api": 200, "jobs": 200}


def break_a_table(stack: Stack) -> None:
    """One page of a table is rubbish on the disk: whoever reads it from there is told so, half-way through."""
    with stack.postgres() as connection:
        connection.execute("CREATE TABLE torn AS SELECT n, repeat('x', 500) FROM generate_series(1, 2000) n")
        connection.execute("VACUUM torn")
        connection.execute("CHECKPOINT")
        row = connection.execute("SELECT pg_relation_filepath('torn')").fetchone()
    assert row
    where = json.loads(docker("volume", "inspect", f"{stack.project}_postgres_data"))[0]["Mountpoint"]
    with Path(where, str(row[0])).open("r+b") as file:
        file.seek(BROKEN * BLOCK)
        file.write(b"\xff" * BLOCK)


def test_a_dump_that_fails_half_way_leaves_the_old_server_at_work(stack_factory: StackFactory, tmp_path: Path) -> None:
    images.ensure("postgres:13", "postgres:15")
    stack, state = stack_factory(postgres="13"), tmp_path / "state"
    break_a_table(stack)
    files = tree(stack.directory)
    done = apply(stack, state)
    assert done.code == 1 and done.json["outcome"] == "rolled-back", done.out + done.err
    reason = done.json["reason"]
    # The dump names the table, the count beside it the file: whichever comes upon it first.
    assert f"invalid page in block {BROKEN}" in reason and "\n" not in reason, reason
    assert '"torn"' in reason or "of relation base/" in reason, reason
    must_stand(stack, state, files)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system that has room for one server, and not for two."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=120m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_that_is_too_small_is_told_before_anything_stops(
    small: Path, stack_factory: StackFactory, tmp_path: Path
) -> None:
    images.ensure("postgres:13", "postgres:15")
    stack, state = stack_factory(up=False, postgres="13"), tmp_path / "state"
    compose = stack.directory / "compose.yaml"
    compose.write_text(compose.read_text().replace("postgres_data:/var/lib", f"{small}/data:/var/lib"))
    stack.up()
    files, before = tree(stack.directory), stack.container("postgres")
    done = apply(stack, state)
    assert done.code == 1 and done.json["outcome"] == "rolled-back", done.out + done.err
    assert f"{small}" in done.json["reason"] and "needs" in done.json["reason"], done.json["reason"]
    assert stack.container("postgres") == before and [p.name for p in small.iterdir()] == ["data"]
    must_stand(stack, state, files)
