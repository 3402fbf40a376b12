"""Memory of a model by its metadata."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nftui.clients.ollama import architecture_of
from nftui.model.ai import Architecture, Model
from nftui.model.units import GIB, MIB
from nftui.optimizations.ollama.estimate import Setting, in_runner, kv_cache, measure, tokens
from tests.ollama.build import BERT, LLAMA3, NOMIC

GEMMA = Model("gemma3:1b", 800 * MIB, capabilities=("completion",),
              architecture=Architecture("gemma3", (1,) * 26, 256, 256, 32768, 512))  # fmt: skip


def test_the_worked_example_of_the_reference() -> None:
    assert kv_cache(LLAMA3, Setting(4096, 4)) == 2 * GIB


@pytest.mark.parametrize(("cache", "share"), [("q8_0", 0.53125), ("q4_0", 0.28125)])
def test_a_quantized_cache_carries_its_scales(cache: str, share: float) -> None:
    assert kv_cache(LLAMA3, Setting(4096, 4, cache)) == int(2 * GIB * share)


def test_a_model_that_embeds_has_one_slot_and_its_own_context() -> None:
    assert tokens(NOMIC, Setting(8192, 4)) == BERT.trained_context == 2048


def test_a_sliding_window_keeps_little_in_most_layers() -> None:
    """Of 26 layers 4 see everything (each sixth), 22 see 512 tokens and a batch."""
    assert kv_cache(GEMMA, Setting(8192, 1)) == (4 * 8192 + 22 * (512 + 512)) * 512 * 2


def test_larger_batches_of_large_contexts_count() -> None:
    small, large, larger = (
        in_runner(LLAMA3, Setting(c, 1)) - kv_cache(LLAMA3, Setting(c, 1)) for c in (4096, 8192, 65536)
    )
    assert (large - small, larger - small) == (768 * MIB, 2 * GIB)


def test_an_unknown_shape_is_about_an_8b_models() -> None:
    known = kv_cache(LLAMA3, Setting(4096, 1))
    assert kv_cache(replace(LLAMA3, architecture=None), Setting(4096, 1)) == pytest.approx(known, rel=0.15)


@given(st.integers(512, 131072), st.integers(1, 16), st.sampled_from(["f16", "q8_0", "q4_0"]))
def test_more_of_anything_never_needs_less(context: int, parallel: int, cache: str) -> None:
    setting = Setting(context, parallel, cache)
    for model in (LLAMA3, NOMIC, GEMMA):
        need = in_runner(model, setting)
        assert need <= in_runner(model, replace(setting, context=context + 512))
        assert need <= in_runner(model, replace(setting, parallel=parallel + 1))
        assert need <= in_runner(model, replace(setting, cache="f16"))


def test_what_was_measured_larger_counts_and_what_was_smaller_does_not() -> None:
    running = Setting(4096, 1)
    estimate = in_runner(LLAMA3, running)
    for factor, expected in ((1.5, 1.5), (1.02, 1.05), (0.7, 1.0)):
        held = Model("llama3:8b", int(estimate * factor), context=4096)
        found = measure((LLAMA3,), (held,), running, on_gpu=False)
        assert found.need(LLAMA3, running) == int(estimate * expected)


def test_a_measurement_is_compared_under_the_context_that_it_was_loaded_with() -> None:
    held = Model("llama3:8b", in_runner(LLAMA3, Setting(32768, 1)), context=32768)
    assert measure((LLAMA3,), (held,), Setting(4096, 1), on_gpu=False).measured == {}


def test_old_prompts_lie_in_the_hosts_memory() -> None:
    setting = Setting(4096, 1, prompt_cache=GIB)
    on_cpu, on_gpu = (measure((), (), setting, on_gpu=gpu) for gpu in (False, True))
    assert on_cpu.need(LLAMA3, setting) - on_gpu.need(LLAMA3, setting) == GIB
    assert GIB < on_gpu.in_host(LLAMA3, setting) < 2 * GIB


# -- model_info ---------------------------------------------------------------------------------------------------
INFO = {
    "general.architecture": "llama", "llama.block_count": 32, "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": 8, "llama.embedding_length": 4096, "llama.context_length": 8192,
}  # fmt: skip


def test_lengths_follow_from_the_width_where_nothing_is_said() -> None:
    shape = architecture_of(INFO)
    assert shape == Architecture("llama", (8,) * 32, 128, 128, 8192)


def test_heads_may_be_told_for_each_layer() -> None:
    shape = architecture_of({**INFO, "llama.attention.head_count_kv": [8, 0, 0, 8]})
    assert shape is not None and shape.kv_heads == (8, 0, 0, 8)


def test_a_window_counts_only_where_it_holds_for_most_layers() -> None:
    shape = architecture_of({**INFO, "llama.attention.sliding_window": 4096})
    assert shape is not None and shape.window is None


@pytest.mark.parametrize(
    "info", [None, {}, {"general.architecture": "llama"}, "text", {**INFO, "llama.context_length": 0}]
)
def test_what_lacks_a_part_is_no_shape(info: object) -> None:
    assert architecture_of(info) is None
