"""What the terminal can show, and the variables that Textual reads when it is imported."""

from __future__ import annotations

import codecs
import locale
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

_QUIET = {"TEXTUAL_ANIMATIONS": "none", "TEXTUAL_SMOOTH_SCROLL": "0", "TEXTUAL_FPS": "15"}
"""Fewer bytes over a slow line (style.md: 8 kB per screen instead of frames)."""


def calm_textual(environ: MutableMapping[str, str], *, ssh: bool) -> None:
    """Over SSH, set what the operator did not set; must run before textual is imported."""
    if ssh:
        for name, value in _QUIET.items():
            environ.setdefault(name, value)


def wants_ascii(environ: Mapping[str, str], encoding: str | None = None) -> bool:
    """True where glyphs must be ASCII: asked for, or the terminal shows no UTF-8.

    The locale and the Linux console are asked for themselves: Python writes UTF-8 also where they know none of it.
    """
    if environ.get("NFTUI_ASCII", "") not in ("", "0") or environ.get("TERM") == "linux":
        return True
    spoken = next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "UTF-8")
    if "utf" not in spoken.lower():
        return True
    try:
        return codecs.lookup(encoding or locale.getpreferredencoding(False)).name != "utf-8"
    except LookupError:
        return True
