"""Patterns that are compiled with their first use."""

from __future__ import annotations

import re

import pytest

from nftui.model.patterns import regex


def test_nothing_is_compiled_before_it_is_used() -> None:
    broken = regex("(")
    with pytest.raises(re.error):
        broken.search("anything")


def test_it_answers_as_the_compiled_one() -> None:
    found = regex(r"(?P<name>[a-z]+)=(\d+)", re.IGNORECASE)
    compiled = re.compile(r"(?P<name>[a-z]+)=(\d+)", re.IGNORECASE)
    match = found.search("x DB=12")
    assert match is not None
    assert (match["name"], match[2]) == ("DB", "12")
    assert found.sub("", "a=1, b=2") == compiled.sub("", "a=1, b=2") == ", "
    assert (found.pattern, found.flags, found.groups) == (compiled.pattern, compiled.flags, compiled.groups)
    assert regex(rb"\d+").findall(b"1 22") == [b"1", b"22"]


def test_only_its_first_use_goes_through_the_stand_in() -> None:
    found = regex("a")
    assert vars(found)["_given"] == ("a", 0)
    found.match("a")
    assert "match" in vars(found)
