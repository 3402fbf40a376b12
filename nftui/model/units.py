"""Units, read and written in one place: sizes in bytes (steps of 1024, as PostgreSQL and Docker), seconds."""

from __future__ import annotations

import re

from nftui.model.patterns import regex

KIB, MIB, GIB, TIB = 1024, 1024**2, 1024**3, 1024**4

_FACTORS = {
    "": 1, "b": 1,
    "k": KIB, "kb": KIB, "kib": KIB,
    "m": MIB, "mb": MIB, "mib": MIB,
    "g": GIB, "gb": GIB, "gib": GIB,
    "t": TIB, "tb": TIB, "tib": TIB,
}  # fmt: skip
_SIZE = regex(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


def parse_size(text: str) -> int | None:
    """Bytes of "512MB", "2GiB", "64m" or "1024"; None where it is no size. MB and MiB are both 1024²."""
    match = _SIZE.fullmatch(text)
    factor = _FACTORS.get(match[2].lower()) if match else None
    return None if match is None or factor is None else int(float(match[1]) * factor)


def format_size(number: int) -> str:
    """The form PostgreSQL prints: the largest of kB, MB, GB, TB that divides it ("1536MB", "8kB", "100B")."""
    for factor, name in ((TIB, "TB"), (GIB, "GB"), (MIB, "MB"), (KIB, "kB")):
        if number and number % factor == 0:
            return f"{number // factor}{name}"
    return f"{number}B" if number else "0"


def rounded_size(number: float) -> str:
    """PostgreSQL's units, rounded to be read: "64kB", "16TB"; for bounds that no unit divides."""
    for factor, name in ((TIB, "TB"), (GIB, "GB"), (MIB, "MB"), (KIB, "kB")):
        if number >= factor:
            return f"{number / factor:.4g}{name}"
    return f"{number:.0f}B"


def human_size(number: int | float | None) -> str:
    """The form people say: "1.5 GiB", "312 KiB"; "unknown" for None."""
    if number is None:
        return "unknown"
    for factor, name in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if abs(number) >= factor:
            return f"{number / factor:.1f}".removesuffix(".0") + f" {name}"
    return f"{int(number)} B"


def compose_size(number: int) -> str:
    """The form Compose takes, without loss: "256m", "1536k", "100b"."""
    for factor, name in ((GIB, "g"), (MIB, "m"), (KIB, "k")):
        if number and number % factor == 0:
            return f"{number // factor}{name}"
    return f"{number}b"


_DURATION = regex(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float | None:
    """Seconds of a Compose duration ("1m30s", "90s"); a bare number is seconds; None where it is none."""
    text = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = _DURATION.findall(text)
    if not parts or "".join(a + b for a, b in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def human_days(low: float, high: float) -> str:
    """ "1 day", "2–3 days", "0.5 days"."""
    if low == high:
        return f"{low:g} day" + ("" if low == 1 else "s")
    return f"{low:g}–{high:g} days"


def human_seconds(seconds: float) -> str:
    """ "40 s", "4 min", "2 h"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
