"""What a verb must not pay for: imports, measured in a fresh interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("textual", "rich", "docker", "psycopg", "yaml", "qdrant_client", "asyncio")
_ASK = """
import json, sys
from nftui.cli.main import run
code = run(sys.argv[1:])
sys.stderr.write("\\n" + json.dumps([code, sorted(sys.modules)]))
"""


def modules(*words: str) -> tuple[int, set[str]]:
    """Exit code and loaded modules of one call."""
    done = subprocess.run([sys.executable, "-c", _ASK, *words], capture_output=True, text=True, check=True, timeout=60)
    code, names = json.loads(done.stderr.splitlines()[-1])
    return code, set(names)


@pytest.mark.parametrize(
    "words", [["--version"], ["--help"], ["plan", "--help"], ["apply", "--version"], ["plan", "--x"]]
)
def test_help_and_version_import_nothing_heavy(words: list[str]) -> None:
    code, loaded = modules(*words)
    assert code == (2 if "--x" in words else 0)
    assert not loaded & set(HEAVY)
    assert not {name for name in loaded if name.startswith(("nftui.session", "nftui.engine", "nftui.tui"))}


@pytest.mark.parametrize("words", [["--version"], ["--help"]])
def test_version_imports_not_even_the_model(words: list[str]) -> None:
    _code, loaded = modules(*words)
    assert not {name for name in loaded if name.startswith("nftui.model")} | loaded & {"dataclasses", "inspect"}


def test_check_imports_no_screen() -> None:
    """Its own modules, without the session: what the session needs is its own affair."""
    source = "import sys, nftui.cli.dispatch, nftui.cli.reading, nftui.cli.sarif; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True, timeout=60)
    assert not set(done.stdout.split()) & {"textual", "rich", "yaml", "docker", "psycopg", "asyncio"}


def test_a_whole_check_imports_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    """Of a stack that does not run: no server answers, no step is taken."""
    (tmp_path / "compose.yaml").write_text("services: {db: {image: 'postgres:15'}, web: {image: 'example/web:1'}}\n")
    code, loaded = modules("check", str(tmp_path), "--json", "--state-dir", str(tmp_path / "state"))
    assert code == 0
    assert not loaded & {"textual", "rich", "docker", "psycopg", "qdrant_client", "asyncio", "concurrent.futures"}
    assert not loaded & {"nftui.steps.fence", "nftui.engine.drift", "nftui.engine.ports"}


def test_a_verb_that_ends_leaves_nothing_to_search_for_garbage() -> None:
    source = "import gc, sys; from nftui.__main__ import main; main(); print(len(gc.get_objects()), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", source, "preset", "list"], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(done.stderr) < 100


@pytest.mark.parametrize(("words", "asked"), [(("plan", "--json"), 0), (("check",), 0), (("detect", "--json"), 1)])
def test_composes_version_is_asked_only_where_it_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], asked: int
) -> None:
    """A call of Compose takes as long as the rest of a check."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(
        f'#!/bin/sh\necho "$*" >>{tmp_path}/calls\n'
        'case "$*" in *" version "*) echo 2.26.1 ;;\n'
        """*) echo '{"name": "shop", "services": {"web": {"image": "example/web:1"}}}' ;; esac\n"""
    )
    docker.chmod(0o755)
    (tmp_path / "compose.yaml").write_text("services: {web: {image: 'example/web:1'}}\n")
    monkeypatch.setenv("PATH", f"{docker.parent}:{os.environ['PATH']}")
    code, _loaded = modules(words[0], str(tmp_path), *words[1:], "--state-dir", str(tmp_path / "state"))
    calls = (tmp_path / "calls").read_text().splitlines()
    assert code == 0 and any(" config " in line for line in calls)
    assert len([line for line in calls if " version " in line]) == asked
