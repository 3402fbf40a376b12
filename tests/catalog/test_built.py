"""The role of a service that is built here: by the image below the stage that is built, and by what it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nftui.catalog import classify

BUILT = [
    ("FROM node:20 AS web\nRUN npm ci\nFROM postgres:16-alpine\nCOPY --from=web /a /a\n", {}, "postgres", "16"),
    ("FROM postgres:16 AS one\nFROM python:3.12\nCMD [\"python\", \"app.py\"]\n", {}, "unknown", None),
    ("FROM postgres:16 AS dev\nFROM nginx AS prod\n", {"target": "dev"}, "postgres", "16"),
    ("ARG V=7\nFROM redis:${V} AS base\nFROM base\nCMD [\"redis-server\", \"/redis.conf\"]\n", {}, "redis", "7"),
    ("ARG V=7\nFROM redis:${V}\n", {"args": {"V": "6.2"}}, "redis", "6.2"),
    ("FROM postgres:16\nCOPY backup.sh /\nCMD [\"/backup.sh\"]\n", {}, "client", "16"),
    ("FROM postgres:16\nRUN apt install python3\nCMD [\"python3\", \"worker.py\"]\n", {}, "unknown", None),
    ("FROM ollama/ollama\nCOPY start.sh /\nENTRYPOINT [\"/start.sh\"]\n", {}, "ollama", None),
    ("FROM prom/prometheus:v2.50.0\nADD prometheus.yml /etc/prometheus/\n", {}, "prometheus", "2.50.0"),
    ("FROM redis:7\nRUN <<EOF\nFROM x\nEOF\n", {}, "unknown", None),
]  # fmt: skip


@pytest.mark.parametrize(("dockerfile", "options", "role", "version"), BUILT)
def test_built(tmp_path: Path, dockerfile: str, options: dict[str, Any], role: str, version: str | None) -> None:
    (tmp_path / "Dockerfile").write_text(dockerfile)
    found = classify({"build": {"context": str(tmp_path), **options}})
    assert (str(found.role), found.version) == (role, version)


def test_its_own_command_comes_before_that_of_the_dockerfile(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text('FROM postgres:16\nCMD ["python3", "worker.py"]\n')
    build = {"build": {"context": str(tmp_path)}}
    assert str(classify({**build, "command": ["postgres", "-c", "fsync=on"]}).role) == "postgres"
    assert str(classify({**build, "command": ["pg_dump", "x"]}).role) == "client"


def test_what_is_not_here_says_nothing(tmp_path: Path) -> None:
    assert str(classify({"build": {"context": str(tmp_path)}}).role) == "unknown"
    assert str(classify({"build": {"context": str(tmp_path)}, "image": "postgres:16"}).role) == "postgres"
