"""`nftui check` on whole projects: bad input costs its own line only; ignored findings are counted; secrets hidden."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from nftui.cli.main import run
from tests.checks.build import NO_ENGINE, check, read

_APP = "services:\n  db: {image: 'postgres', restart: always}\n"
_BAD: dict[str, tuple[str, Mapping[str, str]]] = {
    "extends-cycle": (
        "services:\n  db: {image: postgres, extends: a}\n  a: {extends: b}\n  b: {extends: a}\n",
        {},
    ),
    "env-file-too-large": (
        "services:\n  db: {image: postgres, env_file: big.env}\n",
        {"big.env": "".join(f"KEY{n:07}={'x' * 90}\n" for n in range(100_000))},
    ),
    "env-file-missing": ("services:\n  db: {image: postgres, env_file: absent.env}\n", {}),
    "include-missing": (f"include: [broken.yaml]\n{_APP}", {"broken.yaml": "services: [\n"}),
    "include-missing of a folder": (f"include: [folder]\n{_APP}", {"folder/x": ""}),
}


@pytest.mark.parametrize("case", _BAD)
def test_bad_input_is_one_finding_and_the_rest_is_checked(tmp_path: Path, case: str) -> None:
    (compose, files), id = _BAD[case], case.partition(" ")[0]
    found = check(read(tmp_path, compose, files))
    told = {name for _, name in found}
    assert id in told or (id == "extends-cycle" and "service-incomplete" in told)
    assert ("db", "image-floating-tag") in found


def test_invalid_utf8_in_an_env_file(tmp_path: Path) -> None:
    read(tmp_path, "services:\n  db: {image: postgres, env_file: odd.env}\n")
    (tmp_path / "odd.env").write_bytes(b"GOOD=1\nBAD=\xff\xfe\n")
    found = check(read(tmp_path, "services:\n  db: {image: postgres, env_file: odd.env}\n"))
    assert (None, "env-file-invalid") in found and ("db", "image-floating-tag") in found


_STACK = """\
services:
  cache:
    image: redis
    command: redis-server --requirepass Tr0ub4dor-3
    environment: {APP_PASSWORD: "${MISSING:-Correct-Horse-9}"}
    ports: ["6379:6379"]
  app:
    image: example/app
    ports: ["80:80"]
"""
_PRESET = """\
schema: nftui/preset/1
name: quiet
description: d
optimizations: {}
ignore:
  - {id: image-floating-tag, reason: we rebuild every night}
  - {id: published-all-interfaces, service: cache, reason: a firewall stands before it}
"""
_SECRETS = ("Tr0ub4dor-3", "Correct-Horse-9")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "compose.yaml").write_text(_STACK)
    (tmp_path / "quiet.yaml").write_text(_PRESET)
    for name, value in {**NO_ENGINE, "NFTUI_STATE_DIR": str(tmp_path / "state"), "LANG": "C"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_ignored_findings_are_left_out_and_counted(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--json"]) == 0
    every = json.loads(capsys.readouterr().out)
    assert run(["check", "--json", "--preset", "./quiet.yaml"]) == 0
    quiet = json.loads(capsys.readouterr().out)
    gone = {(f["id"], f["service"]) for f in every["findings"]} - {(f["id"], f["service"]) for f in quiet["findings"]}
    assert gone == {
        ("image-floating-tag", "cache"), ("image-floating-tag", "app"), ("published-all-interfaces", "cache"),
    }  # fmt: skip
    assert (every["ignored"], quiet["ignored"]) == (0, 3)


def test_no_form_of_output_shows_a_password(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["check", "-v"], ["check", "--json"], ["check", "--format", "sarif"]):
        assert run(words) == 0
        shown = capsys.readouterr()
        assert "default-password" in shown.out
        assert not [s for s in _SECRETS if s in shown.out + shown.err]


def test_the_same_of_several_services_is_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["check"])
    lines = [line for line in capsys.readouterr().out.splitlines() if "[limits-missing]" in line]
    assert [line.split(":")[0].strip() for line in lines] == ["cache", "app"]
    (project / "compose.yaml").write_text(_STACK + "  web: {image: example/web, ports: ['81:80']}\n")
    run(["check"])
    lines = [line for line in capsys.readouterr().out.splitlines() if "[limits-missing]" in line]
    assert [line.split(":")[0].strip() for line in lines] == ["cache", "app, web"]


def test_what_this_machine_lacks_is_said_and_is_no_finding(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["check", "--json"])
    shown = capsys.readouterr()
    assert not [f for f in json.loads(shown.out)["findings"] if f["id"].startswith(("engine-", "compose-missing"))]
    assert "findings come from the files alone" in shown.err or "Docker" in shown.err


def test_a_moving_tag_says_where_postgres_18_has_its_data(tmp_path: Path) -> None:
    data = "    volumes: ['data:/var/lib/postgresql/data']\n"
    parts = [
        f"  old:\n    image: postgres\n{data}",
        f"  own:\n    image: postgres\n    environment: {{PGDATA: /var/lib/postgresql/data/pg}}\n{data}",
        "  new:\n    image: postgres\n    volumes: ['data:/var/lib/postgresql']\n",
    ]
    found = check(read(tmp_path, "services:\n" + "".join(parts) + "volumes: {data: }\n"))
    said = {name: str(found[name, "image-floating-tag"].detail) for name in ("old", "own", "new")}
    assert ["18 or later" in said[name] for name in said] == [True, False, False]
