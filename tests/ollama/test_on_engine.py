"""The whole way on a running server: plan, apply, read back, models in memory, status, rollback to the byte."""

from __future__ import annotations

import pytest

from tests.e2e.command import tree
from tests.ollama.conftest import Server, answers
from tests.stack.running import docker, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(300)]

APPLY = ("apply", "--only", "ollama", "--yes", "--json", "--settle", "0")
ALL = {"tiny-chat:1b", "embed:latest", "small-chat:2b"}


def test_applied_read_back_and_taken_back(server: Server) -> None:
    before, variables = tree(server.stack.directory), server.environment()
    assert server.held() == {}
    done = server.nftui(*APPLY)
    assert done.code == 0, done.out + done.err
    held = server.held()
    assert set(held) == ALL and all(m["expires_at"] > "2200" for m in held.values())
    assert server.environment()["OLLAMA_KEEP_ALIVE"] == "24h"
    assert server.stack.inspect("ollama")["State"]["Health"]["Status"] == "healthy"
    assert server.nftui("status").code == 0

    again = server.nftui("plan", "--only", "ollama", "--json").json
    assert not again["changes"], again["files"]
    # The operator's own `up` keeps it.
    server.stack.up()
    assert set(server.held()) == ALL
    back = server.nftui("rollback", "--yes", "--json")
    assert back.code == 0, back.out + back.err
    assert tree(server.stack.directory) == before and server.environment() == variables
    assert server.held() == {} and set(server.stack.services()) == {"ollama", "web"}


def test_what_leaves_memory_is_drift_where_nothing_loads_it_again(server: Server) -> None:
    before, variables = tree(server.stack.directory), server.environment()
    done = server.nftui(*APPLY, "--set", "ollama.preload=once")
    assert done.code == 0, done.out + done.err
    # Somebody unloads one: that is told, with what brings it back, and nothing else is touched.
    container = server.stack.container("ollama")
    server.call("/api/generate", model="tiny-chat:1b", keep_alive=0)
    wait_until(lambda: "tiny-chat:1b" not in server.held(), what="its end")
    found = server.nftui("status", "--json")
    assert found.code == 3 and [(d["target"], d["actual"]) for d in found.json["drift"]] == [
        ("ollama.tiny-chat:1b", "not in memory")
    ]
    assert [r["command"] for r in found.json["repairs"]] == ["nftui apply --repair"]
    repaired = server.nftui("apply", "--repair", "--yes", "--json", "--settle", "0")
    assert repaired.code == 0, repaired.out + repaired.err
    assert set(server.held()) == ALL and server.nftui("status").code == 0
    assert server.stack.container("ollama") == container

    for _ in ("the repair", "the first run"):
        back = server.nftui("rollback", "--yes", "--json")
        assert back.code == 0, back.out + back.err
    assert tree(server.stack.directory) == before and server.environment() == variables
    assert server.held() == {}


def test_nothing_is_stopped_while_a_model_is_pulled(server: Server) -> None:
    container, before = server.stack.container("ollama"), tree(server.stack.directory)
    blobs = "/root/.ollama/models/blobs"
    server.stack.exec("ollama", "mkdir", "-p", blobs)
    server.stack.exec("ollama", "touch", f"{blobs}/sha256-0123-partial-0")
    done = server.nftui(*APPLY, "--wait-quiet", "1")
    assert done.code == 1 and "A model is being pulled into ollama" in done.out + done.err
    assert server.stack.container("ollama") == container and tree(server.stack.directory) == before


@pytest.mark.all
def test_models_that_take_more_than_was_told_take_everything_back(server: Server) -> None:
    """The kernel ends one of them, and the server goes on listing it."""
    text = (server.stack.directory / "compose.yaml").read_text()
    text = text.replace("      STANDIN_READ", '      STANDIN_RUNNER_BYTES: "2000000000"\n      STANDIN_READ')
    (server.stack.directory / "compose.yaml").write_text(text)
    server.stack.up()
    before, variables = tree(server.stack.directory), server.environment()
    done = server.nftui(*APPLY)
    assert done.code == 1 and "the kernel killed" in done.out + done.err
    assert tree(server.stack.directory) == before and server.environment() == variables
    assert server.held() == {} and server.nftui("status").code == 0


@pytest.mark.all
def test_off_takes_it_out_and_the_operators_list_goes_in(server: Server) -> None:
    assert server.nftui(*APPLY, "--set", "ollama.models=tiny-chat:1b num_ctx=2048").code == 0
    held = server.held()
    assert {n: m["context_length"] for n, m in held.items()} == {"tiny-chat:1b": 2048}
    # An app that sends the same options finds it warm.
    answer = server.call("/api/generate", model="tiny-chat:1b", prompt="x", stream=False, options={"num_ctx": 2048})
    assert answer["load_duration"] == 0
    done = server.nftui("apply", "--only", "ollama", "--off", "ollama", "--yes", "--json", "--settle", "0")
    assert done.code == 0, done.out + done.err
    assert not (server.stack.directory / "compose.nftui.yaml").exists()
    assert "OLLAMA_KEEP_ALIVE" not in server.environment() and server.held() == {}


@pytest.mark.all
def test_a_list_that_does_not_fit_touches_nothing(server: Server) -> None:
    before = tree(server.stack.directory)
    done = server.nftui(*APPLY, "--set", "ollama.models=giant-chat:70b")
    assert done.code == 2 and "they need" in done.err
    done = server.nftui(*APPLY, "--set", "ollama.models=missing")
    assert done.code == 2 and "pull it first" in done.err
    assert tree(server.stack.directory) == before


def kept(server: Server) -> dict[str, int]:
    """Models that stay for good, with their contexts; none while the server does not answer."""
    found = server.held() if answers(server) else {}
    return {n: m["context_length"] for n, m in found.items() if m["expires_at"] > "2200"}


def test_without_a_word_every_model_is_there_again_after_each_restart(server: Server) -> None:
    """Of the server alone, and of the whole project; nobody asked for a keeper, and off takes all of it away."""
    done = server.nftui(*APPLY)
    assert done.code == 0, done.out + done.err
    wanted = kept(server)
    assert set(wanted) == ALL
    docker("restart", "--time", "2", server.stack.container("ollama"))
    wait_until(lambda: kept(server) == wanted, seconds=20, what="the models after a restart of the server")
    server.stack.compose("stop", "-t", "2")
    server.stack.compose("start")
    wait_until(lambda: kept(server) == wanted, seconds=20, what="the models after a restart of the project")
    # Who asks finds them warm.
    assert server.call("/api/generate", model="tiny-chat:1b", prompt="x", stream=False)["load_duration"] == 0
    assert server.call("/api/embed", model="embed", input="x")["load_duration"] == 0
    assert server.nftui("status").code == 0
    done = server.nftui("apply", "--only", "ollama", "--off", "ollama", "--yes", "--json", "--settle", "0")
    assert done.code == 0, done.out + done.err
    assert set(server.stack.services()) == {"ollama", "web"} and server.held() == {}


def test_the_models_are_there_again_with_the_options_of_their_apps(server: Server) -> None:
    before = tree(server.stack.directory)
    values = ("--set", "ollama.models=tiny-chat:1b num_ctx=2048, embed num_ctx=1024")
    done = server.nftui(*APPLY, *values)
    assert done.code == 0, done.out + done.err
    docker("restart", "--time", "2", server.stack.container("ollama"))
    wait_until(lambda: kept(server) == {"tiny-chat:1b": 2048, "embed:latest": 1024}, seconds=60, what="the models")
    options = {"num_ctx": 1024}
    assert server.call("/api/embed", model="embed", input="x", options=options)["load_duration"] == 0
    assert all(m["expires_at"] > "2200" for m in server.held().values())
    assert server.nftui("status").code == 0
    assert server.stack.inspect("ollama-keeper")["State"]["Health"]["Status"] == "healthy"
    assert not server.nftui("plan", "--only", "ollama", *values, "--json").json["changes"]
    back = server.nftui("rollback", "--yes", "--json")
    assert back.code == 0, back.out + back.err
    assert tree(server.stack.directory) == before and set(server.stack.services()) == {"ollama", "web"}
    assert server.held() == {}


@pytest.mark.all
def test_a_model_that_is_asked_for_finds_a_place_freed_by_last_use(server: Server) -> None:
    before = tree(server.stack.directory)
    values = (
        "--set", "ollama.eviction=lru", "--set", "ollama.unload_after=5", "--set", "ollama.preload=always",
        "--set", "ollama.models=embed", "--set", "ollama.max_loaded_models=2",
    )  # fmt: skip
    done = server.nftui(*APPLY, *values)
    assert done.code == 0, done.out + done.err
    server.call("/api/generate", model="tiny-chat:1b", prompt="x", stream=False)
    assert set(server.held()) == {"embed:latest", "tiny-chat:1b"}
    wait_until(lambda: set(server.held()) == {"embed:latest"}, seconds=60, what="the free place")
    said = docker("logs", server.stack.container("ollama-keeper"))
    assert "unloading tiny-chat:1b: the next model needs a place" in said
    assert server.nftui("status").code == 0
    assert not server.nftui("plan", "--only", "ollama", *values, "--json").json["changes"]
    back = server.nftui("rollback", "--yes", "--json")
    assert back.code == 0, back.out + back.err
    assert tree(server.stack.directory) == before and set(server.stack.services()) == {"ollama", "web"}
    assert server.held() == {}
