"""What keeps nftui's file loaded: `.env` is only written where Compose reads it so, and given back as it stands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nftui.engine.filesteps import check_step, env_change, other_changes, override_change
from nftui.engine.persist import KEY, Persistence, command, own_files, persistence
from nftui.engine.state import InForce, must_be_writable
from nftui.model.errors import UsageError
from nftui.model.facts import Facts
from nftui.model.host import Host
from nftui.model.plan import FileChange
from nftui.model.stack import ProjectRequest, Service, Stack
from nftui.probes.project import OVERRIDE_MARK, OVERRIDE_NAME, find_project

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
FILES = b"services: {web: {image: x}}\n"
OURS = OVERRIDE_MARK + b" edits are lost\nservices: {}\n"
ORIGIN = {"path": "", "existed": True, "value": None, "unended": False}
LEFT = b"compose.yaml:b.yaml:compose.nftui.yaml"


@dataclass
class Place:
    """A project on disk, and the call that nftui is given there."""

    directory: Path
    request: ProjectRequest = field(default_factory=ProjectRequest)
    environ: dict[str, str] = field(default_factory=dict)
    services: tuple[Service, ...] = ()

    @property
    def env(self) -> bytes | None:
        path = self.directory / ".env"
        return path.read_bytes() if path.exists() else None

    def stack(self, request: ProjectRequest | None = None) -> Stack:
        shell = {"PWD": str(self.directory), **self.environ}
        return Stack("p", find_project(request or self.request, shell), self.services)

    def keep(self) -> Persistence:
        return persistence(self.stack(), self.env, self.environ)

    def write(self, **files: bytes) -> None:
        for name, content in files.items():
            path = self.directory / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)

    def put(self, change: FileChange | None) -> None:
        if change is not None and change.content is None:
            Path(change.path).unlink()
        elif change is not None and change.content is not None:
            Path(change.path).write_bytes(change.content)

    def on(self) -> Persistence:
        """nftui's file, and `.env` where that keeps it loaded."""
        keep = self.keep()
        Path(keep.override).write_bytes(OURS)
        self.put(env_change(keep, InForce(), self.env, wanted=True))
        return keep

    def off(self, origin: Mapping[str, object] = ORIGIN) -> None:
        """Both of them back."""
        keep, facts = self.keep(), Facts(Host(1 << 30), self.stack())
        present = Path(keep.override)
        self.put(override_change(facts, keep, None, present.read_bytes() if present.exists() else None))
        self.put(env_change(keep, InForce(env_origin=origin), self.env, wanted=False))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    found = Place(tmp_path)
    found.write(compose_yaml=FILES, b_yaml=FILES, prod_env=b"COMPOSE_FILE=compose.yaml:b.yaml\n", x_env=b"X=1\n")
    return found


@pytest.mark.parametrize(
    ("env", "written"),
    [
        (b"A=1\n", b"A=1\nCOMPOSE_FILE=compose.yaml:compose.nftui.yaml\n"),
        (b"\xef\xbb\xbfCOMPOSE_FILE=compose.yaml:b.yaml\r\nA=1\r\n",
         b"\xef\xbb\xbfCOMPOSE_FILE=" + LEFT + b"\r\nA=1\r\n"),
        (b"COMPOSE_FILE: compose.yaml:b.yaml\n", b"COMPOSE_FILE: " + LEFT + b"\n"),
        (b"export COMPOSE_FILE = 'compose.yaml:b.yaml'\n", b"export COMPOSE_FILE = " + LEFT + b"\n"),
        (b"B=b\nCOMPOSE_FILE=compose.yaml:${B}.yaml\n",
         b"B=b\nCOMPOSE_FILE=compose.yaml:${B}.yaml:compose.nftui.yaml\n"),
        (b"COMPOSE_PATH_SEPARATOR=;\nCOMPOSE_FILE=compose.yaml;b.yaml\n",
         b"COMPOSE_PATH_SEPARATOR=;\nCOMPOSE_FILE=compose.yaml;b.yaml;compose.nftui.yaml\n"),
    ],
)  # fmt: skip
def test_env_names_what_compose_loaded_and_nftuis_file(place: Place, env: bytes, written: bytes) -> None:
    place.write(_env=env)
    before = place.stack().files
    assert place.on().mode == "env"
    assert place.env == written
    after = place.stack()
    assert (after.files, after.invocation.directory) == (before, str(place.directory))
    assert place.on().mode == "env" and place.env == written
    place.off({**ORIGIN, "value": None if env == b"A=1\n" else written.split(b"=", 2)[-1].decode()})
    assert place.stack().files == before
    assert OVERRIDE_NAME.encode() not in (place.env or b"")


def test_explicit_files_are_kept_where_a_plain_call_loads_them(place: Place) -> None:
    place.request = ProjectRequest(files=("compose.yaml",))
    assert place.keep().mode == "env"
    place.request = ProjectRequest(files=("compose.yaml", "b.yaml"))
    assert (place.keep().mode, "loads other files" in place.keep().reason) == ("command", True)
    place.write(_env=b"COMPOSE_FILE=compose.yaml:b.yaml\n")
    assert place.keep().mode == "env"
    place.request = ProjectRequest(files=("b.yaml", "compose.yaml"))
    assert place.keep().mode == "command"


@pytest.mark.parametrize(
    ("request_", "environ", "why"),
    [
        (ProjectRequest(env_files=("prod.env",)), {}, "other env files"),
        (ProjectRequest(), {"COMPOSE_ENV_FILES": "prod.env"}, "other env files"),
        (ProjectRequest(), {"COMPOSE_FILE": "compose.yaml"}, "COMPOSE_FILE is set in the shell"),
        (ProjectRequest(), {"COMPOSE_FILE": ""}, "COMPOSE_FILE is set in the shell"),
        (ProjectRequest(files=("sub/c.yaml",), project_directory="."), {}, "other files"),
    ],
)
def test_the_operator_gets_the_command_where_env_does_not_decide(
    place: Place, request_: ProjectRequest, environ: dict[str, str], why: str
) -> None:
    place.write(sub__c_yaml=FILES)
    place.request, place.environ = request_, environ
    keep = place.keep()
    assert (keep.mode, why in keep.reason) == ("command", True), keep
    assert env_change(keep, InForce(), place.env, wanted=True) is None


def test_the_command_starts_the_stack_as_it_was_read(place: Place) -> None:
    place.write(sub__c_yaml=FILES)
    there, ours = place.directory, place.keep().override
    assert command(place.stack(), ours) == f"docker compose -f {there}/compose.yaml -f {ours} up -d"
    place.request = ProjectRequest(
        files=("sub/c.yaml",), project_directory=".", env_files=("x.env", "prod.env"), profiles=("b c",), name="shop"
    )
    assert command(place.stack(), ours) == (
        f"docker compose -p shop --project-directory {there} --env-file {there}/x.env --env-file {there}/prod.env "
        f"--profile 'b c' -f {there}/sub/c.yaml -f {ours} up -d"
    )


def test_every_file_of_nftuis_goes_with_the_last_one(place: Place) -> None:
    """Left there, one by an automatic name would be loaded next."""
    place.on()
    mine, theirs = OVERRIDE_MARK + b"\n# State: /state/p\n", OVERRIDE_MARK + b"\n# State: /state/q\n"
    place.write(compose_override_yaml=mine, docker_compose_override_yml=theirs)
    (place.directory / "docker.compose.override.yml").rename(place.directory / "docker-compose.override.yml")
    keep, facts = place.keep(), Facts(Host(1 << 30), place.stack())
    assert [Path(p).name for p in keep.others] == ["compose.override.yaml", "docker-compose.override.yml"]
    (change,) = other_changes(facts, keep, "/state/p", lambda path: Path(path).read_bytes())
    assert (Path(change.path).name, change.action, change.before) == ("compose.override.yaml", "delete", mine)


def test_a_separator_of_the_shell_is_not_that_of_others(place: Place) -> None:
    place.write(_env=b"COMPOSE_FILE=compose.yaml;b.yaml\n")
    place.environ = {"COMPOSE_PATH_SEPARATOR": ";"}
    assert (place.keep().mode, "SEPARATOR" in place.keep().reason) == ("command", True)
    place.write(_env=b"COMPOSE_PATH_SEPARATOR=;\nCOMPOSE_FILE=compose.yaml;b.yaml\n")
    assert place.keep().mode == "env"


@pytest.mark.parametrize("environ", [{"COMPOSE_DISABLE_ENV_FILE": "1"}, {"COMPOSE_PATH_SEPARATOR": ";"}])
def test_the_automatic_name_serves_where_env_is_not_read(place: Place, environ: dict[str, str]) -> None:
    place.environ = environ
    assert (place.keep().mode, Path(place.keep().override).name) == ("automatic", "compose.override.yaml")


def test_other_env_files_that_name_no_files_leave_the_automatic_name(place: Place) -> None:
    place.request = ProjectRequest(env_files=("x.env",))
    assert place.keep().mode == "automatic"
    place.write(x_env=b"COMPOSE_FILE=compose.yaml\n")
    assert place.keep().mode == "command"
    place.request = ProjectRequest(env_files=(".env",))
    place.write(_env=b"A=1\n")
    assert place.keep().mode == "env"


def test_env_of_another_directory_wins_over_the_one_beside_the_files(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write(docker__compose_yml=FILES, _env=b"COMPOSE_FILE=docker/compose.yml\nPW=1\n")
    keep = place.keep()
    assert (keep.mode, keep.env) == ("command", str(place.directory / "docker/.env"))
    assert f"--env-file {place.directory}/.env" in command(place.stack(), keep.override)
    # Called in the directory of the files, Compose reads the `.env` there and no other.
    monkeypatch.chdir(place.directory / "docker")
    there = Place(place.directory / "docker")
    assert there.on().mode == "env" and there.env == b"COMPOSE_FILE=compose.yml:compose.nftui.yaml\n"


def test_a_directory_that_compose_would_not_take_by_itself(place: Place) -> None:
    place.write(docker__compose_yml=FILES, _env=b"COMPOSE_FILE=docker/compose.yml\n")
    place.request = ProjectRequest(project_directory=".", env_files=(".env",))
    assert (place.keep().mode, "project directory" in place.keep().reason) == ("command", True)


def test_what_the_narrow_reader_mistakes_is_left_alone(place: Place) -> None:
    """The key stands in a value of several lines: Compose does not see it, and must not see it changed."""
    env = b'NOTE="\nCOMPOSE_FILE=compose.yaml:b.yaml\n"\n'
    place.write(_env=env)
    assert place.keep().mode == "automatic"
    assert env_change(place.keep(), InForce(), env, wanted=True) is None


# -- taking it back ----------------------------------------------------------------------------------------
def read_by(path: str) -> tuple[Service, ...]:
    return (Service("web", raw={"env_file": path}),)


@pytest.mark.parametrize("change", ["", "env_file", "shell"])
def test_off_gives_env_back_whatever_would_keep_the_file_today(place: Place, change: str) -> None:
    place.write(_env=b"A=1\n")
    place.on()
    place.services = read_by(".env") if change == "env_file" else ()
    place.environ = {"COMPOSE_FILE": "compose.yaml"} if change == "shell" else {}
    place.off()
    assert place.env == b"A=1\n" and not (place.directory / OVERRIDE_NAME).exists()


def test_while_wanted_the_value_stays_whatever_the_mode(place: Place) -> None:
    place.on()
    written = place.env
    place.services = read_by(".env")
    assert (place.on().mode, place.env) == ("env", written)
    place.environ = {"COMPOSE_FILE": "compose.yaml"}
    assert (place.on().mode, place.env) == ("command", written)


def test_off_leaves_an_env_that_does_not_name_nftuis_file(place: Place) -> None:
    place.on()
    place.write(_env=b"COMPOSE_FILE=b.yaml\n")
    place.off({**ORIGIN, "value": "compose.yaml"})
    assert place.env == b"COMPOSE_FILE=b.yaml\n"


@pytest.mark.parametrize(
    ("origin", "now", "left"),
    [
        (None, b"compose.yaml:compose.nftui.yaml", b""),
        (None, LEFT, b"COMPOSE_FILE=compose.yaml:b.yaml\n"),
        ("compose.yaml", b"compose.yaml:compose.nftui.yaml", b"COMPOSE_FILE=compose.yaml\n"),
        ("compose.yaml", LEFT, b"COMPOSE_FILE=compose.yaml:b.yaml\n"),
        (None, b"compose.nftui.yaml:compose.yaml", b""),
    ],
)
def test_files_that_the_operator_named_since_stay_named(
    place: Place, origin: str | None, now: bytes, left: bytes
) -> None:
    place.write(_env=b"COMPOSE_FILE=" + now + b"\n", compose_nftui_yaml=OURS)
    place.off({**ORIGIN, "value": origin})
    assert place.env == left


def test_no_env_where_there_was_none(place: Place) -> None:
    place.on()
    place.off({**ORIGIN, "existed": False})
    assert place.env is None


def test_the_change_of_env_says_what_becomes_of_it(place: Place) -> None:
    def action(origin: Mapping[str, object] = ORIGIN, *, wanted: bool) -> str:
        change = env_change(place.keep(), InForce(env_origin=origin), place.env, wanted=wanted)
        assert change is not None
        return change.action

    assert action(wanted=True) == "create"
    place.on()
    assert action({**ORIGIN, "existed": False}, wanted=False) == "delete"
    assert action(wanted=False) == "update"


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_last_line_without_an_end_has_none_again(place: Place, end: bytes) -> None:
    before = b"A=1" + end + b"B=2"
    place.write(_env=before)
    place.on()
    assert place.env == before + end + b"COMPOSE_FILE=compose.yaml:compose.nftui.yaml" + end
    place.off({**ORIGIN, "unended": True})
    assert place.env == before


def test_nftuis_former_file_is_not_the_operators(place: Place) -> None:
    """It was loaded by its name while a service read `.env`; that it no longer does changes nothing."""
    place.write(_env=b"A=1\n")
    place.services = read_by(".env")
    assert Path(place.on().override).name == "compose.override.yaml"
    place.services = ()
    keep = place.on()
    assert (keep.mode, Path(keep.override).name, place.env) == ("automatic", "compose.override.yaml", b"A=1\n")
    assert own_files(place.directory, place.env) == ["compose.yaml"]
    place.write(_env=b"COMPOSE_FILE=compose.yaml:b.yaml\n")
    assert place.on().mode == "env" and place.env == b"COMPOSE_FILE=compose.yaml:b.yaml:compose.override.yaml\n"
    place.off()
    assert place.env == b"COMPOSE_FILE=compose.yaml:b.yaml\n"
    assert not [path for path in place.directory.iterdir() if path.name in (OVERRIDE_NAME, "compose.override.yaml")]


def test_an_operators_file_under_the_automatic_name_is_named(place: Place) -> None:
    place.write(compose_override_yaml=FILES)
    assert place.on().mode == "env"
    assert place.env == b"COMPOSE_FILE=compose.yaml:compose.override.yaml:compose.nftui.yaml\n"


def test_nftuis_file_stays_under_its_name(place: Place) -> None:
    """The operator took the key out of `.env`, which a service reads now: one file of nftui's, and the command."""
    place.on()
    place.write(_env=b"A=1\n")
    place.services = read_by(".env")
    assert (place.keep().mode, Path(place.keep().override).name) == ("command", OVERRIDE_NAME)
    place.off()
    assert place.env == b"A=1\n" and not (place.directory / OVERRIDE_NAME).exists()


@pytest.mark.parametrize(("path", "ignored"), [(".env", ["web"]), ("other.env", [])])
def test_who_reads_env_may_differ_by_the_key(place: Place, path: str, ignored: list[str]) -> None:
    place.on()
    place.services = read_by(path)
    change = env_change(place.keep(), InForce(env_origin=ORIGIN), place.env, wanted=False)
    assert change is not None and change.keys == (KEY,)
    (step,) = check_step(Facts(Host(1 << 30), place.stack()), [change], set(), (), {})
    assert step.params["ignored"] == ignored


# -- links -------------------------------------------------------------------------------------------------
@ROOT
def test_a_link_that_may_not_be_followed_is_refused_before_anything_begins(place: Place) -> None:
    shared, link = place.directory / "shared", place.directory / ".env"
    shared.write_bytes(b"A=1\n")
    link.symlink_to("shared")
    must_be_writable(str(link))
    os.chown(link, 1234, 1234, follow_symlinks=False)
    with pytest.raises(UsageError, match=r"made by someone who does not own it. Nothing was touched"):
        must_be_writable(str(link))
    shared.unlink()
    with pytest.raises(UsageError, match=r"which is not there. Nothing was touched"):
        must_be_writable(str(link))
