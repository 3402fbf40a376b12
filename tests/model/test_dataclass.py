"""nftui's quick dataclasses behave as those of the standard library."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, field, fields, replace
from typing import Any, ClassVar

import pytest

import nftui
from nftui.model import dataclass as quick

Maker = Callable[..., Callable[[type], type]]
BOTH = pytest.mark.parametrize("maker", [quick.dataclass, dataclasses.dataclass], ids=["nftui", "standard"])


def make(maker: Maker, **options: bool) -> Any:
    """A class with each form of field."""

    @maker(**options)
    class Sample:
        """Every form."""

        KIND: ClassVar[str] = "no field"
        name: str
        size: int = 3
        parts: dict[str, int] = field(default_factory=dict)
        secret: str = field(default="", repr=False)
        seen: int = field(default=0, compare=False)
        whole: str = field(init=False)
        rest: list[int] = field(init=False, default_factory=list)

        def __post_init__(self) -> None:
            object.__setattr__(self, "whole", f"{self.name} {self.size}")

    return Sample


@BOTH
@pytest.mark.parametrize("slots", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
def test_objects_behave_the_same(maker: Maker, frozen: bool, slots: bool) -> None:
    sample = make(maker, frozen=frozen, slots=slots)
    one = sample("a", parts={"b": 1}, secret="hidden", seen=5)
    assert (one.size, one.whole, one.rest, sample("b").parts) == (3, "a 3", [], {})
    assert repr(one).endswith("Sample(name='a', size=3, parts={'b': 1}, seen=5, whole='a 3', rest=[])")
    assert one == sample("a", 3, {"b": 1}, "hidden", 6) != sample("a", 3, {"b": 1}, "other")
    assert one != "a" and one != make(maker)("a", parts={"b": 1}, secret="hidden")
    assert sample("b").parts is not sample("b").parts
    with pytest.raises(ValueError, match="whole"):
        replace(one, whole="c")
    assert replace(one, size=4).whole == "a 4"
    assert hasattr(one, "__dict__") is not slots
    with pytest.raises(TypeError):
        sample()
    with pytest.raises(TypeError):
        sample("a", 1, {}, "", 0, "whole")


@BOTH
@pytest.mark.parametrize("slots", [False, True])
def test_frozen_objects_are_hashed_and_stay_as_they_are(maker: Maker, slots: bool) -> None:
    @maker(frozen=True, slots=slots)
    class Pair:
        first: int
        second: int = field(default=0, compare=False)

    assert hash(Pair(1, 2)) == hash(Pair(1, 3)) == hash((1,))  # type: ignore[call-arg]
    with pytest.raises(FrozenInstanceError, match="assign to field 'first'"):
        Pair(1).first = 2  # type: ignore[call-arg]
    with pytest.raises(FrozenInstanceError, match="delete field 'first'"):
        del Pair(1).first  # type: ignore[call-arg]


@BOTH
def test_others_are_changed_and_have_no_hash(maker: Maker) -> None:
    one = make(maker)("a")
    one.size = 9
    assert one.size == 9
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


@BOTH
def test_a_class_keeps_what_it_writes_itself(maker: Maker) -> None:
    @maker(frozen=True, slots=True)
    class Secret:
        value: str

        def __repr__(self) -> str:
            return "Secret"

    @maker(frozen=True, slots=True)
    class Child(Secret):
        more: int = 1

    assert repr(Secret("a")) == "Secret"  # type: ignore[call-arg]
    assert repr(Child("a")).endswith("Child(value='a', more=1)")  # type: ignore[call-arg]
    assert Child("a") != Secret("a")  # type: ignore[call-arg]


@BOTH
def test_an_object_that_holds_itself_can_be_shown(maker: Maker) -> None:
    one = make(maker)("a")
    one.parts["me"] = one
    assert "'me': ..." in repr(one)


def test_what_is_left_out_is_refused() -> None:
    with pytest.raises(TypeError, match="keyword-only"):
        quick.dataclass(type("Odd", (), {"__annotations__": {"a": "int"}, "a": field(kw_only=True)}))


def every_class() -> Iterator[type]:
    """All classes with fields of nftui, wherever they are defined."""
    for info in pkgutil.walk_packages(nftui.__path__, "nftui."):
        if info.name == "nftui.__main__":
            continue
        for found in vars(importlib.import_module(info.name)).values():
            if isinstance(found, type) and found.__module__ == info.name and dataclasses.is_dataclass(found):
                yield found


def test_every_class_of_nftui_takes_what_the_standard_one_would_take() -> None:
    classes = list(every_class())
    assert len(classes) > 150
    for found in classes:
        given = [f for f in fields(found) if f.init]
        compiled = quick._init(found, fields(found), frozen=False)
        parameters = list(inspect.signature(compiled).parameters.values())[1:]
        assert [p.name for p in parameters] == [f.name for f in given], found
        without = [f.default is f.default_factory is dataclasses.MISSING for f in given]
        assert [p.default is inspect.Parameter.empty for p in parameters] == without, found
