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


def sees_pages(version: Version | None) -> bool:
    """Whether a server without a GPU takes its container's memory.current, which holds the page cache of the models'
    files, for memory in use, and unloads models by that (discover/cpu_linux.go, llm/server.go verifyLayout)."""
    return version is not None and (0, 13, 0) <= version < (0, 30, 0)


def has_prompt_cache(version: Version | None) -> bool:
    """Whether each loaded model may keep old prompts in the host's memory (llama-server's, 8 GiB by default)."""
    return reads(version, "LLAMA_ARG_CACHE_RAM")
