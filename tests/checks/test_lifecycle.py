"""restart-missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.checks.build import check, read

_DATABASE = "services:\n  db:\n    image: postgres:15\n{more}"
_JOB = """\
services:
  migrate:
    image: example/app:1
    command: [migrate]
  app:
    image: example/app:1
    restart: always
    depends_on: {migrate: {condition: service_completed_successfully}}
"""


def test_a_database_without_restart_is_found_at_its_line(tmp_path: Path) -> None:
    found = check(read(tmp_path, _DATABASE.format(more="    restart: 'no'\n")))[("db", "restart-missing")]
    assert (found.level, found.evidence[0].value, found.evidence[0].line) == ("medium", "no", 4)


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure:3"])
def test_one_that_comes_back_is_silent(tmp_path: Path, policy: str) -> None:
    assert ("db", "restart-missing") not in check(read(tmp_path, _DATABASE.format(more=f"    restart: {policy}\n")))


def test_a_job_that_others_wait_for_is_silent(tmp_path: Path) -> None:
    assert ("migrate", "restart-missing") not in check(read(tmp_path, _JOB))


def test_a_child_that_the_kernel_killed_is_told(tmp_path: Path) -> None:
    """The engine's own flag is of the main process alone."""
    service = "{image: 'example/app:1', mem_limit: 64m}"
    facts = read(tmp_path, f"services:\n  db: {service}\n  app: {service}\n")
    found = check(replace(facts, oom_kills={"db": 1}))
    assert [e.key for e in found["db", "limit-too-small"].evidence] == ["mem_limit", "memory cgroup oom_kill"]
    assert ("app", "limit-too-small") not in found
