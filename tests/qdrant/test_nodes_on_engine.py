"""A collection on other shards, on a real engine: no acknowledged write is lost, there and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import Nftui, everything_written, tree
from tests.qdrant.clustered import clustered_stack, goes_on, node
from tests.qdrant.server import KEY
from tests.stack.running import Stack

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]
SHARDS = ("--only", "qdrant", "--set", "qdrant.alias.all.shards=4", "--set", "qdrant.alias.all.replicas=2")
YES = ("--yes", "--without-backup", "--json", "--settle", "1")
NEW = "docs-s4r2"


@pytest.fixture
def stack(engine: None, tmp_path: Path) -> Iterator[Stack]:
    with clustered_stack(tmp_path) as made:
        yield made


def names(stack: Stack) -> list[str]:
    return sorted(c.name for c in node(stack).client.get_collections().collections)


def test_every_acknowledged_write_is_there_and_back(stack: Stack, tmp_path: Path) -> None:
    nftui, files = Nftui(stack.directory, tmp_path / "state"), tree(stack.directory)
    planned = nftui("plan", *SHARDS, "--json")
    assert planned.code == 0, planned.err + planned.out
    assert [s["kind"] for s in planned.json["stages"][0]["steps"]] == [
        "qdrant-shards", "hold", "qdrant-import", "qdrant-alias", "release",
    ]  # fmt: skip
    bare = nftui("apply", *SHARDS, "--yes", "--json")
    assert bare.code == 2 and "--without-backup" in bare.err
    done = nftui("apply", *SHARDS, *YES, timeout=600)
    assert done.code == 0, done.err + done.out
    goes_on(stack, NEW)
    told = node(stack, "q2").client.collection_cluster_info(NEW)
    assert told.shard_count == 4 and len(told.local_shards) == len(told.remote_shards) == 4
    assert nftui("plan", *SHARDS, "--json").json["changes"] is False
    assert nftui("status", "--json").code == 0 and tree(stack.directory) == files
    kept = nftui("artefacts", "list", "--json").json["artefacts"]
    assert sorted(a["name"] for a in kept) == ["q1/docs", f"q1/{NEW}"]
    used = nftui("artefacts", "delete", f"q1/{NEW}", "--yes")
    assert used.code == 1 and "all leads to" in used.err and names(stack) == ["docs", NEW]
    assert KEY.encode() not in everything_written(nftui.state)
    back = nftui("rollback", "--yes", "--json", timeout=600)
    assert back.code == 0, back.err + back.out
    goes_on(stack, "docs")
    assert names(stack) == ["docs"] and nftui("artefacts", "list", "--json").json["artefacts"] == []


@pytest.mark.all
def test_the_old_collection_goes_when_the_operator_says_so(stack: Stack, tmp_path: Path) -> None:
    nftui = Nftui(stack.directory, tmp_path / "state")
    done = nftui("apply", *SHARDS, *YES, timeout=600)
    assert done.code == 0, done.err + done.out
    asked = nftui("artefacts", "delete", "q1/docs")
    assert asked.code == 2 and names(stack) == ["docs", NEW]
    gone = nftui("artefacts", "delete", "q1/docs", "--yes")
    assert gone.code == 0, gone.err
    assert names(stack) == [NEW]
    goes_on(stack, NEW)
    assert nftui("rollback", "--yes", "--json").code != 0 and names(stack) == [NEW]
