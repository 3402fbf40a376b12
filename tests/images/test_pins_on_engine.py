"""Images pinned on the real engine, and what cannot be had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import Nftui, tree
from tests.stack import images
from tests.stack.fixtures import StackFactory
from tests.stack.running import Stack, docker

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(300)]
ONLY = ("--only", "images")
FAST = ("--yes", "--settle", "1", "--json")


@pytest.fixture
def stack(stack_factory: StackFactory) -> Iterator[Stack]:
    """A Redis by a tag that names no version."""
    images.ensure("redis:7", "redis:6")
    made = stack_factory(up=False)
    tag = f"nftui-test/{made.project}:latest"
    docker("tag", images.reference("redis:7"), tag)
    made.set_env(REDIS_IMAGE=tag)
    made.up("redis")
    yield made
    docker("rm", "-fv", made.container("redis"))
    for name in docker("images", "--format", "{{.Repository}}:{{.Tag}}").split():
        if made.project in name:
            docker("rmi", name)


def test_a_floating_tag_is_pinned_to_what_runs_and_let_go_again(stack: Stack, tmp_path: Path) -> None:
    nftui, files = Nftui(stack.directory, tmp_path / "state"), tree(stack.directory)
    before = stack.inspect("redis")
    plan = nftui("plan", *ONLY, "--json").json
    knobs = next(o for o in plan["optimizations"] if o["id"] == "images")["knobs"]
    assert [(k["name"], k["value"]) for k in knobs if k["name"] == "redis"] == [("redis", "pin")]
    first = plan["stages"][0]["steps"][0]["summary"]
    assert "is on the engine" in first and before["Image"] in first
    done = nftui("apply", *ONLY, *FAST)
    assert done.code == 0, done.out + done.err
    pinned = stack.inspect("redis")
    assert pinned["Config"]["Image"] == before["Image"] == pinned["Image"]
    docker("tag", images.reference("redis:6"), before["Config"]["Image"])
    stack.compose("up", "-d", "redis")
    assert stack.inspect("redis")["Image"] == before["Image"], "the tag moved, and what runs with it"
    assert nftui("status", "--json").code == 0 and not nftui("plan", *ONLY, "--json").json["changes"]
    docker("tag", images.reference("redis:7"), before["Config"]["Image"])
    back = nftui("rollback", "--yes", "--json")
    assert back.code == 0, back.out + back.err
    again = stack.inspect("redis")
    assert tree(stack.directory) == files
    assert (again["Config"]["Image"], again["Image"]) == (before["Config"]["Image"], before["Image"])
    kept = f"nftui-kept/{stack.project}-"
    assert not [n for n in docker("images", "--format", "{{.Repository}}").split() if n.startswith(kept)]


def test_an_image_that_cannot_be_had_is_one_clear_line_and_touches_nothing(stack: Stack, tmp_path: Path) -> None:
    nftui, files, before = Nftui(stack.directory, tmp_path / "state"), tree(stack.directory), stack.inspect("redis")
    image = "localhost:1/shop/redis:7.0.99"
    wish = ("--set", f"images.redis={image}")
    plan = nftui("plan", *ONLY, *wish)
    assert plan.code == 0 and f"pull {image}, before anything is touched" in plan.out
    done = nftui("apply", *ONLY, *wish, *FAST)
    assert done.code == 1 and done.json["outcome"] == "rolled-back", done.out + done.err
    reason = done.json["reason"]
    assert reason.startswith(f"{image} cannot be had: ") and reason.endswith("Nothing was touched.")
    assert tree(stack.directory) == files and stack.inspect("redis")["Id"] == before["Id"]
    assert nftui("artefacts", "list", "--json").json["artefacts"] == []
    refused = nftui("plan", *ONLY, "--set", "images.redis=redis:6.2", "--json")
    assert refused.code == 2 and "cannot read that data any more" in refused.err
