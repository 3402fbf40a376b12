"""Memory of a model by its metadata."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nftui.clients.ollama import architecture_of
from nftui.model.ai import Architecture, Model, OllamaFacts, Vision
from nftui.model.units import GIB, MIB
from nftui.optimizations.ollama.estimate import (
    Estimator,
    Setting,
    image_graph,
    in_runner,
    keeps_exact,
    kv_cache,
    measure,
    tokens,
)
from nftui.optimizations.ollama.fit import loaded_with
from nftui.optimizations.ollama.versions import least_context
from nftui.optimizations.ollama.wishes import Wish
from tests.ollama.build import BERT, CHAT, EMBEDS, LLAMA, LLAMA3, NOMIC

GEMMA = Model("gemma3:1b", 800 * MIB, capabilities=("completion",),
              architecture=Architecture("gemma3", (1,) * 26, 256, 256, 32768, 512))  # fmt: skip


QWEN_EMBEDS = Model("qwen3-embedding:0.6b", 639_150_730, capabilities=EMBEDS,
                    architecture=Architecture("qwen3", (8,) * 28, 128, 128, 40960, pooled=True))  # fmt: skip
LLAMA32 = Model("llama3.2:3b", 2_019_393_189, capabilities=CHAT, family="llama", architecture=Architecture(
    "llama", (8,) * 28, 128, 128, 131072, width=3072, vocabulary=128256, heads=24))  # fmt: skip
WEIGHTS32 = math.ceil(LLAMA32.size * 1.02)


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


SERVED, BEFORE = (0, 30, 0), (0, 12, 3)
"""Versions whose models run in llama-server, and in a runner of Ollama's own without flash attention."""


@pytest.mark.parametrize(
    ("context", "version", "flash", "mib"),
    [
        (4096, SERVED, None, 256.5), (8192, SERVED, None, 513.0), (65536, SERVED, None, 1026.0),
        (8192, SERVED, False, 848.0),
        (4096, BEFORE, None, 256.5), (8192, BEFORE, None, 424.0), (8192, BEFORE, True, 256.5),
        (8192, (0, 13, 4), None, 256.5),
    ],
)  # fmt: skip
def test_the_buffers_are_of_the_larger_of_a_vocabulary_and_of_attention(
    context: int, version: tuple[int, ...], flash: bool | None, mib: float
) -> None:
    """llama3.2:3b. llama-server said "compute buffer size = 256.50 MiB" at 4096 tokens; more are computed in larger
    batches since 0.30, and without flash attention each head's scores are kept."""
    setting = Setting(context, 1, version=version, flash=flash)
    found = in_runner(LLAMA32, setting) - kv_cache(LLAMA32, setting) - WEIGHTS32
    assert found / MIB - 32 == pytest.approx(mib, rel=0.01)


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


LONG = Setting(32768, 1)
"""9.9 GB of llama 3, of which 4.9 are its weights."""


def measured(factor: float) -> Estimator:
    """Of a server that runs so, where llama 3 takes `factor` times its estimate."""
    held = Model("llama3:8b", int(in_runner(LLAMA3, LONG) * factor), context=32768)
    return measure(OllamaFacts(None, (LLAMA3, NOMIC), (held,)), LONG, on_gpu=False)


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(1.5, 1.5), (1.02, 1.05), (0.95, 1.0), (0.87, 1.0), (0.8, 0.9), (0.6, 0.7), (0.4, 1.0)],
)
def test_what_was_measured_counts_both_ways_less_with_a_margin_and_never_below_the_weights(
    factor: float, expected: float
) -> None:
    found = measured(factor)
    assert found.need(LLAMA3, LONG) == int(in_runner(LLAMA3, LONG) * expected)
    assert found.need(NOMIC, LONG) == in_runner(NOMIC, LONG)


@pytest.mark.parametrize(
    "other", [replace(LONG, context=16384), replace(LONG, parallel=2), replace(LONG, cache="q8_0")]
)
def test_what_was_measured_smaller_counts_in_that_very_case_and_what_was_larger_in_all(other: Setting) -> None:
    """A part that the estimate lacks is lacking always; one that it counts too high may grow with the context."""
    assert measured(0.6).need(LLAMA3, other) == in_runner(LLAMA3, other)
    assert measured(1.5).need(LLAMA3, other) == int(in_runner(LLAMA3, other) * 1.5)


def test_a_measurement_is_compared_under_the_context_that_it_was_loaded_with() -> None:
    held = Model("llama3:8b", in_runner(LLAMA3, Setting(32768, 1)), context=32768)
    assert measure(OllamaFacts(None, (LLAMA3,), (held,)), Setting(4096, 1), on_gpu=False).measured == {}


def test_old_prompts_lie_in_the_hosts_memory() -> None:
    setting = Setting(4096, 1, prompt_cache=GIB)
    on_cpu, on_gpu = (measure(OllamaFacts(None), setting, on_gpu=gpu) for gpu in (False, True))
    assert on_cpu.need(LLAMA3, setting) - on_gpu.need(LLAMA3, setting) == GIB
    assert GIB < on_gpu.in_host(LLAMA3, setting) < 2 * GIB


# -- what a model's own file asks for --------------------------------------------------------------------------------
def test_a_wished_context_comes_first_then_the_models_own_then_the_setting() -> None:
    own = replace(LLAMA3, own_context=32768)
    wish = Wish(LLAMA3.name, {"num_ctx": 8192})
    setting = Setting(4096, 1)
    found = [loaded_with(setting, m, w).context for m, w in ((LLAMA3, None), (own, None), (own, wish), (LLAMA3, wish))]
    assert found == [4096, 32768, 8192, 8192]


@pytest.mark.parametrize(
    ("family", "capabilities", "version", "vram", "expected"),
    [
        ("gptoss", CHAT, (0, 12, 6), 24 * GIB, 8192), ("gptoss", CHAT, (0, 12, 6), 16 * GIB, 0),
        ("gptoss", CHAT, (0, 12, 6), 0, 0), ("gptoss", CHAT, (0, 12, 6), None, 8192),
        ("gptoss", CHAT, (0, 11, 2), 0, 8192), ("gptoss", CHAT, (0, 10, 1), 0, 0),
        ("gptoss", CHAT, (0, 15, 5), 24 * GIB, 0), ("gptoss", CHAT, None, 24 * GIB, 0),
        ("gpt-oss", CHAT, (0, 13, 5), 24 * GIB, 8192), ("llama", CHAT, (0, 12, 6), 24 * GIB, 0),
        ("qwen3vl", CHAT, (0, 13, 0), 24 * GIB, 8192), ("qwen3vl", CHAT, (0, 12, 6), 24 * GIB, 0),
        ("gemma3", (*CHAT, "vision"), (0, 12, 6), 0, 2048), ("gemma3", (*CHAT, "vision"), None, 0, 2048),
        ("gemma3", (*CHAT, "vision"), (0, 11, 4), 0, 0), ("gemma3", CHAT, (0, 12, 6), 0, 0),
    ],
)  # fmt: skip
def test_the_server_gives_some_models_more_than_was_asked(
    family: str, capabilities: tuple[str, ...], version: tuple[int, ...] | None, vram: int | None, expected: int
) -> None:
    model = replace(LLAMA3, family=family, capabilities=capabilities)
    assert least_context(model, version, vram) == expected


def test_the_least_counts_and_the_trained_context_still_bounds_it() -> None:
    raised = replace(LLAMA3, least_context=8192)
    assert [tokens(raised, Setting(c, 2)) for c in (4096, 16384)] == [2 * 8192, 2 * 16384]
    short = replace(raised, architecture=replace(LLAMA, trained_context=2048))
    assert tokens(short, Setting(4096, 1)) == 2048
    assert kv_cache(replace(GEMMA, least_context=8192), Setting(4096, 1)) == kv_cache(GEMMA, Setting(8192, 1))


@pytest.mark.parametrize(
    ("model", "exact"),
    [
        (LLAMA3, False), (QWEN_EMBEDS, True), (GEMMA, False),
        (replace(LLAMA3, architecture=replace(LLAMA, name="gemma2")), True),
        (replace(LLAMA3, architecture=replace(LLAMA, key_length=192)), True),
        (replace(LLAMA3, architecture=None), False),
    ],
)  # fmt: skip
def test_a_quantized_cache_does_not_take_hold_everywhere(model: Model, exact: bool) -> None:
    def cache(cache: str, version: tuple[int, ...]) -> int:
        return kv_cache(model, Setting(2048, 1, cache, version=version))

    assert keeps_exact(model, BEFORE) is exact and not keeps_exact(model, SERVED)
    if model.architecture:
        assert (cache("q8_0", BEFORE) == cache("f16", BEFORE)) is exact
        assert cache("q8_0", SERVED) < cache("f16", SERVED)


def test_a_model_that_reads_a_whole_text_at_once_keeps_nothing_of_it() -> None:
    for version in (BEFORE, SERVED):
        assert kv_cache(NOMIC, Setting(8192, 4, version=version)) == 0 and keeps_exact(NOMIC, version)
    # 2048 tokens at once, and no scores of words: two masks, and what stands for each token
    beside = in_runner(NOMIC, Setting(8192, 4)) - math.ceil(NOMIC.size * 1.02) - 32 * MIB
    assert beside == 4 * 2048 * (4 * 768 + 2048 * 3 // 2)


def test_the_page_cache_counts_only_where_the_server_counts_it() -> None:
    setting = Setting(4096, 1)
    plain, pages, on_gpu = Estimator({}), Estimator({}, False, True), Estimator({}, True, True)
    assert pages.need(LLAMA3, setting) - plain.need(LLAMA3, setting) == LLAMA3.size
    assert on_gpu.need(LLAMA3, setting) == Estimator({}, True).need(LLAMA3, setting)


def test_the_only_model_is_let_in_before_its_file_is_read() -> None:
    setting, pages = Setting(4096, 1), Estimator({}, False, True)
    alone = pages.alone(LLAMA3, setting)
    assert alone == Estimator({}).need(LLAMA3, setting) == pages.shown(LLAMA3, setting, alone + 1)
    assert pages.shown(LLAMA3, setting, alone + LLAMA3.size) == alone + LLAMA3.size


# -- images and vocabularies --------------------------------------------------------------------------------------
GEMMA3_4B = {
    "general.architecture": "gemma3", "general.file_type": 15, "general.parameter_count": 4299915632,
    "gemma3.attention.head_count": 8, "gemma3.attention.head_count_kv": 4, "gemma3.attention.key_length": 256,
    "gemma3.attention.sliding_window": 1024, "gemma3.attention.value_length": 256, "gemma3.block_count": 34,
    "gemma3.context_length": 131072, "gemma3.embedding_length": 2560, "gemma3.feed_forward_length": 10240,
    "gemma3.mm.tokens_per_image": 256, "gemma3.vision.attention.head_count": 16,
    "gemma3.vision.attention.layer_norm_epsilon": 1e-06, "gemma3.vision.block_count": 27,
    "gemma3.vision.embedding_length": 1152, "gemma3.vision.feed_forward_length": 4304,
    "gemma3.vision.image_size": 896, "gemma3.vision.num_channels": 3, "gemma3.vision.patch_size": 14,
    "tokenizer.ggml.tokens": None,
}  # fmt: skip
TABLE = [{"name": "token_embd.weight", "type": "Q6_K", "shape": [2560, 262144]}]


@pytest.mark.parametrize("tensors", [TABLE, None])
def test_a_real_model_that_sees_images_takes_what_its_server_said(tensors: object) -> None:
    """gemma3:4b: 3.1 GiB of weights, and 4.87 GiB in memory at 4096 tokens."""
    model = Model("gemma3:4b", 3_338_801_718, capabilities=(*CHAT, "vision"),
                  architecture=architecture_of(GEMMA3_4B, tensors))  # fmt: skip
    setting = Setting(4096, 1, version=(0, 12, 6))
    assert in_runner(model, setting) == pytest.approx(4.87 * GIB, rel=0.15)
    blind = replace(model, architecture=architecture_of({k: v for k, v in GEMMA3_4B.items() if "vision" not in k}))
    assert in_runner(blind, setting) < 0.85 * 4.87 * GIB
    assert in_runner(model, Setting(4096, 1, version=SERVED)) < in_runner(model, setting) - 800 * MIB


@pytest.mark.parametrize(
    ("name", "vision", "mib"),
    [
        ("gemma3", Vision(14, 16, 1152, 896, 3), 1033), ("mistral3", Vision(14, 16, 1024, 1540, 3), 8963),
        ("mllama", Vision(14, 16, 1280, 560, 3, tiles=4), 2853), ("qwen25vl", Vision(14, 16, 1280, channels=3), 1659),
        ("qwen25vl", Vision(14, 16, 1280, channels=3, pixels=28 * 28 * 640), 429),
        ("llama4", Vision(14, 16, 1408, 336, 3), 0),
    ],
)  # fmt: skip
def test_the_buffers_of_an_image_encoder(name: str, vision: Vision, mib: int) -> None:
    assert image_graph(name, vision) // MIB == mib


def test_a_large_vocabulary_takes_more_and_a_model_that_embeds_scores_no_words() -> None:
    def taken(vocabulary: int, capabilities: tuple[str, ...] = CHAT) -> int:
        shape = replace(LLAMA, width=4096, vocabulary=vocabulary, heads=32)
        return in_runner(replace(LLAMA3, architecture=shape, capabilities=capabilities), Setting(4096, 1))

    assert taken(262144) - taken(128256) == 4 * 512 * (262144 - 128256)
    assert taken(0) == taken(128256), "not told"
    assert taken(262144, EMBEDS) == taken(32000, EMBEDS)


# -- model_info ---------------------------------------------------------------------------------------------------
INFO = {
    "general.architecture": "llama", "llama.block_count": 32, "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": 8, "llama.embedding_length": 4096, "llama.context_length": 8192,
}  # fmt: skip


def test_lengths_follow_from_the_width_where_nothing_is_said() -> None:
    shape = architecture_of(INFO)
    assert shape == Architecture("llama", (8,) * 32, 128, 128, 8192, width=4096, heads=32)


def test_heads_may_be_told_for_each_layer() -> None:
    shape = architecture_of({**INFO, "llama.attention.head_count_kv": [8, 0, 0, 8]})
    assert shape is not None and shape.kv_heads == (8, 0, 0, 8)


def test_the_last_layers_may_share_anothers_cache_and_most_may_have_none() -> None:
    shared = architecture_of({**INFO, "llama.attention.shared_kv_layers": 12})
    each_fourth = architecture_of({**INFO, "llama.full_attention_interval": 4})
    assert shared is not None and shared.kv_heads == (8,) * 20 + (0,) * 12
    assert each_fourth is not None and each_fourth.kv_heads == (0, 0, 0, 8) * 8


def of(name: str, version: tuple[int, ...] | None = SERVED, **more: object) -> int:
    """Bytes of the cache of 65,536 tokens of such a model: 4 layers with one head, 256 numbers a token each."""
    info = {"general.architecture": name, f"{name}.block_count": 4, f"{name}.attention.head_count": 1,
            f"{name}.attention.head_count_kv": 1, f"{name}.embedding_length": 128, f"{name}.context_length": 131072,
            **{f"{name}.attention.{key}": value for key, value in more.items()}}  # fmt: skip
    return kv_cache(
        Model("m", 1, capabilities=CHAT, architecture=architecture_of(info)), Setting(65536, 1, version=version)
    )


ALL, NEAR = 65536 * 256 * 2, (4096 + 512) * 256 * 2


@pytest.mark.parametrize(
    ("name", "more", "served", "before"),
    [
        ("llama", {"sliding_window": 4096}, 4 * ALL, 4 * ALL),
        ("gemma2", {"sliding_window": 4096}, 2 * ALL + 2 * NEAR, 4 * ALL),
        ("gptoss", {"sliding_window": 4096}, 2 * ALL + 2 * NEAR, 2 * ALL + 2 * NEAR),
        ("gemma3", {"sliding_window": 4096}, 4 * NEAR, 4 * NEAR),
        ("llama4", {"chunk_size": 4096}, ALL + 3 * NEAR, 4 * ALL),
        ("gemma4", {"sliding_window": 4096, "sliding_window_pattern": [True, False, True, False]},
         2 * ALL + 2 * NEAR, 2 * ALL + 2 * NEAR),
        ("gemma4", {"sliding_window": 4096, "sliding_window_pattern": [True, False, True, False],
                    "key_length_swa": 64, "value_length_swa": 64}, 2 * ALL + NEAR, 2 * ALL + NEAR),
    ],
)  # fmt: skip
def test_a_window_counts_where_the_server_makes_its_cache_by_it(
    name: str, more: dict[str, object], served: int, before: int
) -> None:
    """In llama-server all that have one; before, Ollama's own engine for a few."""
    assert (of(name, SERVED, **more), of(name, BEFORE, **more)) == (served, before)


def test_a_layer_that_keeps_a_state_keeps_it_for_each_slot() -> None:
    """qwen3.5 27B, as llama-server said of 262,144 tokens: KV 9216 and 7168 MiB, RS 90.40 and 59.23 MiB."""
    info = {"general.architecture": "qwen35", "qwen35.block_count": 64, "qwen35.attention.head_count": 24,
            "qwen35.attention.head_count_kv": 4, "qwen35.attention.key_length": 256,
            "qwen35.attention.value_length": 256, "qwen35.embedding_length": 5120, "qwen35.context_length": 262144,
            "qwen35.full_attention_interval": 4, "qwen35.ssm.conv_kernel": 4, "qwen35.ssm.inner_size": 6144,
            "qwen35.ssm.state_size": 128, "qwen35.ssm.group_count": 16}  # fmt: skip
    model = Model("qwen3.5:27b", 16_224_000_000, capabilities=CHAT, architecture=architecture_of(info))
    one, two = (kv_cache(model, Setting(c, n)) for c, n in ((262144, 1), (131072, 2)))
    assert one / MIB == pytest.approx(9216 + 7168 + 90.40 + 59.23, abs=0.05)
    assert (two - one) / MIB == pytest.approx(90.40 + 59.23, abs=0.05)


@pytest.mark.parametrize(
    ("family", "version", "slots"),
    [
        ("llama", SERVED, 4),
        ("qwen35", SERVED, 1),
        ("qwen35", (0, 17, 0), 4),
        ("mllama", BEFORE, 1),
        ("mllama", None, 1),
    ],
)
def test_some_kinds_of_models_get_one_slot_whatever_is_set(
    family: str, version: tuple[int, ...] | None, slots: int
) -> None:
    assert tokens(replace(LLAMA3, family=family), Setting(4096, 4, version=version)) == slots * 4096


@pytest.mark.parametrize(
    "info",
    [
        None,
        {},
        {"general.architecture": "llama"},
        "text",
        {**INFO, "llama.context_length": 0},
        {**INFO, "llama.attention.head_count": [None]},
    ],
)
def test_what_lacks_a_part_is_no_shape(info: object) -> None:
    assert architecture_of(info) is None


def test_a_model_that_only_embeds_is_known_by_its_file_where_the_server_does_not_say() -> None:
    """/api/show has told what a model can since 0.6.4."""
    pooled, plain = (
        Model("m", 1, architecture=architecture_of({**INFO, **more})) for more in ({"llama.pooling_type": 0}, {})
    )
    assert pooled.embeds and not plain.embeds
    assert not replace(pooled, capabilities=CHAT).embeds and replace(plain, capabilities=EMBEDS).embeds
