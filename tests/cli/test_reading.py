"""detect, check, status, log, snapshots: documents, words, codes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nftui.model.findings import Level
from nftui.model.run import ProjectStatus
from tests.cli.conftest import Nftui
from tests.cli.fakes import DRIFT, MASK, RUN, SECRET, FakeSession, facts, finding, snapshot

PRESET = """schema: nftui/preset/1
name: quiet
description: d
optimizations: {}
ignore:
  - {id: bad-thing, service: db, reason: accepted}
"""


def test_detect_has_the_promised_keys(nftui: Nftui) -> None:
    data = nftui("detect", "--json").json
    assert set(data) == {"schema", "host", "stack", "engine"}
    host, stack, engine = data["host"], data["stack"], data["engine"]
    assert isinstance(host, dict) and isinstance(stack, dict) and isinstance(engine, dict)
    assert {"memory_bytes", "memory_available_bytes", "swap_bytes", "cpu", "disks", "mounts", "gpus"} <= set(host)
    assert {"logical", "physical", "quota"} <= set(host["cpu"])
    assert {"name", "model", "size_bytes", "medium", "ephemeral", "mounts"} <= set(host["disks"][0])
    assert host["disks"][0]["medium"] == "nvme"
    assert {"path", "filesystem", "size_bytes", "free_bytes", "disk"} <= set(host["mounts"][0])
    assert {"name", "files", "profiles", "services"} <= set(stack)
    keys = {
        "name",
        "role",
        "extra_roles",
        "image",
        "version",
        "active",
        "profiles",
        "state",
        "memory_limit_bytes",
        "cpus",
    }
    assert all(keys <= set(s) for s in stack["services"])
    assert [(s["name"], s["role"], s["active"]) for s in stack["services"]] == [
        ("db", "postgres", True),
        ("tool", "app", False),
    ]
    assert {"version", "id"} <= set(engine)


def test_detect_without_an_engine(nftui: Nftui, session: FakeSession) -> None:
    session.found_facts = replace(facts(), engine=None)
    assert nftui("detect", "--json").json["engine"] is None
    result = nftui("detect")
    assert result.code == 0
    assert "none can be reached" in result.out


def test_check_has_the_promised_keys_and_hides_secrets(nftui: Nftui, session: FakeSession) -> None:
    session.found = (finding("bad-thing", Level.HIGH), finding("odd-thing", Level.LOW, None))
    result = nftui("check", "--json")
    found = result.json["findings"]
    assert isinstance(found, list)
    keys = {"id", "level", "service", "title", "detail", "evidence", "source", "optimization"}
    assert all(set(f) == keys for f in found)
    assert found[0]["evidence"] == [{"key": "KEY", "value": f"x-{MASK}", "file": "/srv/app/compose.yaml", "line": 3}]
    assert SECRET not in result.out + nftui("check", "-v").out


def test_check_in_words_is_grouped_and_shows_evidence_with_v(nftui: Nftui, session: FakeSession) -> None:
    session.found = (finding("bad-thing", Level.HIGH), finding("odd-thing", Level.LOW))
    text = nftui("check").out
    assert text.index("HIGH (1)") < text.index("bad-thing") < text.index("LOW (1)") < text.index("odd-thing")
    assert "KEY" not in text
    assert f"KEY = x-{MASK}  (/srv/app/compose.yaml:3)" in nftui("check", "-v").out


@pytest.mark.parametrize(
    ("worst", "asked", "code"),
    [
        (Level.HIGH, "high", 11), (Level.MEDIUM, "high", 0), (Level.MEDIUM, "medium", 11),
        (Level.LOW, "medium", 0), (Level.LOW, "low", 11), (Level.INFO, "low", 0),
    ],
)  # fmt: skip
def test_fail_on(nftui: Nftui, session: FakeSession, worst: Level, asked: str, code: int) -> None:
    session.found = (finding("bad-thing", worst),)
    assert nftui("check", "--fail-on", asked).code == code
    assert nftui("check").code == 0


def test_check_leaves_out_what_a_preset_ignores(nftui: Nftui, session: FakeSession, tmp_path: Path) -> None:
    (tmp_path / "quiet.yaml").write_text(PRESET)
    session.found = (finding("bad-thing", Level.HIGH), finding("bad-thing", Level.HIGH, "other"))
    result = nftui("check", "--json", "--preset", "./quiet.yaml", "--fail-on", "high")
    assert ([f["service"] for f in result.json["findings"]], result.json["ignored"]) == (["other"], 1)
    assert result.code == 11


def test_sarif_is_valid_in_shape(nftui: Nftui, session: FakeSession) -> None:
    session.found = (finding("bad-thing", Level.HIGH), finding("bad-thing", Level.MEDIUM, "x", line=None))
    result = nftui("check", "--format", "sarif", "--fail-on", "high")
    assert result.code == 11
    log = json.loads(result.out)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    assert [r["id"] for r in run["tool"]["driver"]["rules"]] == ["bad-thing"]
    first, second = run["results"]
    assert (first["ruleId"], first["ruleIndex"], first["level"], second["level"]) == (
        "bad-thing",
        0,
        "error",
        "warning",
    )
    place = first["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "file:///srv/app/compose.yaml"}, "region": {"startLine": 3}}
    assert "region" not in second["locations"][0]["physicalLocation"]
    assert first["message"]["text"]
    assert SECRET not in result.out
    assert nftui("check", "--format", "sarif", "--json").code == 2


@pytest.mark.parametrize(
    ("state", "drift", "code"),
    [
        ("idle", False, 0),
        ("idle", True, 3),
        ("running", False, 4),
        ("interrupted", False, 5),
        ("awaiting-confirm", True, 12),
    ],
)
def test_status_codes(nftui: Nftui, session: FakeSession, state: str, drift: bool, code: int) -> None:
    session.project = ProjectStatus(state, RUN, 2, (DRIFT,) if drift else ())
    result = nftui("status", "--json")
    assert result.code == code
    assert {"state", "run", "generation", "drift"} <= set(result.json)
    if drift:
        wanted = {"target": "db.buffers", "expected": "512MB", "actual": "128MB", "level": "high"}
        assert result.json["drift"] == [wanted]
    assert nftui("status").code == code


def test_log_shows_who_and_leaves_out_damaged_lines(nftui: Nftui, session: FakeSession, tmp_path: Path) -> None:
    session.root = tmp_path
    assert nftui("log", "--json").json["entries"] == []
    record = {"run": RUN, "kind": "apply", "outcome": "applied", "code": 0, "time": "T", "reason": SECRET,
              "user": "root", "sudo_user": "ann", "steps": ["recreate db"]}  # fmt: skip
    (tmp_path / "audit.jsonl").write_text(json.dumps(record) + "\n{broken\n")
    result = nftui("log", "--json")
    (entry,) = result.json["entries"]
    assert (entry["user"], entry["reason"], entry["sudo_user"]) == ("root", MASK, "ann")
    assert "line 2 is damaged" in result.err
    text = nftui("log", "-v").out
    assert "ann" in text and "- recreate db" in text


def test_snapshots(nftui: Nftui, session: FakeSession) -> None:
    other = "20260102T000000000Z"
    session.infos = (snapshot(other, damaged=("abc",)), snapshot())
    listed = nftui("snapshots", "list", "--json").json
    assert (listed["schema"], [s["id"] for s in listed["snapshots"]]) == ("nftui/snapshots/1", [other, RUN])
    assert nftui("snapshots", "show", "20260101", "--json").json["snapshot"]["files"] == ["/srv/app/compose.nftui.yaml"]
    assert RUN in nftui("snapshots", "show", ".", RUN).out
    assert nftui("snapshots", "show", "2026").code == 2
    assert nftui("snapshots", "verify", RUN).code == 0
    result = nftui("snapshots", "verify", "--json")
    assert result.code == 1
    assert [s["whole"] for s in result.json["snapshots"]] == [False, True]


def test_control_characters_never_reach_the_terminal(nftui: Nftui, session: FakeSession) -> None:
    session.found = (finding("bad-thing", Level.HIGH, "db\x1b[2J\x07"),)
    assert "\x1b" not in nftui("check").out
