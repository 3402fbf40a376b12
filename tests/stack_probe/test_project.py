"""The project is the one that `docker compose` would find; the rest is refused in one line."""

import os
from pathlib import Path

import pytest

from nftui.model.errors import UsageError
from nftui.model.stack import Invocation, ProjectRequest
from nftui.probes.project import find_project, own_file


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory app/ with compose.yaml, and the working directory in it."""
    directory = tmp_path / "app"
    directory.mkdir()
    (directory / "compose.yaml").write_text("services: {}\n")
    monkeypatch.chdir(directory)
    return directory


def find(environ: dict[str, str] | None = None, /, **request: object) -> Invocation:
    return find_project(ProjectRequest(**request), environ or {})  # type: ignore[arg-type]


def names(invocation: Invocation) -> list[str]:
    return [Path(f).name for f in invocation.files]


def write(directory: Path, **files: str) -> None:
    for name, text in files.items():
        (directory / name.replace("__", "-").replace("_", ".")).write_text(text)


def test_the_working_directory_and_its_parents(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(project / "a" / "b")
    found = find()
    assert (found.directory, found.files) == (str(project), (str(project / "compose.yaml"),))
    assert found.working_directory == str(project / "a" / "b")
    assert not found.explicit_files


def test_discovery_order_and_the_automatic_override(project: Path) -> None:
    write(project, docker__compose_yml="", compose_yml="", docker__compose_override_yml="")
    assert names(find()) == ["compose.yaml", "docker-compose.override.yml"]
    write(project, compose_override_yaml="")
    assert names(find()) == ["compose.yaml", "compose.override.yaml"]
    (project / "compose.yaml").unlink()
    (project / "compose.yml").unlink()
    assert names(find()) == ["docker-compose.yml", "compose.override.yaml"]


def test_a_project_argument(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, other_yml="", compose_override_yaml="")
    monkeypatch.chdir(tmp_path)
    assert names(find(path="app")) == ["compose.yaml", "compose.override.yaml"]
    by_file = find(path="app/other.yml")
    assert (names(by_file), by_file.directory, by_file.explicit_files) == (["other.yml"], str(project), True)
    assert find(path="app", files=("other.yml",)).files == (str(project / "other.yml"),)
    assert find(path="app").working_directory == str(project)


def test_a_directory_with_a_link_keeps_its_name(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "current").symlink_to(project)
    monkeypatch.chdir(tmp_path / "current")
    assert find({"PWD": str(tmp_path / "current")}).directory == str(tmp_path / "current")
    assert find({"PWD": "/somewhere/else"}).directory == str(project)


def test_compose_file_from_shell_and_env(project: Path) -> None:
    write(project, a_yml="", b_yml="")
    (project / ".env").write_text(
        "# x\nE=b\nCOMPOSE_FILE=a.yml:${E}.yml:compose.nftui.yaml # y\nCOMPOSE_PROFILES=p, q\n"
    )
    found = find()
    assert (names(found), found.profiles, found.explicit_files) == (["a.yml", "b.yml"], ("p", "q"), False)
    assert names(find({"COMPOSE_FILE": "compose.yaml;b.yml", "COMPOSE_PATH_SEPARATOR": ";"})) == [
        "compose.yaml",
        "b.yml",
    ]
    assert names(find(files=("compose.yaml",))) == ["compose.yaml"]
    assert find({"COMPOSE_PROFILES": ""}).profiles == ()
    assert find(profiles=("z",)).profiles == ("z",)


def test_compose_file_of_a_parent_is_relative_to_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, a_yml="")
    (project / ".env").write_text("COMPOSE_FILE=compose.yaml:a.yml\n")
    (project / "sub").mkdir()
    monkeypatch.chdir(project / "sub")
    assert names(find()) == ["compose.yaml", "a.yml"]


def test_compose_file_elsewhere_reads_both_env_files(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / ".env").write_text("COMPOSE_FILE=../app/compose.yaml\n")
    (project / ".env").write_text("A=1\n")
    monkeypatch.chdir(other)
    found = find()
    assert (found.directory, found.env_files) == (str(project), (str(project / ".env"), str(other / ".env")))
    with_f = find(files=("../app/compose.yaml",))
    assert (with_f.directory, with_f.env_files) == (str(project), ())


def test_names_and_env_files(project: Path, tmp_path: Path) -> None:
    (project / "prod.env").write_text("COMPOSE_PROJECT_NAME=prod\nCOMPOSE_PROFILES=x\n")
    (project / ".env").write_text("COMPOSE_PROJECT_NAME=dev\n")
    assert find().name == "dev"
    assert find(name="cli").name == "cli"
    found = find(env_files=("prod.env",))
    assert (found.name, found.profiles, found.env_files) == ("prod", ("x",), (str(project / "prod.env"),))
    assert find({"COMPOSE_ENV_FILES": "prod.env"}).env_files == (str(project / "prod.env"),)
    with pytest.raises(UsageError, match=r"env file none\.env is not there"):
        find(env_files=("none.env",))


def test_the_project_directory(project: Path, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("COMPOSE_PROFILES=up\n")
    found = find(files=("compose.yaml",), project_directory="..")
    assert (found.directory, found.profiles) == (str(tmp_path), ("up",))
    with pytest.raises(UsageError, match="project directory nowhere"):
        find(project_directory="nowhere")


def test_nftuis_own_file_is_taken_out(project: Path) -> None:
    write(project, compose_nftui_yaml="")
    assert names(find(files=("compose.yaml", "compose.nftui.yaml"))) == ["compose.yaml"]
    assert own_file(find()) == str(project / "compose.nftui.yaml")
    with pytest.raises(UsageError, match=r"Only nftui's own compose\.nftui\.yaml"):
        find(files=("compose.nftui.yaml",))


def test_nftuis_own_file_under_an_automatic_name(project: Path) -> None:
    write(project, compose_override_yaml="# Written by nftui; generation 1\n")
    assert names(find()) == ["compose.yaml"]
    assert own_file(find()) == str(project / "compose.override.yaml")


def test_a_missing_file_is_named_with_its_line(project: Path) -> None:
    (project / ".env").write_text("A=1\n\n\n\n\n\nCOMPOSE_FILE=old.yaml\n")
    with pytest.raises(UsageError) as caught:
        find()
    assert str(caught.value) == (
        ".env line 7: COMPOSE_FILE names old.yaml, which is not there. Remove it or restore the file."
    )
    with pytest.raises(UsageError, match=r"in the environment names old\.yaml"):
        find({"COMPOSE_FILE": "old.yaml"})


def test_what_cannot_be_a_project(project: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    (empty / "compose.yaml").mkdir(parents=True)
    (tmp_path / "bare").mkdir()
    (project / "binary.yml").write_bytes(b"\x7fELF\0\0")
    with (project / "large.yml").open("wb") as file:
        file.truncate(50 * 1024 * 1024)
    os.mkfifo(project / "fifo.yml")
    (project / "dangling.yml").symlink_to("gone.yml")
    for request, words in (
        ({"path": "none"}, "none is not there"),
        ({"path": str(tmp_path / "bare")}, "No Compose file in"),
        ({"path": str(empty)}, "is a directory"),
        ({"files": ("none.yml",)}, "none.yml is not there"),
        ({"files": ("binary.yml",)}, "is a binary file"),
        ({"files": ("large.yml",)}, "too large"),
        ({"files": ("fifo.yml",)}, "not a regular file"),
        ({"files": ("dangling.yml",)}, "is a link to gone.yml, which is not there"),
    ):
        with pytest.raises(UsageError, match=words):
            find(**request)
