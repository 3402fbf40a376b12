"""The state directory as operators meet it: damage, copies, other users, no room. Clear refusals, nothing touched."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nftui.engine.artefacts import Artefacts
from nftui.engine.state import ProjectLock
from tests.e2e.command import everything_written, tree
from tests.e2e.test_bad_input import COMPOSE, NOBODY, Project, applied, project, state_of, without_docker
from tests.stack.fixtures import SESSION
from tests.stack.running import docker

__all__ = ["applied", "project", "without_docker"]
APPLY = ("apply", "--yes", "--files-only")
OTHER = (*APPLY, "--set", "postgres.work_mem=8MB")
SECRET = "fake-but-secret-4711"


def run_of(found: Project) -> Path:
    return max(state_of(found).glob("runs/*"))


def reseal(journal: Path, change: Callable[[int, dict[str, Any]], None]) -> None:
    """The journal as another nftui could have written it: each line changed, its checksum made to fit."""
    total, lines = "", []
    for number, line in enumerate(journal.read_text().splitlines(), 1):
        body = json.loads(line)["line"]
        change(number, body)
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
        total = hashlib.sha256(f"{total}\n{canonical}".encode()).hexdigest()[:32]
        lines.append(json.dumps({"line": body, "sum": total}))
    journal.write_text("\n".join(lines) + "\n")


# -- damage -----------------------------------------------------------------------------------------------------
def test_an_unchanged_plan_does_not_hide_a_damaged_journal(applied: Project) -> None:
    journal = run_of(applied) / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"n":2', '"n":7'))
    says = ("journal.jsonl line 2 is damaged", "Nothing was touched", "snapshots verify")
    applied.refuses(*APPLY, says=says, code=5)
    listed = applied("snapshots", "list", "--json").json["snapshots"]
    assert [s["kind"] for s in listed] == ["unknown"] and listed[0]["stands"]
    shown = applied("snapshots", "show", listed[0]["id"], "--json").json["snapshot"]
    assert any(f.endswith("compose.nftui.yaml") for f in shown["files"])
    verified = applied("snapshots", "verify", "--json")
    assert verified.code == 1 and "line 2" in verified.json["snapshots"][0]["damaged"][0]["what"]


@pytest.mark.parametrize("gone", [True, pytest.param(False, marks=pytest.mark.all)])
def test_a_blob_is_proven_before_anything_is_undone(without_docker: Project, gone: bool) -> None:
    (without_docker.directory / ".env").write_text("A=1\n")
    assert without_docker(*APPLY).code == 0
    name = hashlib.sha256(b"A=1\n").hexdigest()
    blob = state_of(without_docker) / "blobs" / name[:2] / name
    blob.unlink() if gone else blob.write_bytes(b"A=2\n")
    says = (".env is not whole", "missing" if gone else "damaged", "Nothing was touched")
    without_docker.refuses("rollback", "--yes", says=says)
    assert without_docker("snapshots", "verify").code == 1
    blob.write_bytes(b"A=1\n")
    blob.chmod(0o600)
    assert without_docker("snapshots", "verify").code == 0
    assert without_docker("rollback", "--yes").code == 0
    assert (without_docker.directory / ".env").read_text() == "A=1\n"


def _lost_journal(run: Path) -> None:
    (run / "journal.jsonl").unlink()


def _empty_plan(run: Path) -> None:
    (run / "plan.json").write_text("{}")


def _half_plan(run: Path) -> None:
    (run / "plan.json").write_text((run / "plan.json").read_text()[:200])


def _newer_plan(run: Path) -> None:
    (run / "plan.json").write_text((run / "plan.json").read_text().replace('"schema": 1', '"schema": 99'))


def _newer_journal(run: Path) -> None:
    reseal(run / "journal.jsonl", lambda number, body: body["data"].update(schema=99) if number == 1 else None)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_lost_journal, "journal.jsonl is damaged"),
        (_empty_plan, "plan.json is damaged"),
        pytest.param(_half_plan, "plan.json is damaged", marks=pytest.mark.all),
        pytest.param(_newer_plan, "newer nftui", marks=pytest.mark.all),
        pytest.param(_newer_journal, "newer nftui", marks=pytest.mark.all),
    ],
)
def test_records_that_cannot_be_used_stop_a_rollback(
    applied: Project, damage: Callable[[Path], None], says: str
) -> None:
    damage(run_of(applied))
    applied.refuses("rollback", "--yes", says=(says, "Nothing was touched"))
    assert applied("snapshots", "verify").code == 1


def test_a_run_of_an_older_version_is_undone_and_one_of_a_newer_is_not(without_docker: Project) -> None:
    before = tree(without_docker.directory)
    assert without_docker(*APPLY).code == 0
    run, plan = run_of(without_docker), run_of(without_docker) / "plan.json"
    written = plan.read_text()

    def older(number: int, body: dict[str, Any]) -> None:
        for key in ("schema", "record", "attributes"):
            body["data"].pop(key, None)

    reseal(run / "journal.jsonl", older)
    plan.write_text(written.replace('"kind_version": 1', '"kind_version": 99'))
    without_docker.refuses("rollback", "--yes", says=("version 99", "Nothing was touched"))
    plan.write_text(written)
    assert without_docker("rollback", "--yes").code == 0
    assert tree(without_docker.directory) == before


# -- places -----------------------------------------------------------------------------------------------------
def test_a_copied_project_is_not_taken_for_the_first(applied: Project, tmp_path: Path) -> None:
    shutil.copytree(applied.directory, tmp_path / "copy")
    copy = Project(tmp_path / "copy", applied.state, applied.more)
    says = (str(state_of(applied)), "if it is a copy", "Nothing was touched")
    for words in (("status",), ("rollback", "--yes"), OTHER, ("snapshots", "list")):
        copy.refuses(*words, says=says)
    assert applied("rollback", "--yes").code == 0
    (tmp_path / "copy" / "compose.nftui.yaml").unlink()
    (tmp_path / "copy" / ".env").unlink()
    assert copy(*APPLY).code == 0 and len(list(applied.state.iterdir())) == 2


def _open_runs(state: Path) -> None:
    (state / "runs").chmod(0o777)


def _link_blobs(state: Path) -> None:
    (state / "blobs").rename(state / "real")
    (state / "blobs").symlink_to(state / "real")


def _of_another(state: Path) -> None:
    data = json.loads((state / "project.json").read_text())
    (state / "project.json").write_text(json.dumps({**data, "name": "another"}))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_open_runs, "chmod 700"),
        pytest.param(_link_blobs, "is a link", marks=pytest.mark.all),
        pytest.param(_of_another, "the project another", marks=pytest.mark.all),
    ],
)
def test_a_place_that_cannot_be_trusted(applied: Project, change: Callable[[Path], None], says: str) -> None:
    change(state_of(applied))
    for words in (("status",), ("rollback", "--yes"), OTHER):
        applied.refuses(*words, says=(says, "Nothing was touched"))


def test_a_state_directory_that_cannot_be_made(without_docker: Project, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in ("/proc/nftui", str(tmp_path / "file" / "below")):
        says = ("cannot be used", "--state-dir", "Nothing was touched")
        without_docker.refuses(*APPLY, "--state-dir", place, says=says)


# -- one history ------------------------------------------------------------------------------------------------
@pytest.mark.engine
@pytest.mark.usefixtures("engine")
def test_files_written_without_an_engine_are_known_with_one(without_docker: Project) -> None:
    before = tree(without_docker.directory)
    assert without_docker(*APPLY).code == 0
    later = without_docker.but(PATH=os.environ["PATH"], DOCKER_HOST=os.environ.get("DOCKER_HOST", ""))
    assert later("status", "--json").json["generation"] == 1
    changed = later(*OTHER, "--json")
    assert changed.code == 0 and changed.json["outcome"] == "applied", changed.err
    assert [json.loads((p / "project.json").read_text())["engine"] != "" for p in without_docker.state.iterdir()] == [
        True
    ]
    assert without_docker("status", "--json").json["generation"] == 2
    assert without_docker("rollback", "--yes").code == 0 and later("rollback", "--yes").code == 0
    assert tree(without_docker.directory) == before


@pytest.fixture
def shared() -> Iterator[Project]:
    """A project of which two users may change the files, in a place that both can reach."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as place:
        base = Path(place)
        base.chmod(0o755)
        (base / "project").mkdir()
        (base / "project").chmod(0o777)
        (base / "project" / "compose.yaml").write_text(COMPOSE)
        (base / "nobody").mkdir()
        os.chown(base / "nobody", NOBODY, NOBODY)
        yield Project(base / "project", base / "state")


class Member(Project):
    """Another user, who may use the engine as a member of its socket's group."""

    def command(self, *arguments: str) -> list[str]:
        socket = Path("/var/run/docker.sock")
        group = socket.stat().st_gid if socket.exists() else NOBODY
        change = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", f"--groups={group}", *_reaching_python()]
        return [*change, *Project(self.directory, self.state).command(*arguments)]


def _reaching_python() -> list[str]:
    """Where the interpreter lies in root's home, the other user may at least read it."""
    python = Path(sys.executable).resolve()
    if all(parent.stat().st_mode & 0o001 for parent in python.parents):
        return []
    return ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]


def member(shared: Project) -> Member:
    home = str(shared.state.parent / "nobody")
    return Member(shared.directory, Path(home) / "state", {**shared.more, "HOME": home, "DOCKER_CONFIG": home})


@pytest.mark.engine
@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("root_first", [True, pytest.param(False, marks=pytest.mark.all)])
def test_a_second_user_is_told_whose_history_it_is(shared: Project, root_first: bool) -> None:
    first, second = (shared, member(shared)) if root_first else (member(shared), shared)
    before = tree(shared.directory)
    done = first(*APPLY)
    assert done.code == 0, done.err
    owner = "root" if root_first else "nobody"
    says = (str(state_of(first)), f"(of {owner})", "Run nftui as that user", "Nothing was touched")
    for words in (OTHER, ("rollback", "--yes"), ("status",), ("recover",), ("snapshots", "prune", "--yes")):
        second.refuses(*words, says=says)
    named = second("status", "--state-dir", str(first.state))
    assert named.code == 2 and ("permission" in named.err.lower() or f"belongs to {owner}" in named.err), named.err
    assert first("rollback", "--yes").code == 0 and tree(shared.directory) == before


@pytest.mark.engine
@pytest.mark.usefixtures("engine")
def test_two_users_have_one_lock(shared: Project) -> None:
    second = member(shared)
    before = tree(shared.directory)
    with ProjectLock(str(shared.directory)).held(shared.directory.parent / "lock.json", {"pid": os.getpid()}):
        refused = second(*APPLY)
        assert refused.code == 4 and "holds this project" in refused.out, refused.out + refused.err
        assert tree(shared.directory) == before
    told = second("log", "--json").json["entries"]
    assert [(e["outcome"], e["code"], e["user"]) for e in told] == [("refused", 4, "nobody")]
    assert second(*APPLY).code == 0


# -- who did what -----------------------------------------------------------------------------------------------
def test_the_log_tells_who_from_where_and_outlives_the_snapshots(without_docker: Project) -> None:
    ann = without_docker.but(SUDO_USER="ann", SSH_CONNECTION="192.0.2.7 4711 192.0.2.1 22")
    assert ann(*APPLY).code == 0 and without_docker("rollback", "--yes").code == 0
    assert without_docker("snapshots", "prune", "--keep", "0").code == 0
    assert len(without_docker("snapshots", "list", "--json").json["snapshots"]) == 2
    pruned = without_docker("snapshots", "prune", "--keep", "0", "--yes", "--json").json
    assert len(pruned["pruned"]) == 2 and pruned["done"]
    assert without_docker("snapshots", "list", "--json").json["snapshots"] == []
    entries = without_docker("log", "--json").json["entries"]
    assert [(e["kind"], e["outcome"]) for e in entries] == [
        ("apply", "applied"), ("rollback", "rolled-back"), ("prune", "done"),
    ]  # fmt: skip
    assert (entries[0]["sudo_user"], entries[0]["from"]) == ("ann", "192.0.2.7")
    assert "ann" in without_docker("log").out and "192.0.2.7" in without_docker("log").out
    assert [e["kind"] for e in without_docker("log", "-n", "1", "--json").json["entries"]] == ["prune"]


def test_pruning_keeps_what_stands(applied: Project) -> None:
    assert applied(*OTHER).code == 0 and applied("rollback", "--yes").code == 0
    assert len(applied("snapshots", "prune", "--keep", "0", "--yes", "--json").json["pruned"]) == 2
    assert applied("snapshots", "verify").code == 0
    assert applied("rollback", "--yes").code == 0
    assert not (applied.directory / "compose.nftui.yaml").exists()


def test_a_secret_lies_in_its_blob_and_nowhere_else(without_docker: Project) -> None:
    (without_docker.directory / ".env").write_text(f"DB_PASSWORD={SECRET}\n")
    compose = without_docker.directory / "compose.yaml"
    compose.write_text(compose.read_text().replace("example", "${DB_PASSWORD}", 1))
    said = [without_docker(*words) for words in ((*APPLY, "-v"), ("snapshots", "verify", "-v"), ("rollback", "--yes"))]
    said += [without_docker(*words, "--json") for words in (("log",), ("snapshots", "list"), ("status",))]
    assert [done.code for done in said] == [0] * 6
    blobs = [p.read_bytes() for p in without_docker.state.rglob("*") if p.is_file() and "blobs" in p.parts]
    assert any(SECRET.encode() in content for content in blobs)
    assert SECRET not in "".join(done.out + done.err for done in said)
    assert SECRET.encode() not in everything_written(without_docker.state)
    open_to_others = [p for p in without_docker.state.rglob("*") if p.lstat().st_mode & 0o077]
    assert open_to_others == [] and stat.S_IMODE(without_docker.state.stat().st_mode) == 0o700


# -- space ------------------------------------------------------------------------------------------------------
@pytest.fixture
def small(tmp_path: Path) -> Iterator[Callable[[str, str], Path]]:
    """`small(name, options)`: a file system of its own at tmp_path/name."""
    made: list[Path] = []

    def mount(name: str, options: str) -> Path:
        place = tmp_path / name
        place.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"mode=0755,{options}", "none", str(place)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("file systems cannot be mounted here")
        made.append(place)
        return place

    yield mount
    for place in made:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize(("options", "what"), [("size=128k", "KiB"), ("size=8m,nr_inodes=8", "inodes")])
def test_a_state_directory_without_room_is_refused(
    without_docker: Project, small: Callable[[str, str], Path], options: str, what: str
) -> None:
    place = small("state", options)
    says = (str(place), "needed", "free", what, "Nothing was touched")
    without_docker.refuses(*APPLY, says=says, code=1)
    assert list(place.iterdir()) == []


def test_a_project_directory_without_room_is_refused(
    without_docker: Project, small: Callable[[str, str], Path]
) -> None:
    place = small("small", "size=64k")
    shutil.copy(without_docker.directory / "compose.yaml", place)
    found = Project(place, without_docker.state, without_docker.more)
    found.refuses(*APPLY, says=(str(place), "needed", "free", "Nothing was touched"), code=1)


# -- artefacts --------------------------------------------------------------------------------------------------
@pytest.mark.engine
@pytest.mark.usefixtures("engine")
def test_an_artefact_is_deleted_with_consent_and_ends_its_rollback(project: Project) -> None:
    project = project.but(DOCKER_HOST=os.environ.get("DOCKER_HOST", ""))
    assert project(*APPLY).code == 0
    run, name = run_of(project).name, f"{SESSION}-kept"
    registry = Artefacts(state_of(project) / "artefacts")
    docker("volume", "create", name)
    try:
        registry.record("volume", name, run, "step")
        registry.made(name, 4096, None)
        (listed,) = project("artefacts", "list", "--json").json["artefacts"]
        assert (listed["name"], listed["size"], listed["needed_by"]) == (name, 4096, [run])
        project.refuses("artefacts", "delete", name, says=(run, "--yes", "Nothing was touched"))
        docker("volume", "inspect", name)
        assert project("artefacts", "delete", name, "--yes").code == 0
        assert name not in docker("volume", "ls", "--quiet").split()
    finally:
        docker("volume", "rm", "--force", name)
    assert project("artefacts", "list", "--json").json["artefacts"] == []
    project.refuses("rollback", "--yes", says=(name, run, "Nothing was touched"))
    assert project("log", "--json").json["entries"][-1]["kind"] == "artefacts delete"
