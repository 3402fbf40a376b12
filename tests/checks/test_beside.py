"""What is read beside a project: schedules with the scripts they start, daemon.json, scripts that use `.env`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nftui.model.stack import Engine
from nftui.probes import beside
from nftui.probes.beside import read_beside
from tests.checks.build import read

if TYPE_CHECKING:
    import pytest

_COMPOSE = "services:\n  app: {image: 'example/app:${TAG}'}\n"
_ENV = {".env": "TAG=1\nKEEP_DAYS=7\nNOBODY=1\n", "backup.sh": "find -mtime +${KEEP_DAYS}\n", "README.md": "NOBODY=1\n"}
_LOCAL = Engine("27", "ID")


def _root(directory: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return str(directory)


def test_schedules_with_what_they_start(tmp_path: Path) -> None:
    root = _root(tmp_path / "root", {
        "etc/crontab": "# pg_dump in a comment\n17 * * * * root /opt/nightly\n",
        "opt/nightly": "#!/bin/sh\nrestic backup /srv\n",
        "etc/cron.daily/dpkg": "dbs backups\n",
        "var/spool/cron/crontabs/root": "0 1 * * * borg create\n",
        "etc/systemd/system/copy.timer": "", "etc/systemd/system/copy.service": "ExecStart=/usr/bin/kopia snapshot\n",
        "etc/systemd/system/web.service": "ExecStart=/usr/bin/mysqldump\n",
    })  # fmt: skip
    lines = "\n".join(read_beside(read(tmp_path / "p", _COMPOSE).stack, _LOCAL, root=root).schedules)
    assert all(word in lines for word in ("restic", "borg", "kopia"))
    assert not any(word in lines for word in ("pg_dump", "dbs backups", "mysqldump"))


def test_an_engine_elsewhere_has_its_schedules_and_settings_there(tmp_path: Path) -> None:
    root = _root(tmp_path / "root", {"etc/crontab": "x\n", "etc/docker/daemon.json": "{}"})
    found = read_beside(read(tmp_path / "p", _COMPOSE).stack, replace(_LOCAL, local=False), root=root)
    assert (found.schedules, found.daemon) == ((), None)


def test_daemon_json(tmp_path: Path) -> None:
    stack = read(tmp_path / "p", _COMPOSE).stack
    assert read_beside(stack, _LOCAL, root=str(tmp_path / "none")).daemon == {}
    root = _root(tmp_path / "root", {"etc/docker/daemon.json": '{"log-driver": "local"}'})
    assert read_beside(stack, _LOCAL, root=root).daemon == {"log-driver": "local"}
    _root(tmp_path / "root", {"etc/docker/daemon.json": "{broken"})
    assert read_beside(stack, _LOCAL, root=root).daemon is None


def test_scripts_use_keys_of_the_env_file_and_prose_does_not(tmp_path: Path) -> None:
    stack = read(tmp_path / "p", _COMPOSE, _ENV).stack
    assert read_beside(stack, _LOCAL, root=str(tmp_path / "none")).words == {"KEEP_DAYS"}


def test_of_more_files_than_are_read_any_may_use_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "MAX_FILES", 1)
    stack = read(tmp_path, _COMPOSE, {**_ENV, "z.sh": "true\n"}).stack
    assert beside.read_beside(stack, _LOCAL, root=str(tmp_path / "none")).words == {"KEEP_DAYS", "NOBODY"}


def test_a_program_that_loads_the_env_file_hands_its_libraries_what_they_read(tmp_path: Path) -> None:
    env = {".env": "TAG=1\nOPENAI_API_KEY=x\nNOBODY=1\n", "app/main.py": "from dotenv import load_dotenv\n"}
    loads = read(tmp_path / "p", _COMPOSE, env).stack
    assert read_beside(loads, _LOCAL, root=str(tmp_path / "none")).words == {"OPENAI_API_KEY"}
    other = read(tmp_path / "q", _COMPOSE, {**env, "app/main.py": "import openai\n"}).stack
    assert read_beside(other, _LOCAL, root=str(tmp_path / "none")).words == frozenset()


def test_what_nftui_keeps_is_counted(tmp_path: Path) -> None:
    _root(tmp_path / "state", {"blobs/a": "x" * 100, "b": "y" * 20})
    found = read_beside(read(tmp_path / "p", _COMPOSE).stack, _LOCAL, tmp_path / "state", root=str(tmp_path / "none"))
    assert (found.kept_bytes, found.kept_path) == (120, str(tmp_path / "state"))
