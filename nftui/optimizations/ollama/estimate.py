"""How much memory a loaded model takes, from its metadata (AI reference 1.4). Bytes throughout."""

from __future__ import annotations

import math
from dataclasses import replace

from nftui.model.ai import Architecture, Model
from nftui.model.dataclass import dataclass
from nftui.model.units import GIB, MIB

ELEMENT = {"f16": 2.0, "q8_0": 1.0625, "q4_0": 0.5625}
"""Bytes of one number of the key and value cache: quantized ones carry a scale for each 32."""
PROMPT_CACHE_DEFAULT = 8192 * MIB
"""llama-server keeps old prompts in the host's memory, for each loaded model, up to this."""
_RUNNER = int(0.3 * GIB)
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


def tokens(model: Model, setting: Setting) -> int:
    """Tokens of all slots: the context is cut to what the model was trained for; one that embeds has one slot."""
    trained = model.architecture.trained_context if model.architecture else setting.context
    return min(setting.context, trained) * (1 if model.embeds else setting.parallel)


def kv_cache(model: Model, setting: Setting) -> int:
    """The key and value cache of all slots."""
    total, shape = tokens(model, setting), model.architecture
    if shape is None:
        return int(model.size * _UNKNOWN_KV * total / 4096)
    number = ELEMENT[setting.cache] * (shape.key_length + shape.value_length)
    slots = max(1, total // min(setting.context, shape.trained_context))
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
    return math.ceil(model.size * _WEIGHTS) + kv_cache(model, setting) + _RUNNER + (0 if model.embeds else surcharge)


@dataclass(frozen=True, slots=True)
class Estimator:
    """Estimates of one server's models, raised where a loaded one was seen to take more.

    A smaller measurement changes nothing: caches fill with use, and advice must not depend on the hour.
    """

    measured: dict[str, float]
    """Model to how many times its estimate it took."""
    on_gpu: bool = False

    def need(self, model: Model, setting: Setting) -> int:
        """Bytes of the memory that limits it: VRAM where there is a GPU, else the host's, old prompts included."""
        size = int(in_runner(model, setting) * self.measured.get(model.name, 1.0))
        return size if self.on_gpu else size + setting.prompt_cache

    def in_host(self, model: Model, setting: Setting) -> int:
        """Bytes of the host's memory."""
        return setting.prompt_cache + _RUNNER if self.on_gpu else self.need(model, setting)


def measure(stored: tuple[Model, ...], loaded: tuple[Model, ...], running: Setting, on_gpu: bool) -> Estimator:
    """Compare what is loaded now with its estimate, under the setting that the server runs with."""
    by_name = {m.name: m for m in stored}
    found: dict[str, float] = {}
    for held in loaded:
        model = by_name.get(held.name)
        if model is None or not held.size:
            continue
        setting = replace(running, context=held.context or running.context)
        ratio = held.size / max(1, in_runner(model, setting))
        if ratio > 1.0:
            # In steps of a twentieth: a few bytes more at the next look must not be another plan.
            found[held.name] = math.ceil(ratio * 20) / 20
    return Estimator(found, on_gpu)
