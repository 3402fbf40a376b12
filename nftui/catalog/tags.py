"""Tags that name no version: what runs tomorrow by them is not what runs today."""

from __future__ import annotations

import re

from nftui.model.patterns import regex

_MOVING = regex(
    r"latest|stable|main|master|edge|nightly|dev|develop|development|beta|alpha|rolling|next|lts|current|release|canary|"
    r"unstable|testing|prod|production|snapshot|head|trunk|preview|experimental|mainline|community|rocm|cuda|gpu|cpu|"
    r"ollama|all|aio|management|fpm|apache|oss|ee|ce|full|server|light|lite|minimal|standalone|vulkan|musa|intel|"
    r"cli|dind|nginx|staging|backend|frontend|web|api|worker|innovation|rc|tip|default|base|public|branch|standard|"
    r"openvino|armnn|rknn|rk|tensorrt|unprivileged"
)
"""Words of a tag that name no version."""
_VARIANT = regex(
    r"(alpine|slim|ubi|ubuntu|debian|bookworm|bullseye|buster|trixie|jammy|noble|focal|scratch|distroless|linux|amd64|"
    r"arm64|arm64v8|armv7|x86|windows|cuda|rocm|py|python|jdk|jre|php|node)[\d.]*"
)
_HASH = regex(r"(sha-?)?[0-9a-f]{7,64}")


def is_floating(tag: str | None) -> bool:
    """Whether the tag moves from version to version; no tag is `latest`."""
    if tag is None:
        return True
    parts = [p for p in re.split(r"[-_+]", tag.lower()) if p]
    if any(_HASH.fullmatch(p) and re.search(r"\d", p) for p in parts) or _HASH.fullmatch(tag):
        return False
    named = [p for p in parts if not _VARIANT.fullmatch(p)]
    if any(re.search(r"\d", p) for p in named):
        return False
    return all(_MOVING.fullmatch(p) for p in named) or any(p in ("latest", "nightly", "edge") for p in named)
