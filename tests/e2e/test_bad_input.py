"""Bad input and bad surroundings: one clear line, the exit code of cli.md, nothing touched, never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.command import Done, Nftui, at_work, tree
from tests.stack.running import Stack, wait_until

COMPOSE = """\
name: bad-input
services:
  db:
    image: postgres:16
    environment:
      POSTGRES_PASSWORD: example
    volumes: [data:/var/lib/postgresql/data]
    deploy:
      resources:
        limits: { memory: 2G }
  mail:
    image: example/mail
    profiles: [mail]
    networks: [nowhere]
volumes:
  data: {}
"""
LOOKING = ("detect", "check")
READING = (*LOOKING, "plan")
EVERY = (("detect",), ("check",), ("plan",), ("apply", "--yes"))
NOBODY = 65534


@dataclass(frozen=True)
class Project(Nftui):
    """A project that nothing runs of; `more` is what its environment has besides."""

    more: Mapping[str, str] = field(default_factory=dict)
    user: int | None = None

    def environment(self) -> dict[str, str]:
        """Without an engine of the developer's choice."""
        return {**super().environment(), "DOCKER_HOST": "", **self.more}

    def command(self, *arguments: str) -> list[str]:
        """As another user where one is asked for."""
        change = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"]
        return [*(change if self.user else []), *super().command(*arguments)]

    def but(self, user: int | None = None, **more: str) -> Project:
        """The same with another environment or user."""
        return Project(self.directory, self.state, {**self.more, **more}, user or self.user)

    def refuses(self, *arguments: str, says: str | tuple[str, ...] = (), code: int = 2) -> Done:
        """It ends with `code` and one line that holds all of `says`; no file changes, no state is made."""
        before, made = tree(self.directory), self.state.exists()
        done = self(*arguments)
        words = [says] if isinstance(says, str) else says
        assert done.code == code, done.err + done.out
        assert "Traceback" not in done.err and "unexpected error" not in done.err, done.err
        lines = [ln for ln in done.err.splitlines() if ln.startswith("nftui: ")]
        assert len(lines) == 1 and not [w for w in words if w not in lines[0]], done.err
        assert tree(self.directory) == before and self.state.exists() == made
        return done


@pytest.fixture
def project(tmp_path: Path) -> Project:
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "compose.yaml").write_text(COMPOSE)
    return Project(directory, tmp_path / "state")


@pytest.fixture
def without_docker(project: Project, tmp_path: Path) -> Project:
    """Neither `docker` nor an engine: what the reduced mode is for."""
    empty = tmp_path / "bin"
    empty.mkdir()
    return project.but(PATH=str(empty), DOCKER_HOST=f"unix://{tmp_path}/no.sock")


# -- files that are none ----------------------------------------------------------------------------------------
def _bomb() -> str:
    levels = "\n".join(f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 15))
    return f"x-0: &a0 [{', '.join(['lol'] * 9)}]\n{levels}\n{COMPOSE}"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (COMPOSE.replace("  mail:", "   mail: [1,").encode(), ("compose.yaml, line", "not valid YAML")),
        (bytes(range(256)) * 40, ("compose.yaml", "binary")),
        (b"services: {}\n" + (b"#" + b"x" * 1023 + b"\n") * 50 * 1024, ("compose.yaml", "too large")),
        (_bomb().encode(), ("compose.yaml, line", "anchors")),
        (b"services:\n  db: {image: caf\xe9}\n", ("compose.yaml, line 2", "UTF-8")),
    ],
    ids=["malformed", "binary", "50MB", "bomb", "latin-1"],
)
def test_a_file_that_is_no_compose_file(project: Project, content: bytes, says: tuple[str, ...]) -> None:
    (project.directory / "compose.yaml").write_bytes(content)
    start = time.monotonic()
    for words in EVERY:
        project.refuses(*words, says=says)
    assert time.monotonic() - start < 40


def test_a_compose_file_that_is_a_directory_or_missing(project: Project) -> None:
    (project.directory / "compose.yaml").unlink()
    project.refuses("check", says=("No Compose file", "compose.yaml"))
    project.refuses("check", "-f", "gone.yaml", says="gone.yaml is not there")
    (project.directory / "compose.yaml").mkdir()
    for words in EVERY:
        project.refuses(*words, says=("compose.yaml", "is a directory"))


# -- words ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--set", "postgre.work_mem=4MB"), ("'postgre'", "Did you mean 'postgres'?")),
        (("--only", "postgre"), ("'postgre'", "Did you mean 'postgres'?")),
        (("--off", "nothing-like-it"), ("'nothing-like-it'", "Known:")),
        (("--set", "postgres.work_men=4MB"), ("postgres.work_men", "Did you mean 'postgres.work_mem'?")),
        (("--set", "postgres.work_mem=4XB"), ("postgres.work_mem", "'4XB' is not a size", "512MB")),
        (("--set", "postgres.work_mem=1kB"), ("postgres.work_mem", "out of bounds", "64kB")),
        (("--set", "postgres.max_connections=1e9"), ("postgres.max_connections", "whole number")),
        (("--set", "postgres.max_connections"), ("postgres.max_connections", "=")),
        (("--preset", "smal"), ("'smal'", "Did you mean 'small'?")),
        (("--preset", "./gone.yaml"), ("gone.yaml",)),
    ],
)
def test_words_that_are_not_known(project: Project, words: tuple[str, ...], says: tuple[str, ...]) -> None:
    project.refuses("plan", *words, says=says)
    project.refuses("apply", "--yes", *words, says=says)


def test_presets_name_their_line(project: Project) -> None:
    newer, unknown = project.directory / "newer.yaml", project.directory / "unknown.yaml"
    newer.write_text("schema: nftui/preset/2\nname: newer\n")
    unknown.write_text("schema: nftui/preset/1\nname: u\ndescription: d\noptimisations: {}\noptimizations: {}\n")
    project.refuses("plan", "--preset", "./newer.yaml", says=("newer.yaml line 1", "newer nftui"))
    project.refuses("plan", "--preset", "./unknown.yaml", says=("unknown.yaml line 4", "Did you mean 'optimizations'?"))


def test_plan_files_that_are_none(project: Project) -> None:
    saved = project.directory / "plan.json"
    assert project("plan", "--out", "plan.json").code == 0
    document = json.loads(saved.read_text())
    saved.write_text(json.dumps({**document, "schema": "nftui/plan/9"}))
    project.refuses("apply", "--yes", "--plan", "plan.json", says=("plan.json", "newer nftui", "nftui/plan/9"))
    saved.write_text("{")
    project.refuses("apply", "--yes", "--plan", "plan.json", says=("plan.json", "not JSON"))
    project.refuses("apply", "--yes", "--plan", "gone.json", says="gone.json")


def test_nothing_is_asked_without_a_terminal(project: Project) -> None:
    project.refuses("apply", says=("no terminal", "--yes"))
    project.refuses("rollback", says=("no terminal", "--yes"))
    project.refuses("confirm", says="Nothing waits to be confirmed")
    project.refuses("rollback", "20200101T000000000Z", "--yes", says="There is no snapshot 20200101T000000000Z")
    project.refuses("snapshots", "show", "20200101T000000000Z", says="There is no snapshot")


def test_a_rollback_with_nothing_that_stands_is_done(project: Project) -> None:
    before = tree(project.directory)
    done = project("rollback", "--yes", "--json")
    assert done.code == 0 and done.json["outcome"] == "unchanged", done.err
    assert tree(project.directory) == before and not project.state.exists()


# -- surroundings -----------------------------------------------------------------------------------------------
@pytest.mark.engine
@pytest.mark.usefixtures("engine")
def test_profiles_that_do_not_resolve(project: Project) -> None:
    found = project("check", "--profile", "mail", "--json")
    assert found.code == 0 and "no profile" in found.err
    assert ("network-undefined", "mail") in [(f["id"], f["service"]) for f in found.json["findings"]]
    assert project("detect", "--profile", "mail").code == 0
    says = ('service "mail"', "nowhere", "no profile")
    project.refuses("plan", "--profile", "mail", says=says)
    project.refuses("apply", "--yes", "--profile", "mail", says=says)


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:1", "unix:///nonexistent/docker.sock", "no.such.host.invalid"])
def test_a_wrong_docker_host(project: Project, host: str) -> None:
    project = project.but(DOCKER_HOST=host)
    before = tree(project.directory)
    for verb in READING:
        assert project(verb).code == 0
    assert "DOCKER_HOST" in project("check").err
    project.refuses("apply", "--yes", says=("DOCKER_HOST", host, "--files-only"))
    assert tree(project.directory) == before and not project.state.exists()


@pytest.mark.engine
@pytest.mark.usefixtures("engine")
def test_no_permission_on_the_socket() -> None:
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root can become nobody")
    # Not below pytest's own directory: every session that starts closes that one to other users.
    with tempfile.TemporaryDirectory() as place:
        base = Path(place)
        base.chmod(0o755)
        project = Project(base / "project", base / "state")
        project.directory.mkdir(mode=0o700)
        (project.directory / "compose.yaml").write_text(COMPOSE)
        (project.directory / "compose.yaml").chmod(0o644)
        nobody = project.but(NOBODY, HOME=place, DOCKER_CONFIG=place)
        nobody.refuses("plan", says=("No permission on", str(project.directory)))
        project.directory.chmod(0o755)
        for verb in LOOKING:
            done = nobody(verb)
            assert done.code == 0 and "No permission on" in done.out + done.err, done.err
        nobody.refuses("apply", "--yes", says=("No permission on", "group docker"))
        # Files alone need no engine, but the directory is another user's.
        refused = nobody("apply", "--yes", "--files-only")
        assert refused.code == 2 and "cannot be written by uid" in refused.err, refused.err + refused.out


@pytest.fixture
def sealed(project: Project) -> Iterator[Project]:
    """A project directory that not even root can write to."""
    if subprocess.run(["chattr", "+i", str(project.directory)], capture_output=True, check=False).returncode:
        pytest.skip("chattr +i does not work here")
    yield project
    subprocess.run(["chattr", "-i", str(project.directory)], check=True)


def test_a_read_only_project_is_refused_before_anything_begins(sealed: Project) -> None:
    assert sealed("plan").code == 0
    for words in ((), ("--files-only",)):
        sealed.but(DOCKER_HOST="").refuses("apply", "--yes", "--files-only", *words, says="cannot be written")


# -- without Docker ---------------------------------------------------------------------------------------------
def test_files_alone_need_no_docker(without_docker: Project) -> None:
    nftui, before = without_docker, tree(without_docker.directory)
    for verb in LOOKING:
        assert nftui(verb).code == 0
    plan = nftui("plan", "--json")
    assert plan.code == 0 and plan.json["changes"] and any("unverified: the files" in w for w in plan.json["warnings"])
    nftui.refuses("apply", "--yes", says="--files-only")
    done = nftui("apply", "--yes", "--files-only", "--json")
    assert done.code == 0 and done.json["outcome"] == "applied", done.err + done.out
    assert any("unverified: the files" in w for w in done.json["warnings"])
    written = tree(nftui.directory)
    assert {"compose.nftui.yaml", ".env"} <= set(written)
    again = nftui("apply", "--yes", "--files-only", "--json")
    assert again.code == 0 and again.json["outcome"] == "unchanged" and tree(nftui.directory) == written
    assert nftui("rollback", "--yes").code == 0
    assert tree(nftui.directory) == before
    assert nftui("rollback", "--yes", "--json").json["outcome"] == "unchanged"


# -- state that is damaged --------------------------------------------------------------------------------------
@pytest.fixture
def applied(without_docker: Project) -> Project:
    done = without_docker("apply", "--yes", "--files-only")
    assert done.code == 0, done.err
    return without_docker


def state_of(project: Project) -> Path:
    return next(p for p in project.state.iterdir() if p.is_dir())


@pytest.mark.parametrize("text", ["{", "[]", "null", "{}", '{"version": "x"}'])
def test_a_damaged_inforce_is_named(applied: Project, text: str) -> None:
    (state_of(applied) / "inforce.json").write_text(text)
    for verb in LOOKING:
        assert applied(verb).code == 0
    for words in (("plan",), ("status",), ("rollback", "--yes"), ("apply", "--yes", "--files-only")):
        applied.refuses(*words, says=("inforce.json is damaged", "Nothing was touched"))


def test_the_state_of_a_newer_nftui_is_left_alone(applied: Project) -> None:
    path = state_of(applied) / "inforce.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))
    applied.refuses("apply", "--yes", "--files-only", says="newer nftui")
    applied.refuses("rollback", "--yes", says="newer nftui")


def test_a_damaged_journal_is_named(applied: Project) -> None:
    journal = next(state_of(applied).glob("runs/*/journal.jsonl"))
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([lines[0], lines[1].replace('"n":2', '"n":7'), *lines[2:]]) + "\n")
    for verb in LOOKING:
        assert applied(verb).code == 0
    change = ("apply", "--yes", "--files-only", "--set", "postgres.work_mem=8MB")
    for words in (("status",), ("rollback", "--yes"), change, ("recover",)):
        applied.refuses(*words, says=("journal.jsonl line 2 is damaged", "Nothing was touched"), code=5)


def test_a_run_that_was_cut_off_is_only_recovered_when_asked(applied: Project) -> None:
    journal = next(state_of(applied).glob("runs/*/journal.jsonl"))
    # A guardian that is still there would go on with it.
    wait_until(lambda: not at_work(applied.state), seconds=20, what="the end of the run's processes")
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join(lines[:-2]) + "\n")
    before, state = tree(applied.directory), tree(applied.state)
    for verb in LOOKING:
        assert applied(verb).code == 0
    assert applied("plan").code == 0 and applied("status").code == 5
    assert tree(applied.directory) == before and tree(applied.state) == state
    applied.refuses("apply", "--yes", "--files-only", "--set", "postgres.work_mem=8MB", says="nftui recover", code=5)


def test_a_state_directory_that_others_can_write_is_refused(project: Project, without_docker: Project) -> None:
    project.state.mkdir()
    project.state.chmod(0o777)
    done = without_docker("apply", "--yes", "--files-only")
    assert done.code == 2 and "can be written by others" in done.err and "chmod" in done.err, done.err
    assert not (project.directory / "compose.nftui.yaml").exists() and not list(project.state.glob("*/runs/*"))


@pytest.mark.engine
def test_a_server_that_refuses_the_password_is_not_touched(running_stack: Stack, tmp_path: Path) -> None:
    """Nothing could be read back from it: refused before the downtime, and said by check and plan."""
    user = running_stack.environment["POSTGRES_USER"]
    psql = ["psql", "-U", user, "-d", running_stack.environment["POSTGRES_DB"], "-Atc"]
    hba = running_stack.exec("postgres", *psql, "show hba_file")
    running_stack.exec("postgres", *psql, f"alter role {user} password 'another-and-fake'")
    running_stack.exec("postgres", "sed", "-i", "s/trust$/scram-sha-256/", hba)
    running_stack.exec("postgres", "sh", "-c", "kill -HUP 1")
    nftui, before = Nftui(running_stack.directory, tmp_path / "state"), running_stack.container("postgres")
    checked = nftui("check", "--json")
    assert checked.code == 0 and any(f["service"] == "postgres" for f in checked.json["findings"])
    assert {u["service"] for u in checked.json["unread"]} == {"postgres"}
    assert "postgres" in {u["probe"] for u in checked.json["unread"]}
    assert "postgres could not be asked" in checked.err and "POSTGRES_PASSWORD" in checked.err, checked.err
    planned = nftui("plan", "--only", "postgres", "--json")
    assert planned.code == 0 and any("postgres cannot be asked" in w for w in planned.json["warnings"])
    files = tree(running_stack.directory)
    refused = nftui("apply", "--only", "postgres", "--yes")
    assert refused.code == 2 and "is not touched" in refused.err and "Traceback" not in refused.err
    assert tree(running_stack.directory) == files and running_stack.container("postgres") == before
    assert not [s for s in running_stack.secrets if s in checked.err + planned.out + refused.err]
