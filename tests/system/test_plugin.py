"""Which program `docker compose` starts: named only where there is no doubt."""

from __future__ import annotations

from pathlib import Path

import pytest

from nftui.system.plugin import compose_plugin

ELF = b"\x7fELF..."


def program(path: Path, content: bytes = ELF) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """A machine with the CLI, and the plugin in the second of two system directories."""
    program(tmp_path / "bin" / "docker")
    program(tmp_path / "two" / "docker-compose")
    (tmp_path / "config").mkdir()
    environ = {"PATH": str(tmp_path / "bin"), "DOCKER_CONFIG": str(tmp_path / "config")}
    return environ, (str(tmp_path / "one"), str(tmp_path / "two"))


Machine = tuple[dict[str, str], tuple[str, ...]]


def test_the_only_one(machine: Machine, tmp_path: Path) -> None:
    assert compose_plugin(*machine) == str(tmp_path / "two" / "docker-compose")


def test_a_link_to_the_same_program_is_no_second_one(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "docker-compose").symlink_to(tmp_path / "two" / "docker-compose")
    assert compose_plugin(*machine) == str(tmp_path / "two" / "docker-compose")


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("one/docker-compose", ELF),
        ("config/cli-plugins/docker-compose", ELF),
        ("bin/docker", b"#!/bin/sh\nexec podman \"$@\"\n"),
        ("two/docker-compose", b"#!/bin/sh\n"),
        ("config/config.json", b'{"cliPluginsExtraDirs": ["/opt"]}'),
        ("config/config.json", b"{"),
    ],
)  # fmt: skip
def test_a_doubt(machine: Machine, tmp_path: Path, path: str, content: bytes) -> None:
    program(tmp_path / path, content)
    assert compose_plugin(*machine) is None


def test_an_ordinary_configuration_is_no_doubt(machine: Machine, tmp_path: Path) -> None:
    program(tmp_path / "config" / "config.json", b'{"auths": {}}')
    assert compose_plugin(*machine) is not None


def test_a_snap_is_something_else(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "bin" / "docker").unlink()
    program(tmp_path / "snap")
    (tmp_path / "bin" / "docker").symlink_to(tmp_path / "snap")
    assert compose_plugin(*machine) is None


def test_without_docker_or_plugin(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "two" / "docker-compose").unlink()
    assert compose_plugin(*machine) is None
    (tmp_path / "bin" / "docker").unlink()
    assert compose_plugin(*machine) is None
