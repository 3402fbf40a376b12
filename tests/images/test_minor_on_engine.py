"""Another image of the same PostgreSQL major on the real engine: tried apart first, then gone over to in place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import Nftui
from tests.stack import images
from tests.stack.fixtures import StackFactory
from tests.stack.running import Stack, docker

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="what ran is kept by root"),
]
ALONE = ("--set", "images.api=stay", "--set", "images.jobs=stay", "--set", "images.redis=stay")


def _image(tag: str, *changes: str) -> str:
    """The stack's server under another name and id, with changes of its recipe."""
    name = f"{images.reference('postgres:15')}.{tag}"
    made = docker("create", images.reference("postgres:15"))
    docker("commit", *(word for change in changes for word in ("--change", change)), made, name)
    docker("rm", "-v", made)
    return name


@pytest.fixture
def minor() -> Iterator[str]:
    images.ensure("postgres:15")
    name = _image("99", "LABEL nftui.test.minor=1")
    yield name
    docker("rmi", name, check=False)


@pytest.fixture
def bare() -> Iterator[str]:
    """One whose server cannot make a cluster."""
    images.ensure("postgres:15")
    name = _image("98", "ENV PATH=/usr/local/bin:/usr/bin:/bin")
    yield name
    docker("rmi", name, check=False)


def _clean(stack: Stack) -> None:
    for name in docker("images", "--format", "{{.Repository}}:{{.Tag}}").split():
        if name.startswith(f"nftui-kept/{stack.project}"):
            docker("rmi", "-f", name)


def test_another_image_of_a_major_is_tried_first(
    stack_factory: StackFactory, tmp_path: Path, minor: str, bare: str
) -> None:
    stack = stack_factory(up=False)
    stack.up("postgres")
    nftui = Nftui(stack.directory, tmp_path / "state")
    before = stack.inspect("postgres")
    refused = nftui("apply", "--only", "images", *ALONE, "--set", f"images.postgres={bare}", "--yes", "--json",
                    timeout=300)  # fmt: skip
    assert refused.code == 1 and "trying the new image failed" in refused.out + refused.err, refused.out + refused.err
    now = stack.inspect("postgres")
    assert (now["Id"], now["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
    done = nftui("apply", "--only", "images", *ALONE, "--set", f"images.postgres={minor}", "--yes", "--settle", "1",
                 "--json", timeout=300)  # fmt: skip
    try:
        assert done.code == 0 and done.json["outcome"] == "applied", done.out + done.err
        tried = [s for s in done.json["steps"] if s["id"].endswith("rehearsal:postgres")]
        assert [s["state"] for s in tried] == ["verified"], done.json["steps"]
        assert stack.inspect("postgres")["Config"]["Image"] == minor
        assert nftui("rollback", "--yes", "--json", timeout=300).code == 0
        assert stack.inspect("postgres")["Image"] == before["Image"]
    finally:
        _clean(stack)
