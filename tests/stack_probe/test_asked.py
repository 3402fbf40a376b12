"""A reading asks each question once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from nftui.probes.asked import AskedOnce
from nftui.probes.resolve import Background, at_once
from nftui.system.processes import Completed


class Slow:
    """Counts what it is asked, and answers only when it may."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.asked: list[tuple[str, ...]] = []

    def run(self, argv: Sequence[str], **_more: Any) -> Completed:
        self.asked.append(tuple(argv))
        assert self.may.wait(20)
        return Completed(tuple(argv), 0, str(len(self.asked)), "")


def test_the_same_question_from_two_threads_is_asked_once() -> None:
    slow = Slow()
    once = AskedOnce(slow)
    calls = [Background(lambda: once.run(["compose", "config"], timeout=1)) for _ in range(3)]
    other = Background(lambda: once.run(["compose", "config"], input="{}", timeout=1))
    slow.may.set()
    assert len({id(call.result()) for call in calls}) == 1
    assert other.result() is not calls[0].result()
    assert len(slow.asked) == 2


def test_what_changes_something_is_always_run() -> None:
    slow = Slow()
    slow.may.set()
    once = AskedOnce(slow)
    for _ in range(2):
        once.run(["compose", "up"], timeout=1, changes=True)
    assert len(slow.asked) == 2


@pytest.mark.parametrize("count", [0, 1, 3, 4, 11])
def test_many_are_asked_a_few_at_a_time_and_answer_in_order(count: int) -> None:
    assert at_once(lambda n: n * 2, range(count)) == [n * 2 for n in range(count)]


def test_what_one_of_many_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        at_once(lambda n: 1 // n, [3, 2, 1, 0, 1, 2])
