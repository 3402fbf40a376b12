"""detect, check, status, log, snapshots: documents, words, codes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nftui.model.findings import Level
from nftui.model.message import msg
from nftui.model.run import Damage, ProjectStatus
from nftui.model.stack import Problem
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


def test_check_says_what_a_preset_ignores_in_vain(nftui: Nftui, session: FakeSession, tmp_path: Path) -> None:
    rules = "  - {id: image-floating-tag, service: dbb, reason: r}\n  - {id: host-swop, reason: r}\n"
    (tmp_path / "quiet.yaml").write_text(PRESET.replace("bad-thing", "host-swap") + rules)
    result = nftui("check", "--json", "--preset", "./quiet.yaml")
    unknown, nowhere = result.json["warnings"]
    assert "line 8: There is no finding 'host-swop'. Did you mean 'host-swap'?" in unknown
    assert "ignores image-floating-tag of a service that is not here" in nowhere and "Did you mean 'db'?" in nowhere
    assert (result.code, nowhere in result.err) == (0, True)
    unread = Problem("include-missing", "x is not there")
    session.found_facts = replace(facts(), stack=replace(facts().stack, problems=(unread,)))
    assert nftui("check", "--json", "--preset", "./quiet.yaml").json["warnings"] == [unknown]


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


def test_a_file_that_is_gone_is_called_so(nftui: Nftui, session: FakeSession) -> None:
    session.project = ProjectStatus("idle", RUN, 2, (replace(DRIFT, actual="None"),))
    assert "should be 512MB, is not there" in nftui("status").out


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
    assert "ann as root  apply" in text and "- recreate db" in text


def test_log_tells_from_where_and_the_newest_only(nftui: Nftui, session: FakeSession, tmp_path: Path) -> None:
    session.root = tmp_path
    lines = [{"run": f"R{n}", "kind": "apply", "outcome": "refused", "code": 3, "user": "root", "from": "192.0.2.7"}
             for n in range(3)]  # fmt: skip
    (tmp_path / "audit.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = nftui("log", "-n", "2", "--json").json["entries"]
    assert [(e["run"], e["from"]) for e in found] == [("R1", "192.0.2.7"), ("R2", "192.0.2.7")]
    assert "root from 192.0.2.7  apply R2: refused (exit 3)" in nftui("log", "-n", "9").out
    assert "R2" not in nftui("log", "-n", "0").out
    assert nftui("log", "-n", "x").code == 2


def test_snapshots(nftui: Nftui, session: FakeSession) -> None:
    other = "20260102T000000000Z"
    session.infos = (
        snapshot(other, damaged=(Damage("/s/blobs/ab", msg("it is missing"), msg("put it back")),)),
        snapshot(),
    )
    listed = nftui("snapshots", "list", "--json").json
    assert (listed["schema"], [s["id"] for s in listed["snapshots"]]) == ("nftui/snapshots/1", [other, RUN])
    assert nftui("snapshots", "show", "20260101", "--json").json["snapshot"]["files"] == ["/srv/app/compose.nftui.yaml"]
    assert RUN in nftui("snapshots", "show", ".", RUN).out
    assert nftui("snapshots", "show", "2026").code == 2
    assert nftui("snapshots", "verify", RUN).code == 0
    result = nftui("snapshots", "verify", "--json")
    assert result.code == 1
    assert [s["whole"] for s in result.json["snapshots"]] == [False, True]
    wanted = {"path": "/s/blobs/ab", "what": "it is missing", "safe": "put it back"}
    assert result.json["snapshots"][0]["damaged"] == [wanted] and result.json["state"] == []
    text = nftui("snapshots", "verify").out
    assert "it is missing" in text and "put it back" in text and f"{RUN}: whole" in text


def test_damage_beside_the_snapshots_counts(nftui: Nftui, session: FakeSession) -> None:
    session.beside = (Damage("/s/inforce.json", msg("bad"), msg("put it back")),)
    assert nftui("snapshots", "verify").code == 1
    assert "beside the snapshots" in nftui("snapshots", "verify").out


def test_prune_shows_before_it_removes(nftui: Nftui, session: FakeSession) -> None:
    result = nftui("snapshots", "prune", "--json")
    assert result.code == 0
    assert result.json == {
        "schema": "nftui/snapshots/1", "pruned": [RUN], "kept": [{"id": "R", "why": "it stands"}], "blobs": 2,
        "bytes": 2048, "done": False,
    }  # fmt: skip
    assert "would go" in nftui("snapshots", "prune").out and "--yes" in nftui("snapshots", "prune").out
    assert f"{RUN}: removed" in nftui("snapshots", "prune", "--yes", "--keep", "3", "--older-than", "7").out
    asked = [detail for name, detail in session.asked if name == "prune"]
    assert asked[0] == (10, None, False) and asked[-1] == (3, 7.0, True)
    for words in (("--keep", "-1"), ("--keep", "x"), ("--older-than", "-1"), ("--older-than", "nan")):
        assert nftui("snapshots", "prune", *words).code == 2


def test_artefacts_are_listed_with_what_needs_them(nftui: Nftui, session: FakeSession) -> None:
    listed = nftui("artefacts", "list", "--json").json
    assert (listed["schema"], listed["artefacts"][0]["needed_by"]) == ("nftui/artefacts/1", [RUN])
    text = nftui("artefacts", "list").out
    assert "volume old-data" in text and f"needed to roll back: {RUN}" in text
    session.kept = ()
    assert "keeps no data" in nftui("artefacts", "list").out


def test_an_artefact_is_deleted_by_its_name_and_with_consent(
    nftui: Nftui, session: FakeSession, tmp_path: Path
) -> None:
    result = nftui("artefacts", "delete", "old-data")
    assert result.code == 2 and RUN in result.err and "--yes" in result.err
    assert nftui("artefacts", "delete", "old", "--yes").code == 2
    assert "delete_artefact" not in session.names
    result = nftui("artefacts", "delete", str(tmp_path), "old-data", "--yes", "--json")
    assert (result.code, result.json["deleted"]["name"]) == (0, "old-data")
    assert ("delete_artefact", "old-data") in session.asked
    assert session.request_ is not None and session.request_.path == str(tmp_path)
    for words in ((), ("a", "b", "c")):
        assert nftui("artefacts", "delete", *words).code == 2


def test_control_characters_never_reach_the_terminal(nftui: Nftui, session: FakeSession) -> None:
    session.found = (finding("bad-thing", Level.HIGH, "db\x1b[2J\x07"),)
    assert "\x1b" not in nftui("check").out
