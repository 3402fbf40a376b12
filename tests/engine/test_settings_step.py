"""The way back of a read-back: nftui's values must be gone; what somebody else set since is told and left."""

from __future__ import annotations

from pathlib import Path

import pytest

from nftui.engine.offers import proven_by
from nftui.model.advice import Fragment
from nftui.model.facts import Live
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.postgres import PostgresFacts, Setting
from nftui.steps.kind import StepFailed
from nftui.steps.settings import PostgresSettingsKind
from tests.engine.world import new_world

BEFORE = "4MB"


def taken_back(tmp_path: Path, value: str, source: str, *, at_plan: str | None, now: str | None) -> list[str]:
    """Notes of an undo that finds `value` from `source`; `at_plan` and `now` are what the files asked for."""
    setting = Setting("work_mem", value, None, "user", source, value, vartype="string")
    files = {"work_mem": now} if now else {}
    facts = PostgresFacts(150000, "15", {"work_mem": setting}, file_settings=files)
    notes: list[str] = []
    ctx = new_world(tmp_path).context(probe=lambda s, p: Live(p, s, facts), note=notes.append)
    step = StepSpec("settings", "postgres-settings", "db", {
        "expected": {"work_mem": "9MB"}, "previous": {"work_mem": BEFORE},
        "files": {"work_mem": at_plan} if at_plan else {},
    }, msg("read"), "db")  # fmt: skip
    kind = PostgresSettingsKind()
    kind.undo(step, kind.read(step, ctx), ctx)
    return notes


@pytest.mark.parametrize(
    ("value", "source", "at_plan", "now"),
    [
        pytest.param("77MB", "configuration file", None, "77MB", id="set"),
        pytest.param("77MB", "configuration file", BEFORE, "77MB", id="set-otherwise"),
        pytest.param("64MB", "default", BEFORE, None, id="reset"),
        pytest.param("77MB", "database", None, None, id="alter-database"),
    ],
)
def test_what_somebody_else_set_since_is_told_and_left(
    tmp_path: Path, value: str, source: str, at_plan: str | None, now: str | None
) -> None:
    (note,) = taken_back(tmp_path, value, source, at_plan=at_plan, now=now)
    assert all(word in note for word in ("work_mem", "db", value, BEFORE, source))


@pytest.mark.parametrize(
    ("value", "source", "at_plan", "now"),
    [
        pytest.param("9MB", "command line", None, "77MB", id="still-nftuis-own"),
        pytest.param("77MB", "configuration file", "77MB", "77MB", id="stood-before"),
        pytest.param("64MB", "default", None, None, id="nobody-set-it"),
    ],
)
def test_what_nobody_else_set_is_no_way_back(
    tmp_path: Path, value: str, source: str, at_plan: str | None, now: str | None
) -> None:
    with pytest.raises(StepFailed, match="does not run its former values: work_mem"):
        taken_back(tmp_path, value, source, at_plan=at_plan, now=now)


def test_the_value_from_before_needs_no_word(tmp_path: Path) -> None:
    assert taken_back(tmp_path, BEFORE, "default", at_plan=None, now="77MB") == []


def test_what_the_files_bring_back_counts_not_what_a_drifted_server_ran(tmp_path: Path) -> None:
    """It ran without nftui's file: the way back ends where that file is, and must not wait for what it hid."""
    setting = Setting("work_mem", "9MB", None, "user", "command line", "9MB", vartype="string")
    facts = PostgresFacts(150000, "15", {"work_mem": setting})
    ctx = new_world(tmp_path).context(probe=lambda s, p: Live(p, s, facts))
    params = {"expected": {"work_mem": "9MB"}, "previous": {"work_mem": BEFORE}, "files": {}}
    step = StepSpec("settings", "postgres-settings", "db", params, msg("read"), "db")
    drifted = proven_by(step, Fragment("postgres", {"db": {}}, {"db": {"work_mem": "9MB"}}))
    kind = PostgresSettingsKind()
    kind.undo(drifted, kind.read(drifted, ctx), ctx)
    assert proven_by(step, Fragment("postgres", {"db": {}}, {"db": {"jit": "off"}})) == step == proven_by(step, None)


@pytest.mark.parametrize("known", [True, False])
def test_a_value_that_a_role_had_of_its_own_is_told_and_not_claimed(tmp_path: Path, known: bool) -> None:
    rows = {
        "work_mem": Setting("work_mem", "7MB", None, "user", "user", "7MB", vartype="string"),
        "jit": Setting("jit", "off", None, "user", "command line", "off", vartype="string"),
    }
    notes: list[str] = []
    facts = PostgresFacts(150000, "15", rows)
    ctx = new_world(tmp_path).context(probe=lambda s, p: Live(p, s, facts), note=notes.append)
    params = {"expected": {"work_mem": "9MB", "jit": "off"}, **({"above": {"work_mem": "7MB"}} if known else {})}
    step, kind = StepSpec("settings", "postgres-settings", "db", params, msg("read"), "db"), PostgresSettingsKind()
    if not known:
        with pytest.raises(StepFailed, match="work_mem is overridden by user"):
            kind.verify(step, {}, ctx)
        return
    assert kind.verify(step, {}, ctx) == {"settings": {"jit": "off"}}
    (note,) = notes
    assert all(word in note for word in ("work_mem", "9MB", "7MB", "could not be read back"))
