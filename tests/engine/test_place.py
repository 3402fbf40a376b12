"""Where the state lies: one history for one project, and no place that somebody else could have written to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nftui.engine.place import PARTS, identity, project_id
from nftui.engine.state import InForce, ProjectState
from nftui.model.errors import UsageError

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def project(tmp_path: Path) -> str:
    (tmp_path / "p").mkdir()
    return str(tmp_path / "p")


def state(tmp_path: Path, project: str, engine: str = "E", name: str = "app") -> ProjectState:
    return ProjectState(tmp_path / "state", identity(engine, name, project))


def prepared(tmp_path: Path, project: str, engine: str = "E") -> ProjectState:
    found = state(tmp_path, project, engine)
    found.prepare()
    return found


def test_everything_that_is_made_is_private(tmp_path: Path, project: str) -> None:
    mask = os.umask(0)
    try:
        made = prepared(tmp_path, project)
        made.audit({"run": "R"})
        made.blobs.put(b"secret")
    finally:
        os.umask(mask)
    modes = {path.name: path.stat().st_mode & 0o777 for path in made.root.rglob("*")} | {
        "root": made.root.stat().st_mode & 0o777
    }
    files = {path.name for path in made.root.rglob("*") if path.is_file()}
    assert {name for name, mode in modes.items() if mode != (0o600 if name in files else 0o700)} == set()
    assert {"inforce.json", "project.json", "audit.jsonl"} <= files


def test_reading_makes_nothing(tmp_path: Path, project: str) -> None:
    found = state(tmp_path, project)
    assert found.in_force() == InForce() and found.runs() == [] and found.artefacts.list() == []
    assert not (tmp_path / "state").exists()


# -- one history ------------------------------------------------------------------------------------------------
def test_a_run_without_an_engine_and_one_with_it_share_a_history(tmp_path: Path, project: str) -> None:
    first = prepared(tmp_path, project, "")
    later = state(tmp_path, project, "E")
    assert later.lineage == first.lineage
    later.prepare()
    assert json.loads((first.root / "project.json").read_text())["engine"] == "E"
    for engine in ("", "E"):
        assert state(tmp_path, project, engine).lineage == first.lineage
    assert state(tmp_path, project, "OTHER").lineage != first.lineage


def test_a_history_with_an_engine_is_found_without_one(tmp_path: Path, project: str) -> None:
    first = prepared(tmp_path, project, "E")
    assert state(tmp_path, project, "").lineage == first.lineage
    state(tmp_path, project, "").prepare()
    assert json.loads((first.root / "project.json").read_text())["engine"] == "E"


def test_between_two_engines_none_is_guessed(tmp_path: Path, project: str) -> None:
    made = {prepared(tmp_path, project, engine).lineage for engine in ("E", "F")}
    assert len(made) == 2 and state(tmp_path, project, "").lineage not in made


def test_names_and_paths_tell_projects_apart(tmp_path: Path, project: str) -> None:
    (tmp_path / "q").mkdir()
    found = {state(tmp_path, project).lineage, state(tmp_path, project, name="b").lineage}
    assert len(found | {state(tmp_path, str(tmp_path / "q")).lineage}) == 3
    (tmp_path / "link").symlink_to(project)
    assert project_id(identity("E", "app", str(tmp_path / "link"))) == project_id(identity("E", "app", project))


# -- places that are refused ------------------------------------------------------------------------------------
def _reads(found: ProjectState) -> None:
    for read in (found.in_force, found.runs, found.prepare):
        read()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o750, 0o707])
@pytest.mark.parametrize("part", ["", *PARTS])
def test_what_others_can_open_is_refused(tmp_path: Path, project: str, part: str, mode: int) -> None:
    found = prepared(tmp_path, project)
    (found.root / part).chmod(mode)
    for read in (found.in_force, found.runs, found.prepare):
        with pytest.raises(UsageError, match=rf"chmod 700 {found.root / part}"):
            read()
    (found.root / part).chmod(0o700)
    _reads(found)


def test_a_place_in_which_others_can_put_things_is_refused(tmp_path: Path, project: str) -> None:
    found = prepared(tmp_path, project)
    (tmp_path / "state").chmod(0o1777)
    with pytest.raises(UsageError, match="chmod o-w"):
        found.in_force()
    (tmp_path / "state").chmod(0o755)
    _reads(found)


@pytest.mark.parametrize("part", ["", *PARTS])
def test_a_link_is_refused(tmp_path: Path, project: str, part: str) -> None:
    found = prepared(tmp_path, project)
    place = found.root / part
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    for read in (found.in_force, found.prepare):
        with pytest.raises(UsageError, match="is a link"):
            read()


def test_a_linked_state_directory_is_refused(tmp_path: Path, project: str) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "state").symlink_to(tmp_path / "real")
    with pytest.raises(UsageError, match="--state-dir"):
        state(tmp_path, project).prepare()
    assert list((tmp_path / "real").iterdir()) == []


@ROOT
def test_the_state_of_another_user_is_refused(tmp_path: Path, project: str) -> None:
    found = prepared(tmp_path, project)
    os.chown(found.root / "runs", 1234, 1234)
    with pytest.raises(UsageError, match="belongs to uid 1234"):
        found.in_force()


def _newer(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))


def _of_another(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "directory": "/srv/other"}))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_newer, "newer nftui"),
        (_of_another, "project app in /srv/other"),
        (lambda path: path.write_text("{"), "project.json is damaged"),
        (lambda path: path.write_text("[]"), "project.json is damaged"),
    ],
)
def test_a_project_file_that_does_not_fit(
    tmp_path: Path, project: str, change: Callable[[Path], object], says: str
) -> None:
    found = prepared(tmp_path, project)
    change(found.root / "project.json")
    for read in (found.in_force, found.runs, found.prepare):
        with pytest.raises(UsageError, match=says):
            read()


# -- what is in force -------------------------------------------------------------------------------------------
def test_a_changed_value_is_noticed_in_any_generation(tmp_path: Path, project: str) -> None:
    found = prepared(tmp_path, project)
    found.commit(InForce(1, "R1"))
    found.commit(InForce(2, "R2"))
    assert found.standing() == [(1, "R1"), (2, "R2")]
    for path in (found.generation_path(1), found.root / "inforce.json"):
        text = path.read_text()
        path.write_text(text.replace('"R', '"Q'))
        with pytest.raises(UsageError, match=rf"{path.name} is damaged"):
            found.standing()
        path.write_text(text)


def test_an_older_versions_state_without_a_checksum_is_read(tmp_path: Path, project: str) -> None:
    found = prepared(tmp_path, project)
    (found.root / "inforce.json").write_text(json.dumps(InForce(0, None).as_json()))
    assert found.in_force() == InForce()


def test_a_lost_inforce_is_not_taken_for_nothing_in_force(tmp_path: Path, project: str) -> None:
    found = prepared(tmp_path, project)
    (found.root / "inforce.json").unlink()
    with pytest.raises(UsageError, match=r"inforce\.json cannot be read"):
        found.in_force()
