"""Fixtures that give a test an engine, the test images and a stack of its own.

`engine`         the engine answers and has the images; else the test is skipped, or fails under
                 CI or NFTUI_REQUIRE_ENGINE=1: a run that tested nothing must not look green.
`stack_factory`  `stack_factory(up=True, postgres="15", env=None)` gives a new `Stack`.
`running_stack`  one `Stack`, up and healthy.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from tests.stack import images
from tests.stack.running import SOURCE, Stack, docker, existing_volumes, leftovers

# Every name and label of this session begins with it: sessions side by side stay apart.
SESSION = f"nftuit-{secrets.token_hex(3)}"
FILES = ("compose.yaml", ".env", "initdb")


def engine_is_required() -> bool:
    """Whether a missing engine is a failure rather than a skip."""
    required = os.environ.get("NFTUI_REQUIRE_ENGINE") or os.environ.get("CI", "")
    return required.lower() not in ("", "0", "false")


def why_no_engine() -> str | None:
    """None when Docker and Compose answer; else one line that says what is missing."""
    if shutil.which("docker") is None:
        return "docker is not installed"
    for command in (("info", "--format", "{{.ServerVersion}}"), ("compose", "version")):
        try:
            docker(*command, timeout=20)
        except subprocess.SubprocessError:
            return f"`docker {' '.join(command)}` fails"
    return None


@pytest.fixture(scope="session")
def engine() -> Iterator[None]:
    """A Docker Engine with the test images; at the end nothing of the tests may be left in it."""
    if reason := why_no_engine():
        _give_up(reason)
    try:
        images.ensure(*images.DEFAULT)
    except (subprocess.SubprocessError, OSError) as error:
        _give_up(f"the test images cannot be made: {error}")
    yield
    assert not session_leftovers(), "tests left things in the engine"


def _give_up(reason: str) -> None:
    if engine_is_required():
        pytest.fail(f"no engine: {reason}", pytrace=False)
    pytest.skip(f"no engine: {reason}")


def session_leftovers() -> list[str]:
    """Containers, volumes and networks whose project, or whose name, is of this session."""
    found = set()
    for kind, options in (("container", ["--all"]), ("volume", []), ("network", [])):
        found |= {
            f"{kind} {name}"
            for name in docker(kind, "ls", *options, "--format", _name_of(kind)).split()
            if SESSION in name
        }
    return sorted(found)


def _name_of(kind: str) -> str:
    name = "{{.Names}}" if kind == "container" else "{{.Name}}"
    return name + '/{{.Label "com.docker.compose.project"}}'


class StackFactory(Protocol):
    """`stack_factory`: a stack in a directory of its own, removed after the test."""

    def __call__(self, *, up: bool = True, postgres: str = "15", env: Mapping[str, str] | None = None) -> Stack:
        """A copy of the stack on that PostgreSQL major; `env` adds to its `.env`."""
        ...


@pytest.fixture
def stack_factory(engine: None, tmp_path: Path) -> Iterator[StackFactory]:
    """Make any number of stacks; each is torn down, and checked to be gone, after the test."""
    made: list[Stack] = []

    def make(*, up: bool = True, postgres: str = "15", env: Mapping[str, str] | None = None) -> Stack:
        images.ensure(f"postgres:{postgres}")
        stack = copy_stack(tmp_path, postgres, env or {})
        made.append(stack)
        if up:
            stack.up()
        return stack

    yield make
    problems = [problem for stack in made for problem in tear_down(stack)]
    assert not problems, "a stack was not removed whole"


@pytest.fixture
def running_stack(stack_factory: StackFactory) -> Stack:
    """The stack as it is in `tests/stack`, up and healthy."""
    return stack_factory()


def copy_stack(parent: Path, postgres: str, env: Mapping[str, str]) -> Stack:
    """A copy in `parent`, under a project name that nobody else has; nothing is started."""
    project = f"{SESSION}-{secrets.token_hex(2)}"
    directory = parent / project
    directory.mkdir()
    for name in FILES:
        source = SOURCE / name
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, directory / name)
    stack = Stack(project, directory)
    stack.set_env(
        POSTGRES_IMAGE=images.reference(f"postgres:{postgres}"),
        REDIS_IMAGE=images.reference("redis:7"),
        APP_IMAGE=images.reference("app:latest"),
        **env,
    )
    return stack


def tear_down(stack: Stack) -> list[str]:
    """Remove it; the list of what stayed is empty when all went well."""
    volumes = stack.mounted_volumes()
    try:
        stack.down()
    except (subprocess.SubprocessError, OSError) as error:
        # A test may have broken the files on purpose; what runs must go all the same.
        problem = [f"down failed: {error}"] if (stack.directory / "compose.yaml").exists() else []
        return problem + remove_by_label(stack)
    anonymous = volumes & existing_volumes()
    return stack.leftovers() + [f"volume {name}" for name in sorted(anonymous)]


def remove_by_label(stack: Stack) -> list[str]:
    """Remove what bears the project's label, without its files; what stayed."""
    label = f"com.docker.compose.project={stack.project}"
    options = {"container": ["--force", "--volumes"], "volume": ["--force"], "network": []}
    for thing in leftovers(label):
        kind, name = thing.split()
        docker(kind, "rm", *options[kind], name, check=False)
    return leftovers(label)
