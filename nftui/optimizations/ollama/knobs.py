"""The knobs of the Ollama optimization; those that are variables of the server bear its names in lower case."""

from __future__ import annotations

from nftui.model.knobs import Kind, Knob
from nftui.model.message import msg
from nftui.model.units import GIB, MIB

ID = "ollama"
ENVCONFIG = "ollama envconfig/config.go (AI reference 1.1)"
SCHEDULER = "ollama server/sched.go (AI reference 1.3)"
ESTIMATE = "AI reference 1.4"
PRELOAD = "AI reference 1.6"


def _part(name: str, label: str, why: str) -> Knob:
    return Knob(
        f"tune_{name}", Kind.BOOLEAN, msg(label), msg(why), "design: each part can be switched off",
        unit="switch", per_service=False, main=False,
    )  # fmt: skip


def _count(name: str, why: str, unit: str, low: int, high: int, source: str = ENVCONFIG, main: bool = True) -> Knob:
    return Knob(name, Kind.INTEGER, msg(name), msg(why), source, unit=unit, minimum=low, maximum=high, main=main)


KNOBS: tuple[Knob, ...] = (
    Knob("models", Kind.TEXT, msg("models"), msg(
        "Models that are kept in memory, the most important first: \"llama3:8b, nomic-embed-text\", with the options "
        "that your apps send where they send any (\"llama3:8b num_ctx=8192 use_mmap=false\"), or none."), SCHEDULER,
        unit="list"),
    Knob("keep_alive", Kind.TEXT, msg("keep_alive"), msg(
        "How long a model stays in memory after its last request: 24h, 30m, seconds, or -1 for ever. Requests that "
        "bring their own keep_alive beat it."), ENVCONFIG, unit="duration"),
    _count("max_loaded_models", "Models in memory at once. What a server without a GPU makes of free memory depends on "
           "its version: this count is what keeps it from loading more than fits.", "models", 1, 64, SCHEDULER),
    Knob("flash_attention", Kind.BOOLEAN, msg("flash_attention"), msg(
        "Less memory for long contexts on GPUs that can; a quantized cache needs it."), ENVCONFIG, unit="switch"),
    _count("num_parallel", "Requests that one model answers at once; each has a context of its own in memory.",
           "requests", 1, 64, ESTIMATE),
    _count("context_length", "Tokens of context where a request does not say; memory grows with it.",
           "tokens", 512, 1048576, ESTIMATE),
    Knob("kv_cache_type", Kind.ENUM, msg("kv_cache_type"), msg(
        "How exact the cache of the context is: q8_0 halves its memory; it needs flash attention."), ESTIMATE,
        unit="choice", choices=("f16", "q8_0", "q4_0")),
    _count("max_queue", "Requests that may wait before the server answers 503.", "requests", 1, 100000, main=False),
    Knob("prompt_cache", Kind.SIZE, msg("prompt_cache"), msg(
        "Host memory in which each loaded model keeps old prompts, from version 0.30 on; 8 GiB where nobody says."),
        "llama.cpp server, --cache-ram (AI reference 1.1)", unit="bytes", minimum=0, maximum=1024 * GIB, main=False),
    Knob("preload", Kind.ENUM, msg("preload"), msg(
        "When the models are loaded ahead: always, when this is applied and after each restart of the server, by a "
            "small service of nftui's beside it; once, when this is applied; or off, by the first request."),
        PRELOAD, unit="choice", choices=("always", "once", "off")),
    Knob("eviction", Kind.ENUM, msg("eviction"), msg(
        "Which model leaves memory when another is asked for: by the server's own order, which is not by use; or lru, "
        "the one used least recently, by a small service of nftui's that keeps one place free."),
        SCHEDULER, unit="choice", choices=("server", "lru")),
    Knob("unload_after", Kind.SECONDS, msg("unload_after"), msg(
        "With eviction=lru: for how long nobody has used a model before it goes to free a place."),
        SCHEDULER, unit="seconds", minimum=5, maximum=86400, main=False),
    Knob("models_memory", Kind.SIZE, msg("models_memory"), msg(
        "What all models in memory may take together, where a service of nftui's watches over them."),
        ESTIMATE, unit="bytes", minimum=64 * MIB, maximum=16384 * GIB, main=False),
    _part("memory", "What fits", "Parallel requests, context, cache and the number of models are chosen by nftui."),
    _part("hot", "Hot models", "Which models stay in memory, how long, and loading them ahead are chosen by nftui."),
    _part("health", "Health and queue", "A healthcheck that works in this image, and the length of the queue."),
)  # fmt: skip

BY_NAME = {knob.name: knob for knob in KNOBS}

PARTS: dict[str, tuple[str, ...]] = {
    "tune_memory": (
        "max_loaded_models", "flash_attention", "num_parallel", "context_length", "kv_cache_type", "prompt_cache",
    ),
    "tune_hot": ("models", "keep_alive", "preload", "eviction", "unload_after", "models_memory"),
    "tune_health": ("max_queue", "healthcheck"),
}  # fmt: skip
PART_DAYS = {"tune_memory": (1.0, 1.5), "tune_hot": (0.75, 1.0), "tune_health": (0.25, 0.5)}
"""Person-days, low and high; together the optimization's two to three."""

VARIABLES = {
    "keep_alive": "OLLAMA_KEEP_ALIVE",
    "max_loaded_models": "OLLAMA_MAX_LOADED_MODELS",
    "flash_attention": "OLLAMA_FLASH_ATTENTION",
    "num_parallel": "OLLAMA_NUM_PARALLEL",
    "context_length": "OLLAMA_CONTEXT_LENGTH",
    "kv_cache_type": "OLLAMA_KV_CACHE_TYPE",
    "max_queue": "OLLAMA_MAX_QUEUE",
    "prompt_cache": "LLAMA_ARG_CACHE_RAM",
}
"""Knob to the variable that carries it."""
