"""Findings are merged per service and id, worst first; ignores are counted. Plans are compared in lines for people."""

from __future__ import annotations

from dataclasses import replace

from nftui.engine.check import Ignore, apply_ignores, at_least, collect, notes
from nftui.engine.compare import differences
from nftui.model.findings import Evidence, Level
from nftui.model.stack import Place, Problem
from tests.cli.fakes import FakeOptimization, facts, finding


def test_worst_first_and_one_per_service_and_id() -> None:
    one = FakeOptimization("one", (), (finding("b", Level.LOW), finding("a", Level.MEDIUM, key="X")))
    two = FakeOptimization("two", (), (finding("a", Level.HIGH, key="Y"), finding("a", Level.HIGH, "other")))
    extra = [lambda _facts: [finding("c", Level.INFO, None), finding("a", Level.LOW, key="X")]]
    found = collect(facts(), {"one": one, "two": two}, extra)  # type: ignore[dict-item]
    assert [(f.level, f.service, f.id) for f in found] == [
        ("high", "db", "a"), ("high", "other", "a"), ("low", "db", "b"), ("info", None, "c"),
    ]  # fmt: skip
    assert [e.key for e in found[0].evidence] == ["X", "Y"]


def test_what_compose_refuses_is_a_finding() -> None:
    problems = (
        Problem("network-undefined", "network x is undefined", Place("/srv/a.yaml", 7), ("plan",)),
        Problem("env-file-unreferenced", "e"),
    )
    high, medium = collect(facts(problems=problems), {})
    assert (high.id, high.level, high.evidence[0].line) == ("network-undefined", "high", 7)
    assert medium.level == "medium"
    assert str(high.title) == "network x is undefined"


def test_a_cause_is_told_once_and_what_the_machine_lacks_is_a_note() -> None:
    place = Place("/srv/a.yaml", 7)
    problems = (
        Problem("network-undefined", "web uses the network x", place, ("plan",)),
        Problem("project-unresolved", "Compose refuses the project", None, ("plan",)),
        Problem("engine-missing", "no engine", None, ("apply",)),
    )
    of_check = replace(finding("network-undefined", Level.HIGH, "web", line=7), evidence=())
    of_check = replace(of_check, evidence=(Evidence("networks.x", "x", place.file, place.line),))
    assert [f.id for f in collect(facts(problems=problems), {})] == ["network-undefined"]
    found = collect(facts(problems=problems), {}, [lambda _facts: [of_check]])
    assert [(f.id, f.service) for f in found] == [("network-undefined", "web")]
    assert [f.id for f in collect(facts(problems=problems[1:]), {})] == ["project-unresolved"]
    assert [p.id for p in notes(problems)] == ["project-unresolved", "engine-missing"]


def test_ignores() -> None:
    found = (finding("a", Level.HIGH), finding("a", Level.HIGH, "other"), finding("b", Level.LOW))
    kept, count = apply_ignores(found, [Ignore("a", "db", "r"), Ignore("b", None, "r")])
    assert ([f.service for f in kept], count) == (["other"], 2)
    assert apply_ignores(found, [])[1] == 0


def test_levels() -> None:
    found = (finding("a", Level.MEDIUM),)
    assert not at_least(found, Level.HIGH)
    assert at_least(found, Level.MEDIUM) and at_least(found, Level.LOW)
    assert not at_least((), Level.LOW)


def _core(**more: object) -> dict[str, object]:
    step = {"id": "s", "kind": "k", "params": {"a": 1}}
    file = {"path": "/f", "action": "update", "digest": "1", "before": "0"}
    stages = [{"id": "settings", "steps": [step], "files": [file]}]
    return {"choices": {}, "preconditions": [{"key": "host.memory", "op": "=", "value": "16"}], "stages": stages,
            "grants": [{"service": "db", "bytes": 1}], "fragments": [], **more}  # fmt: skip


def _stage(steps: list[object], files: list[object]) -> list[dict[str, object]]:
    return [{"id": "settings", "steps": steps, "files": files}]


def test_equal_cores_differ_in_nothing() -> None:
    assert differences(_core(), _core()) == []


def test_differences_are_lines_for_people() -> None:
    step, other = {"id": "s", "kind": "k", "params": {"a": 2}}, {"id": "t"}
    file = {"path": "/f", "action": "update", "digest": "2", "before": "0"}
    assert differences(_core(), _core(choices={"x": 1})) == ["the choices are other ones"]
    assert differences(_core(), _core(preconditions=[])) == ["host.memory was 16, is absent"]
    assert differences(_core(), _core(stages=_stage([step], [file]))) == [
        "/f would get another content", "step s differs: a",
    ]  # fmt: skip
    assert differences(_core(), _core(stages=_stage([other], [{**file, "before": "9"}]))) == [
        "/f was changed since", "step s is gone", "step t is new",
    ]  # fmt: skip
    assert differences(_core(), _core(stages=[])) == [
        "the stages were settings, are none", "/f would not be written any more", "step s is gone",
    ]  # fmt: skip
    assert differences(_core(), _core(grants=[])) == []


def test_an_edited_core_is_compared_without_an_exception() -> None:
    samples: tuple[object, ...] = (None, 5, "x", [1], [{}], {"a": 1})
    for wrong in samples:
        broken = dict.fromkeys(("preconditions", "stages", "grants", "fragments"), wrong)
        assert isinstance(differences(_core(**broken), _core()), list)
        assert isinstance(differences(_core(), _core(**broken)), list)
