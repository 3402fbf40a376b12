"""The catalog's patterns mean what fnmatch says."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import product

from nftui.catalog.globs import matches
from nftui.catalog.loader import catalog

PATTERNS = ("", "*", "a", "a*", "*a", "*a*", "a*b", "a*b*a", "**", "*ab*ba*", "aba*aba", "?b", "[ab]*", "*/a", "a*a")


def test_as_fnmatch() -> None:
    texts = ["".join(word) for size in range(6) for word in product("ab/", repeat=size)]
    for pattern, text in product(PATTERNS, texts):
        assert matches(text, pattern) == fnmatchcase(text, pattern), (text, pattern)


def test_the_catalogs_own_patterns() -> None:
    patterns = {p for family in catalog().families for p in (*family.images, *family.names)}
    texts = [*(p.replace("*", "x/y") for p in patterns), *(p.replace("*", "") for p in patterns)]
    for pattern in patterns:
        for text in texts:
            assert matches(text, pattern) == fnmatchcase(text, pattern), (text, pattern)
