"""The main job on a Qdrant with a real index: plan, apply, read back, nothing to do again, and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from qdrant_client import models

from tests.e2e.command import Nftui, everything_written, tree
from tests.qdrant.server import KEY, Server, make_stack, of_stack, vectors
from tests.stack.fixtures import tear_down
from tests.stack.running import Stack

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(600)]
ONLY = ("--only", "qdrant")
FAST = ("--settle", "1")


@pytest.fixture
def stack(engine: None, tmp_path: Path) -> Iterator[Stack]:
    made = make_stack(tmp_path)
    try:
        made.up()
        yield made
    finally:
        problems = tear_down(made)
    assert not problems, "the stack was not removed whole"


@pytest.fixture
def server(stack: Stack) -> Server:
    found = of_stack(stack)
    found.fill("docs", vectors(2000, 64))
    found.fill("small", vectors(20, 8))
    return found


@pytest.fixture
def nftui(stack: Stack, tmp_path: Path) -> Nftui:
    return Nftui(stack.directory, tmp_path / "state")


def test_an_index_is_built_anew_measured_and_taken_back(nftui: Nftui, stack: Stack, server: Server) -> None:
    files, docs, small = tree(stack.directory), server.picture("docs"), server.picture("small")
    wish = ("--set", "qdrant.collection.docs.m=24", "--set", "qdrant.collection.docs.ef_construct=200")
    plan = nftui("plan", *ONLY, *wish, "--json").json
    assert plan["changes"], plan
    done = nftui("apply", *ONLY, *wish, "--yes", "--json", *FAST)
    assert done.code == 0, done.err + done.out
    server = of_stack(stack)
    assert server.hnsw("docs") == (24, 200) and server.picture("docs")[1:] == docs[1:]
    assert server.picture("small") == small
    steps = {s["id"]: s for s in done.json["steps"]}
    assert {s["state"] for s in steps.values()} == {"verified"}
    assert nftui("plan", *ONLY, *wish, "--json").json["changes"] is False
    assert nftui("status", "--json").code == 0
    assert [a["kind"] for a in nftui("artefacts", "list", "--json").json["artefacts"]] == ["file"]
    assert KEY.encode() not in everything_written(nftui.state)
    back = nftui("rollback", "--yes", "--json")
    assert back.code == 0, back.err + back.out
    server = of_stack(stack)
    assert tree(stack.directory) == files
    assert server.picture("docs") == docs and server.picture("small") == small
    assert nftui("artefacts", "list", "--json").json["artefacts"] == []
    assert not server.client.list_snapshots("docs")


def test_switched_off_a_collection_gets_back_what_was_found(nftui: Nftui, stack: Stack, server: Server) -> None:
    files, docs = tree(stack.directory), server.picture("docs")
    for values in (("m=24",), ("m=24", "ef_construct=200")):
        wish = [w for value in values for w in ("--set", f"qdrant.collection.docs.{value}")]
        done = nftui("apply", *ONLY, *wish, "--yes", "--json", *FAST)
        assert done.code == 0, done.err + done.out
    assert of_stack(stack).hnsw("docs") == (24, 200)
    off = nftui("apply", "--off", "qdrant", "--yes", "--json", *FAST)
    assert off.code == 0, off.err + off.out
    assert of_stack(stack).picture("docs") == docs and tree(stack.directory) == files
    assert nftui("status").code == 0 and nftui("plan", "--off", "qdrant", "--json").json["changes"] is False
    back = nftui("rollback", "--yes", "--json")
    assert back.code == 0 and of_stack(stack).hnsw("docs") == (24, 200), back.err + back.out


@pytest.mark.all
def test_an_index_that_somebody_changed_is_put_back_by_repair(nftui: Nftui, stack: Stack, server: Server) -> None:
    wish = ("--set", "qdrant.collection.docs.m=24", "--set", "qdrant.recall_floor=0.5")
    done = nftui("apply", *ONLY, *wish, "--yes", "--json", *FAST)
    assert done.code == 0, done.err + done.out
    server = of_stack(stack)
    server.client.update_collection("docs", hnsw_config=models.HnswConfigDiff(m=8))
    server.wait_green("docs")
    found = nftui("status", "--json")
    assert found.code == 3 and [d["target"] for d in found.json["drift"]] == ["qdrant.docs.m"]
    assert [r["command"] for r in found.json["repairs"]] == ["nftui apply --repair"]
    repaired = nftui("apply", "--repair", "--yes", "--json", *FAST)
    assert repaired.code == 0, repaired.err + repaired.out
    assert of_stack(stack).hnsw("docs")[0] == 24 and nftui("status").code == 0
