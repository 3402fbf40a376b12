"""`nftui`: the command line on a fake session, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nftui.cli import context
from nftui.cli.main import run
from nftui.model.stack import ProjectRequest
from tests.cli.fakes import FakeSession, registry


@dataclass
class Result:
    """What a call gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


Nftui = Callable[..., Result]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeSession:
    """The session that every call gets; the working directory is empty."""
    fake = FakeSession()

    def make(request: ProjectRequest, state_dir: Path | None, *, begin: bool = False) -> FakeSession:
        fake.request_ = request
        fake.asked.append(("session", state_dir))
        return fake

    monkeypatch.setattr(context, "make_session", make)
    for module in ("nftui.cli.context", "nftui.cli.preset", "nftui.cli.running"):
        monkeypatch.setattr(f"{module}.make_registry", registry)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("NFTUI_STATE_DIR", "LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return fake


@pytest.fixture
def nftui(session: FakeSession, capsys: pytest.CaptureFixture[str]) -> Nftui:
    """Run it with words; stdin is no terminal."""

    def call(*words: str) -> Result:
        code = run(list(words))
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call
