"""A stack of a Qdrant with two nodes and an app that writes by an alias; what the app was promised, and where it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qdrant_client import models

from tests.qdrant.server import EDGE, KEY, Server, vectors
from tests.qdrant.writer import SIZE
from tests.stack import images
from tests.stack.fixtures import copy_stack, tear_down
from tests.stack.running import Stack, wait_until

HERE = Path(__file__).parent
LONG_S = 180
"""Bound of a wait: nothing is asserted about how long it takes."""
COUNT = 400


@contextmanager
def clustered_stack(parent: Path) -> Iterator[Stack]:
    """Up, with a collection `docs` of one shard behind the alias `all`, and an app at work. Removed afterwards."""
    images.ensure("qdrant:1.19", "app:latest")
    stack = copy_stack(parent, "15", {})
    (stack.directory / "compose.yaml").write_bytes((HERE / "clustered.yaml").read_bytes())
    (stack.directory / "writer").mkdir()
    (stack.directory / "writer" / "writer.py").write_bytes((HERE / "writer.py").read_bytes())
    app = images.reference("app:latest")
    (stack.directory / ".env").write_text(f"QDRANT_PASSWORD={KEY}\nQDRANT_EDGE={EDGE}\nAPP_IMAGE={app}\n")
    try:
        stack.up()
        node(stack).fill("docs", vectors(COUNT, SIZE), shard_number=1)
        lead = models.CreateAlias(collection_name="docs", alias_name="all")
        node(stack).client.update_collection_aliases([models.CreateAliasOperation(create_alias=lead)])
        wait_until(lambda: len(acked(stack)) > 5, seconds=LONG_S, what="the app writes")
        yield stack
    finally:
        problems = tear_down(stack)
    assert not problems, "the stack was not removed whole"


def node(stack: Stack, name: str = "q1") -> Server:
    """One node as its clients see it."""
    return Server(f"http://{stack.address(name)}:6333")


def acked(stack: Stack) -> set[int]:
    """Points whose write was acknowledged to the app."""
    return {int(line) for line in stack.exec("app", "cat", "/acked/points").split()}


def held(stack: Stack, name: str = "all", at: str = "q2") -> set[int]:
    """Every point that the node gives by that name."""
    points, _ = node(stack, at).client.scroll(name, limit=100_000, with_payload=False)
    return {int(p.id) for p in points}


def leads(stack: Stack) -> set[str]:
    """Where the alias leads, as each node knows it."""
    return {
        a.collection_name for name in ("q1", "q2") for a in node(stack, name).client.get_aliases().aliases
    }  # fmt: skip


def goes_on(stack: Stack, collection: str) -> None:
    """The app writes, to that collection, which has all that was ever acknowledged."""
    before = acked(stack)
    wait_until(lambda: len(acked(stack)) > len(before) + 3, seconds=LONG_S, what="the app writes")
    assert leads(stack) == {collection}
    lost = (before | set(range(COUNT))) - held(stack, collection)
    assert not lost, f"{len(lost)} points are not in {collection}"
