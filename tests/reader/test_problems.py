"""What Compose refuses of a project that can be read is a problem with its place; the rest is still read."""

from __future__ import annotations

from pathlib import Path

import pytest

from nftui.model.stack import Invocation, Problem
from nftui.probes.reader import ReadProject, read_project
from tests.reader.projects import compose_config, need_compose

ENVIRON = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/home/tester"}


def read(directory: Path, profiles: tuple[str, ...] = ()) -> ReadProject:
    return read_project(Invocation(str(directory), (str(directory / "compose.yaml"),), profiles), ENVIRON)


def make(directory: Path, text: str, **files: str) -> ReadProject:
    (directory / "compose.yaml").write_text(text)
    for name, content in files.items():
        (directory / name.replace("_", ".")).write_text(content)
    return read(directory)


def only(project: ReadProject) -> Problem:
    assert len(project.problems) == 1, project.problems
    return project.problems[0]


CASES = {
    "variable-missing": ("services:\n  a:\n    image: x\n    labels: {a: '${NEED:?say it}'}\n", 4, "NEED"),
    "interpolation-invalid": ("services:\n  a:\n    image: x\n    command: echo ${a b}\n", 4, "${a b}"),
    "network-undefined": ("services:\n  a:\n    image: x\n    networks:\n      - gone\n", 5, "gone"),
    "service-undefined": ("services:\n  a:\n    image: x\n    depends_on:\n      - gone\n", 5, "gone"),
    "service-incomplete": ("services:\n  a:\n    command: x\n", 2, "neither an image nor a build"),
    "extends-cycle": ("services:\n  a: {image: x, extends: b}\n  b: {image: y, extends: a}\n", None, "circle"),
    "extends-missing": ("services:\n  a:\n    image: x\n    extends: gone\n", 4, "gone"),
    "depends-cycle": (
        "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: y, depends_on: [a]}\n",
        None,
        "circle",
    ),
    "limits-distinct": (
        "services:\n  a:\n    image: x\n    mem_limit: 1g\n    deploy: {resources: {limits: {memory: 2g}}}\n",
        4,
        "mem_limit",
    ),
    "container-name-conflict": (
        "services:\n  a: {image: x, container_name: n}\n  b: {image: x, container_name: n}\n",
        3,
        "n",
    ),
    "env-file-missing": ("services:\n  a:\n    image: x\n    env_file: gone.env\n", 4, "gone.env"),
    "value-invalid": ("services:\n  a:\n    image: x\n    mem_limit: lots\n", 4, "lots"),
}


@pytest.mark.parametrize("id", CASES)
def test_one_problem_with_its_line(id: str, tmp_path: Path) -> None:
    text, line, mentioned = CASES[id]
    project = make(tmp_path, text)
    assert {problem.id for problem in project.problems} == {id}
    problem = project.problems[0]
    assert mentioned in problem.text
    assert problem.blocks == ("plan", "apply")
    assert problem.place is not None
    assert problem.place.file == str(tmp_path / "compose.yaml")
    assert line is None or problem.place.line == line
    services = project.document["services"]
    assert isinstance(services, dict)
    assert "a" in services


# Compose 2.26 prints such a project, newer ones refuse it, and the engine cannot create the second container.
@pytest.mark.parametrize("id", sorted(set(CASES) - {"container-name-conflict"}))
def test_compose_refuses_the_same(id: str, tmp_path: Path) -> None:
    need_compose()
    make(tmp_path, CASES[id][0])
    call = Invocation(str(tmp_path), (str(tmp_path / "compose.yaml"),))
    assert compose_config(call, ENVIRON).returncode != 0


def test_a_problem_of_an_inactive_service_blocks_nothing(tmp_path: Path) -> None:
    text = "services:\n  a: {image: x}\n  m: {image: y, profiles: [mail], networks: [gone], volumes: ['lost:/x']}\n"
    project = make(tmp_path, text)
    assert [(p.id, p.blocks) for p in project.problems] == [("network-undefined", ()), ("network-undefined", ())]
    assert all(p.blocks for p in read(tmp_path, ("mail",)).problems)


def test_blank_interpolation_breaks_only_its_own_entry(tmp_path: Path) -> None:
    text = "services:\n  a:\n    image: x\n    ports: ['80:80', '${NO}x:81']\n    volumes: ['${NO}:/d', './x:/x']\n"
    project = make(tmp_path, text)
    service = project.document["services"]["a"]  # type: ignore[index]
    assert len(service["ports"]) == 1
    # What is mounted there is not known, but something is.
    assert [(v["target"], v.get("source")) for v in service["volumes"]] == [("/d", None), ("/x", f"{tmp_path}/x")]
    assert [p.place and p.place.line for p in project.problems] == [4, 5]
    assert [place.line for place in project.unset["NO"]] == [4, 5]


def test_include_of_an_absent_file_and_in_a_circle(tmp_path: Path) -> None:
    project = make(tmp_path, "include: [gone.yaml]\nservices: {a: {image: x}}\n")
    assert only(project).id == "include-missing"
    circle = "include: [compose.yaml]\nservices: {b: {image: y}}\n"
    project = make(tmp_path, "include: [b.yaml]\nservices: {a: {image: x}}\n", b_yaml=circle)
    assert only(project).id == "include-cycle"
    assert set(project.active) == {"a", "b"}


def test_the_including_file_goes_over_what_it_includes(tmp_path: Path) -> None:
    same = "services: {a: {image: x}}\nvolumes: {v: {}}\n"
    project = make(tmp_path, "include: [b.yaml]\n" + same, b_yaml=same)
    assert project.problems == ()
    project = make(tmp_path, "include: [b.yaml]\n" + same, b_yaml="services: {a: {image: other, restart: always}}\n")
    assert project.problems == ()
    services = project.document["services"]
    assert isinstance(services, dict)
    service = services["a"]
    assert (service["image"], service["restart"]) == ("x", "always")


def test_a_remote_include_is_named(tmp_path: Path) -> None:
    project = make(tmp_path, "include: ['https://github.com/acme/stack.git']\nservices: {a: {image: x}}\n")
    assert only(project).id == "include-remote"


def test_an_invalid_name_and_a_missing_env_file(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {a: {image: x}}\n")
    call = Invocation(str(tmp_path), (str(tmp_path / "compose.yaml"),), name="Not Valid", env_files=("/gone.env",))
    assert [p.id for p in read_project(call, ENVIRON).problems] == ["env-file-missing", "name-invalid"]
