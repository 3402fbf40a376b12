"""Which server reads which variable, and what it does without one. Source: the tags of ollama/ollama, envconfig."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nftui.model.ai import IMAGES_CONTEXT, LONG_CONTEXT
from nftui.model.units import GIB

if TYPE_CHECKING:
    from nftui.model.ai import Model

Version = tuple[int, ...]

SINCE: dict[str, Version] = {
    "OLLAMA_KEEP_ALIVE": (0, 1, 29),
    "OLLAMA_MAX_LOADED_MODELS": (0, 1, 33),
    "OLLAMA_NUM_PARALLEL": (0, 1, 33),
    "OLLAMA_MAX_QUEUE": (0, 1, 34),
    "OLLAMA_FLASH_ATTENTION": (0, 1, 39),
    "OLLAMA_KV_CACHE_TYPE": (0, 5, 0),
    "OLLAMA_CONTEXT_LENGTH": (0, 5, 13),
    "LLAMA_ARG_CACHE_RAM": (0, 30, 0),
}
"""First release that reads the variable; the last one from when models run in llama-server, which gets the server's
whole environment (llm/llama_server.go)."""
OLDEST: Version = (0, 1, 39)
"""The first that tells both: what is loaded (/api/ps, one release older) and in its log how long it keeps a model."""
NEWEST: Version = (0, 32, 15)
"""The newest that the table was made from."""


RUNNER_OPTIONS: dict[str, tuple[type[int], Version | None, Version | None]] = {
    "num_ctx": (int, None, None), "num_gpu": (int, None, None), "num_batch": (int, None, None),
    "num_thread": (int, None, None), "main_gpu": (int, None, None), "draft_num_predict": (int, (0, 30, 0), None),
    "use_mmap": (bool, None, None), "use_mlock": (bool, None, (0, 7, 0)), "low_vram": (bool, None, (0, 7, 0)),
    "f16_kv": (bool, None, (0, 7, 0)), "logits_all": (bool, None, (0, 7, 0)), "vocab_only": (bool, None, (0, 7, 0)),
    "numa": (bool, None, (0, 3, 4)),
}  # fmt: skip
"""What makes the server load a model again where it differs (server/sched.go, needsReload), with its type, the first
release that has it and the first that has it no more (api/types.go, Runner)."""


def has_option(version: Version | None, name: str) -> bool:
    """Whether a server of that version loads models by that option; of an unknown one any is believed."""
    _, since, until = RUNNER_OPTIONS[name]
    return version is None or ((since is None or version >= since) and (until is None or version < until))


_PARALLEL: tuple[tuple[Version, int], ...] = (((0, 10, 0), 1), ((0, 6, 7), 2), ((0, 2, 0), 4))
"""(since, slots), the newest first (server/sched.go, defaultParallel)."""


def parse_version(text: str | None) -> Version | None:
    """(0, 5, 13) of "0.5.13-rc1"; None for what is no version (a development build calls itself 0.0.0)."""
    match = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", text or "")
    if match is None:
        return None
    version = tuple(int(part or 0) for part in match.groups())
    return version if any(version) else None


def reads(version: Version | None, name: str) -> bool:
    """Whether a server of that version reads `name`; of an unknown one the newest is believed."""
    return version is None or version >= SINCE[name]


def default_context(version: Version | None, vram: int | None) -> int:
    """Tokens of context where nobody says: by version, since 0.15.5 by the sum of all VRAM (server/routes.go)."""
    if version is not None and version < (0, 6, 7):
        return 2048
    if version is not None and version < (0, 15, 5):
        return 4096
    gib = (vram or 0) / 1024**3
    return 262144 if gib >= 47 else 32768 if gib >= 23 else 4096


def default_parallel(version: Version | None) -> int:
    """Slots of a model where nobody says; some releases tried more than one and took 1 where they did not fit."""
    return next((slots for since, slots in _PARALLEL if version is None or version >= since), 1)


_LONG: dict[str, Version] = {
    "gptoss": (0, 11, 0), "gpt-oss": (0, 11, 0), "qwen3vl": (0, 13, 0), "qwen3vlmoe": (0, 13, 0),
}  # fmt: skip
"""Family to the first release that gives it more."""
_BY_VRAM, _LONG_UNTIL, _IMAGES_SINCE = (0, 11, 4), (0, 15, 5), (0, 11, 5)
_ENOUGH_VRAM = 20 * GIB


def least_context(model: Model, version: Version | None, vram: int | None) -> int:
    """Tokens to which the server raises a smaller context of that model; 0 for none (server/routes.go, sched.go)."""
    images = "vision" in model.capabilities and (version is None or version >= _IMAGES_SINCE)
    return max(LONG_CONTEXT if _is_long(model, version, vram) else 0, IMAGES_CONTEXT if images else 0)


def _is_long(model: Model, version: Version | None, vram: int | None) -> bool:
    """Some families were thought to need more: at first everywhere, then where there is memory for it."""
    if model.family not in _LONG or version is None or not _LONG[model.family] <= version < _LONG_UNTIL:
        return False
    return version < _BY_VRAM or vram is None or vram >= _ENOUGH_VRAM


_LLAMA_SERVER: Version = (0, 30, 0)
"""From here on all models run in llama.cpp's own server."""
_ONE_SLOT: dict[str, Version] = {
    "mllama": (0, 4, 0), "qwen3vl": (0, 12, 7), "qwen3vlmoe": (0, 12, 7), "qwen3next": (0, 15, 5), "lfm2": (0, 15, 5),
    "lfm2moe": (0, 15, 5), "qwen35": (0, 17, 1), "qwen35moe": (0, 17, 1), "nemotron_h": (0, 17, 1),
    "nemotron_h_moe": (0, 17, 1), "nemotron_h_omni": (0, 24, 0),
}  # fmt: skip
"""Family to the first release that gives it one slot, whatever is set (server/sched.go, load)."""
_FLASH: dict[str, Version] = {
    "gptoss": (0, 11, 8), "gpt-oss": (0, 11, 8), "qwen3": (0, 12, 4), "qwen3moe": (0, 12, 4), "gemma3": (0, 12, 6),
    "qwen3vl": (0, 12, 9), "qwen3vlmoe": (0, 12, 9), "mistral3": (0, 13, 2),
}  # fmt: skip
"""Architecture to the first release that uses flash attention for it unasked (fs/ggml, FlashAttention)."""
_FLASH_AUTO: Version = (0, 13, 4)
"""From here on it is tried for all (llm/server.go)."""
_BATCHES = ((32768, 2048), (4096, 1024), (0, 512))
"""(above so many tokens of all slots, tokens that are computed at once), largest first."""
_EMBED_BATCH = 2048
_PERIODS = {"gemma3": 6, "gemma3n": 5, "gptoss": 2, "gpt-oss": 2, "gemma4": 6}
"""Architectures with a sliding window in all layers but the last of so many."""
_MORE_PERIODS = {"gemma2": 2, "cohere2": 4, "llama4": 4, "olmo2": 4, "olmo3": 4, "exaone4": 4}
"""Those whose window takes hold in llama-server alone: elsewhere their caches are whole."""


def runs_llama_server(version: Version | None) -> bool:
    """Whether models run in llama.cpp's own server; of an unknown version the newest is believed."""
    return version is None or version >= _LLAMA_SERVER


def one_slot(model: Model, version: Version | None) -> bool:
    """Whether the server gives it one slot, however many are set: it embeds, or its kind cannot do more."""
    since = _ONE_SLOT.get(model.family)
    return model.embeds or (since is not None and (version is None or version >= since))


def uses_flash(name: str, said: bool | None, version: Version | None) -> bool:
    """Whether that architecture's attention needs no scores of all tokens; `said`: OLLAMA_FLASH_ATTENTION."""
    if said is not None or version is None or version >= _FLASH_AUTO:
        return said is not False
    return name in _FLASH and version >= _FLASH[name]


def batch_of(tokens: int, embeds: bool, version: Version | None) -> int:
    """Tokens that are computed at once (server/sched.go, generationBatchForContext; llm, DefaultEmbeddingNumBatch)."""
    if not runs_llama_server(version):
        return min(512, tokens)
    if embeds:
        return min(_EMBED_BATCH, tokens)
    return min(tokens, next(batch for above, batch in _BATCHES if tokens > above or not above))


def window_period(name: str, version: Version | None) -> int | None:
    """Of so many layers the last sees everything, the others a window; None where all see everything."""
    known = _PERIODS | _MORE_PERIODS if runs_llama_server(version) else _PERIODS
    return known.get(name)


def sees_pages(version: Version | None) -> bool:
    """Whether a server without a GPU takes its container's memory.current, which holds the page cache of the models'
    files, for memory in use, and unloads models by that (discover/cpu_linux.go, llm/server.go verifyLayout)."""
    return version is not None and (0, 13, 0) <= version < _LLAMA_SERVER


def has_prompt_cache(version: Version | None) -> bool:
    """Whether each loaded model may keep old prompts in the host's memory (llama-server's, 8 GiB by default)."""
    return reads(version, "LLAMA_ARG_CACHE_RAM")
