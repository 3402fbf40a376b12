"""Which server reads which variable, and what it does without one. Source: the tags of ollama/ollama, envconfig."""

from __future__ import annotations

import re

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


def has_prompt_cache(version: Version | None) -> bool:
    """Whether each loaded model may keep old prompts in the host's memory (llama-server's, 8 GiB by default)."""
    return reads(version, "LLAMA_ARG_CACHE_RAM")
