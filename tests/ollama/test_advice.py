"""What is advised: never more than fits, the operator's words first, and what must give is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nftui.cli import render
from nftui.model.ai import Model, OllamaFacts
from nftui.model.choices import Choices
from nftui.model.errors import UsageError
from nftui.model.facts import Live
from nftui.model.units import GIB, MIB
from nftui.optimizations.ollama.estimate import Estimator, Setting, in_runner
from nftui.optimizations.ollama.fit import Fixed, solve, worst
from nftui.optimizations.ollama.placement import SHARE, Gpus, place
from nftui.optimizations.ollama.wishes import BadList, Wish, parse_wishes, show_wishes
from tests.ollama.build import BIG, CHAT, GPU, LLAMA, LLAMA3, MISTRAL, NOMIC, REGISTRY, advice, facts, plan, written

NAMED = "{MODEL: 'llama3:8b', EMBEDDINGS: nomic-embed-text}"


def said(found: object) -> str:
    return " ".join(str(n) for n in found)  # type: ignore[attr-defined]


# -- which models -------------------------------------------------------------------------------------------------
def test_what_services_name_is_kept_and_any_two_models_fit(tmp_path: Path) -> None:
    found = advice(facts(tmp_path, LLAMA3, MISTRAL, NOMIC, web=NAMED, limit="13900m"))
    assert found["models"].value == "llama3:8b, nomic-embed-text:latest"
    assert found["max_loaded_models"].value == "2" and found["keep_alive"].value == "24h"
    assert found["preload"].value == "always"
    assert "mistral:7b" in said(found["models"].notes)


@pytest.mark.parametrize(
    ("image", "has_bash", "value", "why"),
    [
        ("registry.example/ai/ollama:1", True, "always", None),
        ("registry.example/ai/ollama:1", False, "once", "no bash"),
        ("registry.example/ai/ollama:1", None, "once", "it is not known whether its image has bash"),
        ("docker.io/ollama/ollama:0.12.3", None, "always", None),
        ("alpine/ollama", True, "once", "no bash"),
    ],
)
def test_a_service_of_bash_stands_only_beside_an_image_that_has_it(
    tmp_path: Path, image: str, has_bash: bool | None, value: str, why: str | None
) -> None:
    found = facts(tmp_path, LLAMA3)
    services = tuple(replace(s, image=image) if s.name == "ollama" else s for s in found.stack.services)
    live = found.live_value("ollama", "ollama")
    assert isinstance(live, OllamaFacts)
    told = Live("ollama", "ollama", replace(live, has_bash=has_bash))
    stack = replace(found, stack=replace(found.stack, services=services), live={("ollama", "ollama"): told})
    line = advice(stack)["preload"]
    assert line.value == value and (why is None or why in said(line.notes))
    if has_bash is None or why is None:
        assert advice(stack, preload="always")["preload"].value == "always"
    else:
        with pytest.raises(UsageError, match="no bash"):
            advice(stack, preload="always")


def test_a_name_is_found_however_it_is_written_and_what_draws_images_is_not_kept(tmp_path: Path) -> None:
    draws = Model("z-image:latest", 100_000_000, capabilities=("image",))
    found = advice(facts(tmp_path, LLAMA3, MISTRAL, draws, web="{CHAT: 'Llama3:8B'}", limit="24g"))["models"]
    assert found.value == "llama3:8b, mistral:7b"


def test_all_that_fit_at_once_are_kept(tmp_path: Path) -> None:
    found = advice(facts(tmp_path, LLAMA3, MISTRAL, NOMIC, web=NAMED, limit="32g", memory=64 * GIB))
    assert found["models"].value == "llama3:8b, nomic-embed-text:latest, mistral:7b"
    assert found["max_loaded_models"].value == "3"


def test_the_operators_list_says_what_is_used(tmp_path: Path) -> None:
    """Without it any two of the largest must fit; with it the third is a guest that finds no room and evicts."""
    stack = facts(tmp_path, LLAMA3, MISTRAL, NOMIC, limit="9g")
    assert advice(stack)["max_loaded_models"].value == "1"
    listed = advice(stack, models="llama3:8b, nomic-embed-text")
    assert (listed["max_loaded_models"].value, listed["models"].value) == ("2", "llama3:8b, nomic-embed-text:latest")


def test_nothing_stored_is_said(tmp_path: Path) -> None:
    """A server without a model is not restarted for settings that nothing would gain from."""
    made = plan(facts(tmp_path))
    (mine,) = [o for o in made.optimizations if o.id == "ollama"]
    assert not made.changes and (mine.effort.high, mine.downtime_s) == (0, 0)
    why = "ollama stores no model yet, so there is nothing to keep in memory: pull one, then plan again."
    assert (mine.applicable, str(mine.reason)) == (False, why)
    found: Any = SimpleNamespace(draft=made, id="x")
    assert any(f"does not apply. {why}" in str(line) for line in render.plan(found, (), verbose=False))
    asked = plan(facts(tmp_path), keep_alive="24h")
    assert not asked.changes and any(why in str(w) for w in asked.warnings)
    assert plan(facts(tmp_path, NOMIC)).changes


def test_what_must_be_read_beside_a_value_stands_in_the_plans_text_once(tmp_path: Path) -> None:
    found: Any = SimpleNamespace(draft=plan(facts(tmp_path, LLAMA3, BIG)), id="x")
    text = [line if isinstance(line, str) else line[0] for line in render.plan(found, (), verbose=False)]
    (line,) = [t for t in text if "llama3:70b needs" in t]
    assert line.startswith("    ollama: models: ")


def test_a_model_larger_than_the_machine_is_said_and_kept_out(tmp_path: Path) -> None:
    found = advice(facts(tmp_path, BIG, NOMIC))
    assert found["models"].value == "nomic-embed-text:latest"
    assert "llama3:70b needs 39.5 GiB and at most 12.4 GiB" in said(
        found["models"].notes
    ) and "cannot be loaded" in said(found["models"].notes)


def test_a_server_that_cannot_be_asked_gets_what_is_safe(tmp_path: Path) -> None:
    stack = facts(tmp_path, version=None)
    expected = {"OLLAMA_KEEP_ALIVE": "24h", "OLLAMA_MAX_LOADED_MODELS": "1", "LLAMA_ARG_CACHE_RAM": "512"}
    assert written(stack) == expected
    assert advice(stack)["models"].value is None


@pytest.mark.parametrize(
    ("models", "why"),
    [
        ("llama3:70b", "it does not store llama3:70b; pull it first, or choose among llama3:8b"),
        ("llama3:8b num_gqa=1", "'num_gqa=1' is none of num_ctx=NUMBER"),
        (",", "it names no model"),
        ("llama3:8b, mistral:7b", "they need 10.2 GiB together"),
    ],
)
def test_a_list_that_cannot_be_kept_is_refused(tmp_path: Path, models: str, why: str) -> None:
    with pytest.raises(UsageError, match=r"ollama\.models = .* is refused for ollama: ") as caught:
        advice(facts(tmp_path, LLAMA3, MISTRAL, limit="10g"), models=models)
    assert why in str(caught.value)


def test_options_make_it_larger(tmp_path: Path) -> None:
    stack = facts(tmp_path, LLAMA3, limit="8g")
    assert advice(stack, models="llama3:8b")["models"].value == "llama3:8b"
    with pytest.raises(UsageError, match="they need"):
        advice(stack, models="llama3:8b num_ctx=65536")


def test_a_context_that_an_app_asks_for_is_told(tmp_path: Path) -> None:
    held = Model("llama3:8b", 6 * GIB, context=8192)
    notes = advice(facts(tmp_path, LLAMA3, loaded=(held,)))["models"].notes
    assert 'Name it so in models: "llama3:8b num_ctx=8192"' in said(notes)
    held = Model("llama3:8b", 6 * GIB, context=4096)
    assert "num_ctx" not in said(advice(facts(tmp_path, LLAMA3, loaded=(held,)))["models"].notes)


def test_a_context_of_the_models_own_counts_and_is_no_apps(tmp_path: Path) -> None:
    own = replace(LLAMA3, own_context=32768)
    held = Model("llama3:8b", 10 * GIB, context=32768)
    notes = said(advice(facts(tmp_path, own, loaded=(held,)))["models"].notes)
    assert "num_ctx" not in notes and "llama3:8b 10.8 GiB" in notes
    app = Model("llama3:8b", 6 * GIB, context=8192)
    assert "llama3:8b num_ctx=8192" in said(advice(facts(tmp_path, own, loaded=(app,)))["models"].notes)
    # Nobody named it, and an app may ask for it at any time: it counts as large as it comes.
    assert advice(facts(tmp_path, own, NOMIC, limit="12g"))["models"].value == "nomic-embed-text:latest"
    assert advice(facts(tmp_path, LLAMA3, NOMIC, limit="12g"))["models"].value == "nomic-embed-text:latest, llama3:8b"


def test_a_keeper_counts_a_models_own_context(tmp_path: Path) -> None:
    def need(*models: Model) -> int:
        stack = facts(tmp_path, *models, limit="24g")
        (fragment,) = [f for f in plan(stack, preload="always", models="llama3:8b").fragments if f.own]
        environment: Any = fragment.services["ollama-keeper"]["environment"]
        return int(environment["NFTUI_MODELS"].split(" ")[1])

    assert need(LLAMA3) == in_runner(LLAMA3, Setting(4096, 1, version=(0, 12, 3)))
    assert need(replace(LLAMA3, own_context=32768)) == in_runner(LLAMA3, Setting(32768, 1, version=(0, 12, 3)))


def test_what_the_server_raises_a_context_to_is_no_apps(tmp_path: Path) -> None:
    oss = replace(LLAMA3, name="gpt-oss:20b", family="gptoss")
    held = Model("gpt-oss:20b", 6 * GIB, context=8192)
    on_card = facts(tmp_path, oss, loaded=(held,), gpus=(24 * GIB,), more=GPU)
    assert "An app loads" not in said(advice(on_card)["models"].notes)
    small = facts(tmp_path, oss, loaded=(held,), gpus=(16 * GIB,), more=GPU)
    assert "An app loads gpt-oss:20b with num_ctx=8192" in said(advice(small)["models"].notes)


def test_models_that_keep_an_exact_cache_all_the_same_are_named(tmp_path: Path) -> None:
    stack = facts(tmp_path, LLAMA3, NOMIC, gpus=(24 * GIB,), more=GPU)
    notes = said(advice(stack, kv_cache_type="q8_0")["kv_cache_type"].notes)
    assert "It does not take hold for nomic-embed-text:latest:" in notes and "llama3:8b" not in notes
    assert "take hold" not in said(advice(stack)["kv_cache_type"].notes)


@pytest.mark.parametrize(
    ("version", "limit", "more", "counted"),
    [
        ("0.13.0", "16g", "", True), ("0.24.0", "16g", "", True), ("0.12.6", "16g", "", False),
        ("0.30.0", "16g", "", False), ("0.13.0", None, "", False), ("0.13.0", "16g", GPU, False),
    ],
)  # fmt: skip
def test_the_page_cache_of_the_files_counts_for_servers_that_take_it_for_memory_in_use(
    tmp_path: Path, version: str, limit: str | None, more: str, counted: bool
) -> None:
    stack = facts(tmp_path, LLAMA3, version=version, limit=limit, more=more, gpus=(24 * GIB,) if more else ())
    notes = said(
        advice(stack, models="llama3:8b", num_parallel="1", context_length="4096", prompt_cache="0")["models"].notes
    )
    size = "llama3:8b 10.1 GiB" if version == "0.13.0" else "llama3:8b 10 GiB"  # it has flash attention
    assert (size in notes, "what the kernel caches" in notes) == (counted, counted)
    assert counted or "llama3:8b 5.5 GiB" in notes
    first = replace(stack, host=replace(stack.host, cgroup_version=1))
    assert "what the kernel caches" not in said(advice(first)["models"].notes), "it sees only the second version's"


def test_a_model_that_fits_alone_is_kept_also_where_its_cached_file_would_not(tmp_path: Path) -> None:
    stack = facts(tmp_path, LLAMA3, version="0.13.0", limit="8g")
    found = advice(stack, num_parallel="1", context_length="4096", prompt_cache="0")["models"]
    assert found.value == "llama3:8b" and "llama3:8b 5.5 GiB" in said(found.notes)


def test_a_limit_that_is_granted_leaves_room_for_the_cache_that_will_count_under_it(tmp_path: Path) -> None:
    def wanted(version: str) -> int:
        mine, _ = REGISTRY["ollama"].demand(facts(tmp_path, LLAMA3, version=version, limit=None), Choices())
        return mine.wanted

    cache = LLAMA3.size / SHARE
    assert cache - 64 * MIB <= wanted("0.13.0") - wanted("0.12.6") <= cache + 64 * MIB


def test_nothing_is_said_of_the_servers_view_of_memory_that_only_some_versions_have(tmp_path: Path) -> None:
    why = str(advice(facts(tmp_path, LLAMA3))["max_loaded_models"].why)
    assert "depends on its version, and only this count can be relied on" in why


def test_the_real_order_of_eviction_is_told(tmp_path: Path) -> None:
    notes = said(advice(facts(tmp_path, LLAMA3))["models"].notes)
    assert "shortest keep-alive first" in notes and "not the one that was used least" in notes


# -- what the operator set ----------------------------------------------------------------------------------------
def test_own_values_stay_where_they_fit(tmp_path: Path) -> None:
    found = advice(facts(tmp_path, LLAMA3, environment="{OLLAMA_KEEP_ALIVE: 10m, OLLAMA_NUM_PARALLEL: '2'}"))
    assert (found["keep_alive"].value, found["keep_alive"].kept, found["keep_alive"].recommended) == (
        "10m",
        True,
        "24h",
    )
    assert (found["num_parallel"].value, found["num_parallel"].kept) == ("2", True)


def test_own_values_under_which_too_much_would_be_loaded_are_replaced(tmp_path: Path) -> None:
    environment = "{OLLAMA_MAX_LOADED_MODELS: '3', OLLAMA_NUM_PARALLEL: '16'}"
    stack = facts(tmp_path, LLAMA3, MISTRAL, NOMIC, environment=environment, limit="13900m")
    found = advice(stack)
    assert (found["max_loaded_models"].value, found["num_parallel"].value) == ("2", "1")
    assert "OLLAMA_NUM_PARALLEL=16 is replaced" in said(found["num_parallel"].notes)
    assert written(stack)["OLLAMA_MAX_LOADED_MODELS"] == "2"


def test_what_the_server_cannot_read_is_no_value(tmp_path: Path) -> None:
    found = advice(facts(tmp_path, LLAMA3, environment="{OLLAMA_KEEP_ALIVE: forever}"))
    assert found["keep_alive"].value == "24h" and "takes its default" in said(found["keep_alive"].notes)


def test_what_comes_from_the_shell_is_left_alone(tmp_path: Path) -> None:
    stack = facts(tmp_path, LLAMA3, environment="[OLLAMA_KEEP_ALIVE]")
    assert "OLLAMA_KEEP_ALIVE" not in written(stack) and "shell" in said(advice(stack)["keep_alive"].notes)


# -- values that are chosen ---------------------------------------------------------------------------------------
def test_the_missions_values_are_taken_where_they_fit(tmp_path: Path) -> None:
    stack = facts(tmp_path, LLAMA3, NOMIC)
    found = written(stack, keep_alive="24h", max_loaded_models="3", flash_attention="on")
    assert found == {"OLLAMA_KEEP_ALIVE": "24h", "OLLAMA_MAX_LOADED_MODELS": "3", "OLLAMA_FLASH_ATTENTION": "1"}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"max_loaded_models": "3"}, "ollama.max_loaded_models = 3 is refused for ollama: models in memory at once"),
        ({"num_parallel": "64"}, "ollama.num_parallel = 64 is refused"),
        ({"keep_alive": "forever"}, "the server cannot read it and would take 5m"),
        ({"keep_alive": "1d"}, "the server cannot read it"),
        ({"kv_cache_type": "q8_0", "flash_attention": "off"}, "it needs flash attention"),
    ],
)
def test_a_value_that_does_harm_is_refused(tmp_path: Path, values: dict[str, str], why: str) -> None:
    with pytest.raises(UsageError) as caught:
        advice(facts(tmp_path, LLAMA3, MISTRAL, NOMIC, limit="12g"), **values)
    assert why in str(caught.value)


def test_a_part_that_is_off_leaves_what_is_there(tmp_path: Path) -> None:
    stack = facts(tmp_path, LLAMA3, environment="{OLLAMA_NUM_PARALLEL: '16'}")
    assert "OLLAMA_KEEP_ALIVE" not in written(stack, tune_hot="off")
    assert advice(stack, tune_hot="off")["models"].value in (None, "none")
    (mine,) = [o for o in plan(stack, tune_hot="off").optimizations if o.id == "ollama"]
    assert (mine.effort.low, mine.effort.high) == (1.25, 2.0)
    (whole,) = [o for o in plan(stack).optimizations if o.id == "ollama"]
    assert (whole.effort.low, whole.effort.high) == (2.0, 3.0)


# -- versions -----------------------------------------------------------------------------------------------------
def test_a_variable_that_this_version_does_not_read_is_not_written(tmp_path: Path) -> None:
    stack = facts(tmp_path, LLAMA3, version="0.5.7")
    found = advice(stack, context_length="8192")["context_length"]
    assert found.value is None and "Version 0.5.7 does not read OLLAMA_CONTEXT_LENGTH; 0.5.13" in str(found.why)
    assert "OLLAMA_CONTEXT_LENGTH" not in written(stack, context_length="8192")
    assert written(replace_version(stack, "0.6.0"), context_length="8192")["OLLAMA_CONTEXT_LENGTH"] == "8192"


def replace_version(stack, version: str):  # type: ignore[no-untyped-def]
    live = stack.live[("ollama", "ollama")]
    value = replace(live.value, version=version)
    return replace(stack, live={("ollama", "ollama"): replace(live, value=value)})


def test_an_old_server_tries_four_slots_unless_it_is_told(tmp_path: Path) -> None:
    assert written(facts(tmp_path, LLAMA3, version="0.9.6"))["OLLAMA_NUM_PARALLEL"] == "1"
    assert "OLLAMA_NUM_PARALLEL" not in written(facts(tmp_path, LLAMA3, version="0.10.0"))


def test_the_prompt_cache_of_new_servers_is_bounded(tmp_path: Path) -> None:
    assert written(facts(tmp_path, LLAMA3, version="0.31.0"))["LLAMA_ARG_CACHE_RAM"] == "512"
    assert "LLAMA_ARG_CACHE_RAM" not in written(facts(tmp_path, LLAMA3, version="0.29.0"))


def test_a_newer_version_than_known_is_said(tmp_path: Path) -> None:
    assert "newer than any" in said(advice(facts(tmp_path, LLAMA3, version="1.4.0"))["models"].notes)
    assert "newer than any" not in said(advice(facts(tmp_path, LLAMA3, version="0.0.0"))["models"].notes)


def test_a_server_too_old_to_tell_what_it_holds_is_refused(tmp_path: Path) -> None:
    (mine,) = [o for o in plan(facts(tmp_path, LLAMA3, version="0.1.32")).optimizations if o.id == "ollama"]
    assert not mine.applicable and "0.1.39" in str(mine.reason)


# -- GPUs ---------------------------------------------------------------------------------------------------------
def test_on_a_gpu_its_memory_counts(tmp_path: Path) -> None:
    found = advice(facts(tmp_path, LLAMA3, NOMIC, gpus=(8 * GIB,), more=GPU))
    assert found["flash_attention"].value == "on"
    assert found["models"].value == "nomic-embed-text:latest, llama3:8b"
    large = advice(facts(tmp_path, BIG, gpus=(24 * GIB, 24 * GIB), more=GPU, limit=None, memory=128 * GIB))
    assert "load a part of it there" in said(large["models"].notes) and large["models"].value == "none"
    larger = advice(facts(tmp_path, BIG, gpus=(48 * GIB, 48 * GIB), more=GPU, limit=None, memory=128 * GIB))
    assert larger["models"].value == "llama3:70b"


def on_cards(tmp_path: Path, *models: Model, gib: tuple[int, ...], environment: str = "{}", listed: str) -> str:
    """What is said of the places of these models, on GPUs of that size."""
    stack = facts(tmp_path, *models, gpus=tuple(g * GIB for g in gib), more=GPU, limit=None, memory=128 * GIB,
                  environment=environment)  # fmt: skip
    return said(advice(stack, models=listed, num_parallel="1", context_length="4096")["models"].notes)


MIXTRAL = Model("mixtral:8x7b", 20 * GIB, capabilities=("completion",), architecture=LLAMA)
"""21.2 GiB with its cache: more than four fifths of a 24 GiB GPU."""


def test_each_gpu_is_judged_by_itself(tmp_path: Path) -> None:
    two = on_cards(tmp_path, LLAMA3, MISTRAL, gib=(8, 8), listed="llama3:8b, mistral:7b")
    assert two.count("lies on one GPU (8 GiB)") == 2 and "spread" not in two
    one = on_cards(tmp_path, LLAMA3, gib=(8,), listed="llama3:8b")
    assert "GPU" not in one  # one is no choice
    mixed = on_cards(tmp_path, LLAMA3, NOMIC, gib=(24, 8), listed="llama3:8b, nomic-embed-text")
    assert mixed.count("lies on one GPU (24 GiB)") == 2
    large = on_cards(tmp_path, MIXTRAL, gib=(24, 8), listed="mixtral:8x7b")
    assert "mixtral:8x7b is spread over 2 GPUs (8 GiB + 24 GiB): it is larger than any one" in large
    spread = on_cards(tmp_path, LLAMA3, gib=(8, 8), listed="llama3:8b", environment="{OLLAMA_SCHED_SPREAD: 'true'}")
    assert "spread over 2 GPUs (8 GiB + 8 GiB): OLLAMA_SCHED_SPREAD asks for that" in spread


def test_what_fits_their_sum_and_none_of_them_after_the_others_is_not_promised(tmp_path: Path) -> None:
    """The scheduler fills the emptiest GPU first: what comes later finds neither one nor all of them empty enough."""
    with pytest.raises(UsageError, match="on 2 GPUs, which are filled in the list's order"):
        on_cards(tmp_path, LLAMA3, MIXTRAL, gib=(16, 16), listed="llama3:8b, mixtral:8x7b")


@pytest.mark.parametrize(
    ("gib", "needs", "places"),
    [
        ((8, 8), (5, 5), ((0,), (1,))), ((8, 8), (5, 5, 2), ((0,), (1,), (0,))),
        ((8, 8), (5, 5, 4), ((0,), (1,), (0, 1))), ((8, 8), (5, 5, 5), None),
        ((8, 8), (10,), ((0, 1),)), ((8, 8), (13,), None), ((24, 8), (7, 7), ((0,), (0,))),
        ((24, 8), (20, 5), ((0, 1), (0,))), ((24, 8), (7, 20), None), ((8,), (6,), ((0,),)), ((8,), (7,), None),
        ((), (1,), None),
    ],
)  # fmt: skip
def test_models_go_where_the_scheduler_puts_them(
    gib: tuple[int, ...], needs: tuple[int, ...], places: tuple[tuple[int, ...], ...] | None
) -> None:
    gpus = Gpus(tuple(g * GIB for g in gib))
    assert place([n * GIB for n in needs], gpus) == places


def test_what_gives_way_first(tmp_path: Path) -> None:
    """Slots, then context, then the cache's exactness, and only then a model."""
    cards = {20: ("4", "4096"), 16: ("2", "4096"), 24: ("1", "32768")}
    for gib, expected in cards.items():
        stack = facts(
            tmp_path, MISTRAL, LLAMA3, gpus=(gib * GIB,), more=GPU, version="0.20.0", memory=64 * GIB, limit=None
        )
        found = advice(stack, models="llama3:8b, mistral:7b")
        assert tuple(found[k].value for k in ("num_parallel", "context_length")) == expected, gib
        assert found["kv_cache_type"].value == "f16"
    models, wishes, start = [LLAMA3, MISTRAL], [Wish("llama3:8b"), Wish("mistral:7b")], Setting(8192, 4)
    room = sum(in_runner(m, Setting(4096, 1)) for m in models)

    def fitted(left: int) -> tuple[Setting, int]:
        fit = solve(models, wishes, left, start, Fixed(), Estimator({}, True), listed=True, quantize=True)
        return fit.setting, len(fit.pinned)

    assert fitted(room) == (Setting(4096, 1), 2)
    assert fitted(room - 1) == (Setting(4096, 1, "q8_0"), 2)
    assert fitted(room - GIB)[1] == 1


def test_a_gpu_of_unknown_memory_pins_nothing(tmp_path: Path) -> None:
    found = advice(facts(tmp_path, LLAMA3, more=GPU))
    assert found["models"].value == "none" and "GPUs is not known" in str(found["models"].why)
    assert found["max_loaded_models"].value == "1"


# -- what is written ----------------------------------------------------------------------------------------------
def keys(stack, **values: str):  # type: ignore[no-untyped-def]
    (fragment,) = [f for f in plan(stack, **values).fragments if f.optimization == "ollama"]
    return fragment.services["ollama"]


def test_a_healthcheck_that_the_image_cannot_run_is_replaced(tmp_path: Path) -> None:
    check = "    healthcheck: {test: 'curl -f http://localhost:11434/', interval: 5s}\n"
    assert keys(facts(tmp_path, LLAMA3, more=check))["healthcheck"] == {"test": ["CMD", "ollama", "ls"]}
    good = "    healthcheck: {test: [CMD, ollama, list]}\n"
    assert "healthcheck" not in keys(facts(tmp_path, LLAMA3, more=good))
    assert "healthcheck" not in keys(facts(tmp_path, LLAMA3), tune_health="off")


def test_the_same_facts_plan_the_same_whether_models_are_loaded_or_not(tmp_path: Path) -> None:
    cold = facts(tmp_path, LLAMA3, NOMIC, web=NAMED)
    held = tuple(Model(m.name, m.size, context=4096) for m in (LLAMA3, NOMIC))
    warm = facts(tmp_path, LLAMA3, NOMIC, web=NAMED, loaded=held)
    assert plan(cold).core() == plan(warm).core()


def held_at(factor: float | None) -> tuple[Model, ...]:
    """Both models loaded with so much of their estimate, at the context of `CONTEXT`."""
    setting = Setting(32768, 1, version=(0, 12, 3))
    models = (LLAMA3, MISTRAL) if factor else ()
    return tuple(Model(m.name, int(in_runner(m, setting) * (factor or 0)), context=32768) for m in models)


CONTEXT: Any = {"given": {"OLLAMA_CONTEXT_LENGTH": "32768"}, "environment": "{OLLAMA_CONTEXT_LENGTH: '32768'}"}


@pytest.mark.parametrize("limit", ["20g", "22g", "24g", "26g"])
@pytest.mark.parametrize("factor", [0.5, 0.6, 0.7])
def test_what_a_plan_loads_is_no_reason_for_another_plan(tmp_path: Path, limit: str, factor: float) -> None:
    """Loaded models that take far less than estimated would let in one more."""
    cold = advice(facts(tmp_path, LLAMA3, MISTRAL, limit=limit, **CONTEXT))
    (tmp_path / "compose.yaml").unlink()
    warm = advice(facts(tmp_path, LLAMA3, MISTRAL, limit=limit, loaded=held_at(factor), **CONTEXT))
    assert {n: a.value for n, a in warm.items()} == {n: a.value for n, a in cold.items()}


@pytest.mark.parametrize(("factor", "fits"), [(None, False), (0.6, True), (0.95, False), (1.2, False)])
def test_an_operators_list_fits_by_what_its_models_were_seen_to_take(
    tmp_path: Path, factor: float | None, fits: bool
) -> None:
    """With a keeper that does not wait for room which its estimates lack."""
    stack = facts(tmp_path, LLAMA3, MISTRAL, limit="20g", loaded=held_at(factor), **CONTEXT)
    if not fits:
        with pytest.raises(UsageError, match="they need"):
            advice(stack, models="llama3:8b, mistral:7b")
        return
    assert advice(stack, models="llama3:8b, mistral:7b")["models"].value == "llama3:8b, mistral:7b"
    (fragment,) = plan(stack, models="llama3:8b, mistral:7b").fragments
    environment: Any = fragment.services["ollama-keeper"]["environment"]
    needs = [int(line.split(" ")[1]) for line in environment["NFTUI_MODELS"].split("\n")]
    server_room = int((20 * GIB - 512 * MIB) * SHARE)
    assert len(needs) == 2 and sum(needs) <= server_room


# -- the solver ---------------------------------------------------------------------------------------------------
MODELS = st.lists(st.integers(50 * MIB, 60 * GIB), min_size=1, max_size=12).map(
    lambda sizes: [Model(f"m{i}:latest", s, capabilities=CHAT, architecture=LLAMA) for i, s in enumerate(sizes)]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MODELS, st.integers(0, 128 * GIB), st.integers(0, 12), st.booleans())
def test_never_more_than_the_room(models: list[Model], room: int, wanted: int, listed: bool) -> None:
    wishes = [Wish(m.name) for m in models[:wanted]]
    fit = solve(models, wishes, room, Setting(4096, 4), Fixed(), Estimator({}), listed=listed, quantize=False)
    assert sum(fit.needs[w.name] for w in fit.pinned) <= room
    assert 1 <= fit.loaded <= len(models) + 1 and len(fit.pinned) <= fit.loaded
    if not listed:
        assert worst(fit.loaded, fit.pinned, fit.needs, room, listed) <= room
    assert {w.name for w in wishes} == {w.name for w in fit.pinned} | set(fit.dropped) | (
        set(fit.too_large) & {w.name for w in wishes}
    )


@given(MODELS, st.integers(0, 64 * GIB))
def test_more_room_never_keeps_less(models: list[Model], room: int) -> None:
    wishes = [Wish(m.name) for m in models[:3]]

    def kept(size: int) -> int:
        return len(
            solve(models, wishes, size, Setting(4096, 1), Fixed(), Estimator({}), listed=True, quantize=False).pinned
        )

    assert kept(room) <= kept(room + 8 * GIB)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("llama3, nomic-embed-text:v1.5", "llama3:latest, nomic-embed-text:v1.5"),
        ("a:1 num_gpu=0 num_ctx=8192 , a:1", "a:1 num_ctx=8192 num_gpu=0"),
        ("a:1 use_mmap=False main_gpu=1, b:2 num_gpu=-1", "a:1 main_gpu=1 use_mmap=false, b:2 num_gpu=-1"),
        ("hf.co/org/model:Q4_K_M", "hf.co/org/model:Q4_K_M"),
        ("None", "none"),
    ],
)
def test_a_list_is_read_as_people_write_it(text: str, shown: str) -> None:
    assert show_wishes(parse_wishes(text)) == shown


@pytest.mark.parametrize("word", ["use_mmap=1", "use_mmap", "num_ctx=true", "num_gpu=--1", "num_ctx=", "temperature=0"])
def test_an_option_that_is_not_of_its_kind_is_no_option(word: str) -> None:
    """The server refuses a number for a switch, and a request with it."""
    with pytest.raises(BadList, match=r"is none of num_ctx=NUMBER.*use_mmap=true/false"):
        parse_wishes(f"a:1 {word}")


@pytest.mark.parametrize(
    ("option", "version", "known"),
    [
        ("use_mmap=false", "0.1.48", True), ("use_mmap=false", "0.30.0", True), ("main_gpu=1", "0.12.3", True),
        ("draft_num_predict=4", "0.30.0", True), ("draft_num_predict=4", "0.24.0", False),
        ("low_vram=true", "0.6.8", True), ("low_vram=true", "0.7.0", False), ("numa=true", "0.3.4", False),
    ],
)  # fmt: skip
def test_an_option_is_taken_where_the_servers_version_loads_by_it(
    tmp_path: Path, option: str, version: str, known: bool
) -> None:
    stack = facts(tmp_path, LLAMA3, version=version)
    if not known:
        with pytest.raises(UsageError, match=f"version {version} has no {option.partition('=')[0]}"):
            advice(stack, models=f"llama3:8b {option}")
        return
    made = plan(stack, models=f"llama3:8b {option}", preload="always")
    (fragment,) = made.fragments
    environment: Any = fragment.services["ollama-keeper"]["environment"]
    name, _, value = option.partition("=")
    assert environment["NFTUI_MODELS"].endswith(f'{{"{name}":{value}}}')


def test_a_list_of_nothing_is_no_list() -> None:
    with pytest.raises(BadList):
        parse_wishes(" , ")


# -- figures of a server without a limit of its own -----------------------------------------------------------------
@pytest.mark.parametrize("off", [{"models": "none"}, {"tune_hot": "off", "tune_memory": "off", "tune_health": "off"}])
def test_where_nothing_is_kept_there_is_memory_for_what_is_asked_for(tmp_path: Path, off: dict[str, str]) -> None:
    """Nothing stays in memory, and requests come all the same: the largest of its models still has to fit."""
    stack = facts(tmp_path, LLAMA3, MISTRAL, NOMIC, web=NAMED, limit=None)
    made = plan(stack, **off)
    assert 7 * GIB < dict(made.memory.services)["ollama"] <= dict(plan(stack).memory.services)["ollama"]
    assert "ollama-keeper" not in dict(made.memory.services)
    found = advice(stack, **off)
    assert "cannot be loaded" not in said(found["models"].notes)
    assert all("0 B" not in str(line.why) for line in found.values())


def test_a_machine_is_not_emptied_for_a_giant_that_nobody_names(tmp_path: Path) -> None:
    stack = facts(tmp_path, LLAMA3, BIG, limit=None, memory=64 * GIB)
    made = plan(stack, models="none")
    assert dict(made.memory.services)["ollama"] <= dict(plan(stack).memory.services)["ollama"]


def test_a_context_that_is_too_large_is_refused_by_the_model_that_no_longer_fits(tmp_path: Path) -> None:
    stack = facts(tmp_path, LLAMA3, MISTRAL, NOMIC, web=NAMED, limit=None)
    with pytest.raises(UsageError, match=r"context_length = 131072 is refused for ollama: llama3:8b would need (\d+)"):
        advice(stack, context_length="131072")


def test_the_reason_is_that_of_the_value_where_a_choice_made_it_another(tmp_path: Path) -> None:
    found = advice(facts(tmp_path, LLAMA3, MISTRAL, NOMIC, web=NAMED, limit="24g", cpus=8), context_length="65536")
    line = found["max_loaded_models"]
    assert (line.value, line.recommended) == ("1", "1") and str(line.why).startswith("Only one of its models")
    assert "Each slot keeps a context" in str(found["num_parallel"].why)


def test_more_slots_are_not_explained_by_what_speaks_against_them(tmp_path: Path) -> None:
    found = advice(facts(tmp_path, LLAMA3, cpus=8))["num_parallel"]
    assert found.value == "2" and "no sooner" not in str(found.why) and "2 requests" in str(found.why)
    assert "no sooner" in str(advice(facts(tmp_path, LLAMA3, cpus=4))["num_parallel"].why)


# -- what is new is told as new -------------------------------------------------------------------------------------
def test_a_service_that_comes_beside_the_server_is_a_change(tmp_path: Path) -> None:
    stack = facts(tmp_path, LLAMA3)
    line = advice(stack)["preload"]
    assert (line.value, line.changes) == ("always", True)
    again = replace(stack, brought={"ollama-keeper": frozenset()})
    line = advice(again)["preload"]
    assert (line.current, line.value, line.changes) == ("always", "always", False)
    assert advice(again, preload="off")["preload"].changes and not advice(stack, preload="off")["preload"].changes
    assert advice(stack, eviction="lru", models="llama3:8b", max_loaded_models="2")["eviction"].changes


def test_a_part_that_is_off_shows_what_stands_without_nftui(tmp_path: Path) -> None:
    stack = facts(
        tmp_path, LLAMA3, environment="{OLLAMA_CONTEXT_LENGTH: '8192'}", given={"OLLAMA_CONTEXT_LENGTH": "8192"}
    )
    found = advice(stack, tune_memory="off", tune_hot="off", tune_health="off")
    shown = {name: (found[name].current, found[name].value, found[name].changes) for name in
             ("num_parallel", "context_length", "kv_cache_type", "keep_alive", "max_queue")}  # fmt: skip
    assert shown == {
        "num_parallel": ("1", "1", False), "context_length": ("8192", "8192", False),
        "kv_cache_type": ("f16", "f16", False), "keep_alive": ("5m", "5m", False), "max_queue": ("512", "512", False),
    }  # fmt: skip
    assert found["models"].value == "none"
