"""Preset files are strict: each problem is named with its line; what is valid is taken as written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nftui.model.choices import Selection
from nftui.model.errors import UsageError
from nftui.presetfile import read_preset
from nftui.presets import build_choices, bundled_directory, export_preset, find_preset, load_preset, preset_files
from tests.cli.conftest import Nftui
from tests.cli.fakes import registry

HEAD = "schema: nftui/preset/1\nname: x\ndescription: d\n"
GOOD = """schema: nftui/preset/1
name: good
description: a preset
optimizations:
  alpha:
    buffers: 25%
    mode: fast
    cost: 1.10
    global: yes
    services:
      db.one: {buffers: 0.0625GB, mode: auto}
  beta:
    route.app: pooled
ignore:
  - {id: bad-thing, service: db, reason: accepted}
  - {id: odd-thing, reason: "known: yes"}
"""


def problems(tmp_path: Path, text: str) -> list[tuple[int, str]]:
    """Line and sentence of each problem."""
    path = tmp_path / "p.yaml"
    path.write_text(text)
    return [(p.line, str(p.text)) for p in read_preset(path, registry())[1]]


def test_a_good_preset(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    preset = load_preset(registry(), str(path))
    assert (preset.name, preset.description) == ("good", "a preset")
    assert preset.choices.values == {
        ("alpha", None, "buffers"): "25%", ("alpha", None, "mode"): "fast", ("alpha", None, "cost"): "1.1",
        ("alpha", None, "global"): "on", ("alpha", "db.one", "buffers"): "64MB", ("beta", None, "route.app"): "pooled",
    }  # fmt: skip
    assert preset.choices.selections == {"alpha": Selection.ON, "beta": Selection.ON}
    assert [(i.id, i.service, i.reason) for i in preset.ignore] == [
        ("bad-thing", "db", "accepted"), ("odd-thing", None, "known: yes"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "selection"),
    [("on", "on"), ("off", "off"), ("true", "on"), ("False", "off"), ("'off'", "off"), ("yes", "on"), ("no", "off")],
)
def test_on_and_off(tmp_path: Path, word: str, selection: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(f"{HEAD}optimizations: {{alpha: {word}}}\n")
    assert load_preset(registry(), str(path)).choices.selection("alpha") == selection


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (HEAD + "optimizations:\n  alpa: on\n", 5, "Did you mean 'alpha'"),
        (HEAD + "optimizations:\n  alpha:\n    bufers: 1MB\n", 6, "Did you mean 'alpha.buffers'"),
        (HEAD + "optimizations:\n  alpha:\n\n    buffers: 9GB\n", 7, "out of bounds"),
        (HEAD + "optimizations:\n  alpha:\n    mode: quick\n", 6, "not one of fast, safe"),
        (HEAD + "optimizations:\n  alpha:\n    mode:\n", 6, "must be a text"),
        (HEAD + "optimizations:\n  alpha:\n    mode: [fast]\n", 6, "must be a text"),
        (HEAD + "optimizations:\n  alpha:\n    services:\n      db:\n        mood: fast\n", 8, "alpha.mode"),
        (HEAD + "optimizations:\n  alpha:\n    services:\n      db:\n        global: on\n", 8, "whole optimization"),
        (HEAD + "optimizations:\n  alpha:\n    services:\n      db: on\n", 7, "must be a mapping"),
        (HEAD + "optimizations:\n  alpha: maybe\n", 5, "on, off, or a mapping"),
        (HEAD + "optimizations:\n  alpha: on\n  alpha: off\n", 6, "stands here twice"),
        (HEAD + "optimizations: [alpha]\n", 4, "must be a mapping"),
        (HEAD + "optimizations: {}\nignored: []\n", 5, "Did you mean 'ignore'"),
        (HEAD + "optimizations: {}\nignore: {}\n", 5, "must be a list"),
        (HEAD + "optimizations: {}\nignore:\n  - {id: a}\n", 6, "'reason' is missing"),
        (HEAD + "optimizations: {}\nignore:\n  - {id: a, reason: b, serice: c}\n", 6, "Did you mean 'service'"),
        (HEAD, 1, "'optimizations' is missing"),
        (HEAD.replace("name: x", "name: X y") + "optimizations: {}\n", 2, "small letters"),
        (HEAD.replace("name: x\n", "") + "optimizations: {}\n", 1, "'name' is missing"),
        (HEAD.replace("d\n", "[]\n") + "optimizations: {}\n", 3, "must be a text"),
        ("name: x\n", 1, "'schema: nftui/preset/1' is missing"),
        ("name: x\nschema: nftui/preset/2\nbogus: 1\n", 2, "needs a newer nftui"),
        ("schema: other\n", 1, "not nftui/preset/1"),
        ("", 1, "a preset is a mapping"),
        ("- a\n", 1, "a preset is a mapping"),
        ("schema: nftui/preset/1\nname: 'x\n", 3, "not YAML"),
        ("schema: nftui/preset/1\n\tname: x\n", 2, "not YAML"),
        ("a: &a 1\n---\nb: 2\n", 2, "not YAML"),
        ("[" * 5000, 1, ""),
    ],
)
def test_each_problem_has_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    found = problems(tmp_path, text)
    assert len(found) == 1
    assert found[0][0] == line, found
    assert words in found[0][1]


def test_every_problem_is_listed(tmp_path: Path) -> None:
    text = HEAD + "bogus: 1\noptimizations:\n  alpa: on\n  alpha:\n    mode: x\n    cost: -1\nignore: 5\n"
    assert [line for line, _text in problems(tmp_path, text)] == [4, 6, 8, 9, 10]


def test_devices_are_refused_in_presets(tmp_path: Path) -> None:
    from nftui.model.knobs import Kind
    from tests.cli.fakes import FakeOptimization, knob

    path = tmp_path / "p.yaml"
    path.write_text(HEAD + "optimizations:\n  gamma:\n    disk: /dev/nvme0n1\n")
    gamma = {"gamma": FakeOptimization("gamma", (knob("disk", Kind.TEXT),))}
    (problem,) = read_preset(path, gamma)[1]  # type: ignore[arg-type]
    assert (problem.line, "no device" in str(problem.text)) == (6, True)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"schema: \x00"])
def test_files_that_are_no_text(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(content)
    preset, found = read_preset(path, registry())
    assert preset is None and len(found) == 1
    assert "\n" not in str(found[0].text)


def test_a_huge_or_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("#" * (1024 * 1024 + 1))
    assert "too large" in str(read_preset(path, registry())[1][0].text)
    preset, (missing,) = read_preset(tmp_path / "none.yaml", registry())
    assert (preset, str(missing.text)) == (None, "the file cannot be read: No such file or directory")


def test_an_exported_preset_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    first = load_preset(registry(), str(path))
    again = tmp_path / "again.yaml"
    again.write_text(export_preset(first.choices.select("beta", Selection.OFF), "again", "it's: odd", first.ignore))
    second = load_preset(registry(), str(again))
    assert second.choices.selection("beta") is Selection.OFF
    assert {k: v for k, v in second.choices.values.items() if k[0] == "alpha"} == {
        k: v for k, v in first.choices.values.items() if k[0] == "alpha"
    }
    assert (second.ignore, second.description) == (first.ignore, "it's: odd")


def test_an_ignored_finding_that_nobody_knows_is_a_warning_with_its_line(nftui: Nftui, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    rules = "".join(
        f"  - {{id: {name}, reason: r}}\n" for name in ("postgres-defalts", "xyzzy", "redis-no-persistence")
    )
    path.write_text(HEAD + "optimizations: {alpha: on}\nignore:\n" + rules)
    told = [f"{path} line 6: There is no finding 'postgres-defalts'. Did you mean 'postgres-defaults'?",
            f"{path} line 7: There is no finding 'xyzzy'."]  # fmt: skip
    assert [str(w) for w in load_preset(registry(), str(path)).warnings] == told
    assert [str(w) for w in build_choices(registry(), preset=str(path))[1]] == told
    result = nftui("preset", "validate", str(path), "--json")
    (file,) = result.json["files"]
    assert (result.code, file["valid"], [w["line"] for w in file["warnings"]]) == (0, True, [6, 7])
    assert f"{path}:6: warning: There is no finding 'postgres-defalts'." in nftui("preset", "validate", str(path)).out


def test_findings_of_what_was_dropped_in_are_known(tmp_path: Path) -> None:
    path, known = tmp_path / "p.yaml", registry()
    path.write_text(HEAD + "optimizations: {}\nignore:\n  - {id: alpha-slow, reason: r}\n")
    assert len(load_preset(known, str(path)).warnings) == 1
    known["alpha"].finding_ids = ("alpha-slow",)  # type: ignore[attr-defined]
    assert load_preset(known, str(path)).warnings == ()


def test_names_are_searched_in_the_operators_directories_first(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert find_preset("small", environ).parent == bundled_directory()
    mine = tmp_path / "nftui" / "presets"
    mine.mkdir(parents=True)
    (mine / "small.yaml").write_text(GOOD)
    (mine / "note.txt").write_text("")
    assert find_preset("small", environ) == mine / "small.yaml"
    assert "note" not in preset_files(environ)
    with pytest.raises(UsageError, match="Did you mean 'medium'"):
        find_preset("mediun", environ)


def test_bundled_presets_are_valid_and_hold_intent() -> None:
    from nftui.optimizations.registry import load_registry

    files = sorted(bundled_directory().glob("*.yaml"))
    assert [f.stem for f in files] == ["large", "medium", "mission", "nvme", "small"]
    for path in files:
        preset, found = read_preset(path, load_registry())
        assert not found and preset is not None and preset.name == path.stem
        absolute = [v for v in preset.choices.values.values() if v.endswith(("kB", "MB", "GB"))]
        assert not absolute or path.stem == "mission"


@pytest.mark.parametrize(("word", "count"), [("auto", 2), ("stop", 0), ("often", 0)])
def test_a_preset_may_leave_what_does_not_fit_to_the_recommendation(tmp_path: Path, word: str, count: int) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(f"{HEAD}if_refused: {word}\noptimizations:\n  alpha: {{buffers: 64MB, mode: fast}}\n")
    preset, found = read_preset(path, registry())
    assert preset is not None and len(preset.choices.yielding) == count
    assert [p.line for p in found] == ([] if word != "often" else [len(HEAD.splitlines()) + 1])


def test_what_is_set_beside_such_a_preset_is_refused_all_the_same() -> None:
    from nftui.optimizations.registry import load_registry

    chosen, _ = build_choices(load_registry(), preset="mission", sets=["postgres.shared_buffers=2GB"])
    assert chosen.without_refused("postgres", "db", "shared_buffers") is None
    rest = chosen.without_refused("postgres", "db", "max_connections")
    assert rest is not None and rest.value("postgres", "db", "max_connections") is None
    assert rest.value("postgres", "db", "shared_buffers") == "2GB"


def test_preset_verbs(nftui: Nftui, tmp_path: Path) -> None:
    mine = tmp_path / "config" / "nftui" / "presets"
    mine.mkdir(parents=True)
    (mine / "good.yaml").write_text(GOOD)
    (mine / "bad.yaml").write_text(HEAD)
    listed = {p["name"]: p for p in nftui("preset", "list", "--json").json["presets"]}
    assert {"good", "bad", "small"} <= set(listed)
    assert {"name", "description", "schema"} <= set(listed["good"])
    assert (listed["good"]["schema"], listed["good"]["error"]) == ("nftui/preset/1", None)
    assert "line 1" in listed["bad"]["error"]
    assert nftui("preset", "show", "good").out == GOOD
    assert nftui("preset", "show", "good", "--json").json["preset"]["choices"]["selections"] == {
        "alpha": "on",
        "beta": "on",
    }
    assert nftui("preset", "show", "bad").code == 2
    pipe, end = os.pipe()  # what it was read from cannot be read again
    os.write(end, GOOD.encode())
    os.close(end)
    assert nftui("preset", "show", f"/dev/fd/{pipe}").out == GOOD
    os.close(pipe)
    assert nftui("preset", "validate", str(mine / "good.yaml")).code == 0
    result = nftui("preset", "validate", str(mine / "good.yaml"), str(mine / "bad.yaml"))
    assert (result.code, f"{mine}/bad.yaml:1: 'optimizations' is missing" in result.out) == (2, True)
    assert nftui("preset", "validate", str(mine / "bad.yaml"), "--json").json["valid"] is False


def test_preset_export(nftui: Nftui, session: object, tmp_path: Path) -> None:
    from nftui.engine.state import InForce
    from nftui.presets import parse_sets
    from tests.cli.fakes import FakeSession

    assert isinstance(session, FakeSession)
    assert nftui("preset", "export").code == 2
    session.in_force = InForce(1, "R", parse_sets(registry(), ["alpha@db.one.buffers=25%"]))
    assert "db.one:\n        buffers: 25%" in nftui("preset", "export").out
    out = tmp_path / "out.yaml"
    assert nftui("preset", "export", "--out", str(out), "--name", "mine").code == 0
    assert load_preset(registry(), str(out)).name == "mine"
