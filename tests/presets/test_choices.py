"""The options of plan become choices: what is on, what is left alone, what contradicts itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from nftui.model.choices import Choices, Selection
from nftui.model.errors import UsageError
from nftui.presets import build_choices, parse_set, parse_sets
from tests.cli.fakes import registry

PRESET = """schema: nftui/preset/1
name: p
description: d
optimizations:
  alpha: {buffers: 25%, mode: fast}
"""


@pytest.fixture
def preset(tmp_path: Path) -> str:
    """A preset that names alpha only."""
    path = tmp_path / "p.yaml"
    path.write_text(PRESET)
    return str(path)


def selected(choices: Choices) -> tuple[str, str]:
    """Of alpha and beta."""
    return str(choices.selection("alpha")), str(choices.selection("beta"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("on", "on")),
        ({"only": ["alpha"]}, ("on", "untouched")),
        ({"skip": ["alpha"]}, ("untouched", "on")),
        ({"off": ["alpha"]}, ("off", "on")),
        ({"only": ["alpha"], "off": ["alpha"]}, ("off", "untouched")),
        ({"only": ["alpha", "beta"], "off": ["beta"]}, ("on", "off")),
        ({"skip": ["beta"], "sets": ["alpha.cost=2"]}, ("on", "untouched")),
    ],
)
def test_without_a_preset(options: dict[str, list[str]], expected: tuple[str, str]) -> None:
    choices, warnings = build_choices(registry(), **options)  # type: ignore[arg-type]
    assert (selected(choices), warnings) == (expected, ())


@pytest.mark.parametrize(
    ("options", "expected", "values"),
    [
        ({}, ("on", "untouched"), 2),
        ({"off": ["alpha"]}, ("off", "untouched"), 0),
        ({"skip": ["alpha"]}, ("untouched", "untouched"), 0),
        ({"only": ["alpha"]}, ("on", "untouched"), 2),
        ({"sets": ["beta.route.app=direct"]}, ("on", "on"), 3),
        ({"sets": ["alpha.mode=safe"]}, ("on", "untouched"), 2),
        ({"sets": ["alpha.mode=auto"]}, ("on", "untouched"), 1),
    ],
)
def test_with_a_preset(preset: str, options: dict[str, list[str]], expected: tuple[str, str], values: int) -> None:
    choices, _warnings = build_choices(registry(), preset=preset, **options)
    assert (selected(choices), len(choices.values)) == (expected, values)


def test_only_what_the_preset_does_not_name_is_a_warning(preset: str) -> None:
    choices, warnings = build_choices(registry(), preset=preset, only=["beta"])
    assert selected(choices) == ("untouched", "untouched")
    assert "says nothing of beta" in str(warnings[0])


@pytest.mark.parametrize(
    "options",
    [
        {"only": ["alpha"], "skip": ["alpha"]}, {"off": ["alpha"], "skip": ["alpha"]},
        {"skip": ["alpha"], "sets": ["alpha.cost=1"]}, {"off": ["alpha"], "sets": ["alpha.cost=1"]},
        {"only": ["beta"], "sets": ["alpha.cost=1"]}, {"only": ["beta"], "off": ["alpha"]},
    ],
)  # fmt: skip
def test_contradictions_are_refused(options: dict[str, list[str]]) -> None:
    with pytest.raises(UsageError, match="alpha"):
        build_choices(registry(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alpha.buffers=64MB", ("alpha", None, "buffers", "64MB")),
        ("alpha.buffers=0.0625GB", ("alpha", None, "buffers", "64MB")),
        ("alpha@db.buffers=25%", ("alpha", "db", "buffers", "25%")),
        ("alpha@my.db.buffers=25%", ("alpha", "my.db", "buffers", "25%")),
        ("alpha.global=true", ("alpha", None, "global", "on")),
        ("alpha.buffers=AUTO", ("alpha", None, "buffers", "auto")),
        ("beta.route.my.app=direct", ("beta", None, "route.my.app", "direct")),
        ("beta@pool.route.app=direct", ("beta", "pool", "route.app", "direct")),
    ],
)
def test_set(text: str, expected: tuple[str, str | None, str, str]) -> None:
    assert parse_set(registry(), text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "=", "alpha", "alpha=1", "alpha.=1", "alpha.buffers", "alpha@db=1", "alpha@.buffers=1MB", "alpha@db.x=1",
     "alpha.buffers=", "alpha.buffers=200%", "alpha.buffers=1e9", "alpha.cost=nan", "alpha.cost=inf", ".x=1",
     "alpha@db.global=on", "gamma.x=1", "beta.route.=direct", "alpha.mode=FAST"],
)  # fmt: skip
def test_bad_sets_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_set(registry(), text)
    assert "\n" not in str(caught.value)


def test_later_sets_win_and_auto_takes_out() -> None:
    choices = parse_sets(registry(), ["alpha.cost=1", "alpha.cost=2", "alpha.mode=fast", "alpha.mode=auto"])
    assert choices.values == {("alpha", None, "cost"): "2"}
    assert choices.selection("alpha") is Selection.ON


def test_the_same_intent_by_preset_and_by_options_is_equal(preset: str) -> None:
    by_preset, _none = build_choices(registry(), preset=preset)
    by_options, _none = build_choices(registry(), only=["alpha"], sets=["alpha.mode=fast", "alpha.buffers=25%"])
    assert by_preset.as_json() == by_options.as_json()
