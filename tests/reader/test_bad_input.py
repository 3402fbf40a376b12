"""Nothing that a file can hold raises anything but UsageError, or takes long."""

from __future__ import annotations

from pathlib import Path

import pytest

from nftui.model.errors import UsageError
from nftui.model.stack import Invocation
from nftui.probes.reader import ReadProject, read_project
from tests.counting import calls

# Nothing here takes a second: what goes on without end is stopped.
pytestmark = pytest.mark.timeout(30)

ENVIRON = {"HOME": "/home/tester"}
GOOD = "services:\n  a: {image: x}\n"


def read(directory: Path, *files: str, environ: dict[str, str] | None = None) -> ReadProject:
    paths = tuple(str(directory / file) for file in files or ("compose.yaml",))
    return read_project(Invocation(str(directory), paths), environ or ENVIRON)


def write(directory: Path, **files: str | bytes) -> None:
    for name, content in files.items():
        path = directory / name.replace("__", "/").replace("_yaml", ".yaml").replace("dotenv", ".env")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "tab": ("services:\n\ta: 1\n", "line 2"),
    "unclosed": ("services: {a: [1,\n", "not valid YAML"),
    "list": ("- a\n- b\n", "not a mapping"),
    "text": ("just text\n", "not a mapping"),
    "null document": ("---\n", "not a mapping"),
    "duplicate": ("services:\n  a: {image: x}\n  b: {image: y}\n  a: {image: z}\n", "line 4: the key 'a' is already"),
    "duplicate merge": ("x: &x {a: 1}\ny:\n  <<: *x\n  <<: *x\n", "line 4"),
    "number key": ("services:\n  8080: {image: x}\n", "line 2: the key '8080' is not text"),
    "boolean key": ("services:\n  a:\n    environment: {true: 1}\n", "line 3: the key 'true'"),
    "null key": ("services:\n  ~: {image: x}\n", "line 2"),
    "list key": ("services:\n  ? [a, b]\n  : c\n", "line 2"),
    "unknown anchor": ("services:\n  a: *nowhere\n", "line 2: the anchor 'nowhere'"),
    "own anchor": ("services: &s\n  a: *s\n", "contains itself"),
    "bad merge": ("services:\n  a:\n    <<: text\n", "line 3"),
    "null byte": (b"services:\n  a: {image: \x00}\n", "binary"),
    "invalid utf-8": (b"services:\n  a: {image: \xff\xfe}\n", "line 2: is not valid UTF-8"),
    "image": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "UTF-8"),
    "deep flow": ("a: " + "[" * 5000, "nested deeper"),
    "deep block": ("a:\n" + "- " * 5000, "nested deeper"),
    "deep keys": ("? " * 5000, "line 1"),
    "too large": (b"#" * (16 * 1024 * 1024 + 1), "larger than 16 MiB"),
    "colon": ("services:\n  a:\n    image: x: y\n", "line 3"),
    "control character": ("services:\n  a: {image: \x07}\n", "line 2"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_main_file_that_cannot_be_parsed(kind: str, tmp_path: Path) -> None:
    content, expected = REFUSED[kind]
    write(tmp_path, compose_yaml=content)
    with pytest.raises(UsageError) as caught:
        read(tmp_path)
    message = str(caught.value)
    assert str(tmp_path / "compose.yaml") in message
    assert expected in message
    assert "\n" not in message


def test_a_directory_a_missing_and_a_special_file(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").mkdir()
    for file, expected in (("compose.yaml", "is a directory"), ("absent.yaml", "No such file")):
        with pytest.raises(UsageError, match=expected):
            read(tmp_path, file)
    with pytest.raises(UsageError, match="not a regular file"):
        read_project(Invocation("/dev", ("/dev/zero",)), ENVIRON)
    with pytest.raises(UsageError, match="no Compose file"):
        read_project(Invocation(str(tmp_path), ()), ENVIRON)


SOON = 2_000_000
"""Calls; a bomb that goes off makes billions."""


def work_until_refused(directory: Path, reason: str) -> int:
    def refused() -> None:
        with pytest.raises(UsageError, match=reason):
            read(directory)

    return calls(refused)


def laughs(levels: int, width: int) -> str:
    lines = ["x0: &a0 [lol]"]
    for level in range(1, levels):
        lines.append(f"x{level}: &a{level} [" + ", ".join([f"*a{level - 1}"] * width) + "]")
    return "\n".join([*lines, GOOD])


@pytest.mark.parametrize("text", [laughs(30, 9), laughs(12, 30)])
def test_a_bomb_of_anchors_is_refused_at_once(text: str, tmp_path: Path) -> None:
    write(tmp_path, compose_yaml=text)
    assert work_until_refused(tmp_path, "expands to more than") < SOON


def test_a_bomb_of_merge_keys_is_refused_or_small(tmp_path: Path) -> None:
    lines = ["x0: &a0 {k0: v}"]
    lines += [f"x{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 20)}], k{n}: v}}" for n in range(1, 20)]
    write(tmp_path, compose_yaml="\n".join([*lines, GOOD]))
    assert work_until_refused(tmp_path, "expands") < SOON


def test_a_bomb_of_variables_stays_small(tmp_path: Path) -> None:
    lines = ["A0=" + "x" * 100] + [f"A{n}=" + f"${{A{n - 1}}}" * 20 for n in range(1, 12)]
    write(tmp_path, dotenv="\n".join(lines), compose_yaml='services:\n  a: {image: "${A11}"}\n')
    project = read(tmp_path)
    assert any(problem.id == "env-file-invalid" for problem in project.problems)


def test_nested_defaults_end_somewhere(tmp_path: Path) -> None:
    write(tmp_path, compose_yaml='services:\n  a: {image: "' + "${A:-" * 3000 + "}" * 3000 + '"}\n')
    project = read(tmp_path)
    assert [problem.id for problem in project.problems] == ["interpolation-invalid"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"A=1\nB=\xff\xfe\nC=3\n", "env-file-invalid"),
        (b"A=1\nthis is no definition\nC=3\n", "env-file-invalid"),
        (b'A=1\nC=3\nB="not closed\n', "env-file-invalid"),
        (b"A=1\nC=3\nB=${A\n", "env-file-invalid"),
        (b"A=1\nC=3\n" + b"X=" + b"y" * (10 * 1024 * 1024), "env-file-too-large"),
    ],
)
def test_env_files_that_compose_refuses(content: bytes, expected: str, tmp_path: Path) -> None:
    write(tmp_path, bad=content, compose_yaml="services:\n  a: {image: x, env_file: bad, environment: {OWN: 1}}\n")
    project = read(tmp_path)
    assert expected in [problem.id for problem in project.problems]
    environment = project.document["services"]["a"]["environment"]  # type: ignore[index]
    assert environment["OWN"] == "1"
    if expected == "env-file-invalid":
        assert (environment["A"], environment["C"]) == ("1", "3")


def test_a_comment_of_a_dot_env_may_be_in_another_encoding(tmp_path: Path) -> None:
    write(tmp_path, bad=b"# \xd6\xd0\xce\xc4\nA=1 # \xff\n", compose_yaml="services:\n  a: {image: x, env_file: bad}\n")
    project = read(tmp_path)
    assert not project.problems
    assert project.document["services"]["a"]["environment"] == {"A": "1"}  # type: ignore[index]


def test_a_dot_env_of_many_lines_is_linear(tmp_path: Path) -> None:
    lines = "".join(f"KEY_{n}='value {n}' # note\n" for n in range(50_000))
    write(tmp_path, dotenv=lines, compose_yaml='services:\n  a: {image: "x:${KEY_49999}"}\n')
    project = read(tmp_path)
    assert project.document["services"]["a"]["image"] == "x:value 49999"  # type: ignore[index]
    assert project.env_places["KEY_49999"].line == 50_000


WRONG_FORMS = [
    "services: [a]",
    "services: text",
    "services:\n  a: text\n  b: {image: x}",
    "services:\n  a:\n  b: {image: x}",
    "services:\n  a: {image: [x]}",
    "services:\n  a: {image: x, ports: {a: b}}",
    "services:\n  a: {image: x, ports: 80}",
    "services:\n  a: {image: x, ports: [[1]]}",
    "services:\n  a: {image: x, ports: [x:y, '', null, 99999, '1-2:3-9', {published: 1}]}",
    "services:\n  a: {image: x, volumes: text}",
    "services:\n  a: {image: x, volumes: [':', '::', '', 1, null, {source: x}, 'a:b:c:d:e', [x]]}",
    "services:\n  a: {image: x, environment: text}",
    "services:\n  a: {image: x, environment: [1, null, [x], {a: b}]}",
    "services:\n  a: {image: x, environment: {A: [1], B: {c: d}}}",
    "services:\n  a: {image: x, command: {a: b}}",
    'services:\n  a: {image: x, command: "unclosed \'quote"}',
    "services:\n  a: {image: x, depends_on: 5, networks: 5, env_file: 5, labels: 5, build: 5}",
    "services:\n  a: {image: x, depends_on: {b: null}, networks: [null], secrets: [5], configs: {a: b}}",
    "services:\n  a: {image: x, deploy: [1], healthcheck: [1], logging: 5, ulimits: 5, extra_hosts: [nonsense]}",
    "services:\n  a: {image: x, mem_limit: lots, cpus: many, stop_grace_period: soon, privileged: maybe}",
    "services:\n  a: {image: x, extends: 5}",
    "services:\n  a: {image: x, extends: {file: 5}}",
    "services:\n  a: {image: x, extends: [a]}",
    "services:\n  a: {image: x, profiles: text}",
    "services:\n  a: {image: x, devices: [5, {a: b}], tmpfs: {a: b}, expose: {a: b}}",
    "include: 5\nservices: {a: {image: x}}",
    "include: {path: 5}\nservices: {a: {image: x}}",
    "include: [5, null, {}, [x], {path: []}]\nservices: {a: {image: x}}",
    "volumes: [a]\nnetworks: text\nsecrets: {a: 5}\nservices: {a: {image: x}}",
    "volumes: {a: {driver_opts: 5}, b: {external: {name: 5}}, c: 5}\nservices: {a: {image: x}}",
    "networks: {a: {ipam: 5, labels: 5}}\nservices: {a: {image: x}}",
    "name: [a]\nservices: {a: {image: x}}",
    "name: ${\nservices: {a: {image: x}}",
    "services: {a: {image: '$', command: '${', labels: ['$1']}}",
    "services: {}",
    "{}",
    "# nothing",
    "",
    "version: '3'",
    "services: {a: {image: x, build: {context: [1], args: 5}}}",
    "services: {a: {image: x, links: [5], volumes_from: {a: b}, network_mode: [x]}}",
    "services: {a: {image: x, environment: !reset null, ports: !override [80]}}",
    "services: !reset {}",
    "!reset {}",
]


@pytest.mark.parametrize("text", WRONG_FORMS)
@pytest.mark.parametrize("over", [False, True])
def test_wrong_forms_are_problems_or_usage_errors(text: str, over: bool, tmp_path: Path) -> None:
    write(tmp_path, compose_yaml=text, good_yaml="services:\n  a: {image: y, ports: ['1:1'], environment: {A: 1}}\n")
    try:
        project = read(tmp_path, *(["good.yaml", "compose.yaml"] if over else ["compose.yaml"]))
    except UsageError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(project.document["services"], dict)


def test_the_rest_is_read_beside_unreadable_includes(tmp_path: Path) -> None:
    text = "include: [absent.yaml, bad.yaml, list.yaml, dir, good.yaml]\nservices: {a: {image: x}}\n"
    write(tmp_path, compose_yaml=text, bad_yaml="a: [", list_yaml="- a", good_yaml="services: {b: {image: y}}")
    (tmp_path / "dir").mkdir()
    project = read(tmp_path)
    ids = [problem.id for problem in project.problems]
    assert ids == ["include-missing", "include-unreadable", "include-unreadable", "include-unreadable"]
    assert set(project.active) == {"a", "b"}
    assert project.problems[0].place is not None
    assert project.problems[0].place.line == 1
