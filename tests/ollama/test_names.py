"""Several names of one file: a server holds the file once, by the name that it was loaded by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nftui.clients.ollama import FOREVER
from nftui.model.advice import Assertion
from nftui.model.ai import Model, OllamaFacts
from nftui.model.errors import UsageError
from nftui.model.facts import Live
from nftui.optimizations.ollama.estimate import Setting, in_runner, measure
from nftui.optimizations.ollama.fragment import _loaded
from nftui.steps.comparators import COMPARATORS
from nftui.steps.kind import Found, StepFailed
from nftui.steps.ollama import OllamaPreloadKind
from tests.ollama.build import LLAMA3, MISTRAL, NOMIC, advice, facts
from tests.ollama.test_kinds import spec
from tests.ollama.world import STORED, new_world

SMALL = replace(LLAMA3, name="llama3:8b", size=2_000_000_000, blob="sha256-1", digest="1")
TWIN = replace(SMALL, name="llama3:latest", digest="2")
LONG = replace(SMALL, name="llama3-long:latest", digest="3", own_context=8192)
OTHER = replace(SMALL, name="other:8b", digest="4", blob="sha256-2")


def said(found: object) -> str:
    return " ".join(str(n) for n in found)  # type: ignore[attr-defined]


# -- advice -------------------------------------------------------------------------------------------------------
def test_of_several_names_of_one_file_one_is_kept(tmp_path: Path) -> None:
    found = advice(facts(tmp_path, SMALL, TWIN, NOMIC, web="{MODEL: 'llama3:latest'}"))
    assert found["models"].value == "llama3:latest, nomic-embed-text:latest"
    assert found["max_loaded_models"].value == "2"
    assert "llama3:8b is the same file as llama3:latest, and in memory with it" in said(found["models"].notes)
    apart = advice(facts(tmp_path, SMALL, OTHER, NOMIC))
    assert apart["models"].value == "nomic-embed-text:latest, llama3:8b, other:8b"
    assert "same file" not in said(apart["models"].notes)


def test_one_in_memory_by_another_name_counts_as_in_use(tmp_path: Path) -> None:
    loaded = (replace(TWIN, context=4096),)
    smaller = [replace(MISTRAL, name=f"m:{n}", size=1_000_000_000 + n) for n in range(3)]
    found = advice(facts(tmp_path, *smaller, SMALL, TWIN, loaded=loaded))["models"].value
    assert found is not None and found.startswith("llama3:8b, ")


def test_where_the_server_tells_no_file_the_digest_does() -> None:
    one, copy, other = Model("a:1", 1, digest="x"), Model("a:2", 1, digest="x"), Model("a:3", 1, digest="y")
    found = OllamaFacts(None, (one, copy, other), (Model("a:1", 2, digest="x"),))
    assert [bool(found.held(m.name)) for m in (one, copy, other)] == [True, True, False]


def test_the_second_name_of_a_list_is_left_out(tmp_path: Path) -> None:
    stack = facts(tmp_path, SMALL, TWIN, OTHER)
    found = advice(stack, models="llama3:latest, llama3:8b, other:8b")
    assert found["models"].value == "llama3:latest, other:8b"
    assert "llama3:8b is the same file as llama3:latest" in said(found["models"].notes)


@pytest.mark.parametrize("models", ["llama3:8b num_ctx=8192, llama3", "llama3:8b, llama3-long"])
def test_names_of_one_file_with_different_options_are_refused(tmp_path: Path, models: str) -> None:
    with pytest.raises(UsageError, match="are names of one file, which is in memory once"):
        advice(facts(tmp_path, SMALL, TWIN, LONG), models=models)


def test_names_whose_own_context_differs_are_told_of_and_the_wish_may_make_them_equal(tmp_path: Path) -> None:
    stack = facts(tmp_path, SMALL, LONG)
    notes = said(advice(stack, models="llama3:8b")["models"].notes)
    assert "llama3-long:latest is the same file as llama3:8b with another num_ctx" in notes
    listed = advice(stack, models="llama3:8b num_ctx=8192, llama3-long")
    assert listed["models"].value == "llama3:8b num_ctx=8192"


def test_what_was_measured_by_one_name_counts_for_all() -> None:
    running = Setting(4096, 1)
    held = Model(TWIN.name, int(in_runner(TWIN, running) * 1.5), context=4096)
    found = measure(OllamaFacts(None, (SMALL, TWIN, OTHER), (held,)), running, on_gpu=False)
    assert found.need(SMALL, running) == int(in_runner(SMALL, running) * 1.5)
    assert found.need(OTHER, running) == in_runner(OTHER, running)


def test_nothing_is_to_be_loaded_where_the_file_is_in_memory() -> None:
    value = OllamaFacts(None, (SMALL, TWIN, OTHER), (replace(TWIN, size=1),))
    assert _loaded(value) == {"llama3:8b", "llama3:latest"}


# -- what stands --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "held"), [("llama3:8b", True), ("llama3:latest", True), ("other:8b", False)])
def test_a_file_in_memory_by_another_name_is_no_drift(name: str, held: bool) -> None:
    def live(service: str, probe: str) -> Live:
        return Live(probe, service, OllamaFacts("0.12.3", (SMALL, TWIN, OTHER), (replace(TWIN, size=1),)))

    assertion = Assertion("ollama-model", f"ollama.{name}", "in memory", {"service": "ollama", "name": name})
    assert COMPARATORS["ollama-model"].same(assertion, live) is held


# -- the step -----------------------------------------------------------------------------------------------------
ONE_FILE = {"chat:1b": "sha256-1", "other:2b": "sha256-1"}


def test_a_file_that_is_loaded_by_another_name_is_there(tmp_path: Path) -> None:
    world, kind = new_world(tmp_path), OllamaPreloadKind()
    world.blobs_of, world.held = ONE_FILE, {"other:2b": FOREVER}
    step, ctx = spec({"chat:1b": {}}), world.context()
    assert kind.classify(step, {}, ctx) is Found.AFTER
    assert "chat:1b" in kind.verify(step, {"loaded": {}, "oom_kills": 0}, ctx)["models"]  # type: ignore[operator]
    world.blobs_of = {**ONE_FILE, "other:2b": "sha256-2"}
    assert kind.classify(step, {}, ctx) is Found.BEFORE


def test_it_is_kept_from_then_on_and_given_back_as_it_was(tmp_path: Path) -> None:
    world, kind = new_world(tmp_path), OllamaPreloadKind()
    world.blobs_of, world.held = ONE_FILE, {"other:2b": None}
    step, ctx = spec({"chat:1b": {}}), world.context()
    before = kind.read(step, ctx)
    kind.do(step, before, ctx)
    assert world.held == {"other:2b": FOREVER}
    kind.undo(step, before, ctx)
    assert world.held == {"other:2b": "5m"}, "somebody had it in memory before"
    kind.undo(step, {"loaded": {}}, ctx)
    assert world.held == {}, "and what nobody had goes, by whatever name it is listed"


def test_another_model_whose_file_is_damaged_is_in_nobodys_way(tmp_path: Path) -> None:
    world, kind = new_world(tmp_path), OllamaPreloadKind()
    world.held, world.damaged = {"other:2b": None}, ("other:2b",)
    assert kind.classify(spec({"chat:1b": {}}), {}, world.context()) is Found.BEFORE


def test_a_server_that_made_room_by_its_own_count_is_a_reason(tmp_path: Path) -> None:
    world, kind = new_world(tmp_path), OllamaPreloadKind()
    world.held = {"embed:latest": FOREVER}
    with pytest.raises(StepFailed, match=r"chat:1b did not stay .* holds embed:latest\. A server that sees too little"):
        kind.verify(spec({n: {} for n in STORED if n != "other:2b"}), {"loaded": {}, "oom_kills": 0}, world.context())
