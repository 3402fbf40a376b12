"""Every fixture project is read exactly as Docker Compose reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.reader.projects import NAMES, compose_config, environ_of, invocation, need_compose, read, undoubled


def tidy(service: dict[str, Any]) -> dict[str, Any]:
    """A service without what Compose prints or leaves out where nothing is said."""
    service = {
        key: value for key, value in service.items() if value not in (None, [], {}, False) or key == "entrypoint"
    }
    if service.get("entrypoint") is None:
        service.pop("entrypoint", None)
    if isinstance(service.get("deploy"), dict):
        service["deploy"] = {key: value for key, value in service["deploy"].items() if value != {}}
    if isinstance(service.get("healthcheck"), dict):
        service["healthcheck"] = {key: value for key, value in service["healthcheck"].items() if value is not False}
    return service


@pytest.fixture(scope="module")
def compose() -> dict[str, dict[str, Any]]:
    """What Compose printed, per fixture; asked once."""
    need_compose()
    return {}


def config(name: str, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if name not in known:
        result = compose_config(invocation(name), environ_of(name))
        assert result.returncode == 0, result.stderr
        known[name] = undoubled(json.loads(result.stdout))
    return known[name]


@pytest.mark.parametrize("name", NAMES)
def test_services_are_those_of_compose(name: str, compose: dict[str, dict[str, Any]]) -> None:
    project, expected = read(name), config(name, compose)
    assert project.name == expected["name"]
    assert set(project.active) == set(expected["services"])
    services = project.document["services"]
    assert isinstance(services, dict)
    for service, wanted in expected["services"].items():
        assert tidy(services[service]) == tidy(wanted), service


@pytest.mark.parametrize("name", NAMES)
def test_resources_are_those_of_compose(name: str, compose: dict[str, dict[str, Any]]) -> None:
    project, expected = read(name), config(name, compose)
    for kind in ("networks", "volumes", "secrets", "configs"):
        section = project.document.get(kind, {})
        assert isinstance(section, dict)
        # Compose leaves unused ones out; the reader keeps them.
        for key, wanted in expected.get(kind, {}).items():
            assert section[key] == {k: v for k, v in wanted.items() if v != {}}, f"{kind}.{key}"


@pytest.mark.parametrize("name", NAMES)
def test_no_fixture_is_refused(name: str) -> None:
    assert [problem for problem in read(name).problems if problem.blocks] == []
