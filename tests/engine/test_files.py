"""`.env` merged by key, and the override's bytes."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from nftui.engine.override import merge_fragments, render_override
from nftui.model.advice import Fragment
from nftui.model.errors import UsageError
from nftui.steps.envkeys import drop_key, get_key, set_key
from nftui.steps.files import _with_keys

KEY = "COMPOSE_FILE"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, b"COMPOSE_FILE=a:b\n"),
        (b"", b"COMPOSE_FILE=a:b\n"),
        (b"X=1", b"X=1\nCOMPOSE_FILE=a:b\n"),
        (b"X=1\r\n", b"X=1\r\nCOMPOSE_FILE=a:b\r\n"),
        (b"# COMPOSE_FILE=no\nCOMPOSE_FILE = old # why\nY=2\n", b"# COMPOSE_FILE=no\nCOMPOSE_FILE = a:b\nY=2\n"),
        (b"export COMPOSE_FILE='x y'\nY=2", b"export COMPOSE_FILE=a:b\nY=2"),
        (b"COMPOSE_FILE: x\r\nY: COMPOSE_FILE=no\r\n", b"COMPOSE_FILE: a:b\r\nY: COMPOSE_FILE=no\r\n"),
        (b"\xef\xbb\xbfCOMPOSE_FILE=x\nY=2\n", b"\xef\xbb\xbfCOMPOSE_FILE=a:b\nY=2\n"),
        (b"\xef\xbb\xbf", b"\xef\xbb\xbfCOMPOSE_FILE=a:b\n"),
        (b"Y=2\n\xef\xbb\xbfCOMPOSE_FILE=x\n", b"Y=2\n\xef\xbb\xbfCOMPOSE_FILE=x\nCOMPOSE_FILE=a:b\n"),
        (b"COMPOSE_FILE=1\nCOMPOSE_FILE=2\n", b"COMPOSE_FILE=1\nCOMPOSE_FILE=a:b\n"),
    ],
)
def test_a_key_is_merged_and_nothing_else_changes(content: bytes | None, expected: bytes) -> None:
    assert set_key(content, KEY, "a:b") == expected
    assert get_key(expected, KEY) == "a:b"


@pytest.mark.parametrize(
    ("content", "left"),
    [
        (b"A=1\nCOMPOSE_FILE: a:b\nB=2\n", b"A=1\nB=2\n"),
        (b"\xef\xbb\xbfCOMPOSE_FILE=a:b\nB=2\n", b"\xef\xbb\xbfB=2\n"),
        (b"# COMPOSE_FILE: a\nB=2\n", b"# COMPOSE_FILE: a\nB=2\n"),
    ],
)
def test_a_dropped_key_takes_its_line_and_leaves_the_byte_order_mark(content: bytes, left: bytes) -> None:
    assert drop_key(content, KEY) == left


@given(st.binary(max_size=200))
def test_setting_then_dropping_a_new_key_gives_back_any_bytes(content: bytes) -> None:
    if get_key(content, "NFTUI_TEST_KEY") is None:
        changed = set_key(content, "NFTUI_TEST_KEY", "v")
        assert get_key(changed, "NFTUI_TEST_KEY") == "v"
        assert drop_key(changed, "NFTUI_TEST_KEY").rstrip(b"\r\n") == content.rstrip(b"\r\n")


scalars = st.one_of(st.text(max_size=30), st.integers(), st.booleans(), st.none(), st.floats(0.01, 1e6))


@example({".nan": ".inf", ".5": "1e5", "~": "=", "y": "0x1"})
@given(st.dictionaries(st.text(min_size=1, max_size=12), st.one_of(scalars, st.lists(scalars, max_size=4)), max_size=4))
def test_the_override_reads_back_as_what_was_asked(keys: dict[str, object]) -> None:
    content = render_override([Fragment("x", {"db": keys})], "lineage")
    if not keys:
        assert content is None
        return
    assert content is not None
    assert yaml.safe_load(content)["services"]["db"] == keys


def test_two_owners_of_one_key_are_an_error_unless_they_agree() -> None:
    one, same = Fragment("a", {"db": {"shm_size": "1g"}}), Fragment("b", {"db": {"shm_size": "1g"}})
    assert merge_fragments([one, same]) == {"db": {"shm_size": "1g"}}
    with pytest.raises(UsageError, match=r"db\.shm_size"):
        merge_fragments([one, Fragment("b", {"db": {"shm_size": "2g"}})])


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"), ("A='b c'", "b c"), ('A="b" # why', "b"), ("A=b # why", "b"), ("A=b#c", "b#c"), ("A=\"b", '"b'),
        ("A=", ""), ("export A: b", "b"), ("B=b", None), ("# A=b", None),
    ],
)  # fmt: skip
def test_a_value_is_read_without_its_quotes_and_what_is_said_of_it(line: str, value: str | None) -> None:
    assert get_key(line.encode(), "A") == value


def test_keys_are_set_and_dropped_together() -> None:
    assert _with_keys(b"A=1\nB=2\nC=3\n", {"A": None, "B": "4", "D": None}) == b"B=4\nC=3\n"
    assert _with_keys(None, {"A": "1"}) == b"A=1\n"
