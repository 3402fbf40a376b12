"""How much memory a loaded model takes, from its metadata (AI reference 1.4). Bytes throughout."""

from __future__ import annotations

import math
from dataclasses import field, replace

from nftui.model.ai import Architecture, Model, OllamaFacts, Vision
from nftui.model.dataclass import dataclass
from nftui.model.units import GIB, MIB
from nftui.optimizations.ollama.versions import (
    Version,
    batch_of,
    one_slot,
    runs_llama_server,
    uses_flash,
    window_period,
)

ELEMENT = {"f16": 2.0, "q8_0": 1.0625, "q4_0": 0.5625}
"""Bytes of one number of the key and value cache: quantized ones carry a scale for each 32."""
PROMPT_CACHE_DEFAULT = 8192 * MIB
"""llama-server keeps old prompts in the host's memory, for each loaded model, up to this."""
_RUNNER = int(0.3 * GIB)
"""In the host's memory, of a model that runs on a GPU."""
_PROCESS = 32 * MIB
"""What the process of a model holds beside its buffers."""
_FLOAT = 4
_BATCH = 512
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
    flash: bool | None = None
    """OLLAMA_FLASH_ATTENTION; None where nobody says."""
    version: Version | None = None
    """Of the server; None counts as the newest."""


def context(model: Model, setting: Setting) -> int:
    """Tokens of a slot: cut to what the model was trained for, and no less than the server itself gives it."""
    wanted = max(setting.context, model.least_context)
    return min(wanted, model.architecture.trained_context) if model.architecture else wanted


def tokens(model: Model, setting: Setting) -> int:
    """Tokens of all slots; some models have one slot, whatever is set."""
    return context(model, setting) * _slots(model, setting)


def _slots(model: Model, setting: Setting) -> int:
    return 1 if one_slot(model, setting.version) else setting.parallel


def keeps_exact(model: Model, version: Version | None = None) -> bool:
    """Whether the server silently keeps an exact cache for it (fs/ggml, SupportsFlashAttention); the newest does not.

    A model that has no cache at all has no other either.
    """
    shape = model.architecture
    if shape is not None and _encodes(shape):
        return True
    if runs_llama_server(version):
        return False
    unequal = shape is not None and shape.key_length != shape.value_length
    return model.embeds or unequal or (shape is not None and shape.name in _EXACT)


_EXACT = ("gemma2", "grok")
_ENCODERS = ("bert", "gemma-embedding", "t5encoder")


def _encodes(shape: Architecture) -> bool:
    """Whether it reads a whole text at once, and so keeps nothing of it (llama.cpp, create_memory)."""
    return any(name in shape.name for name in _ENCODERS)


def kv_cache(model: Model, setting: Setting) -> int:
    """The key and value cache of all slots, and the states of layers that have none."""
    total, shape = tokens(model, setting), model.architecture
    if shape is None:
        return int(model.size * _UNKNOWN_KV * total / 4096)
    if _encodes(shape):
        return 0
    number, slots = ELEMENT["f16" if keeps_exact(model, setting.version) else setting.cache], _slots(model, setting)
    period = window_period(shape.name, setting.version)
    each = (
        _of_layer(shape, _is_near(shape, layer, period), heads, total, slots) * number
        if heads else shape.state * slots
        for layer, heads in enumerate(shape.kv_heads)
    )  # fmt: skip
    return int(sum(each))


def _of_layer(shape: Architecture, near: bool, heads: int, total: int, slots: int) -> int:
    """Numbers that a layer keeps: a window and a batch of tokens, or all of them."""
    whole = shape.key_length + shape.value_length
    if not near or shape.window is None:
        return total * heads * whole
    return min(total, shape.window * slots + _BATCH) * heads * (shape.near_length or whole)


def _is_near(shape: Architecture, layer: int, period: int | None) -> bool:
    """Whether a layer looks back by its window only: as its file says, else as its architecture does."""
    if period is None:
        return False
    return shape.near[layer] if layer < len(shape.near) else layer % period != period - 1


def in_runner(model: Model, setting: Setting) -> int:
    """Weights, cache and compute buffers: on the GPU where there is one."""
    return math.ceil(model.size * _WEIGHTS) + kv_cache(model, setting) + _PROCESS + _buffers(model, setting)


def _buffers(model: Model, setting: Setting) -> int:
    """What computing a batch takes: the scores of a whole vocabulary, or what attention needs; an image's encoder.

    llama.cpp's own graph, which its server tells as "compute buffer size": with flash attention attention needs two
    masks of the batch by all tokens, one of them half as exact, else the scores of each head (fs/ggml, GraphSize).
    """
    total, shape = tokens(model, setting), model.architecture
    if shape is None:
        return _RUNNER
    batch = batch_of(total, model.embeds, setting.version)
    flash = _flash(model, setting)
    words = 0 if model.embeds else shape.width + (shape.vocabulary or _VOCABULARY)
    seen = batch if _encodes(shape) else total
    attending = 4 * shape.width + (seen * 3 // 2 if flash else seen * (1 + shape.heads))
    image = image_graph(shape.name, shape.vision, flash and runs_llama_server(setting.version)) if shape.vision else 0
    return _FLOAT * batch * max(words, attending) + image


def _flash(model: Model, setting: Setting) -> bool:
    """Older servers leave it off wherever they keep an exact cache, also where it is set."""
    able = runs_llama_server(setting.version) or not keeps_exact(model, setting.version)
    return able and model.architecture is not None and uses_flash(
        model.architecture.name, setting.flash, setting.version
    )  # fmt: skip


_VOCABULARY = 128_256
"""Where it is not told: llama 3's."""


def image_graph(name: str, vision: Vision, flash: bool = False) -> int:
    """Buffers of an image encoder, as the server counts them (fs/ggml, VisionGraphSize).

    `flash`: it needs no scores of each patch for each other.
    """
    patches, pixels = (vision.image // vision.patch) ** 2, vision.image**2
    if flash:
        pixels = pixels or vision.pixels or _QWEN_PIXELS
        return _FLOAT * (pixels * (vision.channels or 3) + 8 * vision.width * (pixels // vision.patch**2))
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


Case = tuple[str, int, int, str]
"""A model's file, tokens of a slot, slots, and how exact the cache is."""
_MARGIN = 1.1
"""What was seen is believed with so much more: a server's count leaves out what its libraries take."""


def _case(model: Model, setting: Setting) -> Case:
    return (model.file, context(model, setting), _slots(model, setting), setting.cache)


@dataclass(frozen=True, slots=True)
class Estimator:
    """Estimates of one server's models, corrected where a loaded one was seen to take more, or far less."""

    measured: dict[str, float]
    """Model's file to how many times its estimate it took, where that is more: what was forgotten is so always."""
    on_gpu: bool = False
    counts_pages: bool = False
    """The server takes what the kernel caches of a model's file for memory in use."""
    smaller: dict[Case, float] = field(default_factory=dict)
    """The same where it is far less: of that very case alone, for which part was counted too high is not known. Only
    an operator's list is let in by it (Adviser): advice must not follow what nftui itself has loaded."""

    def need(self, model: Model, setting: Setting) -> int:
        """Bytes of the memory that limits it: VRAM where there is a GPU, else the host's, old prompts included."""
        pages = model.size if self.counts_pages and not self.on_gpu else 0
        return self.alone(model, setting) + pages

    def alone(self, model: Model, setting: Setting) -> int:
        """The same of the only model: its own file is read once it was let in."""
        factor = self.measured.get(model.file) or self.smaller.get(_case(model, setting), 1.0)
        size = int(in_runner(model, setting) * factor)
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
    smaller: dict[Case, float] = {}
    for model in facts.stored:
        held = facts.held(model.name)
        if held is None or held.size <= model.size:
            continue  # its weights alone are more: it is being loaded, or its server does not count them
        setting = replace(running, context=held.context or model.own_context or running.context)
        ratio = held.size / max(1, in_runner(model, setting))
        # In steps of a twentieth: a few bytes more at the next look must not be another plan.
        less = math.ceil(ratio * _MARGIN * 20) / 20
        if ratio > 1.0:
            found[model.file] = math.ceil(ratio * 20) / 20
        elif less < 1.0:
            smaller[_case(model, setting)] = less
    return Estimator(found, on_gpu, counts_pages, smaller)
