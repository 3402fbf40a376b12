"""What a plan with commit points is refused for before anything starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from nftui.engine.consent import Consent, refusals
from nftui.engine.switching import judge, whole_optimizations, without
from nftui.model.advice import Fragment
from nftui.model.choices import Choices
from nftui.model.facts import Facts
from nftui.model.host import Host
from nftui.model.plan import Backup, DataSwitch, Draft, MemoryUse, Stage
from nftui.model.stack import Container, Invocation, MountSpec, Port, Service, Stack
from tests.engine.data_world import new_data_world, stage_of, switch

ALL = Consent(irreversible=True, without_backup=True)


def draft(*stages: Stage, **more: object) -> Draft:
    found = Draft(Choices(), (), stages, (), (), MemoryUse(None, 0))
    return replace(found, **more)  # type: ignore[arg-type]


def told(plan: Draft, consent: Consent, *, confirm: bool = False, files_only: bool = False) -> list[str]:
    return [str(m) for m in refusals(plan, consent, confirm=confirm, files_only=files_only)]


def held(tmp_path: Path, **more: object) -> Stage:
    return replace(stage_of(new_data_world(tmp_path), switch()), **more)  # type: ignore[arg-type]


def test_a_data_switch_needs_both_consents(tmp_path: Path) -> None:
    plan = draft(held(tmp_path))
    irreversible, backup = told(plan, Consent())
    assert "--accept-irreversible" in irreversible and "recreate:db" in irreversible
    assert "--without-backup" in backup and "data:old-new" in backup
    assert [("--without-backup" in t) for t in told(plan, Consent(irreversible=True))] == [True]
    assert told(plan, ALL) == []


def test_a_proven_backup_needs_no_consent(tmp_path: Path) -> None:
    plan = draft(held(tmp_path, switch=replace(switch(), backup=Backup("/b/dump", "restored"))))
    assert told(plan, Consent(irreversible=True)) == []


def test_the_timer_is_refused_only_where_writers_cannot_be_held(tmp_path: Path) -> None:
    assert told(draft(held(tmp_path)), ALL, confirm=True) == []
    free = stage_of(new_data_world(tmp_path / "free"), switch(writers=None))
    (text,) = told(draft(free), ALL, confirm=True)
    assert "--confirm-within" in text and "data:old-new" in text
    assert told(draft(free), ALL) == []


def test_data_is_not_moved_by_files_alone(tmp_path: Path) -> None:
    (text,) = told(draft(held(tmp_path)), ALL, files_only=True)
    assert "--files-only" in text


def facts(service: Service, *others: Service) -> Facts:
    return Facts(cast("Host", None), Stack("p", Invocation("/p", ()), (service, *others)))


def database(**more: object) -> Service:
    mount = MountSpec("volume", "old", "/data")
    container = Container("c1", "db-1", "db", 1, "running", None, "i", "s", mounts=(mount,))
    return replace(Service("db", containers=(container,)), **more)  # type: ignore[arg-type]


def judged(found: Facts, what: DataSwitch | None = None) -> list[str]:
    return [str(m) for m in judge(found, what or switch(), {})]


def test_what_is_not_moved() -> None:
    assert judged(facts(database())) == []
    assert "does not run" in judged(facts(database(containers=())))[0]
    twice = database().containers * 2
    assert "more than once" in judged(facts(database(containers=twice)))[0]
    other = Service("backup", containers=(replace(database().containers[0], service="backup"),))
    assert "backup also has" in judged(facts(database(), other))[0]
    assert judged(facts(database(), other), switch(writers=("api", "backup"))) == []


@pytest.mark.parametrize("more", [{"ports": (Port("5432", "5432"),)}, {"config": {"network_mode": "host"}}])
def test_a_way_in_from_outside_is_no_fence(more: dict[str, object]) -> None:
    from nftui.engine.switching import data_stage

    assert data_stage(facts(database()), switch(), [], ()).fence == "writers"
    stage = data_stage(facts(database(**more)), switch(), [], ())
    assert stage.fence is None and [s.kind for s in stage.crossing] == ["recreate", "release"]


def test_files_name_a_volume_only_once_its_data_lies_there() -> None:
    mount = {"type": "volume", "source": "new", "target": "/data"}
    fragment = Fragment(
        "x", {"db": {"volumes": [mount]}, "web": {"image": "i"}}, {"db": {"k": "v"}}, volumes={"new": {}}
    )
    before = without(fragment, None, [("x", switch())])
    assert (before.services, before.values, before.volumes) == ({"web": {"image": "i"}}, {}, {})
    assert without(fragment, None, []) == fragment
    assert without(fragment, None, [("y", switch())]) == fragment


def test_an_optimization_counts_as_done_when_nothing_of_it_is_left() -> None:
    from nftui.model.advice import Effort, Risk
    from nftui.model.choices import Selection
    from nftui.model.message import msg
    from nftui.model.plan import OptimizationPlan

    names = [OptimizationPlan(n, Selection.ON, True, msg(""), Effort(0, 0), 0, Risk.LOW) for n in ("x", "y")]
    final = (Fragment("x", {"db": {"a": 1}}), Fragment("y", {"web": {"b": 1}}))
    until = Stage("one", (), fragments=(final[0], Fragment("y")))
    plan = draft(until, optimizations=tuple(names), fragments=final)
    assert whole_optimizations(plan, until) == {"x"} and whole_optimizations(plan, None) == {"x", "y"}
