"""`*` in the catalog's patterns, without regular expressions: compiling hundreds takes longer than planning."""

from __future__ import annotations

from fnmatch import fnmatchcase


def matches(text: str, pattern: str) -> bool:
    """Whether `pattern` fits the whole text; as fnmatchcase, which does the rare pattern with `?` or `[`."""
    if "?" in pattern or "[" in pattern:
        return fnmatchcase(text, pattern)
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    return _in_order(text[len(first) : len(text) - len(last)], middle)


def _in_order(text: str, parts: list[str]) -> bool:
    """Whether all parts occur one after the other; taking each as early as possible never spoils a fit."""
    place = 0
    for part in parts:
        found = text.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return True
