"""How much memory a loaded model takes, from its metadata (AI reference 1.4). Bytes throughout."""

from __future__ import annotations

import math
from dataclasses import replace

from nftui.model.ai import Architecture, Model, OllamaFacts, Vision
from nftui.model.dataclass import dataclass
from nftui.model.units import GIB, MIB

ELEMENT = {"f16": 2.0, "q8_0": 1.0625, "q4_0": 0.5625}
"""Bytes of one number of the key and value cache: quantized ones carry a scale for each 32."""
PROMPT_CACHE_DEFAULT = 8192 * MIB
"""llama-server keeps old prompts in the host's memory, for each loaded model, up to this."""
_RUNNER = int(0.3 * GIB)
_FLOAT = 4
_BATCH = 512
_LARGE, _LARGER = 4096, 32768
"""Tokens of all slots above which the server works in larger batches (server/sched.go)."""
_SURCHARGE, _MORE_SURCHARGE = 768 * MIB, 2 * GIB
_WEIGHTS = 1.02
_UNKNOWN_KV = 0.12
"""Share of the weights that the cache of 4096 tokens takes where the shape is unknown (0.11 in an 8B model, 4 bits)."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the server is told for all of its models."""

    context: int
    """Tokens a slot."""
    parallel: int
    """Slots a model."""
    cache: str = "f16"
    prompt_cache: int = 0
    """Bytes in the host's memory for each loaded model; 0 where the server has none."""


def context(model: Model, setting: Setting) -> int:
    """Tokens of a slot: cut to what the model was trained for, and no less than the server itself gives it."""
    wanted = max(setting.context, model.least_context)
    return min(wanted, model.architecture.trained_context) if model.architecture else wanted


def tokens(model: Model, setting: Setting) -> int:
    """Tokens of all slots; a model that embeds has one."""
    return context(model, setting) * (1 if model.embeds else setting.parallel)


def keeps_exact(model: Model) -> bool:
    """Whether the server silently keeps an exact cache for it (fs/ggml, SupportsFlashAttention)."""
    shape = model.architecture
    unequal = shape is not None and shape.key_length != shape.value_length
    return model.embeds or unequal or (shape is not None and shape.name in _EXACT)


_EXACT = ("gemma2", "grok")


def kv_cache(model: Model, setting: Setting) -> int:
    """The key and value cache of all slots."""
    total, shape = tokens(model, setting), model.architecture
    if shape is None:
        return int(model.size * _UNKNOWN_KV * total / 4096)
    number = ELEMENT["f16" if keeps_exact(model) else setting.cache] * (shape.key_length + shape.value_length)
    slots = max(1, total // context(model, setting))
    return int(sum(_seen(shape, i, total, slots) * heads * number for i, heads in enumerate(shape.kv_heads)))


def _seen(shape: Architecture, layer: int, total: int, slots: int) -> int:
    """Tokens that a layer keeps: a sliding window and a batch in most layers of some models."""
    if shape.window is None or _is_global(shape.name, layer):
        return total
    return min(total, shape.window * slots + _BATCH)


def _is_global(name: str, layer: int) -> bool:
    """gemma3: each sixth layer sees everything; gpt-oss: each second one."""
    return layer % 6 == 5 if name.startswith("gemma3") else layer % 2 == 1


def in_runner(model: Model, setting: Setting) -> int:
    """Weights, cache and compute buffers: on the GPU where there is one."""
    total = tokens(model, setting)
    surcharge = _MORE_SURCHARGE if total > _LARGER else _SURCHARGE if total > _LARGE else 0
    fixed = math.ceil(model.size * _WEIGHTS) + _buffers(model)
    return fixed + kv_cache(model, setting) + (0 if model.embeds else surcharge)


def _buffers(model: Model) -> int:
    """What computing a batch takes: at least the scores of a whole vocabulary, and beside it an image's encoder."""
    shape = model.architecture
    if shape is None or model.embeds:
        return _RUNNER
    scores = _FLOAT * _BATCH * (shape.width + shape.vocabulary)
    return max(_RUNNER, scores) + (image_graph(shape.name, shape.vision) if shape.vision else 0)


def image_graph(name: str, vision: Vision) -> int:
    """Buffers of an image encoder, as the server counts them (fs/ggml, VisionGraphSize)."""
    patches, pixels = (vision.image // vision.patch) ** 2, vision.image**2
    if name in ("gemma3", "mistral3"):
        return _FLOAT * (pixels * vision.channels + vision.width * vision.patch + patches**2 * vision.heads)
    if name == "mllama":
        patches += 1  # one more stands for the image's class
        padded = patches + 8 - patches % 8
        each = pixels * vision.channels + vision.width * (patches + 9 * padded)
        return _FLOAT * (8 + each * vision.tiles + (padded * vision.tiles) ** 2 * vision.heads)
    if name == "qwen25vl":
        pixels = vision.pixels or _QWEN_PIXELS
        patches = pixels // vision.patch**2
        images = 2 * pixels * vision.channels + patches * vision.channels * vision.patch**2
        return _FLOAT * (images + patches**2 * vision.heads + vision.width * patches)
    return 0


_QWEN_PIXELS = 28 * 28 * 1280


@dataclass(frozen=True, slots=True)
class Estimator:
    """Estimates of one server's models, raised where a loaded one was seen to take more.

    A smaller measurement changes nothing: caches fill with use, and advice must not depend on the hour.
    """

    measured: dict[str, float]
    """Model's file to how many times its estimate it took."""
    on_gpu: bool = False
    counts_pages: bool = False
    """The server takes what the kernel caches of a model's file for memory in use."""

    def need(self, model: Model, setting: Setting) -> int:
        """Bytes of the memory that limits it: VRAM where there is a GPU, else the host's, old prompts included."""
        pages = model.size if self.counts_pages and not self.on_gpu else 0
        return self.alone(model, setting) + pages

    def alone(self, model: Model, setting: Setting) -> int:
        """The same of the only model: its own file is read once it was let in."""
        size = int(in_runner(model, setting) * self.measured.get(model.file, 1.0))
        return size if self.on_gpu else size + setting.prompt_cache

    def shown(self, model: Model, setting: Setting, room: int) -> int:
        """`need`; where that leaves room for no other anyway, what it takes alone."""
        need = self.need(model, setting)
        return need if need <= room else self.alone(model, setting)

    def in_host(self, model: Model, setting: Setting) -> int:
        """Bytes of the host's memory."""
        return setting.prompt_cache + _RUNNER if self.on_gpu else self.need(model, setting)


def measure(facts: OllamaFacts, running: Setting, on_gpu: bool, counts_pages: bool = False) -> Estimator:
    """Compare what is loaded now with its estimate, under the setting that the server runs with."""
    found: dict[str, float] = {}
    for model in facts.stored:
        held = facts.held(model.name)
        if held is None or not held.size:
            continue
        setting = replace(running, context=held.context or model.own_context or running.context)
        ratio = held.size / max(1, in_runner(model, setting))
        if ratio > 1.0:
            # In steps of a twentieth: a few bytes more at the next look must not be another plan.
            found[model.file] = math.ceil(ratio * 20) / 20
    return Estimator(found, on_gpu, counts_pages)
